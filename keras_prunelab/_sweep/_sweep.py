"""`sweep`: measure a network at many sparsities."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypedDict, Unpack

import keras
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from keras_prunelab import _allocation, _conventions, _granularity
from keras_prunelab._allocation import Allocation, Scope
from keras_prunelab._conventions import Convention
from keras_prunelab._granularity import Granularity, GranularityLike
from keras_prunelab._prunable import Filters, Prunables, prunable
from keras_prunelab._trajectory import Trajectory, trajectory
from keras_prunelab.scores import Score
from keras_prunelab.scores._registry import ScoreLike

from ._data import Samples, samples
from ._evaluate import Evaluator, MaskedWeights, masked_weights
from ._outline import outline
from ._plan import Plan, plan
from ._result import SweepResult

EXAMPLE_LEVELS = tuple(np.linspace(0, 0.9, 10).round(12).tolist())
"""The levels of MathWorks' example."""
COLUMNS = [
    "score",
    "convention",
    "scope",
    "sparsity_target",
    "sparsity",
    "accuracy",
    "zeros",
    "kept",
    "total",
    "compression_ratio",
]


@dataclass(frozen=True)
class Progress:
    """How far a sweep is.

    Attributes:
        done: the number of measured points.
        total: the number of points of the whole sweep.
        what: what happens now, in a few words.
    """

    done: int
    total: int
    what: str


class PruningOptions(TypedDict, total=False):
    """How a sweep prunes.

    Attributes:
        convention: `"paper"` (weights only, exact counts; the default), `"matlab"`, or a `Convention`.
        scope: `"global"` (the default) ranks all weights together, `"layer"` those of each layer; `"erk"`,
            `"lamp"`, or an `Allocation`.
        granularity: what goes as a whole: `"weight"` (the default), `"2:4"`, `"4x4"`, `"kernel"`, `"channel"`.
        include: prune only what matches, as in `prunable`.
        exclude: leave alone what matches, as in `prunable`.
        score_data: what scores that need data are computed on; by default the data of the sweep.
    """

    convention: str | Convention
    scope: Scope
    granularity: GranularityLike
    include: Filters
    exclude: Filters
    score_data: Any


