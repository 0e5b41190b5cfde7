"""Which way an array lies: every way to read it as observations, and the choice between them.

MATLAB stores images as height x width x channels x observations, features as rows or as columns, and
sequences as a cell of channels x time. The network's input size, and the number of labels, decide between
readings; where they leave more than one, rows are observations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from matlab_bridge._errors import DatasetError
from matlab_bridge.matfile._elements import numeric

from ._arrays import is_complex, numbers_of
from ._channels import real_channels
from ._expected import Expected
from ._values import Array, Sequences, as_input, size_text

_OF_PIXELS = (np.uint8, np.bool_)


@dataclass(frozen=True)
class Reading:
    """One way to read a value as observations.

    Attributes:
        observations: how many there are.
        text: what each dimension is taken for.
        arrange: does it.
    """

    observations: int
    text: str
    arrange: Callable[[], Array | Sequences]


def readings(value: Any, expected: Expected) -> tuple[Reading, ...]:
    """Every way to read a value as observations of what a network expects, the likeliest first.

    Args:
        value: a numeric array, a cell of arrays, a table, a sparse matrix, a `dlarray`.
        expected: the network's input.

    Returns:
        The readings; none where the value does not fit.
    """
    found = _readings(value, expected)
    if not found and expected.size and expected.size[-1] % 2 == 0 and is_complex(value):
        half = replace(expected, size=(*expected.size[:-1], expected.size[-1] // 2))
        return tuple(_as_real_channels(reading) for reading in _readings(value, half))
    return found


def _as_real_channels(reading: Reading) -> Reading:
    def arrange() -> Array | Sequences:
        data = reading.arrange()
        return [real_channels(part) for part in data] if isinstance(data, list) else real_channels(data)

    text = f"{reading.text}, complex: the channels are the real parts, then the imaginary parts"
    return Reading(reading.observations, text, arrange)


def _readings(value: Any, expected: Expected) -> tuple[Reading, ...]:
    if isinstance(value, np.ndarray) and value.dtype == object:
        return _cell_readings(value, expected)
    array = numbers_of(value)
    if array is None or not array.size:
        return ()
    found = {
        "image": _image_readings,
        "feature": _feature_readings,
        "sequence": _sequence_readings,
        "unknown": _plain_readings,
    }[expected.kind](array, expected.size)
    if isinstance(value, pd.DataFrame) and expected.kind in {"feature", "unknown"}:
        return tuple(reading for reading in found if reading.observations == len(value))[:1]  # its rows
    return tuple(found)


def arrange_inputs(
    value: Any, expected: Expected, name: str, labels: set[int] | None = None
) -> tuple[Array | Sequences, str]:
    """A value as observations.

    Args:
        value: as in `readings`.
        expected: the network's input.
        name: what the value is called, for the messages.
        labels: for how many observations there can be labels, if that is known.

    Returns:
        The observations, and a sentence about how they lay.

    Raises:
        DatasetError: if the value does not fit the network, or fits in two ways that nothing decides between.
    """
    found = readings(value, expected)
    if not found:
        raise DatasetError(
            f"{name} is {_describe(value)}, but the network takes {expected}. {_remedy(value, expected)}"
        )
    fitting = tuple(reading for reading in found if labels is None or reading.observations in labels) or found
    chosen, *others = fitting
    if others and expected.kind == "unknown" and np.ndim(value) == 3:
        raise DatasetError(
            f"{name} is {_describe(value)}, which can be {' or '.join(reading.text for reading in fitting)}. "
            "Pass network= or labels=, which decide, or add the missing dimension in MATLAB with reshape."
        )
    text = f"{name}, {_describe(value)}, is read as {chosen.text}."
    if others:
        alternatives = " or ".join(reading.text for reading in others)
        text += f" (It could also be {alternatives}; rows are taken as observations.)"
    data = chosen.arrange()
    if is_complex(data[0]):
        text += " The numbers are complex; real_channels() makes real channels of them."
    return data, text


def _image_readings(array: Array, size: tuple[int, ...]) -> list[Reading]:
    rank, full = len(size), array.shape + (1,) * (len(size) - array.ndim)
    names = " x ".join(("height", "width", "depth")[: rank - 1])
    found = []
    if array.ndim == rank + 1 and array.shape[:rank] == size:
        found.append(_last_axis(array, f"{names} x channels x observations"))
    elif array.ndim == rank and size[-1] == 1 and array.shape[:-1] == size[:-1]:
        found.append(_last_axis(np.expand_dims(array, -2), f"{names} x observations (gray)"))
    elif full == size:
        found.append(_single(array.reshape(full), f"one image, {names} x channels"))
    if array.ndim == rank + 1 and array.shape[1:] == size:
        found.append(Reading(array.shape[0], f"observations x {names} x channels", lambda: as_input(array)))
    elif array.ndim == rank and size[-1] == 1 and array.shape[1:] == size[:-1]:
        text = f"observations x {names} (gray)"
        found.append(Reading(array.shape[0], text, lambda: as_input(array[..., np.newaxis])))
    return found or _unrolled_readings(array, size)


def _unrolled_readings(array: Array, size: tuple[int, ...]) -> list[Reading]:
    """Images that were unrolled into rows or columns with `x(:)`, which is column-major."""
    found = _feature_readings(array, (int(np.prod(size)),))

    def roll(reading: Reading) -> Array:
        flat = np.asarray(reading.arrange())
        return np.ascontiguousarray(flat.reshape((len(flat), *size), order="F"))

    return [
        Reading(
            reading.observations,
            f"{reading.text}, each an image of {size_text(size)} unrolled column by column",
            lambda reading=reading: roll(reading),  # type: ignore[misc]
        )
        for reading in found
    ]


def _feature_readings(array: Array, size: tuple[int, ...]) -> list[Reading]:
    if array.ndim != 2:
        return []
    rows, columns = array.shape
    found = []
    if columns == size[0]:
        found.append(Reading(rows, "rows of observations", lambda: as_input(array)))
    if rows == size[0]:
        found.append(Reading(columns, "columns of observations", lambda: as_input(array.T)))
    return found


def _sequence_readings(array: Array, size: tuple[int, ...]) -> list[Reading]:
    width = size[0]
    found = []
    if array.ndim == 2 and array.shape[0] == width:
        found.append(Reading(1, "one sequence, channels x time", lambda: [as_input(array.T)]))
    elif array.ndim == 2 and array.shape[1] == width:
        found.append(Reading(1, "one sequence, time x channels", lambda: [as_input(array)]))
    elif array.ndim == 2 and width == 1:
        found.append(Reading(len(array), "rows of sequences", lambda: [as_input(row[:, np.newaxis]) for row in array]))
        columns = Reading(array.shape[1], "columns of sequences", lambda: [as_input(x[:, np.newaxis]) for x in array.T])
        found.append(columns)
    elif array.ndim == 3:
        for order, channels, axes in _SEQUENCE_ORDERS:
            if array.shape[channels] == width:
                pages = array.transpose(axes)
                arrange = lambda pages=pages: [as_input(page) for page in pages]  # noqa: E731  # one for each order
                found.append(Reading(len(pages), order, arrange))
    return found


# Arrays of sequences of one length: which axis has the channels, and the axes as observations x time x channels.
_SEQUENCE_ORDERS = (
    ("channels x time x observations", 0, (2, 1, 0)),
    ("time x channels x observations", 1, (2, 0, 1)),
    ("observations x time x channels", 2, (0, 1, 2)),
)


def _plain_readings(array: Array, _size: tuple[int, ...]) -> list[Reading]:
    """The readings without a network: MATLAB's own order of dimensions."""
    if array.ndim == 4:
        return [_last_axis(array, "height x width x channels x observations")]
    if array.ndim == 3:
        found = [_last_axis(np.expand_dims(array, -2), "height x width x observations (gray)")]
        if array.shape[2] == 3:
            found.append(_single(array, "one image, height x width x channels"))
        return found
    if array.ndim == 2:
        return [
            Reading(array.shape[0], "rows of observations", lambda: as_input(array)),
            Reading(array.shape[1], "columns of observations", lambda: as_input(array.T)),
        ]
    return []


