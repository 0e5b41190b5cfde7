"""Where points are measured: a model with its data, in this process or in a worker."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_prunelab._evaluate._by_group import MetricByGroup
from keras_prunelab._evaluate._data import Observations
from keras_prunelab._evaluate._evaluate import Measured, MetricLike
from keras_prunelab._evaluate._measure import Meter
from keras_prunelab._evaluate._metric import Metric
from keras_prunelab._evaluate._paired import Answers
from keras_prunelab._model._copy import copy_model
from keras_prunelab._reconstruct._gram import DAMPING
from keras_prunelab._reconstruct._solver import Solver
from keras_prunelab._select._masks import MaskSet

from ._finetune import Trainer
from ._plan import Curve
from ._pruning import Pruning
from ._solving import Reconstructor, SolvedLevels
from ._weights import MaskedWeights


@dataclass(frozen=True)
class Dense:
    """What the network is before pruning, and how it is measured.

    Attributes:
        metric: the measure that counts.
        measures: the values, by name.
        batch_size: how many observations are computed at once.
        left_out: why the loss and metrics of a compiled model are not measured; empty where they are.
        answers: how many different answers it gives; None where that is not known.
        trivial: the metric of the best constant answer, the most frequent class or the mean response; None likewise.
        trivial_error: the standard error of the difference of both.
        observations: how many labels each class has; empty where that is not known.
        right: how many of them are answered right.
        groups: the metric of each group, by the name of the variable.
    """

    metric: Metric
    measures: Measured
    batch_size: int
    left_out: str = ""
    answers: int | None = None
    trivial: float | None = None
    trivial_error: float = 0.0
    observations: tuple[int, ...] = ()
    right: tuple[int, ...] = ()
    groups: MetricByGroup = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What was measured at a point.

    Attributes:
        measures: the values, by name.
        bits: the masks, one bit a weight, where pruning and training took turns.
        paired: how the answers differ from the dense network's, as `Answers.against` says; empty where that is unknown.
        right: how many labels of each class are answered right; empty likewise.
        left_out: why measures of the exported file are NaN; empty where none is.
        groups: the metric of each group, by the name of the variable; empty likewise.
    """

    measures: Measured
    bits: NDArray[np.uint8] | None = None
    paired: Mapping[str, float] = field(default_factory=dict)
    right: tuple[int, ...] = ()
    left_out: str = ""
    groups: MetricByGroup = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """What a bench is given.

    Attributes:
        model: the model.
        data: the observations.
        pruning: how it is pruned.
        metrics: what to measure.
        curves: the curves, which points name by their number.
        calibration: what scores are computed on; None for the data itself.
        passes: how many points are to come.
        batch_size: how many observations are computed at once; None for as many as is quickest.
        damping: the pull of reconstruction towards the old weights.
    """

    model: keras.Model
    data: Observations
    pruning: Pruning
    metrics: Sequence[MetricLike] | None
    curves: tuple[Curve, ...]
    calibration: Any
    passes: int
    batch_size: int | None = None
    damping: float = DAMPING

    @property
    def score_data(self) -> Any:
        """What scores are computed on, weights solved on, and ranges of files measured on."""
        return self.data.for_scores if self.calibration is None else self.calibration

    @cached_property
    def solver(self) -> Solver:
        """What solves weights anew; the model has its dense weights when it is first used."""
        return Solver.of(self.model, self.score_data, self.damping)

    @property
    def reconstructs(self) -> bool:
        """Whether the weights of some points are solved anew."""
        return any(curve.reconstruct is not None for curve in self.curves)

    @property
    def trains(self) -> bool:
        """Whether some points are trained."""
        return any(curve.finetune is not None for curve in self.curves)


