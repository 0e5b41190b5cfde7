"""A dataset or a group of an HDF5 file."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from matlab_bridge.matfile._raw import Array

REFERENCE = np.dtype("<u8")
"""Of references to objects: the addresses of these."""

UNDEFINED = 2**64 - 1
"""The address of what is not there."""

ELSEWHERE, NOWHERE = -2, -3
"""The address of what is in another file, and of what a link names that is not there."""

Link = int | str
"""What a link leads to: an address, or the path of another link."""


@dataclass(frozen=True, slots=True)
class ChunkIndex:
    """How the chunks of a dataset are found, where that is not a B-tree of the first version.

    Attributes:
        kind: one of the numbers below.
        nbytes: of a single chunk, if it has filters.
        left_out: filters that were left out of a single chunk, a bit for each.
        edges_unfiltered: whether chunks that go beyond the array have no filters.
    """

    SINGLE: ClassVar[int] = 1
    IMPLICIT: ClassVar[int] = 2
    FIXED_ARRAY: ClassVar[int] = 3
    EXTENSIBLE_ARRAY: ClassVar[int] = 4
    B_TREE: ClassVar[int] = 5

    kind: int
    nbytes: int
    left_out: int
    edges_unfiltered: bool


@dataclass(slots=True)
class Item:
    """A dataset or a group: what its header says.

    Attributes:
        address: where it is, which tells it from others.
        shape: in the order of HDF5, MATLAB's reversed; of a dataset.
        limits: what each axis may grow to; `UNDEFINED` for one without a limit.
        dtype: of its elements; None for a type that MATLAB has no use for.
        is_references: whether the elements are addresses of other items.
        attributes: MATLAB's own: numbers, text as bytes, `Texts`; None for a value of another type.
        data: the address of the data, if it is in one piece; -1 if it was never written.
        nbytes: how much of it there is, in one piece or in the header.
        inline: the data, if it is in the header.
        chunks: the shape of the pieces that the data is in, or None; `data` is then the address of their index.
        filters: numbers of what was done to the bytes of a chunk, in this order.
        fill: the bytes of an element that was never written.
        scheme: how the chunks are found; None in the old way.
        links: order, name and target of the members of a group that are in its header; None for a dataset.
        table: of a group of the old form, the addresses of its index and of its names.
        more_links, more_attributes: the addresses of the heap and of the index of those that are not in the header.
        index: where its chunks are, once that was read.
    """

    address: int
    shape: tuple[int, ...] = ()
    limits: tuple[int, ...] = ()
    dtype: np.dtype[Any] | None = None
    is_references: bool = False
    attributes: dict[str, Any] = field(default_factory=dict)
    data: int = -1
    nbytes: int = 0
    inline: bytes | None = None
    chunks: tuple[int, ...] | None = None
    filters: tuple[int, ...] = ()
    fill: bytes = b""
    scheme: ChunkIndex | None = None
    links: list[tuple[int, str, Link]] | None = None
    table: tuple[int, int] | None = None
    more_links: tuple[int, int] | None = None
    more_attributes: tuple[int, int] | None = None
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
