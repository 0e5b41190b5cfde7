"""Layers that `keras.applications` has of its own, and does not export."""

# ruff: noqa: ARG002 # the methods of a rule are given what any rule may need

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras.src.applications.convnext import LayerScale, StochasticDepth
from keras.src.applications.inception_resnet_v2 import CustomScaleLayer

from keras_prunelab._channels._channels import Flow, Ids, Layout, Site, Trace, Values
from keras_prunelab._channels._graph import Call

from ._base import Count
from ._merge import ElementwiseMergeRule
from ._per_channel import PassingRule, PerChannelRule
from ._registry import register_rule

register_rule(StochasticDepth)(PassingRule)


@register_rule(LayerScale)
class LayerScaleRule(PerChannelRule):
    """A factor for each channel."""

    def flow(self, call: Call, inputs: tuple[Flow, ...], trace: Trace) -> Sequence[Flow]:
        """The same channels, bound to the factors."""
        trace.bind(call.layer, "channels", inputs[0].at(len(call.inputs[0].shape) - 1))
        return [inputs[0]]

    def value(self, site: Site, values: Values) -> Values:
        """The product; zero where the factor is."""
        factor = np.asarray(site.weights[0], np.float64)
        return np.where(factor == 0, 0.0, factor * values)

    def layout(self, layer: Any, ports: Mapping[str, Ids]) -> Sequence[Layout]:
        """One factor a channel."""
        return [(ports["channels"],)]

    def config(self, site: Site, count: Count) -> dict[str, Any]:
        return {"projection_dim": count(site.ports["channels"])}


@register_rule(CustomScaleLayer)
class ScaledSumRule(ElementwiseMergeRule):
    """The first tensor, and the second times a number."""

    def join(self, layer: Any, values: Sequence[Values]) -> Values:
        return np.asarray(values[0] + layer.scale * values[1])


@register_rule(keras.layers.Rescaling)
class RescalingRule(PerChannelRule):
    """A number times the input and an offset, or one of each for every channel of the model's input."""

    def value(self, site: Site, values: Values) -> Values:
        """The rescaled constants, where factor and offset are single numbers."""
        scale, offset = site.layer.scale, site.layer.offset
        if np.size(scale) > 1 or np.size(offset) > 1:
            return super().value(site, values)
        return np.asarray(values * scale + offset)

    def flow(self, call: Call, inputs: tuple[Flow, ...], trace: Trace) -> Sequence[Flow]:
        """The same channels, which stay where each has a factor of its own."""
        if np.size(call.layer.scale) > 1 or np.size(call.layer.offset) > 1:
            trace.pin(inputs[0].ids)
        return super().flow(call, inputs, trace)
