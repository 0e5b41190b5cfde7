"""The masks of one curve, at whichever levels are asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras

from keras_prunelab._errors import InvalidModelError
from keras_prunelab._prune._trajectory import Trajectory, trajectory
from keras_prunelab._reconstruct._solver import Solver
from keras_prunelab._result._mask_source import CopiedMasks
from keras_prunelab._select._masks import MaskSet
from keras_prunelab._select._search import OnStep

from ._fingerprint import digest_of_weights
from ._plan import Curve, Plan
from ._pruning import Pruning
from ._refine import AutoLevels
from ._solving import solved_copy, trained_copy


@dataclass(frozen=True)
class CurveMasks:
    """The masks of one curve, before any training.

    Attributes:
        curve: the curve.
        pruning: how it is pruned.
        model: the model, which has its dense weights whenever `prepare` is called.
        data: what scores are computed on.
        solver: gives what solves weights anew.
        weights: the digest of the dense weights; empty where nobody asks for networks.
    """

    curve: Curve
    pruning: Pruning
    model: keras.Model = field(repr=False)
    data: Any = field(repr=False)
    solver: Callable[[], Solver] | None = field(default=None, repr=False)
    _known: dict[float, tuple[Trajectory, int]] = field(default_factory=dict, repr=False)
    weights: str = ""

    def __reduce__(self) -> Any:
        """Copies of a result hold the masks, without the model and the data."""
        return CopiedMasks, tuple(vars(CopiedMasks.of(self, self._known)).values())

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

    def network(self, level: float, /) -> keras.Model:
        """A copy of the model, pruned to a level, solved anew and trained as it was measured.

        Raises:
            InvalidModelError: the model has changed since.
        """
        if digest_of_weights(self.model) != self.weights:
            raise InvalidModelError(
                f"Model {self.model.name!r} has other weights by now than when it was swept, so that the network of "
                "this point cannot be made. Put them back with model.set_weights, or sweep the model as it is now."
            )
        if self.curve.finetune is not None:
            return trained_copy(self.model, self.pruning, self.curve, level, self.masks(level), self.solver)
        return solved_copy(self.model, self.pruning, self.applied(level), self.curve.reconstruct, self.solver)
