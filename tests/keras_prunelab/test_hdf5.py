"""Models in files of HDF5 that others made: no other file is read or written, and no damage ends the process."""

from __future__ import annotations

import io
import json
import os
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

import keras_prunelab as kpl
from keras_prunelab._util import _hdf5
from keras_prunelab.cli._model_files import load

L = keras.layers
Writer = Callable[[h5py.File, str, np.ndarray, Path], None]


def by_link(file: h5py.File, name: str, values: np.ndarray, other: Path) -> None:
    with h5py.File(other, "w") as target:
        target["secret"] = values
    file[name] = h5py.ExternalLink(str(other), "secret")


def by_link_to_a_group(file: h5py.File, name: str, values: np.ndarray, other: Path) -> None:
    parent, _, last = name.rpartition("/")
    with h5py.File(other, "w") as target:
        target[last] = values
    del file[parent]
    file[parent] = h5py.ExternalLink(str(other), "/")


def by_soft_link(file: h5py.File, name: str, values: np.ndarray, other: Path) -> None:
    by_link(file, "elsewhere", values, other)
    file[name] = h5py.SoftLink("/elsewhere")


def by_storage(file: h5py.File, name: str, values: np.ndarray, other: Path) -> None:
    other.write_bytes(values.tobytes())
    file.create_dataset(name, values.shape, values.dtype, external=[(str(other), 0, values.nbytes)])


def by_virtual_dataset(file: h5py.File, name: str, values: np.ndarray, other: Path) -> None:
    with h5py.File(other, "w") as target:
        target["secret"] = values
    layout = h5py.VirtualLayout(values.shape, values.dtype)
    layout[...] = h5py.VirtualSource(str(other), "secret", values.shape)
    file.create_virtual_dataset(name, layout)


WRITERS: list[Writer] = [by_link, by_link_to_a_group, by_soft_link, by_storage, by_virtual_dataset]
MEMBER = "model.weights.h5"
KERNEL = "layers/dense/vars/0"


def network() -> keras.Model:
    return keras.Sequential([keras.Input((60,)), L.Dense(80, name="a")])


def name_of_kernel(file: h5py.File) -> str:
    names: list[str] = []
    file.visititems(lambda name, item: names.append(name) if getattr(item, "shape", 0) == (60, 80) else None)
    return names[0]


def lead_elsewhere(path: Path, write: Writer, *, newest: bool = False) -> Path:
    """Replace the kernel by what leads to another file; returns that."""
    other = path.parent / "other"
    with h5py.File(path, "r+", libver="latest" if newest else None) as file:
        name = name_of_kernel(file)
        del file[name]
        write(file, name, np.ones((60, 80), np.float32), other)
    return other


def archive_of(folder: Path, target: Path) -> None:
    with zipfile.ZipFile(target, "w") as archive:
        for member in folder.iterdir():
            archive.write(member, member.name)


def members_of(model: keras.Model, folder: Path) -> Path:
    kpl.save_sparse(model, folder / "whole.keras")
    with zipfile.ZipFile(folder / "whole.keras") as archive:
        archive.extractall(folder / "members")
    return folder / "members"


@pytest.mark.parametrize("newest", [False, True])
@pytest.mark.parametrize("write", WRITERS)
def test_weights_in_another_file_are_refused(write: Writer, newest: bool, tmp_path: Path) -> None:
    members = members_of(network(), tmp_path)
    other = lead_elsewhere(members / MEMBER, write, newest=newest)
    (members / "other").rename(tmp_path / "kept")
    (tmp_path / "kept").rename(members / "other")
    before = other.read_bytes()
    archive_of(members, tmp_path / "x.keras")
    for read in (kpl.load_sparse, load):
        with pytest.raises(kpl.InvalidModelError, match=r"model\.weights\.h5 in it.*never opened"):
            read(tmp_path / "x.keras")
    assert other.read_bytes() == before


