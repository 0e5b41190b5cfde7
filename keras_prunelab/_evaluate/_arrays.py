"""Data that is arrays, checked against the inputs and outputs of a model before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
from numpy.typing import NDArray

from keras_prunelab._errors import InvalidDataError
from keras_prunelab._model._data import arrays_of, require_finite
from keras_prunelab._model._shapes import Shape, fits, is_for, is_text_for, misfit
from keras_prunelab._util._arrays import as_array

from ._data import Samples, Structured
from ._labels import labels_of_data

Array: TypeAlias = NDArray[Any]


def observations_of_arrays(model: keras.Model, data: Any) -> Samples | Structured:
    """Check data that is in memory against a model.

    Args:
        model: a built model.
        data: what `samples` takes; for a model with several inputs or outputs, their structures.

    Raises:
        InvalidDataError: shapes or kinds do not fit; or the model has several inputs or outputs, and is not compiled.
    """
    return structured(model, data) if is_structured(model, _unpack(data)[0]) else samples(model, data)


def is_structured(model: keras.Model, inputs: Any = None) -> bool:
    """Whether a model has several inputs or outputs, or one that goes by a name.

    Args:
        model: a built model.
        inputs: what it is given. One input with a name may be given without it.
    """
    named = isinstance(inputs, Mapping) or isinstance(getattr(model, "_outputs_struct", None), Mapping)
    return named or any(_is_nested(getattr(model, which, None)) for which in ("input_shape", "output_shape"))


def structured(model: keras.Model, data: Any) -> Structured:
    """Check data for a model with several inputs or outputs, which must be compiled.

    Raises:
        InvalidDataError: the parts have different lengths, or the model is not compiled.
    """
    if not model.compiled:
        raise InvalidDataError(
            f"Model {model.name!r} has several inputs or outputs, or names for them, and only its loss and metrics "
            "tell what to measure: call model.compile(loss=..., metrics=...) first."
        )
    inputs, targets, weights = _unpack(data)
    parts = [None if part is None else arrays_of(part) for part in (inputs, targets, weights)]
    lengths = {len(array) for array in keras.tree.flatten(parts) if array is not None}
    if len(lengths) != 1 or 0 in lengths:
        raise InvalidDataError(
            f"Inputs, labels and weights have as many observations each, at least one, not {sorted(lengths)}."
        )
    return Structured(parts[0], parts[1], parts[2])


def samples(model: keras.Model, data: Any) -> Samples:
    """Check data against a model's inputs and outputs.

    Args:
        model: a built model with one input and one output.
        data: (inputs, labels), (inputs, labels, sample weights), or an object with `inputs`, `labels` and perhaps
            `class_names`. Labels are class indices from 0 (integers), one-hot rows, or floating-point responses.

    Returns:
        The observations.

    Raises:
        InvalidDataError: shapes or kinds do not fit; the message has both.
    """
    inputs, labels, weights = _unpack(data)
    if weights is not None and len(weights) != len(labels):
        raise InvalidDataError(
            f"Each observation has one weight, but got {len(labels)} labels, {len(weights)} weights."
        )
    names = getattr(data, "class_names", None)
    if isinstance(inputs, list | tuple) and is_for(model, inputs):  # one array in a list, as Keras takes it
        (inputs,) = inputs
    inputs = _inputs(model, inputs)
    check_inputs(model, inputs)
    if len(labels) != len(inputs):
        raise InvalidDataError(
            f"Each observation has one label, but got {len(inputs)} inputs and {len(labels)} labels."
        )
    checked, metric = labels_of_data(model, labels, output_shape(model, inputs))
    return Samples(
        inputs,
        checked,
        metric,
        tuple(map(str, names)) if names is not None else (),
        as_array(labels) if isinstance(checked, np.ndarray) else checked,
        None if weights is None else np.asarray(weights),
    )


def check_inputs(model: keras.Model, inputs: Array | Sequence[Array]) -> None:
    """Make sure that observations have the shape that a model takes.

    Raises:
        InvalidDataError: they have not.
    """
    wanted = _shape(model, "input_shape")
    for one in inputs if not isinstance(inputs, np.ndarray) else inputs[:1] if inputs.ndim else (inputs,):
        if wanted is not None and not fits(np.shape(one), wanted[1:]):
            whole = inputs.shape if isinstance(inputs, np.ndarray) else (len(inputs), *one.shape)
            raise misfit(model, whole, wanted)


def output_shape(model: keras.Model, inputs: Array | Sequence[Array]) -> Shape:
    """The shape of the model's output, with the axis of the observations."""
    known = _shape(model, "output_shape")
    return known if known is not None else tuple(model(np.asarray(inputs[0])[None], training=False).shape)


def _unpack(data: Any) -> tuple[Any, Any, Any]:
    """Inputs, labels and sample weights, where there are some.

    Raises:
        InvalidDataError: there are no labels, or the data is in another form.
    """
    weights = None
    if hasattr(data, "inputs") and hasattr(data, "labels"):
        inputs, labels = data.inputs, data.labels
    elif isinstance(data, tuple | list) and len(data) == 3:
        inputs, labels, weights = data
    elif isinstance(data, tuple | list) and len(data) == 2:
        inputs, labels = data
    else:
        raise InvalidDataError(
            "data is (inputs, labels), an object with both, a tf.data.Dataset, a keras.utils.PyDataset or a function "
            f"that returns batches, but got {type(data).__name__}."
        )
    require_labels(labels)
    return inputs, labels, weights


def require_labels(labels: Any) -> None:
    """Make sure that there are labels.

    Raises:
        InvalidDataError: there are none.
    """
    if labels is None:
        raise InvalidDataError("The data has no labels, and a sweep compares the network's answers with them.")


def _is_nested(shape: Any) -> bool:
    return isinstance(shape, dict) or (
        isinstance(shape, list | tuple) and bool(shape) and isinstance(shape[0], tuple | list | dict)
    )


def _shape(model: keras.Model, which: str) -> Shape | None:
    """The shape of the model's one input or output; None for a subclassed model, which knows none."""
    shape: Any = getattr(model, which, None)
    if _is_nested(shape):
        shape = next(iter(shape.values())) if isinstance(shape, dict) else shape[0]
    return None if shape is None else tuple(shape)


def _inputs(model: keras.Model, inputs: Any) -> Array | list[Array]:
    if not isinstance(inputs, list | tuple):
        inputs = np.asarray(inputs)
    elif len({np.shape(one) for one in inputs}) == 1:
        inputs = np.stack([np.asarray(one) for one in inputs])
    if len(inputs) == 0:
        raise InvalidDataError("The data has no observations.")
    if isinstance(inputs, np.ndarray):
        return _readable(model, inputs)
    return [_readable(model, np.asarray(one)) for one in inputs]


def _readable(model: keras.Model, array: Array) -> Array:
    if is_text_for(model, array):
        return array
    if array.dtype.kind not in "buif":
        raise InvalidDataError(f"Inputs are numbers, but got an array of {array.dtype}.")
    require_finite("inputs", array)
    return array.astype(np.float32, copy=False) if array.dtype.kind == "f" else array
