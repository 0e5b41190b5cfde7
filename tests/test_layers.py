"""Imports form no cycle but for `Network.to_keras`, and the picture of the layers is that of the contracts.

Imports inside functions, and those for types, count as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from runpy import run_path

import grimp
import pytest

ALLOWED = {"keras_prunelab": (), "matlab_bridge": (("matlab_bridge.network", "matlab_bridge.convert._build"),)}


def imports(package: str) -> dict[str, set[str]]:
    """What each module of a package imports of it."""
    graph = grimp.build_graph(package, exclude_type_checking_imports=False, cache_dir=None)
    return {module: set(graph.find_modules_directly_imported_by(module)) for module in graph.modules}


def cycle_in(graph: Mapping[str, set[str]]) -> list[str]:
    """One cycle; empty where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_form_no_cycle(package: str) -> None:
    graph = imports(package)
    for importer, imported in ALLOWED[package]:
        graph[importer].remove(imported)
    assert cycle_in(graph) == []


def test_cycles_are_seen() -> None:
    graph = imports("matlab_bridge")
    assert "matlab_bridge.network" in cycle_in(graph)


def test_the_picture_shows_the_contracts() -> None:
    docs = Path(__file__).parents[1] / "docs"
    drawn = run_path(str(docs / "draw_architecture.py"))["picture"]()
    assert drawn == (docs / "images" / "architecture.svg").read_text(encoding="utf-8")
