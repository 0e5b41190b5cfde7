"""Zero padding that a convolution can do by itself."""

from __future__ import annotations

from typing import Any

import keras

from keras_prunelab._channels._graph import Call

L = keras.layers

_PADDINGS = (L.ZeroPadding1D, L.ZeroPadding2D, L.ZeroPadding3D)
_PLAIN = (L.Conv1D, L.Conv2D, L.Conv3D)
_CONVOLUTIONS = (*_PLAIN, L.DepthwiseConv1D, L.DepthwiseConv2D, L.SeparableConv1D, L.SeparableConv2D)


def pads_as_same(padding: Call, layer: Any) -> bool:
    """Whether a call adds just the zeros that a layer behind it would add with `padding="same"`.

    Args:
        padding: the call of a layer.
        layer: the layer that alone reads what it gives out.
    """
    pad = padding.layer
    if type(pad) not in _PADDINGS or type(layer) not in _CONVOLUTIONS or layer.padding != "valid":
        return False
    if getattr(pad, "data_format", layer.data_format) != layer.data_format:
        return False
    shape = padding.inputs[0].shape
    lengths = shape[2:] if layer.data_format == "channels_first" else shape[1:-1]
    ends = [pad.padding] if isinstance(pad, L.ZeroPadding1D) else pad.padding
    return all(
        _is_same(*each)
        for each in zip(lengths, ends, layer.kernel_size, layer.strides, layer.dilation_rate, strict=True)
    )


def _is_same(length: int | None, ends: tuple[int, int], kernel: int, stride: int, dilation: int) -> bool:
    """Whether zeros at both ends do what `padding="same"` does along one axis.

    "Same" gives as many outputs as strides begin within the input, and adds the zeros that their kernels lack, the odd
    one at the end: https://www.tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2
    """
    before, after = ends
    reach = dilation * (kernel - 1) + 1
    if stride == 1:
        return before == (reach - 1) // 2 and before + after == reach - 1
    if length is None:
        return False  # how many zeros are lacking depends on it
    count = -(-length // stride)
    lacking = max(0, (count - 1) * stride + reach - length)
    # Zeros at the end that no kernel reaches change nothing.
    return before == lacking // 2 and (length + before + after - reach) // stride + 1 == count
