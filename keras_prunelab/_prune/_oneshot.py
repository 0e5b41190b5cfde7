"""Prune a trained model once, into a new model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from keras_prunelab._compaction._complete import complete_channels
from keras_prunelab._cost._target_budget import TargetBudget
from keras_prunelab._errors import InvalidSparsityError
from keras_prunelab._model._copy import copy_model
from keras_prunelab._model._data import calibration_of
from keras_prunelab._model._filters import Filters
from keras_prunelab._model._numbers import real_number
from keras_prunelab._model._prunable import maskable, prunable, share_of_zeros, weights_counted
from keras_prunelab._reconstruct._gram import DAMPING
from keras_prunelab._reconstruct._reconstruct import masks_of, solve_into
from keras_prunelab._reconstruct._solver import Mode, Solver, mode_of
from keras_prunelab._select import _conventions
from keras_prunelab._select._allocation import Scope
from keras_prunelab._select._conventions import Convention
from keras_prunelab._select._granularity import GranularityLike
from keras_prunelab._select._masks import MaskSet
from keras_prunelab._util._signatures import names_options
from keras_prunelab.scores import ScoreLike

from ._trajectory import trajectory

_LEVELS = [level / 1000 for level in range(1000)]


@names_options
def prune(
    model: keras.Model,
    sparsity: float | None = None,
    score: ScoreLike = "magnitude",
    *,
    budget: Mapping[str, float] | None = None,
    target: str = "ethos-u55-128",
    scope: Scope = "global",
    granularity: GranularityLike = "weight",
    calibration: Any = None,
    convention: str | Convention = "paper",
    include: Filters = None,
    exclude: Filters = None,
    reconstruct: bool | Mode = False,
    damping: float = DAMPING,
    data: Any = None,
) -> keras.Model:
    """Make a sparse copy of a model.

    The model itself is only read. The copy has the same layers, names and compiled state.

    Args:
        model: a built model: Sequential, functional, or a subclass that Keras can save.
        sparsity: the share of the prunable weights to set to zero, in [0, 1). Exactly round(s N) of them go,
            halves rounded up; with `convention="matlab"` all that tie with the last of these go too.
        budget: instead of a sparsity, what the model may take on `target`: `{"flash": 60_000, "cycles": 0.5}`, several
            at once. Numbers from 1 on are bytes of `"flash"` and `"sram"`, or `"cycles"`; below 1 they are shares of
            what the whole model takes. The lowest sparsity in steps of 0.1 % is searched for with some ten compilations
            of its int8 file, and the result is compiled once more. These are estimates of a compiler: see `metrics`.
        target: of `budget`, the NPU: `"ethos-u55-128"` and others, see `metrics`.
        score: what decides which go first: `"magnitude"`, `"synflow"`, `"random"`, `"snip"`, a `Score`, a function,
            and others: see `scores`.
        scope: `"global"` ranks all weights together; `"layer"` prunes the same share of each layer; `"erk"`,
            `"lamp"`, or an `Allocation`.
        granularity: what goes as a whole: `"weight"`; `"2:4"`; blocks such as `"4x4"`; `"kernel"`; `"channel"`.
            Of whole units as many go as come closest to the sparsity. With a channel goes all that makes it: its bias,
            and its scale and offset in a normalization that follows, so that what leaves it is exactly zero.
        calibration: what a score that needs data is computed on, and the weights are reconstructed on: inputs,
            `(inputs, labels)`, or batches of either.
        convention: `"paper"` prunes kernels; `"matlab"` follows MATLAB's example: all learnables.
        include: only what matches one of these; see `prunable`.
        exclude: nothing that matches one of these.
        reconstruct: whether the weights that are left are solved anew, so that each layer's outputs stay: True or
            `"sequential"`, one layer after the other, or `"layers"`, all at once; see `reconstruct`, which also tells
            what was solved.
        damping: the pull of reconstruction towards the old weights, see `reconstruct`.
        data: another name of `calibration`.

    Returns:
        The sparse copy.

    Raises:
        InvalidSparsityError: the sparsity is outside [0, 1), or scope or granularity do not allow it; or sparsity and
            budget are both given, or neither.
        UnknownNameError: there is no such score, scope, granularity, convention, goal, target, or layer of a filter.
        InvalidDataError: the score or the reconstruction needs data, and there is none or it does not fit.
        NothingToPruneError: no weight is left to prune, or the budget cannot be reached.
        InvalidModelError: the model is not built, has weights that are not finite, or cannot be copied; or it has no
            int8 form for the target.
        MissingBackendError: a budget needs `pip install "keras-prunelab[device]"`, and TensorFlow or torch.

    Examples:
        >>> import keras
        >>> import keras_prunelab as kpl
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(10)])
        >>> pruned = kpl.prune(model, 0.9)
        >>> kpl.sparsity(pruned), kpl.sparsity(model)
        (0.9, 0.0)
    """
    if (sparsity is None) == (budget is None):
        raise InvalidSparsityError(
            f"sparsity={sparsity!r} and budget={budget!r}: give one of them, such as sparsity=0.9, or "
            "budget={'flash': 60_000} with target=."
        )
    if budget is not None:
        limits = TargetBudget.checked(budget, target)

        def at(level: float, how: bool | Mode) -> keras.Model:
            return prune(
                model,
                level,
                score,
                scope=scope,
                granularity=granularity,
                calibration=calibration_of(calibration, data=data),
                convention=convention,
                include=include,
                exclude=exclude,
                reconstruct=how,
                damping=damping,
            )

        return limits.search(model, _LEVELS, lambda level: at(level, False), lambda level: at(level, reconstruct))
    if sparsity is None or real_number(sparsity) is None:
        raise InvalidSparsityError(f"sparsity={sparsity!r} is to be one number in [0, 1), such as 0.9 for 90 %.")
    rules, mode = _conventions.get(convention), mode_of(reconstruct)
    found = prunable(model, include, exclude, learnables=rules.learnables)
    calibration = calibration_of(calibration, data=data)
    solver = None if mode is None else Solver.of(model, calibration, damping)
    path = trajectory(
        model,
        sparsity,
        score,
        scope=scope,
        granularity=granularity,
        convention=rules,
        prunables=found,
        calibration=calibration,
    )
    masks = path.masks(0)
    if path.granularity == "channel":
        masks = complete_channels(model, masks)
    pruned = copy_model(model)
    # By position: the path of a variable without a name of its own counts up from copy to copy.
    pairs = zip(maskable(model), maskable(pruned), strict=True)
    MaskSet({its.path: masks[item.path] for item, its in pairs if item.path in masks}).apply(pruned)
    if solver is not None and mode is not None:
        solve_into(pruned, solver, masks_of(solver.layers, maskable(model), masks), mode)
    return pruned


def sparsity(
    model: keras.Model,
    *,
    convention: str | Convention = "paper",
    include: Filters = None,
    exclude: Filters = None,
) -> float:
    """Measure the share of a model's prunable weights that are zero; the whole numbers of a quantized model count too.

    Args:
        model: a built model.
        convention: which weights count: kernels with `"paper"`, all learnables with `"matlab"`.
        include: only what matches one of these; see `prunable`.
        exclude: nothing that matches one of these.

    Returns:
        Zeros divided by weights, in [0, 1].

    Raises:
        NothingToPruneError: no variable is left.
        InvalidModelError: the model is not built.

    Examples:
        >>> import keras
        >>> import numpy as np
        >>> import keras_prunelab as kpl
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
        >>> model.layers[0].set_weights([np.float32([[1, 0], [2, 3]]), np.float32([0, 0])])
        >>> kpl.sparsity(model)
        0.25
    """
    learnables = _conventions.get(convention).learnables
    return share_of_zeros(weights_counted(model, include, exclude, learnables=learnables))
