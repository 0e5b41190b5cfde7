"""One Keras layer in MATLAB's words: its class and settings, and the values of its variables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any

import keras
import numpy as np

from matlab_bridge._errors import UnsupportedLayerError
from matlab_bridge._layer import Array, Layer

from ._keras_graph import Call
from ._rules import LayerRule, registered
from .layers._window import Margins, Window, same_padding

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


def describe(call: Call) -> tuple[str, LayerRule, Mapping[str, Any]]:
    """The MATLAB class, its rule and its settings for a Keras layer.

    Raises:
        UnsupportedLayerError: if there is none that does the same.
    """
    if getattr(call.operation, "data_format", None) == "channels_first":
        raise call.unsupported("its channels come first; build the model with data_format='channels_last'")
    if hasattr(call.operation, "mask_of"):
        raise call.unsupported(
            "it masks the layer inside while it runs; keras_prunelab.layers.strip(model) puts the zeros in its weights"
        )
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


def with_margins(call: Call, settings: Mapping[str, Any], margins: Margins | None) -> Mapping[str, Any]:
    """The settings of a layer after a padding layer, with that padding as its own.

    Raises:
        UnsupportedLayerError: if the layer cannot pad with zeros.
    """
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


def joint_order(call: Call, orders: Sequence[Array | None]) -> Array | None:
    """The order of the elements of all inputs together.

    Args:
        call: a layer.
        orders: for each input, the Keras vector's elements in MATLAB's order; None where they agree.

    Raises:
        UnsupportedLayerError: for a layer that does not do the same with elements in any order.
    """
    if all(order is None for order in orders):
        return None
    if call.kind == "Concatenate":
        sizes = [tensor.shape[-1] for tensor in call.inputs]
        starts = np.cumsum([0, *sizes[:-1]])
        parts = [np.arange(size) if order is None else order for size, order in zip(sizes, orders, strict=True)]
        return np.concatenate([start + part for start, part in zip(starts, parts, strict=True)])
    if call.kind not in _ANY_ORDER:
        raise call.unsupported("it acts on flattened images, whose elements MATLAB has in another order")
    first = orders[0]
    if any(order is None or first is None or not np.array_equal(order, first) for order in orders):
        raise call.unsupported("it joins flattened images with vectors of another order")
    return first


def with_parameters(layer: Layer, rule: LayerRule, call: Call, order: Array | None) -> Layer:
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