def _cell_readings(cell: Array, expected: Expected) -> tuple[Reading, ...]:
    """A cell holds one observation an element: sequences, or images of one size."""
    elements = [numbers_of(element) for element in cell.ravel(order="F")]
    arrays = [element for element in elements if element is not None and element.size]
    if not arrays or len(arrays) != len(elements):
        return ()
    if expected.kind == "image":
        return _cell_of_images(arrays, expected.size)
    if expected.kind == "unknown" and (size := _common_image_size(arrays)):
        return _cell_of_images(arrays, size)
    if any(array.ndim != 2 for array in arrays):
        return ()
    if expected.kind == "feature":
        if any(array.size != expected.size[0] for array in arrays):
            return ()
        return (Reading(len(arrays), "a cell of feature vectors", lambda: as_input([a.ravel() for a in arrays])),)
    width = expected.size[0] if expected.kind == "sequence" else _common_width(arrays)
    found = []
    if all(array.shape[0] == width for array in arrays):
        text = "a cell of sequences, channels x time"
        found.append(Reading(len(arrays), text, lambda: [as_input(array.T) for array in arrays]))
    if all(array.shape[1] == width for array in arrays):
        text = "a cell of sequences, time x channels"
        found.append(Reading(len(arrays), text, lambda: [as_input(array) for array in arrays]))
    return tuple(found)


