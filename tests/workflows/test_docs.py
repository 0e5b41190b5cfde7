"""Every code block of the README and the documentation runs: Python as one script a page, `prunelab` as commands."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_prunelab.cli import main
from matlab_bridge.convert import _rules

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs" / "reference").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[list[str]]:
    lines = (line for block in blocks(page, "console") for line in block.splitlines())
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("prunelab ")]


@pytest.fixture
def cwd(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the student's files, under the names that the pages use."""
    shutil.copy(workspace, tmp_path / "lab5.mat")
    (tmp_path / "notes.md").write_text("The network was trained for ten epochs.", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def observations() -> tuple[np.ndarray, np.ndarray]:
    """The reader's data: 200 observations of ten classes that are soon learned."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 10, 200)
    centres = rng.random((10, 784)) < 0.3
    return (0.8 * centres[y] + 0.2 * rng.random((200, 784))).astype(np.float32), y


# Pages show trainings that are cut and go on; the first part then ends before the schedule does.
@pytest.mark.filterwarnings("ignore:Training ends at step:keras_prunelab.PruningWarning")
@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.name)
def test_python_blocks_run(page: Path, cwd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_rules, "_RULES", dict(_rules.registered()))  # a page registers layers of its own
    script = "\n".join(blocks(page, "python"))
    keras.utils.set_random_seed(0)
    x, y = observations()
    there = {"__name__": page.stem, "x": x, "y": y}
    exec(compile(script, str(page), "exec"), there)  # noqa: S102  # our own documentation; x, y are the reader's data


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda page: page.name)
def test_commands_run(page: Path, cwd: Path) -> None:
    for arguments in commands(page):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 0, arguments


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []
