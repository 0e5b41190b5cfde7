"""Random graphs of the supported layers with random zeros: `compact` never raises and never changes the outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import keras_prunelab as kpl

L, ops = keras.layers, keras.ops

IMAGE: dict[str, Callable[[Any, int], Any]] = {
    "conv": lambda draw, n: L.Conv2D(
        n, draw.kernel(), padding=draw.padding(), use_bias=draw.bit(), activation=draw.f()
    ),
    "grouped": lambda draw, n: L.Conv2D(2 * n, 3, groups=2, padding=draw.padding(), use_bias=draw.bit()),
    "depthwise": lambda draw, n: L.DepthwiseConv2D(draw.kernel(), depth_multiplier=draw.few(), padding="same"),
    "separable": lambda draw, n: L.SeparableConv2D(n, 3, depth_multiplier=draw.few(), padding=draw.padding()),
    "transposed": lambda draw, n: L.Conv2DTranspose(n, 3, padding="same", activation=draw.f()),
    "batch normalization": lambda draw, n: L.BatchNormalization(scale=draw.bit()),
    "layer normalization": lambda draw, n: L.LayerNormalization(),
    "group normalization": lambda draw, n: L.GroupNormalization(1),
    "activation": lambda draw, n: L.Activation(draw.f() or "swish"),
    "prelu": lambda draw, n: L.PReLU(shared_axes=[1, 2]),
    "max pooling": lambda draw, n: L.MaxPooling2D(2, strides=1, padding=draw.padding()),
    "average pooling": lambda draw, n: L.AveragePooling2D(2, strides=1, padding=draw.padding()),
    "padding": lambda draw, n: L.ZeroPadding2D(1),
    "up-sampling": lambda draw, n: L.UpSampling2D(2),
    "cropping": lambda draw, n: L.Cropping2D(((0, 1), (0, 0))),
    "resizing": lambda draw, n: L.Resizing(5, 6),
    "dropout": lambda draw, n: L.SpatialDropout2D(0.5),
    "dense": lambda draw, n: L.Dense(n, activation=draw.f()),
}
SEQUENCE: dict[str, Callable[[Any, int], Any]] = {
    "conv": lambda draw, n: L.Conv1D(n, draw.kernel(), padding=draw.padding("causal"), activation=draw.f()),
    "lstm": lambda draw, n: L.LSTM(n, return_sequences=True, use_bias=draw.bit()),
    "gru": lambda draw, n: L.GRU(n, return_sequences=True, reset_after=draw.bit()),
    "simple": lambda draw, n: L.SimpleRNN(n, return_sequences=True, activation=draw.f() or "tanh"),
    "bidirectional": lambda draw, n: L.Bidirectional(
        L.GRU(n, return_sequences=True, use_bias=draw.bit()), merge_mode="concat" if draw.bit() else "sum"
    ),
    "time distributed": lambda draw, n: L.TimeDistributed(L.Dense(n, activation=draw.f())),
    "dense": lambda draw, n: L.Dense(n, activation=draw.f()),
    "normalization": lambda draw, n: L.BatchNormalization(),
    "rms": lambda draw, n: L.RMSNormalization(),
    "pooling": lambda draw, n: L.MaxPooling1D(2, strides=1),
    "permute": lambda draw, n: L.Permute((2, 1)),
}


OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "arithmetic": lambda x: ops.relu(x * 0.5 + 1) - 0.25,
    "quotient": lambda x: x / (1 + ops.square(x)),
    "clip": lambda x: ops.clip(x, -0.5, 1.0),
    "steps": lambda x: x[:, 1:],
    "every second step": lambda x: x[:, ::2],
    "flip": lambda x: ops.flip(x, (1, -1)),
    "transpose": lambda x: ops.transpose(x, (0, *range(len(x.shape) - 2, 0, -1), len(x.shape) - 1)),
    "channels to the front and back": lambda x: ops.moveaxis(ops.moveaxis(x, -1, 1), 1, -1),
    "reshape": lambda x: ops.reshape(x, (-1, x.shape[1], int(np.prod(x.shape[2:-1])), 1, x.shape[-1]))[:, :, :, 0],
    "sum": lambda x: x + ops.sum(x, axis=1, keepdims=True),
}


class Draw:
    """Random choices, all from one of Hypothesis' own."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data
        self.layers: list[Any] = []

    def of(self, choices: Any) -> Any:
        return self.data.draw(st.sampled_from(list(choices)))

    def bit(self) -> bool:
        return bool(self.of([False, True]))

    def few(self) -> int:
        return int(self.of([1, 2]))

    def kernel(self) -> int:
        return int(self.of([1, 3]))

    def padding(self, other: str = "same") -> str:
        return str(self.of(["valid", other]))

    def f(self) -> str | None:
        return self.of([None, "relu", "sigmoid", "tanh", "softplus"])


