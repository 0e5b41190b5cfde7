"""Large arrays: an index reads the chunks it needs and no others, and everything else sees a NumPy array."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from matlab_bridge import MatFileError, TruncatedFileError, load_dataset
from matlab_bridge.matfile import LazyArray, _lazy, _level73, load, save
from matlab_bridge.matfile._hdf5 import _data, _file
from matlab_bridge.matfile._level5 import _read
from tests.matlab_bridge.matfiles import assert_same, element, level5_file, level5_matrix

SHAPE = (6, 5, 2, 40)
DTYPES_OF_MATLAB = {"double", "single", "logical", "uint8", "int64"}
DTYPES = ["u1", "i2", "i8", "f4", "f8", "?", "c8", "c16"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "big.mat"


@pytest.fixture(autouse=True)
def _everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (_read, _level73):
        monkeypatch.setattr(module, "LARGE", 64)
    monkeypatch.setattr(_lazy, "_KEPT", 0)  # however often parts are read, the whole is not


@pytest.fixture
def chunks_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the chunks that were read."""
    read: list[int] = []

    def counted(data: bytes, *how: Any) -> np.ndarray:
        read.append(len(data))
        return unfiltered(data, *how)

    unfiltered = _data.unfilter
    monkeypatch.setattr(_data, "unfilter", counted)
    return read


