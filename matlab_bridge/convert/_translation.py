"""A Keras model layer by layer in MATLAB's words: one layer may become none of MATLAB's, or several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from matlab_bridge._errors import UnsupportedLayerError
from matlab_bridge._layer import Array, Layer
from matlab_bridge.network import Connection, Network

from ._keras_graph import Call, calls, shortest_sequence
from ._keras_layers import describe, joint_order, with_margins, with_parameters
from ._site import is_sequence
from .layers._window import Margins

_PREFIX = "nnet.cnn.layer."

# Keras layers whose activation is part of them, and none that follows.
_OWN_ACTIVATION = frozenset({"Activation", "Bidirectional", "GRU", "LSTM"})


@dataclass(frozen=True, slots=True)
class _End:
    """What a tensor of the Keras graph is in MATLAB's.

    Attributes:
        layer: the layer that gives it.
        order: for flattened images, the Keras vector's elements in MATLAB's order; None where they agree.
        margins: zeros around the image that the layer after it must add.
        axes: the order that a permutation gave the axes of the image, which the flatten after it must undo.
    """

    layer: str
    order: Array | None = None
    margins: Margins | None = None
    axes: tuple[int, ...] | None = None


class Translation:
    """The walk over one Keras model; it fills the lists of MATLAB layers and connections.

    Args:
        model: a built Sequential or functional model.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._calls = list(calls(model))
        used = [*(tensor for call in self._calls for tensor in call.inputs), *model.outputs]
        self._uses = Counter(map(id, used))
        self._ends: dict[int, _End] = {}
        self._layers: dict[str, Layer] = {}
        self._connections: list[Connection] = []

    def network(self) -> Network:
        """The network, with the weights of the model.

        Raises:
            UnsupportedLayerError: for a layer that MATLAB's layers cannot express, naming it and its class.
        """
        uses = Counter(call.operation.name for call in self._calls)
        for call in self._calls:
            if uses[call.operation.name] > 1:
                raise call.unsupported("the model calls it more than once, and MATLAB's layers stand in one place")
            self._ends[id(call.output)] = self._translated(call)
        outputs = [self._ends[id(tensor)] for tensor in self._model.outputs]
        for end, tensor in zip(outputs, self._model.outputs, strict=True):
            if not all(part is None for part in (end.order, end.margins, end.axes)):
                raise UnsupportedLayerError(
                    f"The model returns {tensor.name!r}, flattened, padded or permuted images that reach no further "
                    "layer. Return the images themselves, or put a layer after them."
                )
        return Network(
            layers=tuple(self._layers.values()),
            connections=tuple(self._connections),
            output_names=tuple(end.layer for end in outputs),
        )

    def _translated(self, call: Call) -> _End:
        affine = _scale_and_bias(call)
        if affine is not None:
            return self._scaled(call, *affine)
        return _SPECIAL.get(call.kind, Translation._plain)(self, call)

    # Keras layers that are no layer of their own in MATLAB, or more than one.

    def _input(self, call: Call) -> _End:
        shape = tuple(call.output.shape)
        if len(shape) == 3 or is_sequence(call.output):
            kind, size = "SequenceInputLayer", shape[2:]
        else:
            kinds = {2: "FeatureInputLayer", 4: "ImageInputLayer", 5: "Image3DInputLayer"}
            kind, size = kinds.get(len(shape), ""), shape[1:]
        if not kind or None in size:
            raise call.unsupported(f"its shape is {shape}; images (N, H, W, C), sequences and features convert")
        settings: dict[str, Any] = {"InputSize": np.array([size], dtype=float), "Normalization": "none"}
        if kind == "SequenceInputLayer":
            settings["MinLength"] = np.array([[shortest_sequence(self._model)]], dtype=float)
        return self._add(Layer(call.operation.name, _PREFIX + kind, settings), ())

    def _rescaling(self, call: Call) -> _End:
        scale, offset = (np.asarray(value, dtype=float) for value in (call.operation.scale, call.operation.offset))
        return self._scaled(call, scale, offset)

    def _normalization(self, call: Call) -> _End:
        if call.operation.invert:
            raise call.unsupported("it inverts a normalization")
        mean, variance = (
            keras.ops.convert_to_numpy(value).astype(float)[0]
            for value in (call.operation.mean, call.operation.variance)
        )
        deviation = np.maximum(np.sqrt(variance), keras.config.epsilon())
        return self._scaled(call, 1 / deviation, -mean / deviation)

    def _scaled(self, call: Call, scale: Array, bias: Array) -> _End:
        """The normalization of the input where nothing stands between, and a scaling layer elsewhere."""
        end = self._ends[id(call.inputs[0])]
        source = self._layers[end.layer]
        is_input = end.margins is None and end.axes is None and "Normalization" in source.settings
        if is_input and self._uses[id(call.inputs[0])] == 1 and np.all(scale > 0):
            self._layers[source.name] = _normalize(source, mean=-bias / scale, deviation=1 / scale)
            return end
        if end.order is not None:
            scale, bias = (values.ravel()[end.order] if values.size > 1 else values for values in (scale, bias))
        layer = keras.layers.Rescaling(scale.tolist(), bias.tolist(), name=call.operation.name)
        return self._plain(Call(layer, call.inputs, call.output))

    def _padding(self, call: Call) -> _End:
        padding = call.operation.padding
        pairs = (padding,) if call.kind == "ZeroPadding1D" else padding
        end = self._ends[id(call.inputs[0])]
        if end.margins is not None or end.axes is not None:
            raise call.unsupported("it follows another padding or a permutation; one padding at that place converts")
        return replace(end, margins=Margins(tuple((int(before), int(after)) for before, after in pairs)))

    def _permute(self, call: Call) -> _End:
        """No layer: MATLAB's flatten runs column-major, and the one that follows here in the order of these axes."""
        end = self._ends[id(call.inputs[0])]
        if len(call.inputs[0].shape) < 4 or end.margins is not None or end.axes is not None:
            raise call.unsupported("it does not permute the axes of images")
        return replace(end, axes=tuple(axis - 1 for axis in call.operation.dims))

    def _flatten(self, call: Call) -> _End:
        shape = call.inputs[0].shape
        if len(shape) == 3:
            raise call.unsupported("it flattens sequences, whose length MATLAB keeps")
        end = self._ends[id(call.inputs[0])]
        if len(shape) == 2:
            return end
        numbers = np.arange(np.prod(shape[1:])).reshape(shape[1:])
        order = (numbers if end.axes is None else numbers.transpose(np.argsort(end.axes))).ravel(order="F")
        flat = self._plain(call)
        return flat if np.array_equal(order, np.arange(order.size)) else replace(flat, order=order)

    def _depthwise(self, call: Call) -> _End:
        layer = call.operation
        kernel = keras.ops.convert_to_numpy(layer.kernel)
        filters = kernel.shape[2] * kernel.shape[3]
        # A grouped convolution with one channel a group is the same, and has a rule.
        grouped = keras.layers.Conv2D(
            filters,
            layer.kernel_size,
            strides=layer.strides,
            padding=layer.padding,
            dilation_rate=layer.dilation_rate,
            groups=kernel.shape[2],
            activation=layer.activation,
            use_bias=layer.use_bias,
            name=layer.name,
        )
        grouped.build(call.inputs[0].shape)
        grouped.kernel.assign(kernel.reshape(grouped.kernel.shape))
        if layer.use_bias:
            grouped.bias.assign(layer.bias)
        return self._plain(replace(call, operation=grouped))

    def _attention(self, call: Call) -> _End:
        """Attention of a sequence to itself, whatever the names under which the call has it."""
        told = dict(call.options)
        is_causal = told.pop("use_causal_mask", False)
        given = [value for value in (*call.arguments, *told.values()) if value is not None and value is not False]
        if any(value is not call.inputs[0] for value in given):
            raise call.unsupported("it attends to other inputs than its own sequence, with a mask, or returns scores")
        end = self._plain(Call(call.operation, call.inputs[:1], call.output))
        if is_causal:
            layer = self._layers[end.layer]
            self._layers[end.layer] = replace(layer, settings={**layer.settings, "AttentionMask": "causal"})
        return end

    # All others.

    def _plain(self, call: Call) -> _End:
        """A layer with a rule, and its fused activation as a layer after it."""
        ends = [self._ends[id(tensor)] for tensor in call.inputs]
        if call.kind != "Flatten" and any(end.axes is not None for end in ends):
            raise call.unsupported("the axes of its images are permuted, which only a flatten may follow")
        class_name, rule, settings = describe(call)
        settings = with_margins(call, settings, next((end.margins for end in ends if end.margins), None))
        order = joint_order(call, [end.order for end in ends])
        layer = with_parameters(Layer(call.operation.name, class_name, settings), rule, call, order)
        end = replace(self._add(layer, ends), order=None if call.kind == "Dense" else order)
        activation = getattr(call.operation, "activation", None)
        if call.kind in _OWN_ACTIVATION or activation in (None, keras.activations.linear):
            return end
        return self._activated(call, end, activation)

    def _activated(self, call: Call, end: _End, activation: Any) -> _End:
        if not isinstance(activation, keras.layers.Layer):
            activation = keras.layers.Activation(activation)
        word = getattr(getattr(activation, "activation", None), "__name__", type(activation).__name__.lower())
        name = f"{call.operation.name}_{word}"
        class_name, _, settings = describe(Call(activation, (call.output,), call.output))
        return replace(self._add(Layer(name, class_name, settings), [end]), order=end.order)

    def _add(self, layer: Layer, sources: Sequence[_End]) -> _End:
        if layer.name in self._layers:
            raise UnsupportedLayerError(f"Two layers would be called {layer.name!r} in MATLAB; rename one.")
        self._layers[layer.name] = layer
        several = len(sources) > 1
        for number, end in enumerate(sources, start=1):
            port = f"in{number}" if several else ""
            self._connections.append(Connection(end.layer, layer.name, "", port))
        return _End(layer.name)


