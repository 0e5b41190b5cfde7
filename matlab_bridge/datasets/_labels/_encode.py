"""Labels of every kind that MATLAB users keep, as class indices in the order of a network's outputs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse

from matlab_bridge._errors import DatasetError, LabelMismatchError
from matlab_bridge.datasets._arrays import numbers_of
from matlab_bridge.datasets._expected import Expected
from matlab_bridge.datasets._values import Array, Sequences, shorten, size_text
from matlab_bridge.matfile._elements import numeric
from matlab_bridge.matfile._values import CategoricalArray

from ._numbers import NumberLabels, Predictions, are_whole, choose, name_of, number_readings
from ._text import Text, as_text


@dataclass(frozen=True)
class Labels:
    """Labels in the order of the observations.

    Attributes:
        data: class indices, responses, or a list of either with one array a sequence.
        class_names: of the indices; empty for responses.
        note: how the labels were matched to the classes.
    """

    data: Array | Sequences
    class_names: tuple[str, ...]
    note: str


@dataclass(frozen=True)
class Doubt:
    """How to decide what numbers mean.

    Attributes:
        number_labels: `"auto"`, or what the user says they are.
        predictions: asks the network about a sample.
    """

    number_labels: NumberLabels = "auto"
    predictions: Callable[[], Predictions | None] | None = None


def encode(value: Any, expected: Expected, observations: int, doubt: Doubt = Doubt()) -> Labels:
    """Labels as class indices, or as responses where the network is a regression.

    Names are matched to the network's classes by name; what numbers mean, `_numbers.py` decides.

    Args:
        value: a categorical, strings, a cell of char rows, a char matrix, numbers, logicals, one-hot rows or
            columns, sparse ones too as `ind2vec` makes them, or a cell with one of these a sequence.
        expected: the network's class names and the number of its outputs.
        observations: how many inputs there are.
        doubt: how to decide what numbers mean where they can be names or indices.

    Returns:
        The labels.

    Raises:
        LabelMismatchError: if labels and classes differ; both are listed.
        DatasetError: if there are more or fewer labels than observations.
    """
    shape = np.shape(value.codes if isinstance(value, CategoricalArray) else value)
    if len(shape) > 2 and shape[-1] == observations < math.prod(shape):
        return _of_pixels(value, shape, expected, doubt, observations)
    steps = _steps(value, observations)
    if steps is not None:
        return _encode_steps(steps, expected, doubt)
    text = as_text(value)
    if text is not None:
        _check_count(len(text.names), observations)
        return _from_text(text, expected)
    array = numbers_of(value)
    if array is None or array.dtype.kind == "c":
        raise DatasetError(
            f"The labels are a {getattr(value, 'class_name', type(value).__name__)}. Labels are a "
            "categorical, strings, a cell of char rows, numbers, logicals or a one-hot matrix."
        )
    if array.ndim == 2 and 1 not in array.shape:
        return _from_matrix(array, expected, observations)
    _check_count(array.size, observations)
    return _from_numbers(array.ravel(order="F"), expected, doubt)


def label_counts(value: Any) -> set[int]:
    """For how many observations a value can hold labels: its elements, or the rows or columns of a matrix."""
    if isinstance(value, pd.Categorical):
        return {len(value)}
    if isinstance(value, CategoricalArray):
        return {int(np.size(value.codes))}
    if isinstance(value, np.ndarray | scipy.sparse.csc_array) and value.ndim <= 2:
        return {math.prod(value.shape)} if value.ndim < 2 or 1 in value.shape else set(value.shape)
    return set()


def is_one_hot(array: Array) -> bool:
    """Whether each row of a matrix is a single one among zeros."""
    return bool(np.isin(array, (0, 1)).all() and (np.count_nonzero(array, axis=1) == 1).all())


def _check_count(labels: int, observations: int) -> None:
    if labels != observations:
        raise DatasetError(
            f"There are {observations} observations but {labels} labels. Name the labels that belong to the "
            "inputs with labels=."
        )


def _from_text(text: Text, expected: Expected) -> Labels:
    used = sorted(set(text.names))
    if expected.class_names:
        order, note = expected.class_names, "The labels are matched to the network's classes by name."
        if not set(used) <= set(order):
            raise _mismatch(used, expected)
    else:
        order, note = _own_order(text, used, expected)
    indices = {name: index for index, name in enumerate(order)}
    return Labels(np.array([indices[name] for name in text.names], dtype=np.int64), order, note)


def _own_order(text: Text, used: list[str], expected: Expected) -> tuple[tuple[str, ...], str]:
    """The order of classes for a network without class names."""
    wanted = expected.outputs
    kept = tuple(name for name in text.categories if name in set(used))
    for order, words in (
        (text.categories, "the categorical's categories"),
        (kept, "the categories that occur, in the categorical's order"),
        (tuple(used), "the labels sorted by name"),
    ):
        if order and _fits(len(order), wanted):
            return order, f"The classes are {words}: {shorten(order)}."
    raise _mismatch(used, expected)


def _fits(classes: int, outputs: int | None) -> bool:
    # A single sigmoid output tells two classes apart.
    return outputs is None or classes == outputs or (classes, outputs) == (2, 1)


def _from_numbers(numbers: Array, expected: Expected, doubt: Doubt) -> Labels:
    if _are_responses(numbers, expected):
        return Labels(_responses(numbers[:, np.newaxis]), (), "The labels are numbers and are read as responses.")
    values, where = np.unique(numbers, return_inverse=True)
    where = where.ravel()
    found = number_readings(values, expected, logical=numbers.dtype.kind == "b")
    if not found:
        raise _mismatch([name_of(value) for value in values], expected)
    reading = choose(found, where, doubt.number_labels, doubt.predictions)
    indices = np.array(reading.indices, dtype=np.int64)
    return Labels(indices[where], reading.class_names, f"The labels are numbers, read as {reading.note}.")


def _are_responses(numbers: Array, expected: Expected) -> bool:
    if expected.regression or expected.class_names:
        return expected.regression
    if expected.outputs == 1:
        return not set(np.unique(numbers).tolist()) <= {0, 1}
    return not are_whole(numbers)


def _from_matrix(matrix: Array, expected: Expected, observations: int) -> Labels:
    if observations not in matrix.shape:
        raise DatasetError(f"There are {observations} observations, but the labels are {size_text(matrix.shape)}.")
    as_rows = matrix.shape[0] == observations
    if as_rows and matrix.shape[1] == observations and expected.outputs != observations:
        raise DatasetError(f"The labels are {size_text(matrix.shape)}, and neither dimension is the number of classes.")
    rows, side = (matrix, "rows") if as_rows else (matrix.T, "columns")
    if not expected.regression and is_one_hot(rows):
        count = rows.shape[1]
        if not _fits(count, expected.outputs):
            raise _mismatch([str(number + 1) for number in range(count)], expected)
        order = expected.class_names or tuple(str(number + 1) for number in range(count))
        return Labels(rows.argmax(axis=1).astype(np.int64), order, f"The labels are one-hot {side}.")
    if expected.class_names:
        raise LabelMismatchError(
            f"The labels are {size_text(matrix.shape)} numbers that are not one-hot, but the network has the "
            f"classes {shorten(expected.class_names)}. Pass one label an observation."
        )
    return Labels(_responses(rows), (), f"The labels are responses, one observation in each of the {side}.")


def _steps(value: Any, observations: int) -> list[Any] | None:
    """The labels of the time steps of each sequence, where a cell holds them."""
    if not (isinstance(value, np.ndarray) and value.dtype == object and value.size == observations):
        return None
    elements = list(value.ravel(order="F"))
    if all(isinstance(element, str) for element in elements):
        return None
    return elements


def _encode_steps(steps: list[Any], expected: Expected, doubt: Doubt) -> Labels:
    """All sequences at once, so that they share one order of classes, then apart again."""
    if any(np.size(step) == 0 for step in steps):
        raise DatasetError("The labels are a cell with elements that are empty, and so no labels.")
    texts = [as_text(step) for step in steps]
    if all(text is not None for text in texts):
        lengths = [len(text.names) for text in texts if text is not None]
        categories = tuple(dict.fromkeys(name for text in texts if text for name in text.categories))
        joined = _from_text(Text(np.concatenate([t.names for t in texts if t is not None]), categories), expected)
    else:
        arrays = [array for array in map(numeric, steps) if array is not None]
        if len(arrays) != len(steps):
            raise DatasetError("The labels are a cell whose elements are neither names nor numbers.")
        if not all(1 in array.shape for array in arrays):
            rows = [_responses(array.T) for array in arrays]
            return Labels(rows, (), "The labels are responses at each time step, channels x time.")
        lengths = [array.size for array in arrays]
        joined = _from_numbers(np.concatenate([array.ravel() for array in arrays]), expected, doubt)
    if set(lengths) == {1}:
        return joined
    apart = np.split(np.asarray(joined.data), np.cumsum(lengths)[:-1])
    return Labels(apart, joined.class_names, f"{joined.note} Each time step has its own label.")


def _of_pixels(value: Any, shape: tuple[int, ...], expected: Expected, doubt: Doubt, observations: int) -> Labels:
    """A class for each pixel, (N, H, W), or responses that are images, (N, H, W, C), of arrays with N as the last."""
    array, text = numbers_of(value), as_text(value)
    if expected.regression and array is not None:
        images = np.moveaxis(array, -1, 0)
        # MATLAB's images of one channel may have no dimension for it.
        images = images if array.ndim > 3 else images[..., np.newaxis]
        images = images if max(images.shape[1:-1]) > 1 else images.reshape(observations, -1)  # 1 x 1 x R x N
        return Labels(_responses(images), (), "The labels are responses, images with the observations last.")
    if text is not None:
        labels = _from_text(text, expected)
    elif array is not None and array.dtype.kind != "c":
        # The network is not asked: it would give classes of whole observations.
        labels = _from_numbers(array.ravel(order="F"), expected, Doubt(doubt.number_labels))
    else:
        raise DatasetError(f"The labels are {size_text(shape)}, and neither names nor numbers.")
    pixels = np.moveaxis(np.asarray(labels.data).reshape(shape, order="F"), -1, 0)
    pixels = pixels[..., 0] if pixels.ndim > 3 and pixels.shape[-1] == 1 else pixels
    return Labels(np.ascontiguousarray(pixels), labels.class_names, f"{labels.note} Each pixel has its own label.")


def _responses(array: Array) -> Array:
    return np.ascontiguousarray(array, dtype=np.float32)


def _mismatch(labels: list[str], expected: Expected) -> LabelMismatchError:
    if not expected.class_names:
        return LabelMismatchError(
            f"There are {len(labels)} different labels ({shorten(labels)}), but the network has "
            f"{expected.outputs} outputs and no class names. Pass the labels that it was trained with."
        )
    strange = [name for name in labels if name not in expected.class_names]
    unused = [name for name in expected.class_names if name not in labels]
    return LabelMismatchError(
        f"The labels and the network's classes differ. Only among the labels: {shorten(strange)}. Only "
        f"among the classes: {shorten(unused)}. All labels: {shorten(labels)}; all classes: "
        f"{shorten(expected.class_names)}. Pass the labels that the network was trained with, or rename "
        "them in MATLAB with renamecats."
    )
