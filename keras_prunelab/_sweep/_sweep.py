"""`sweep`: measure a network at many sparsities."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Unpack

import keras
import numpy as np
import pandas as pd

from keras_prunelab._progress import shown
from keras_prunelab.scores._registry import ScoreLike

from ._accounting import COUNTS, Accounting
from ._bench import Bench, Dense, Task
from ._fingerprint import Fingerprint
from ._metric import ACCURACY
from ._options import PlanOptions, SweepOptions
from ._outline import outline
from ._parallel import Workers, wanted_workers
from ._plan import Arm, Plan, Point, Seeds, Sparsities, plan
from ._pruning import Curve, MaskSource, PackedCurve, Pruning
from ._result import CurveKey, SweepResult
from ._run import InProcess, Run, Tell
from ._store import Store
from ._streams import observations

EXAMPLE_LEVELS = tuple(np.linspace(0, 0.9, 10).round(12).tolist())
"""The levels of MathWorks' example."""
_BEFORE = ["score", "convention", "scope", "granularity", "training", "seed", "sparsity_target", "sparsity"]
COLUMNS = [*_BEFORE, "accuracy", *COUNTS]
"""The columns of the table of a classifier that is not compiled."""


@dataclass(frozen=True)
class Progress:
    """How far a sweep is.

    Attributes:
        done: the number of measured points.
        total: the number of points of the whole sweep; of levels that are still being found, those known so far.
        what: what happens now, in a few words.
    """

    done: int
    total: int
    what: str


ProgressLike = Callable[[Progress], None] | bool | None


def sweep(
    model: keras.Model,
    data: Any,
    sparsities: Sparsities = EXAMPLE_LEVELS,
    scores: ScoreLike | Iterable[ScoreLike] = ("magnitude",),
    seeds: Seeds = None,
    *,
    progress: ProgressLike = None,
    **options: Unpack[SweepOptions],
) -> SweepResult:
    """Measure a network at many sparsities, with several scores and seeds, as it is or trained after pruning.

    The model is as it was when the sweep is over, also after an error or Ctrl-C. Ctrl-C ends the sweep and
    keeps the points measured so far: the result then has `complete=False`.

    Args:
        model: a built model. With several inputs or outputs it must be compiled.
        data: (inputs, labels), perhaps with sample weights as a third, or an object with `inputs`, `labels` and
            perhaps `class_names`. Inputs have the observations along their first axis; sequences of different
            lengths are a list. Labels are class indices from 0 (integers; -1 is no class, and never right) or one-hot
            rows, for which the sweep measures accuracy, the share of observations whose largest output is their
            class; or floating-point responses of the output's shape, for which it measures the root-mean-square error
            over all of them. Of a compiled model it also measures what `model.evaluate` reports. Batches of these, a
            `tf.data.Dataset`, a `keras.utils.PyDataset` or a function that returns an iterable, are held in memory up
            to 2 GiB, and read anew for each point beyond.
        sparsities: fractions of the weights to prune, each in [0, 1), in any order; by default those of
            MathWorks' example, 0 to 0.9 in steps of 0.1. `"auto"`, or an `AutoLevels`, finds them: few where the curve
            is flat, many where it bends.
        scores: one or several scores: names such as `"magnitude"`, `"synflow"`, `"random"`, or what else
            `scores.get` takes.
        seeds: a number of seeds, 0, 1, ..., or the seeds themselves, for scores with random numbers and for training.
            Each makes a curve; what does not depend on it is measured once. By default each score has its own.
        progress: called before the first point and after every one; True shows a bar, or lines without a terminal.
        **options: how to prune: `convention` (`"paper"` or `"matlab"`); `scope` (`"global"`, `"layer"`, `"erk"`,
            `"lamp"`, an `Allocation`, or several of these); `granularity` (`"weight"`, `"2:4"`, `"4x4"`, `"kernel"`,
            `"channel"`); `include` and `exclude` (layers, names, patterns, as in `prunable`); `score_data` for
            scores that need data, by default the data of the sweep. How to train: `finetune`, a `FineTune` or
            several. What to measure: `metrics`, a list of `"accuracy"`, `"rmse"`, `"loss"`, names of the compiled
            metrics, metrics of Keras or functions, the first being what choices go by. How to go about it: `store`,
            a file for finished points, from which a sweep that was stopped goes on; `workers`, the number of
            processes, by default what `joblib.parallel_config` says, or 1.

    Returns:
        The points, one row of `.table` each, with the masks behind them.

    Raises:
        InvalidDataError: the data does not fit the model.
        InvalidModelError: the model is not built, weights are not finite, or it cannot be copied where that is needed.
        InvalidSparsityError: a sparsity is outside [0, 1), or scope or granularity do not allow it.
        NothingToPruneError: no variable is left to prune.
        StoreMismatchError: the store belongs to a sweep of other weights, data or settings.
        UnknownNameError: there is no such score, scope, convention or metric.

    Examples:
        >>> import keras, numpy as np
        >>> import keras_prunelab as kpl
        >>> keras.utils.set_random_seed(0)
        >>> x, y = np.random.normal(size=(60, 8)), np.arange(60) % 3
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(3, name="fc")])
        >>> result = kpl.sweep(model, (x, y), [0.0, 0.5, 0.75])
        >>> result.table[["score", "sparsity", "zeros", "total"]].values.tolist()
        [['magnitude', 0.0, 0, 24], ['magnitude', 0.5, 12, 24], ['magnitude', 0.75, 18, 24]]
    """
    begun = time.monotonic()
    store, workers = options.pop("store", None), options.pop("workers", None)
    prepared = SweepPlan.of(model, data, sparsities, scores, seeds, **options)  # type: ignore[misc]  # the rest
    with _telling(progress) as tell:
        run = prepared.execute(tell, store, wanted_workers(workers))
    return prepared.result(run, time.monotonic() - begun)


