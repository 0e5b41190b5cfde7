"""LiteRT files of whole numbers, against the weights of their models and against NumPy's arithmetic."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import keras_prunelab as kpl
from keras_prunelab._backend import Conversion, ConversionError, converter_of

L = keras.layers
RNG = np.random.default_rng(0)


def dense() -> keras.Model:
    return keras.Sequential([keras.Input((20,)), L.Dense(30, "relu"), L.Dense(5)])


def convolutional() -> keras.Model:
    layers = [
        keras.Input((8, 8, 2)),
        L.Conv2D(6, 3, padding="same", use_bias=False),
        L.BatchNormalization(),
        L.ReLU(),
        L.DepthwiseConv2D(3),
        L.Conv2D(7, 1, activation="relu"),
        L.Flatten(),
        L.Dense(4),
    ]
    return keras.Sequential(layers)


def constants(path: Path) -> list[dict[str, Any]]:
    """What the file holds, read without the package."""
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(str(path))
    found = []
    for detail in interpreter.get_tensor_details():
        try:
            found.append(detail | {"value": interpreter.get_tensor(detail["index"])})
        except ValueError:
            continue  # it is computed
    return found


def as_stored(kernel: np.ndarray, layer: keras.Layer) -> np.ndarray:
    """A kernel with the output channels where LiteRT has them."""
    return (
        kernel.reshape(1, *kernel.shape[:2], -1) if isinstance(layer, L.DepthwiseConv2D) else np.moveaxis(kernel, -1, 0)
    )


@pytest.mark.parametrize("make", [dense, convolutional])
def test_weights_are_within_half_a_step_and_zeros_are_zeros(make: Callable[[], keras.Model], tmp_path: Path) -> None:
    model = kpl.prune(make(), 0.8)
    x = RNG.normal(size=(64, *model.input_shape[1:])).astype("float32")
    written = kpl.export_litert(model, tmp_path / "net.tflite", "int8", calibration=x)
    assert (written.quantize, written.input_type, written.output_type, written.reason) == ("int8", "int8", "int8", "")
    assert written.bytes == (tmp_path / "net.tflite").stat().st_size
    found = constants(tmp_path / "net.tflite")
    checked = 0
    for layer, follower in zip(model.layers, [*model.layers[1:], None], strict=True):
        if not hasattr(layer, "kernel"):
            continue
        kernel = as_stored(np.array(layer.kernel), layer)
        channels = 3 if isinstance(layer, L.DepthwiseConv2D) else 0
        if isinstance(follower, L.BatchNormalization):
            factor = np.array(follower.gamma) / np.sqrt(np.array(follower.moving_variance) + follower.epsilon)
            kernel = kernel * factor.reshape([-1, *[1] * (kernel.ndim - 1)])
        (stored,) = [each for each in found if tuple(each["shape"]) == kernel.shape and each["value"].dtype == np.int8]
        parameters = stored["quantization_parameters"]
        assert not parameters["zero_points"].any()
        assert len(parameters["scales"]) == kernel.shape[channels]  # one a channel
        scales = parameters["scales"].reshape([-1 if axis == channels else 1 for axis in range(kernel.ndim)])
        assert (np.abs(stored["value"] * scales - kernel) <= 0.5001 * scales).all()
        assert not stored["value"][kernel == 0].any()
        checked += 1
    assert checked == sum(hasattr(layer, "kernel") for layer in model.layers)


def test_outputs_are_those_of_whole_numbers_in_numpy(tmp_path: Path) -> None:
    """The product of whole numbers, rounded once: LiteRT may differ by the one step that its rounding allows."""
    model = keras.Sequential([keras.Input((20,)), L.Dense(5, bias_initializer="normal")])
    x = RNG.normal(size=(64, 20)).astype("float32")
    kpl.export_litert(model, tmp_path / "net.tflite", "int8", calibration=x)
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(str(tmp_path / "net.tflite"))
    interpreter.allocate_tensors()
    (given,), (asked,) = interpreter.get_input_details(), interpreter.get_output_details()
    found = {each["value"].dtype.name: each for each in constants(tmp_path / "net.tflite") if each["value"].size > 1}
    kernel, bias = found["int8"], found["int32"]["value"]
    for row in x:
        whole = np.clip(np.round(row / given["quantization"][0]) + given["quantization"][1], -128, 127).astype(np.int8)
        sums = kernel["value"].astype(np.int64) @ (whole.astype(np.int64) - given["quantization"][1]) + bias
        scale = given["quantization"][0] * kernel["quantization_parameters"]["scales"] / asked["quantization"][0]
        expected = np.clip(np.round(sums * scale) + asked["quantization"][1], -128, 127)
        interpreter.set_tensor(given["index"], whole[None])
        interpreter.invoke()
        assert np.abs(interpreter.get_tensor(asked["index"])[0] - expected).max() <= 1


@pytest.mark.parametrize("quantize", ["int8", "int8-weights", "float16"])
def test_sparse_files_are_smaller_and_answer_the_same(quantize: str, tmp_path: Path) -> None:
    model = kpl.prune(keras.Sequential([keras.Input((100,)), L.Dense(200, "relu"), L.Dense(5)]), 0.9)
    x = RNG.normal(size=(64, 100)).astype("float32")
    calibration = x if quantize == "int8" else None
    paths = [tmp_path / "plain.tflite", tmp_path / "sparse.tflite"]
    plain, sparse = (
        kpl.export_litert(model, path, quantize, calibration=calibration, sparse=path is paths[1]) for path in paths
    )
    assert sparse.sparse
    assert not plain.sparse
    assert sparse.bytes < 0.7 * plain.bytes
    assert int(sparse) == int(plain) <= np.count_nonzero(model.layers[0].kernel) + 1000 + 205
    labels = np.array(model(x)).argmax(axis=-1)
    found = [kpl.evaluate_file(path, (x, labels), model=model) for path in paths]
    np.testing.assert_allclose(found[0].differences, found[1].differences, atol=0.02 * np.abs(model(x)).max())


RECURRENT = [L.SimpleRNN, L.LSTM, L.GRU]


@pytest.mark.parametrize("layer", RECURRENT)
def test_recurrent_layers_are_unrolled_where_that_pays(layer: type[keras.Layer], tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4, 6)), layer(96), L.Dense(3, "softmax")])
    x = RNG.normal(size=(32, 4, 6)).astype("float32")
    written = kpl.export_litert(model, tmp_path / "net.tflite", "int8", calibration=x)
    half = kpl.export_litert(model, tmp_path / "half.tflite", "float16")
    assert (written.quantize == "int8") == (written.bytes <= half.bytes)
    assert written.quantize == "int8" or "in int8, and" in written.reason
    labels = np.array(model(x)).argmax(axis=-1)
    found = kpl.evaluate_file(tmp_path / "net.tflite", (x, labels), model=model)
    assert found.difference is not None
    assert found.difference < 0.05


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [((80, 2), "80 steps, and int8 takes at most 64"), ((None, 2), "recurrent layer of free length")],
)
@pytest.mark.parametrize("both", [False, True])
def test_recurrent_layers_that_are_not_unrolled(inputs: Any, reason: str, both: bool, tmp_path: Path) -> None:
    layer = L.Bidirectional(L.GRU(3)) if both else L.GRU(3)
    model = keras.Sequential([keras.Input(inputs), layer, L.Dense(3)])
    x = RNG.normal(size=(8, 80, 2))
    written = kpl.export_litert(model, tmp_path / "net.tflite", "int8", calibration=x)
    assert (written.quantize, written.input_type) == ("float16", "float32")
    assert reason in written.reason
    assert reason in str(written)


def test_zeros_inside_a_loop_are_counted(tmp_path: Path) -> None:
    model = kpl.prune(keras.Sequential([keras.Input((80, 8)), L.LSTM(32)]), 0.75)
    kernels = sum(int(np.count_nonzero(weight)) for weight in model.weights if weight.ndim > 1)
    assert kernels <= int(kpl.export_litert(model, tmp_path / "net.tflite", "float16")) <= kernels + 128 + 64


def test_a_converter_that_ends_is_an_error_and_the_next_one_works(tmp_path: Path) -> None:
    """TensorFlow's converter ends its process on the loop of a recurrent layer in int8."""
    model = keras.Sequential([keras.Input((80, 2)), L.LSTM(4)])
    (tmp_path / "ranges").mkdir()
    np.savez(
        tmp_path / "ranges" / "0.npz", **{model.inputs[0]._keras_history.operation.name: np.ones((3, 80, 2), "f4")}
    )
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
    how = Conversion("int8", sparse=False, calibration=str(tmp_path / "ranges"))
    with pytest.raises(ConversionError, match="ended its process"):
        converter_of(model, tmp_path / "first", 1)(how)
    assert converter_of(dense(), tmp_path / "second", 1)(Conversion("float16"))[4:8] == b"TFL3"


