"""The curves of a lab: the scores as they are, obs with its weights solved anew, and networks trained after pruning."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from . import _console

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import keras_prunelab as kpl
    from matlab_bridge import Dataset

    from ._calibration import Calibration
    from ._inputs import OpenedModel
    from ._sweeps import Levels

_FURTHER = 4  # levels that are solved one layer after the other
_TRAINED = 24  # levels at which networks are trained, at most


@dataclass(frozen=True)
class Lab:
    """A network, what it is measured on, and at which levels.

    Attributes:
        opened: the network.
        dataset: what is measured.
        levels: the sparsities, ascending, or how they are found.
        condition: what a choice has to meet, as `choose` takes it.
        calibration: what weights are solved on; None for what is measured.
        store: where points are kept, each sweep in a file of its own beside it; None where they are not.
        groups: variables that put each observation into a group, by name; None for none.
    """

    opened: OpenedModel
    dataset: Dataset
    levels: Levels
    condition: Mapping[str, Any]
    calibration: Calibration | None
    store: Path | None
    groups: Mapping[str, Any] | None = None

    def measure(
        self, scores: str, convention: str | None, *, reconstruct: bool, training: kpl.FineTune | None
    ) -> kpl.SweepResult:
        """Measure all curves, and say how far each goes.

        Args:
            scores: those that are measured as they are.
            convention: how weights are counted; None for that of the network.
            reconstruct: whether obs is added.
            training: how networks are trained; None where they are not.
        """
        from ._sweeps import run_without_collapse

        result = run_without_collapse(
            self.opened, self.dataset, self.levels, scores, convention=convention, store=self.store, groups=self.groups
        )
        solved = self._obs(result) if reconstruct and result.complete else None
        if solved is not None:
            result = self._with_obs(result, solved)
        if training is not None and result.complete:
            result = self._with_training(result, training, has_obs=solved is not None)
        if self.calibration is not None:
            result = replace(result, metadata={**result.metadata, "calibration": self.calibration.fact})
        if reconstruct or training is not None:
            self._tell(result)
        return result

    def measure_more(
        self, name: str, levels: Levels, scores: str, like: kpl.SweepResult, **options: Any
    ) -> kpl.SweepResult:
        """One more sweep; `name` tells its store from those of the others."""
        from ._sweeps import run_sweep, store_beside

        options |= {"store": store_beside(self.store, name), "groups": self.groups}
        given = {} if self.calibration is None else {"calibration": self.calibration.inputs}
        return run_sweep(self.opened, self.dataset, levels, scores, convention=like.convention, **given, **options)

    def _obs(self, result: kpl.SweepResult) -> kpl.SweepResult | None:
        """The curve of obs, solved anew; None where it cannot rank the network, as with a layer of one's own."""
        import keras_prunelab as kpl

        from ._sweeps import tell_cost

        tell_cost(self.opened, "obs")
        try:
            return self.measure_more("obs", self.levels, "obs", result, reconstruct=True)
        except (kpl.InvalidModelError, kpl.InvalidDataError) as error:
            _console.warn(str(error))
            return None

    def _with_obs(self, result: kpl.SweepResult, solved: kpl.SweepResult) -> kpl.SweepResult:
        """The result with the curve of obs; and from its choice on, solved one layer after the other."""
        from ._reports import choose

        result = result.join(solved)
        choice, _ = choose(solved, self.condition) if solved.complete else (None, None)
        if choice is None:
            return result
        further = [level for level in _tested(solved) if level >= choice.sparsity_target][:_FURTHER]
        begun = time.monotonic()
        # The curve before still has the statistics and the trace of this one.
        again = self.measure_more("sequential", further, "obs", result, reconstruct="sequential")
        note = f"{len(further)} levels from {choice.sparsity_target:.1%} on, the choice of obs"
        _console.say(f"Solved one layer after the other at {note}, in {time.monotonic() - begun:.0f} s.")
        joined = result.join(again)
        return replace(joined, metadata={**joined.metadata, "sequential": f"solved at {note}"})

    def _with_training(self, result: kpl.SweepResult, training: kpl.FineTune, *, has_obs: bool) -> kpl.SweepResult:
        """The result with the curves of networks that are trained after pruning, at some of the levels."""
        tested = _tested(result)
        some = tested[:: -(-len(tested) // _TRAINED)]
        plain = list(dict.fromkeys(result.table.loc[result.table["training"] == "none", "score"]))
        count = len(some) * (len(plain) + has_obs)
        _console.say(f"Training: {count} networks, {training} each, on {len(training.data[0]):,} observations.")
        result = result.join(self.measure_more("trained", some, ",".join(plain), result, finetune=training))
        if has_obs and result.complete:
            result = result.join(
                self.measure_more("obs-trained", some, "obs", result, reconstruct=True, finetune=training)
            )
        return replace(result, metadata={**result.metadata, "trained": f"{training}, at {len(some)} levels"})

    def _tell(self, result: kpl.SweepResult) -> None:
        """Say how far each curve goes."""
        from keras_prunelab._errors import PruneLabError

        for curve in result.scores:
            try:
                choice = result.choose(**self.condition, score=curve)
            except PruneLabError:
                continue
            _console.say(
                f"{curve}: {choice.sparsity:.1%} of the weights go at {result.metric.label} "
                f"{result.metric.text(choice.accuracy)} (dense {result.metric.text(result.dense)})."
            )


def _tested(result: kpl.SweepResult) -> list[float]:
    """The levels of a result, ascending."""
    return sorted(set(result.table["sparsity_target"]))
