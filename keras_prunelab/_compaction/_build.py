"""A smaller model: the same graph, with layers of fewer channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_prunelab._channels._analysis import Analysis
from keras_prunelab._channels._channels import Flags, Layout, Site, Values
from keras_prunelab._channels._graph import Tensor
from keras_prunelab._channels.rules import ChannelRule
from keras_prunelab._model._rebuild import assign_all, config_of, copy_of, inside, is_stepwise, keep_frozen, rebuild


def cut(
    model: keras.Model, analysis: Analysis, removed: Flags, values: Mapping[Tensor, Values] | None = None
) -> keras.Model:
    """Build a model without some of its channels.

    Args:
        model: the model, which is only read.
        analysis: of the model.
        removed: for each group of channels whether it goes; as `Analysis.find_fixed_point` returns it.
        values: the constants that go into the biases; None to drop channels as they are.

    Returns:
        A plain Keras model.

    Raises:
        InvalidModelError: the model cannot be built anew.
    """
    kept = ~removed[analysis.labels]
    plan = analysis.layers()
    made: list[tuple[Any, Any, Sequence[Any]]] = []

    def replace(layer: Any) -> Any:
        if id(layer) not in plan and is_stepwise(layer):
            return inside
        if id(layer) not in plan:  # an input, or what leads to no output
            return copy_of(layer) if isinstance(layer, keras.layers.Layer) else layer
        if not isinstance(layer, keras.layers.Layer):
            return _operation(*plan[id(layer)], kept)
        new, weights = _smaller(*plan[id(layer)], analysis, kept, values)
        made.append((layer, new, weights))
        return new

    shapes = {symbol: tensors[0] for symbol, tensors in analysis.graph.entries.items()}

    def shape_of(symbol: Any) -> tuple[int | None, ...]:
        shape = list(symbol.shape)
        flow = analysis.flows[shapes[id(symbol)]]
        if flow.ids.size:
            shape[flow.axis] = int(kept[flow.ids].sum())
        return tuple(shape)

    small = rebuild(model, replace, what="compacted", shape_of=shape_of)
    for layer, new, weights in made:
        assign_weights(new, weights, layer)
    return small


def _smaller(
    rule: ChannelRule, site: Site, analysis: Analysis, kept: Flags, values: Mapping[Tensor, Values] | None
) -> tuple[Any, list[NDArray[Any]]]:
    """The smaller layer, not built yet, and its weights."""
    layer, layout = site.layer, list(analysis.layout(rule, site))
    weights = list(site.weights)
    around = [flow.ids for flow in (*site.inputs, *site.outputs)]
    touched = any(not kept[ids].all() for ids in (*around, *site.ports.values()))
    if not touched:
        return copy_of(layer), weights

    def count(ids: NDArray[np.int64]) -> int:
        return int(kept[ids].sum())

    config = update_config(config_of(layer), rule.config(site, count))
    if values is not None:
        given = zip(site.call.inputs, site.inputs, strict=True)
        folded = [_fold(values[tensor], kept[flow.ids]) for tensor, flow in given]
        if any(each.any() for each in folded):
            weights = rule.fold(site, [np.array(weight) for weight in weights], folded)
    if len(weights) > len(layout):
        config = update_config(config, rule.new_bias(layer))
        layout.append((layout[-1][-1],))
    cut_weights = [_slice(weight, axes, kept) for weight, axes in zip(weights, layout, strict=True)]
    return type(layer).from_config(_unbuilt(config)), rule.rescale(site, cut_weights, count)


def smaller_layer(rule: ChannelRule, site: Site, analysis: Analysis, kept: Flags) -> Any:
    """A layer of the smaller model by itself, built.

    Args:
        rule: of the layer.
        site: its first call.
        analysis: of the model.
        kept: for each element whether it stays.
    """
    new, weights = _smaller(rule, site, analysis, kept, None)
    shape = list(site.call.inputs[0].shape)
    shape[site.inputs[0].axis] = int(kept[site.inputs[0].ids].sum())
    new.build(tuple(shape))
    assign_weights(new, weights, site.layer)
    return new


def _operation(rule: ChannelRule, site: Site, kept: Flags) -> Any:
    """An operation, which has no weights, with the arguments for fewer channels where some speak of their number."""
    changes = rule.config(site, lambda ids: int(kept[ids].sum()))
    return type(site.layer).from_config({**site.layer.get_config(), **changes}) if changes else site.layer


def _fold(values: Values, kept: Flags) -> Values:
    return np.where(kept | np.isnan(values), 0.0, values)


def _slice(weight: NDArray[Any], layout: Layout, kept: Flags) -> NDArray[Any]:
    for axis, ids in enumerate(layout):
        if ids is not None and not kept[ids].all():
            weight = np.compress(kept[ids], weight, axis=axis)
    return weight


def update_config(config: Any, changes: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with changes, also in the configurations inside it."""
    result = dict(config)
    for name, value in changes.items():
        result[name] = update_config(result[name], value) if isinstance(value, Mapping) else value
    return result


def _unbuilt(config: Any) -> Any:
    """A configuration without the input shapes of layers inside, which Keras would build them for."""
    if isinstance(config, dict):
        return {name: _unbuilt(value) for name, value in config.items() if name != "build_config"}
    return config


def assign_weights(layer: Any, weights: Sequence[Any], origin: Any) -> None:
    """Write arrays into the weights of a layer that was made anew; its random seeds begin anew.

    Args:
        layer: the new layer.
        weights: an array for each of its weights.
        origin: the layer that it was made of, whose frozen weights stay frozen.
    """
    by_id = dict(zip(map(id, layer.weights), weights, strict=True))
    assign_all(layer, [by_id.get(id(each), keras.ops.convert_to_numpy(each)) for each in layer.variables])
    keep_frozen(origin.weights, layer.weights)
