"""The observations of a sweep, checked against the model before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from keras_prunelab._errors import InvalidDataError

from ._metric import ACCURACY, RMSE, Metric

if TYPE_CHECKING:
    import keras

Shape: TypeAlias = "tuple[int | None, ...]"
Array: TypeAlias = NDArray[Any]
Batch: TypeAlias = "tuple[Array, Array]"


@dataclass(frozen=True)
class Samples:
    """Observations with what the network should answer.

    Attributes:
        inputs: one array with an observation for each index of its first axis, or a list of sequences of
            different lengths.
        labels: class indices, or responses for regression, along the same first axis.
        metric: what to measure: accuracy for class indices, RMSE for responses.
        class_names: the names of the classes, or nothing.
    """

    inputs: Array | Sequence[Array]
    labels: Array | Sequence[Array]
    metric: Metric
    class_names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.inputs)

    def batches(self, size: int) -> Iterator[Batch]:
        """Cut into batches; a batch of sequences has one length, so nothing is padded."""
        if isinstance(self.inputs, np.ndarray):
            groups = [np.arange(len(self.inputs))]
        else:
            lengths = np.array([len(sequence) for sequence in self.inputs])
            groups = [np.flatnonzero(lengths == length) for length in np.unique(lengths)]
        for group in groups:
            for start in range(0, len(group), size):
                chosen = group[start : start + size]
                yield _take(self.inputs, chosen), _take(self.labels, chosen)


def samples(model: keras.Model, data: Any) -> Samples:
    """Check data against a model's inputs and outputs.

    Args:
        model: a built model with one input and one output.
        data: (inputs, labels), or an object with `inputs`, `labels` and perhaps `class_names`. Labels are
            class indices from 0 (integers), one-hot rows, or floating-point responses.

    Returns:
        The observations.

    Raises:
        InvalidDataError: shapes or kinds do not fit; the message has both.
    """
    inputs, labels = _unpacked(data)
    names = getattr(data, "class_names", None)
    wanted, given_out = _shape(model, "input_shape"), _shape(model, "output_shape")
    inputs = _inputs(inputs)
    for one in inputs if not isinstance(inputs, np.ndarray) else (inputs[0],):
        if wanted is not None and not _fits(one.shape, wanted[1:]):
            hint = " Add the channel axis with x[..., None]." if (*one.shape, 1) == wanted[1:] else ""
            raise InvalidDataError(
                f"Model {model.name!r} takes observations of shape {_text(wanted[1:])}, but the data has "
                f"{len(inputs)} "
                f"of shape {one.shape}.{hint}"
            )
    if len(labels) != len(inputs):
        raise InvalidDataError(
            f"Each observation has one label, but got {len(inputs)} inputs and {len(labels)} labels."
        )
    outputs = given_out if given_out is not None else tuple(model(np.asarray(inputs[0])[None], training=False).shape)
    checked, metric = _labels(model, labels, outputs)
    return Samples(inputs, checked, metric, tuple(map(str, names)) if names is not None else ())


def _unpacked(data: Any) -> tuple[Any, Any]:
    if hasattr(data, "inputs") and hasattr(data, "labels"):
        inputs, labels = data.inputs, data.labels
    elif isinstance(data, tuple | list) and len(data) == 2:
        inputs, labels = data
    else:
        raise InvalidDataError(
            f"data is (inputs, labels), or an object with both, but got {type(data).__name__}. "
            "Of a tf.data.Dataset take the arrays first, for instance with np.concatenate."
        )
    if labels is None:
        raise InvalidDataError("The data has no labels, and a sweep compares the network's answers with them.")
    return inputs, labels


def _shape(model: keras.Model, which: str) -> Shape | None:
    """The shape of the model's one input or output; None for a subclassed model, which knows none."""
    shape = getattr(model, which, None)
    if isinstance(shape, dict) or (isinstance(shape, list | tuple) and shape and isinstance(shape[0], tuple | list)):
        if len(shape) != 1:
            raise InvalidDataError(
                f"A sweep measures models with one input and one output, but model {model.name!r} has the "
                f"{which} {shape}."
            )
        shape = next(iter(shape.values())) if isinstance(shape, dict) else shape[0]
    return None if shape is None else tuple(shape)


