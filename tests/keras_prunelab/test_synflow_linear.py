"""SynFlow's linear network, against the paper's definition in NumPy and against its conservation laws.

R is linear in each weight while the constant gains stay. The score of a weight is therefore what R loses where that
weight alone is zero, and this is how it is computed here: no derivative, and none of this package.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray

import keras_prunelab as kpl
from keras_prunelab import scores

pytestmark = pytest.mark.backends

L = keras.layers
Array = NDArray[np.float64]
Weights = dict[str, Array]
RANDOM = np.random.default_rng(0)


def randomize(model: keras.Model) -> keras.Model:
    """Weights and states of a trained network: means that are not 0, offsets, biases, of both signs."""
    for variable in model.variables:
        value = RANDOM.normal(size=tuple(variable.shape))
        variable.assign(np.abs(value) + 0.5 if "variance" in variable.path else value)
    return model


def synflow(model: keras.Model, learnables: str = "weights") -> dict[str, Array]:
    found = kpl.prunable(model, learnables=learnables)  # type: ignore[arg-type]
    return scores.SynFlow()(scores.ScoreContext(model, found, found.values()))


def losses(weights: Weights, total: Callable[[Weights], float], paths: list[str]) -> Weights:
    """What R loses where a single weight is zero."""
    whole, found = total(weights), {}
    for path in paths:
        lost = np.zeros(weights[path].shape)
        for index in np.ndindex(lost.shape):
            changed = weights[path].copy()
            changed[index] = 0
            lost[index] = whole - total({**weights, path: changed})
        found[path] = lost
    return found


def absolute(model: keras.Model) -> Weights:
    return {variable.path: np.abs(np.asarray(variable.numpy(), np.float64)) for variable in model.variables}


def check(model: keras.Model, total: Callable[[Weights], float]) -> None:
    found = synflow(model)
    for path, expected in losses(absolute(model), total, list(found)).items():
        assert found[path].dtype == np.float64
        assert_allclose(found[path], expected, rtol=1e-8, atol=1e-9 * expected.max(), err_msg=path)
        assert expected.max() > 0


def test_offsets_and_saturation_of_a_dense_network_do_not_enter() -> None:
    parts = [
        keras.Input((4,)),
        L.Rescaling(0.5, offset=-3.0),
        L.Normalization(mean=[5.0, 4, 3, 2], variance=[4.0, 1, 9, 1]),
        L.Dense(5, activation="tanh", name="one"),
        L.ReLU(6.0),
        L.Dense(4, activation="sigmoid", name="two"),
        L.Dense(3, activation="softmax", name="three"),
    ]
    model = keras.Sequential(parts)
    for layer in model.layers[2:]:
        for weight in layer.trainable_variables:
            weight.assign(20 * RANDOM.normal(size=tuple(weight.shape)))

    def total(w: Weights) -> float:
        x = 0.5 / np.sqrt([4.0, 1, 9, 1])
        for name in ("one", "two", "three"):
            kernel, bias = (
                next(v for p, v in w.items() if p.endswith(f"{name}/{part}")) for part in ("kernel", "bias")
            )
            x = x @ kernel + bias
        return float(x.sum())

    check(model, total)


def convolve(x: Array, kernel: Array) -> Array:
    rows, columns = kernel.shape[:2]
    padded = np.pad(x, ((rows // 2, rows // 2), (columns // 2, columns // 2), (0, 0)))
    shape = (x.shape[0], x.shape[1], rows, columns)
    windows = np.array([padded[i : i + rows, j : j + columns] for i in range(shape[0]) for j in range(shape[1])])
    return np.einsum("nhwc,hwcf->nf", windows, kernel).reshape(*shape[:2], -1)


def residual_net(relu: Any) -> keras.Model:
    inputs = keras.Input((4, 4, 2))
    x = L.Conv2D(3, 3, padding="same", use_bias=False, name="stem")(inputs)
    x = L.BatchNormalization(name="norm")(x)
    y = L.Conv2D(3, 3, padding="same", use_bias=False, name="body")(relu(x))
    x = L.Add()([x, y])
    x = x - 7.0
    x = x + np.float32([3, -2, 5])
    x = L.GlobalAveragePooling2D()(keras.ops.relu6(x))
    return randomize(keras.Model(inputs, L.Dense(2, name="fc")(x)))


@pytest.mark.parametrize("relu", [keras.ops.relu6, keras.ops.hard_silu, L.Activation("relu6"), L.LeakyReLU()])
def test_moving_means_and_added_constants_of_a_residual_network_do_not_enter(relu: Any) -> None:
    def total(w: Weights) -> float:
        gain = w["norm/gamma"] / np.sqrt(w["norm/moving_variance"] + 1e-3)
        x = convolve(np.ones((4, 4, 2)), w["stem/kernel"]) * gain + w["norm/beta"]
        x = x + convolve(x, w["body/kernel"])
        return float((x.mean(axis=(0, 1)) @ w["fc/kernel"] + w["fc/bias"]).sum())

    check(residual_net(relu), total)


class Gate(L.Layer):
    """Squeeze and excite in a layer of one's own, with operators."""

    def build(self, shape: tuple[int, ...]) -> None:
        self.kernel = self.add_weight(shape=(shape[-1], shape[-1]), name="kernel")

    def call(self, x: Any) -> Any:
        return x * keras.ops.sigmoid(keras.ops.matmul(x, self.kernel) - 4.0) + 3.0


