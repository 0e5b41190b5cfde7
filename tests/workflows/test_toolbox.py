"""`prunelab toolbox`: the MATLAB functions on a machine without Python."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from matlab_bridge import toolbox_path

from .command import run


def contents(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_copy_is_the_toolbox(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "a" / "Ann's tools"
    assert run("toolbox", folder) == 0
    assert contents(folder) == contents(toolbox_path())
    told = capsys.readouterr().out
    quoted = str(folder.resolve()).replace("'", "''")
    assert f"addpath('{quoted}'); savepath" in told
    assert run("toolbox", folder) == 0, "what is there already is no obstacle"


@pytest.mark.octave
def test_octave_takes_what_the_command_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.matlab_bridge import octave

    run("toolbox", tmp_path / "Ann's tools")
    addpath = capsys.readouterr().out.splitlines()[1].partition(";")[0]
    printed = octave.run(f"rmpath('{toolbox_path().as_posix()}'); {addpath}; disp(which('plotBlocks'))", tmp_path)
    assert Path(printed.strip()) == tmp_path / "Ann's tools" / "plotBlocks.m"


def test_other_files_of_the_same_names_stay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "plotSweep.m").write_text("% mine\n", encoding="utf-8")
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "readResults.m").write_text("% mine too\n", encoding="utf-8")
    (tmp_path / "other.m").write_text("% other\n", encoding="utf-8")
    before = contents(tmp_path)
    assert run("toolbox", tmp_path) == 3
    error = " ".join(capsys.readouterr().err.split())
    assert "plotSweep.m" in error
    assert "readResults.m" in error
    assert "--force" in error
    assert contents(tmp_path) == before
    assert run("toolbox", tmp_path, "--force") == 0
    assert contents(tmp_path) == contents(toolbox_path()) | {Path("other.m"): b"% other\n"}


def test_line_ends_make_no_other_file(tmp_path: Path) -> None:
    shutil.copytree(toolbox_path(), tmp_path / "t")
    path = tmp_path / "t" / "Contents.m"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert run("toolbox", tmp_path / "t") == 0


@pytest.mark.parametrize("name", ["", "plotSweep.m"], ids=["the folder", "a file"])
def test_what_is_in_the_way_is_named(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "t"
    if name:
        (folder / name).mkdir(parents=True)
    else:
        folder.write_text("a file", encoding="utf-8")
    assert run("toolbox", folder) == 3
    assert (name or "is a file") in capsys.readouterr().err
