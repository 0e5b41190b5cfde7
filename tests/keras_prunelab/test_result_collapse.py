"""Curves that collapse at their first level."""

from __future__ import annotations

import dataclasses

import pytest

from keras_prunelab import MaskSet
from keras_prunelab._result._collapse import find_collapses

from .results_by_hand import MASKS, SameMasks, result

EMPTIED = MaskSet({path: mask & (path != "fc2/kernel") for path, mask in MASKS.items()})


@pytest.mark.parametrize(("target", "remedy"), [(0.0, "linear_synflow"), (0.5, None)])
def test_a_collapse_has_a_remedy_where_more_went_than_was_asked(target: float, remedy: str | None) -> None:
    swept = result({"magnitude": [(0.5, 0.99)], "synflow": [(0.5, 0.1)]})
    assert find_collapses(swept) == []
    swept = dataclasses.replace(
        swept,
        table=swept.table.assign(sparsity_target=[0.5, target]),
        sources={**swept.sources, ("synflow", "global", "none", 0): SameMasks(EMPTIED)},
    )
    (found,) = find_collapses(swept)
    assert (found.curve, found.layers, found.remedy) == ("synflow", ("fc2",), remedy)
    assert ("--scores magnitude,linear_synflow" in str(found)) == (remedy is not None)


def test_magnitude_has_no_remedy() -> None:
    swept = result({"magnitude": [(0.5, 0.1)]})
    swept = dataclasses.replace(swept, sources={("magnitude", "global", "none", 0): SameMasks(EMPTIED)})
    (found,) = find_collapses(swept)
    assert found.remedy is None
    assert str(found).startswith("Layer collapse: magnitude has emptied fc2 at 50.0 %")


def test_joined_sweeps_have_the_curves_of_both() -> None:
    one, other = result({"magnitude": [(0.5, 0.9)]}), result({"synflow": [(0.5, 0.8), (0.9, 0.7)]})
    both = one.join(other)
    assert both.scores == ("magnitude", "synflow")
    assert list(both.table.index) == [0, 1, 2]
    assert both.choose(sparsity=0.9, score="synflow").accuracy == 0.7
    assert not one.join(dataclasses.replace(other, complete=False)).complete
