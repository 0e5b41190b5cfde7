"""Files of sparse models: their size, their loss (none), and what exports make of the zeros."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_prunelab as kpl

pytestmark = pytest.mark.backends

L = keras.layers


def network() -> keras.Model:
    layers = [keras.Input((300,)), L.Dense(400, "relu"), L.BatchNormalization(), L.Dense(100)]
    return keras.Sequential(layers, name="net")


def values(model: keras.Model) -> list[np.ndarray]:
    return [np.array(keras.ops.convert_to_numpy(weight)) for weight in model.weights]


def test_a_sparse_file_is_small_and_loses_nothing(tmp_path: Path) -> None:
    pruned = kpl.prune(network(), 0.95)
    kernel = values(pruned)[0]
    kernel[0, :3] = [-0.0, np.nan, np.float32(1e-45)]
    pruned.layers[0].kernel.assign(kernel)
    pruned.save(tmp_path / "dense.keras")
    kpl.save_sparse(pruned, tmp_path / "sparse.keras")
    dense, sparse = (tmp_path / "dense.keras").stat().st_size, (tmp_path / "sparse.keras").stat().st_size
    assert sparse <= 0.12 * dense
    loaded = kpl.load_sparse(tmp_path / "sparse.keras")
    for one, other in zip(values(pruned), values(loaded), strict=True):
        assert one.tobytes() == other.tobytes()
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in pruned.layers]


def test_the_archive_is_what_keras_writes_but_for_one_member(tmp_path: Path) -> None:
    kpl.save_sparse(kpl.prune(network(), 0.9), tmp_path / "sparse.keras")
    with zipfile.ZipFile(tmp_path / "sparse.keras") as archive:
        assert sorted(archive.namelist()) == ["config.json", "metadata.json", "model.weights.h5", "sparse.npz"]
        config = archive.read("config.json").decode()
    assert "prunelab" not in config
    assert json.loads(config)["class_name"] == "Sequential"


def test_the_state_of_training_comes_along(tmp_path: Path) -> None:
    model = network()
    model.compile("adam", "mse")
    model.fit(np.ones((8, 300)), np.ones((8, 100)), verbose=0)
    kpl.trajectory(model, 0.9).masks(0).apply(model)
    kpl.save_sparse(model, tmp_path / "sparse.keras")
    loaded = kpl.load_sparse(tmp_path / "sparse.keras")
    assert int(loaded.optimizer.iterations) == 1
    for one, other in zip(model.optimizer.variables, loaded.optimizer.variables, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(one), keras.ops.convert_to_numpy(other))


def test_dense_files_load_too_and_half_precision_is_kept(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((64,)), L.Dense(64, dtype="bfloat16"), L.Dense(64, dtype="float16")])
    pruned = kpl.prune(model, 0.9)
    pruned.save(tmp_path / "dense.keras")
    kpl.save_sparse(pruned, tmp_path / "sparse.keras")
    for name in ("dense", "sparse"):
        loaded = kpl.load_sparse(tmp_path / f"{name}.keras", compile=False)
        assert [str(weight.dtype) for weight in loaded.weights] == ["bfloat16"] * 2 + ["float16"] * 2
        for one, other in zip(values(pruned), values(loaded), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("filters", "apart"), [(8, False), (32, True)])
def test_no_array_stands_apart_where_a_zip_alone_is_as_small(filters: int, apart: bool, tmp_path: Path) -> None:
    parts = [L.Conv2D(filters, 3, padding="same") for _ in range(10)]
    pruned = kpl.prune(keras.Sequential([keras.Input((8, 8, filters)), *parts]), 0.9)
    pruned.save(tmp_path / "dense.keras")
    kpl.save_sparse(pruned, tmp_path / "sparse.keras")
    with zipfile.ZipFile(tmp_path / "dense.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(tmp_path / "zipped.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    assert (tmp_path / "sparse.keras").stat().st_size <= (tmp_path / "zipped.keras").stat().st_size + 64  # dates
    with zipfile.ZipFile(tmp_path / "sparse.keras") as archive:
        assert ("sparse.npz" in archive.namelist()) == apart
    for one, other in zip(values(pruned), values(kpl.load_sparse(tmp_path / "sparse.keras")), strict=True):
        assert one.tobytes() == other.tobytes()


def test_places_where_nothing_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"folder .*nowhere does not exist; make it before writing x\.keras"):
        kpl.save_sparse(network(), tmp_path / "nowhere" / "x.keras")
    (tmp_path / "folder.keras").mkdir()
    with pytest.raises(IsADirectoryError, match=r"folder\.keras is a folder"):
        kpl.save_sparse(network(), tmp_path / "folder.keras")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.keras"]


def test_damaged_files(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "other.keras", "w") as archive:
        archive.writestr("readme.txt", "no model")
    with pytest.raises(kpl.InvalidModelError, match=r"other\.keras is no \.keras file: there is no config\.json in it"):
        kpl.load_sparse(tmp_path / "other.keras")
    kpl.save_sparse(kpl.prune(network(), 0.9), tmp_path / "sparse.keras")
    content = (tmp_path / "sparse.keras").read_bytes()
    with zipfile.ZipFile(tmp_path / "sparse.keras") as archive:
        member = archive.getinfo("sparse.npz")
    for place in range(100, member.compress_size, member.compress_size // 20):
        flipped = bytearray(content)
        flipped[member.header_offset + place] ^= 1
        (tmp_path / "flipped.keras").write_bytes(flipped)
        with pytest.raises(kpl.InvalidModelError, match="damaged"):
            kpl.load_sparse(tmp_path / "flipped.keras")


def test_an_archive_that_would_fill_the_disk_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", "{}")
        with archive.open("model.weights.h5", "w") as member:
            for _ in range(1300):
                member.write(bytes(2**20))
    assert path.stat().st_size < 2**21
    with pytest.raises(kpl.InvalidModelError, match=r"would grow to 1363148802, and .* are allowed"):
        kpl.load_sparse(path)


@pytest.mark.parametrize("change", ["compressed", "large"])
def test_sparse_arrays_that_would_fill_the_memory_are_refused(change: str, tmp_path: Path) -> None:
    path = tmp_path / "sparse.keras"
    kpl.save_sparse(kpl.prune(network(), 0.95), path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with np.load(io.BytesIO(members["sparse.npz"])) as stored:
        arrays = dict(stored)
    if change == "large":
        arrays["values0"] = np.zeros(0, "V100000000")
    else:
        arrays["bits0"] = np.zeros(2**26, np.uint8)
    content = io.BytesIO()
    (np.savez_compressed if change == "compressed" else np.savez)(content, **arrays)
    members["sparse.npz"] = content.getvalue()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(kpl.InvalidModelError, match="compressed twice" if change == "compressed" else "there is place"):
        kpl.load_sparse(path)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        kpl.load_sparse(tmp_path / "nowhere.keras")
    (tmp_path / "text.keras").write_text("no archive")
    with pytest.raises(kpl.InvalidModelError, match=r"no \.keras file"):
        kpl.load_sparse(tmp_path / "text.keras")
    with pytest.raises(kpl.InvalidModelError, match=r"should end in \.keras"):
        kpl.save_sparse(network(), tmp_path / "model.h5")
    kpl.save_sparse(kpl.prune(network(), 0.9), tmp_path / "sparse.keras")
    with zipfile.ZipFile(tmp_path / "sparse.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(tmp_path / "damaged.keras", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content[:-200] if name == "sparse.npz" else content)
    with pytest.raises(kpl.InvalidModelError, match="damaged"):
        kpl.load_sparse(tmp_path / "damaged.keras")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["damaged.keras", "sparse.keras", "text.keras"]


class Doubled(L.Dense):
    """A class that nobody has registered."""


def test_code_that_is_not_of_keras_is_named_and_can_be_passed(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4,)), Doubled(3)])
    kpl.save_sparse(model, tmp_path / "own.keras")
    with pytest.raises(kpl.InvalidModelError, match=r"class 'Doubled'.*custom_objects=\{'Doubled': Doubled\}"):
        kpl.load_sparse(tmp_path / "own.keras")
    again = kpl.load_sparse(tmp_path / "own.keras", custom_objects={"Doubled": Doubled})
    np.testing.assert_array_equal(again.layers[0].kernel, model.layers[0].kernel)