@dataclass(frozen=True)
class SweepPlan:
    """A sweep that has been checked and not yet begun; printed, it lists its points.

    Attributes:
        task: the model, the data, and what is to be done.
        plan: the points.
    """

    task: Task
    plan: Plan

    @classmethod
    def of(
        cls,
        model: keras.Model,
        data: Any,
        sparsities: Sparsities = EXAMPLE_LEVELS,
        scores: ScoreLike | Iterable[ScoreLike] = ("magnitude",),
        seeds: Seeds = None,
        **options: Unpack[PlanOptions],
    ) -> SweepPlan:
        """Check what `sweep` is given, and measure nothing."""
        score_data, metrics = options.pop("score_data", None), options.pop("metrics", None)
        points = plan(sparsities, scores, seeds, options.pop("scope", "global"), options.pop("finetune", None))
        pruning = Pruning.of(model, **options)  # type: ignore[misc]  # what is left are its arguments
        found = observations(model, data)
        pruning.check(points, found if score_data is None else score_data)
        arms = tuple(dict.fromkeys(points.measured.values()))
        passes = len(arms) * len(points.first_levels)
        return cls(Task(model, found, pruning, metrics, arms, score_data, passes), points)

    def seconds(self) -> float:
        """The expected time of the whole sweep in this process, from its first point; the model is left as it was."""
        first = self.plan.points[0]
        begun = time.monotonic()
        with self._bench() as bench:
            curve = self._curves()[first.arm]
            if first.arm.finetune is None or first.arm.finetune.rounds == 1:
                curve.prepare([first.level], self.plan)
            bench.measure(0, first.level, lambda: curve.masks(first.level))  # compiles, too
            ready = time.monotonic()
            bench.measure(0, first.level, lambda: curve.masks(first.level))
            each = time.monotonic() - ready
        return ready - begun + each * (self.task.passes - 1)

    def execute(self, tell: Tell, store: Any, workers: int) -> Run:
        """Measure all points."""
        kept = None if store is None else Store(store, Fingerprint.of(self.task, self.plan))
        run = Run(self.plan, self._curves(), kept, tell)
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

    def result(self, run: Run, seconds: float) -> SweepResult:
        """What came of it."""
        model, pruning, data = self.task.model, self.task.pruning, self.task.data
        layers = outline(model)
        account = Accounting.of(model, pruning.prunables, layers)
        dense = run.dense or Dense(data.metric or ACCURACY, {}, 0)
        rows, sources = [], _sources(run, pruning)
        for point, its, outcome in run.rows():
            zeros = _zeros(run, its, sources[its.arm.key])
            counts = account.row(zeros)
            rows.append(
                {
                    "score": point.arm.score.name,
                    "convention": pruning.convention.name,
                    "scope": str(point.arm.scope),
                    "granularity": str(pruning.granularity),
                    "training": point.arm.training,
                    "seed": point.arm.seed,
                    "sparsity_target": point.level,
                    "sparsity": sum(zeros.values()) / account.total,
                    **outcome.measures,
                    **counts,
                }
            )
        measures = list(dense.measures) or [dense.metric.name]
        columns = [*_BEFORE, *measures, *COUNTS]
        scopes = dict.fromkeys(str(arm.scope) for arm in self.plan.arms)
        return SweepResult(
            table=pd.DataFrame(rows, columns=columns),
            dense=dense.measures.get(dense.metric.name, float("nan")),
            outline=layers,
            sources={arm.key: sources[its.key] for arm, its in self.plan.measured.items() if its.key in sources},
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
                **({"metrics_left_out": dense.left_out} if dense.left_out else {}),
                **_versions(),
            },
            complete=run.complete,
        )

    def _curves(self) -> dict[Arm, Curve]:
        task = self.task
        data = task.data.for_scores if task.score_data is None else task.score_data
        return {arm: Curve(arm, task.pruning, task.model, data) for arm in task.arms}

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
        return f"Sweep of model {self.task.model.name!r}, {total:,} weights, {how}.\n{self.plan}"


def _sources(run: Run, pruning: Pruning) -> dict[CurveKey, MaskSource]:
    sources: dict[CurveKey, MaskSource] = {}
    shapes = {item.path: item.shape for item in pruning.prunables}
    for arm, curve in run.curves.items():
        bits = {level: out.bits for level, out in run.outcomes.get(arm, {}).items() if out.bits is not None}
        sources[arm.key] = PackedCurve(shapes, bits) if bits else curve
    return sources


def _zeros(run: Run, point: Point, source: MaskSource) -> Mapping[str, int]:
    if isinstance(source, Curve):
        return run.curves[point.arm].zeros(point.level)
    masks = source.masks(point.level)
    return {path: mask.size - int(np.count_nonzero(mask)) for path, mask in masks.items()}


@contextmanager
def _telling(progress: ProgressLike) -> Iterator[Tell]:
    if progress is True:
        with shown("Sweep") as advance:
            yield advance
    elif callable(progress):
        told = progress
        yield lambda done, total, what: told(Progress(done, total, what))
    else:
        yield lambda *_: None


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
