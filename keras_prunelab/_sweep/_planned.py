"""A sweep that has been checked and not yet begun, and how it becomes a result."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import keras
import numpy as np
import pandas as pd

from keras_prunelab._evaluate._evaluate import Metrics, listed
from keras_prunelab._evaluate._file_metrics._meter import FileMeter, is_of_file, lengths_in_use
from keras_prunelab._evaluate._metric import ACCURACY, percent
from keras_prunelab._evaluate._paired import PAIRED
from keras_prunelab._evaluate._streams import observations
from keras_prunelab._model._data import batches, calibration_of, check_batch_size
from keras_prunelab._model._filters import Filters
from keras_prunelab._model._source import check_ends
from keras_prunelab._prune._trajectory import Trajectory
from keras_prunelab._reconstruct._estimate import estimate
from keras_prunelab._reconstruct._gram import DAMPING
from keras_prunelab._reconstruct._solver import checked_damping
from keras_prunelab._reconstruct._statistics import in_call_order
from keras_prunelab._result._doubts import SAME_DATA
from keras_prunelab._result._files import text_under_way
from keras_prunelab._result._mask_source import MaskSource, TrainedMasks
from keras_prunelab._result._measurements import CurveKey
from keras_prunelab._result._result import SweepResult
from keras_prunelab._select._conventions import Convention
from keras_prunelab._select._granularity import GranularityLike
from keras_prunelab._text import visible
from keras_prunelab._util._command import COMMAND
from keras_prunelab._util._signatures import names_options
from keras_prunelab.scores._registry import ScoreLike

from ._accounting import COUNTS
from ._bench import Bench, Dense, Outcome, Task
from ._call import spell
from ._curve_masks import CurveMasks
from ._fingerprint import Fingerprint, digest_of_weights
from ._parallel import Workers
from ._plan import Curve, FineTunes, Plan, Point, Reconstructs, Scopes, Seeds, Sparsities, plan
from ._pruning import Pruning
from ._run import InProcess, SweepRun, Tell
from ._store import Store
from ._tabulate import Tabulator

EXAMPLE_LEVELS = tuple(np.linspace(0, 0.9, 10).round(12).tolist())
"""The levels of MathWorks' example."""
_COMPARED = 32  # observations that tell whether data is the same
_BEFORE = ["score", "convention", "scope", "granularity", "training", "seed", "sparsity_target", "sparsity"]
COLUMNS = [*_BEFORE, "accuracy", *COUNTS, *PAIRED]
"""The columns of the table of a classifier that is not compiled."""


