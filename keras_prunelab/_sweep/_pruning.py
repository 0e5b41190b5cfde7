"""How a sweep prunes: its options, checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras

from keras_prunelab._compaction._complete import complete_channels
from keras_prunelab._model._filters import Filters
from keras_prunelab._model._prunable import maskable, prunable
from keras_prunelab._model._variables import Prunable, Prunables
from keras_prunelab._select import _conventions, _granularity
from keras_prunelab._select._conventions import Convention
from keras_prunelab._select._granularity import Granularity, GranularityLike
from keras_prunelab._select._masks import Masks, MaskSet
from keras_prunelab._select._search import Search, check_together
from keras_prunelab._select._selection import check
from keras_prunelab.scores import ScoreContext, check_data

from ._plan import Curve, Plan


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
