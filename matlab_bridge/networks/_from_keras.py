"""From a Keras model that never was a MATLAB network to the network that MATLAB can build."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any

import keras
import numpy as np

from matlab_bridge._errors import NetworkError, NetworkMismatchError, UnsupportedLayerError

from ._affine import scale_and_bias
from ._build import model_values, to_matlab, variable_paths, with_known_paths
from ._keras_graph import Call, calls, shortest_sequence
from ._network import Array, Connection, Layer, Network
from ._normalization import Normalization
from ._resized import resized
from ._rules import LayerRule, is_sequence, registered, rule_for
from ._sidecar import origin
from .layers._window import Margins, Window, same_padding

_PREFIX = "nnet.cnn.layer."

# Keras layers that do, or can be made to do, the same with the elements of a vector in any order.
_ANY_ORDER = frozenset(
    {
        "Activation",
        "Add",
        "BatchNormalization",
        "Concatenate",
        "Dense",
        "Dropout",
        "ELU",
        "Identity",
        "LayerNormalization",
        "LeakyReLU",
        "Multiply",
        "PReLU",
        "ReLU",
        "Rescaling",
        "Softmax",
    }
)

# Of these, the layers with weights along the vector, and which.
_FOLLOW_FLATTEN = {
    "Dense": ("kernel",),
    "BatchNormalization": ("beta", "gamma", "moving_mean", "moving_variance"),
    "LayerNormalization": ("beta", "gamma"),
    "PReLU": ("alpha",),
}

# Keras layers whose counterparts can pad with zeros, so that a padding layer before them becomes theirs.
_PAD_WITH_ZEROS = frozenset(f"{kind}{rank}D" for kind in ("Conv", "AveragePooling") for rank in (1, 2, 3))

# Keras layers whose activation is part of them, and none that follows.
_OWN_ACTIVATION = frozenset({"Activation", "Bidirectional", "GRU", "LSTM"})


def from_keras(model: keras.Model, *, class_names: tuple[str, ...] = ()) -> Network:
    """A Keras model in MATLAB's words, with its weights in MATLAB's layout.

    A flatten runs column-major in MATLAB: the weights of the layers after it are reordered, so that the
    network gives the same outputs. A fused activation becomes a layer of its own (`"conv1_relu"`), a
    `ZeroPadding2D` becomes the padding of the layer after it, and a `Rescaling` or `Normalization` after an
    input its normalization. Elsewhere these, and sums and products with constants, become scaling layers.

    A model that `to_keras` made, or a pruned copy of it, gives its own network back, with the new weights; a copy with
    fewer channels gives the same layers with fewer channels.

    Args:
        model: a built Sequential or functional model, channels last, whose layers are called once each.
        class_names: the classes in the order of the scores; by default those of the model's own network.

    Returns:
        A network of class `"dlnetwork"` whose `to_keras` gives the outputs of the model.

    Raises:
        UnsupportedLayerError: for a layer that MATLAB's layers cannot express, naming it and its class.

    Examples:
        >>> import keras
        >>> import matlab_bridge as mb
        >>> model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(4, 3, activation="relu")])
        >>> [layer.kind for layer in mb.from_keras(model).layers]
        ['ImageInputLayer', 'Convolution2DLayer', 'ReLULayer']
    """
    network = origin(model)
    if network is None:
        network = _Translation(model).network()
    else:
        network = _own_network(network, model) or _smaller_network(network, model)
    return replace(network, class_names=tuple(class_names)) if class_names else network


def _own_network(network: Network, model: keras.Model) -> Network | None:
    """The network that the model was converted from, with the model's weights, if it is known to be still the same."""
    values = with_known_paths(network, model_values(model))
    if not variable_paths(network).keys() <= values.keys():
        return None
    stored = {(layer.name, name): array for layer in network.layers for name, array in layer.parameters.items()}
    if any(key not in stored or stored[key].size == 0 for key in variable_paths(network).values()):
        return None  # there are no weights yet whose sizes could be compared with the model's
    try:
        return _as_in_keras(network.with_parameters(to_matlab(network, values)))
    except NetworkMismatchError:  # it has been cut down since
        return None


