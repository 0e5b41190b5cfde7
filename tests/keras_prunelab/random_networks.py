"""Small graphs of random layers, for headers of C."""

from __future__ import annotations

from typing import Any

import keras
from hypothesis import strategies as st

L = keras.layers
PADDINGS = st.sampled_from(["valid", "same"])
SIMPLE = ["relu", "relu6", "tanh", "sigmoid", None]
ACTIVATIONS = [*SIMPLE, "elu", "gelu", "silu", "softsign", "hard_sigmoid", "hard_swish", "mish", "selu", "softplus"]


def _image_layer(draw: Any, shape: tuple[int, ...], activations: list[str | None]) -> Any:
    rows, columns, channels = shape
    size = (draw(st.integers(1, min(3, rows))), draw(st.integers(1, min(3, columns))))
    strides, padding = draw(st.integers(1, 2)), draw(PADDINGS)
    options = {"padding": padding, "strides": strides, "use_bias": draw(st.booleans())}
    options["activation"] = draw(st.sampled_from(activations))
    kind = draw(st.integers(0, 8))
    if kind <= 2:
        groups = channels if draw(st.booleans()) and channels < 5 else 1
        return L.Conv2D(groups * draw(st.integers(1, 5)), size, groups=groups, **options)
    if kind == 3:
        return L.DepthwiseConv2D(size, depth_multiplier=draw(st.integers(1, 2)), **options)
    if kind == 4:
        return L.SeparableConv2D(draw(st.integers(1, 5)), size, **options)
    if kind == 5:
        return draw(st.sampled_from([L.MaxPooling2D, L.AveragePooling2D]))(size, strides, padding)
    if kind == 6:
        return L.ZeroPadding2D(((draw(st.integers(0, 2)), 1), (0, draw(st.integers(0, 2)))))
    if kind == 7:
        return draw(st.sampled_from([L.BatchNormalization, lambda: L.Permute((2, 1, 3))]))()
    return draw(st.sampled_from([L.Flatten, L.GlobalAveragePooling2D, L.GlobalMaxPooling2D]))()


def _sequence_layer(draw: Any, shape: tuple[int, ...], activations: list[str | None]) -> Any:
    steps, _ = shape
    size = draw(st.integers(1, min(3, steps)))
    activation = draw(st.sampled_from(activations))
    kind = draw(st.integers(0, 9))
    if kind <= 2:
        padding, dilation = draw(st.sampled_from(["valid", "same", "causal"])), draw(st.integers(1, 2))
        dilation = dilation if (size - 1) * dilation < steps else 1
        return L.Conv1D(draw(st.integers(1, 5)), size, padding=padding, dilation_rate=dilation, activation=activation)
    if kind == 3:
        return L.DepthwiseConv1D(size, padding=draw(PADDINGS), activation=activation)
    if kind == 4:
        return L.SeparableConv1D(draw(st.integers(1, 5)), size, padding=draw(PADDINGS))
    if kind == 5:
        return draw(st.sampled_from([L.MaxPooling1D, L.AveragePooling1D]))(size, draw(st.integers(1, 2)), "same")
    if kind == 6:
        return draw(st.sampled_from([L.BatchNormalization(), L.ZeroPadding1D((1, 2)), L.Dense(4, activation)]))
    if kind == 7:
        return draw(st.sampled_from([L.Flatten, L.GlobalAveragePooling1D, L.GlobalMaxPooling1D]))()
    options = {"return_sequences": draw(st.booleans()), "go_backwards": draw(st.booleans())}
    recurrent = draw(st.sampled_from([L.LSTM, L.GRU, L.SimpleRNN]))
    if recurrent is L.GRU:
        options["reset_after"] = draw(st.booleans())
    layer = recurrent(draw(st.integers(1, 5)), use_bias=draw(st.booleans()), **options)
    return L.Bidirectional(layer) if draw(st.booleans()) and not options["go_backwards"] else layer


def _flat_layer(draw: Any, activations: list[str | None]) -> Any:
    return L.Dense(draw(st.integers(1, 9)), activation=draw(st.sampled_from(activations)))


def network(draw: Any, activations: list[str | None] = ACTIVATIONS, recurrent: bool = True) -> keras.Model:
    """A functional model of one input, with branches that meet again.

    Args:
        draw: that of `st.data()`: Keras draws from `random`, which strategies must not.
        activations: those to choose from.
        recurrent: whether inputs may be sequences.
    """
    shape = draw(st.sampled_from([(7,), (7, 6, 2), (5, 8, 3), *([(8, 3), (6, 4)] if recurrent else [])]))
    inputs = keras.Input(shape)
    x = inputs
    for _ in range(draw(st.integers(1, 5))):
        one = tuple(x.shape[1:])
        if len(one) == 3:
            layer = _image_layer(draw, one, activations)
        else:
            layer = _sequence_layer(draw, one, activations) if len(one) == 2 else _flat_layer(draw, activations)
        y = layer(x)
        if y.shape == x.shape and draw(st.booleans()):
            y = draw(st.sampled_from([L.Add, L.Multiply, L.Concatenate]))()([x, y])
        x = y
    if draw(st.booleans()):
        x = L.Dense(3)(L.Flatten()(x) if len(x.shape) > 2 else x)
    return keras.Model(inputs, x)
