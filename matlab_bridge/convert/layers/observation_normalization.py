"""Normalization of each observation by itself: over layers, groups of channels, and single channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import keras
import numpy as np

from matlab_bridge._errors import UnsupportedLayerError
from matlab_bridge._layer import Array, Layer
from matlab_bridge.convert._rules import LayerRule, Parameter, Shapes, register_layer
from matlab_bridge.convert._site import Site, Tensor, is_sequence

from ._settings import integer, number, text

_OPERATIONS = ("auto", "channel-only", "spatial-channel", "batch-excluded")


def _per_channel(array: Array) -> Array:
    return array.reshape(-1, 1)


# MATLAB keeps them as 1 x 1 x C after images and C x 1 after anything else; what is stored decides.
_PARAMETERS = (
    Parameter("Offset", "beta", to_matlab=_per_channel),
    Parameter("Scale", "gamma", to_matlab=_per_channel, absent=1.0),
)


def _epsilon(layer: Layer) -> float:
    return number(layer, "Epsilon", 1e-5)


def _channels(layer: keras.layers.Layer) -> Array:
    return np.array([[layer.gamma.shape[-1]]], dtype=float)


def _settings(layer: keras.layers.Layer, shapes: Shapes) -> dict[str, Any]:
    axis = layer.axis if isinstance(layer.axis, int) else layer.axis[0]
    if np.size(layer.axis) != 1 or axis not in (-1, len(shapes[0]) - 1):
        raise UnsupportedLayerError(f"it normalizes along axis {layer.axis}; MATLAB's goes along the channels")
    return {"Epsilon": np.array([[layer.epsilon]]), "NumChannels": np.array([[shapes[0][-1]]], dtype=float)}


def _group(site: Site, groups: int) -> Tensor:
    """The statistics of groups of channels over all of space and time."""
    return keras.layers.GroupNormalization(groups, epsilon=_epsilon(site.layer), name=site.name)(site.input)


@register_layer("nnet.cnn.layer.LayerNormalizationLayer")
@final
class LayerNormalization(LayerRule):
    """`layerNormalizationLayer`: by default over the channels of vectors, sequences and 1-D images, else over all.

    | `OperationDimension` | normalizes over                                                       |
    |----------------------|-----------------------------------------------------------------------|
    | `auto`               | channels of vectors, sequences and 1-D images; of others, all but the batch |
    | `channel-only`       | channels                                                              |
    | `spatial-channel`    | space and channels                                                    |
    | `batch-excluded`     | space, time and channels; as releases before R2023a, without the property |

    Source: https://www.mathworks.com/help/deeplearning/ref/nnet.cnn.layer.layernormalizationlayer.html
    """

    keras_classes = ("LayerNormalization",)

    def objection(self, layer: Layer) -> str | None:
        operation = text(layer, "OperationDimension", "batch-excluded")
        if operation in _OPERATIONS:
            return None
        return f"its OperationDimension is {operation!r}, which is none of {', '.join(map(repr, _OPERATIONS))}"

    def build(self, site: Site) -> Tensor:
        """Keras' layer over the channels, or one group of all channels, which covers space and time too."""
        tensor = site.input
        space, has_time = len(tensor.shape) - 2 - is_sequence(tensor), is_sequence(tensor)
        operation = text(site.layer, "OperationDimension", "batch-excluded")
        if operation == "auto":
            operation = "channel-only" if has_time or space < 2 else "batch-excluded"
        if operation == "spatial-channel":
            if has_time and space:
                raise UnsupportedLayerError("it normalizes over the space, and not the time, of sequences of images")
            operation = "channel-only" if has_time else "batch-excluded"
        if operation == "channel-only" or len(tensor.shape) == 2:
            return keras.layers.LayerNormalization(epsilon=_epsilon(site.layer), name=site.name)(tensor)
        return _group(site, 1)

    def parameters(self, layer: Layer) -> tuple[Parameter, ...]:
        """`Offset` and `Scale` of each channel."""
        return _PARAMETERS

    def sizes_of(self, layer: Layer, built: keras.layers.Layer) -> Mapping[str, Any]:
        return {"NumChannels": _channels(built)}

    def settings_of(self, layer: keras.layers.Layer, shapes: Shapes) -> Mapping[str, Any]:
        """Over the channels: of vectors and sequences MATLAB does so by default."""
        operation = "auto" if len(shapes[0]) < 4 else "channel-only"
        return {**_settings(layer, shapes), "OperationDimension": operation}


@register_layer("nnet.cnn.layer.GroupNormalizationLayer")
@final
class GroupNormalization(LayerRule):
    """`groupNormalizationLayer`: over space, time, and the channels of each of `NumGroups` groups.

    Source: https://www.mathworks.com/help/deeplearning/ref/nnet.cnn.layer.groupnormalizationlayer.html
    """

    keras_classes = ("GroupNormalization",)

    def build(self, site: Site) -> Tensor:
        """Keras' layer of the same name."""
        words = {"all-channels": 1, "channel-wise": -1}
        word = text(site.layer, "NumGroups")
        return _group(site, words[word] if word in words else integer(site.layer, "NumGroups"))

    def parameters(self, layer: Layer) -> tuple[Parameter, ...]:
        """`Offset` and `Scale` of each channel."""
        return _PARAMETERS

    def sizes_of(self, layer: Layer, built: keras.layers.Layer) -> Mapping[str, Any]:
        """The channels, and the groups where they are counted."""
        groups = layer.settings.get("NumGroups")
        counted = groups if text(layer, "NumGroups") else np.array([[built.groups]], dtype=float)
        return {"NumChannels": _channels(built), "NumGroups": counted}

    def settings_of(self, layer: keras.layers.Layer, shapes: Shapes) -> Mapping[str, Any]:
        """The number of groups; -1 are as many as channels."""
        groups = shapes[0][-1] if layer.groups == -1 else layer.groups
        return {**_settings(layer, shapes), "NumGroups": np.array([[groups]], dtype=float)}


@register_layer("nnet.cnn.layer.InstanceNormalizationLayer")
@final
class InstanceNormalization(LayerRule):
    """`instanceNormalizationLayer`: over space and time, each channel by itself.

    Source: https://www.mathworks.com/help/deeplearning/ref/nnet.cnn.layer.instancenormalizationlayer.html
    """

    def build(self, site: Site) -> Tensor:
        """A group for each channel."""
        return _group(site, -1)

    def parameters(self, layer: Layer) -> tuple[Parameter, ...]:
        """`Offset` and `Scale` of each channel."""
        return _PARAMETERS

    def sizes_of(self, layer: Layer, built: keras.layers.Layer) -> Mapping[str, Any]:
        return {"NumChannels": _channels(built)}
