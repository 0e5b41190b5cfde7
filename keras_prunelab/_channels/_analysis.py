"""The rules of all layers, applied to one model."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from keras_prunelab._model._prunable import refuse_lora

from ._barriers import reason_for
from ._channels import Barrier, BarrierError, Flags, Flow, Ids, Layout, Site, Trace, Values, is_made, weights_of
from ._graph import Call, Graph, Tensor, graph_of
from .rules import ChannelRule, rule_of


class BarrierRule(ChannelRule):
    """For a layer that nothing is known of: all around it stays."""

    def flow(self, call: Call, inputs: tuple[Flow, ...], trace: Trace) -> Sequence[Flow]:
        """Pin what goes in, and what comes out; see `ChannelRule.flow`."""
        for ids in (*(flow.ids for flow in inputs), *trace.ports(call.layer).values()):
            trace.pin(ids)
        return [trace.fixed(tensor) for tensor in call.outputs]


_BARRIER = BarrierRule()


@dataclass(frozen=True)
class Analysis:
    """Which channels of a model come and go together.

    Attributes:
        graph: the model's calls.
        sites: each call with its channels, in the same order.
        rules: the rule for each.
        labels: the group of each element.
        stays: for each group whether it has to stay, whatever its weights are.
        makers: for each element, the layer that makes it; None for the model's inputs and behind barriers.
        barriers: the layers that stay as they are.
        flows: the channels of each tensor.
    """

    graph: Graph
    sites: tuple[Site, ...]
    rules: tuple[ChannelRule, ...]
    labels: Ids
    stays: Flags
    makers: Sequence[Any]
    barriers: tuple[Barrier, ...]
    flows: Mapping[Tensor, Flow]
    _layouts: dict[int, Sequence[Layout]] = field(default_factory=dict, repr=False)

    def layers(self) -> dict[int, tuple[ChannelRule, Site]]:
        """For each layer, by its id, its rule and its first call."""
        found: dict[int, tuple[ChannelRule, Site]] = {}
        for rule, site in zip(self.rules, self.sites, strict=True):
            found.setdefault(id(site.layer), (rule, site))
        return found

    def makes(self, site: Site, ids: Ids) -> bool:
        """Whether it is a call's layer, or one inside it, that makes the channels along an axis."""
        maker = self.makers[ids[0]] if ids.size and isinstance(site.layer, keras.layers.Layer) else None
        return maker is not None and any(part is maker for part in site.layer._flatten_layers())

    def layout(self, rule: ChannelRule, site: Site) -> Sequence[Layout]:
        """Which elements lie along the axes of a layer's weights."""
        if id(site.layer) not in self._layouts:
            has_weights = isinstance(site.layer, keras.layers.Layer)
            self._layouts[id(site.layer)] = rule.layout(site.layer, site.ports) if has_weights else ()
        return self._layouts[id(site.layer)]

    def find_fixed_point(self, removed: Flags) -> Flags:
        """Take back what cannot go, so that whole groups go, nothing is left empty, and all sizes fit.

        Args:
            removed: for each group whether it is to go.

        Returns:
            For each group whether it goes.
        """
        removed = removed & ~self.stays
        axes = [flow.ids for flow in self.flows.values()]
        axes += [ids for site in self.sites for ids in site.ports.values()]
        distinct = list({id(ids): ids for ids in axes if ids.size}.values())
        while True:
            before = int(removed.sum())
            for ids in distinct:
                if removed[self.labels[ids]].all():
                    removed[self.labels[ids[0]]] = False
            for rule, site in zip(self.rules, self.sites, strict=True):
                removed[self.labels[rule.restore(site, removed[self.labels])]] = False
            if int(removed.sum()) == before:
                return removed


def analyze(model: Any) -> Analysis:
    """Find out which channels of a model come and go together.

    Args:
        model: a built functional or sequential model.

    Returns:
        The analysis.

    Raises:
        InvalidModelError: the model is none of these, or has LoRA.
    """
    graph = graph_of(model)
    refuse_lora(model)
    axes = {
        tensor: axis for call in graph.calls for tensor in call.inputs if (axis := _axis_read(call.layer, tensor.shape))
    }
    while True:
        analysis = _trace(graph, axes)
        further = _read_beside(analysis, axes)
        if not further:
            return analysis
        axes |= further


