"""A result replaces its target only when it is whole."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from matlab_bridge._atomic import replacing


def test_the_target_appears_at_the_end(tmp_path):
    target = tmp_path / "result.mat"
    with replacing(target) as temporary:
        temporary.write_text("new", encoding="utf-8")
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".mat"
        assert not target.exists()
    assert target.read_text(encoding="utf-8") == "new"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file_alone(tmp_path, failure):
    target = tmp_path / "result.mat"
    target.write_text("old", encoding="utf-8")

    def fail_half_way() -> None:
        with replacing(target) as temporary:
            temporary.write_text("half", encoding="utf-8")
            raise failure

    with pytest.raises(failure):
        fail_half_way()
    assert target.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_the_rights_are_those_of_any_new_file(tmp_path):
    plain = tmp_path / "plain"
    plain.touch()
    with replacing(tmp_path / "result") as temporary:
        temporary.touch()
    assert (tmp_path / "result").stat().st_mode == plain.stat().st_mode


def test_the_rights_of_a_file_that_is_replaced_stay(tmp_path):
    target = tmp_path / "result"
    target.touch()
    target.chmod(stat.S_IRUSR | stat.S_IWUSR)
    kept = target.stat().st_mode
    with replacing(os.fspath(target)) as temporary:
        temporary.write_bytes(b"x")
    assert target.stat().st_mode == kept


def test_a_folder_is_no_target(tmp_path):
    with pytest.raises(IsADirectoryError, match="is a folder"), replacing(tmp_path):
        pass


def test_the_folder_must_exist(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"), replacing(tmp_path / "no" / "x.mat"):
        pass
    assert list(Path(tmp_path).iterdir()) == []