def squeeze_by_layers(x: Any) -> Any:
    return L.Multiply()([x, L.Dense(3, activation="sigmoid", use_bias=False, name="gate")(x)])


def squeeze_by_operations(x: Any) -> Any:
    return keras.ops.sigmoid(L.Dense(3, use_bias=False, name="gate")(x)) * x


@pytest.mark.parametrize("squeeze", [squeeze_by_layers, squeeze_by_operations, Gate(name="gate")])
def test_factors_of_a_product_are_rescaled_by_constants(squeeze: Any) -> None:
    inputs = keras.Input((4,))
    x = L.Dense(3, use_bias=False, name="one")(inputs)
    if isinstance(squeeze, Gate):
        squeeze = Gate(name="gate")
    model = randomize(keras.Model(inputs, L.Dense(2, use_bias=False, name="two")(squeeze(x))))
    full = absolute(model)
    largest = (np.ones(4) @ full["one/kernel"]).max()
    gate_largest = (np.ones(4) @ full["one/kernel"] @ full["gate/kernel"]).max()

    def total(w: Weights) -> float:
        x = np.ones(4) @ w["one/kernel"]
        return float((x / largest * (x @ w["gate/kernel"]) / gate_largest @ w["two/kernel"]).sum())

    found, whole = synflow(model), total(full)
    for path in ("gate/kernel", "two/kernel"):
        assert_allclose(found[path], losses(full, total, [path])[path], rtol=1e-8, atol=1e-12)
        assert_allclose(found[path].sum(), whole, rtol=1e-10)
    # Flow reaches a weight of the first layer along both factors: the sum over the layer is twice R.
    assert_allclose(found["one/kernel"].sum(), 2 * whole, rtol=1e-10)


def transformer() -> keras.Model:
    inputs = keras.Input((5, 4))
    x = L.Dense(4, use_bias=False, name="embed")(inputs)
    y = L.LayerNormalization()(x)
    x = L.Add()([x, L.MultiHeadAttention(2, 2, use_bias=False, name="attention")(y, y, use_causal_mask=True)])
    x = L.GroupNormalization(2)(L.Dense(8, activation="gelu", use_bias=False)(x))
    return randomize(keras.Model(inputs, L.Dense(3, use_bias=False, name="fc")(x)))


def recurrent() -> keras.Model:
    inputs = keras.Input((None, 4))
    x = L.Bidirectional(L.LSTM(3, return_sequences=True))(inputs)
    return randomize(keras.Model(inputs, L.Dense(3, name="fc")(L.GRU(3)(x))))


def convolutional() -> keras.Model:
    return residual_net(keras.ops.relu6)


def nested() -> keras.Model:
    inputs = keras.Input((4, 4, 2))
    return randomize(keras.Model(inputs, L.Dense(2, name="head")(convolutional()(inputs))))


def wrapped() -> keras.Model:
    parts = [L.Conv2D(3, 3, name="stem"), L.BatchNormalization(), L.ReLU(6.0), L.Flatten(), L.Dense(2, name="fc")]
    return kpl.layers.wrap(keras.Sequential([keras.Input((4, 4, 2)), *parts]), kpl.schedules.Constant(0.3))


@pytest.mark.parametrize("make", [transformer, recurrent, convolutional, nested, wrapped])
def test_every_kernel_has_flow_and_nothing_is_left_behind(make: Callable[[], keras.Model]) -> None:
    model = make()
    weights, own = model.get_weights(), ["call" in vars(part) for part in model._flatten_layers()]
    for path, score in synflow(model).items():
        assert np.isfinite(score).all(), path
        assert score.max() > 0, path
    assert ["call" in vars(part) for part in model._flatten_layers()] == own
    assert all(layer.compute_dtype == "float32" for layer in model._flatten_layers())
    for one, other in zip(model.get_weights(), weights, strict=True):
        assert (one == other).all()


def test_flow_is_conserved_from_layer_to_layer() -> None:
    widths = [L.Dense(6, activation="relu6", use_bias=False) for _ in range(5)]
    model = randomize(keras.Sequential([keras.Input((7,)), *widths, L.Dense(3, use_bias=False)]))
    sums = [score.sum() for score in synflow(model).values()]
    assert_allclose(sums, sums[0], rtol=1e-12)


def test_all_queries_keys_and_values_carry_the_flow_of_their_attention() -> None:
    inputs = keras.Input((5, 4))
    attention = L.MultiHeadAttention(2, 2, use_bias=False, name="attention")
    model = randomize(keras.Model(inputs, attention(inputs, inputs)))
    sums = [score.sum() for score in synflow(model).values()]
    assert len(sums) == 4
    assert_allclose(sums, sums[0], rtol=1e-10)


def test_no_layer_empties_at_extreme_sparsity() -> None:
    model = residual_net(L.Activation("relu6"))
    found = kpl.trajectory(model, [0.5, 0.9], "synflow")
    for level in range(2):
        masks = found.masks(level)
        for path in ("stem/kernel", "fc/kernel"):
            assert masks[path].any()


def test_depth_beyond_float32_is_scored() -> None:
    layers = [L.Dense(64, activation="relu6", kernel_initializer="ones") for _ in range(40)]
    model = keras.Sequential([keras.Input((64,)), *layers])
    found = synflow(model)
    assert_allclose([score.sum() for score in found.values()], 64.0**41, rtol=1e-10)