def joined(draw: Draw, tensors: list[Any]) -> Any:
    """Join the last tensor with another one of its shape, where there is one."""
    last = tensors[-1]
    same = [each for each in tensors[:-1] if each.shape == last.shape]
    if not same:
        return last
    layer = draw.of([L.Add, L.Multiply, L.Maximum, L.Minimum, L.Average, L.Subtract, L.Concatenate])
    return layer()([last, draw.of(same)])


def grown(draw: Draw, kinds: dict[str, Any], tensors: list[Any]) -> None:
    """Put a random layer on one of the last tensors, or join two."""
    x = draw.of([each for each in tensors[-2:] if len(each.shape) > 2])
    more = ["join", "operation", "again", *(["attention"] if len(x.shape) == 3 else [])]
    kind = draw.of([*kinds, *more])
    if kind == "join":
        x = joined(draw, tensors)
    elif kind == "operation":
        x = OPERATIONS[draw.of(OPERATIONS)](x)
    elif kind == "again":
        x = called_again(draw, x)
    elif kind == "attention":
        x = L.MultiHeadAttention(2, 2, value_dim=3)(x, x)
    elif not (kind == "grouped" and x.shape[-1] % 2) and min(x.shape[1:-1]) > 3 and None not in x.shape[1:]:
        draw.layers.append(kinds[kind](draw, draw.of([3, 4])))
        x = draw.layers[-1](x)
    tensors.append(x)


def called_again(draw: Draw, x: Any) -> Any:
    """Call a layer again, on another tensor like that of its first call."""
    fitting = [layer for layer in draw.layers if layer._inbound_nodes[0].input_tensors[0].shape == x.shape]
    return draw.of(fitting)(x) if fitting else x


def filled(model: keras.Model, rng: np.random.Generator, share: float) -> None:
    """Random weights, with whole slices of zeros along random axes."""
    for weight in model.weights:
        value = rng.normal(size=weight.shape) / np.sqrt(max(1, np.prod(weight.shape[:-1])))
        if "variance" in weight.name:
            value = np.abs(value) + 0.5
        else:
            for axis in range(value.ndim):
                if rng.random() < 0.6:
                    gone = rng.random(value.shape[axis]) < share
                    np.moveaxis(value, axis, 0)[gone] = 0
        weight.assign(value)


def check(draw: Draw, entry: Any, kinds: dict[str, Any]) -> None:
    tensors = [entry]
    if len(entry.shape) == 2:  # units that become an image
        tensors.append(L.Reshape((5, 6, 3))(L.Dense(5 * 6 * 3, activation=draw.f())(entry)))
    for _ in range(draw.of([2, 3, 4, 5])):
        grown(draw, kinds, tensors)
    x = tensors[-1]
    if draw.bit():
        x = L.Flatten()(x) if draw.bit() or len(x.shape) == 2 else keras.ops.mean(x, axis=1)
    outputs = L.Dense(2)(x)
    model = keras.Model(entry, [outputs, tensors[-2]] if draw.bit() else outputs)
    filled(model, np.random.default_rng(draw.of(range(1000))), draw.of([0.3, 0.6, 0.9]))
    found = kpl.compaction(model)
    assert found.difference <= 1e-4
    assert found.parameters[1] <= found.parameters[0] + sum(now for _, now in found.channels.values())


@settings(max_examples=400, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_random_graphs_of_images(data: st.DataObject) -> None:
    check(Draw(data), keras.Input((5, 6, 2)), IMAGE)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_random_graphs_of_units_that_become_images(data: st.DataObject) -> None:
    check(Draw(data), keras.Input((5,)), IMAGE)


@settings(max_examples=90, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_random_graphs_of_sequences(data: st.DataObject) -> None:
    check(Draw(data), keras.Input((4, 4)), SEQUENCE)
