"""Normalization inside a network: over batches, and over neighbouring channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import keras
import numpy as np

from matlab_bridge._errors import UnsupportedLayerError
from matlab_bridge._layer import Array, Layer
from matlab_bridge.convert._rules import LayerRule, Parameter, Shapes, register_layer
from matlab_bridge.convert._site import Site, Tensor

from ._settings import integer, number


def _per_channel(array: Array) -> Array:
    return array.reshape(1, 1, -1)


@register_layer("nnet.cnn.layer.BatchNormalizationLayer")
@final
class BatchNormalization(LayerRule):
    """`batchNormalizationLayer`: statistics 1x1xC after images, in some releases 1xC after vectors."""

    keras_classes = ("BatchNormalization",)

    def build(self, site: Site) -> Tensor:
        """Keras' layer over the channels, with MATLAB's `Epsilon`; the momentum is 1 - `MeanDecay`."""
        layer = site.layer
        return keras.layers.BatchNormalization(
            epsilon=number(layer, "Epsilon", 1e-5),
            momentum=1 - number(layer, "MeanDecay", 0.1),
            name=site.name,
        )(site.input)

    def parameters(self, layer: Layer) -> tuple[Parameter, ...]:
        """`TrainedVariance` is a variance, as in Keras."""
        return (
            Parameter("Offset", "beta", to_matlab=_per_channel),
            Parameter("Scale", "gamma", to_matlab=_per_channel, absent=1.0),
            Parameter("TrainedMean", "moving_mean", to_matlab=_per_channel, is_state=True),
            Parameter("TrainedVariance", "moving_variance", to_matlab=_per_channel, is_state=True),
        )

    def sizes_of(self, layer: Layer, built: keras.layers.Layer) -> Mapping[str, Any]:
        return {"NumChannels": np.array([[built.moving_mean.shape[-1]]], dtype=float)}

    def settings_of(self, layer: keras.layers.Layer, shapes: Shapes) -> Mapping[str, Any]:
        """The same normalization in MATLAB's words."""
        rank = len(shapes[0])
        axis = layer.axis if isinstance(layer.axis, int) else layer.axis[0]
        if axis not in (-1, rank - 1):
            raise UnsupportedLayerError(f"it normalizes along axis {axis}; MATLAB's goes along the channels")
        return {
            "Epsilon": np.array([[layer.epsilon]]),
            "NumChannels": np.array([[shapes[0][-1]]], dtype=float),
            "MeanDecay": np.array([[1 - layer.momentum]]),
            "VarianceDecay": np.array([[1 - layer.momentum]]),
        }


@register_layer("nnet.cnn.layer.CrossChannelNormalizationLayer")
@final
class CrossChannelNormalization(LayerRule):
    """`crossChannelNormalizationLayer`: y = x / (K + Alpha * ss / WindowChannelSize) ** Beta.

    ss is the sum of the squares in a window of channels around each; an even window reaches one channel
    further ahead than back. Channels beyond the ends count as zeros.

    Source: https://www.mathworks.com/help/deeplearning/ref/nnet.cnn.layer.crosschannelnormalizationlayer.html
    """

    per_frame = True

    def build(self, site: Site) -> Tensor:
        """A mean pooling along the channels of the squares, which is ss / WindowChannelSize."""
        layer, images = site.layer, site.image
        window = integer(layer, "WindowChannelSize")
        _, height, width, channels = images.shape
        squares = keras.layers.Reshape((height * width, channels, 1), name=site.helper("channels"))(
            keras.ops.square(images)
        )
        reach = (window - 1) // 2, window // 2
        squares = keras.layers.ZeroPadding2D(((0, 0), reach), name=site.helper("padding"))(squares)
        means = keras.layers.AveragePooling2D((1, window), 1, name=site.helper("means"))(squares)
        means = keras.layers.Reshape((height, width, channels), name=site.helper("image"))(means)
        alpha, beta, k = number(layer, "Alpha", 1e-4), number(layer, "Beta", 0.75), number(layer, "K", 2.0)
        denominator = keras.ops.power(keras.layers.Rescaling(alpha, k, name=site.helper("scale"))(means), beta)
        return keras.ops.divide(images, denominator)
