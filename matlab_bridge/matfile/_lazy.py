"""Large arrays, of which only the part that is indexed is read."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from ._raw import Array

LARGE = 2**24
"""From this many bytes on an array is read in parts: a smaller one is read whole as soon."""

# Whoever reads parts that amount to the whole, again and again, is better off with the whole, if it is not too large.
_KEPT = 2**28
_LEAST_PART = 2**16


Wanted = range | Array
"""Positions along an axis, rising, each once."""


@dataclass(frozen=True, slots=True)
class StoredArray:
    """A large array in its file.

    Attributes:
        shape: MATLAB's size.
        dtype: of the values in memory.
        block: reads the block of some positions along every axis, as an array of its own.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    block: Callable[[tuple[Wanted, ...]], Array]


class LazyArray(NDArrayOperatorsMixin):
    """A large numeric array of a MAT-file: indexing reads a part, every other use of it the whole.

    Indices are those of NumPy. A part is an array of its own: writing to it changes neither this array nor the
    file. Whatever NumPy does with an array (arithmetic, methods, functions) reads the whole and keeps it, as does
    `numpy.asarray`; from then on this is but another name for that array, to which values may be assigned as well.
    It is no `numpy.ndarray` itself: where one is insisted on, as by `torch.from_numpy`, pass
    `numpy.asarray(array)`, or open the file with `load(path, lazy=False)`.

    Args:
        stored: the array in its file.
        whole: reads all values.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from matlab_bridge.matfile import load, save
        >>> path = Path(tempfile.mkdtemp()) / "big.mat"
        >>> save(path, {"X": np.zeros((2000, 100, 100), np.uint8)}, version="v7.3")
        >>> images = load(path)["X"]
        >>> images
        LazyArray of 2000x100x100 uint8
        >>> images[..., :10].shape
        (2000, 100, 10)
    """

    def __init__(self, stored: StoredArray, whole: Callable[[], Array]) -> None:
        self.shape = stored.shape
        self.dtype = stored.dtype
        self._block = stored.block
        self._whole = whole
        self._values: Array | None = None
        self._spent = 0

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The bytes that the whole takes in memory."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> Any:
        if self._values is not None or self._spent > self.nbytes <= _KEPT:
            return self._all()[index]
        # NumPy's own errors for an index that does not fit, from an array that takes no memory.
        nbytes = np.broadcast_to(np.uint8(0), self.shape)[index].size * self.dtype.itemsize
        parts = orthogonal(index, self.shape)
        if parts is None:
            return self._all()[index]
        self._spent += max(nbytes, _LEAST_PART)
        axes, within = parts
        return self._block(axes)[within]

    def __setitem__(self, index: Any, value: Any) -> None:
        self._all()[index] = value

    def __iter__(self) -> Iterator[Any]:
        return iter(self._all())

    def __contains__(self, value: object) -> bool:
        return value in self._all()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self._all(), dtype=dtype, copy=copy)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        """Let NumPy compute with the whole."""
        if "out" in options:
            options["out"] = tuple(_plain(array) for array in options["out"])
        return getattr(ufunc, method)(*map(_plain, inputs), **options)

    def __getattr__(self, name: str) -> Any:
        # What an array has: `mean`, `T`, `reshape`, ... Many libraries only ask what something is by names of
        # their own, or by Python's protocols: that reads nothing.
        if name.startswith("_") or not hasattr(np.ndarray, name):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)
        return getattr(self._all(), name)

    def __reduce__(self) -> tuple[Any, ...]:
        return np.asarray, (self._all(),)

    def __repr__(self) -> str:
        return f"LazyArray of {'x'.join(map(str, self.shape))} {self.dtype}"

    def _all(self) -> Array:
        if self._values is None:
            self._values = self._whole()
        return self._values


def _plain(value: Any) -> Any:
    return np.asarray(value) if isinstance(value, LazyArray) else value


def stretches(source: Any, axes: tuple[Wanted, ...]) -> Array:
    """The block of some positions along every axis of an array that reads what is sliced.

    What lies between the positions is read as well, one stretch along every axis.
    """
    if not all(map(len, axes)):
        return np.empty(tuple(map(len, axes)), source.dtype)
    block: Array = source[tuple(slice(int(axis[0]), int(axis[-1]) + 1) for axis in axes)]
    for i, axis in enumerate(axes):
        within = slice(None, None, axis.step) if isinstance(axis, range) else axis - axis[0]
        block = block[(slice(None),) * i + (within,)]
    return block.copy(order="K")


def orthogonal(index: Any, shape: tuple[int, ...]) -> tuple[tuple[Wanted, ...], tuple[Any, ...]] | None:
    """What an index needs of every axis, and the same index into an array of that alone.

    Args:
        index: one that NumPy accepts for this shape.
        shape: of the array.

    Returns:
        The positions along every axis, and the index that stands for the same elements in the block of these
        positions; None for a kind of index that is not taken apart.
    """
    items = _expand(index, len(shape))
    if items is None:
        return None
    wanted: list[Wanted] = []
    within: list[Any] = []
    for item in items:
        if item is None:
            within.append(None)
            continue
        positions, place = _along(item, shape[len(wanted)])
        wanted.append(positions)
        within.append(place)
    return tuple(wanted), tuple(within)


def _expand(index: Any, rank: int) -> list[Any] | None:
    """One item for every axis, and None for new ones: ellipsis and logical arrays are written out."""
    items: list[Any] = []
    for item in index if isinstance(index, tuple) else (index,):
        if item is None or item is Ellipsis or isinstance(item, slice):
            items.append(item)
            continue
        array = np.asarray(item)
        if array.dtype == bool:
            if array.ndim == 0:
                return None
            items.extend(array.nonzero())
        elif isinstance(item, int | np.integer):
            items.append(int(item))
        else:
            items.append(array.astype(np.intp))
    missing = rank - sum(item is not None and item is not Ellipsis for item in items)
    at = next((i for i, item in enumerate(items) if item is Ellipsis), len(items))
    items[at : at + 1] = [slice(None)] * missing
    return items


def _along(item: Any, length: int) -> tuple[Wanted, Any]:
    if isinstance(item, slice):
        positions = range(length)[item]
        if positions.step > 0:
            return positions, slice(None)
        return positions[::-1], slice(None, None, -1)
    if isinstance(item, int):
        at = item % length
        return range(at, at + 1), 0
    rising, places = np.unique(np.where(item < 0, item + length, item), return_inverse=True)
    return rising, places.reshape(item.shape)