def _smaller_network(network: Network, model: keras.Model) -> Network:
    """The network of a model that has been cut down since: the old one with other sizes, or one of Keras' layers.

    Which is tried first depends on where the whole network came from: a deep one keeps MATLAB's own layers, and what
    has no such layers, such as a shallow network or matrices, gets them.
    """

    def smaller() -> Network:
        return _as_in_keras(resized(network, model))

    def translated() -> Network:
        return replace(_Translation(model).network(), class_names=network.class_names)

    is_deep = any(layer.class_name.startswith("nnet.") and not _is_input(layer) for layer in network.layers)
    objections = []
    for way in (smaller, translated) if is_deep else (translated, smaller):
        try:
            return way()
        except NetworkError as error:
            objections.append(f"  {error}")
    first = (
        "The model is smaller than the network that it was converted from, or was changed otherwise, and what is left "
        "of it has no form in MATLAB:"
    )
    last = (
        "Leave that layer, and those that feed it, as large as they were (exclude=), or set weights to zero instead "
        "and write them into the file of the whole network with save_network."
    )
    raise UnsupportedLayerError("\n".join([first, *objections, last]))


def _as_in_keras(network: Network) -> Network:
    """The network without normalizations that have no statistics yet, for the model has none in their place."""

    def plain(layer: Layer) -> Layer:
        if Normalization.of(layer).is_trained:
            return layer
        return replace(layer, settings={**layer.settings, "Normalization": "none"})

    return replace(network, layers=tuple(plain(layer) if _is_input(layer) else layer for layer in network.layers))


def _is_input(layer: Layer) -> bool:
    rule = rule_for(layer)
    return rule is not None and rule.is_input


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


class _Translation:
    """The walk over one Keras model; it fills the lists of MATLAB layers and connections."""

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._calls = list(calls(model))
        used = [*(tensor for call in self._calls for tensor in call.inputs), *model.outputs]
        self._uses = Counter(map(id, used))
        self._ends: dict[int, _End] = {}
        self._layers: dict[str, Layer] = {}
        self._connections: list[Connection] = []

    def network(self) -> Network:
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
        affine = scale_and_bias(call)
        if affine is not None:
            return self._scaled(call, *affine)
        return _SPECIAL.get(call.kind, _Translation._plain)(self, call)

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
            self._layers[source.name] = _normalized(source, mean=-bias / scale, deviation=1 / scale)
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
        class_name, rule, settings = _described(call)
        settings = _with_margins(call, settings, next((end.margins for end in ends if end.margins), None))
        order = _joint_order(call, ends)
        layer = _with_parameters(Layer(call.operation.name, class_name, settings), rule, call, order)
        if order is not None and call.kind not in _ANY_ORDER:
            raise call.unsupported("it acts on flattened images, whose elements MATLAB has in another order")
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
        class_name, _, settings = _described(Call(activation, (call.output,), call.output))
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
    "DepthwiseConv2D": _Translation._depthwise,
    "Flatten": _Translation._flatten,
    "InputLayer": _Translation._input,
    "MultiHeadAttention": _Translation._attention,
    "Normalization": _Translation._normalization,
    "Permute": _Translation._permute,
    "Rescaling": _Translation._rescaling,
    "ZeroPadding1D": _Translation._padding,
    "ZeroPadding2D": _Translation._padding,
    "ZeroPadding3D": _Translation._padding,
}


def _normalized(layer: Layer, mean: Array, deviation: Array) -> Layer:
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


