"""File names inside a stored `imageDatastore`: a compressed tree, of which no description is published.

What is known was measured on files that MATLAB R2019b to R2022b wrote; docs/datasets.md says what it rests
on. A struct holds `StringTree` (characters), `PathTree` (bytes), `OriginalFileSep`, `NumFiles` and
`ShuffledIndices`. `PathTree` is the length of what follows as a 64-bit integer, then a zlib stream of:

1. the shape of a Huffman tree in preorder, 0 a node and 1 a leaf: uint64 count of bytes, bits;
2. the tree of folders and files in preorder: uint64 count, a byte each; bit 0: has children, bit 1: has a
   sibling after it;
3. their names: uint64 count, type of the lengths; for each, a length and the Huffman codes as bits;
4. runs of files in the order of the datastore: a byte 1, type of the numbers, type of the length, the length,
   where each run ends;
5. where each run begins, as indices of children from the root: uint64 count, type of the numbers, type of the
   lengths; for each, a length and the indices.

The leaves of the Huffman tree are the characters of `StringTree`, from left to right. Bits count from the
least significant one of each byte, and a last byte says how many bits of the one before it are used. A type t
is an unsigned integer of 2^t bytes.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from matlab_bridge._errors import DatasetError

_LARGEST = 1 << 30  # bytes of file names: millions of files


# A character, or what follows a 0 and what follows a 1.
_Huffman: TypeAlias = "str | tuple[_Huffman, _Huffman]"


@dataclass
class _Node:
    """A folder or file: its name, and what is inside."""

    name: str
    children: list[_Node] = field(default_factory=list)


class _Bytes:
    """The fields of a byte string, one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def take(self, count: int) -> bytes:
        taken = self._data[self._position : self._position + count]
        if len(taken) < count:
            raise _unreadable("it ends before its contents do")
        self._position += count
        return taken

    def number(self, kind: int = 3) -> int:
        """An unsigned integer of 2^kind bytes."""
        if kind > 3:
            raise _unreadable(f"it has numbers of an unknown type, {kind}")
        return int.from_bytes(self.take(2**kind), "little")

    def numbers(self, kind: int, count: int) -> list[int]:
        return [self.number(kind) for _ in range(count)]

    def bits(self, count: int) -> list[int]:
        """The bits of a field, whose last byte says how many bits of the one before it are used."""
        data = self.take(count)
        if count < 2:
            return []
        bits = np.unpackbits(np.frombuffer(data[:-1], np.uint8), bitorder="little")
        return list(map(int, bits[: 8 * (count - 2) + data[-1]]))


def file_names(stored: Mapping[str, Any]) -> tuple[str, ...]:
    """The full file names of a compressed file set, in the order of the datastore.

    Args:
        stored: the struct that MATLAB saved, with `StringTree` and `PathTree`.

    Returns:
        The names as MATLAB would show them, with the separators of the machine that wrote them.

    Raises:
        DatasetError: if the bytes are not as described above.
    """
    source = _Bytes(_inflate(np.asarray(stored["PathTree"], dtype=np.uint8).tobytes()))
    characters = _huffman_tree(_text(stored["StringTree"]), source.bits(source.number()))
    shape = source.take(source.number())
    count, kind = source.number(), source.number(0)
    if count != len(shape):
        raise _unreadable(f"it has {len(shape)} nodes, but {count} names")
    names = [_decode(characters, source.bits(source.number(kind))) for _ in range(count)]
    root = _tree(shape, names)
    separator = _text(stored.get("OriginalFileSep", "/")) or "/"
    files = list(_in_order(root, source, separator))
    expected = int(np.ravel(stored.get("NumFiles", len(files)))[0])
    if len(files) != expected:
        raise _unreadable(f"it holds {len(files)} files where {expected} are promised")
    order = np.ravel(np.asarray(stored.get("ShuffledIndices", []), dtype=np.int64)) - 1
    return tuple(files[index] for index in order) if order.size else tuple(files)


