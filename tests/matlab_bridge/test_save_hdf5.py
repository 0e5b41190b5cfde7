"""Numbers put into a copy of a v7.3 file: all else stays, no other file is written, and no damage ends the process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from matlab_bridge import TruncatedFileError
from matlab_bridge.write._original import _level73
from matlab_bridge.write._original._level73 import Level73Arrays

STORAGE: dict[str, dict[str, Any]] = {
    "one piece": {},
    "deflated": {"chunks": (4, 3), "compression": 3},
    "shuffled, with sums": {"chunks": (4, 3), "compression": 3, "shuffle": True, "fletcher32": True},
    "growing": {"chunks": (4, 3), "maxshape": (None, 7)},
}


def values(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(9, 7))


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("dtype", ["<f4", ">f8"])
@pytest.mark.parametrize("storage", STORAGE)
def test_the_numbers_of_a_dataset(storage: str, dtype: str, libver: str, tmp_path: Path) -> None:
    path, target = tmp_path / "x.mat", tmp_path / "y.mat"
    with h5py.File(path, "w", userblock_size=512, libver=libver) as file:
        file.create_dataset("#refs#/a/weights", data=values().astype(dtype), **STORAGE[storage])
        file["other"] = np.arange(63.0)
        file["again"] = file["other"]
        file["whole numbers"] = np.arange(63)
        file["of another size"] = np.arange(3.0)
    found = dict(Level73Arrays(path).arrays({63}))
    assert len(found) == 2
    place = next(place for place in found if "weights" in str(place))
    np.testing.assert_array_equal(found[place], values().astype(dtype).ravel())
    Level73Arrays(path).write(target, {place: values(1).astype(dtype).ravel()})
    with h5py.File(path) as before, h5py.File(target) as after:
        np.testing.assert_array_equal(before["#refs#/a/weights"], values().astype(dtype))
        np.testing.assert_array_equal(after["#refs#/a/weights"], values(1).astype(dtype))
        assert after["#refs#/a/weights"].dtype == dtype
        for name in ("other", "again", "whole numbers", "of another size"):
            np.testing.assert_array_equal(after[name], before[name])


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_what_is_in_another_file_is_no_place_for_numbers(libver: str, tmp_path: Path) -> None:
    path, other = tmp_path / "x.mat", tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["x"] = values()
    (tmp_path / "raw").write_bytes(values().tobytes())
    layout = h5py.VirtualLayout((9, 7), "f8")
    layout[...] = h5py.VirtualSource(str(other), "x", (9, 7))
    with h5py.File(path, "w", userblock_size=512, libver=libver) as file:
        file["link"] = h5py.ExternalLink(str(other), "x")
        file["group"] = h5py.ExternalLink(str(other), "/")
        file.create_dataset("raw", (9, 7), "f8", external=[(str(tmp_path / "raw"), 0, 504)])
        file.create_virtual_dataset("virtual", layout)
        file["here"] = values(2)
        file["damaged"] = file.create_dataset("y", data=values(), chunks=(9, 7), compression=1)
        file["y"].id.write_direct_chunk((0, 0), b"damage")
    assert [place for place, _ in Level73Arrays(path).arrays({63})] == ["/here"]


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
    "fails": ("import json; print(json.dumps('no space'))", "damaged: no space"),
}


@pytest.mark.parametrize("name", CHILDREN)
def test_what_becomes_of_the_process_that_writes_is_an_error(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    code, message = CHILDREN[name]
    (tmp_path / "child.py").write_text(code)
    with h5py.File(tmp_path / "x.mat", "w", userblock_size=512) as file:
        file["x"] = values()
    monkeypatch.setattr(_level73, "_CHILD", tmp_path / "child.py")
    monkeypatch.setattr(_level73, "_SECONDS", 0.5 if name == "never ends" else 10.0)
    with pytest.raises(TruncatedFileError, match=message):
        Level73Arrays(tmp_path / "x.mat").write(tmp_path / "y.mat", {"/x": values(1).ravel()})
    assert capfd.readouterr() == ("", "")


def test_an_error_of_the_library_is_one_of_ours(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.mat", "w", userblock_size=512) as file:
        file["x"] = values()
    for place, numbers in (("/nowhere", values(1).ravel()), ("/x", np.ones(5))):
        with pytest.raises(TruncatedFileError, match="The HDF5 library cannot write into a copy"):
            Level73Arrays(tmp_path / "x.mat").write(tmp_path / "y.mat", {place: numbers})
