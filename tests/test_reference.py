"""Every public name stands in the reference, with a docstring, and nothing stands there that is not public."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest

import keras_prunelab
import matlab_bridge

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"


def public(package: ModuleType) -> set[str]:
    """The public names of a package, those of its namespaces with their path."""
    names: set[str] = set()
    for name in package.__all__:
        value = getattr(package, name)
        names |= {f"{name}.{inner}" for inner in value.__all__} if inspect.ismodule(value) else {name}
    return names


@pytest.mark.parametrize("package", [keras_prunelab, matlab_bridge])
def test_the_reference_is_the_public_surface(package: ModuleType) -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in sorted(REFERENCE.glob("*.md")))
    entries = re.findall(rf"^::: {package.__name__}\.([\w.]+)$", text, re.MULTILINE)
    # `scores` gives it when it is asked for: a program that reads the source finds it only where it is made.
    entries = ["scores.OBS" if entry == "_reconstruct._score.OBS" else entry for entry in entries]
    assert len(entries) == len(set(entries))
    assert set(entries) == public(package)


def test_every_page_of_the_reference_is_found() -> None:
    pages = {page.name for page in REFERENCE.glob("*.md")} - {"index.md"}
    index = (REFERENCE / "index.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\]\(([\w-]+\.md)\)", index)) == pages
    navigation = (REFERENCE.parents[1] / "mkdocs.yml").read_text(encoding="utf-8")
    assert set(re.findall(r"reference/([\w-]+\.md)", navigation)) == pages | {"index.md"}


@pytest.mark.parametrize("package", [keras_prunelab, matlab_bridge])
def test_every_public_name_has_a_docstring(package: ModuleType) -> None:
    for path in public(package):
        value: object = package
        for name in path.split("."):
            value = getattr(value, name)
        assert inspect.getdoc(value), path