class Bench:
    """Measures points.

    The model of the task is left as it was once `close` is called; where points are trained, a copy of it is.

    Args:
        task: the model, the data, and what is to be done.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._random = random.getstate(), np.random.get_state()  # noqa: NPY002  # training sets their seeds
        self._model, self._pruning = task.model, task.pruning
        if task.trains:
            self._model = copy_model(task.model)
            self._pruning = task.pruning.of_copy(task.model, self._model)
        self._trainer = Trainer(self._model, self._pruning.prunables) if task.trains else None
        self._weights = MaskedWeights(task.pruning.touched(task.model, self._model))
        self._measure = Meter(
            self._model, task.data, task.metrics, task.score_data, passes=task.passes, batch_size=task.batch_size
        )
        self._reconstructor: Reconstructor | None = None
        self._solved: dict[int, SolvedLevels] = {}  # of the curve that was measured last
        self._trained = False
        self._baseline: Answers | None = None
        self._is_measured = False

    def dense(self) -> Dense:
        """Measure the network before pruning."""
        self.restore()
        meter = self._measure
        measures, self._baseline = meter(strict=True), meter.answers
        self._is_measured = True
        dense = Dense(meter.metric, measures, meter.batch_size, meter.left_out)
        if self._baseline is None:
            return dense
        trivial = self._baseline.trivial()
        observations, right = self._baseline.by_class
        return replace(
            dense,
            answers=self._baseline.distinct,
            trivial=trivial.value,
            trivial_error=self._baseline.error_beside(trivial),
            observations=observations,
            right=right,
            groups=self._baseline.by_group(self._task.data.groups),
        )

    def measure(
        self, number: int, level: float, masks: Callable[[float], MaskSet], levels: Sequence[float] = ()
    ) -> Outcome:
        """Measure a point.

        Args:
            number: the curve, counted along the task's.
            level: the sparsity that is asked for.
            masks: gives the masks of the dense network at a level, where they are wanted.
            levels: at which the same curve is measured, now or later: they may be solved together.
        """
        if not self._is_measured:  # a worker, or a sweep that goes on, has yet to see what it compares with
            self.dense()
        curve = self._task.curves[number]
        if curve.finetune is None:
            if self._trained:
                self.restore()
            if curve.reconstruct is None:
                self._unsolve()
                self._weights.apply(self._completed(masks(level)))
                return self._outcome()
            self._solve(number, level, masks, levels)
            return self._outcome()
        if self._trainer is None:  # a task with such a curve has one
            raise AssertionError(curve)
        self.restore()
        self._trained = True
        if curve.finetune.rounds == 1:
            prepare = None if curve.reconstruct is None else self._solver.before_training(curve.reconstruct)
            self._trainer.train(curve.finetune, level, curve.seed, lambda _kept, _sparsity: masks(level), prepare)
            return self._outcome()
        found = self._trainer.train(
            curve.finetune,
            level,
            curve.seed,
            lambda kept, sparsity: self._pruning.further(curve, self._model, self._task.score_data, kept, sparsity),
        )
        return self._outcome(found.packed())

    def _solve(self, number: int, level: float, masks: Callable[[float], MaskSet], levels: Sequence[float]) -> None:
        """Give the model the weights that are solved for a level."""
        mode = self._task.curves[number].reconstruct
        if mode is not None and number not in self._solved:
            self._solved = {number: SolvedLevels(self._solver, mode)}
        own = self._solved[number]
        if level not in own or not self._solver.is_written:
            self.restore()  # weights are solved, and put back later, as they are in the dense network
        solved = own.solved(level, levels, lambda other: self._completed(masks(other)))
        self._weights.apply(solved.others)
        self._solver.write(solved)

    @property
    def _solver(self) -> Reconstructor:
        if self._reconstructor is None:
            self._reconstructor = Reconstructor(self._task.solver, self._task.pruning, self._model)
        return self._reconstructor

    def _unsolve(self) -> None:
        if self._reconstructor is not None:
            self._reconstructor.restore()

    def _outcome(self, bits: NDArray[np.uint8] | None = None) -> Outcome:
        measures, answers, left_out = self._measure(), self._measure.answers, self._measure.file_left_out
        if answers is None or self._baseline is None:
            return Outcome(measures, bits, left_out=left_out)
        paired, right = answers.against(self._baseline), answers.by_class[1]
        return Outcome(measures, bits, paired, right, left_out, answers.by_group(self._task.data.groups))

    def _completed(self, masks: MaskSet) -> MaskSet:
        if self._pruning.granularity.kind == "channel":
            self._weights.restore()  # what follows a channel is found on the dense network
        return self._task.pruning.completed(self._task.model, masks)

    def restore(self) -> None:
        """Put back the weights of the dense network."""
        self._unsolve()
        self._weights.restore()
        if self._trainer is not None and self._trained:
            self._trainer.restore()
        self._trained = False

    def close(self) -> None:
        """Leave the model, and the random numbers of the user's own code, as they were."""
        self.restore()
        self._measure.close()
        if self._task.trains:
            random.setstate(self._random[0])
            np.random.set_state(self._random[1])  # noqa: NPY002