@pytest.mark.parametrize("form", ["dictionary", "list", "batches", "dataset"])
def test_calibration_in_every_form_for_two_inputs(form: str, tmp_path: Path) -> None:
    import tensorflow as tf

    wide, narrow = keras.Input((6,), name="wide"), keras.Input((4,), name="narrow")
    joined = L.Concatenate()([wide, narrow])
    model = keras.Model([wide, narrow], [L.Dense(3)(joined), L.Dense(1)(joined)])
    a, b = RNG.normal(size=(50, 6)).astype("float32"), 9 * RNG.normal(size=(50, 4)).astype("float32")
    named = {"narrow": b, "wide": a}
    data: Any = {
        "dictionary": named,
        "list": ([a, b],),
        "batches": lambda: iter([([a[:20], b[:20]],), ([a[20:], b[20:]],)]),
        "dataset": tf.data.Dataset.from_tensor_slices(named).batch(16),
    }[form]
    kpl.export_litert(model, tmp_path / "net.tflite", "int8", data=data)
    outputs = [np.array(each) for each in model([a, b])]
    found = kpl.evaluate_file(tmp_path / "net.tflite", ([a, b], [outputs[0].argmax(axis=-1), outputs[1]]), model=model)
    assert found.difference is not None
    assert found.difference < 0.02
    assert list(found.metrics) == ["accuracy_output_0", "rmse_output_1"]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"quantize": "int8"}, kpl.InvalidDataError, "needs calibration="),
        ({"quantize": "int8", "data": np.zeros((9, 20))}, kpl.InvalidDataError, "All calibration numbers .* are 0"),
        ({"quantize": "int8", "data": np.full((9, 20), np.nan)}, kpl.InvalidDataError, "calibration inputs hold NaN"),
        ({"quantize": "int8", "data": np.ones((9, 7))}, kpl.InvalidDataError, r"takes observations of shape \(20,\)"),
        ({"quantize": "int8", "data": np.ones((0, 20))}, kpl.InvalidDataError, "empty"),
        ({"quantize": "int8", "data": 1, "calibration": 2}, kpl.InvalidDataError, "Give calibration= alone"),
        ({"quantize": "int4"}, kpl.UnknownNameError, "quantize='int4'; it is None or one of 'int8'"),
        ({"quantize": "int8", "input_type": "int16"}, kpl.UnknownNameError, "input_type='int16'; it is one of"),
        ({"quantize": "float16", "output_type": "int8"}, kpl.UnknownNameError, "goes with quantize='int8' alone"),
    ],
)
def test_bad_input(options: dict[str, Any], error: type[Exception], message: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=message):
        kpl.export_litert(dense(), tmp_path / "net.tflite", **options)
    assert list(tmp_path.iterdir()) == []


