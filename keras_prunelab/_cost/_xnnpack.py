"""Whether LiteRT's sparse kernels on ARM, those of XNNPACK, would run a network: what its graph must look like."""

from __future__ import annotations

from collections.abc import Mapping

import keras

from keras_prunelab._channels._graph import Call, Graph

_UNARY = (
    keras.layers.Activation,
    keras.layers.BatchNormalization,  # folded into the convolution before it
    keras.layers.Dropout,
    keras.layers.ELU,
    keras.layers.LeakyReLU,
    keras.layers.ReLU,
    keras.layers.SpatialDropout2D,
)
_BINARY = (keras.layers.Add, keras.layers.Multiply)
_SCALING = (keras.layers.InputLayer, keras.layers.Normalization, keras.layers.Rescaling)


def sparse_barriers(graph: Graph) -> Mapping[str, str]:
    """Why each 1x1 convolution of a network would not run on the sparse kernels; the text is empty where it would.

    They take float graphs that begin with a 3x3 convolution of stride 2 on three channels and end in the mean over an
    image, with 1x1 and depthwise convolutions, sums, products and activations between
    (https://github.com/tensorflow/tensorflow/blob/master/tensorflow/lite/delegates/xnnpack/README.md#sparse-inference).

    Args:
        graph: of the model.

    Returns:
        A text for each 1x1 convolution, by where it stands.
    """
    calls = [call for call in graph.calls if not isinstance(call.layer, _SCALING)]
    pointwise = [call.name for call in calls if _is_pointwise(call)]
    if not calls or not _is_stem(calls[0]):
        return dict.fromkeys(
            pointwise, "the network does not begin with a 3x3 convolution of stride 2 on three channels"
        )
    inside: list[str] = []
    for call in calls[1:]:
        if isinstance(call.layer, keras.layers.GlobalAveragePooling2D):
            return dict.fromkeys(pointwise, "it comes after the mean over the image") | dict.fromkeys(inside, "")
        if _is_pointwise(call):
            inside.append(call.name)
        elif not _is_allowed(call):
            return dict.fromkeys(pointwise, f"{call.name} ({type(call.layer).__name__}) has no such kernel")
    return dict.fromkeys(pointwise, "the network does not end in the mean over an image")


def _is_stem(call: Call) -> bool:
    layer = call.layer
    return (
        type(layer) is keras.layers.Conv2D
        and (layer.kernel_size, layer.strides, layer.padding) == ((3, 3), (2, 2), "same")
        and layer.kernel.shape[2] == 3
        and layer.groups == 1
    )


def _is_pointwise(call: Call) -> bool:
    layer = call.layer
    return (
        type(layer) is keras.layers.Conv2D
        and (layer.kernel_size, layer.strides, layer.groups) == ((1, 1), (1, 1), 1)
        and layer.data_format == "channels_last"
    )


def _is_allowed(call: Call) -> bool:
    layer = call.layer
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return layer.kernel_size in ((3, 3), (5, 5)) and layer.depth_multiplier == 1 and layer.dilation_rate == (1, 1)
    return isinstance(layer, (*_UNARY, *_BINARY))
