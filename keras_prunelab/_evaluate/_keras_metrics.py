"""What Keras measures of a compiled model, with the values of `model.evaluate`, and metrics of one's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_prunelab._backend import run_test_step, trace_once
from keras_prunelab._model._shapes import at_a_time

from ._data import LabelledBatch

_BETTER_WHEN_HIGHER = (
    *("acc", "auc", "precision", "recall", "iou", "f1", "fbeta", "dice", "r2", "similarity", "top_k", "jaccard"),
    *("sensitivity", "specificity", "kappa", "mcc", "matthews", "correlation", "snr", "ssim", "ndcg"),
)


class KerasMetrics:
    """The loss and the metrics of a compiled model, and others beside them, as one step of a pass over data.

    Args:
        model: the model.
        others: metrics that the model was not compiled with.
        uses_compiled: whether to compute the loss and the metrics of `model.compile`.
    """

    def __init__(self, model: keras.Model, others: Iterable[keras.metrics.Metric] = (), *, uses_compiled: bool) -> None:
        self._model = model
        self._others = list(others)
        self._uses_compiled = uses_compiled
        self._has_own_step = uses_compiled and type(model).test_step is not keras.Model.test_step
        self._loss = keras.metrics.Mean(name="loss")
        self._adds_losses = False
        self._has_masks = False

    @property
    def is_whole(self) -> bool:
        """Whether batches must come in one piece.

        The model has a step of its own, layers that add to the loss, or answers with masks, which are lost where
        answers are joined.
        """
        return self._has_own_step or self._adds_losses or self._has_masks

    @property
    def writes(self) -> list[Any]:
        """The variables that the step assigns to."""
        own = [variable for metric in (self._loss, *self._others) for variable in metric.variables]
        return [*own, *self._model.metrics_variables] if self._uses_compiled else own

    def step(self, pieces: Sequence[Any], targets: Any, weights: Any = None) -> Any:
        """Run the model on a batch and note what it answers.

        Args:
            pieces: the inputs, in one piece or several.
            targets: those of the whole batch.
            weights: of the observations.

        Returns:
            The answers; nothing from a model that has a `test_step` of its own.
        """
        if self._has_own_step:
            batch = join(pieces), targets
            run_test_step(self._model, batch if weights is None else (*batch, weights))
            return []
        return self._plain_step(pieces, targets, weights)

    def _plain_step(self, pieces: Sequence[Any], targets: Any, weights: Any = None) -> Any:
        model = self._model
        of_weights = len(model.losses)
        outputs = in_pieces(model, pieces)
        self._has_masks |= any(getattr(each, "_keras_mask", None) is not None for each in keras.tree.flatten(outputs))
        if self._uses_compiled:
            self._adds_losses = len(model.losses) > of_weights
            inputs = join(pieces)
            loss = model._compute_loss(x=inputs, y=targets, y_pred=outputs, sample_weight=weights, training=False)
            model._clear_losses()  # what layers added belongs to this trace
            self._loss.update_state(loss, sample_weight=keras.ops.shape(keras.tree.flatten(inputs)[0])[0])
            model.compute_metrics(inputs, targets, outputs, sample_weight=weights)
        for metric in self._others:
            metric.update_state(targets, outputs, sample_weight=weights)
        return outputs

    def build(self, batch: LabelledBatch) -> None:
        """Make the metrics' variables, by a step that counts nothing."""
        few = at_a_time(self._model) or 2

        def cut(array: Any) -> Any:
            return keras.ops.convert_to_tensor(array[:few])

        inputs, *rest = (keras.tree.map_structure(cut, part) for part in batch[:3] if part is not None)
        self._plain_step([inputs], *rest)  # a step of the model's own may expect that all variables are there
        self.step([inputs], *rest)
        self.reset()

    def reset(self) -> None:
        """Forget all batches."""
        for metric in (self._loss, *self._others):
            metric.reset_state()
        if self._uses_compiled:
            self._model.reset_metrics()

    def results(self) -> dict[str, float]:
        """What was measured since `reset`, by the names that `model.evaluate` gives."""
        found: dict[str, Any] = {}
        if self._uses_compiled:
            found = dict(self._model.get_metrics_result())
            if not self._has_own_step:
                found = {"loss": self._loss.result()} | {name: value for name, value in found.items() if name != "loss"}
        for metric in self._others:
            found[metric.name] = metric.result()
        return dict(_scalars(found))

    def columns(self, name: str) -> list[str]:
        """The names in `results` of a metric: its own, or one for each class."""
        found = self.results()
        return [name] if name in found else [each for each in found if each.rpartition("_")[0] == name]

    def higher_is_better(self, name: str) -> bool:
        """Whether larger values of a metric are better, as Keras says or the name."""
        for metric in _leaves([*self._others, *self._model.metrics]):
            direction = getattr(metric, "_direction", None)
            if direction in ("up", "down") and name.endswith(metric.name):
                return bool(direction == "up")
        return any(part in name.lower() for part in _BETTER_WHEN_HIGHER)


def in_pieces(model: keras.Model, pieces: Sequence[Any]) -> Any:
    """The answers of a model to a batch that comes in pieces, joined."""

    def answers(piece: Any) -> Any:
        return model(piece, training=False)

    # Only what is computed once may leave something behind in the model, such as a loss.
    return join([*map(answers if len(pieces) == 1 else trace_once(answers), pieces)])


def join(pieces: Sequence[Any]) -> Any:
    """One batch of several."""
    if len(pieces) == 1:
        return pieces[0]
    return keras.tree.map_structure(lambda *parts: keras.ops.concatenate(parts), *pieces)


def _leaves(metrics: Iterable[Any]) -> Iterable[Any]:
    for metric in metrics:
        inner = getattr(metric, "metrics", None)
        if inner:
            yield from _leaves(inner)
        else:
            yield metric


def _scalars(found: Mapping[str, Any]) -> Iterable[tuple[str, float]]:
    for name, value in found.items():
        if isinstance(value, Mapping):
            yield from _scalars(value)
            continue
        array = np.asarray(keras.ops.convert_to_numpy(value), dtype=np.float64)
        if array.ndim == 0:
            yield name, float(array)
        else:  # one value a class
            yield from ((f"{name}_{index}", float(each)) for index, each in enumerate(array.reshape(-1)))
