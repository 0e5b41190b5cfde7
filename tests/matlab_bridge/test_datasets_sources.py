"""Data in files of NumPy, in tables of text, in a second file, and in folders of MAT-files."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

from matlab_bridge import BridgeError, DatasetError, DatasetNotFoundError, UnsafeArchiveError, load_dataset
from matlab_bridge.matfile import save
from tests.matlab_bridge.datasets_by_hand import network, pixels

PETS = ("bird", "cat", "dog")
IMAGES = np.stack([pixels(seed, 8, 6, 2) for seed in range(5)])
LABELS = np.array([0, 2, 1, 0, 2])
NAMES = np.array(PETS)[LABELS]
NET = network("Image", 8, 6, 2, class_names=PETS)


@pytest.mark.parametrize("labels", [NAMES, LABELS + 1.0, np.eye(3)[LABELS]], ids=["names", "numbers", "one-hot"])
@pytest.mark.parametrize("net", [NET, None], ids=["network", "no network"])
def test_arrays_of_numpy_have_the_observations_first(tmp_path, labels, net):
    path = tmp_path / "data.npz"
    np.savez(path, x_test=IMAGES, y_test=labels)
    data = load_dataset(path, network=net)
    np.testing.assert_array_equal(data.inputs, IMAGES)
    assert data.labels.tolist() == LABELS.tolist()
    assert "first axis" in data.description


def test_as_many_observations_as_rows_of_pixels(tmp_path):
    images = np.stack([pixels(seed, 4, 4, 4) for seed in range(4)])
    np.savez(tmp_path / "data.npz", x=images, y=np.array(["a", "b", "a", "b"]))
    np.testing.assert_array_equal(load_dataset(tmp_path / "data.npz").inputs, images)


def test_sequences_of_numpy(tmp_path):
    steps = np.arange(24, dtype=np.float32).reshape(2, 4, 3)  # observations x time x channels
    np.savez(tmp_path / "data.npz", x=steps, y=np.array(["bird", "dog"]))
    data = load_dataset(tmp_path / "data.npz", network=network("Sequence", 3, class_names=PETS))
    assert len(data) == 2
    for found, expected in zip(data.inputs, steps, strict=True):
        np.testing.assert_array_equal(found, expected)


TABLE = "width,height,pet,weight\n1,2,dog,0.5\n3,4,bird,1.5\n5,6,cat,2.5\n"


@pytest.mark.parametrize("labels", ["pet", None])
def test_a_table_of_text_with_a_column_of_names(tmp_path, labels):
    path = tmp_path / "pets.csv"
    path.write_text(TABLE, encoding="utf-8")
    data = load_dataset(path, labels=labels, network=network("Feature", 3, class_names=PETS))
    assert data.inputs.tolist() == [[1, 2, 0.5], [3, 4, 1.5], [5, 6, 2.5]]
    assert data.labels.tolist() == [2, 0, 1]


def test_a_table_of_text_with_a_response(tmp_path):
    path = tmp_path / "pets.csv"
    path.write_text("width,height,weight\n1,2,0.5\n3,4,1.5\n", encoding="utf-8")
    data = load_dataset(path, labels="weight", network=network("Feature", 2, outputs=1, regression=True))
    assert data.inputs.tolist() == [[1, 2], [3, 4]]
    assert data.labels.tolist() == [[0.5], [1.5]]


@pytest.mark.parametrize(
    ("name", "labels"),
    [("y.npy", "y.npy"), ("y.csv", "y.csv"), ("y.mat", "y.mat"), ("y.mat", "y.mat:answers"), ("y.mat", None)],
)
def test_labels_of_a_second_file(tmp_path, name, labels):
    save(tmp_path / "x.mat", {"XTest": np.moveaxis(IMAGES, 0, -1)})
    beside = tmp_path / name
    if name == "y.npy":
        np.save(beside, NAMES)
    elif name == "y.csv":
        beside.write_text("pet\n" + "\n".join(NAMES), encoding="utf-8")
    else:
        save(beside, {"answers": list(NAMES)})
    data = load_dataset(tmp_path / "x.mat", labels=labels or str(beside), network=NET)
    np.testing.assert_array_equal(data.inputs, IMAGES)
    assert data.labels.tolist() == LABELS.tolist()
    assert f"The labels are those of {name}" in data.description


def test_a_second_file_with_several_labels_says_how_to_name_them(tmp_path):
    save(tmp_path / "x.mat", {"XTest": np.moveaxis(IMAGES, 0, -1)})
    save(tmp_path / "y.mat", {"first": list(NAMES), "second": list(NAMES)})
    with pytest.raises(DatasetNotFoundError, match=r"labels='y\.mat:NAME'"):
        load_dataset(tmp_path / "x.mat", labels="y.mat", network=NET)


@pytest.mark.parametrize("name", ["x.npz", "x.npy"])
def test_python_objects_are_never_read(tmp_path, name):
    objects = np.array([{}, []], dtype=object)
    (np.savez if name == "x.npz" else np.save)(tmp_path / name, objects)
    with pytest.raises(DatasetError, match="Python objects are never read"):
        load_dataset(tmp_path / name)


@pytest.mark.parametrize("name", ["x.npz", "x.npy", "x.csv"])
def test_damaged_files_are_an_error_of_ours(tmp_path, name):
    (tmp_path / name).write_bytes(b"" if name == "x.csv" else b"PK\x03\x04 no archive")
    with pytest.raises(DatasetError, match="cannot be read"):
        load_dataset(tmp_path / name)


def test_an_archive_of_arrays_that_would_grow_too_large(tmp_path):
    np.savez_compressed(tmp_path / "x.npz", x=np.zeros((4, 1000)), y=np.arange(4))
    with pytest.raises(UnsafeArchiveError, match="more than the 1000 that are allowed"):
        load_dataset(tmp_path / "x.npz", "x", "y", max_bytes=1000)


@pytest.mark.parametrize("name", ["x.npz", "x.npy"])
@pytest.mark.filterwarnings("ignore:overflow encountered in cast:RuntimeWarning")  # single precision has no 1e300
def test_every_damage_of_arrays_is_an_error_of_ours(tmp_path, name):
    if name == "x.npz":
        np.savez(tmp_path / name, x=np.eye(4), y=np.arange(4))
    else:
        np.save(tmp_path / name, np.eye(4))
    raw = (tmp_path / name).read_bytes()
    chance = np.random.default_rng(0)
    for _ in range(300):
        data = bytearray(raw)
        for at in chance.integers(min(len(raw), 400), size=chance.integers(1, 4)):
            data[at] = chance.choice([0, 1, 0x39, 0x7F, 0xFF, data[at] ^ 1 << int(chance.integers(8))])
        (tmp_path / name).write_bytes(data)
        with contextlib.suppress(BridgeError):
            load_dataset(tmp_path / name, "x" if name == "x.npz" else "data")


def mat_folder(root, extra=False):
    for index, name in enumerate(NAMES):
        (root / name).mkdir(exist_ok=True)
        image = {"image": IMAGES[index], "when": "today"} | ({"mask": IMAGES[index]} if extra else {})
        save(root / name / f"{index}.mat", image)
    order = np.argsort(NAMES, kind="stable")
    return IMAGES[order], LABELS[order]


@pytest.mark.parametrize("variable", [None, "image"])
def test_a_folder_of_mat_files_with_an_observation_each(tmp_path, variable):
    images, labels = mat_folder(tmp_path, extra=variable is not None)
    data = load_dataset(tmp_path, variable, network=NET)
    np.testing.assert_array_equal(data.inputs, images)
    assert data.labels.tolist() == labels.tolist()


def test_a_folder_of_mat_files_says_what_is_missing(tmp_path):
    mat_folder(tmp_path, extra=True)
    with pytest.raises(DatasetNotFoundError, match=r"2 arrays \(image, mask\).*inputs="):
        load_dataset(tmp_path, network=NET)
    with pytest.raises(DatasetNotFoundError, match=r"no variable 'picture'\. It has: image, when, mask"):
        load_dataset(tmp_path, "picture", network=NET)


def test_mat_files_that_cannot_be_read_are_counted_and_named(tmp_path):
    mat_folder(tmp_path)
    (tmp_path / "cat" / "broken.mat").write_bytes(b"nothing")
    data = load_dataset(tmp_path, network=NET)
    assert len(data) == len(IMAGES)
    assert "1 could not be read and were left out: 'cat/broken.mat (NotAMatFileError)'" in data.description
