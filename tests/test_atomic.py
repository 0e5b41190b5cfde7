"""A result replaces its target only when it is whole; both packages have the same way to see to it."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import keras_prunelab._util._atomic
import matlab_bridge._atomic


@pytest.fixture(
    params=[keras_prunelab._util._atomic, matlab_bridge._atomic], ids=lambda module: module.__name__.split(".")[0]
)
def atomic(request: pytest.FixtureRequest) -> ModuleType:
    return request.param


@pytest.fixture
def replace_whole(atomic: ModuleType) -> Callable[..., Any]:
    return atomic.replace_whole


def test_the_target_appears_at_the_end(replace_whole, tmp_path):
    target = tmp_path / "result.mat"
    with replace_whole(target) as temporary:
        temporary.write_text("new", encoding="utf-8")
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".mat"
        assert not target.exists()
    assert target.read_text(encoding="utf-8") == "new"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(os.name == "nt", reason="Windows does not replace a file that somebody reads")
def test_the_target_is_renamed_and_not_written_into(replace_whole, tmp_path):
    """Who reads the old file reads it to its end, and a power cut leaves one of the two."""
    target = tmp_path / "result.mat"
    target.write_text("the old one, which is longer", encoding="utf-8")
    with target.open(encoding="utf-8") as reader:
        with replace_whole(target) as temporary:
            temporary.write_text("the new one", encoding="utf-8")
            made = temporary.stat().st_ino
        assert reader.read() == "the old one, which is longer"
    assert target.read_text(encoding="utf-8") == "the new one"
    assert target.stat().st_ino == made


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file_alone(replace_whole, tmp_path, failure):
    target = tmp_path / "result.mat"
    target.write_text("old", encoding="utf-8")

    def fail_half_way() -> None:
        with replace_whole(target) as temporary:
            temporary.write_text("half", encoding="utf-8")
            raise failure

    with pytest.raises(failure):
        fail_half_way()
    assert target.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_the_rights_are_those_of_any_new_file(replace_whole, tmp_path):
    plain = tmp_path / "plain"
    plain.touch()
    with replace_whole(tmp_path / "result") as temporary:
        temporary.touch()
    assert (tmp_path / "result").stat().st_mode == plain.stat().st_mode


def test_the_rights_of_a_file_that_is_replaced_stay(replace_whole, tmp_path):
    target = tmp_path / "result"
    target.touch()
    target.chmod(stat.S_IRUSR | stat.S_IWUSR)
    kept = target.stat().st_mode
    with replace_whole(os.fspath(target)) as temporary:
        temporary.write_bytes(b"x")
    assert target.stat().st_mode == kept


def test_a_folder_is_no_target(replace_whole, tmp_path):
    with pytest.raises(IsADirectoryError, match="is a folder"), replace_whole(tmp_path):
        pass


def test_the_folder_must_exist(replace_whole, tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"), replace_whole(tmp_path / "no" / "x.mat"):
        pass
    assert list(Path(tmp_path).iterdir()) == []


def _killed_while_writing(atomic: ModuleType, target: Path) -> None:
    """A process that is killed when it has a temporary file, and a temporary folder."""
    script = (
        f"import os, signal\nfrom {atomic.__name__} import replace_whole, temporary_folder\n"
        f"with replace_whole({str(target)!r}), temporary_folder():\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=os.environ | {"TMPDIR": str(target.parent / "tmp")}, check=False
    )
    assert done.returncode == -signal.SIGKILL


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot tell whether a process is there")
def test_the_next_run_removes_what_a_killed_one_left(atomic, tmp_path, monkeypatch):
    (tmp_path / "tmp").mkdir()
    target = tmp_path / "result.mat"
    _killed_while_writing(atomic, target)
    left = [path for path in tmp_path.iterdir() if path.is_file()]
    assert len(left) == 1
    assert len(list((tmp_path / "tmp").iterdir())) == 1
    with atomic.replace_whole(tmp_path / "another.csv") as temporary:
        temporary.write_text("1", encoding="utf-8")
    assert {path.name for path in tmp_path.iterdir()} == {"tmp", "another.csv"}
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    with atomic.temporary_folder() as folder:
        assert list((tmp_path / "tmp").iterdir()) == [folder]
    assert list((tmp_path / "tmp").iterdir()) == []


def test_files_of_running_processes_and_of_others_stay(atomic, tmp_path):
    machine = atomic._machine()
    other = f"{int(machine, 16) ^ 1:08x}"
    names = {
        f".a.prunelab-{machine}-{os.getppid()}-x.mat": True,  # a process that is there
        f".b.prunelab-{other}-999999999-x.mat": True,  # of another machine that shares the folder
        f".c.prunelab-{machine}-999999999-x.mat": os.name == "nt",
        ".d.prunelab-notes.mat": True,  # somebody else's
        "e.prunelab.mat": True,
    }
    for name in names:
        (tmp_path / name).touch()
    old = tmp_path / f".f.prunelab-{other}-999999999-x.mat"
    old.touch()
    os.utime(old, (time.time() - 10**6,) * 2)
    with atomic.replace_whole(tmp_path / "result.mat"):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {
        "result.mat",
        *(name for name, stays in names.items() if stays),
    }


WRITERS = {
    "bytes": "with replace_whole(target) as path: path.write_bytes(bytes(10**6))",
    "numpy": "import numpy\nwith replace_whole(target) as path: numpy.savez(path, x=numpy.random.rand(10**5))",
    "HDF5": (
        "import h5py, numpy\nwith replace_whole(target) as path, h5py.File(path, 'w') as file:\n"
        "    file['x'] = numpy.random.rand(10**5)"
    ),
    "flush": "with replace_whole(target) as path:\n    with path.open('wb') as file: file.write(bytes(70_000))",
}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on the size of files")
@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_is_said_and_the_old_file_stays(atomic, tmp_path, writer):
    target = tmp_path / "result.npz"
    target.write_text("old", encoding="utf-8")
    script = (
        f"import resource\nfrom {atomic.__name__} import DiskFullError, replace_whole\ntarget = {str(target)!r}\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))\n"
        f"def write():\n    " + WRITERS[writer].replace("\n", "\n    ") + "\n"
        "try: write()\nexcept DiskFullError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.startswith(f"There is no room for {target}: "), done.stderr
    assert target.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_long_name_leaves_room_for_a_temporary_one(replace_whole, tmp_path):
    target = tmp_path / f"{'é' * 120}.mat"
    with replace_whole(target) as temporary:
        temporary.write_text("new", encoding="utf-8")
    assert target.read_text(encoding="utf-8") == "new"


@pytest.mark.parametrize("name", ["_atomic.py", "_limited_process.py", "_text.py"])
def test_both_packages_do_the_same(name):
    """Neither imports the other, so that each has the module: what one mends the other gets."""
    ours, theirs = (Path(each.__file__).parent for each in (keras_prunelab, matlab_bridge))
    ours = ours / name if name == "_text.py" else ours / "_util" / name
    one, other = (each.read_text(encoding="utf-8") for each in (ours, theirs / name))
    assert one.replace("from keras_prunelab._errors", "from ._errors") == other
