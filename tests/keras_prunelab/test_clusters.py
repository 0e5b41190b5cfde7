"""int8 files whose kernels have few different codes, and scales of dense layers, as LiteRT's interpreter reads them."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_prunelab as kpl

L = keras.layers
RNG = np.random.default_rng(0)
pytestmark = pytest.mark.skipif(
    keras.config.backend() == "jax" or not importlib.util.find_spec("ai_edge_litert"),
    reason="LiteRT files cannot be written on JAX, or ai-edge-litert, which reads them, is not installed",
)
TARGET = "ethos-u55-128"


def dense() -> keras.Model:
    return keras.Sequential([keras.Input((40,)), L.Dense(30, "relu", name="one"), L.Dense(6, name="two")])


def convolutional() -> keras.Model:
    layers = [keras.Input((10, 10, 3)), L.Conv2D(12, 3, name="conv"), L.BatchNormalization(), L.ReLU()]
    layers += [L.DepthwiseConv2D(3, name="depthwise"), L.Conv2DTranspose(7, 3, name="transpose")]
    return keras.Sequential([*layers, L.SeparableConv2D(9, 3, name="separable"), L.GlobalMaxPooling2D(), L.Dense(4)])


def inputs_of(model: keras.Model) -> np.ndarray:
    return RNG.normal(size=(48, *model.input_shape[1:])).astype("float32")


def kernels(path: Path) -> list[tuple[np.ndarray, np.ndarray, int]]:
    """The codes of each int8 constant with two axes or more, its scales, and their axis."""
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(str(path))
    found = []
    for detail in interpreter.get_tensor_details():
        if detail["dtype"] is np.int8 and sum(length > 1 for length in detail["shape"]) > 1:
            try:
                codes = interpreter.get_tensor(detail["index"])
            except ValueError:  # it is computed
                continue
            quantization = detail["quantization_parameters"]
            found.append((codes.astype(int), quantization["scales"], quantization["quantized_dimension"]))
    return found


@pytest.mark.parametrize("count", [4, 16])
@pytest.mark.parametrize("scales", ["channel", "tensor"])
@pytest.mark.parametrize("make", [dense, convolutional])
def test_each_kernel_has_few_codes_up_to_the_largest(
    make: Callable[[], keras.Model], scales: Any, count: int, tmp_path: Path
) -> None:
    model = kpl.prune(make(), 0.5)
    x, path = inputs_of(model), tmp_path / "net.tflite"
    written = kpl.export_litert(model, path, "int8", calibration=x, dense_scales=scales, clusters=count)
    assert (written.clusters, written.dense_scales) == (count, scales)
    assert f"at most {count} different ones in each kernel" in str(written)
    found = kernels(path)
    assert len(found) == sum(1 for weight in model.weights if "kernel" in weight.name)
    for codes, steps, axis in found:
        used = np.unique(np.abs(codes[codes != 0]))
        assert used.size <= count // 2
        assert used[-1] == 127
        if len(steps) > 1:  # every channel uses its whole range
            rows = np.moveaxis(codes, axis, 0).reshape(len(steps), -1)
            assert set(np.abs(rows).max(axis=1)) <= {0, 127}
    zeros = sum(int((np.asarray(weight) == 0).sum()) for weight in model.weights if "kernel" in weight.name)
    assert sum(int((codes == 0).sum()) for codes, _, _ in found) == zeros


def test_codes_are_nearer_than_evenly_spaced_ones(tmp_path: Path) -> None:
    """Bell-shaped weights, as training makes them, against as many steps of one width."""
    model = dense()
    model.layers[0].set_weights([RNG.normal(size=(40, 30)).astype("float32"), np.zeros(30, "float32")])
    kernel, count = np.array(model.layers[0].kernel, np.float64).T, 16
    path, x = tmp_path / "net.tflite", inputs_of(model)
    kpl.export_litert(model, path, "int8", calibration=x, clusters=count)
    codes, steps, _ = next(found for found in kernels(path) if found[0].shape == kernel.shape)
    largest = np.abs(kernel).max(axis=1, keepdims=True)
    even = np.sign(kernel) * np.ceil(np.abs(kernel) / largest * count / 2).clip(1) * 2 / count * largest
    error, worse = (float(np.square(each - kernel).mean()) for each in (codes * steps[:, None], even))
    assert error < 0.5 * worse
    assert np.array_equal(np.sign(codes), np.sign(kernel))


def test_few_weights_stay_as_they_are(tmp_path: Path) -> None:
    model = dense()
    few = np.array([0.3, -0.3, 0.6, 0.9])[RNG.integers(0, 4, (40, 30))]
    few[0] = 0.9
    model.layers[0].set_weights([few.astype("float32"), np.zeros(30, "float32")])
    written = tmp_path / "net.tflite"
    kpl.export_litert(model, written, "int8", calibration=inputs_of(model), clusters=6)
    codes, steps, _ = next(found for found in kernels(written) if found[0].shape == (30, 40))
    np.testing.assert_allclose(codes * steps[:, None], few.T, rtol=0, atol=0.51 * 0.9 / 127)


@pytest.mark.parametrize("scales", ["channel", "tensor", None])
def test_scales_of_dense_layers(scales: Any, tmp_path: Path) -> None:
    model = convolutional()
    written = kpl.export_litert(
        model, tmp_path / "net.tflite", "int8", calibration=inputs_of(model), dense_scales=scales
    )
    assert written.dense_scales == (scales or "channel")
    counts = {codes.shape: len(steps) for codes, steps, _ in kernels(written.path)}
    assert counts[4, 9] == (1 if scales == "tensor" else 4)
    assert counts[12, 3, 3, 3] == 12
    assert kpl.export_litert(model, tmp_path / "float.tflite").dense_scales is None


def test_microcontrollers_have_one_scale(tmp_path: Path) -> None:
    pytest.importorskip("tflite_micro")
    model = dense()
    for layer in model.layers:
        layer.bias.assign(RNG.normal(size=layer.units))  # a bias of zeros is left out
    x, bytes_of = inputs_of(model), {}
    for scales in (None, "channel"):
        path = tmp_path / f"{scales}.tflite"
        written = kpl.export_litert(
            model, path, "int8", runtime="tflm", calibration=x, sparse=False, dense_scales=scales
        )
        assert {len(steps) for _, steps, _ in kernels(path)} == ({1} if scales is None else {6, 30})
        bytes_of[scales] = written.bytes
    # The scale and the zero point of a weight and of a bias, 4 and 8 bytes each.
    assert bytes_of["channel"] - bytes_of[None] == pytest.approx(24 * (30 + 6 - 2), abs=100)


def trained() -> tuple[keras.Model, np.ndarray, np.ndarray]:
    """LeNet-300-100 that learned to tell ten patterns in noise apart, before and after it lost 90 % of its weights."""
    keras.utils.set_random_seed(0)
    layers = [keras.Input((784,)), L.Dense(300, "relu"), L.Dense(100, "relu"), L.Dense(10, "softmax")]
    model, y = keras.Sequential(layers), np.arange(640) % 10
    x = (RNG.normal(size=(10, 784))[y] + RNG.normal(size=(640, 784))).astype("float32")
    model.compile(keras.optimizers.Adam(2e-3), "sparse_categorical_crossentropy")
    model.fit(x, y, batch_size=32, epochs=3, verbose=0)
    return model, x, y


def test_clusters_and_zeros_pay_in_flash_of_a_trained_network(tmp_path: Path) -> None:
    """LeNet-300-100 at 90 %: at most 0.15 of the flash, with the same answers."""
    pytest.importorskip("ethosu")
    model, x, y = trained()
    pruned = kpl.prune(model, 0.9, scope="layer")
    pruned.fit(x, y, batch_size=32, verbose=0, callbacks=[kpl.callbacks.Prune(0.9, masks="from_zeros")])
    whole = kpl.metrics(model, target=TARGET, calibration=x).target
    plain = kpl.metrics(pruned, target=TARGET, calibration=x).target
    few = kpl.metrics(pruned, target=TARGET, calibration=x, clusters=16).target
    assert whole is not None
    assert plain is not None
    assert few is not None
    assert few.flash_bytes <= 0.15 * whole.flash_bytes
    assert few.flash_bytes < 0.85 * plain.flash_bytes
    assert few.cycles <= plain.cycles
    kpl.export_litert(pruned, tmp_path / "net.tflite", "int8", calibration=x, clusters=16)
    found = kpl.evaluate_file(tmp_path / "net.tflite", (x, y), model=pruned)
    assert found.agreement is not None
    assert found.agreement >= 0.995


def test_numbers_are_those_of_training_where_it_rounded(tmp_path: Path) -> None:
    """What trained with one range for each dense kernel has few codes in that range."""
    model = dense()
    x = inputs_of(model)
    aware = kpl.layers.quantized(model, x)
    kpl.export_litert(aware, tmp_path / "net.tflite", "int8", calibration=x, clusters=8)
    for codes, _, _ in kernels(tmp_path / "net.tflite"):
        assert np.unique(np.abs(codes[codes != 0])).size <= 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clusters": 3}, "clusters=3; it is an even number from 2 to 254"),
        ({"clusters": 0}, "clusters=0; it is an even number"),
        ({"clusters": 256}, "clusters=256; it is an even number"),
        ({"clusters": "few"}, "clusters='few'; it is an even number"),
        ({"clusters": 16, "quantize": "float16"}, "clusters=16 goes with quantize='int8' alone"),
        ({"dense_scales": "row"}, "dense_scales='row'; it is one of 'channel', 'tensor'"),
        ({"dense_scales": "tensor", "quantize": None}, "dense_scales='tensor' goes with quantize='int8' alone"),
    ],
)
def test_bad_input(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(kpl.UnknownNameError, match=message):
        kpl.export_litert(dense(), tmp_path / "net.tflite", **{"quantize": "int8", **options})
    assert not list(tmp_path.iterdir())


def test_clusters_of_what_is_not_int8(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((None, 4)), L.LSTM(6), L.Dense(3)])
    with pytest.raises(kpl.InvalidModelError, match=r"clusters=16 is of int8 files\. Not in int8"):
        kpl.export_litert(
            model, tmp_path / "a.tflite", "int8", calibration=np.ones((9, 5, 4)) * np.arange(4), clusters=16
        )
    with pytest.raises(kpl.UnknownNameError, match="clusters=16 is of the file for target="):
        kpl.metrics(dense(), clusters=16)
