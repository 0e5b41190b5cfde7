"""Wrappers: what the layer inside does, at every step of a sequence or in both directions."""

# ruff: noqa: ARG002 # the methods of a rule are given what any rule may need

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_prunelab._channels._channels import BarrierError, Flags, Flow, Ids, Layout, Site, Trace, Values
from keras_prunelab._channels._graph import Call, IntoSteps, OutOfSteps, step_of

from ._base import ChannelRule, Count, balance, ids_of
from ._merge import product
from ._recurrent import RecurrentRule
from ._registry import register_rule, rule_of
from ._shape import AxesRule

L = keras.layers


@register_rule(L.TimeDistributed)
class TimeDistributedRule(ChannelRule):
    """The rule of the layer inside, whose axes are one further to the front."""

    def flow(self, call: Call, inputs: tuple[Flow, ...], trace: Trace) -> Sequence[Flow]:
        """The inner layer's, with the time axis put back."""
        inner = call.layer.layer
        rule = rule_of(inner)
        if rule is None:
            raise BarrierError(f"holds {type(inner).__name__}, which has no rule")
        if len(inputs) > 1 or len(call.outputs) > 1:
            raise BarrierError("takes or gives several tensors")
        outputs = rule.flow(step_of(call), tuple(_earlier(flow) for flow in inputs), trace)
        trace.ports(call.layer).update(trace.ports(inner))
        return [Flow(flow.axis + 1, flow.ids) for flow in outputs]

    def constants(self, site: Site, values: Sequence[Values]) -> Sequence[Values]:
        rule, inner = _inside(site)
        return rule.constants(inner, values)

    def needs(self, site: Site, values: Sequence[Values], live: Sequence[Flags]) -> Sequence[Flags]:
        rule, inner = _inside(site)
        return rule.needs(inner, values, live)

    def keep(self, site: Site, values: Sequence[Values], needed: Sequence[Flags]) -> Sequence[Flags]:
        rule, inner = _inside(site)
        return rule.keep(inner, values, needed)

    def keep_inside(self, site: Site, values: Sequence[Values], live: Sequence[Flags]) -> Sequence[tuple[Ids, Flags]]:
        rule, inner = _inside(site)
        return rule.keep_inside(inner, values, live)

    def layout(self, layer: Any, ports: Mapping[str, Ids]) -> Sequence[Layout]:
        rule = rule_of(layer.layer)
        return rule.layout(layer.layer, ports) if rule else super().layout(layer, ports)

    def kept_weights(self, site: Site, layout: Sequence[Layout], kept: Flags) -> list[Flags]:
        """The inner layer's."""
        rule, inner = _inside(site)
        return rule.kept_weights(inner, layout, kept)

    def rows(self, site: Site) -> Sequence[Ids]:
        rule, inner = _inside(site)
        return rule.rows(inner)

    def restore(self, site: Site, removed: Flags) -> Ids:
        rule, inner = _inside(site)
        return rule.restore(inner, removed)

    def config(self, site: Site, count: Count) -> dict[str, Any]:
        rule, inner = _inside(site)
        return {"layer": {"config": rule.config(inner, count)}}

    def new_bias(self, layer: Any) -> dict[str, Any]:
        rule = rule_of(layer.layer)
        return {"layer": {"config": rule.new_bias(layer.layer) if rule else {}}}

    def fold(self, site: Site, weights: list[NDArray[Any]], folded: Sequence[Values]) -> list[NDArray[Any]]:
        rule, inner = _inside(site)
        return rule.fold(inner, weights, folded)

    def rescale(self, site: Site, weights: list[NDArray[Any]], count: Count) -> list[NDArray[Any]]:
        rule, inner = _inside(site)
        return rule.rescale(inner, weights, count)


@register_rule(IntoSteps)
class IntoStepsRule(AxesRule):
    """The same channels, one axis further to the front."""

    def axis(self, layer: Any, axis: int) -> int:
        """Without the time axis."""
        if axis < 2:
            raise BarrierError("has its channels along the time axis")
        return axis - 1


@register_rule(OutOfSteps)
class OutOfStepsRule(AxesRule):
    """The same channels, one axis further to the back."""

    def axis(self, layer: Any, axis: int) -> int:
        """With the time axis."""
        return axis + 1


def _inside(site: Site) -> tuple[ChannelRule, Site]:
    rule = rule_of(site.layer.layer)
    assert rule is not None, "flow has found it"  # noqa: S101 # for the type checker
    inputs, outputs = (tuple(map(_earlier, flows)) for flows in (site.inputs, site.outputs))
    return rule, Site(step_of(site.call), inputs, outputs, site.ports, site.weights)


def _earlier(flow: Flow) -> Flow:
    if flow.axis < 2:
        raise BarrierError("has its channels along the time axis")
    return Flow(flow.axis - 1, flow.ids)