def values(dtype: str, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    numbers = np.random.default_rng(0).integers(0, 2 if dtype == "?" else 100, shape)
    array = numbers.astype(dtype)
    return array * (1 + 2j) if array.dtype.kind == "c" else array


def write(path: Path, array: np.ndarray, *, matlab_class: str | None = None, **storage: Any) -> None:
    """A v7.3 file whose dataset is stored as the test says."""
    save(path, {"X": array}, version="v7.3")
    with h5py.File(path, "r+") as file:
        attributes, stored = dict(file["X"].attrs), file["X"][()]
        del file["X"]
        file.create_dataset("X", data=stored.astype(storage.pop("dtype", stored.dtype)), **storage)
        file["X"].attrs.update(attributes)


STORAGE = {
    "deflated": {"chunks": (8, 2, 5, 6), "compression": 4},
    "shuffled": {"chunks": (8, 1, 5, 4), "compression": 4, "shuffle": True},
    "chunks that do not divide the array": {"chunks": (7, 2, 3, 4), "compression": 4},
    "checked": {"chunks": (8, 2, 5, 6), "compression": 4, "fletcher32": True},
    "not deflated": {"chunks": (8, 2, 5, 6)},
    "in one piece": {"chunks": None},
}
INDICES = [
    np.s_[..., :10],
    np.s_[..., 3],
    np.s_[0],
    np.s_[-1, 2, 1, 7],
    np.s_[..., ::-1],
    np.s_[::-2, 4:0:-3, :, 30:2:-7],
    np.s_[:, 1:, None, 0, 5:20:6],
    np.s_[..., [3, 1, 39, 3]],
    np.s_[[0, 2], [1, 3]],
    np.s_[[[0], [2]], [[1, 3]]],
    np.s_[0, :, [1, 0], ::4],
    np.s_[:, [-1, 0], :, 2],
    np.s_[..., np.arange(40) % 9 == 0],
    np.s_[np.eye(6, 5, dtype=bool)],
    np.s_[4:2],
    np.s_[..., 5:5],
    np.s_[...],
    np.s_[()],
    np.s_[np.int64(2), ..., np.array(3)],
    np.s_[True],
]


@pytest.mark.parametrize("storage", STORAGE)
@pytest.mark.parametrize("index", INDICES, ids=str)
def test_an_index_gives_what_it_gives_for_the_whole(path, storage, index):
    whole = values("i2")
    write(path, whole, **STORAGE[storage])
    found = load(path)["X"][index]
    np.testing.assert_array_equal(found, whole[index])
    assert np.shape(found) == whole[index].shape
    assert found.dtype == whole.dtype


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("version", ["v7", "v7.3"])
def test_types_of_a_part_are_those_of_the_whole(path, version, dtype, compress):
    whole = values(dtype)
    save(path, {"X": whole}, version=version, compress=compress)
    array = load(path)["X"]
    lazy = version == "v7.3" or not (compress or dtype.startswith("c"))
    assert isinstance(array, LazyArray) == lazy
    assert (array.shape, array.dtype, array.ndim, array.size, len(array)) == (SHAPE, whole.dtype, 4, whole.size, 6)
    assert array.nbytes == whole.nbytes
    assert_same(np.array(array[1, ..., 3:7]), whole[1, ..., 3:7])
    assert_same(load(path, lazy=False)["X"], whole)


def test_the_part_is_what_h5py_reads(path):
    write(path, values("f8"), chunks=(4, 2, 5, 6), compression=9, shuffle=True)
    with h5py.File(path) as file:
        expected = file["X"][10:20].T  # the last axis of MATLAB is the first one of HDF5
    np.testing.assert_array_equal(load(path)["X"][..., 10:20], expected)


@pytest.mark.parametrize("order", [">i4", ">f8"])
def test_numbers_of_the_other_byte_order(path, order):
    whole = values(order[1:])
    write(path, whole, dtype=order, chunks=(8, 2, 5, 6), compression=4)
    assert_same(load(path)["X"][..., 5:7], whole[..., 5:7])


def test_complex_integers_are_complex_double(path):
    save(path, {"X": values("c16")}, version="v7.3")
    parts = np.zeros(SHAPE[::-1], [("real", "i2"), ("imag", "i2")])
    parts["real"], parts["imag"] = 1, 2
    with h5py.File(path, "r+") as file:
        del file["X"]
        file.create_dataset("X", data=parts).attrs["MATLAB_class"] = np.bytes_("int16")
    array = load(path)["X"]
    assert array.dtype == np.complex128
    np.testing.assert_array_equal(array[..., 3], np.full(SHAPE[:3], 1 + 2j))


@pytest.mark.parametrize(
    ("index", "chunks"),
    [(np.s_[..., :4], 1), (np.s_[..., 3:5], 2), (np.s_[..., [0, -1]], 2), (np.s_[..., ::8], 5), (np.s_[3:3], 0)],
)
def test_only_the_chunks_with_the_part_are_read(path, chunks_read, index, chunks):
    write(path, values("f8"), chunks=(4, 2, 5, 6), compression=4)
    load(path)["X"][index]
    assert len(chunks_read) == chunks


def test_damage_elsewhere_does_not_matter_to_a_part(path):
    whole = np.random.default_rng(0).random((50, 100, 10))
    write(path, whole, chunks=(1, 100, 50), compression=1)
    with h5py.File(path) as file:
        at = file["X"].id.get_chunk_info(9).byte_offset
    data = bytearray(path.read_bytes())
    data[at + 600 : at + 2000] = bytes(1400)  # within the chunk, whether the 512 bytes of the header count or not
    path.write_bytes(data)
    array = load(path)["X"]
    np.testing.assert_array_equal(array[..., :8], whole[..., :8])
    with pytest.raises(TruncatedFileError, match=r"big\.mat: cannot read a part of the variable 'X'"):
        array[..., 9]


def test_chunks_that_were_never_written_are_zero(path):
    save(path, {"X": np.ones(SHAPE)}, version="v7.3")
    with h5py.File(path, "r+") as file:
        attributes = dict(file["X"].attrs)
        del file["X"]
        stored = file.create_dataset("X", SHAPE[::-1], "f8", chunks=(4, 2, 5, 6), compression=4)
        stored.attrs.update(attributes)
        stored[4:8] = 7
    array = load(path)["X"]
    np.testing.assert_array_equal(array[0, 0, 0, :12], [0] * 4 + [7] * 4 + [0] * 4)
    assert not array[..., 20:].any()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("kind", "code"), [(9, "f8"), (2, "u1")], ids=["double", "stored narrower"])
