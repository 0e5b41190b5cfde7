"""What objects, and files of v5 to v7, may cost: 64 MiB and 8 bytes for each byte that is there once inflated."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from matlab_bridge.matfile import load
from matlab_bridge.matfile._characters import distinct

from .budget import MIB, cost, on_linux
from .mat5_by_hand import Mat5
from .matfiles import element, level5_file, level5_matrix
from .objects_by_hand import EMPTY, cell, row
from .subsystem_by_hand import MAGIC, Objects, deflated_level5, marker

MANY = 300
TABLE = [("data", 0), ("varnames", 1), ("nrows", 2)]


def tables(data: Any, names: Any, rows: float, count: int = 1) -> tuple[Objects, int]:
    """Tables that share all that they have."""
    return Objects(["table"], [data, names, row(rows)], [TABLE], [(1, 1)] * count), count


def alike(class_name: str, count: int, **properties: Any) -> tuple[Objects, int]:
    """Objects that share all that they have."""
    record = [(name, number) for number, name in enumerate(properties)]
    return Objects([class_name], list(properties.values()), [record], np.tile([[1, 1]], (count, 1))), count


def table_of_many_columns() -> tuple[Objects, int]:
    return tables(cell(np.zeros((1, 2**19))), cell("a"), 1)


def table_of_columns_of_one_name() -> tuple[Objects, int]:
    return tables(cell(*[row(1)] * 20_000, shape=(1, -1)), cell(*["a"] * 20_000, shape=(1, -1)), 1)


def tables_of_texts() -> tuple[Objects, int]:
    return tables(cell(cell(*[f"{i}" for i in range(2000)])), cell("a"), 2000, 2000)


def tables_of_rows_that_are_not_there() -> tuple[Objects, int]:
    return tables(cell("text"), cell("a"), 2**20, MANY)


def table_of_fewer_rows_than_none() -> tuple[Objects, int]:
    return tables(cell("text"), cell("a"), -(2.0**60), 2)


def strings() -> tuple[Objects, int]:
    return alike("string", MANY, any=np.array([[1, 2, 2**18, 1] + [0] * 2**18], np.uint64))


def durations() -> tuple[Objects, int]:
    return alike("duration", MANY, millis=np.arange(2**18, dtype=float).reshape(-1, 1) % 200)


def datetimes() -> tuple[Objects, int]:
    return alike("datetime", MANY, data=np.arange(2**18, dtype=float).reshape(-1, 1) % 200)


def categoricals() -> tuple[Objects, int]:
    codes = (np.arange(2**18) % 3).astype(np.uint8).reshape(-1, 2)
    return alike("categorical", MANY, codes=codes, categoryNames=cell("a", "b"))


def maps() -> tuple[Objects, int]:
    keys = cell(*[str(i) for i in range(2000)])
    return alike("containers.Map", 1000, serialization={"keys": keys, "values": cell(*[row(1)] * 2000)})


def texts() -> tuple[Objects, int]:
    return alike("A", 3000, text="x" * MIB)


def rows_of_text() -> tuple[Objects, int]:
    return alike("A", MANY, numbers=np.ones((1, MIB)), nested=cell(cell(*[row(1)] * 2000)))


def objects_of_many_defaults() -> tuple[Objects, int]:
    defaults = [{}, {f"p{i}": EMPTY for i in range(1000)}]
    return Objects(["A"], [row(1)], [[("q", 0)]], np.tile([[1, 1]], (20_000, 1)), defaults), 20_000


def objects_of_one_long_record() -> tuple[Objects, int]:
    record = [(f"p{i}", 0) for i in range(1000)]
    return Objects(["A"], [row(1)], [record], np.tile([[1, 1]], (5000, 1))), 5000


def members_of_a_long_name() -> tuple[Objects, int]:
    return Objects(["A"], [EMPTY], [[("p", (0, 3))]], np.tile([[1, 1]], (MANY, 1)), names=["x" * MIB]), MANY


def members(names: int, places: int) -> tuple[Objects, int]:
    enumeration = {
        "EnumerationInstanceTag": np.array([[MAGIC]], np.uint32),
        "ClassName": np.array([[1]], np.uint32),
        "ValueNames": np.full((names, 1), 3, np.uint32),
        "ValueIndices": np.zeros((places, 1), np.uint32),
    }
    return Objects(["A"], [enumeration], [[("p", 0)]], [(1, 1)], names=["x" * MIB]), 1


def names_of_an_enumeration() -> tuple[Objects, int]:
    return members(3000, 1)


def values_of_an_enumeration() -> tuple[Objects, int]:
    return members(1, 3000)


def timetable_of_steps(step: int, count: int) -> tuple[Objects, int]:
    times = {
        "origin": marker([2], 2),
        "specifiedAsRate": np.array([[False]]),
        "sampleRate": row(1),
        "stepSize": marker([step], step),
    }
    table = {
        "data": cell("text"),
        "varNames": cell("a"),
        "numRows": row(2**20),
        "dimNames": cell("Time", "Variables"),
        "rowTimes": times,
    }
    components = {"months": row(1), "days": row(0), "millis": row(0)}
    return (
        Objects(
            ["timetable", "datetime", "duration", "calendarDuration"],
            [table, row(1e12), row(1000), components],
            [[("any", 0)], [("data", 1)], [("millis", 2)], [("components", 3)]],
            [(1, 1), (2, 2), (3, 3), (4, 4), *[(1, 1)] * (count - 1)],
        ),
        count,
    )


def timetables_of_times() -> tuple[Objects, int]:
    return timetable_of_steps(3, 50)


def timetable_of_calendar_times() -> tuple[Objects, int]:
    return timetable_of_steps(4, 1)


HOSTILE: tuple[Callable[[], tuple[Objects, int]], ...] = (
    table_of_many_columns,
    tables_of_rows_that_are_not_there,
    table_of_fewer_rows_than_none,
    strings,
    durations,
    datetimes,
    categoricals,
    maps,
    objects_of_many_defaults,
    objects_of_one_long_record,
    names_of_an_enumeration,
    values_of_an_enumeration,
    timetables_of_times,
    timetable_of_calendar_times,
)
SHARED = (table_of_columns_of_one_name, tables_of_texts, texts, rows_of_text, members_of_a_long_name)
"""What may be shared, so that it may as well be read as refused."""


@on_linux
@pytest.mark.parametrize("version", ["v7", "v7.3"])
@pytest.mark.parametrize("make", [*HOSTILE, *SHARED], ids=lambda make: make.__name__)
def test_objects_cost_no_more_than_what_is_in_the_file(
    make: Callable[[], tuple[Objects, int]], version: str, tmp_path: Path
) -> None:
    objects, count = make()
    ids = [1, *range(5, count + 4)] if len(objects.values) == 4 else range(1, count + 1)
    path = tmp_path / "x.mat"
    values, errors = cost(path, objects.write(path, {"x": marker(list(ids))}, version, "A"))
    assert make in SHARED or (errors and not values)


@pytest.mark.parametrize("version", ["v7", "v7.3"])
def test_ordinary_objects_are_read(version: str, tmp_path: Path) -> None:
    path = tmp_path / "x.mat"
    data = cell(np.arange(300_000.0).reshape(-1, 1) % 200, np.arange(300_000.0).reshape(-1, 1), shape=(1, -1))
    objects, _ = tables(data, cell("a", "b", shape=(1, -1)), 300_000)
    objects.write(path, {"t": marker([1])}, version, "table")
    table = load(path)["t"]
    np.testing.assert_array_equal(table["a"], np.arange(300_000) % 200)
    np.testing.assert_array_equal(table["b"], np.arange(300_000))
    numbers = np.array([[1, 2, 3, 1, 1, 0, 2**64 - 1, 0x61]], np.uint64)
    objects, _ = alike("string", 1, any=numbers)
    objects.write(path, {"s": marker([1])}, version, "string")
    texts = load(path)["s"]
    assert (texts.shape, texts[0, 0], texts[1, 0], np.isnan(texts[2, 0])) == ((3, 1), "a", "", True)


@pytest.mark.parametrize("version", ["v7", "v7.3"])
def test_half_of_a_surrogate_pair_in_a_string_stays_what_it_is(version: str, tmp_path: Path) -> None:
    path = tmp_path / "x.mat"
    units = int.from_bytes("a\ud800b\U0001f600".encode("utf-16-le", "surrogatepass")[:8], "little")
    objects, _ = alike("string", 1, any=np.array([[1, 2, 2, 1, 3, 1, units]], np.uint64))
    objects.write(path, {"s": marker([1])}, version, "string")
    texts = load(path)["s"]
    assert texts.dtype == object
    assert texts.ravel().tolist() == ["a\ud800b", "\ud83d"]


def test_a_string_that_is_longer_than_what_is_stored_is_refused(tmp_path: Path) -> None:
    objects, _ = alike("string", 1, any=np.array([[1, 2, 1, 1, 5, 0x61]], np.uint64))
    objects.write(tmp_path / "x.mat", {"s": marker([1])}, "v7", "string")
    with pytest.raises(ValueError, match="strings of 5 characters are stored in 4"):
        load(tmp_path / "x.mat")["s"]


def unset_elements() -> bytes:
    return level5_matrix(1, (1, 2**20), struct.pack("<2I", 14, 0) * 2**20)


def empty_elements() -> bytes:
    return level5_matrix(1, (1, 2**18), level5_matrix(6, (0, 0), element(9, b""), name="") * 2**18)


def fields_without_bytes() -> bytes:
    return level5_matrix(2, (1, 2**31 - 1), element(5, struct.pack("<i", 8)), element(1, b""))


def fields_of_one_name() -> bytes:
    names = element(1, b"a\0\0\0\0\0\0\0" * 2**17)
    return level5_matrix(2, (1, 1), element(5, struct.pack("<i", 8)), names, struct.pack("<2I", 14, 0) * 2**17)


def rows_without_characters() -> bytes:
    one = level5_matrix(4, (2**20, 0), element(4, b""), name="")
    return level5_matrix(1, (1, 300), one * 300)


def rows_of_one_character() -> bytes:
    return level5_matrix(4, (2**23, 1), element(2, b"a" * 2**23))


def columns_of_a_sparse_matrix() -> bytes:
    starts = element(5, bytes(4 * (2**24 + 1)))
    return level5_matrix(5, (1, 2**24), element(5, b""), starts, element(9, b""))


def whole_numbers(count: int = 80 * MIB) -> bytes:
    """Doubles, each in a byte."""
    numbers = np.arange(count, dtype=np.uint8)
    return level5_matrix(6, (1, count), element(2, numbers.tobytes()))


def complex_whole_numbers() -> bytes:
    """Complex doubles, each part in a byte."""
    numbers = element(2, np.arange(40 * MIB, dtype=np.uint8).tobytes())
    return level5_matrix(6 | 0x800, (1, 40 * MIB), numbers, numbers)


def whole_numbers_of_a_field() -> bytes:
    head = element(5, struct.pack("<i", 8)), element(1, b"a".ljust(8, b"\0"))
    numbers = np.arange(80 * MIB, dtype=np.uint8).tobytes()
    return level5_matrix(2, (1, 1), *head, level5_matrix(6, (1, 80 * MIB), element(2, numbers), name=""))


@on_linux
@pytest.mark.parametrize(
    ("make", "is_read"),
    [
        (unset_elements, True),
        (empty_elements, True),
        (fields_without_bytes, False),
        (fields_of_one_name, True),
        (rows_without_characters, True),
        (rows_of_one_character, True),
        (columns_of_a_sparse_matrix, True),
        (whole_numbers, True),
        (complex_whole_numbers, True),
        (whole_numbers_of_a_field, True),
    ],
    ids=lambda given: getattr(given, "__name__", ""),
)
def test_files_of_v7_cost_no_more_than_what_is_in_them(
    make: Callable[[], bytes], is_read: bool, tmp_path: Path
) -> None:
    matrix = make()
    path = tmp_path / "x.mat"
    path.write_bytes(level5_file(deflated_level5(matrix)))
    values, errors = cost(path, path.stat().st_size + len(matrix))
    assert bool(values) is is_read is not bool(errors)


@pytest.mark.parametrize("compressed", [True, False])
def test_numbers_that_are_stored_in_bytes_are_all_there(compressed: bool, tmp_path: Path) -> None:
    count = 2**24 + 12345
    numbers = np.random.default_rng(0).integers(256, size=(1, count), dtype=np.uint8)
    path = tmp_path / "x.mat"
    beside = np.arange(3.0).reshape(1, -1)
    writer = Mat5()
    value = cell(beside, numbers.astype(np.float64), beside, shape=(1, -1))
    path.write_bytes(writer.file(writer.matrix(value, "x"), compress=compressed))
    first, found, last = load(path)["x"].ravel()
    np.testing.assert_array_equal(found, numbers)
    np.testing.assert_array_equal(first, beside)
    np.testing.assert_array_equal(last, beside)


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("count", [5, 2**24 + 12345])
def test_complex_numbers_that_are_stored_in_bytes_are_all_there(count: int, compressed: bool, tmp_path: Path) -> None:
    real, imaginary = np.random.default_rng(0).integers(256, size=(2, 1, count), dtype=np.uint8)
    matrix = level5_matrix(6 | 0x800, (1, count), element(2, real.tobytes()), element(2, imaginary.tobytes()))
    (tmp_path / "x.mat").write_bytes(level5_file(matrix, compressed=compressed))
    found = load(tmp_path / "x.mat")["x"]
    found = np.asarray(found)
    assert found.dtype == np.complex128
    np.testing.assert_array_equal(found.real, real)
    np.testing.assert_array_equal(found.imag, imaginary)


def test_names_that_are_all_alike_take_time_in_proportion() -> None:
    names = distinct(["a"] * 50_000)
    assert len(set(names)) == 50_000
    assert names[:3] == ["a", "a_2", "a_3"]