@dataclass(frozen=True)
class SweepPlan:
    """A sweep that has been checked and not yet begun; printed, it lists its points.

    Attributes:
        task: the model, the data, and what is to be done.
        plan: the points.
        call: Python that makes the same sweep.
    """

    task: Task
    plan: Plan
    call: str = ""

    def seconds(self) -> float:
        """The expected time of the whole sweep in this process, from its first point; the model is left as it was."""
        first = self.plan.points[0]
        begun = time.monotonic()
        with self._bench() as bench:
            masks = self._masks()[first.curve]
            if first.curve.finetune is None or first.curve.finetune.rounds == 1:
                masks.prepare([first.level], self.plan)
            bench.measure(0, first.level, masks.masks)  # compiles, too
            ready = time.monotonic()
            bench.measure(0, first.level, masks.masks)
            each = time.monotonic() - ready
        return ready - begun + each * (self.task.passes - 1)

    def execute(self, tell: Tell, store: Any, workers: int) -> SweepRun:
        """Measure all points."""
        weights = sum(item.size for item in self.task.pruning.prunables)
        kept = None if store is None else Store(store, Fingerprint.of(self.task, self.plan), -(-weights // 8))
        run = SweepRun(self.plan, self._masks(), kept, tell)
        if store is not None:
            run.describe = lambda point, outcome: self._describe(run, point, outcome, store)
        try:
            if workers == 1:
                with self._bench() as bench:
                    run.execute(InProcess(bench, self.task))
            else:
                run.execute(Workers(self.task, self.plan, workers))
        finally:
            if kept is not None:
                kept.close()
        return run

    def result(self, run: SweepRun, seconds: float, store: Any = None, *, is_over: bool = True) -> SweepResult:
        """What came of it.

        Args:
            run: the execution.
            seconds: how long it took.
            store: the file of its points, or None.
            is_over: whether it has ended; False for the result so far.
        """
        model, pruning, data = self.task.model, self.task.pruning, self.task.data
        dense = run.dense or Dense(data.metric or ACCURACY, {}, 0)
        sources = _sources(run, pruning)
        found = self._tabulate(dense, run.rows(), sources)
        measures = list(dense.measures) or [dense.metric.name]
        columns = [*_BEFORE, *measures, *COUNTS, *PAIRED]
        scopes = dict.fromkeys(str(curve.scope) for curve in self.plan.curves)
        is_complete = run.complete and is_over
        return SweepResult(
            table=pd.DataFrame(found.rows, columns=columns),
            dense=dense.measures.get(dense.metric.name, float("nan")),
            outline=self._tabulate.outline,
            sources={curve.key: sources[its.key] for curve, its in self.plan.measured.items() if its.key in sources},
            metric=dense.metric,
            class_names=data.class_names,
            metadata={
                "model": model.name,
                "convention": pruning.convention.name,
                "convention_source": pruning.convention.source,
                "scope": ", ".join(scopes),
                "granularity": str(pruning.granularity),
                "samples": len(data),
                "batch_size": dense.batch_size,
                "seconds": round(seconds, 3),
                **{f"dense_{name}": value for name, value in dense.measures.items() if name != dense.metric.name},
                **_beside_constants(dense),
                **({"metrics_left_out": dense.left_out} if dense.left_out else {}),
                **_files_left_out(run),
                **_calibrated(self.task),
                "repeat": self.call,
                **({"stopped": str(run.failure)} if run.failure is not None else {}),
                **({"resume": _resumption(self.call, store)} if store is not None and not is_complete else {}),
                **_versions(),
            },
            complete=is_complete,
            by_class=found.by_class,
            by_layer=found.by_layer,
            by_group=found.by_group,
        )

    @cached_property
    def _tabulate(self) -> Tabulator:
        return Tabulator.of(self.task.model, self.task)

    def _describe(self, run: SweepRun, point: Point, outcome: Outcome, store: Any) -> str:
        """A point as the store keeps it, so that a sweep that is killed has a result; of the first one all about it."""
        assert run.dense is not None, "the dense network is measured before any point"  # noqa: S101
        assert run.store is not None, "only what is kept is described"  # noqa: S101
        if not run.is_described:
            run.is_described = True
            run.store.keep(text_under_way(self.result(run, 0.0, store, is_over=False)))
        curves = (curve for curve, its in self.plan.measured.items() if its == point.curve)
        rows = ((Point(curve, point.level), point, outcome) for curve in curves)
        return self._tabulate(run.dense, rows, _sources(run, self.task.pruning)).to_json()

    def _masks(self) -> dict[Curve, CurveMasks]:
        task = self.task
        if task.reconstructs:
            _ = task.solver  # from here on, so that obs finds its statistics, and leaves what it traces
        # Masks before training and reconstruction are the same however the weights that are left are treated.
        known: dict[Any, dict[float, tuple[Trajectory, int]]] = {}
        weights = digest_of_weights(task.model)
        return {
            curve: CurveMasks(
                curve,
                task.pruning,
                task.model,
                task.score_data,
                lambda: task.solver,
                known.setdefault((curve.score.name, str(curve.scope), curve.seed), {}),
                weights,
            )
            for curve in task.curves
        }

    @contextmanager
    def _bench(self) -> Iterator[Bench]:
        bench = Bench(self.task)
        try:
            yield bench
        finally:
            bench.close()

    def __str__(self) -> str:
        how = f"{self.task.pruning.convention.name} convention, granularity {self.task.pruning.granularity}"
        total = self.task.pruning.prunables.total
        costs = (
            f"\nobs: {estimate(self.task.model)}." if any(one.score.name == "obs" for one in self.task.curves) else ""
        )
        return visible(f"Sweep of model {self.task.model.name!r}, {total:,} weights, {how}.\n{self.plan}{costs}")


@names_options
def plan_sweep(
    model: keras.Model,
    data: Any,
    sparsities: Sparsities = EXAMPLE_LEVELS,
    scores: ScoreLike | Iterable[ScoreLike] = ("magnitude",),
    seeds: Seeds = None,
    *,
    convention: str | Convention = "paper",
    scope: Scopes = "global",
    granularity: GranularityLike = "weight",
    include: Filters = None,
    exclude: Filters = None,
    calibration: Any = None,
    finetune: FineTunes = None,
    reconstruct: Reconstructs = False,
    damping: float = DAMPING,
    metrics: Metrics = None,
    groups: Mapping[str, Any] | None = None,
    batch_size: int | None = None,
    score_data: Any = None,
) -> SweepPlan:
    """Check what `sweep` is given and list its points, without measuring any.

    Args:
        model: as for `sweep`, and so are all others.
        data: the observations.
        sparsities: the levels.
        scores: one or several scores.
        seeds: a number of seeds, or the seeds.
        convention: how weights are counted and chosen.
        scope: among which weights they are ranked.
        granularity: what goes as a whole.
        include: prune only what matches.
        exclude: leave alone what matches.
        calibration: what scores that need data are computed on.
        finetune: how the network is trained once it is pruned.
        reconstruct: how the weights that are left are solved anew.
        damping: the pull of that towards the old weights.
        metrics: what to measure.
        groups: variables that put each observation into a group.
        batch_size: how many observations are computed at once.
        score_data: another name of `calibration`.

    Returns:
        The plan; printed, it lists every point, and `seconds()` tells the time to expect.

    Raises:
        PruneLabError: whatever `sweep` raises before it begins.

    Examples:
        >>> import keras, numpy as np
        >>> import keras_prunelab as kpl
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(3)], name="net")
        >>> data = np.zeros((5, 8)), np.zeros(5, int)
        >>> print(kpl.plan_sweep(model, data, [0.5, 0.75], ["magnitude", "random"], seeds=2))
        Sweep of model 'net', 24 weights, paper convention, granularity weight.
        8 points: 4 curves of 2 levels each.
          magnitude, global, seed 0
          magnitude, global, seed 1 (the same as seed 0: measured once)
          random, global, seed 0
          random, global, seed 1
        Levels:
          50.00 %, 75.00 %
    """
    calibration = calibration_of(calibration, score_data=score_data)
    size = None if batch_size is None else check_batch_size(batch_size)
    points = plan(sparsities, scores, seeds, scope, finetune, reconstruct)
    damping = checked_damping(damping)
    pruning = Pruning.of(model, convention, granularity, include, exclude)
    found, metrics = observations(model, data, groups), listed(metrics)
    FileMeter.of(metrics, model, found)
    pruning.check(points, found if calibration is None else calibration)
    curves = tuple(dict.fromkeys(points.measured.values()))
    passes = len(curves) * len(points.first_levels)
    given = {"convention": convention, "granularity": pruning.granularity, "include": include, "exclude": exclude}
    given |= {"calibration": calibration, "metrics": metrics, "groups": groups or None, "batch_size": size}
    given |= {"damping": None if damping == DAMPING else damping}
    call = spell(points, pruning.prunables, seeds, given)
    task = Task(model, found, pruning, metrics, curves, calibration, passes, size, damping)
    if task.reconstructs:
        check_ends(found.for_scores if calibration is None else calibration)
        in_call_order(model, found.for_scores if calibration is None else calibration, ())
    return SweepPlan(task, points, call)


def _calibrated(task: Task) -> dict[str, Any]:
    """What scores and reconstruction were computed on, and how."""
    has_files = any(map(is_of_file, task.metrics or ()))
    if not task.reconstructs and not has_files and not any(curve.score.needs_data for curve in task.curves):
        return {}
    facts: dict[str, Any] = {"calibration": SAME_DATA if _calibrates_on_itself(task) else "data of its own"}
    if has_files and (lengths := lengths_in_use(task.model, task.data)):
        facts["file_lengths"] = ", ".join(map(str, lengths))
    methods: dict[str, str] = {}
    for curve in task.curves:
        methods |= getattr(curve.score, "methods", {})
    if methods:
        facts["traces"] = ", ".join(f"{path} {method}" for path, method in methods.items())
    return facts | ({"damping": task.damping} if task.reconstructs else {})


def _calibrates_on_itself(task: Task) -> bool:
    """Whether the calibration data is what is measured, or begins like it."""
    if task.calibration is None or not task.data.is_held:
        return task.calibration is None
    given, measured = (
        next(iter(batches(data, _COMPARED, labels=False, model=task.model))).inputs
        for data in (task.calibration, task.data.for_scores)
    )
    pairs = zip(keras.tree.flatten(given), keras.tree.flatten(measured), strict=True)
    return all(np.array_equal(keras.ops.convert_to_numpy(one), keras.ops.convert_to_numpy(two)) for one, two in pairs)


def _sources(run: SweepRun, pruning: Pruning) -> dict[CurveKey, MaskSource]:
    sources: dict[CurveKey, MaskSource] = {}
    shapes = {item.path: item.shape for item in pruning.prunables}
    for curve, masks in run.masks.items():
        bits = {level: out.bits for level, out in run.outcomes.get(curve, {}).items() if out.bits is not None}
        sources[curve.key] = TrainedMasks(shapes, bits) if bits else masks
    return sources


def _files_left_out(run: SweepRun) -> dict[str, str]:
    """Why files of some points could not be measured, each reason once, with the levels."""
    levels: dict[str, list[float]] = {}
    for point, _, outcome in run.rows():
        if outcome.left_out:
            levels.setdefault(outcome.left_out, []).append(point.level)
    texts = [f"from {percent(min(found), 2)} on, {reason}" for reason, found in levels.items()]
    return {"files_left_out": "; ".join(texts)} if texts else {}


def _beside_constants(dense: Dense) -> dict[str, float]:
    """What tells whether the dense network has learned anything."""
    if dense.trivial is None or dense.answers is None:
        return {}
    return {"answers": dense.answers, "trivial": dense.trivial, "trivial_error": dense.trivial_error}


def _resumption(call: str, store: Any) -> str:
    """What goes on from the store: the command, or else the call."""
    return COMMAND.get() or f"{call.removesuffix(')')}    store={os.fspath(store)!r},\n)"


def _versions() -> dict[str, str]:
    """What a reader needs to run the sweep again."""
    backend = keras.config.backend()
    names = ["keras-prunelab", "keras", backend, "numpy"]
    found = {"python": platform.python_version(), "system": platform.system(), "backend": backend}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # a backend under another distribution name, such as tensorflow-cpu
            continue
    return found