def _inputs(inputs: Any) -> Array | list[Array]:
    if not isinstance(inputs, list | tuple):
        inputs = np.asarray(inputs)
    elif len({np.shape(one) for one in inputs}) == 1:
        inputs = np.stack([np.asarray(one) for one in inputs])
    if len(inputs) == 0:
        raise InvalidDataError("The data has no observations.")
    if isinstance(inputs, np.ndarray):
        return _numbers(inputs)
    return [_numbers(np.asarray(one)) for one in inputs]


def _numbers(array: Array) -> Array:
    if array.dtype.kind not in "buif":
        raise InvalidDataError(f"Inputs are numbers, but got an array of {array.dtype}.")
    return array.astype(np.float32, copy=False) if array.dtype.kind == "f" else array


def _labels(model: keras.Model, labels: Any, outputs: Shape) -> tuple[Array | list[Array], Metric]:
    sequences = isinstance(labels, list | tuple) and len({np.shape(one) for one in labels}) > 1
    parts = [np.asarray(one) for one in labels] if sequences else [np.asarray(labels)]
    inner = outputs[1:]
    checked, metrics = zip(*(_checked(model, part, inner, sequences) for part in parts), strict=True)
    if len(set(metrics)) > 1:
        raise InvalidDataError("Some labels are class indices and some are responses; they must be all of one kind.")
    return (list(checked) if sequences else checked[0]), metrics[0]


def _checked(model: keras.Model, labels: Array, output: Shape, sequences: bool) -> tuple[Array, Metric]:
    """Labels as class indices or as responses of the output's shape, and what to measure."""
    observation = labels.shape if sequences else labels.shape[1:]
    if labels.dtype.kind not in "buif":
        raise InvalidDataError(
            f"Labels are class indices (integers from 0), one-hot rows or responses (floats), but got {labels.dtype}."
        )
    several = bool(output) and (output[-1] or 0) > 1
    if several and _fits(observation, output) and _is_one_hot(labels):
        return labels.argmax(axis=-1), ACCURACY
    if labels.dtype.kind == "f":
        return _responses(model, labels, observation, output), RMSE
    return _indices(model, labels, observation, output), ACCURACY


def _responses(model: keras.Model, labels: Array, observation: tuple[int, ...], output: Shape) -> Array:
    if observation == () and output == (1,):
        return labels[..., None]
    if not _fits(observation, output):
        raise InvalidDataError(
            f"Labels of {labels.dtype} are responses, and model {model.name!r} answers with shape "
            f"{_text(output)}, but they have shape {observation} each. Class indices are integers from 0: "
            "use y.astype(int)."
        )
    return labels


def _indices(model: keras.Model, labels: Array, observation: tuple[int, ...], output: Shape) -> Array:
    classes = output[-1] if output else None
    if classes == 1 and observation in {(1,), ()}:
        _require_probability(model)
        labels, observation, classes = labels.reshape(-1), (), 2
    if not _fits(observation, output[:-1]):
        raise InvalidDataError(
            f"Model {model.name!r} answers with shape {_text(output)}, so class indices have shape "
            f"{_text(output[:-1])} for each observation, but they have {observation}."
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
            "are integers. "
            "Pass responses as floats: use y.astype(float)."
        )


def _is_one_hot(labels: Array) -> bool:
    return bool(((labels == 0) | (labels == 1)).all() and (labels.sum(axis=-1) == 1).all())


def _fits(shape: tuple[int, ...], wanted: Shape) -> bool:
    return len(shape) == len(wanted) and all(w in (None, s) for s, w in zip(shape, wanted, strict=True))


def _text(shape: Shape) -> str:
    inner = ", ".join("any" if length is None else str(length) for length in shape)
    return f"({inner},)" if len(shape) == 1 else f"({inner})"


def _take(array: Array | Sequence[Array], chosen: Array) -> Array:
    return array[chosen] if isinstance(array, np.ndarray) else np.stack([array[index] for index in chosen])
