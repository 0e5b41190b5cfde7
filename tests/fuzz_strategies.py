"""Ways to damage a file, some of which know how it is made; each takes a whole file and gives a damaged one."""

from __future__ import annotations

import copy
import io
import json
import sqlite3
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from .fuzz_seeds import zipped

Chance = np.random.Generator
Mutation = Callable[[bytearray, Chance], bytes]

_HUGE = (0x7FFFFFFF, 0xFFFFFFFF, 2**20, 2**31, 2**28, 65537)
_LEVEL5 = b"\x00\x01IM"


def pick(chance: Chance, several: Any) -> Any:
    """One of several, each as likely."""
    return several[int(chance.integers(len(several)))]


# Bytes, whatever the file is.


def flipped(data: bytearray, chance: Chance) -> bytes:
    for _ in range(int(chance.integers(1, 9))):
        data[int(chance.integers(len(data)))] ^= 1 << int(chance.integers(8))
    return bytes(data)


def overwritten(data: bytearray, chance: Chance) -> bytes:
    for _ in range(int(chance.integers(1, 9))):
        data[int(chance.integers(len(data)))] = pick(chance, [0, 1, 2, 8, 0x7F, 0x80, 0xFF])
    return bytes(data)


def cut(data: bytearray, chance: Chance) -> bytes:
    return bytes(data[: int(chance.integers(len(data)))])


