"""How much each group of channels matters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeAlias

import keras
import numpy as np
from numpy.typing import NDArray

from keras_prunelab._channels._analysis import Analysis
from keras_prunelab._channels._channels import Ids
from keras_prunelab._errors import InvalidModelError, UnknownNameError
from keras_prunelab._model._prunable import prunable
from keras_prunelab.scores import Score, ScoreContext, ScoreLike, check_data, check_scores
from keras_prunelab.scores import get as get_score

FilterScoreLike: TypeAlias = "Literal['l1', 'l2', 'fpgm', 'bn_scale', 'group'] | ScoreLike"
Importance: TypeAlias = NDArray[np.float64]
"""One number a group; NaN where the score says nothing about it."""

_OF_FILTERS = ("l1", "l2", "fpgm", "bn_scale", "group")


def importance(model: keras.Model, analysis: Analysis, score: FilterScoreLike, data: Any) -> Importance:
    """Score the groups of a model's channels.

    Args:
        model: the model.
        analysis: of the model.
        score: as for `remove_filters`.
        data: what the score needs.

    Returns:
        The importance of each group.

    Raises:
        UnknownNameError: there is no such score.
        InvalidDataError: the score needs data, and there is none or it does not fit.
        InvalidModelError: `"bn_scale"`, and the model has no batch normalization with a scale.
    """
    sums = np.zeros(analysis.stays.size)
    seen = np.zeros(analysis.stays.size, np.bool_)
    for ids, values in _parts(model, analysis, score, data):
        np.add.at(sums, analysis.labels[ids], values)
        seen[analysis.labels[ids]] = True
    if not seen.any():
        raise InvalidModelError(
            f"score={score!r} finds nothing to go by in model {model.name!r}: 'bn_scale' needs BatchNormalization "
            "with scale=True. 'l1' goes by the filters themselves."
        )
    return np.where(seen, sums, np.nan)


def _parts(model: Any, analysis: Analysis, score: Any, data: Any) -> Iterator[tuple[Ids, NDArray[Any]]]:
    """Elements, and what each adds to the importance of its group."""
    if score == "bn_scale":
        for _, site in analysis.layers().values():
            if type(site.layer) is keras.layers.BatchNormalization and site.layer.scale and "channels" in site.ports:
                yield site.ports["channels"], np.abs(np.asarray(site.weights[0], np.float64))
        return
    if score == "group":
        yield from _slices(analysis, lambda _, weight: np.square(np.asarray(weight, np.float64)), made_only=False)
        return
    if score == "fpgm":
        yield from _distances(analysis)
        return
    try:
        scorer: Score = get_score("magnitude" if score in ("l1", "l2") else score)
    except UnknownNameError as error:
        names = ", ".join(map(repr, _OF_FILTERS))
        raise UnknownNameError(f"{error} Of filters there are also {names}.") from error
    scores = _scores_of_weights(model, scorer, data)
    power = 2 if score == "l2" else scorer.group_norm
    yield from _slices(analysis, lambda variable, _: scores.get(id(variable)), power=power)


def _scores_of_weights(model: keras.Model, score: Score, data: Any) -> dict[int, NDArray[Any]]:
    check_data(score, data)
    found = prunable(model, learnables="all" if score.needs_labels else "weights")
    scores = check_scores(score, ScoreContext(model, found, found.values(), data))
    return {id(item.variable): scores[item.path] for item in found}


def _slices(
    analysis: Analysis,
    value: Callable[[Any, NDArray[Any]], NDArray[Any] | None],
    *,
    power: int = 1,
    made_only: bool = True,
) -> Iterator[tuple[Ids, NDArray[Any]]]:
    """For each weight and each axis with channels on it, the sums over the other axes."""
    for rule, site in analysis.layers().values():
        if not isinstance(site.layer, keras.layers.Layer):
            continue
        layout = analysis.layout(rule, site)
        learnables = site.call.learnables  # without the statistics of normalizations
        for variable, weight, axes in zip(site.layer.weights, site.weights, layout, strict=True):
            found = value(variable, weight)
            if found is None or id(variable) not in learnables:
                continue
            for axis, ids in enumerate(axes):
                if ids is None or not ids.size or (made_only and not analysis.makes(site, ids)):
                    continue
                others = tuple(each for each in range(found.ndim) if each != axis)
                yield ids, (np.asarray(found, np.float64) ** power).sum(axis=others)


def _distances(analysis: Analysis) -> Iterator[tuple[Ids, NDArray[Any]]]:
    """How far each filter is from the others of its layer: near the geometric median others can stand for it.

    He et al., Filter pruning via geometric median, CVPR 2019, https://arxiv.org/abs/1811.00250.
    """
    for rule, site in analysis.layers().values():
        if not isinstance(site.layer, keras.layers.Layer):
            continue
        for weight, axes in zip(site.weights, analysis.layout(rule, site), strict=True):
            for axis, ids in enumerate(axes):
                if ids is None or weight.ndim < 2 or not analysis.makes(site, ids):
                    continue
                rows = np.moveaxis(np.asarray(weight, np.float64), axis, 0).reshape(ids.size, -1)
                squares = np.square(rows).sum(axis=1)
                between = np.maximum(squares[:, None] + squares - 2 * rows @ rows.T, 0)
                yield ids, np.sqrt(between).sum(axis=1)