def _axis_read(layer: Any, shape: Sequence[int | None]) -> int | None:
    """The axis along which a layer reads channels, where it says so."""
    if isinstance(layer, keras.layers.TimeDistributed):
        axis = _axis_read(layer.layer, shape[1:])
        return axis and axis + 1
    if isinstance(layer, keras.layers.BatchNormalization):
        return int(layer.axis % len(shape))
    return 1 if getattr(layer, "data_format", None) == "channels_first" else None


def _read_beside(analysis: Analysis, axes: Mapping[Tensor, int]) -> dict[Tensor, int]:
    """The axis of tensors that no layer makes channels of, where they are joined with channels along another one."""
    found = {}
    for site in analysis.sites:
        inputs = list(zip(site.call.inputs, site.inputs, strict=True))
        for tensor, flow in inputs:
            alike = (other for each, other in inputs if len(each.shape) == len(tensor.shape))
            made = {other.axis for other in alike if is_made(analysis.makers, other)}
            if len(made) == 1 and flow.axis not in made and tensor not in axes:
                found[tensor] = max(made)
    return found


def _trace(graph: Graph, axes: Mapping[Tensor, int]) -> Analysis:
    trace = Trace(axes)
    for tensor in graph.inputs:
        trace.flows[tensor] = trace.fixed(tensor)
    barriers: dict[int, Barrier] = {}
    rules, sites = [], []
    weights: dict[int, Any] = {}
    for call in graph.calls:
        inputs = tuple(trace.flows[tensor] for tensor in call.inputs)
        for mask in call.masks:
            trace.pin(trace.flows[mask].ids)
        rule, outputs, barrier = _follow(call, inputs, trace, barriers)
        if barrier is not None and any(keras.backend.is_float_dtype(each.dtype) for each in call.outputs):
            barriers.setdefault(id(call.layer), barrier)
        trace.flows.update(zip(call.outputs, outputs, strict=True))
        values = weights.setdefault(id(call.layer), weights_of(call.layer))
        sites.append(Site(call, inputs, tuple(outputs), trace.ports(call.layer), values))
        rules.append(rule)
    for tensor in graph.outputs:
        trace.pin(trace.flows[tensor].ids)
    _couple_entries(graph, trace)
    labels, stays = trace.groups()
    return Analysis(
        graph, tuple(sites), tuple(rules), labels, stays, trace.makers, tuple(barriers.values()), dict(trace.flows)
    )


def _follow(
    call: Call, inputs: tuple[Flow, ...], trace: Trace, barriers: Mapping[int, Barrier]
) -> tuple[ChannelRule, Sequence[Flow], Barrier | None]:
    """What comes out of a call, by its layer's rule or by the barrier that it is."""
    rule = rule_of(call.layer)
    try:
        if rule is None:
            raise BarrierError(reason_for(call.layer))
        if id(call.layer) in barriers:
            raise BarrierError(barriers[id(call.layer)].reason)
        if not call.weights and not any(is_made(trace.makers, flow) for flow in inputs):
            # Nothing of it can go, so that its outputs may be read along any axis.
            return _BARRIER, _BARRIER.flow(call, inputs, trace), None
        if _has_constants(call):
            raise BarrierError("is given an array that no layer makes")
        outputs = rule.flow(call, inputs, trace)
        layer = call.layer
        if call.weights and len(rule.layout(layer, trace.ports(layer))) != len(call.weights):
            raise BarrierError("has other weights than its class makes, as after quantization or with LoRA")
    except BarrierError as error:
        barrier = Barrier(call.name, type(call.layer).__name__, str(error))
        return _BARRIER, _BARRIER.flow(call, inputs, trace), barrier
    return rule, outputs, None


def _has_constants(call: Call) -> bool:
    """Whether a call has an array among its arguments, which would have to be cut as well; masks have no channels."""
    given = [call.args, {name: value for name, value in call.kwargs.items() if not name.endswith("mask")}]
    leaves = (each for each in keras.tree.flatten(given) if not isinstance(each, Tensor))
    return any(math.prod(getattr(each, "shape", ())) > 1 for each in leaves)


def _couple_entries(graph: Graph, trace: Trace) -> None:
    """A nested model that is called several times has one input shape."""
    for tensors in graph.entries.values():
        first = trace.flows[tensors[0]]
        for tensor in tensors[1:]:
            flow = trace.flows[tensor]
            if flow.axis == first.axis and flow.ids.size == first.ids.size:
                trace.couple(first.ids, flow.ids)
            else:
                trace.pin(first.ids)
                trace.pin(flow.ids)


