"""Filters cut out of a model, and the weights that are left solved anew, so that these make up for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from keras_prunelab._channels._analysis import Analysis, analyze
from keras_prunelab._channels._channels import Flags
from keras_prunelab._channels.rules import ChannelRule, rule_of
from keras_prunelab._channels.rules._normalization import ChannelMixingRule
from keras_prunelab._model._copy import copy_model
from keras_prunelab._reconstruct._gram import DAMPING
from keras_prunelab._reconstruct._reconstruct import solve_into
from keras_prunelab._reconstruct._solver import Mode, Solver, mode_of
from keras_prunelab._reconstruct._statistics import twins

from ._build import cut, smaller_layer


@dataclass(frozen=True)
class Fold:
    """How what removed filters have given goes into the weights that are left.

    Attributes:
        mode: one layer after the other, on what the smaller layers before it give, or all at once.
        data: inputs.
        damping: the pull towards the old weights.
    """

    mode: Mode
    data: Any = field(repr=False)
    damping: float

    @classmethod
    def checked(cls, model: keras.Model, reconstruct: Any, data: Any, damping: Any = DAMPING) -> Fold | None:
        """Check what `remove_filters` is asked for; None where nothing is to be solved.

        Raises:
            UnknownNameError: `reconstruct` is none of its values.
            InvalidDataError: there is no data, it has no end or does not fit the model, or the damping is negative.
        """
        mode = mode_of(reconstruct)
        if mode is None:
            return None
        return cls(mode, data, Solver(model, data, damping).damping)

    def cut(self, model: keras.Model, analysis: Analysis, removed: Flags) -> keras.Model:
        """Do what `_build.cut` does, with new weights.

        They are solved in a model of the old size whose removed filters are zero and read by nobody, which computes
        what the smaller one does: there every layer has its counterpart of the same shape.

        Raises:
            InvalidModelError: the model cannot be copy_model or built anew.
            InvalidDataError: the data is not finite, or there is too little of it.
        """
        if not removed.any():
            return cut(model, analysis, removed)
        kept = _kept_weights(analysis, removed)
        solver = Solver(model, self.data, self.damping)
        masked = copy_model(model)
        _mask(model, masked, kept)
        _mix_what_is_left(model, masked, analysis, removed)
        solve_into(masked, solver, [_flat(layer, kept) for layer in solver.layers], self.mode)
        return cut(masked, analyze(masked), removed)


def _kept_weights(analysis: Analysis, removed: Flags) -> dict[int, Flags]:
    """Which entries of each variable the smaller model has, by the variable's id."""
    kept = ~removed[analysis.labels]
    return {
        id(variable): flags
        for rule, site in analysis.layers().values()
        if isinstance(site.layer, keras.layers.Layer)
        for variable, flags in zip(
            site.layer.weights, rule.kept_weights(site, analysis.layout(rule, site), kept), strict=True
        )
    }


def _mask(model: keras.Model, copy: keras.Model, kept: dict[int, Flags]) -> None:
    """Make zero in a copy of a model what the smaller one will not have."""
    for variable, its in zip(model.weights, copy.weights, strict=True):
        flags = kept.get(id(variable))
        if flags is not None and not flags.all():
            its.assign(np.where(flags, keras.ops.convert_to_numpy(its), 0))


def _mix_what_is_left(model: keras.Model, copy: keras.Model, analysis: Analysis, removed: Flags) -> None:
    """Let normalizations over the channels see in a copy of a model those alone that the smaller one will have."""
    kept = ~removed[analysis.labels]
    found = [(rule, site) for rule, site in analysis.layers().values() if _mixes(rule, site.layer)]
    ours = [site.layer for _, site in found]
    for (rule, site), layer in zip(found, twins(model, ours, copy), strict=True):
        flow = site.inputs[0]
        if not kept[flow.ids].all():
            vars(layer)["call"] = _among(smaller_layer(rule, site, analysis, kept), flow.axis, kept[flow.ids])


def _mixes(rule: ChannelRule, layer: Any) -> bool:
    inner = rule_of(layer.layer) if isinstance(layer, keras.layers.TimeDistributed) else rule
    return isinstance(inner, ChannelMixingRule)


def _among(small: Any, axis: int, kept: Flags) -> Callable[..., Any]:
    """What a smaller layer makes of the channels that are kept; the others are zero."""
    places = np.flatnonzero(kept)
    back = np.where(kept, np.cumsum(kept) - 1, places.size)

    def call(inputs: Any, *_: Any, **__: Any) -> Any:
        made = small(keras.ops.take(inputs, places, axis))
        zero = keras.ops.zeros_like(keras.ops.take(made, [0], axis))
        return keras.ops.take(keras.ops.concatenate([made, zero], axis), back, axis)

    return call


def _flat(layer: Any, kept: dict[int, Flags]) -> Flags:
    """Which of a layer's weights are left, in one array."""
    return np.concatenate([np.ravel(kept.get(id(each), np.ones(each.shape, np.bool_))) for each in layer.weights])
