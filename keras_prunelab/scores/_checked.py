"""Running a score, and making sure of what it gives."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_prunelab._errors import InvalidDataError, InvalidModelError
from keras_prunelab._model._data import check_ends
from keras_prunelab._util._arrays import all_finite

from ._base import Score, ScoreContext


def check_data(score: Score, data: Any) -> None:
    """Make sure that a score has the data that it needs.

    Raises:
        InvalidDataError: there is none, it has no end, or it can be read only once.
    """
    if data is None and (score.needs_data or score.needs_labels):
        wanted = "(inputs, labels)" if score.needs_labels else "inputs"
        raise InvalidDataError(f"The score {score.name!r} needs data; give data={wanted}.")
    if score.needs_data or score.needs_labels:
        check_ends(data)


def check_scores(score: Score, context: ScoreContext) -> dict[str, NDArray[Any]]:
    """Score weights, and make sure that the scores can be ranked.

    Raises:
        InvalidDataError: an array is missing, or of another shape than its variable.
        InvalidModelError: a score is not finite.
    """
    scores = score(context)
    expected = {path: value.shape for path, value in context.values.items()}
    given = {path: np.shape(values) for path, values in scores.items()}
    if given != expected:
        path = min(path for path in given.keys() | expected.keys() if given.get(path) != expected.get(path))
        raise InvalidDataError(
            f"The score {score.name!r} must return one array a path, of the variable's shape; for {path!r} it returned "
            f"{given.get(path, 'nothing')}, where {expected.get(path, 'nothing')} was expected."
        )
    for path, values in scores.items():
        if not all_finite(values):
            raise InvalidModelError(
                f"The score {score.name!r} gave NaN or infinite scores for {path!r}, which cannot be ranked."
            )
    return scores
