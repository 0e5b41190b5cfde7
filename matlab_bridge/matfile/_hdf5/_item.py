"""A dataset or a group of an HDF5 file, and a file of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from matlab_bridge.matfile._lazy import Wanted
from matlab_bridge.matfile._raw import Array

REFERENCE = np.dtype("<u8")
"""Of references to objects: the addresses of these."""


@dataclass(slots=True)
class Item:
    """A dataset or a group: what its header says.

    Attributes:
        address: where it is, which tells it from others.
        shape: in the order of HDF5, MATLAB's reversed; of a dataset.
        dtype: of its elements; None for a type that MATLAB has no use for.
        is_references: whether the elements are addresses of other items.
        attributes: MATLAB's own: numbers, text as bytes, `Texts`; None for a value of another type.
        data: the address of the data, if it is in one piece; -1 if it was never written.
        nbytes: how much of it there is, in one piece or in the header.
        inline: the data, if it is in the header.
        chunks: the shape of the pieces that the data is in, or None; `data` is then the address of their index.
        filters: numbers of what was done to the bytes of a chunk, in this order.
        fill: the bytes of an element that was never written.
        links: addresses of the members of a group by name; None for a dataset.
        table: of a group of the old form, the addresses of its index and of its names.
        index: where its chunks are, once that was read.
    """

    address: int
    shape: tuple[int, ...] = ()
    dtype: np.dtype[Any] | None = None
    is_references: bool = False
    attributes: dict[str, Any] = field(default_factory=dict)
    data: int = -1
    nbytes: int = 0
    inline: bytes | None = None
    chunks: tuple[int, ...] | None = None
    filters: tuple[int, ...] = ()
    fill: bytes = b""
    links: dict[str, int] | None = None
    table: tuple[int, int] | None = None
    index: dict[tuple[int, ...], Any] | None = None

    @property
    def is_group(self) -> bool:
        """Whether it has members instead of data."""
        return self.links is not None or self.table is not None

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def full_nbytes(self) -> int:
        """What all elements take in memory."""
        return self.size * (self.dtype.itemsize if self.dtype else 1)


@dataclass(frozen=True, slots=True)
class Texts:
    """Several texts, or a reference to the dataset that holds them.

    Attributes:
        places: length of each, address of its heap, and number within that.
        reference: the address of the dataset; there are no `places` then.
    """

    places: Array | None = None
    reference: int = 0


class HDF5(Protocol):
    """An open HDF5 file.

    Attributes:
        root: the group of all variables.
        nbytes: the size of the file.
    """

    root: Item
    nbytes: int

    def item(self, address: int) -> Item:
        """The dataset or group at an address."""
        ...

    def members(self, group: Item) -> dict[str, int]:
        """The addresses of the members of a group by name, in the order of the file's index."""
        ...

    def texts(self, stored: Any) -> list[str]:
        """Texts of variable length, from the value of an attribute."""
        ...

    def read(self, item: Item) -> Array:
        """All elements of a dataset, in the order of HDF5."""
        ...

    def part(self, item: Item, axes: tuple[Wanted, ...]) -> Array:
        """The block of some positions along every axis, in the order of HDF5."""
        ...

    def stored_nbytes(self, item: Item) -> int:
        """How many bytes of the file the data of a dataset takes."""
        ...

    def check_size(self, item: Item) -> None:
        """Refuse a dataset that states a size which its bytes in the file cannot hold."""
        ...