def grown(data: bytearray, chance: Chance) -> bytes:
    """A number of the file made huge: a size, an offset, a count."""
    code, numbers = pick(chance, [("<I", (0x7FFFFFFF, 0xFFFFFFFF, 2**20)), ("<Q", (2**63, 2**40, 2**31))])
    if len(data) < 16:
        return bytes(data)
    at = int(chance.integers(len(data) // 8 - 1)) * 8 + int(chance.integers(2)) * 4
    struct.pack_into(code, data, min(at, len(data) - 8), pick(chance, numbers))
    return bytes(data)


def moved(data: bytearray, chance: Chance) -> bytes:
    """A stretch of the file copied elsewhere: references and addresses lead to the wrong place, or in a circle."""
    size = pick(chance, [4, 8, 16, 64])
    source, target = (int(n) for n in chance.integers(max(len(data) // 8 - 8, 1), size=2) * 8)
    data[target : target + size] = data[source : source + size]
    return bytes(data)


# The format of v5 to v7.


def inner(data: bytearray, chance: Chance) -> bytes:
    """Damage within what a v7 file has deflated."""
    if data[124:128] != _LEVEL5:
        return moved(data, chance)
    at, elements = 128, []
    while at + 8 <= len(data):
        kind, nbytes = struct.unpack_from("<2I", data, at)
        elements.append((at, kind, nbytes))
        at += 8 + nbytes
    at, kind, nbytes = pick(chance, elements)
    if kind != 15:
        return overwritten(data, chance)
    content = bytearray(zlib.decompress(data[at + 8 : at + 8 + nbytes]))
    deflated = zlib.compress(pick(chance, [flipped, overwritten, grown, moved, references])(content, chance))
    whole = data[:at] + struct.pack("<2I", 15, len(deflated)) + deflated + data[at + 8 + nbytes :]
    offset = struct.unpack_from("<Q", data, 116)[0]
    if offset > at and offset < len(data):
        struct.pack_into("<Q", whole, 116, offset + len(deflated) - nbytes)
    return bytes(whole)


def references(data: bytearray, chance: Chance) -> bytes:
    """Small numbers, as the ids of objects, classes and fields are, exchanged for others: they share, or loop."""
    words = np.frombuffer(data[: len(data) // 4 * 4], "<u4")
    places = np.flatnonzero((words > 0) & (words < 64))
    for place in chance.choice(places, size=int(chance.integers(1, 6))) if len(places) else ():
        struct.pack_into("<I", data, int(place) * 4, int(chance.integers(0, 12)))
    return bytes(data)


def _element(kind: int, content: bytes) -> bytes:
    return struct.pack("<2I", kind, len(content)) + content + bytes(-len(content) % 8)


_UNSET = struct.pack("<2I", 14, 0)
_CELL, _STRUCT, _OBJECT, _CHAR, _SPARSE, _DOUBLE, _OPAQUE = 1, 2, 3, 4, 5, 6, 17


def _dimensions(chance: Chance, elements: int) -> list[int]:
    lies = [[2**16, 2**16], [2**31 - 1, 2**31 - 1], [-1, -1], [0, 2**31 - 1], [1] * 70, [2**20, 2**11], []]
    return pick(chance, lies) if chance.random() < 0.2 else pick(chance, [[1, elements], [elements, 1], [elements]])


def _matrix(kind: int, dimensions: list[int], name: bytes, content: bytes, flags: int = 0) -> bytes:
    sizes = struct.pack(f"<{len(dimensions)}i", *dimensions)
    return _element(
        14, _element(6, struct.pack("<2I", kind | flags, 8)) + _element(5, sizes) + _element(1, name) + content
    )


def _random_matrix(chance: Chance, depth: int, name: bytes = b"") -> bytes:
    """A matrix of any class with contents of its own, some of whose sizes lie."""
    kind = pick(chance, [_CELL, _STRUCT, _OBJECT, _CHAR, _SPARSE, _DOUBLE, _DOUBLE, _OPAQUE, int(chance.integers(20))])
    many = pick(chance, [1, 3, 1000, 100_000]) if depth == 0 else int(chance.integers(4))
    inside = [_random_matrix(chance, depth + 1) for _ in range(int(chance.integers(4)))] if depth < 5 else []
    if kind == _CELL:
        elements = [*inside, *[pick(chance, [_UNSET, *inside])] * many]
        return _matrix(kind, _dimensions(chance, len(elements)), name, b"".join(elements))
    if kind in (_STRUCT, _OBJECT):
        fields = int(chance.integers(4))
        names = b"".join((b"f%d" % pick(chance, [number, 0])).ljust(8, b"\0") for number in range(fields))
        width = pick(chance, [8, 8, 8, 0, 2**31 - 1, 3])
        head = _element(1, b"aClass") * (kind == _OBJECT) + struct.pack("<HHI", 5, 4, width) + _element(1, names)
        content = [*inside, *[_UNSET] * (fields * many)]
        return _matrix(
            kind, _dimensions(chance, pick(chance, [many, 2**20, 2**31 - 1])), name, head + b"".join(content)
        )
    if kind == _CHAR:
        text = _element(pick(chance, [1, 2, 4, 16, 17, 18]), b"\xff\xd8a"[: int(chance.integers(4))] * many)
        return _matrix(kind, _dimensions(chance, many), name, text)
    if kind == _SPARSE:
        columns = pick(chance, [1, 3, 2**20, 2**31 - 2])
        rows = _element(5, struct.pack("<3i", *(pick(chance, [0, 1, -1, 2**30]) for _ in range(3))))
        starts = _element(5, struct.pack("<4i", *(pick(chance, [0, 1, 3, -1, 2**30]) for _ in range(4))))
        return _matrix(kind, [pick(chance, [3, 2**31 - 1]), columns], name, rows + starts + _element(9, bytes(24)))
    if kind == _OPAQUE:
        numbers = [0xDD000000, 2, 1, 1, *(pick(chance, [0, 1, 2, 3, 2**31]) for _ in range(2))]
        words = struct.pack(f"<{len(numbers)}I", *numbers)
        reference = _matrix(13, [len(numbers), 1], b"", _element(6, words))
        texts = b"".join(_element(1, text) for text in (name, b"MCOS", pick(chance, [b"table", b"string", b"x"])))
        return _element(14, _element(6, struct.pack("<2I", 17, 0)) + texts + reference)
    numbers_of = _element(pick(chance, [9, 7, 2, 1, 5, 12, 18, 99]), bytes(min(many, 4096) * 8))
    return _matrix(kind, _dimensions(chance, many), name, numbers_of, pick(chance, [0, 0, 0x800, 0x200, 0x400]))


def composed(data: bytearray, chance: Chance) -> bytes:
    """A v7 file made of nothing but such matrices, deflated or not: elements that cost nothing, and sizes that lie."""
    head = bytes(data[:116]) if data[124:128] == _LEVEL5 else b"MATLAB 5.0 MAT-file".ljust(116)
    elements = []
    for number in range(int(chance.integers(1, 5))):
        element = _random_matrix(chance, 0, pick(chance, [b"v%d" % number, b"same", b"", b"\xff\x1b[0m"]))
        if chance.random() < 0.6:
            content = zlib.compress(element)
            element = struct.pack("<2I", 15, len(content)) + content
        elements.append(element)
    return head + bytes(8) + _LEVEL5 + b"".join(elements)


def nested(data: bytearray, chance: Chance) -> bytes:
    """Cells or structs, each in another."""
    is_cell, depth, size = chance.random() < 0.5, pick(chance, [30, 100, 300, 2000, 20_000]), 8
    heads = []
    for _ in range(depth):
        content = _element(6, struct.pack("<2I", _CELL if is_cell else _STRUCT, 0)) + _element(
            5, struct.pack("<2i", 1, 1)
        )
        content += _element(1, b"")
        if not is_cell:
            content += struct.pack("<HHI", 5, 4, 8) + _element(1, b"a".ljust(8, b"\0"))
        heads.append(struct.pack("<2I", 14, size + len(content)) + content)
        size += 8 + len(content)
    return b"MATLAB 5.0 MAT-file".ljust(124) + _LEVEL5 + b"".join(reversed(heads)) + _UNSET


def bomb(data: bytearray, chance: Chance) -> bytes:
    """A deflated variable with far more in it than it states, or a statement of far more than there is."""
    stated = pick(chance, [64, 2**20, 2**31])
    deflated = zlib.compress(struct.pack("<2I", 14, stated) + bytes(2**24))
    return b"MATLAB 5.0 MAT-file".ljust(124) + _LEVEL5 + struct.pack("<2I", 15, len(deflated)) + deflated


def level4(data: bytearray, chance: Chance) -> bytes:
    """Variables of v4 whose headers lie."""
    found = b""
    for number in range(int(chance.integers(1, 30))):
        kind = pick(chance, [0, 1, 2, 10, 50, 51, 52, int(chance.integers(1200))])
        sizes = [pick(chance, [0, 1, 2, 3, 4, 2**20, 2**27, 2**31 - 1, -1]) for _ in range(2)]
        name = b"v%d\0" % number
        found += struct.pack("<5i", kind, *sizes, int(chance.random() < 0.1), len(name)) + name
        found += chance.choice([1.0, 2.0, 2.0**27, -1.0, np.nan], size=int(chance.integers(9))).tobytes()
    return found


# HDF5.


def hdf5_fields(data: bytearray, chance: Chance) -> bytes:
    """Numbers near the signatures of HDF5's structures: sizes, counts, and addresses of other structures."""
    signatures = [
        b"TREE",
        b"SNOD",
        b"HEAP",
        b"GCOL",
        b"OHDR",
        b"OCHK",
        b"FRHP",
        b"FHDB",
        b"BTHD",
        b"BTLF",
        b"FADB",
        b"EAHD",
    ]
    places = [at for mark in signatures for at in _places(data, mark)] + [512]
    for _ in range(int(chance.integers(1, 4))):
        at = pick(chance, places) + int(chance.integers(1, 24)) * 4
        if at + 8 <= len(data):
            number = pick(chance, [*[place - 512 for place in places], 0, 1, 2**31, 2**40, 2**64 - 1])
            struct.pack_into("<Q", data, at, max(number, 0))
    return bytes(data)


def _places(data: bytes, mark: bytes) -> list[int]:
    places, at = [], data.find(mark)
    while at >= 0 and len(places) < 200:
        places.append(at)
        at = data.find(mark, at + 1)
    return places


def hdf5_made(data: bytearray, chance: Chance) -> bytes:
    """A v7.3 file with links to elsewhere, references that loop or share, and storage that is not there."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.mat"
        with h5py.File(path, "w", userblock_size=512, libver=pick(chance, ["earliest", "latest"])) as file:
            for number in range(int(chance.integers(1, 5))):
                pick(chance, _VARIABLES)(file, f"v{number}", chance)
        content = bytearray(path.read_bytes())
    content[:128] = b"MATLAB 7.3 MAT-file, Platform: GLNXA64 HDF5 schema 1.00 .".ljust(116) + bytes(8) + b"\x00\x02IM"
    return bytes(content)


_CLASSES = ("double", "cell", "struct", "char", "logical", "int8", "table", "FileWrapper__", "function_handle")


def _classed(node: Any, chance: Chance, name: str = "") -> Any:
    node.attrs["MATLAB_class"] = np.bytes_(name or pick(chance, _CLASSES))
    for attribute in ("MATLAB_empty", "MATLAB_sparse", "MATLAB_int_decode", "MATLAB_object_decode"):
        if chance.random() < 0.08:
            node.attrs[attribute] = pick(chance, [np.uint8(1), np.uint64(2**40), np.int32(3)])
    return node


def _linked(file: h5py.File, name: str, chance: Chance) -> None:
    """A name that leads out of the file, to nothing, or to itself."""
    links = [h5py.ExternalLink("/etc/passwd", "/"), h5py.SoftLink("/nothing"), h5py.SoftLink(f"/{name}")]
    file[name] = pick(chance, links)


def _elsewhere(file: h5py.File, name: str, chance: Chance) -> None:
    """Bytes of another file."""
    _classed(file.create_dataset(name, shape=(9,), dtype="u1", external=[("/etc/passwd", 0, 9)]), chance)


def _stated(file: h5py.File, name: str, chance: Chance) -> None:
    """An array that is not stored."""
    shape, dtype = pick(chance, [(2**31, 2**20), (2**20, 2**10), (2**40,), (10**7,)]), pick(chance, ["f8", "u2", "u1"])
    _classed(file.create_dataset(name, shape=shape, dtype=dtype, chunks=(1024,) * len(shape)), chance)


def _zeros(file: h5py.File, name: str, chance: Chance) -> None:
    """An array that takes nothing once it is deflated."""
    zeros = np.zeros(10**6, np.uint8)
    _classed(file.create_dataset(name, data=zeros, compression="gzip", chunks=(10**5,)), chance)


def _shared(file: h5py.File, name: str, chance: Chance) -> None:
    """A cell whose elements are one group, or the cell."""
    target = _classed(file.require_group("#refs#").require_group("a"), chance)
    many = pick(chance, [2, 300, 100_000])
    cell = file.create_dataset(name, shape=(many, 1), dtype=h5py.ref_dtype, compression="gzip", chunks=(many, 1))
    cell[...] = np.array([pick(chance, [target.ref, cell.ref])] * many, h5py.ref_dtype).reshape(-1, 1)
    _classed(cell, chance, "cell")


def _looped(file: h5py.File, name: str, chance: Chance) -> None:
    """A struct whose fields are numbers, and the struct."""
    group = _classed(file.create_group(name), chance, "struct")
    for number in range(pick(chance, [1, 5, 300])):
        group[f"f{number}"] = pick(chance, [group, h5py.SoftLink(f"/{name}")]) if number % 3 == 2 else float(number)


def _deep(file: h5py.File, name: str, chance: Chance) -> None:
    """Cells, each in another."""
    below = _classed(file.require_group("#refs#").create_dataset(f"z{name}", data=1.0), chance, "double")
    for number in range(pick(chance, [10, 300])):
        cell = file["#refs#"].create_dataset(f"{name}{number}", shape=(1, 1), dtype=h5py.ref_dtype)
        cell[0, 0] = below.ref
        below = _classed(cell, chance, "cell")
    file[name] = below


def _sparse(file: h5py.File, name: str, chance: Chance) -> None:
    """A sparse matrix whose indices lie."""
    group = _classed(file.create_group(name), chance, "double")
    group.attrs["MATLAB_sparse"] = np.uint64(pick(chance, [3, 2**40, 2**63]))
    for part in ("jc", "ir", "data"):
        group[part] = np.array([0, 2, -1, 2**40][: pick(chance, [0, 2, 4])])


_VARIABLES = (_linked, _elsewhere, _stated, _zeros, _shared, _looped, _deep, _sparse)


# Values of a network.


def exchanged(data: bytearray, chance: Chance) -> bytes:
    """Other values in their places: impossible sizes, texts for numbers, names twice, connections in a circle."""
    from matlab_bridge import matfile

    from .fuzz_seeds import written

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.mat"
        path.write_bytes(data)
        variables = dict(matfile.load(path, lazy=False).items())
    for _ in range(int(chance.integers(1, 4))):
        places = list(_value_places(variables))
        content, key = pick(chance, places)
        other, known = pick(chance, places)
        content[key] = copy.deepcopy(pick(chance, [*_ODD, other[known]]))  # nothing holds itself
    try:
        return written(variables, pick(chance, ["v7", "v7.3"]))
    except (TypeError, ValueError, RecursionError):  # the writer of objects does not know the value
        return inner(data, chance)


_ODD: tuple[Any, ...] = (
    *(np.nan, -1.0, 0.0, 1e12, 2.0**31, np.array([1e9, 1e9]), np.zeros((0, 0)), np.ones((2, 3, 4)), True),
    *("text", "", {"a": 1.0}, np.array([[1.0, "b"]], object), np.array([["ab"], ["cd"]])),
)


def _value_places(value: Any) -> Iterator[tuple[Any, Any]]:
    """All that a value holds, at any depth: what it is in, and where."""
    from matlab_bridge.matfile import MatlabObject, ObjectArray

    if isinstance(value, MatlabObject):
        value = value.properties
    if isinstance(value, ObjectArray):
        value = value.elements
    keys: Iterable[Any] = ()
    if isinstance(value, dict):
        keys = value
    elif isinstance(value, np.ndarray) and value.dtype == object:
        keys = np.ndindex(value.shape)
    for key in keys:
        yield value, key
        yield from _value_places(value[key])


# Archives.


def members(data: bytearray, chance: Chance) -> bytes:
    """A member damaged and packed anew, so that its checksum is right; or under another name."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    name = pick(chance, list(found))
    if chance.random() < 0.15:
        found[pick(chance, ["../a.png", "/a.png", "a\\..\\..\\b.png", "C:x.png", "a/1.png\0", "é/\x1b.png"])] = found[
            name
        ]
    elif name.endswith(".npz"):
        found[name] = members(bytearray(found[name]), chance)
    elif name.endswith(".json"):
        found[name] = _json(found[name], chance)
    else:
        found[name] = pick(chance, [flipped, overwritten, cut, grown, moved])(bytearray(found[name]), chance)
    return zipped(found)


def _json(data: bytes, chance: Chance) -> bytes:
    if chance.random() < 0.3:
        return pick(chance, [flipped, overwritten, cut])(bytearray(data), chance)
    whole = place = json.loads(data)
    while isinstance(place, dict) and place:
        name = pick(chance, list(place))
        if not isinstance(place[name], dict) or chance.random() < 0.3:
            place[name] = pick(chance, [None, -1, 10**12, "x", [], {}, True, [10**9] * 3])
            break
        place = place[name]
    return json.dumps(whole).encode()


def arrays(data: bytearray, chance: Chance) -> bytes:
    """The arrays of a sparse model exchanged for others: other shapes, types, lengths, names of weights."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    with np.load(io.BytesIO(found["sparse.npz"])) as stored:
        inside = dict(stored)
    name = pick(chance, list(inside))
    header = json.loads(str(inside["header"]))
    header[pick(chance, list(header))] = pick(
        chance, [5, [], ["../x"], ["layers"], [""], ["layers/d/vars/0"] * 3, None]
    )
    others = [
        inside[name][:3] if inside[name].ndim else inside[name],
        np.array(pick(chance, [[2**50], [-1, -5], [2**32, 2**32], [1.5], []])),
        np.array("text"),
        inside[name].astype("U5"),
        np.array(json.dumps(header)),
    ]
    inside[name] = pick(chance, others)
    content = io.BytesIO()
    np.savez(content, **inside)
    return zipped(found | {"sparse.npz": content.getvalue()})


# Stores.


def rows(data: bytearray, chance: Chance) -> bytes:
    """Other values in a store's tables."""
    values = ["", "{", "[]", "5", "null", '{"accuracy": "x"}', '{"accuracy": null}', b"\xff", None, 1e308, "[" * 5000]
    table, column = pick(chance, [("facts", "value"), ("facts", "name"), *(("points", name) for name in _COLUMNS)])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.db"
        path.write_bytes(data)
        connection = sqlite3.connect(path)
        connection.execute(f"UPDATE OR IGNORE {table} SET {column} = ?", (pick(chance, values),))  # noqa: S608  # ours
        connection.commit()
        connection.close()
        return path.read_bytes()


_COLUMNS = ("curve", "level", "measures", "masks", "paired")

BYTES: tuple[Mutation, ...] = (flipped, overwritten, cut, grown, moved)
_MAT: tuple[Mutation, ...] = (*BYTES, inner, inner, inner, references, bomb, hdf5_fields, hdf5_fields)
STRATEGIES: dict[str, tuple[Mutation, ...]] = {
    "load": (*_MAT, composed, composed, composed, nested, level4, hdf5_made, hdf5_made),
    "dataset": (*_MAT, exchanged, exchanged, composed, hdf5_made),
    "network": (*_MAT, *[exchanged] * 6),
    "zip": (*BYTES, members, members, members),
    "sparse": (*BYTES, members, members, arrays, arrays),
    "store": (*BYTES, rows, rows),
}
"""The mutations of the files of each target."""