@pytest.mark.filterwarnings("ignore:.*HDF5.*legacy")  # Keras', of the format that is tested
@pytest.mark.parametrize("write", WRITERS)
def test_the_older_format_is_looked_through_as_well(write: Writer, tmp_path: Path) -> None:
    network().save(tmp_path / "old.h5")
    assert load(tmp_path / "old.h5").count_params() == 4880
    other = lead_elsewhere(tmp_path / "old.h5", write)
    before = other.read_bytes()
    with pytest.raises(kpl.InvalidModelError, match="never opened"):
        load(tmp_path / "old.h5")
    assert other.read_bytes() == before


def test_sparse_arrays_are_not_written_into_another_file(tmp_path: Path) -> None:
    members = members_of(kpl.prune(keras.Sequential([keras.Input((100,)), L.Dense(1000)]), 0.95), tmp_path)
    with h5py.File(tmp_path / "victim.h5", "w") as victim:
        victim["precious"] = np.arange(5.0)
    before = (tmp_path / "victim.h5").read_bytes()
    with h5py.File(members / MEMBER, "r+") as file:
        file["link"] = h5py.ExternalLink(str(tmp_path / "victim.h5"), "/")
    parts = dict(np.load(members / "sparse.npz"))
    header = json.loads(str(parts["header"]))
    parts["header"] = np.array(json.dumps(header | {"paths": ["link/precious"]}))
    np.savez(members / "sparse.npz", **parts)
    archive_of(members, tmp_path / "x.keras")
    with pytest.raises(kpl.InvalidModelError, match="'link' is a link to another file"):
        kpl.load_sparse(tmp_path / "x.keras")
    assert (tmp_path / "victim.h5").read_bytes() == before