@dataclass(frozen=True)
class Removable:
    """What is known of a model's channels with its weights as they are.

    Attributes:
        groups: for each group whether it can go without a change of the outputs.
        values: for each tensor and channel the number that it always is; NaN where it varies.
        constants_kept: how many constant channels have to stay for the sake of a layer, by the layer's name.
    """

    groups: Flags
    values: Mapping[Tensor, Values]
    constants_kept: Mapping[str, int]


def find_removable(analysis: Analysis) -> Removable:
    """Find the channels whose removal changes nothing, or only a constant that a bias can take up.

    Args:
        analysis: of the model.

    Returns:
        What can go.
    """
    values = constants(analysis)
    live = {tensor: np.zeros(flow.ids.size, np.bool_) for tensor, flow in analysis.flows.items()}
    for tensor in analysis.graph.outputs:
        live[tensor][:] = True
    stays = np.zeros(analysis.stays.size, np.bool_)
    constants_kept: dict[str, int] = {}
    for rule, site in zip(reversed(analysis.rules), reversed(analysis.sites), strict=True):
        for mask in site.call.masks:
            live[mask][:] = True
        given = [values[tensor] for tensor in site.call.inputs]
        read = [live[tensor] & np.isnan(values[tensor]) for tensor in site.call.outputs]
        needed = rule.needs(site, given, read)
        kept = rule.keep(site, given, needed)
        for tensor, need in zip(site.call.inputs, needed, strict=True):
            live[tensor] = live[tensor] | need
        for flow, flags, constant in zip(site.inputs, kept, given, strict=True):
            stays[analysis.labels[flow.ids[flags]]] = True
            if rule is not _BARRIER and (count := int((flags & ~np.isnan(constant)).sum())):
                constants_kept[site.call.name] = constants_kept.get(site.call.name, 0) + count
        for ids, flags in rule.keep_inside(site, given, read):
            stays[analysis.labels[ids[flags]]] = True
    _keep_differing(analysis, values, stays, constants_kept)
    return Removable(analysis.find_fixed_point(~stays), values, dict(reversed(constants_kept.items())))


def constants(
    analysis: Analysis, change: Callable[[ChannelRule, Site, Sequence[Values]], None] | None = None
) -> dict[Tensor, Values]:
    """Which channels are always the same number.

    Args:
        analysis: of the model.
        change: may change the weights of a site before they are looked at, given the values of its inputs.

    Returns:
        For each tensor and channel the number; NaN where it varies.
    """
    values = {tensor: np.full(analysis.flows[tensor].ids.size, np.nan) for tensor in analysis.graph.inputs}
    for rule, site in zip(analysis.rules, analysis.sites, strict=True):
        given = [values[tensor] for tensor in site.call.inputs]
        if change is not None:
            change(rule, site, given)
        values.update(zip(site.call.outputs, rule.constants(site, given), strict=True))
    return values


def _keep_differing(
    analysis: Analysis, values: Mapping[Tensor, Values], stays: Flags, constants_kept: dict[str, int]
) -> None:
    """Keep channels of a shared layer whose constants differ between its calls: the layer has one bias for all."""
    calls: dict[int, list[tuple[ChannelRule, Site]]] = {}
    for rule, site in zip(analysis.rules, analysis.sites, strict=True):
        calls.setdefault(id(site.layer), []).append((rule, site))
    for shared in calls.values():
        rule, first = shared[0]
        if len(shared) == 1 or not first.call.weights or rule is _BARRIER:
            continue
        given = [[values[tensor] for tensor in site.call.inputs] for _, site in shared]
        read = rule.needs(first, given[0], [np.ones(flow.ids.size, np.bool_) for flow in first.outputs])
        for place, (flow, wanted) in enumerate(zip(first.inputs, read, strict=True)):
            if any(len(each) <= place for each in given) or len({each[place].size for each in given}) > 1:
                continue  # a state that only one call begins with, or positions that a table is looked up at
            found = np.stack([each[place] for each in given])
            same = np.all((found == found[0]) | (np.isnan(found) & np.isnan(found[0])), axis=0)
            differ = wanted & ~same
            stays[analysis.labels[flow.ids[differ]]] = True
            if differ.any():
                constants_kept[first.call.name] = constants_kept.get(first.call.name, 0) + int(differ.sum())
