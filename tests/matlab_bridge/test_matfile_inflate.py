"""Inflating, with either library, and inflating ahead of what is read."""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from matlab_bridge import TruncatedFileError
from matlab_bridge.matfile import _inflate, load, save
from matlab_bridge.matfile._inflate import DEFLATE_ERRORS, inflate, inflate_into, inflater
from matlab_bridge.matfile._level5 import _read
from matlab_bridge.matfile._level5._read import Level5File

SIZES = [0, 1, 100, 2**12, 2**12 + 1, 3 * 2**12 + 17]


def _libraries() -> list[ModuleType]:
    try:
        from isal import isal_zlib
    except ImportError:
        return [zlib]
    return [zlib, isal_zlib]


@pytest.fixture(autouse=True, params=_libraries(), ids=lambda library: library.__name__)
def _library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_inflate, "_library", request.param)
    monkeypatch.setattr(_inflate, "_PIECE", 2**12)


def content(size: int, kind: str = "random") -> bytes:
    return bytes(size) if kind == "zeros" else np.random.default_rng(0).bytes(size)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["random", "zeros"])
@pytest.mark.parametrize("begun", [0, 8])
def test_a_stream_fills_the_array(size, kind, begun):
    whole = content(size + begun, kind)
    source, stream = io.BytesIO(zlib.compress(whole)), inflater()
    if begun:
        assert stream.decompress(source.read(64), begun) == whole[:begun]
    target = np.empty(size, np.uint8)
    inflate_into(target, source.read, stream)
    assert target.tobytes() == whole[begun:]


@pytest.mark.parametrize("by", [1, 7, 1000])
def test_pieces_of_any_size_will_do(by):
    whole = content(9000)
    source = io.BytesIO(zlib.compress(whole))
    target = np.empty(9000, np.uint8)
    inflate_into(target, lambda most: source.read(min(by, most)), inflater())
    assert target.tobytes() == whole


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9])
def test_a_stream_that_is_cut(kept):
    deflated = zlib.compress(content(20000))
    source = io.BytesIO(deflated[: int(kept * len(deflated))])
    with pytest.raises(TruncatedFileError, match=r"a deflated stream ends after \d+ of 20000 bytes"):
        inflate_into(np.empty(20000, np.uint8), source.read, inflater())


def test_a_stream_that_holds_less():
    source = io.BytesIO(zlib.compress(content(500)) + bytes(9000))
    with pytest.raises(TruncatedFileError, match="holds 500 bytes instead of 600"):
        inflate_into(np.empty(600, np.uint8), source.read, inflater())


def test_a_stream_that_holds_more():
    target = np.empty(500, np.uint8)
    with pytest.raises(TruncatedFileError, match="holds more than 500 bytes"):
        inflate_into(target, io.BytesIO(zlib.compress(content(508))).read, inflater())
    inflate_into(target, io.BytesIO(zlib.compress(content(500) + bytes(7))).read, inflater())  # filled up
    assert target.tobytes() == content(500)


def test_a_sum_that_is_left_out_is_not_missed_and_a_wrong_one_is_an_error():
    whole = content(500)
    deflated = zlib.compress(whole)
    target = np.empty(500, np.uint8)
    inflate_into(target, io.BytesIO(deflated[:-4]).read, inflater())  # as in some files of MATLAB's
    assert target.tobytes() == whole
    with pytest.raises(DEFLATE_ERRORS):
        inflate_into(target, io.BytesIO(deflated[:-4] + b"\x00\x01\x02\x03").read, inflater())


@pytest.mark.parametrize("size", SIZES[1:])  # no chunk is empty
@pytest.mark.parametrize("kind", ["random", "zeros"])
def test_a_whole_stream(size, kind):
    assert inflate(zlib.compress(content(size, kind)), size).tobytes() == content(size, kind)


@pytest.mark.parametrize("damage", ["sum", "end"])
def test_a_whole_stream_whose_end_is_damaged(damage):
    deflated = zlib.compress(content(500))
    with pytest.raises((TruncatedFileError, *DEFLATE_ERRORS)):
        inflate(deflated[:-4] + (b"\x00\x01\x02\x03" if damage == "sum" else b""), 500)


def test_a_whole_stream_that_holds_less_or_cannot_hold_as_much():
    with pytest.raises(TruncatedFileError, match="ends after 500 of 600 bytes"):
        inflate(zlib.compress(content(500)), 600)
    for less in (499, 1):
        with pytest.raises(TruncatedFileError, match=f"of {less} bytes does not end after them"):
            inflate(zlib.compress(content(500)), less)
    with pytest.raises(TruncatedFileError, match="cannot hold 1099511627776"):
        inflate(zlib.compress(content(500)), 2**40)
    with pytest.raises(DEFLATE_ERRORS):
        inflate(b"no deflated bytes" * 9, 600)


class TestReadingAhead:
    """What comes next is inflated while a variable is read; nothing else is different."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        path = tmp_path / "x.mat"
        save(path, self.values())
        return path

    @staticmethod
    def values() -> dict[str, np.ndarray]:
        return {f"x{i}": np.full((40, 50 + i), float(i)) for i in range(7)}

    def test_items_are_what_reading_one_by_one_gives(self, path):
        for ahead, (name, value) in zip(load(path).items(), self.values().items(), strict=True):
            assert ahead[0] == name
            np.testing.assert_array_equal(ahead[1], value)
        assert [value[0, 0] for value in load(path).values()] == list(range(7))

    def test_the_largest_are_inflated_first(self, path):
        values = {f"x{i}": np.random.default_rng(i).random(10 * (3 * i % 7) + 9) for i in range(7)}
        save(path, values)
        container = load(path)._container
        assert isinstance(container, Level5File)
        ahead = container.read_ahead(values)
        assert next(ahead) == "x0"
        assert list(container._started) == sorted(values, key=lambda name: -container._elements[name].nbytes)
        np.testing.assert_array_equal(container.read("x0").ravel(), values["x0"])
        assert next(ahead) == "x1"
        assert "x0" not in container._started
        ahead.close()
        assert not container._started

    def test_each_is_inflated_once(self, path, monkeypatch):
        read = []
        fill = _read._fill
        monkeypatch.setattr(_read, "_fill", lambda file, data, at: read.append(at) or fill(file, data, at))
        file = load(path)
        assert file["x3"][0, 0] == 3
        assert len(dict(file.items())) == 7
        assert len(dict(file.items())) == 7
        assert len(read) == len({element.offset for element in read}) == 7

    def test_stopping_early_leaves_the_rest_to_be_read(self, path):
        file = load(path)
        assert next(iter(file.items()))[0] == "x0"
        np.testing.assert_array_equal(file["x6"], self.values()["x6"])

    def test_damage_is_told_of_the_variable_that_has_it(self, path):
        values = {f"x{i}": np.random.default_rng(i).random((40, 50)) for i in range(5)}
        save(path, values)
        place = load(path)._container._elements["x2"]
        data = bytearray(path.read_bytes())
        data[place.offset + 9000 : place.offset + place.nbytes] = b"\xff" * (place.nbytes - 9000)
        path.write_bytes(data)
        file = load(path)
        items = iter(file.items())
        assert [next(items)[0], next(items)[0]] == ["x0", "x1"]
        with pytest.raises(TruncatedFileError, match="cannot read the variable 'x2'"):
            next(items)
        for name in ("x0", "x1", "x3", "x4"):
            np.testing.assert_array_equal(file[name], values[name])
