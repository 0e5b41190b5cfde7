"""How a sweep prunes: its options, checked, and the masks of each of its curves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from keras_prunelab._compaction._complete import complete_channels
from keras_prunelab._model._filters import Filters
from keras_prunelab._model._prunable import maskable, prunable
from keras_prunelab._model._variables import Prunable, Prunables
from keras_prunelab._prune._trajectory import Trajectory, trajectory
from keras_prunelab._reconstruct._solver import Solver
from keras_prunelab._select import _conventions, _granularity
from keras_prunelab._select._conventions import Convention
from keras_prunelab._select._granularity import Granularity, GranularityLike
from keras_prunelab._select._masks import Masks, MaskSet
from keras_prunelab._select._search import OnStep, Search, check_together
from keras_prunelab._select._selection import check
from keras_prunelab.scores import ScoreContext, check_data

from ._plan import Curve, Plan
from ._refine import AutoLevels


@dataclass(frozen=True)
class Pruning:
    """The options of pruning, checked.

    Attributes:
        convention: the rules that masks follow.
        granularity: what goes as a whole.
        prunables: the variables to prune.
    """

    convention: Convention
    granularity: Granularity
    prunables: Prunables

    @classmethod
    def of(
        cls,
        model: keras.Model,
        convention: str | Convention = "paper",
        granularity: GranularityLike = "weight",
        include: Filters = None,
        exclude: Filters = None,
    ) -> Pruning:
        """Check options against a model."""
        rules = _conventions.get(convention)
        found = prunable(model, include, exclude, learnables=rules.learnables)
        return cls(rules, _granularity.get(granularity), found)

    def check(self, plan: Plan, data: Any) -> None:
        """Make sure that every curve of a plan can be pruned, before anything runs."""
        highest = plan.first_levels[-1]
        for curve in plan.curves:
            check_together(self.convention, curve.scope, self.granularity)
            check_data(curve.score, data)
            check(self.prunables, highest, curve.scope, self.granularity)

    def of_copy(self, model: keras.Model, copy: keras.Model) -> Pruning:
        """The same for a copy of the model: its variables, under the names that they have here."""
        # By position: the path of a variable without a name of its own counts up from copy to copy.
        places = {id(item.variable): place for place, item in enumerate(prunable(model, learnables="all"))}
        theirs = prunable(copy, learnables="all")
        items = tuple(replace(theirs[places[id(item.variable)]], path=item.path) for item in self.prunables)
        return replace(self, prunables=replace(self.prunables, items=items))

    def touched(self, model: keras.Model, copy: keras.Model) -> Sequence[Prunable]:
        """The variables of a copy that completed masks are for, under the names that they have here."""
        if self.granularity.kind != "channel":
            return self.of_copy(model, copy).prunables
        names = self._names(model)
        pairs = zip(maskable(model), maskable(copy), strict=True)
        return [replace(its, path=names.get(item.path, item.path)) for item, its in pairs]

    def completed(self, model: keras.Model, masks: MaskSet) -> MaskSet:
        """Masks over all that goes with what they prune, as `prune` applies them; the model has its dense weights."""
        if self.granularity.kind != "channel":
            return masks
        names = self._names(model)
        whole = complete_channels(model, {own: masks[path] for own, path in names.items()})
        return MaskSet({names.get(own, own): mask for own, mask in whole.items()})

    def _names(self, model: keras.Model) -> dict[str, str]:
        """The names here, by those that the variables have in the model: in a worker they may differ."""
        here = {id(item.variable): item.path for item in self.prunables}
        found = prunable(model, learnables="all")
        return {item.path: here[id(item.variable)] for item in found if id(item.variable) in here}

    def further(self, curve: Curve, model: keras.Model, data: Any, kept: Masks, sparsity: float) -> Masks:
        """Prune a model, as it is now, from the masks that it has to a sparsity."""
        grain, flow = str(self.granularity), self.convention.flow
        context = ScoreContext(model, self.prunables, self.prunables.views(), data, flow, grain, (sparsity,))
        search = Search(curve.score, context, self.convention, curve.scope, self.granularity, None)
        return search.further(dict(kept), sparsity)


class MaskSource(Protocol):
    """What gives the masks of one curve."""

    def masks(self, level: float, /) -> MaskSet:
        """The masks at a level that was asked for."""

    def applied(self, level: float, /) -> MaskSet:
        """The masks with all that goes with a channel, ready to be applied."""


@dataclass(frozen=True)
class CurveMasks:
    """The masks of one curve, before any training.

    Attributes:
        curve: the curve.
        pruning: how it is pruned.
        model: the model, which has its dense weights whenever `prepare` is called.
        data: what scores are computed on.
        solver: gives what solves weights anew.
    """

    curve: Curve
    pruning: Pruning
    model: keras.Model = field(repr=False)
    data: Any = field(repr=False)
    solver: Callable[[], Solver] | None = field(default=None, repr=False)
    _known: dict[float, tuple[Trajectory, int]] = field(default_factory=dict, repr=False)

    def prepare(
        self,
        levels: Sequence[float],
        plan: Plan,
        on_level: OnStep | None = None,
        on_score: Callable[[str], None] | None = None,
    ) -> None:
        """Find the masks of levels that are not known yet."""
        new = [level for level in levels if level not in self._known]
        if not new:
            return
        score = self.curve.score
        if (
            isinstance(plan.levels, AutoLevels)
            and score.follows_masks
            and self.pruning.convention.rescoring == "levels"
        ):
            new = list(plan.levels.grid)  # masks at one level depend on those before it, measured or not
        path = trajectory(
            self.model,
            new,
            score,
            scope=self.curve.scope,
            granularity=self.pruning.granularity,
            convention=self.pruning.convention,
            prunables=self.pruning.prunables,
            data=self.data,
            on_level=on_level,
            on_score=on_score,
        )
        self._known.update({level: (path, index) for index, level in enumerate(path.sparsities)})

    def __contains__(self, level: float) -> bool:
        return level in self._known

    def known(self, level: float) -> tuple[Trajectory, int]:
        """Where the masks of a level are."""
        return self._known[level]

    def masks(self, level: float, /) -> MaskSet:
        """The masks at a level."""
        path, index = self._known[level]
        return path.masks(index)

    def applied(self, level: float, /) -> MaskSet:
        """The masks with all that goes with a channel; the model has its dense weights."""
        return self.pruning.completed(self.model, self.masks(level))

    def zeros(self, level: float) -> Mapping[str, int]:
        """The number of pruned weights of each variable at a level."""
        path, index = self._known[level]
        return path.zeros_by_variable(index)


@dataclass(frozen=True)
class TrainedMasks:
    """The masks of a curve that was pruned while it was trained: one bit a weight and level."""

    shapes: Mapping[str, tuple[int, ...]]
    bits: Mapping[float, NDArray[np.uint8]] = field(repr=False)

    def masks(self, level: float, /) -> MaskSet:
        """The masks at a level."""
        return MaskSet.unpacked(self.shapes, self.bits[level])

    def applied(self, level: float, /) -> MaskSet:
        """The same masks: biases and normalizations were trained on."""
        return self.masks(level)