def _inflate(data: bytes) -> bytes:
    length = int.from_bytes(data[:8], "little")
    if length > _LARGEST:
        raise _unreadable(f"it would grow to {length} bytes")
    try:
        inflated = zlib.decompressobj().decompress(data[8:], length + 1)
    except zlib.error as error:
        raise _unreadable(str(error)) from error
    if len(inflated) != length:
        raise _unreadable(f"it promises {length} bytes and has another number")
    return inflated


def _huffman_tree(characters: str, shape: list[int]) -> _Huffman:
    """The tree whose leaves are the characters; a branch is the pair of what follows a 0 and a 1."""
    if sum(shape) != len(characters) or len(shape) != 2 * len(characters) - 1:
        raise _unreadable(f"its {len(characters)} characters do not fit its tree of {len(shape)} nodes")
    # Backwards, what a branch consists of is complete before the branch itself.
    complete: list[_Huffman] = []
    letters = reversed(characters)
    for is_leaf in reversed(shape):
        if not is_leaf and len(complete) < 2:
            raise _unreadable("the tree of its characters has a branch without an end")
        complete.append(next(letters) if is_leaf else (complete.pop(), complete.pop()))
    return complete.pop()


def _decode(tree: _Huffman, bits: list[int]) -> str:
    if isinstance(tree, str):
        raise _unreadable("it has a single character")
    name = []
    place: _Huffman = tree
    for bit in bits:
        place = place[bit]
        if isinstance(place, str):
            name.append(place)
            place = tree
    if place is not tree:
        raise _unreadable("a file name ends within a character")
    return "".join(name)


def _tree(shape: bytes, names: list[str]) -> _Node:
    """The tree of paths under a nameless root."""
    root = _Node("")
    # The folders that wait for their next child; a node without a sibling closes the folder that it is in.
    open_folders = [root]
    for marks, name in zip(shape, names, strict=True):
        if not open_folders:
            raise _unreadable("it has nodes outside of its tree")
        node = _Node(name)
        open_folders[-1].children.append(node)
        if not marks & 2:
            open_folders.pop()
        if marks & 1:
            open_folders.append(node)
    return root


def _in_order(root: _Node, source: _Bytes, separator: str) -> Iterator[str]:
    """The paths, run by run: each run takes successive files of one folder."""
    source.number(0)  # always 1 where it was seen
    number, length = source.number(0), source.number(0)
    ends = source.numbers(number, source.number(length))
    count = source.number()
    number, length = source.number(0), source.number(0)
    begin = 0
    for end, start in zip(ends, [source.numbers(number, source.number(length)) for _ in range(count)], strict=True):
        yield from _run(root, start, end - begin, separator)
        begin = end


def _run(root: _Node, start: list[int], count: int, separator: str) -> list[str]:
    """The files of one run; it begins at a file, or at the first file of a folder."""
    chain = [root]
    for index in start:
        if index >= len(chain[-1].children):
            raise _unreadable("a run of files begins outside of its tree")
        chain.append(chain[-1].children[index])
    first = 0 if chain[-1].children else start[-1]
    folders = chain[1:] if chain[-1].children else chain[1:-1]
    head = _join([folder.name for folder in folders], separator)
    siblings = (folders[-1] if folders else root).children[first:]
    files = [node.name for node in siblings if not node.children][:count]
    return [_join([head, name] if head else [name], separator) for name in files]


def _join(parts: list[str], separator: str) -> str:
    path = ""
    for part in parts:
        path += part if not path or path.endswith(separator) else separator + part
    return path


def _text(value: Any) -> str:
    return str(value if isinstance(value, str) else "".join(map(str, np.ravel(np.asarray(value)))))


def _unreadable(reason: str) -> DatasetError:
    return DatasetError(
        f"The list of files of an image datastore cannot be read: {reason}. In MATLAB, save the names "
        "themselves beside it, files = imds.Files; labels = imds.Labels; or pass the folder of the images "
        "instead of the MAT-file."
    )


def is_file_set(value: Any) -> bool:
    """Whether a struct is a compressed list of files."""
    return isinstance(value, Mapping) and {"StringTree", "PathTree"} <= set(value)
