"""The masks of one score at every sparsity of a sweep, held in little memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import keras
from numpy.typing import ArrayLike

from keras_prunelab._model._data import calibration_of
from keras_prunelab._model._prunable import prunable
from keras_prunelab._model._variables import Prunables
from keras_prunelab._select import _allocation, _conventions, _granularity
from keras_prunelab._select._allocation import Scope
from keras_prunelab._select._conventions import Convention
from keras_prunelab._select._granularity import GranularityLike
from keras_prunelab._select._level_masks import LevelMasks
from keras_prunelab._select._masks import MaskSet
from keras_prunelab._select._search import OnStep, Search
from keras_prunelab._select._selection import check, check_sparsities
from keras_prunelab._util._signatures import names_options
from keras_prunelab.scores import ScoreContext, ScoreLike, check_data
from keras_prunelab.scores import get as get_score


@dataclass(frozen=True)
class Trajectory:
    """The masks of one score at several sparsities.

    Attributes:
        score: the name of the score.
        scope: how the sparsity is shared out among the layers, in words: `"global"`, `"layer"`, ...
        granularity: what goes as a whole: `"weight"`, `"2:4"`, `"channel"`, ...
        convention: the name of the convention.
        sparsities: the levels that were asked for, ascending, each once; `masks` and `zeros` count along
            them.
        total: N, the number of prunable weights.
    """

    score: str
    scope: str
    granularity: str
    convention: str
    sparsities: tuple[float, ...]
    total: int
    _store: LevelMasks = field(repr=False)

    def __len__(self) -> int:
        return len(self.sparsities)

    def masks(self, level: int) -> MaskSet:
        """The masks at one level.

        Args:
            level: the index of the level in `sparsities`.

        Returns:
            The masks.

        Raises:
            IndexError: there is no such level.
        """
        return self._store.masks(self._checked(level))

    def zeros(self, level: int) -> int:
        """The number of pruned weights at one level, without making its masks.

        Args:
            level: the index of the level in `sparsities`.

        Returns:
            The number; divided by `total` it is the sparsity reached.

        Raises:
            IndexError: there is no such level.
        """
        return sum(self._store.zeros(self._checked(level)).values())

    def zeros_by_variable(self, level: int) -> Mapping[str, int]:
        """The number of pruned weights of each variable at one level.

        Args:
            level: the index of the level in `sparsities`.

        Returns:
            The numbers, by the variables' paths.

        Raises:
            IndexError: there is no such level.
        """
        return self._store.zeros(self._checked(level))

    def _checked(self, level: int) -> int:
        if not -len(self) <= level < len(self):
            raise IndexError(f"There is no level {level}; this trajectory has {len(self)}.")
        return level % len(self)


@names_options
def trajectory(
    model: keras.Model,
    sparsities: float | ArrayLike,
    score: ScoreLike = "magnitude",
    *,
    scope: Scope = "global",
    granularity: GranularityLike = "weight",
    convention: str | Convention = "paper",
    prunables: Prunables | None = None,
    calibration: Any = None,
    on_level: OnStep | None = None,
    on_score: Callable[[str], None] | None = None,
    data: Any = None,
) -> Trajectory:
    """Compute the masks of one score at several sparsities.

    The model is only read.

    Args:
        model: a built model.
        sparsities: shares of the weights to prune, each in [0, 1), in any order.
        score: what `scores.get` takes.
        scope: `"global"` ranks all weights together; `"layer"` prunes the same share of each layer, where
            k = round(s n) holds for each layer's own n, or with channels for each kernel's; `"erk"`, `"lamp"`, or an
            `Allocation`.
        granularity: what goes as a whole: `"weight"`, `"2:4"`, blocks such as `"4x4"`, `"kernel"`, `"channel"`.
        convention: `"paper"`, `"matlab"`, or a `Convention`.
        prunables: the variables to prune; by default those of the model that the convention counts.
        calibration: inputs, or (inputs, labels), or batches of either, for a score that needs them.
        on_level: called as `on_level(done, total)` when a level is done.
        on_score: called with what a score that takes long is at, in words: `obs` says what it will cost.
        data: another name of `calibration`.

    Returns:
        The masks at all levels.

    Raises:
        InvalidSparsityError: a sparsity is outside [0, 1), or the scope or granularity does not allow it.
        UnknownNameError: there is no such score, scope, granularity or convention.
        InvalidDataError: the score needs data and got none, or returned scores that do not fit.
        InvalidModelError: the model is not built, or weights are not finite.
        NothingToPruneError: the model has no prunable weight.
    """
    levels, rules, scorer = check_sparsities(sparsities), _conventions.get(convention), get_score(score)
    share, grain = _allocation.get(scope), _granularity.get(granularity)
    found = prunable(model, learnables=rules.learnables) if prunables is None else prunables
    data = calibration_of(calibration, data=data)
    check_data(scorer, data)
    context = ScoreContext(model, found, found.views(), data, rules.flow, str(grain), levels)
    context = context if on_score is None else replace(context, tell=on_score)
    search = Search(scorer, context, rules, share, grain, on_level)
    check(found, levels[-1], share, grain)
    return Trajectory(scorer.name, str(share), str(grain), rules.name, levels, found.total, search(levels))
