"""Convolutions: each output position is a row of the inputs under the kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ._base import LinearMap, Rule, Seen, Values, places_of, value_of, with_bias, with_ones
from ._registry import register_linear_rule

L = keras.layers


@register_linear_rule(L.Conv1D, L.Conv2D, L.Conv3D)
class ConvolutionRule(Rule):
    """The patches of each group of channels with that group's filters."""

    def maps(self, layer: Any) -> Sequence[LinearMap]:
        """A map a group."""
        places, groups = places_of(layer), layer.groups
        kernel = places["kernel"].reshape(-1, groups, layer.filters // groups).transpose(1, 0, 2)
        bias = places["bias"].reshape(groups, -1) if layer.use_bias else None

        def rows(seen: Seen) -> Values:
            under = patches(layer, channels_last(layer, seen.inputs))
            own = under.reshape(*under.shape[:2], groups, -1)  # samples x taps x groups x channels of a group
            return with_ones(own.transpose(2, 0, 1, 3).reshape(groups, len(own), -1), has_bias=bias is not None)

        return [LinearMap("kernel", with_bias(kernel, bias), rows, bias is not None)]


@register_linear_rule(L.DepthwiseConv1D, L.DepthwiseConv2D)
class DepthwiseRule(Rule):
    """The patches of each channel with that channel's filters."""

    def maps(self, layer: Any) -> Sequence[LinearMap]:
        """A map a channel."""
        places = places_of(layer)
        kernel = places["kernel"]
        channels = kernel.shape[-2]
        bias = places["bias"].reshape(channels, -1) if layer.use_bias else None

        def rows(seen: Seen) -> Values:
            return with_ones(_by_channel(layer, seen), has_bias=bias is not None)

        return [LinearMap("kernel", with_bias(_depthwise(kernel), bias), rows, bias is not None)]


@register_linear_rule(L.SeparableConv1D, L.SeparableConv2D)
class SeparableRule(Rule):
    """A depthwise convolution, whose outputs are multiplied with a matrix at each position."""

    def maps(self, layer: Any) -> Sequence[LinearMap]:
        """The depthwise kernel by channels; then the pointwise one, with the bias."""
        places = places_of(layer)
        pointwise = places["pointwise_kernel"].reshape(1, -1, layer.filters)
        bias = places["bias"][None] if layer.use_bias else None

        def between(seen: Seen) -> Values:
            kernel = _depthwise(value_of(seen.layer, "depthwise_kernel"))
            made = np.matmul(_by_channel(layer, seen), kernel)  # channels x samples x multiplier
            flat = made.transpose(1, 0, 2).reshape(1, made.shape[1], -1)
            return with_ones(flat, has_bias=bias is not None)

        return [
            LinearMap(
                "depthwise_kernel",
                _depthwise(places["depthwise_kernel"]),
                lambda seen: _by_channel(layer, seen),
                has_bias=False,
            ),
            LinearMap("pointwise_kernel", with_bias(pointwise, bias), between, bias is not None, follows=True),
        ]


@register_linear_rule(L.Conv1DTranspose, L.Conv2DTranspose, L.Conv3DTranspose)
class TransposedRule(Rule):
    """Each output position is a row of the inputs that reach it, between which the stride puts zeros."""

    def maps(self, layer: Any) -> Sequence[LinearMap]:
        """The kernel, turned so that inputs come before filters, and the bias."""
        places = places_of(layer)
        kernel = np.moveaxis(places["kernel"], -1, -2).reshape(1, -1, layer.filters)
        bias = places["bias"][None] if layer.use_bias else None

        def rows(seen: Seen) -> Values:
            under = _reaching(layer, channels_last(layer, seen.inputs))
            return with_ones(under.reshape(1, len(under), -1), has_bias=bias is not None)

        return [LinearMap("kernel", with_bias(kernel, bias), rows, bias is not None)]


def channels_last(layer: Any, inputs: Values) -> Values:
    """Inputs with their channels on the last axis."""
    return np.moveaxis(inputs, 1, -1) if layer.data_format == "channels_first" else inputs


def patches(layer: Any, inputs: Values) -> Values:
    """What lies under the kernel at each output position.

    Args:
        layer: says the kernel's size, stride, dilation and padding.
        inputs: with channels last.

    Returns:
        Samples and positions x taps of the kernel x channels.
    """
    rank = inputs.ndim - 2
    size, stride, dilation = (_per_axis(each, rank) for each in (layer.kernel_size, layer.strides, layer.dilation_rate))
    padding = [(0, 0)]
    for length, taps, step, gap in zip(inputs.shape[1:-1], size, stride, dilation, strict=True):
        padding.append(_padding(layer.padding, length, (taps - 1) * gap + 1, step))
    return _windows(np.pad(inputs, [*padding, (0, 0)]), size, stride, dilation)


def _padding(kind: str, length: int, reach: int, step: int) -> tuple[int, int]:
    """The zeros before and behind an axis; https://www.tensorflow.org/api_docs/python/tf/nn#notes_on_padding."""
    if kind == "causal":
        return reach - 1, 0
    if kind == "valid":
        return 0, 0
    missing = max(0, (-(-length // step) - 1) * step + reach - length)
    return missing // 2, missing - missing // 2


def _windows(inputs: Values, size: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Values:
    rank = len(size)
    reach = [(taps - 1) * gap + 1 for taps, gap in zip(size, dilation, strict=True)]
    views = sliding_window_view(inputs, reach, tuple(range(1, rank + 1)))
    positions = tuple(slice(None, None, step) for step in stride)
    taps = tuple(slice(None, None, gap) for gap in dilation)
    views = np.moveaxis(views[(slice(None), *positions, slice(None), *taps)], rank + 1, -1)
    return views.reshape(int(np.prod(views.shape[: rank + 1])), int(np.prod(size)), inputs.shape[-1])


def _reaching(layer: Any, inputs: Values) -> Values:
    """The inputs that reach each output position of a transposed convolution, tap by tap."""
    rank = inputs.ndim - 2
    size, stride, dilation = (_per_axis(each, rank) for each in (layer.kernel_size, layer.strides, layer.dilation_rate))
    lengths = zip(inputs.shape[1:-1], stride, strict=True)
    spread = np.zeros((len(inputs), *((length - 1) * step + 1 for length, step in lengths), inputs.shape[-1]))
    spread[(slice(None), *(slice(None, None, step) for step in stride))] = inputs
    padding, crop = [(0, 0)], [slice(None)]
    extra = _per_axis(layer.output_padding, rank)
    for taps, step, gap, more in zip(size, stride, dilation, extra, strict=True):
        before, behind = _transposed_padding(layer.padding, (taps - 1) * gap + 1, step, more)
        padding.append((before, max(behind, 0)))
        crop.append(slice(None, behind if behind < 0 else None))
    padded = np.pad(spread, [*padding, (0, 0)])[tuple(crop)]
    return np.ascontiguousarray(_windows(padded, size, (1,) * rank, dilation)[:, ::-1])


def _transposed_padding(kind: str, reach: int, step: int, extra: int | None) -> tuple[int, int]:
    """The zeros before and behind the spread inputs, as Keras says for its layers."""
    if kind == "valid":
        return reach - 1, reach - 1 + (max(reach, step) - reach if extra is None else extra)
    total = step + reach - 2 if extra is None else reach + reach % 2 - 2 + extra
    before = min(total // 2 + total % 2, reach - 1)
    return before, total - before


def _per_axis(value: Any, rank: int) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * rank


def _by_channel(layer: Any, seen: Seen) -> Values:
    return patches(layer, channels_last(layer, seen.inputs)).transpose(2, 0, 1)


def _depthwise(kernel: Values) -> Values:
    """A depthwise kernel as channels x taps x multiplier."""
    return np.moveaxis(kernel.reshape(-1, *kernel.shape[-2:]), 1, 0)