def test_version_6(path, order, kind, code):
    whole = values("u1").astype("f8")
    data = element(kind, whole.astype(order + code).tobytes(order="F"), order)
    path.write_bytes(level5_file(level5_matrix(6, SHAPE, data, name="X", order=order), order=order))
    array = load(path)["X"]
    assert isinstance(array, LazyArray)
    assert type(array[..., 3]) is np.ndarray
    assert_same(array[2, ..., ::-3], whole[2, ..., ::-3])
    assert_same(array[..., [7, 1]], whole[..., [7, 1]])


def test_version_6_with_less_data_than_its_size(path):
    path.write_bytes(level5_file(level5_matrix(6, (90, 90), element(9, bytes(800)), name="X")))
    with pytest.raises(TruncatedFileError, match="cannot read the variable 'X'"):
        load(path)["X"]


def test_a_part_of_version_6_reads_no_more(path, monkeypatch):
    whole = values("f8")
    scipy.io.savemat(path, {"X": whole})
    array = load(path)["X"]
    monkeypatch.setattr(_read.Level5File, "read", lambda *_: pytest.fail("the whole was read"))
    part = array[..., 5]
    np.testing.assert_array_equal(part, whole[..., 5])
    part[...] = 0
    np.testing.assert_array_equal(array[..., 5], whole[..., 5])  # and the file is untouched


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_index_of_numpy(path, data):
    shape = data.draw(hnp.array_shapes(min_dims=2, max_dims=4, min_side=2, max_side=9).filter(lambda s: s[-1] > 1))
    whole = np.arange(np.prod(shape), dtype="f8").reshape(shape)
    chunks = tuple(data.draw(st.integers(1, length)) for length in reversed(shape))
    write(path, np.pad(whole, [(0, 0)] * (len(shape) - 1) + [(0, 8)]), chunks=chunks, compression=1)
    whole = np.pad(whole, [(0, 0)] * (len(shape) - 1) + [(0, 8)])
    basic = hnp.basic_indices(whole.shape, allow_newaxis=True, max_dims=8)
    index = data.draw(st.one_of(basic, hnp.integer_array_indices(whole.shape)))
    with_file = load(path)["X"][index]
    np.testing.assert_array_equal(with_file, whole[index])
    assert np.shape(with_file) == np.shape(whole[index])


@pytest.fixture
def pair(path: Path) -> tuple[LazyArray, np.ndarray]:
    whole = values("f8", (4, 30))
    save(path, {"X": whole}, version="v7.3")
    return load(path)["X"], whole


USES = {
    "asarray": np.asarray,
    "a copy of another type": lambda x: np.array(x, dtype=np.float32),
    "arithmetic": lambda x: 2 * x - x / (1 + x),
    "matrix product": lambda x: np.ones((1, 4)) @ x,
    "comparison": lambda x: x > 50,
    "methods": lambda x: x.mean(axis=0),
    "properties": lambda x: x.T,
    "functions": lambda x: np.concatenate([x, np.median(x, axis=0, keepdims=True)]),
    "iteration": lambda x: [row.sum() for row in x],
    "membership": lambda x: -1.0 in x,
    "copying": copy.copy,
    "deep copying": copy.deepcopy,
    "pickling": lambda x: pickle.loads(pickle.dumps(x)),  # noqa: S301
    "as an output": lambda x: np.negative(x, out=x),
    "as an index": lambda x: np.arange(1000)[x.astype(int)],
    "in place": lambda x: x.__iadd__(1),
}


@pytest.mark.parametrize("use", USES)
def test_every_other_use_is_that_of_the_whole(pair, use):
    array, whole = pair
    np.testing.assert_array_equal(np.asarray(USES[use](array)), USES[use](whole.copy()))


def test_values_may_be_assigned(pair):
    array, whole = pair
    array[0, :2] = [5, 6]
    assert array[0, :3].tolist() == [5, 6, whole[0, 2]]


@pytest.mark.parametrize("index", [np.s_[4], np.s_[:, 30], np.s_[0, 0, 0], np.s_[[7]], np.s_["a"], np.s_[[True]]])
def test_an_index_that_does_not_fit_is_numpys_error(pair, index):
    array, whole = pair
    with pytest.raises(IndexError) as expected:
        whole[index]
    with pytest.raises(IndexError) as found:
        array[index]
    assert str(found.value) == str(expected.value)