_SPECIAL = {
    "DepthwiseConv2D": Translation._depthwise,
    "Flatten": Translation._flatten,
    "InputLayer": Translation._input,
    "MultiHeadAttention": Translation._attention,
    "Normalization": Translation._normalization,
    "Permute": Translation._permute,
    "Rescaling": Translation._rescaling,
    "ZeroPadding1D": Translation._padding,
    "ZeroPadding2D": Translation._padding,
    "ZeroPadding3D": Translation._padding,
}


def _normalize(layer: Layer, mean: Array, deviation: Array) -> Layer:
    """An input layer that normalizes, after the normalization that it has already."""
    rank = np.size(layer.settings["InputSize"])
    # As MATLAB has them: 1x1xC or HxWxC for images, Dx1 for features and sequences.
    mean, deviation = (
        array.reshape((1,) * (rank - array.ndim) + array.shape) if rank > 1 else array.reshape(-1, 1)
        for array in (mean, deviation)
    )
    if layer.settings["Normalization"] != "none":
        earlier, spread = layer.settings["Mean"], layer.settings["StandardDeviation"]
        mean, deviation = earlier + spread * mean, spread * deviation
    statistics = {"Normalization": "zscore", "Mean": mean, "StandardDeviation": deviation}
    return replace(layer, settings={**layer.settings, **statistics})


_ARITHMETIC = frozenset({"Add", "Divide", "Multiply", "Negative", "Subtract", "TrueDivide"})


def _scale_and_bias(call: Call) -> tuple[Array, Array] | None:
    """What an operation on one tensor and numbers does, as `x * scale + bias`.

    Args:
        call: any operation of the graph.

    Returns:
        Two arrays that broadcast against the tensor; None for a layer, for an operation on tensors alone, and for
        one that is no such sum or product.
    """
    if call.is_layer or call.kind not in _ARITHMETIC or len(call.inputs) != 1:
        return None
    if tuple(call.output.shape) != call.shapes[0]:  # the constant has dimensions of its own
        return None
    one, zero = np.ones(1), np.zeros(1)
    given = [*call.arguments, *call.options.values()]
    if call.kind == "Negative":
        return -one, zero
    is_first = isinstance(given[0], keras.KerasTensor)
    constant = np.asarray(keras.ops.convert_to_numpy(given[1 if is_first else 0]), dtype=float)
    match call.kind:
        case "Add":
            return one, constant
        case "Multiply":
            return constant, zero
        case "Subtract":
            return (one, -constant) if is_first else (-one, constant)
    return (1 / constant, zero) if is_first and np.all(constant) else None
