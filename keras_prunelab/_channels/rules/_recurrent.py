"""Recurrent layers: a unit is a channel of the output and of the state, with its columns in each gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_prunelab._channels._channels import BarrierError, Flags, Flow, Ids, Layout, Site, Trace, Values
from keras_prunelab._channels._elementwise import apply, is_elementwise
from keras_prunelab._channels._graph import Call

from ._base import ChannelRule, Count
from ._registry import register_rule

L = keras.layers


class RecurrentRule(ChannelRule):
    """A layer with one or several gates a unit. A unit whose candidate is always zero stays zero from the start.

    Other constants are none here: the state begins at zero, or as another layer says, such as the encoder of a
    translator, whose units then go together with these.
    """

    gates: int
    candidate: int
    """Which of the gates, in Keras' order, is what the state is made of."""
    states = 1
    """How many numbers a unit remembers."""

    def flow(self, call: Call, inputs: tuple[Flow, ...], trace: Trace) -> Sequence[Flow]:
        """Units come out, as the sequence and as the states."""
        layer = call.layer
        first, *states = inputs
        if len(states) not in (0, self.states):
            raise BarrierError(f"is given {len(inputs)} tensors")
        if layer.stateful:
            raise BarrierError("keeps its state from batch to batch")
        trace.bind(layer, "in", first.at(2))
        units = trace.make(layer, "units", layer.units)
        for state in states:
            trace.couple(units, state.at(1))
        if not (is_elementwise(layer.activation) and is_elementwise(_gate_activation(layer))):
            trace.pin(units)
        return [Flow(len(tensor.shape) - 1, units) for tensor in call.outputs]

    def constants(self, site: Site, values: Sequence[Values]) -> Sequence[Values]:
        """Units that stay zero."""
        zero = self.zero(site, values)
        return [np.where(zero, 0.0, np.nan)] * len(site.outputs)

    def zero(self, site: Site, values: Sequence[Values]) -> Flags:
        """Which units are always zero, whatever comes in."""
        layer = site.layer
        start = apply(layer.activation, np.zeros(1))[0] if is_elementwise(layer.activation) else np.nan
        if start != 0:
            return np.zeros(site.ports["units"].size, np.bool_)
        columns = slice(self.candidate * layer.units, (self.candidate + 1) * layer.units)
        kernel, recurrent, *bias = (weight[..., columns] for weight in site.weights)
        silent = ~(kernel[~_is_zero(values[0])] != 0).any(axis=0) & ~(recurrent != 0).any(axis=0)
        for one in bias:
            silent &= ~(one.reshape(-1, layer.units) != 0).any(axis=0)
        for state in values[1:]:
            silent &= _is_zero(state)
        return np.asarray(silent)

    def needs(self, site: Site, values: Sequence[Values], live: Sequence[Flags]) -> Sequence[Flags]:
        """What units that matter read."""
        kernel = site.weights[0].reshape(site.ports["in"].size, self.gates, -1)
        matter = self._matter(site, values, live)
        read = np.asarray((kernel != 0).any(axis=1)[:, matter].any(axis=1))
        return [read, *[matter] * (len(values) - 1)]

    def keep(self, site: Site, values: Sequence[Values], needed: Sequence[Flags]) -> Sequence[Flags]:
        """What varies; of the states, what the units hold."""
        states = [np.zeros(flags.size, np.bool_) for flags in needed[1:]]
        return [needed[0] & ~self._foldable(site, values[0]), *states]

    def keep_inside(self, site: Site, values: Sequence[Values], live: Sequence[Flags]) -> Sequence[tuple[Ids, Flags]]:
        """Units that other units listen to."""
        return [(site.ports["units"], self._matter(site, values, live))]

    def layout(self, layer: Any, ports: Mapping[str, Ids]) -> Sequence[Layout]:
        """Kernel (in, gates x units), recurrent kernel (units, gates x units), bias."""
        gated = np.tile(ports["units"], self.gates)
        rows: list[Layout] = [(ports["in"], gated), (ports["units"], gated)]
        if layer.use_bias:
            rows.append((None, gated) if len(layer.weights[2].shape) == 2 else (gated,))
        return rows

    def config(self, site: Site, count: Count) -> dict[str, Any]:
        return {"units": count(site.ports["units"])}

    def fold(self, site: Site, weights: list[NDArray[Any]], folded: Sequence[Values]) -> list[NDArray[Any]]:
        """Constant inputs go into the bias of the input's product."""
        if site.layer.use_bias and folded[0].any():  # without one, what is left out is not read
            bias = weights[2].reshape(-1, weights[0].shape[1])
            bias[0] += (folded[0] @ weights[0]).astype(bias.dtype)
            weights[2] = bias.reshape(weights[2].shape)
        return weights

    @staticmethod
    def _foldable(site: Site, values: Values) -> Flags:
        return ~np.isnan(values) if site.layer.use_bias else _is_zero(values)

    def _matter(self, site: Site, values: Sequence[Values], live: Sequence[Flags]) -> Flags:
        """Units that somebody reads, or that such a unit listens to, and that are not always zero."""
        units = site.ports["units"].size
        listens = (site.weights[1].reshape(units, self.gates, units) != 0).any(axis=1)  # [from, to]
        varies = ~self.zero(site, values)
        matter = np.any(live, axis=0) & varies
        while (more := matter | (listens[:, matter].any(axis=1) & varies)).sum() > matter.sum():
            matter = more
        return np.asarray(matter)


@register_rule(L.SimpleRNN)
class SimpleRNNRule(RecurrentRule):
    """One gate: the unit itself."""

    gates, candidate = 1, 0


@register_rule(L.LSTM)
class LSTMRule(RecurrentRule):
    """Input, forget, cell, output; the state and the output are zero where the cell's candidate is."""

    gates, candidate, states = 4, 2, 2


@register_rule(L.GRU)
class GRURule(RecurrentRule):
    """Update, reset, candidate."""

    gates, candidate = 3, 2


def _is_zero(values: Values) -> Flags:
    return np.asarray(values == 0)


def _gate_activation(layer: Any) -> Any:
    return getattr(layer, "recurrent_activation", None)