def test_looking_at_it_reads_nothing(path, monkeypatch):
    save(path, {"X": values("u1")}, version="v7.3")
    for name in ("read_whole", "read_block"):
        monkeypatch.setattr(_file, name, lambda *_: pytest.fail("data was read"))
    file = load(path)
    array = file["X"]
    assert file["X"] is array
    assert repr(array) == "LazyArray of 6x5x2x40 uint8"
    assert not hasattr(array, "iloc")
    assert not hasattr(array, "__torch_function__")


def test_the_views_of_a_file_have_arrays(path):
    save(path, {"X": values("u1")}, version="v7.3")
    file = load(path)
    lazy = file["X"]
    for array in (*file.values(), dict(file.items())["X"], file["X"]):
        assert type(array) is np.ndarray
    assert np.shares_memory(np.asarray(lazy), file["X"])


def test_parts_again_and_again_lead_to_the_whole(path, chunks_read, monkeypatch):
    monkeypatch.setattr(_lazy, "_KEPT", 2**28)
    monkeypatch.setattr(_lazy, "_LEAST_PART", 1)
    whole = values("f8")
    write(path, whole, chunks=(8, 2, 5, 6), compression=4)
    array = load(path)["X"]
    for _ in range(5):
        for i in range(40):
            np.testing.assert_array_equal(array[..., i], whole[..., i])
    assert len(chunks_read) == 41 + 5  # a part more than there are; then the five chunks, once


def test_a_file_that_was_replaced_is_not_taken_for_the_same(path):
    save(path, {"X": values("f8")}, version="v7.3")
    array = load(path)["X"]
    save(path, {"X": 2 * values("f8")}, version="v7.3")
    for read in (lambda: array[0], lambda: np.asarray(array)):
        with pytest.raises(MatFileError, match=r"was changed after it was opened\. Load it again"):
            read()


@pytest.mark.parametrize("version", ["v7", "v7.3"])
def test_saving_one_writes_its_values(path, version):
    whole = values("i2")
    save(path, {"X": whole}, version="v7.3")
    array = load(path)["X"]
    save(path, {"X": array, "cell": [array, "a"]}, version=version)
    assert_same(load(path, lazy=False)["X"], whole)
    assert_same(load(path)["cell"][0, 0], whole)


def test_small_and_other_variables_are_read_at_once(path):
    others = {"tiny": np.eye(2), "text": "x" * 200, "cell": [np.ones((9, 9))], "none": np.empty((0, 90))}
    save(path, others, version="v7.3")
    assert not any(isinstance(load(path)[name], LazyArray) for name in others)


def test_datasets_are_read_from_large_arrays(path):
    images, labels = values("u1", (8, 8, 1, 20)), np.arange(20.0).reshape(1, -1) % 2 + 1
    save(path, {"X": images, "Y": labels}, version="v7.3")
    data = load_dataset(path, inputs="X", labels="Y")
    np.testing.assert_array_equal(np.asarray(data.inputs), images.transpose(3, 0, 1, 2))


@pytest.mark.corpus
def test_parts_of_matlabs_own_files(corpus):
    met = set()
    for path in sorted(corpus.rglob("*.mat")):
        try:
            file, whole = load(path), load(path, lazy=False)
        except MatFileError:
            continue
        for variable in file.info.variables:
            if variable.class_name not in DTYPES_OF_MATLAB or variable.is_sparse:
                continue
            array, expected = file[variable.name], whole[variable.name]
            if isinstance(array, LazyArray):
                met.add(file.info.version)
                for index in (np.s_[..., -1], np.s_[::-2], np.s_[[0, -1]], np.s_[...]):
                    np.testing.assert_array_equal(array[index], expected[index])
                assert (array.shape, array.dtype) == (expected.shape, expected.dtype)
    assert met == {"v7", "v7.3"}