def test_links_within_the_file_are_none_of_these(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["a/b"] = np.arange(3.0)
        file["again"] = file["a"]
        file["a/loop"] = file["a"]
        file["soft"] = h5py.SoftLink("/a/b")
        file["dangling"] = h5py.SoftLink("/nowhere")
        file.create_dataset("texts", data=["one", "two"])
        file.create_dataset("chunks", data=np.eye(30), chunks=(7, 7), compression=1, maxshape=(None, 30))
        file["empty"] = h5py.Empty("f4")
        file["type"] = np.dtype("f4")
    _hdf5.check_hdf5(tmp_path / "x.h5", "x.h5")


def test_numbers_that_are_not_there_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for name in "abc":
            file.create_dataset(name, (2**22,), "f8", chunks=(2**20,))
    with pytest.raises(kpl.InvalidModelError, match="states 33554432 bytes of numbers, and they are not there"):
        _hdf5.check_hdf5(tmp_path / "x.h5", "x.h5")


CHILDREN = {
    "crashes": ("import os; os.abort()", "it is damaged, or its process was ended: status -6"),
    "says nothing": ("import sys; sys.stderr.write('noise' * 100000)", "its process was ended: status 0"),
    "takes all its time": (
        """import os, resource, signal
assert resource.getrlimit(resource.RLIMIT_CPU)[0] == 11
os.kill(os.getpid(), signal.SIGXCPU)""",
        "too large: not done after 11 s of the processor",
    ),
    "never ends": ("import time; time.sleep(60)", "too slow: not done after 3 s"),
    "takes too much memory": (
        f"""import runpy, sys, types
sys.modules["h5py"] = types.SimpleNamespace(File=lambda *_: bytes(2**40))
runpy.run_path({str(_hdf5._CHILD)!r}, run_name="__main__")""",
        "takes too much memory",
    ),
}


@pytest.mark.parametrize("name", CHILDREN)
def test_what_becomes_of_the_process_that_reads_is_an_error(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    code, message = CHILDREN[name]
    (tmp_path / "child.py").write_text(code)
    (tmp_path / "x.h5").write_bytes(b"")
    monkeypatch.setattr(_hdf5, "_CHILD", tmp_path / "child.py")
    monkeypatch.setattr(_hdf5, "_SECONDS", 0.5 if name == "never ends" else 10.0)
    with pytest.raises(kpl.InvalidModelError, match=message):
        _hdf5.check_hdf5(tmp_path / "x.h5", "x.h5")
    assert capfd.readouterr() == ("", "")


def test_damage_is_an_error_of_ours(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("x", data=np.eye(100), chunks=(10, 10), compression=9)
        place = file["x"].id.get_chunk_info(0).byte_offset
    content = bytearray((tmp_path / "x.h5").read_bytes())
    for damaged in (content[:-1000], b"no HDF5" * 100, content[: place + 4] + bytes(8) + content[place + 12 :]):
        (tmp_path / "x.h5").write_bytes(damaged)
        with pytest.raises(kpl.InvalidModelError, match=r"x\.h5 cannot be loaded: it is damaged"):
            _hdf5.check_hdf5(tmp_path / "x.h5", "x.h5")


def changed(parts: dict[str, Any], name: str, value: Any) -> bytes:
    target = io.BytesIO()
    np.savez(target, **(parts | {name: np.asarray(value)}))
    return target.getvalue()


def test_sparse_arrays_that_do_not_fit_are_damage(tmp_path: Path) -> None:
    members = members_of(kpl.prune(keras.Sequential([keras.Input((100,)), L.Dense(1000)]), 0.95), tmp_path)
    parts = dict(np.load(members / "sparse.npz"))
    form = json.loads(str(parts["header"]))["format"]
    bad = [
        *(("header", json.dumps(header)) for header in ([], 5, {}, {"format": form, "paths": 5})),
        *(("header", json.dumps({"format": form, "paths": [path]})) for path in (7, "", "..", "layers/nowhere")),
        *(("shape0", shape) for shape in ([2**50], [2**34], [-1, -5], [2**32, 2**32], [100.5, 1000], [1000, 100], 5)),
        *(("bits0", bits) for bits in (parts["bits0"][:3], parts["bits0"].astype(float))),
        *(("values0", values) for values in (parts["values0"][:3], parts["values0"].astype("U5"), 3)),
        ("values0", parts["values0"].astype(np.float64)),
    ]
    for name, value in bad:
        (members / "sparse.npz").write_bytes(changed(parts, name, value))
        archive_of(members, tmp_path / "x.keras")
        with pytest.raises(kpl.InvalidModelError):
            kpl.load_sparse(tmp_path / "x.keras")
    array = io.BytesIO()
    np.save(array, np.eye(2))
    for content in (b"", b"PK\x03\x04", array.getvalue()):
        (members / "sparse.npz").write_bytes(content)
        archive_of(members, tmp_path / "x.keras")
        with pytest.raises(kpl.InvalidModelError, match="The sparse arrays in"):
            kpl.load_sparse(tmp_path / "x.keras")


@pytest.mark.parametrize("config", ["{", "[]", "[" * 100_000, "{}"])
def test_what_keras_raises_is_the_cause_of_our_error(config: str, tmp_path: Path) -> None:
    members = members_of(network(), tmp_path)
    (members / "config.json").write_text(config)
    archive_of(members, tmp_path / "x.keras")
    with pytest.raises(kpl.InvalidModelError, match="Keras cannot load") as caught:
        kpl.load_sparse(tmp_path / "x.keras")
    assert caught.value.__cause__ is not None
    assert len(str(caught.value)) < 500


def test_the_process_that_reads_starts_without_keras_and_in_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with h5py.File(tmp_path / "ä x.h5", "w") as file:
        file["a"] = 1.0
    (tmp_path / "h5py.py").write_text("raise SystemExit('a module of the folder')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if "keras_prunelab" not in os.fspath(entry)])
    _hdf5.check_hdf5(Path("ä x.h5"), "x.h5")


def test_no_process_can_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.h5").write_bytes(b"")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nowhere"))
    with pytest.raises(kpl.InvalidModelError, match="no process could be started"):
        _hdf5.check_hdf5(tmp_path / "x.h5", "x.h5")
