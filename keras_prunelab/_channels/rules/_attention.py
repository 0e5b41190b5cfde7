"""Attention: heads, and the width of keys and values in all heads alike."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_prunelab._backend import attends_in_one_width
from keras_prunelab._channels._channels import BarrierError, Flags, Flow, Ids, Layout, Site, Trace, Values
from keras_prunelab._channels._graph import Call

from ._base import ChannelRule, Count, balance
from ._registry import register_rule

_ARGUMENTS = ("query", "value", "key")


@register_rule(keras.layers.MultiHeadAttention)
class MultiHeadAttentionRule(ChannelRule):
    """A head goes when nothing of it is read, or its values are zero.

    An index of keys or values goes when that is so in every head, because all heads are of one size. Values that are
    constant but not zero are not folded: where a sequence is masked as a whole, the backends do not agree that the
    weights of attention add up to 1.
    """

    def flow(self, call: Call, inputs: tuple[Flow, ...], trace: Trace) -> Sequence[Flow]:
        """Bind three inputs, make heads, keys, values and outputs."""
        layer = call.layer
        if len(call.outputs) > 1:
            raise BarrierError("gives out its attention scores")
        if layer.get_config().get("use_gate"):
            raise BarrierError("gates its heads")
        if len(layer.output_dense.kernel.shape) != 3:
            raise BarrierError("gives each output several axes")
        rank = len(call.outputs[0].shape)
        for roles, flow in zip(_roles(call), inputs, strict=True):
            for role in roles:
                trace.bind(layer, role, flow.at(rank - 1))
            if not roles:
                trace.pin(flow.ids)  # a mask
        trace.make(layer, "heads", layer.num_heads)
        trace.make(layer, "keys", layer.key_dim)
        trace.make(layer, "values", layer.value_dim)
        return [Flow(rank - 1, trace.make(layer, "out", layer.output_dense.kernel.shape[-1]))]

    def constants(self, site: Site, values: Sequence[Values]) -> Sequence[Values]:
        """The bias, where all heads that an output reads are zero."""
        kernel, *bias = self._weights(site, "attention_output")
        varies = (kernel[~self._zero(site, "value", values)] != 0).any(axis=0)
        return [np.where(varies, np.nan, bias[0] if bias else 0.0)]

    def needs(self, site: Site, values: Sequence[Values], live: Sequence[Flags]) -> Sequence[Flags]:
        """What heads that matter read."""
        matter = self._matter(site, values, live)
        needed = [np.zeros(flow.ids.size, np.bool_) for flow in site.inputs]
        for flags, roles in zip(needed, _roles(site.call), strict=True):
            for role in roles:
                flags |= (self._weights(site, role)[0][:, matter[role]] != 0).any(axis=1)
            if not roles:
                flags[:] = True
        return needed

    def keep(self, site: Site, values: Sequence[Values], needed: Sequence[Flags]) -> Sequence[Flags]:
        """What varies, and without biases what is not zero."""
        loose = [np.isnan(given) | ((given != 0) & (not site.layer.use_bias)) for given in values]
        return [flags & each for flags, each in zip(needed, loose, strict=True)]

    def keep_inside(self, site: Site, values: Sequence[Values], live: Sequence[Flags]) -> Sequence[tuple[Ids, Flags]]:
        """Heads, keys and values that matter."""
        matter = self._matter(site, values, live)
        return [
            (site.ports["heads"], np.asarray(matter["value"].any(axis=1))),
            (site.ports["keys"], np.asarray(matter["query"].any(axis=0))),
            (site.ports["values"], np.asarray(matter["value"].any(axis=0))),
        ]

    def layout(self, layer: Any, ports: Mapping[str, Ids]) -> Sequence[Layout]:
        """(in, heads, keys or values) three times, then (heads, values, out); each with its bias."""
        rows: list[Layout] = []
        for role in ("query", "key", "value"):
            inner = ports["values" if role == "value" else "keys"]
            rows += [(ports[role], ports["heads"], inner), (ports["heads"], inner)]
        rows += [(ports["heads"], ports["values"], ports["out"]), (ports["out"],)]
        return rows if layer.use_bias else rows[::2]

    def restore(self, site: Site, removed: Flags) -> Ids:
        """Where keys and values have to be of one width, as many of both go."""
        keys, values = site.ports["keys"], site.ports["values"]
        if not attends_in_one_width() or keys.size != values.size:
            return np.zeros(0, np.int64)
        rows = np.stack([keys, values])
        return balance(rows, removed[rows])

    def config(self, site: Site, count: Count) -> dict[str, Any]:
        """Fewer heads, narrower keys and values, fewer outputs."""
        ports = site.ports
        return {
            "num_heads": count(ports["heads"]),
            "key_dim": count(ports["keys"]),
            "value_dim": count(ports["values"]),
            "output_shape": (count(ports["out"]),),
        }

    def fold(self, site: Site, weights: list[NDArray[Any]], folded: Sequence[Values]) -> list[NDArray[Any]]:
        """Constant inputs go into the biases of queries, keys and values."""
        if site.layer.use_bias:
            done: set[str] = set()
            for given, roles in zip(folded, _roles(site.call), strict=True):
                for role in set(roles) - done:
                    index = 2 * ("query", "key", "value").index(role)
                    extra = np.tensordot(given, weights[index], axes=1)
                    weights[index + 1] = (weights[index + 1] + extra).astype(weights[index].dtype)
                done |= set(roles)
        return weights

    def rescale(self, site: Site, weights: list[NDArray[Any]], count: Count) -> list[NDArray[Any]]:
        """The scores are divided by the square root of the width of the keys."""
        factor = math.sqrt(count(site.ports["keys"]) / site.layer.key_dim)
        queries = 2 if site.layer.use_bias else 1
        return [
            (weight * factor).astype(weight.dtype) if index < queries else weight
            for index, weight in enumerate(weights)
        ]

    @staticmethod
    def _weights(site: Site, part: str) -> Sequence[NDArray[Any]]:
        step = 2 if site.layer.use_bias else 1
        start = ("query", "key", "value", "attention_output").index(part) * step
        return site.weights[start : start + step]

    def _zero(self, site: Site, role: str, values: Sequence[Values]) -> Flags:
        """Where a projection is always zero: (heads, keys or values)."""
        given = next(one for one, roles in zip(values, _roles(site.call), strict=True) if role in roles)
        kernel, *bias = self._weights(site, role)
        silent = ~(kernel[given != 0] != 0).any(axis=0)  # NaN, what varies, is not 0 either
        return np.asarray(silent & (bias[0] == 0) if bias else silent)

    def _matter(self, site: Site, values: Sequence[Values], live: Sequence[Flags]) -> dict[str, Flags]:
        """Which numbers in which head can change what is read."""
        read = (self._weights(site, "attention_output")[0][..., live[0]] != 0).any(axis=-1)
        value = read & ~self._zero(site, "value", values)
        pair = ~self._zero(site, "query", values) & ~self._zero(site, "key", values)
        pair &= value.any(axis=1)[:, None]
        return {"value": value, "query": pair, "key": pair}


def _roles(call: Call) -> list[tuple[str, ...]]:
    """What each input tensor is used as."""
    given = {**dict(zip(_ARGUMENTS, call.args, strict=False)), **call.kwargs}
    tensors = {role: given.get(role) for role in _ARGUMENTS}
    if tensors["key"] is None:
        tensors["key"] = tensors["value"]
    return [tuple(role for role in _ARGUMENTS if tensors[role] is tensor) for tensor in call.inputs]
