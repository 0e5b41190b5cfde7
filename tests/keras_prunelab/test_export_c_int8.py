"""8-bit headers, against LiteRT's reference kernels, which somebody else wrote, and against Keras."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import keras_prunelab as kpl

from .c_headers import RUN, STEP, compiled, needs_gcc, of_keras, randomized, run, sizes
from .litert_reference import Int8File
from .random_networks import network

L = keras.layers
needs_tensorflow = pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="TensorFlow writes LiteRT files")


def normal(count: int, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, *shape)).astype("float32")


def scale(folder: Path, name: str) -> tuple[float, int]:
    text = (folder / "net.h").read_text(encoding="ascii")
    factor, zero = (re.search(rf"#define NET_{name}_{part} (\S+)", text) for part in ("SCALE", "ZERO_POINT"))
    assert factor is not None
    assert zero is not None
    return float(factor[1].rstrip("f")), int(zero[1])


def exported(model: keras.Model, data: np.ndarray, folder: Path) -> Path:
    kpl.export_c(model, folder / "net.h", data, "int8")
    return compiled(folder, RUN, sizes(model.inputs), sizes(model.outputs), "int8")


def quantized(x: np.ndarray, factor: float, zero: int) -> np.ndarray:
    return np.clip(np.round(x / factor) + zero, -128, 127).astype(np.int8)


def both(model: keras.Model, folder: Path, count: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """The 8-bit outputs of the header and of LiteRT for the same 8-bit inputs."""
    shape = model.input_shape[1:]
    data = normal(200, shape)
    file = Int8File.of(model, data)
    program = exported(model, data, folder)
    for name, (factor, zero) in zip(("INPUT", "OUTPUT"), file.scales, strict=True):
        assert scale(folder, name)[1] == zero
        np.testing.assert_allclose(scale(folder, name)[0], factor, rtol=1e-5)
    x = quantized(normal(count, shape, 1), *file.scales[0])
    return run(program, x).astype(int), file(x).astype(int)


OPERATIONS: dict[str, Callable[[], list[keras.layers.Layer]]] = {
    "dense": lambda: [keras.Input((40,)), L.Dense(20)],
    "dense, relu": lambda: [keras.Input((40,)), L.Dense(20, activation="relu")],
    "dense, relu6": lambda: [keras.Input((40,)), L.Dense(20, activation="relu6")],
    "convolution": lambda: [keras.Input((8, 8, 3)), L.Conv2D(8, 3, padding="same", strides=2)],
    "of sequences": lambda: [keras.Input((20, 3)), L.Conv1D(8, 3, padding="same")],
    "depthwise": lambda: [keras.Input((8, 8, 3)), L.DepthwiseConv2D(3, padding="same", depth_multiplier=2)],
    "transposed": lambda: [keras.Input((6, 5, 3)), L.Conv2DTranspose(4, 3, strides=2, padding="same")],
    "transposed, valid": lambda: [keras.Input((6, 5, 3)), L.Conv2DTranspose(4, 2, strides=3, activation="relu")],
    "of sequences, transposed": lambda: [keras.Input((9, 3)), L.Conv1DTranspose(4, 4, strides=2, padding="same")],
    "cropped": lambda: [keras.Input((8, 8, 3)), L.Cropping2D(((1, 2), (0, 3)))],
    "prelu": lambda: [keras.Input((6, 5, 3)), L.PReLU(shared_axes=[1, 2])],
    "prelu for each value": lambda: [keras.Input((6, 5, 3)), L.PReLU()],
    "largest": lambda: [keras.Input((8, 8, 3)), L.MaxPooling2D(2)],
    "average": lambda: [keras.Input((8, 8, 3)), L.AveragePooling2D(3, padding="same")],
    "mean": lambda: [keras.Input((8, 8, 3)), L.GlobalAveragePooling2D()],
    "tanh": lambda: [keras.Input((40,)), L.Activation("tanh")],
    "sigmoid": lambda: [keras.Input((40,)), L.Activation("sigmoid")],
    "softmax": lambda: [keras.Input((10,)), L.Softmax()],
    "leaky relu": lambda: [keras.Input((40,)), L.LeakyReLU(0.1)],
    "gelu": lambda: [keras.Input((40,)), L.Activation("gelu")],
    "hard swish": lambda: [keras.Input((40,)), L.Activation("hard_swish")],
}


@needs_gcc
@needs_tensorflow
@pytest.mark.parametrize("name", OPERATIONS)
def test_one_operation_is_within_one_step_of_litert(name: str, tmp_path: Path) -> None:
    found, wanted = both(randomized(keras.Sequential(OPERATIONS[name]())), tmp_path)
    assert np.abs(found - wanted).max() <= 1


@needs_gcc
@needs_tensorflow
@pytest.mark.parametrize("merge", [L.Add, L.Multiply, L.Concatenate])
def test_two_values_are_within_one_step_of_litert(merge: type[keras.layers.Layer], tmp_path: Path) -> None:
    inputs = keras.Input((40,))
    found, wanted = both(keras.Model(inputs, merge()([inputs, L.ReLU()(inputs)])), tmp_path)
    assert np.abs(found - wanted).max() <= 1


@needs_gcc
def test_up_sampling_moves_numbers(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((3, 4, 2)), L.UpSampling2D((2, 3))])
    program = exported(model, normal(50, (3, 4, 2)), tmp_path)
    x = np.random.default_rng(1).integers(-128, 128, (20, 3, 4, 2), np.int8)
    wanted = np.kron(x.transpose(0, 3, 1, 2), np.ones((2, 3), np.int8)).transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(run(program, x), wanted.reshape(20, -1))


@needs_gcc
@pytest.mark.parametrize("groups", [0, 1, 2, 6])
def test_normalizations_are_within_one_step_of_numpy(groups: int, tmp_path: Path) -> None:
    layer = L.GroupNormalization(groups, epsilon=1e-4) if groups else L.LayerNormalization(epsilon=1e-4)
    model = randomized(keras.Sequential([keras.Input((5, 4, 6)), layer]))
    program = exported(model, normal(200, (5, 4, 6)), tmp_path)
    x = np.random.default_rng(1).integers(-128, 128, (50, 5, 4, 6), np.int8)
    x[0] = 7  # no variance
    (factor, zero), (out, out_zero) = scale(tmp_path, "INPUT"), scale(tmp_path, "OUTPUT")
    real = factor * (x.astype(np.float64) - zero)
    split = real.reshape(50, 20, groups, -1) if groups else real.reshape(50, 20, 1, 6)
    axes = (1, 3) if groups else 3
    found = (split - split.mean(axis=axes, keepdims=True)) / np.sqrt(split.var(axis=axes, keepdims=True) + 1e-4)
    gain, offset = (np.asarray(keras.ops.convert_to_numpy(each), np.float64) for each in (layer.gamma, layer.beta))
    wanted = np.clip(np.round((found.reshape(x.shape) * gain + offset) / out) + out_zero, -128, 127)
    assert np.abs(run(program, x) - wanted.reshape(50, -1)).max() <= 1


def lenet() -> list[keras.layers.Layer]:
    return [keras.Input((64,)), L.Dense(60, activation="relu"), L.Dense(30, activation="relu"), L.Dense(10)]


def lab_network() -> list[keras.layers.Layer]:
    layers = [keras.Input((14, 14, 1))]
    for filters in (8, 16, 32):
        layers += [L.Conv2D(filters, 3, padding="same"), L.BatchNormalization(), L.ReLU(), L.MaxPooling2D(2)]
    return [*layers[:-1], L.Flatten(), L.Dense(10)]


def separable() -> list[keras.layers.Layer]:
    layers = [
        keras.Input((12, 12, 1)),
        L.Conv2D(8, 3, strides=2, padding="same", use_bias=False),
        L.BatchNormalization(),
    ]
    for _ in range(2):
        layers += [L.ReLU(), L.DepthwiseConv2D(3, padding="same", use_bias=False), L.BatchNormalization(), L.ReLU()]
        layers += [L.Conv2D(8, 1, use_bias=False), L.BatchNormalization()]
    return [*layers, L.ReLU(), L.GlobalAveragePooling2D(), L.Dense(10)]


@needs_gcc
@needs_tensorflow
@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("make", [lenet, lab_network, separable], ids=lambda make: make.__name__)
def test_networks_agree_with_litert(
    make: Callable[[], list[keras.layers.Layer]], sparsity: float, tmp_path: Path
) -> None:
    model = randomized(keras.Sequential(make()))
    model = kpl.prune(model, sparsity) if sparsity else model
    found, wanted = both(model, tmp_path, 400)
    assert np.abs(found - wanted).max() <= 2
    is_clear = np.diff(np.sort(wanted, axis=1)[:, -2:], axis=1)[:, 0] > 0  # two classes may be the first
    assert np.mean((found.argmax(axis=1) == wanted.argmax(axis=1)) | ~is_clear) >= 0.995


@needs_gcc
@needs_tensorflow
@pytest.mark.slow
@settings(max_examples=10, suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large))
@given(st.data())
def test_random_networks_agree_with_litert(data: st.DataObject) -> None:
    model = randomized(network(data.draw, ["relu", "relu6", None], recurrent=False))
    sample = of_keras(model, normal(50, model.input_shape[1:]))
    assume(np.ptp(sample) > 1e-3)
    with tempfile.TemporaryDirectory() as folder:
        found, wanted = both(model, Path(folder), 50)
    assert np.abs(found - wanted).max() <= 3


def accurate(found: np.ndarray, wanted: np.ndarray, share: float) -> bool:
    """Whether 8-bit outputs are near those of Keras, by the range of these."""
    return float(np.sqrt(np.mean((found - wanted) ** 2))) < share * float(np.ptp(wanted))


RECURRENT: dict[str, Callable[[], keras.layers.Layer]] = {
    "lstm": lambda: L.LSTM(12, return_sequences=True),
    "gru": lambda: L.GRU(12, return_sequences=True),
    "gru, reset before": lambda: L.GRU(12, return_sequences=True, reset_after=False),
    "simple": lambda: L.SimpleRNN(12, return_sequences=True),
    "lstm, hard": lambda: L.LSTM(12, return_sequences=True, recurrent_activation="hard_sigmoid", activation="softsign"),
}


@needs_gcc
@pytest.mark.parametrize("sparsity", [0.0, 0.9])
@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent_layers_are_near_keras_and_stream(name: str, sparsity: float, tmp_path: Path) -> None:
    layers = [keras.Input((30, 6)), L.Conv1D(8, 3, padding="causal", activation="relu"), RECURRENT[name](), L.Dense(4)]
    model = randomized(keras.Sequential(layers))
    model = kpl.prune(model, sparsity) if sparsity else model
    program = exported(model, normal(200, (30, 6)), tmp_path)
    x = normal(40, (30, 6), 1)
    q = quantized(x, *scale(tmp_path, "INPUT"))
    factor, zero = scale(tmp_path, "OUTPUT")
    found = run(program, q)
    assert accurate(factor * (found.astype(float) - zero), of_keras(model, x), 0.01)
    stream = compiled(tmp_path, STEP, [6], [4], "int8")
    steps = run(stream, q[:2].swapaxes(0, 1).reshape(60, 6)).reshape(30, 2, 4).swapaxes(0, 1)
    np.testing.assert_array_equal(steps.reshape(2, -1), found[:2])


@needs_gcc
def test_both_directions_and_operations_without_a_file_of_litert(tmp_path: Path) -> None:
    inputs = keras.Input((9, 6))
    x = L.Bidirectional(L.LSTM(8, return_sequences=True))(inputs)
    gate = L.Dense(16, activation="sigmoid")(L.GlobalAveragePooling1D(keepdims=True)(x))
    x = L.Subtract()([x * gate, L.Conv1D(16, 1, activation="elu")(inputs)])
    x = L.Concatenate()([L.GlobalMaxPooling1D()(x), L.Flatten()(L.ZeroPadding1D(1)(inputs))])
    model = randomized(keras.Model(inputs, L.Dense(5, activation="softmax")(x)))
    program = exported(model, normal(300, (9, 6)), tmp_path)
    x = normal(100, (9, 6), 1)
    found = run(program, quantized(x, *scale(tmp_path, "INPUT")))
    factor, zero = scale(tmp_path, "OUTPUT")
    assert accurate(factor * (found.astype(float) - zero), of_keras(model, x), 0.02)


def test_zeros_stay_zero(tmp_path: Path) -> None:
    model = kpl.prune(randomized(keras.Sequential(lenet())), 0.9)
    kept = [int(np.count_nonzero(layer.kernel)) for layer in model.layers]
    header = kpl.export_c(model, tmp_path / "net.h", normal(50, (64,)), "int8")
    found = re.findall(r"\s([\d,]+) of [\d,]+ \(", header.path.read_text(encoding="ascii"))
    # A weight below half of a step becomes zero too.
    assert all(0.97 * wanted <= int(each.replace(",", "")) <= wanted for each, wanted in zip(found, kept, strict=True))


@needs_gcc
def test_outputs_whose_weights_are_all_zero_keep_their_bias(tmp_path: Path) -> None:
    model = randomized(keras.Sequential([keras.Input((8,)), L.Dense(4)]))
    kernel, bias = model.get_weights()
    kernel[:, 1] = 0
    kernel[:, 2] *= 1e-9
    model.set_weights([kernel, bias])
    program = exported(model, normal(50, (8,)), tmp_path)
    found = run(program, quantized(normal(9, (8,), 1), *scale(tmp_path, "INPUT")))
    factor, zero = scale(tmp_path, "OUTPUT")
    np.testing.assert_allclose(factor * (found[:, 1:3].astype(float) - zero), np.tile(bias[1:3], (9, 1)), atol=factor)
