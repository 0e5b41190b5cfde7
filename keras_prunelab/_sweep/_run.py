"""The execution of a plan: what is known already, what is to be measured, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from keras_prunelab._errors import SweepStoppedError

from ._bench import Bench, Dense, Outcome, Task
from ._curve_masks import CurveMasks
from ._plan import Curve, Plan, Point
from ._refine import AutoLevels
from ._store import Store

Tell = Callable[[int, int, str], None]
"""Called with the number of finished points, of all points as far as they are known, and what happens now."""


class Executor(Protocol):
    """Measures points, here or elsewhere."""

    def dense(self) -> Dense:
        """Measure the network before pruning."""

    def run(self, points: Sequence[Point], prepared: Callable[[Point], CurveMasks]) -> Iterator[tuple[Point, Outcome]]:
        """Measure points; they come as they are done.

        Args:
            points: curves and levels.
            prepared: gives a point's curve, with masks for it.
        """


class InProcess:
    """Measures one point after the other.

    Args:
        bench: where.
        task: what the bench was given.
    """

    def __init__(self, bench: Bench, task: Task) -> None:
        self._bench = bench
        self._numbers = {curve: number for number, curve in enumerate(task.curves)}

    def dense(self) -> Dense:
        """Measure the network before pruning."""
        return self._bench.dense()

    def run(self, points: Sequence[Point], prepared: Callable[[Point], CurveMasks]) -> Iterator[tuple[Point, Outcome]]:
        """Measure points in their order."""
        curve: Curve | None = None
        for point in points:
            if point.curve is not curve:
                self._bench.restore()  # a score is of the dense network, not of what the curve before it left
                curve = point.curve
            levels = [other.level for other in points if other.curve is curve]
            masks = prepared(point).masks
            yield point, self._bench.measure(self._numbers[point.curve], point.level, masks, levels)


@dataclass
class SweepRun:
    """A plan under way.

    Attributes:
        plan: the points.
        masks: the masks of each curve that is measured.
        store: where finished points are kept, or None.
        tell: is told how far it is.
        dense: the network before pruning, once it is measured.
        outcomes: what was measured, by curve and level.
        complete: whether nobody interrupted, and nothing failed.
        failure: what ended it early, after points were measured: a worker, the memory, the disk.
        describe: a point as text, for the store.
        is_described: whether the store has what all points have in common.
    """

    plan: Plan
    masks: dict[Curve, CurveMasks]
    store: Store | None
    tell: Tell
    dense: Dense | None = None
    outcomes: dict[Curve, dict[float, Outcome]] = field(default_factory=dict)
    complete: bool = True
    failure: SweepStoppedError | None = None
    describe: Callable[[Point, Outcome], str] = lambda *_: ""
    is_described: bool = False
    _asked: dict[Curve, tuple[float, ...]] = field(default_factory=dict)

    def execute(self, executor: Executor) -> None:
        """Measure everything that the store does not know; Ctrl-C or a failure ends it with what there is until then.

        Raises:
            SweepStoppedError: a worker, the memory or the disk failed before anything was measured.
        """
        self.outcomes = {curve: {} for curve in self.masks}
        self._asked = dict.fromkeys(self.masks, self.plan.first_levels)
        try:
            self.dense = self._dense(executor)
            while points := self._missing():
                for point, outcome in executor.run(points, self._prepared):
                    self.outcomes[point.curve][point.level] = outcome  # first: the disk of the store may be full
                    if self.store is not None:
                        self.store.add(point, outcome, self.describe(point, outcome))
                    self._note(point, outcome)
                self._refine()
        except KeyboardInterrupt:
            if self.dense is None:
                raise
            self.complete = False
        except Exception as error:
            if not _is_from_outside(error) or (self.dense is None and isinstance(error, OSError)):
                raise
            self.complete, self.failure = False, _stopped(error, self._done, has_store=self.store is not None)
            self.failure.__cause__ = error
            if self.dense is None:
                raise self.failure from error

    def rows(self) -> Iterator[tuple[Point, Point, Outcome]]:
        """The points that were measured, in the plan's order, each with the point that stands for it."""
        for curve in self.plan.curves:
            its = self.plan.measured[curve]
            for level, outcome in sorted(self.outcomes.get(its, {}).items()):
                yield Point(curve, level), Point(its, level), outcome

    def _dense(self, executor: Executor) -> Dense:
        known = self.store.dense if self.store is not None else None
        if known is not None:
            return known
        self.tell(0, self._total, "dense network")
        dense = executor.dense()
        if self.store is not None:
            self.store.dense = dense
        return dense

    def _missing(self) -> list[Point]:
        """The points to measure next, without those that the store knows."""
        missing = []
        for curve, levels in self._asked.items():
            for level in levels:
                if level in self.outcomes[curve]:
                    continue
                point = Point(curve, level)
                known = self.store.outcome(point) if self.store is not None else None
                if known is None:
                    missing.append(point)
                else:
                    self._prepared(point)
                    self._note(point, known)
        if not missing and isinstance(self.plan.levels, AutoLevels) and self._refine():
            return self._missing()
        return missing

    def _refine(self) -> bool:
        """Ask for more levels where a curve needs them, with all seeds: their mean is of the same ones everywhere."""
        if not isinstance(self.plan.levels, AutoLevels) or self.dense is None:
            return False
        metric, before = self.dense.metric, dict(self._asked)
        more: dict[tuple[str, str, str], set[float]] = {}
        for curve, outcomes in self.outcomes.items():
            measured = {level: outcome.measures[metric.name] for level, outcome in outcomes.items()}
            if set(self._asked[curve]) <= measured.keys():
                wanted = self.plan.levels.next(measured, self.dense.measures[metric.name], metric)
                more.setdefault(curve.key[:3], set()).update(wanted)
        self._asked = {
            curve: tuple(sorted({*levels, *more.get(curve.key[:3], ())})) for curve, levels in before.items()
        }
        return self._asked != before

    def _prepared(self, point: Point) -> CurveMasks:
        masks, levels = self.masks[point.curve], self._asked[point.curve]
        if point.curve.finetune is None or point.curve.finetune.rounds == 1:
            name = point.curve.score.name
            if point.level not in masks:
                self.tell(self._done, self._total, f"{name}, masks")
            masks.prepare(
                levels,
                self.plan,
                lambda level, count: self.tell(self._done, self._total, f"{name}, masks {level} of {count}"),
                lambda what: self.tell(self._done, self._total, f"{name}: {what}"),
            )
        return masks

    def _note(self, point: Point, outcome: Outcome) -> None:
        self.outcomes[point.curve][point.level] = outcome
        self.tell(self._done, self._total, str(point))

    @property
    def _done(self) -> int:
        return sum(len(self.outcomes[self.plan.measured[curve]]) for curve in self.plan.curves)

    @property
    def _total(self) -> int:
        return sum(len(self._asked[self.plan.measured[curve]]) for curve in self.plan.curves)


def _is_from_outside(error: Exception) -> bool:
    """Whether memory, a disk, a backend or a worker failed, and not the call: other levels were measured well."""
    return isinstance(error, MemoryError | OSError | RuntimeError) or _is_of_worker(error)


def _is_of_worker(error: Exception) -> bool:
    """Whether a process is gone, in the words of joblib, of the standard library or of Dask."""
    return type(error).__name__ in {"TerminatedWorkerError", "BrokenProcessPool", "BrokenExecutor", "KilledWorker"}


def _stopped(error: Exception, done: int, *, has_store: bool) -> SweepStoppedError:
    """What ended a sweep, what is left of it, and how to go on."""
    if _is_of_worker(error):
        reason = "A worker process was ended from outside, perhaps because memory ran out; fewer workers= take less."
    elif isinstance(error, MemoryError):
        reason = "Memory ran out; a smaller batch size or fewer observations take less."
    else:
        reason = f"{str(error).strip().rstrip('.') or type(error).__name__}."
    further = "The same call goes on from the store." if has_store else "store= keeps points in a file, to go on from."
    return SweepStoppedError(
        f"The sweep broke off after {done} measured points, which are in result. {reason} {further}"
    )