def sweep(
    model: keras.Model,
    data: Any,
    sparsities: float | ArrayLike = EXAMPLE_LEVELS,
    scores: ScoreLike | Iterable[ScoreLike] = ("magnitude",),
    *,
    progress: Callable[[Progress], None] | None = None,
    **pruning: Unpack[PruningOptions],
) -> SweepResult:
    """Measure a network at many sparsities, without training in between.

    The model is as it was when the sweep is over, also after an error or Ctrl-C. Ctrl-C ends the sweep and
    keeps the points measured so far: the result then has `complete=False`.

    Args:
        model: a built model with one input and one output.
        data: (inputs, labels), or an object with `inputs`, `labels` and perhaps `class_names`. Inputs have
            the observations along their first axis; sequences of different lengths are a list. Labels are
            class indices from 0 (integers; -1 is no class, and never right) or one-hot rows, for which the
            sweep measures accuracy, the share of observations whose largest output is their class; or
            floating-point responses of the output's shape, for which it measures the root-mean-square error
            over all of them.
        sparsities: fractions of the weights to prune, each in [0, 1), in any order; by default those of
            MathWorks' example, 0 to 0.9 in steps of 0.1.
        scores: one or several scores: names such as `"magnitude"`, `"synflow"`, `"random"`, or what else
            `scores.get` takes.
        progress: called before the first point and after every one.
        **pruning: `convention` (`"paper"` or `"matlab"`); `scope` (`"global"`, `"layer"`, `"erk"`, `"lamp"`, or an
            `Allocation`); `granularity` (`"weight"`, `"2:4"`, `"4x4"`, `"kernel"`, `"channel"`); `include` and
            `exclude` (layers, names, patterns, as in `prunable`); `score_data` for scores that need data, by
            default the data of the sweep.

    Returns:
        The points, one row of `.table` each, with the masks behind them.

    Raises:
        InvalidDataError: the data does not fit the model.
        InvalidModelError: the model is not built, or weights are not finite.
        InvalidSparsityError: a sparsity is outside [0, 1).
        NothingToPruneError: no variable is left to prune.
        UnknownNameError: there is no such score, scope or convention.

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
    what = _Pruning.of(model, **pruning)
    points = plan(sparsities, scores)
    observations = samples(model, data)
    evaluate = Evaluator(model, observations)
    run = _Run(model, points, what, observations, evaluate, progress)
    dense = evaluate()
    with masked_weights(what.prunables) as weights:
        rows, sources, complete = run.measure(weights)
    columns = [observations.metric.name if column == "accuracy" else column for column in COLUMNS]
    return SweepResult(
        table=pd.DataFrame(rows, columns=columns),
        dense=dense,
        outline=outline(model),
        sources=sources,
        metric=observations.metric,
        class_names=observations.class_names,
        metadata={
            "model": model.name,
            "convention": what.convention.name,
            "convention_source": what.convention.source,
            "scope": str(what.scope),
            "granularity": str(what.granularity),
            "samples": len(observations),
            "batch_size": evaluate.batch_size,
            "seconds": round(time.monotonic() - begun, 3),
            **_versions(),
        },
        complete=complete,
    )


@dataclass(frozen=True)
class _Pruning:
    """The options of a sweep, checked."""

    convention: Convention
    scope: Allocation
    granularity: Granularity
    prunables: Prunables
    score_data: Any

    @classmethod
    def of(
        cls,
        model: keras.Model,
        *,
        convention: str | Convention = "paper",
        scope: Scope = "global",
        granularity: GranularityLike = "weight",
        include: Filters = None,
        exclude: Filters = None,
        score_data: Any = None,
    ) -> _Pruning:
        rules, share, grain = _conventions.get(convention), _allocation.get(scope), _granularity.get(granularity)
        found = prunable(model, include, exclude, learnables=rules.learnables)
        return cls(rules, share, grain, found, score_data)


@dataclass(frozen=True)
class _Run:
    """The measuring: for each score its masks, then each level."""

    model: keras.Model
    plan: Plan
    pruning: _Pruning
    samples: Samples
    evaluate: Evaluator
    progress: Callable[[Progress], None] | None

    def measure(self, weights: MaskedWeights) -> tuple[list[dict[str, object]], dict[str, Trajectory], bool]:
        """The rows of the table, the masks by score, and whether nobody interrupted."""
        rows: list[dict[str, object]] = []
        sources: dict[str, Trajectory] = {}
        try:
            for score in self.plan.scores.values():
                weights.restore()  # a score is of the dense network, not of what the score before it left
                path = self._masks(score, len(rows))
                sources[score.name] = path
                for level, target in enumerate(path.sparsities):
                    weights.apply(path.masks(level))
                    rows.append(self._row(path, level, self.evaluate()))
                    self._tell(len(rows), f"{score.name}, {100 * target:g} %")
        except KeyboardInterrupt:
            return rows, sources, False
        return rows, sources, True

    def _masks(self, score: Score, done: int) -> Trajectory:
        self._tell(done, f"{score.name}, masks")
        return trajectory(
            self.model,
            self.plan.levels,
            score,
            scope=self.pruning.scope,
            granularity=self.pruning.granularity,
            convention=self.pruning.convention,
            prunables=self.pruning.prunables,
            data=(self.samples.inputs, self.samples.labels)
            if self.pruning.score_data is None
            else self.pruning.score_data,
            on_level=lambda level, levels: self._tell(done, f"{score.name}, masks {level} of {levels}"),
        )

    def _row(self, path: Trajectory, level: int, value: float) -> dict[str, object]:
        zeros = path.zeros(level)
        kept = path.total - zeros
        return {
            "score": path.score,
            "convention": path.convention,
            "scope": path.scope,
            "sparsity_target": path.sparsities[level],
            "sparsity": zeros / path.total,
            self.samples.metric.name: value,
            "zeros": zeros,
            "kept": kept,
            "total": path.total,
            "compression_ratio": path.total / kept if kept else float("inf"),
        }

    def _tell(self, done: int, what: str) -> None:
        if self.progress is not None:
            self.progress(Progress(done, len(self.plan.points), what))


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