def _described(call: Call) -> tuple[str, LayerRule, Mapping[str, Any]]:
    """The MATLAB class, its rule and its settings for a Keras layer."""
    if getattr(call.operation, "data_format", None) == "channels_first":
        raise call.unsupported("its channels come first; build the model with data_format='channels_last'")
    for class_name, rule in registered().items():
        if call.kind not in rule.keras_classes:
            continue
        if (objection := call.objection()) is not None:
            raise call.unsupported(objection)
        try:
            settings = rule.settings_of(call.operation, call.shapes)
        except UnsupportedLayerError as error:
            raise call.unsupported(str(error)) from error
        if settings is not None:
            return class_name, rule, settings
    what = "this form of it" if any(call.kind in rule.keras_classes for rule in registered().values()) else "its class"
    raise call.unsupported(f"no rule describes {what}")


def _with_margins(call: Call, settings: Mapping[str, Any], margins: Margins | None) -> Mapping[str, Any]:
    """The settings of a layer after a padding layer, with that padding as its own."""
    if margins is None:
        return settings
    layer, is_mean = call.operation, call.kind.startswith("AveragePooling")
    if call.kind not in _PAD_WITH_ZEROS or (is_mean and layer.padding == "same"):
        padding = f"ZeroPadding{len(margins.pairs)}D"
        raise call.unsupported(f"a {padding} stands before it, and it cannot pad with zeros itself")
    own: Margins | None = Margins.none(len(margins.pairs))
    if layer.padding == "causal":
        own = Margins((((layer.kernel_size[0] - 1) * layer.dilation_rate[0], 0),))
    elif layer.padding == "same":
        size = tuple(call.inputs[0].shape[1:-1])
        own = same_padding(size, Window(layer.kernel_size, layer.strides, layer.dilation_rate))
    if own is None:
        raise call.unsupported("a padding stands before it, and its own depends on the length of the sequences")
    return {**settings, "PaddingMode": "manual", "PaddingSize": margins.plus(own).for_matlab}


def _joint_order(call: Call, ends: list[_End]) -> Array | None:
    """The order of the elements of all inputs together."""
    orders = [end.order for end in ends]
    if all(order is None for order in orders):
        return None
    if call.kind == "Concatenate":
        sizes = [tensor.shape[-1] for tensor in call.inputs]
        starts = np.cumsum([0, *sizes[:-1]])
        parts = [np.arange(size) if order is None else order for size, order in zip(sizes, orders, strict=True)]
        return np.concatenate([start + part for start, part in zip(starts, parts, strict=True)])
    first = orders[0]
    if any(order is None or first is None or not np.array_equal(order, first) for order in orders):
        raise call.unsupported("it joins flattened images with vectors of another order")
    return first


def _with_parameters(layer: Layer, rule: LayerRule, call: Call, order: Array | None) -> Layer:
    """The layer with the values of the Keras layer's variables in MATLAB's layout."""
    learnables: dict[str, Array] = {}
    state: dict[str, Array] = {}
    for parameter in rule.parameters(layer):
        parts = [_values(call, attribute, parameter.absent) for attribute in parameter.attributes]
        if order is not None and parameter.keras in _FOLLOW_FLATTEN.get(call.kind, ()):
            parts = [values[order] for values in parts]
        converted = [parameter.to_matlab(values) for values in parts]
        array = converted[0] if len(converted) == 1 else np.concatenate(converted)
        (state if parameter.is_state else learnables)[parameter.matlab] = array
    return replace(layer, learnables=learnables, state=state)


def _values(call: Call, attribute: str, absent: float) -> Array:
    """The numbers of a variable of the Keras layer; `absent` for each channel or gate where it has none."""
    *owners, name = attribute.split(".")
    owner = attrgetter(".".join(owners))(call.operation) if owners else call.operation
    variable = getattr(owner, name, None)
    if variable is None:
        gates = getattr(owner, "recurrent_kernel", None)
        count = call.output.shape[-1] if gates is None else gates.shape[-1]
        return np.full(count, absent, dtype=np.float32)
    values: Array = keras.ops.convert_to_numpy(variable.value)
    return values
