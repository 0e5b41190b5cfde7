"""Layers that treat each channel alone, and whose outputs have the channels of their inputs."""

# ruff: noqa: ARG002 # the methods of a rule are given what any rule may need

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from keras_prunelab._channels._channels import BarrierError, Flags, Flow, Site, Trace, Values, channel_axis
from keras_prunelab._channels._graph import Call

from ._base import CarryingRule, is_nonzero
from ._registry import register_rule

L = keras.layers


class PerChannelRule(CarryingRule):
    """A layer with one input, each of whose output channels depends on one input channel.

    A rule for a layer of your own overrides `value`, and `flow` where the output's channels lie along another axis.
    """

    def flow(self, call: Call, inputs: tuple[Flow, ...], trace: Trace) -> Sequence[Flow]:
        """The same channels along the same axis."""
        if len(inputs) != 1 or len(call.outputs) != 1:
            raise BarrierError(f"takes {len(inputs)} tensors and gives {len(call.outputs)}")
        return [inputs[0]]

    def value(self, site: Site, values: Values) -> Values:
        """What becomes of channels that are constant.

        Args:
            site: a call of the layer.
            values: for each channel the number that it always is; NaN where it varies.

        Returns:
            The same for the output: here, everything varies.
        """
        return np.full(values.size, np.nan)

    def constants(self, site: Site, values: Sequence[Values]) -> Sequence[Values]:
        return [self.value(site, values[0])]

    def needs(self, site: Site, values: Sequence[Values], live: Sequence[Flags]) -> Sequence[Flags]:
        """A channel is read where its output is."""
        return list(live)


@register_rule(
    L.Identity,
    L.Dropout,
    L.AlphaDropout,
    L.GaussianDropout,
    L.GaussianNoise,
    L.SpatialDropout1D,
    L.SpatialDropout2D,
    L.SpatialDropout3D,
    L.ActivityRegularization,
)
class PassingRule(PerChannelRule):
    """What does nothing outside of training."""

    def value(self, site: Site, values: Values) -> Values:
        return values


class SpatialRule(PerChannelRule):
    """What moves or joins pixels of one channel, which lies along the axis that `data_format` says."""

    def flow(self, call: Call, inputs: tuple[Flow, ...], trace: Trace) -> Sequence[Flow]:
        """The same channels, if they lie along the layer's channel axis."""
        inputs[0].at(channel_axis(call.layer, len(call.inputs[0].shape)))
        return super().flow(call, inputs, trace)

    def value(self, site: Site, values: Values) -> Values:
        """The same, or the same where it is zero."""
        return values if self.keeps(site) else np.where(values == 0, 0.0, np.nan)

    def keep(self, site: Site, values: Sequence[Values], needed: Sequence[Flags]) -> Sequence[Flags]:
        """A constant that does not stay one."""
        if self.keeps(site):
            return super().keep(site, values, needed)
        return [needed[0] & is_nonzero(values[0])]

    def keeps(self, site: Site) -> bool:
        """Whether constants other than zero stay what they are."""
        return True


@register_rule(
    L.MaxPooling1D,
    L.MaxPooling2D,
    L.MaxPooling3D,
    L.AdaptiveMaxPooling1D,
    L.AdaptiveMaxPooling2D,
    L.AdaptiveMaxPooling3D,
    L.AdaptiveAveragePooling1D,
    L.AdaptiveAveragePooling2D,
    L.AdaptiveAveragePooling3D,
    L.UpSampling1D,
    L.UpSampling2D,
    L.UpSampling3D,
)
class MovingRule(SpatialRule):
    """Pooling and up-sampling without anything from outside."""


@register_rule(L.AveragePooling1D, L.AveragePooling2D, L.AveragePooling3D)
class AveragePoolingRule(SpatialRule):
    """Averages: with padding, the backends do not agree on what the border counts."""

    def keeps(self, site: Site) -> bool:
        return bool(site.layer.padding == "valid")


@register_rule(L.Cropping1D, L.Cropping2D, L.Cropping3D)
class CroppingRule(SpatialRule):
    """What takes pixels away."""


@register_rule(L.Resizing)
class ResizingRule(SpatialRule):
    """Images of another size: weights of the pixels around that add up to 1."""

    def flow(self, call: Call, inputs: tuple[Flow, ...], trace: Trace) -> Sequence[Flow]:
        """The same channels, where nothing is put around."""
        if call.layer.pad_to_aspect_ratio:
            raise BarrierError("puts a border around")
        return super().flow(call, inputs, trace)


@register_rule(L.ZeroPadding1D, L.ZeroPadding2D, L.ZeroPadding3D)
class ZeroPaddingRule(SpatialRule):
    """What puts zeros around: a channel is constant behind it only if it is zero."""

    def keeps(self, site: Site) -> bool:
        """Where there is no padding."""
        return not np.any(site.layer.padding)


@register_rule(
    L.GlobalMaxPooling1D,
    L.GlobalMaxPooling2D,
    L.GlobalMaxPooling3D,
    L.GlobalAveragePooling1D,
    L.GlobalAveragePooling2D,
    L.GlobalAveragePooling3D,
)
class GlobalPoolingRule(SpatialRule):
    """What leaves one number of each channel."""

    def flow(self, call: Call, inputs: tuple[Flow, ...], trace: Trace) -> Sequence[Flow]:
        """The same channels, along the axis where they end up."""
        (flow,) = super().flow(call, inputs, trace)
        return [flow if call.layer.keepdims else Flow(1, flow.ids)]

    def keeps(self, site: Site) -> bool:
        """Without a mask, which may leave nothing to average."""
        return not site.call.masks
