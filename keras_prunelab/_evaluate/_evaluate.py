"""Measuring a model many times over: data held as tensors, one compiled step, several measures in one pass."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
from numpy.typing import NDArray

from keras_prunelab._backend import compile_step, pieces_at_once, wait_for
from keras_prunelab._errors import InvalidDataError, UnknownNameError
from keras_prunelab._model._shapes import at_a_time
from keras_prunelab._model._state import begun_anew, recurrent_states

from ._batch_size import BatchSize, candidates, quickest
from ._data import LabelledBatch, Observations
from ._keras_metrics import KerasMetrics, in_pieces
from ._metric import ACCURACY, OWN_METRICS, Metric
from ._paired import AnswerLog, Answers

MetricLike: TypeAlias = "str | keras.metrics.Metric | Callable[[Any, Any], Any]"
Metrics: TypeAlias = "MetricLike | Sequence[MetricLike] | None"
Measured: TypeAlias = dict[str, float]

_SAME = 1e-6  # Keras counts in single precision


class Evaluator:
    """Measures a model on the same observations again and again.

    Args:
        model: a built model; its weights may change between measurements.
        data: the observations.
        metrics: what to measure; None for accuracy or RMSE, whatever the labels ask for, and for all that
            `model.evaluate` reports of a compiled model.
        passes: how many measurements are to come, as far as that is known.
        batch_size: how many observations to compute at once; None for as many as is quickest.

    Attributes:
        metric: the measure that counts: the first of `metrics`, or accuracy or RMSE.
        batch_size: how many observations are computed at once.
        left_out: why the loss and metrics of a compiled model are not measured; empty where they are.
        answers: those of the last measurement, where the measure that counts is accuracy or RMSE as computed here.

    Raises:
        UnknownNameError: there is no such metric.
        InvalidDataError: metrics that were asked for cannot be computed on this data.
    """

    def __init__(
        self,
        model: keras.Model,
        data: Observations,
        metrics: Sequence[MetricLike] | None = None,
        *,
        passes: int = 1,
        batch_size: int | None = None,
    ) -> None:
        self._data = data
        # Recurrent layers that keep their state begin each measurement at zero, whatever was computed before.
        self._begun = (lambda: begun_anew(model)) if at_a_time(model) is not None else contextlib.nullcontext
        self.left_out = ""
        self.answers: Answers | None = None
        with self._begun():
            self._keras, self._wanted = self._chosen(model, metrics)
        self.metric = self._primary()
        self._own = data.metric if self._keras is None or self._wanted is None or self._is_wanted(data.metric) else None
        reads, states = [*model.trainable_variables, *model.non_trainable_variables], list(recurrent_states(model))
        if self._keras is None:
            self._step = compile_step(lambda pieces: in_pieces(model, pieces), reads, states)
        else:
            self._step = compile_step(self._keras.step, reads, [*self._keras.writes, *states])
        self._dtype = model.inputs[0].dtype if len(getattr(model, "inputs", None) or ()) == 1 else None
        sizes = candidates(model, data, passes) if batch_size is None else (batch_size,)
        pieces = pieces_at_once() if self._is_divisible(model) else 1
        with self._begun():
            self.batch_size, self._pieces = quickest(sizes, self._try, passes * len(data), pieces)
        self._held = [*map(self._tensors, data.batches(self.batch_size))] if data.is_held else None

    def __call__(self) -> Measured:
        """The measures of the model as it is now, by name, the one that counts first."""
        if self._keras is not None:
            self._keras.reset()
        log = AnswerLog(self._own) if self._own is not None else None
        before: tuple[Any, LabelledBatch] | None = None
        with self._begun():
            for batch in self._batches():
                outputs = self._run(batch)
                if before is not None:  # one behind: on some backends the next batch is under way meanwhile
                    _note(log, *before)
                before = (outputs, batch)
        if before is not None:
            _note(log, *before)
        self.answers = log.result() if log is not None else None
        found = {} if self.answers is None else {self.answers.metric.name: self.answers.value}
        if self._keras is None:
            return found
        for name, value in self._keras.results().items():
            if not abs(found.get(name, math.inf) - value) <= _SAME:  # NaN is another value, too
                found[name] = value
        if self.answers is not None and (
            self.answers.metric != self.metric or found[self.metric.name] != self.answers.value
        ):
            self.answers = None  # what counts is another measure, or weighs the observations
        names = self._wanted if self._wanted is not None else [self.metric.name, *found]
        return {name: found[name] for name in dict.fromkeys(names)}

    def close(self) -> None:
        """Let the metrics of the model forget what they have seen."""
        if self._keras is not None:
            self._keras.reset()

    def _is_divisible(self, model: keras.Model) -> bool:
        """Whether the answers to pieces of a batch are those to the batch, as far as one can see."""
        outputs = getattr(model, "outputs", None) or ()
        has_observations = bool(outputs) and all(output.shape for output in outputs)
        return has_observations and not (self._keras is not None and self._keras.is_whole)

    def _batches(self) -> Iterator[LabelledBatch]:
        if self._held is not None:
            yield from self._held
        else:
            yield from map(self._tensors, self._data.batches(self.batch_size))

    def _run(self, batch: LabelledBatch) -> Any:
        # Labels that only this module looks at are no tensors, and no part of the step.
        rest = () if self._keras is None else (batch.targets, batch.weights)
        return self._step(batch.inputs, *(part for part in rest if part is not None))

    def _try(self, how: BatchSize) -> None:
        self._pieces = how.pieces
        wait_for(self._run(self._tensors(next(self._data.batches(how.size)))))

    def _tensors(self, batch: LabelledBatch) -> LabelledBatch:
        """The inputs as pieces, and targets and weights as wholes."""
        inputs = [
            keras.tree.map_structure(lambda array: keras.ops.convert_to_tensor(array, dtype=self._dtype), piece)
            for piece in _pieces(batch.inputs, self._pieces)
        ]
        if self._keras is None:
            return batch._replace(inputs=inputs)
        targets, weights = (
            None if part is None else keras.tree.map_structure(keras.ops.convert_to_tensor, part)
            for part in (batch.targets, batch.weights)
        )
        return LabelledBatch(inputs, targets, weights, batch.labels)

    def _is_wanted(self, metric: Metric | None) -> bool:
        return metric is not None and self._wanted is not None and metric.name in self._wanted

    def _chosen(
        self, model: keras.Model, metrics: Sequence[MetricLike] | None
    ) -> tuple[KerasMetrics | None, list[str] | None]:
        """What Keras has to measure, and the names of all that is wanted; None for everything."""
        if metrics is None and not model.compiled:
            return None, None
        first = next(iter(self._data.batches(at_a_time(model) or 2)))
        if metrics is None:
            every = KerasMetrics(model, uses_compiled=True)
            try:
                every.build(first)
            except Exception as error:  # losses and metrics are anybody's code
                if self._data.metric is None:
                    raise InvalidDataError(_unmeasurable(model, error)) from error
                self.left_out = f"{type(error).__name__}: {error}".partition("\n")[0]
                return None, None
            return every, None
        # Where steps are padded, the accuracy of `model.evaluate` is that of the others.
        if all(self._is_own(one) for one in metrics) and not (model.compiled and _makes_masks(model)):
            return None, [str(one) for one in metrics]
        compiled = _names_of_compiled(model, first)
        found = {
            one if isinstance(one, str) else id(one): find_metric(one, model, compiled)
            for one in metrics
            if not self._is_own(one) and one not in compiled
        }
        chosen = KerasMetrics(model, found.values(), uses_compiled=any(one in compiled for one in metrics))
        try:
            chosen.build(first)
        except Exception as error:
            raise InvalidDataError(_unmeasurable(model, error)) from error
        keys = dict.fromkeys(one if isinstance(one, str) else id(one) for one in metrics)
        names = [found[key].name if key in found else str(key) for key in keys]
        check_differ(names)
        columns = [[name] if name in OWN_METRICS else chosen.columns(name) for name in names]
        if columns[0] != names[:1]:
            raise InvalidDataError(
                f"The metric {names[0]!r} gives {len(columns[0])} numbers, and the first of metrics= is one, which "
                "choices go by: give it an average, or put another metric before it."
            )
        return chosen, list(itertools.chain.from_iterable(columns))

    def _is_own(self, name: MetricLike) -> bool:
        return self._data.metric is not None and name == self._data.metric.name

    def _primary(self) -> Metric:
        if self._wanted:
            name = self._wanted[0]
        elif self._data.metric is not None:
            return self._data.metric
        else:
            names = list(self._keras.results()) if self._keras else []
            name = next((each for each in names if not each.endswith("loss")), names[0])
        if name in OWN_METRICS:
            return OWN_METRICS[name]
        return Metric(name, self._keras.higher_is_better(name) if self._keras else True)


def _note(log: AnswerLog | None, outputs: Any, batch: LabelledBatch) -> None:
    if log is None or batch.labels is None or (isinstance(outputs, list) and not outputs):
        return
    values = keras.ops.convert_to_numpy(outputs)
    log.add(classes_of(values) if log.metric == ACCURACY else values, batch.labels)


def _pieces(inputs: Any, number: int) -> list[Any]:
    """Parts of a batch that differ by one observation at most in size; as many as it has, if those are fewer."""
    size = len(keras.tree.flatten(inputs)[0])
    number = max(1, min(number, size))
    if number == 1:
        return [inputs]
    ends = np.linspace(0, size, number + 1).astype(int).tolist()
    return [keras.tree.map_structure(lambda array: array[a:b], inputs) for a, b in itertools.pairwise(ends)]  # noqa: B023


def classes_of(outputs: NDArray[Any]) -> NDArray[np.int64]:
    """The class of each output: the largest of several, or whether the only one is above one half."""
    if outputs.shape[-1] > 1:
        return np.asarray(outputs.argmax(axis=-1))
    return (outputs[..., 0] > 0.5).astype(np.int64)


def listed(metrics: Metrics) -> Sequence[MetricLike] | None:
    """One metric or several as several."""
    return [metrics] if isinstance(metrics, str) or callable(metrics) else metrics


def check_differ(names: Sequence[str]) -> None:
    """Make sure that metrics have names of their own.

    Raises:
        UnknownNameError: two have the same.
    """
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UnknownNameError(
            f"Two of metrics= are called {twice!r}, and each has a column of its name: give them names, such as "
            "keras.metrics.TopKCategoricalAccuracy(3, name='top3'), or def in place of lambda."
        )


def _names_of_compiled(model: keras.Model, first: LabelledBatch) -> list[str]:
    if not model.compiled:
        return []
    every = KerasMetrics(model, uses_compiled=True)
    try:
        every.build(first)
    except Exception:  # noqa: BLE001  # losses and metrics are anybody's code
        return []
    return list(every.results())


def _makes_masks(model: keras.Model) -> bool:
    layers = model._flatten_layers()
    return any(isinstance(each, keras.layers.Masking) or getattr(each, "mask_zero", False) for each in layers)


def find_metric(one: MetricLike, model: Any, compiled: Sequence[str]) -> keras.metrics.Metric:
    """The metric of Keras that is meant; `model` and what it was compiled with are for the error."""
    if isinstance(one, keras.metrics.Metric):
        return one
    try:
        found = keras.metrics.get(one)
    except ValueError:
        found = None
    except TypeError as error:
        raise UnknownNameError(
            f"The metric {one!r} needs more than its name; give the metric itself, made with what it needs, in place "
            f"of its name. Keras said: {error}"
        ) from error
    if isinstance(found, keras.metrics.Metric):
        return _without_number(found)
    if callable(found):
        name = getattr(found, "__name__", None) or type(found).__name__
        return keras.metrics.MeanMetricWrapper(found, name=one if isinstance(one, str) else name)
    names = ", ".join(map(repr, compiled)) or "nothing"
    raise UnknownNameError(
        f"There is no metric {one!r} for this data. metrics= takes 'accuracy' for class labels, 'rmse' for responses, "
        f"a name of what model {model.name!r} was compiled with ({names}), a metric of Keras or its name, a "
        "function of labels and outputs, or a measure of the exported file ('int8_accuracy', 'litert_bytes', ...)."
    )


def _without_number(metric: keras.metrics.Metric) -> keras.metrics.Metric:
    """A metric that Keras named, without the number that tells it from those that the process made before.

    `"AUC"` is `auc` then in every table, store and worker.
    """
    stem, _, number = metric.name.rpartition("_")
    if number.isdigit() and stem.replace("_", "") == type(metric).__name__.lower():
        return type(metric).from_config({**metric.get_config(), "name": stem})
    return metric


def _unmeasurable(model: keras.Model, error: Exception) -> str:
    why = f"{error}".partition("\n")[0]
    return (
        f"The loss or a metric of model {model.name!r} cannot be computed on this data. {type(error).__name__}: {why}"
    )