def test_types_of_inputs_and_outputs(tmp_path: Path) -> None:
    x = RNG.normal(size=(20, 20)).astype("float32")
    kpl.export_litert(dense(), tmp_path / "a.tflite", "int8", data=x, input_type="uint8", output_type="float32")
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(str(tmp_path / "a.tflite"))
    (given,), (asked,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert (given["dtype"], asked["dtype"]) == (np.uint8, np.float32)


@pytest.mark.filterwarnings("ignore:Layer InputLayer does not have a `quantize` method:UserWarning")  # of Keras itself
def test_a_model_that_keras_quantized(tmp_path: Path) -> None:
    model = dense()
    model.quantize("int8")
    with pytest.raises(kpl.InvalidModelError, match=r"was quantized by Keras \(int8\).*before model.quantize"):
        kpl.export_litert(model, tmp_path / "net.tflite", "int8", data=RNG.normal(size=(9, 20)))


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends(backend: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    code = (
        "import sys, numpy as np, keras, keras_prunelab as kpl\n"
        "model = kpl.prune(keras.Sequential([keras.Input((9,)), keras.layers.Dense(9)]), 0.5)\n"
        "x = np.random.default_rng(0).normal(size=(50, 9)).astype('float32')\n"
        "written = kpl.export_litert(model, sys.argv[1], 'int8', calibration=x)\n"
        "found = kpl.evaluate_file(sys.argv[1], (x, np.asarray(model.predict(x, verbose=0))), model=model)\n"
        "assert written.quantize == 'int8' and found.difference < 0.03, found\n"
    )
    environment = {"KERAS_BACKEND": backend, "PATH": "", "PYTHONPATH": str(Path(kpl.__file__).parents[1])}
    command = [sys.executable, "-c", code, str(tmp_path / "net.tflite")]
    done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=False)
    if backend == "torch":
        assert done.returncode == 0, done.stderr
    else:
        assert "written on TensorFlow or torch, and Keras runs on jax" in done.stderr


PARTS: dict[str, Callable[[Any], Any]] = {
    "convolution": lambda x: L.ReLU()(L.BatchNormalization()(L.Conv2D(5, 3, padding="same")(x))),
    "pointwise": lambda x: L.Conv2D(4, 1, activation="relu6")(x),
    "depthwise": lambda x: L.DepthwiseConv2D(3, padding="same")(x),
    "maximum": lambda x: L.MaxPooling2D(2, padding="same")(x),
    "average": lambda x: L.AveragePooling2D(2, padding="same")(x),
    "branch": lambda x: L.Add()([x, L.Conv2D(x.shape[-1], 3, padding="same")(x)]),
}


@pytest.mark.slow
@settings(max_examples=6, deadline=None, derandomize=True)
@given(
    st.integers(1, 3),
    st.lists(st.sampled_from(sorted(PARTS)), min_size=1, max_size=4),
    st.sampled_from([L.Flatten, L.GlobalAveragePooling2D]),
    st.sampled_from([0.0, 0.5, 0.9]),
)
def test_random_graphs(channels: int, parts: list[str], end: type[keras.Layer], sparsity: float) -> None:
    inputs = x = keras.Input((8, 8, channels))
    for part in parts:
        x = PARTS[part](x)
    model = keras.Model(inputs, L.Dense(3)(end()(x)))
    model = kpl.prune(model, sparsity) if sparsity else model
    images = RNG.normal(size=(50, *model.input_shape[1:])).astype("float32")
    outputs = np.array(model(images))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.tflite"
        for quantize, most in ((None, 1e-5), ("float16", 5e-3), ("int8", 0.1)):
            written = kpl.export_litert(model, path, quantize, calibration=images if quantize == "int8" else None)
            assert written.quantize == quantize
            for kernels in ("default", "reference"):
                found = kpl.evaluate_file(path, (images, outputs), model=model, kernels=kernels)
                assert found.difference is not None
                assert found.difference <= most


@keras.saving.register_keras_serializable("prunelab_tests")
class Looping(L.Layer):
    """A kernel that is multiplied with inside a loop, which is no recurrent layer."""

    def build(self, shape: tuple[int, ...]) -> None:
        self.kernel = self.add_weight(shape=(shape[-1], shape[-1]), name="kernel")

    def call(self, x: Any) -> Any:
        return keras.ops.fori_loop(0, 3, lambda _, value: keras.ops.tanh(keras.ops.matmul(value, self.kernel)), x)


LOOPS: dict[str, Callable[[], keras.Model]] = {
    "lstm": lambda: keras.Sequential([keras.Input((6, 8)), L.LSTM(8), L.Dense(3)]),
    "gru, any length, sequences": lambda: keras.Sequential(
        [keras.Input((None, 8)), L.GRU(8, return_sequences=True), L.GlobalMaxPooling1D(), L.Dense(3)]
    ),
    "both directions": lambda: keras.Sequential([keras.Input((6, 8)), L.Bidirectional(L.SimpleRNN(5)), L.Dense(3)]),
    "a cell": lambda: keras.Sequential([keras.Input((6, 8)), L.RNN(L.GRUCell(8)), L.Dense(3)]),
    "a loop of its own": lambda: keras.Sequential([keras.Input((6, 8)), Looping(), L.Flatten(), L.Dense(3)]),
}


@pytest.mark.parametrize("quantize", [None, "float16", "int8-weights"])
@pytest.mark.parametrize("name", LOOPS)
def test_loops_over_pruned_weights_answer_as_their_model(name: str, quantize: Any, tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    model = LOOPS[name]()
    for variable in model.trainable_variables:
        value = keras.ops.convert_to_numpy(variable)
        variable.assign(np.where(RNG.random(value.shape) < 0.8, 0, value))
    path = tmp_path / "net.tflite"
    written = kpl.export_litert(model, path, quantize, sparse=True)
    assert not written.sparse
    assert "inside a loop" in written.reason
    x = RNG.normal(size=(7, 6, 8)).astype(np.float32)
    found = kpl.evaluate_file(path, (x, np.zeros((7, 3), np.float32)), model=model)
    assert found.difference is not None
    assert found.difference <= (2e-3 if quantize == "float16" else 2e-2 if quantize else 1e-5)


def test_inputs_and_outputs_by_names_in_any_order(tmp_path: Path) -> None:
    # TensorFlow takes neither keywords of Python nor names that begin with an underscore.
    inputs = {name: keras.Input((3,), name=name) for name in ("z", "in", "__")}
    joined = L.Concatenate()([inputs["in"], 2.0 * inputs["__"], 3.0 * inputs["z"]])
    outputs = {"second": L.Dense(2)(joined), "first": L.Dense(3)(inputs["z"] - inputs["in"])}
    model = keras.Model(inputs, outputs)
    x = {name: np.random.default_rng(index).normal(size=(20, 3)).astype("float32") for index, name in enumerate(inputs)}
    y = model.predict(x, verbose=0)
    kpl.export_litert(model, tmp_path / "net.tflite")
    found = kpl.evaluate_file(tmp_path / "net.tflite", (x, y), model=model)
    assert max(found.metrics.values()) < 1e-6


@pytest.mark.parametrize("quantize", ["float16", "int8-weights"])
def test_kernels_without_any_weight_are_stored_whole(quantize: Any, tmp_path: Path) -> None:
    """LiteRT computes NaN from such a sparse kernel of a dense layer."""
    model = keras.Sequential([keras.Input((60,)), L.Dense(40, "relu"), L.Dense(3, kernel_initializer="zeros")])
    model.layers[1].bias.assign([1.0, 2.0, 3.0])
    x = RNG.normal(size=(10, 60)).astype("float32")
    written = kpl.export_litert(kpl.prune(model, 0.5), tmp_path / "net.tflite", quantize, sparse=True)
    assert not written.sparse
    assert "no other weight" in written.reason
    for kernels in ("default", "reference"):
        found = kpl.evaluate_file(written.path, (x, np.tile([1.0, 2.0, 3.0], (10, 1))), kernels=kernels)
        assert found.metrics["rmse"] < 1e-3


def test_sparse_int8_weights_run_without_xnnpack(tmp_path: Path) -> None:
    layers = [keras.Input((8, 8, 4)), L.Conv2D(16, 3), L.DepthwiseConv2D(3), L.Flatten(), L.Dense(30), L.Dense(3)]
    model = kpl.prune(keras.Sequential(layers), 0.9)
    x = RNG.normal(size=(10, 8, 8, 4)).astype("float32")
    written = kpl.export_litert(model, tmp_path / "net.tflite", "int8-weights", sparse=True)
    found = kpl.evaluate_file(written.path, (x, model.predict(x, verbose=0)), model=model)
    assert written.sparse
    assert found.difference is not None
    assert found.difference < 0.05
