"""The files of the MATLAB functions: they parse, in Octave, and their help has MATLAB's form."""

from __future__ import annotations

import itertools
import re
from importlib.metadata import version
from pathlib import Path

import pytest

from matlab_bridge import toolbox_path

from . import octave

pytestmark = pytest.mark.octave

FILES = sorted(path for path in toolbox_path().rglob("*.m") if path.name != "Contents.m")
DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_parses(file: Path, tmp_path: Path) -> None:
    octave.run(f"__parse_file__('{file.as_posix()}');", tmp_path)


def help_of(file: Path) -> list[str]:
    """The lines of a function's help, without their percent signs."""
    _, *lines = file.read_text(encoding="utf-8").splitlines()
    return [line[1:] for line in itertools.takewhile(lambda line: line.startswith("%"), lines)]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_help_has_matlabs_form(file: Path) -> None:
    first, *rest = help_of(file)
    name = file.stem.upper()
    assert re.fullmatch(rf"{name} [A-Z][^.]*\.", first)
    assert rest[0].startswith("   "), "the syntax follows the first line"
    assert re.match(rf"\s+(\[?[A-Z, ]+\]? = )?{name}\(", rest[0])
    example, also = rest.index("   Example:"), len(rest) - 1
    assert f"{file.stem}(" in "".join(rest[example:also])
    related = re.fullmatch(r"   See also ([A-Z, ]+)\.", rest[also])
    assert related is not None
    assert set(related[1].split(", ")) <= {other.stem.upper() for other in FILES} - {name}
    assert max(map(len, rest)) <= 90


def test_contents_lists_every_function_with_its_first_line() -> None:
    lines = (toolbox_path() / "Contents.m").read_text(encoding="utf-8").splitlines()
    listed = dict(found.groups() for line in lines if (found := re.fullmatch(r"%   (\w+) +- (.*)", line)))
    public = [file for file in FILES if file.parent == toolbox_path()]
    assert listed == {file.stem: help_of(file)[0].partition(" ")[2] for file in public}
    # `ver` reads the second line.
    assert re.fullmatch(rf"% Version {re.escape(version('keras-prunelab'))} \d\d-[A-Z][a-z][a-z]-\d{{4}}", lines[1])


def test_octave_shows_the_help(tmp_path: Path) -> None:
    printed = octave.run("help plotBlocks; help networkToStruct", tmp_path)
    assert "Plot what pruning leaves of each block or layer." in printed
    assert "Describe a deep learning network as a plain struct." in printed


def test_no_double_quotes_and_no_argument_blocks() -> None:
    for file in FILES:
        code = [line for line in file.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("%")]
        assert not any('"' in line or line.strip() == "arguments" for line in code), file.name


@pytest.mark.parametrize("page", ["portable-form.md", "matlab-side.md"])
def test_the_matlab_code_of_the_documentation_parses(page: str, tmp_path: Path) -> None:
    blocks = re.findall(r"^```matlab\n(.*?)^```", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert blocks
    for number, block in enumerate(blocks):
        path = tmp_path / f"block{number}.m"
        path.write_text(f"function block{number}()\n{block}\nend\n", encoding="utf-8")
        octave.run(f"__parse_file__('{path.as_posix()}');", tmp_path)
