"""Layers that join several tensors: channel by channel, or one tensor's channels after another's."""

# ruff: noqa: ARG002 # the methods of a rule are given what any rule may need

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from keras_prunelab._channels._channels import BarrierError, Flags, Flow, Site, Trace, Values
from keras_prunelab._channels._graph import Call

from ._base import CarryingRule, ids_of
from ._registry import register_rule

L = keras.layers


class ElementwiseMergeRule(CarryingRule):
    """A function of several tensors, number by number, where a length of 1 is repeated.

    The channels with the same place go together. A tensor with one channel, such as a map that scales all channels,
    keeps it.
    """

    @abstractmethod
    def join(self, layer: Any, values: Sequence[Values]) -> Values:
        """What comes of constants, with NaN for what varies."""

    def flow(self, call: Call, inputs: tuple[Flow, ...], trace: Trace) -> Sequence[Flow]:
        """Couple what has the same place."""
        if len({len(tensor.shape) for tensor in call.inputs}) > 1:
            raise BarrierError("joins tensors with different numbers of axes")
        widest = max(inputs, key=lambda flow: flow.ids.size)
        widest.at(widest.axis)
        for tensor, flow in zip(call.inputs, inputs, strict=True):
            if _is_full(flow, widest):
                trace.couple(widest.ids, flow.ids)
            elif tensor.shape[widest.axis] == 1:
                trace.pin(flow.ids)
            else:
                raise BarrierError("joins tensors whose channels lie along different axes")
        return [widest]

    def constants(self, site: Site, values: Sequence[Values]) -> Sequence[Values]:
        size = site.outputs[0].ids.size
        full = [
            np.broadcast_to(given if _is_full(flow, site.outputs[0]) or given.size == 1 else np.array([np.nan]), size)
            for flow, given in zip(site.inputs, values, strict=True)
        ]
        return [self.join(site.layer, full)]

    def needs(self, site: Site, values: Sequence[Values], live: Sequence[Flags]) -> Sequence[Flags]:
        """A channel is read where its output is."""
        return [
            live[0] if _is_full(flow, site.outputs[0]) else np.full(flow.ids.size, live[0].any())
            for flow in site.inputs
        ]


def _is_full(flow: Flow, output: Flow) -> bool:
    return flow.axis == output.axis and flow.ids.size == output.ids.size


def join_constants(function: Callable[[Sequence[Values]], Values]) -> type[ElementwiseMergeRule]:
    """A rule for a function of arrays for which what varies in one varies in the result."""

    class JoinedRule(ElementwiseMergeRule):
        """What one NumPy function joins."""

        def join(self, layer: Any, values: Sequence[Values]) -> Values:
            """The function of the arrays."""
            del layer
            return function(values)

    return JoinedRule


def product(values: Sequence[Values]) -> Values:
    """A product, which a zero makes zero, whatever else varies."""
    zero = np.any([value == 0 for value in values], axis=0)
    return np.where(zero, 0.0, np.prod(values, axis=0))


SumRule = join_constants(lambda values: np.sum(values, axis=0))
DifferenceRule = join_constants(lambda values: values[0] - values[1])
ProductRule = join_constants(product)
MaximumRule = join_constants(lambda values: np.max(values, axis=0))
MinimumRule = join_constants(lambda values: np.min(values, axis=0))

register_rule(L.Add)(SumRule)
register_rule(L.Subtract)(DifferenceRule)
register_rule(L.Multiply)(ProductRule)
register_rule(L.Average)(join_constants(lambda values: np.mean(values, axis=0)))
register_rule(L.Maximum)(MaximumRule)
register_rule(L.Minimum)(MinimumRule)


@register_rule(L.Concatenate)
class ConcatenateRule(CarryingRule):
    """One after the other along the channel axis, or along another one, where the channels go together."""

    def flow(self, call: Call, inputs: tuple[Flow, ...], trace: Trace) -> Sequence[Flow]:
        """All channels in a row, or coupled."""
        axis = inputs[0].axis
        ids = [flow.at(axis) for flow in inputs]
        if self._along(call, axis):
            return [Flow(axis, ids_of(*ids))]
        for other in ids[1:]:
            trace.couple(ids[0], other)
        return [inputs[0]]

    def constants(self, site: Site, values: Sequence[Values]) -> Sequence[Values]:
        """In a row; along another axis those that are the same everywhere."""
        if self._along(site.call, site.outputs[0].axis):
            return [np.concatenate(values)]
        return [np.where(np.all([each == values[0] for each in values], axis=0), values[0], np.nan)]

    def needs(self, site: Site, values: Sequence[Values], live: Sequence[Flags]) -> Sequence[Flags]:
        if self._along(site.call, site.outputs[0].axis):
            return np.split(live[0], np.cumsum([flow.ids.size for flow in site.inputs])[:-1])
        return [live[0]] * len(site.inputs)

    @staticmethod
    def _along(call: Call, axis: int) -> bool:
        return bool(call.layer.axis % len(call.inputs[0].shape) == axis)
