"""Activations: element-wise ones pass channels on; those that mix channels, such as softmax, keep all of them."""

# ruff: noqa: ARG002 # the methods of a rule are given what any rule may need

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_prunelab._channels._channels import BarrierError, Flags, Flow, Ids, Layout, Site, Trace, Values
from keras_prunelab._channels._elementwise import apply, is_elementwise
from keras_prunelab._channels._graph import Call

from ._base import ChannelRule
from ._per_channel import PerChannelRule
from ._registry import register_rule

L = keras.layers


@register_rule(L.Activation, L.ReLU, L.LeakyReLU, L.ELU)
class ActivationRule(PerChannelRule):
    """Any elementwise function; f(0) need not be 0."""

    def flow(self, call: Call, inputs: tuple[Flow, ...], trace: Trace) -> Sequence[Flow]:
        if not is_elementwise(_function(call.layer)):
            trace.pin(inputs[0].ids)  # a softmax sees how many there are
        return super().flow(call, inputs, trace)

    def value(self, site: Site, values: Values) -> Values:
        """The function of it."""
        function = _function(site.layer)
        return apply(function, values) if is_elementwise(function) else np.full(values.size, np.nan)

    def needs(self, site: Site, values: Sequence[Values], live: Sequence[Flags]) -> Sequence[Flags]:
        """Each channel by itself, or all of them."""
        if is_elementwise(_function(site.layer)):
            return super().needs(site, values, live)
        return ChannelRule.needs(self, site, values, live)


@register_rule(L.Softmax, L.UnitNormalization)
class MixingRule(ChannelRule):
    """What divides each channel by all of them: over the channel axis they have to stay."""

    def flow(self, call: Call, inputs: tuple[Flow, ...], trace: Trace) -> Sequence[Flow]:
        """The same channels, kept."""
        if len(inputs) != 1:
            raise BarrierError("takes a mask as a second tensor")
        trace.pin(inputs[0].ids)
        return [inputs[0]]


@register_rule(L.PReLU)
class PReLURule(PerChannelRule):
    """A slope for each channel, shared over space or not."""

    def flow(self, call: Call, inputs: tuple[Flow, ...], trace: Trace) -> Sequence[Flow]:
        """The same channels, bound to the slopes."""
        axis = inputs[0].axis
        inputs[0].at(axis)
        if call.layer.alpha.shape[axis - 1] == 1:
            raise BarrierError("shares its slopes over the channels")
        trace.bind(call.layer, f"axis {axis}", inputs[0].ids)
        return [inputs[0]]

    def value(self, site: Site, values: Values) -> Values:
        """Zero stays zero, whatever the slope; a positive number too."""
        return np.where(values >= 0, values, np.nan)

    def layout(self, layer: Any, ports: Mapping[str, Ids]) -> Sequence[Layout]:
        """The slopes have the shape of the input without the batch."""
        return [tuple(ports.get(f"axis {index + 1}") for index in range(len(layer.alpha.shape)))]


def _function(layer: Any) -> Any:
    return layer.activation if isinstance(layer, L.Activation) else layer