@register_rule(L.Bidirectional)
class BidirectionalRule(ChannelRule):
    """Two recurrent layers over the same sequence; both keep as many units."""

    def flow(self, call: Call, inputs: tuple[Flow, ...], trace: Trace) -> Sequence[Flow]:
        """The units of both, in a row or coupled."""
        layer = call.layer
        if len(inputs) > 1:
            raise BarrierError("is given its initial states by other layers")
        both = []
        for way, inner in _ways(layer):
            rule = rule_of(inner)
            if not isinstance(rule, RecurrentRule):
                raise BarrierError(f"holds {type(inner).__name__}, which is none of SimpleRNN, LSTM and GRU")
            both.append(rule.flow(_one_way(call, inner), inputs, trace)[0])
            ports = {f"{way} {name}": ids for name, ids in trace.ports(inner).items()}
            trace.ports(layer).update(ports)
        forward, backward = both
        if forward.ids.size != backward.ids.size:
            raise BarrierError("has two layers of different sizes")
        if layer.merge_mode is None:
            merged = [forward, backward]
        elif layer.merge_mode == "concat":
            merged = [Flow(forward.axis, ids_of(forward.ids, backward.ids))]
        else:
            trace.couple(forward.ids, backward.ids)
            merged = [forward]
        states = (len(call.outputs) - len(merged)) // 2
        return [*merged, *(Flow(1, flow.ids) for flow in both for _ in range(states))]

    def constants(self, site: Site, values: Sequence[Values]) -> Sequence[Values]:
        """The constants of both directions, merged as the layer merges its outputs."""
        one, two = (rule.constants(inner, values)[0] for rule, inner in _directions(site))
        merge = _merge(site.layer.merge_mode, one, two)
        states = (len(site.outputs) - len(merge)) // 2
        return [*merge, *[one] * states, *[two] * states]

    def needs(self, site: Site, values: Sequence[Values], live: Sequence[Flags]) -> Sequence[Flags]:
        parts = [
            rule.needs(inner, values, each)
            for (rule, inner), each in zip(_directions(site), _live(site, live), strict=True)
        ]
        return [parts[0][0] | parts[1][0]]

    def keep(self, site: Site, values: Sequence[Values], needed: Sequence[Flags]) -> Sequence[Flags]:
        parts = [rule.keep(inner, values, needed)[0] for rule, inner in _directions(site)]
        return [parts[0] | parts[1]]

    def keep_inside(self, site: Site, values: Sequence[Values], live: Sequence[Flags]) -> Sequence[tuple[Ids, Flags]]:
        """The units of both."""
        sides = zip(_directions(site), _live(site, live), strict=True)
        return [pair for (rule, inner), each in sides for pair in rule.keep_inside(inner, values, each)]

    def layout(self, layer: Any, ports: Mapping[str, Ids]) -> Sequence[Layout]:
        rows: list[Layout] = []
        for way, inner in _ways(layer):
            rule = rule_of(inner)
            if rule is not None:
                rows += rule.layout(inner, _ports(way, ports))
        return rows

    def rows(self, site: Site) -> Sequence[Ids]:
        """The units of each."""
        return [np.stack([site.ports["forward units"], site.ports["backward units"]])]

    def restore(self, site: Site, removed: Flags) -> Ids:
        """Both directions keep the same number of units."""
        (rows,) = self.rows(site)
        return balance(rows, removed[rows])

    def config(self, site: Site, count: Count) -> dict[str, Any]:
        forward, backward = (rule.config(inner, count) for rule, inner in _directions(site))
        return {"layer": {"config": forward}, "backward_layer": {"config": backward}}

    def fold(self, site: Site, weights: list[NDArray[Any]], folded: Sequence[Values]) -> list[NDArray[Any]]:
        """Constants are folded into the biases of both directions."""
        sides = zip(_directions(site), _parts(site.layer, weights), strict=True)
        return [weight for (rule, inner), part in sides for weight in rule.fold(inner, part, folded)]


def _ways(layer: Any) -> list[tuple[str, Any]]:
    return [("forward", layer.forward_layer), ("backward", layer.backward_layer)]


def _parts(layer: Any, weights: Sequence[NDArray[Any]]) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    """The weights of both; one may have a bias, and the other none."""
    ahead = len(layer.forward_layer.weights)
    return list(weights[:ahead]), list(weights[ahead:])


def _ports(way: str, ports: Mapping[str, Ids]) -> dict[str, Ids]:
    return {name.removeprefix(f"{way} "): ids for name, ids in ports.items() if name.startswith(f"{way} ")}


def _one_way(call: Call, inner: Any) -> Call:
    """The call of one of the two layers; its outputs are those that the sequence makes first."""
    return Call(inner, call.name, call.args, call.kwargs, call.inputs, call.outputs[:1])


def _directions(site: Site) -> list[tuple[RecurrentRule, Site]]:
    found = []
    for weights, (way, inner) in zip(_parts(site.layer, site.weights), _ways(site.layer), strict=True):
        rule, ports = rule_of(inner), _ports(way, site.ports)
        assert isinstance(rule, RecurrentRule), "flow has found it"  # noqa: S101 # for the type checker
        output = Flow(site.outputs[0].axis, ports["units"])
        found.append((rule, Site(_one_way(site.call, inner), site.inputs, (output,), ports, weights)))
    return found


def _merge(mode: str | None, one: Values, two: Values) -> list[Values]:
    if mode is None:
        return [one, two]
    if mode == "concat":
        return [np.concatenate([one, two])]
    return [{"sum": one + two, "ave": (one + two) / 2, "mul": product([one, two])}[mode]]


def _live(site: Site, live: Sequence[Flags]) -> list[list[Flags]]:
    """What is read of the forward layer, and of the backward layer."""
    mode = site.layer.merge_mode
    merged = np.split(live[0], 2) if mode == "concat" else [live[0], live[0 if mode else 1]]
    states = live[2 if mode is None else 1 :]
    half = len(states) // 2
    return [
        [merged[0], *states[:half]],
        [merged[1], *states[half:]],
    ]