def _cell_of_images(arrays: list[Array], size: tuple[int, ...]) -> tuple[Reading, ...]:
    full = [array.reshape(array.shape + (1,) * (len(size) - array.ndim)) for array in arrays]
    if any(array.shape != size for array in full):
        return ()
    return (Reading(len(full), f"a cell of images of {size_text(size)}", lambda: as_input(np.stack(full))),)


def _common_image_size(arrays: list[Array]) -> tuple[int, ...]:
    """The size of images that are all alike: colours of any type, or gray ones of bytes or bits; else nothing."""
    shapes = {array.shape for array in arrays}
    shape = arrays[0].shape
    is_colour = len(shape) == 3
    is_gray = len(shape) == 2 and min(shape) > 1 and all(array.dtype in _OF_PIXELS for array in arrays)
    return (*shape, 1)[:3] if len(shapes) == 1 and (is_colour or is_gray) else ()


def _common_width(arrays: list[Array]) -> int:
    """The number of channels of sequences: the dimension in which they agree; of two, the first."""
    first = {array.shape[0] for array in arrays}
    second = {array.shape[1] for array in arrays}
    return int(arrays[0].shape[1 if len(second) == 1 and len(first) > 1 else 0])


def _last_axis(array: Array, text: str) -> Reading:
    return Reading(array.shape[-1], text, lambda: as_input(np.moveaxis(array, -1, 0)))


def _single(array: Array, text: str) -> Reading:
    return Reading(1, text, lambda: as_input(array[np.newaxis]))


def _describe(value: Any) -> str:
    if isinstance(value, pd.DataFrame):
        return f"a table of {len(value)} rows and {len(value.columns)} variables"
    if isinstance(value, np.ndarray) and value.dtype == object:
        return f"a cell of {size_text(value.shape)}"
    array = numbers_of(value)
    if array is not None:
        return f"{size_text(array.shape)} {array.dtype.name}"
    return f"a {getattr(value, 'class_name', type(value).__name__)}"


def _remedy(value: Any, expected: Expected) -> str:
    array = numeric(value)
    if expected.kind == "image" and array is not None and array.ndim >= 3:
        return (
            "Save them as height x width x channels x observations of that size; imresize(X, [H W]) changes "
            "the size in MATLAB, cat(3, X, X, X) makes three channels of gray, im2gray one of colour."
        )
    return "Name another variable with inputs=, or another network."
