"""Labels, checked against what a model answers: class indices, one-hot rows, or responses."""

from __future__ import annotations

from typing import Any, TypeAlias

import keras
import numpy as np
from numpy.typing import NDArray

from keras_prunelab._errors import InvalidDataError
from keras_prunelab._model._data import require_finite
from keras_prunelab._model._shapes import Shape, fits, shape_text

from ._metric import ACCURACY, RMSE, Metric

Array: TypeAlias = NDArray[Any]


def labels_of_data(model: keras.Model, labels: Any, outputs: Shape) -> tuple[Array | list[Array], Metric]:
    """Labels as class indices or as responses, and what to measure.

    Args:
        model: for errors, and to know whether its one output is a probability.
        labels: an array, or a list of arrays for sequences that have labels at each step.
        outputs: the shape of the model's output, with the axis of the observations.

    Returns:
        Labels in the form that they came in, and accuracy for class indices, RMSE for responses.

    Raises:
        InvalidDataError: they fit neither.
    """
    sequences = isinstance(labels, list | tuple) and len({np.shape(one) for one in labels}) > 1
    parts = [np.asarray(one) for one in labels] if sequences else [np.asarray(labels)]
    inner = outputs[1:]
    checked, metrics = zip(*(_check(model, part, inner, sequences=sequences) for part in parts), strict=True)
    if len(set(metrics)) > 1:
        raise mixed_labels()
    return (list(checked) if sequences else checked[0]), metrics[0]


def labels_of_batch(
    model: keras.Model, labels: Any, outputs: Shape, metric: Metric | None = None
) -> tuple[Array, Metric]:
    """Labels of one batch as class indices or as responses, and what to measure.

    Args:
        model: as for `labels_of_data`.
        labels: an array.
        outputs: the shape of the model's output, with the axis of the observations.
        metric: what the batches before ask for: few responses may look like classes.

    Raises:
        InvalidDataError: they fit neither.
    """
    return _check(model, np.asarray(labels), outputs[1:], sequences=False, are_responses=metric == RMSE)


def mixed_labels() -> InvalidDataError:
    """The error for labels of which some are class indices and some responses."""
    return InvalidDataError("Some labels are class indices and some are responses; they must be all of one kind.")


def _check(
    model: keras.Model, labels: Array, output: Shape, *, sequences: bool, are_responses: bool = False
) -> tuple[Array, Metric]:
    """Labels as class indices or as responses of the output's shape, and what to measure."""
    require_finite("labels", labels)
    observation = labels.shape if sequences else labels.shape[1:]
    if labels.dtype.kind not in "buif":
        raise InvalidDataError(
            f"Labels are class indices (integers from 0), one-hot rows or responses (floats), but got {labels.dtype}."
        )
    several = bool(output) and (output[-1] or 0) > 1
    if several and not are_responses and fits(observation, output) and _is_one_hot(labels):
        return labels.argmax(axis=-1), ACCURACY
    if labels.dtype.kind == "f":
        return _responses(model, labels, observation, output), RMSE
    return _indices(model, labels, observation, output), ACCURACY


def _responses(model: keras.Model, labels: Array, observation: tuple[int, ...], output: Shape) -> Array:
    if observation == () and output == (1,):
        return labels[..., None]
    if not fits(observation, output):
        raise InvalidDataError(
            f"Labels of {labels.dtype} are responses, and model {model.name!r} answers with shape "
            f"{shape_text(output)}, but they have shape {observation} each. Class indices are integers from 0: "
            "use y.astype(int)."
        )
    return labels


def _indices(model: keras.Model, labels: Array, observation: tuple[int, ...], output: Shape) -> Array:
    classes = output[-1] if output else None
    if classes == 1 and observation in {(1,), ()}:
        _require_probability(model)
        labels, observation, classes = labels.reshape(-1), (), 2
    if observation[-1:] == (1,) and fits(observation[:-1], output[:-1]):  # as sparse losses of Keras take them
        labels, observation = labels[..., 0], observation[:-1]
    if not fits(observation, output[:-1]):
        hint = (
            " Where each observation may be of several classes, use y.astype(float), and name what to measure, such as "
            "metrics='binary_accuracy'."
        )
        raise InvalidDataError(
            f"Model {model.name!r} answers with shape {shape_text(output)}, so class indices have shape "
            f"{shape_text(output[:-1])} for each observation, but they have {observation}."
            f"{hint if fits(observation, output) else ''}"
        )
    least, most = int(labels.min()), int(labels.max())
    if classes is not None and not -1 <= least <= most < classes:
        hint = " Labels from MATLAB count from 1: subtract 1." if (least, most) == (1, classes) else ""
        raise InvalidDataError(
            f"Model {model.name!r} tells {classes} classes apart, numbered from 0 to {classes - 1} (-1 is no "
            f"class), but the labels go from {least} to {most}.{hint}"
        )
    return labels.astype(np.int64)


def _require_probability(model: keras.Model) -> None:
    """One output tells two classes apart only where its middle is known."""
    activation = getattr(
        getattr(model.layers[-1], "activation", None), "__name__", type(model.layers[-1]).__name__.lower()
    )
    if activation != "sigmoid":
        raise InvalidDataError(
            f"Model {model.name!r} has one output, without a sigmoid: that is regression, but the labels "
            "are integers. Pass responses as floats: use y.astype(float). If it gives the logits of two classes, pass "
            "metrics=[keras.metrics.BinaryAccuracy(threshold=0.0)] too."
        )


def _is_one_hot(labels: Array) -> bool:
    return bool(((labels == 0) | (labels == 1)).all() and (labels.sum(axis=-1) == 1).all())
