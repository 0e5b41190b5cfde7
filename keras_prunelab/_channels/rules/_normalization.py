"""Normalizations: those over the batch treat each channel alone; those over channels keep all of them."""

# ruff: noqa: ARG002 # the methods of a rule are given what any rule may need

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_prunelab._channels._channels import BarrierError, Flags, Flow, Ids, Layout, Site, Trace, Values
from keras_prunelab._channels._graph import Call

from ._base import ChannelRule, Count, balance
from ._per_channel import PerChannelRule
from ._registry import register_rule

L = keras.layers


@register_rule(L.BatchNormalization)
class BatchNormalizationRule(PerChannelRule):
    """A scale and an offset for each channel, from statistics that do not change outside of training."""

    def flow(self, call: Call, inputs: tuple[Flow, ...], trace: Trace) -> Sequence[Flow]:
        """The same channels, bound to the statistics."""
        axis = call.layer.axis % len(call.inputs[0].shape)
        trace.bind(call.layer, "channels", inputs[0].at(axis))
        return [inputs[0]]

    def value(self, site: Site, values: Values) -> Values:
        """Its own value, normalized; the offset where the scale is zero."""
        layer, weights = site.layer, [np.asarray(weight, np.float64) for weight in site.weights]
        scale = weights.pop(0) if layer.scale else np.ones(values.size)
        offset = weights.pop(0) if layer.center else np.zeros(values.size)
        mean, variance = weights
        normal = scale * (values - mean) / np.sqrt(variance + layer.epsilon) + offset
        return np.where(scale == 0, offset, normal)

    def layout(self, layer: Any, ports: Mapping[str, Ids]) -> Sequence[Layout]:
        """All along the channels."""
        return [(ports["channels"],)] * len(layer.weights)


class ChannelMixingRule(ChannelRule):
    """A normalization over the channels: what it makes of one depends on all of them, and on how many they are."""

    def axes(self, layer: Any, rank: int) -> tuple[int, ...]:
        """The axes that it normalizes over."""
        axis = layer.axis
        return tuple(one % rank for one in ((axis,) if isinstance(axis, int) else axis))

    def offset(self, site: Site) -> Values:
        """What each channel is where the scale is zero; NaN where it is not."""
        scale, *offset = site.weights
        zero = np.asarray(offset[0], np.float64) if offset else np.zeros(scale.shape)
        return np.where(scale == 0, zero, np.nan)

    def flow(self, call: Call, inputs: tuple[Flow, ...], trace: Trace) -> Sequence[Flow]:
        """The same channels, bound to scale and offset."""
        axes = self.axes(call.layer, len(call.inputs[0].shape))
        if axes != (inputs[0].axis,):
            raise BarrierError(f"normalizes over the axes {axes}, and the channels lie along axis {inputs[0].axis}")
        trace.bind(call.layer, "channels", inputs[0].at(inputs[0].axis))
        return [inputs[0]]

    def constants(self, site: Site, values: Sequence[Values]) -> Sequence[Values]:
        """The offset where the scale is zero."""
        return [self.offset(site) if self.has_scale(site.layer) else np.full(values[0].size, np.nan)]

    def has_scale(self, layer: Any) -> bool:
        """Whether the first weight is a scale."""
        return bool(layer.scale)

    def layout(self, layer: Any, ports: Mapping[str, Ids]) -> Sequence[Layout]:
        """All along the channels."""
        return [(ports["channels"],)] * len(layer.weights)


@register_rule(L.LayerNormalization)
class LayerNormalizationRule(ChannelMixingRule):
    """Over all channels of one position."""


@register_rule(L.RMSNormalization)
class RMSNormalizationRule(ChannelMixingRule):
    """Over all channels of one position, without an offset."""

    def has_scale(self, layer: Any) -> bool:
        """Always."""
        return True


@register_rule(L.GroupNormalization)
class GroupNormalizationRule(ChannelMixingRule):
    """Over the channels of a group: a whole group can go, or as many from each."""

    def axes(self, layer: Any, rank: int) -> tuple[int, ...]:
        """The channel axis: what it does over space does not matter here."""
        return (layer.axis % rank,)

    def needs(self, site: Site, values: Sequence[Values], live: Sequence[Flags]) -> Sequence[Flags]:
        """A group is read as a whole."""
        groups = live[0].reshape(self._groups(site), -1)
        return [np.repeat(groups.any(axis=1), groups.shape[1])]

    def rows(self, site: Site) -> Sequence[Ids]:
        """The channels of each group."""
        return [site.ports["channels"].reshape(self._groups(site), -1)]

    def restore(self, site: Site, removed: Flags) -> Ids:
        """Keep the groups of one size."""
        (rows,) = self.rows(site)
        whole: Flags = np.asarray(removed[rows].all(axis=1))
        if whole.all():
            whole[0] = False
        return balance(rows[~whole], removed[rows[~whole]])

    def config(self, site: Site, count: Count) -> dict[str, Any]:
        """The number of groups, without those that go as a whole."""
        (rows,) = self.rows(site)
        return {"groups": sum(count(row) > 0 for row in rows)}

    @staticmethod
    def _groups(site: Site) -> int:
        groups = site.layer.groups
        return site.ports["channels"].size if groups == -1 else int(groups)
