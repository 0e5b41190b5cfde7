"""Paths into variables, as one writes them in MATLAB."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from matlab_bridge import VariableNotFoundError
from matlab_bridge.datasets._variables._paths import resolve
from matlab_bridge.matfile import MatlabObject, StructArray
from tests.matlab_bridge.datasets_by_hand import cell

GRID = np.empty((2, 3), dtype=object)
GRID[:] = [["a", "b", "c"], ["d", "e", "f"]]
VARIABLES = {
    "x": 1.0,
    "images": {"data": 2.0, "deep": {"er": 3.0}},
    "s": StructArray([[{"x": 4.0}], [{"x": 5.0}]], ("x",)),
    "c": cell("first", {"y": "second"}),
    "grid": GRID,
    "t": pd.DataFrame({"Label": ["p", "q"]}),
    "o": MatlabObject("thing", {"any": {"Inner": 6.0}}),
    "one": cell({"z": 7.0}),
    "x test": 8.0,
    "dense/kernel:0": {"a-b": 9.0},
    "x.y": 10.0,
    "données": cell("d"),
}


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("x", 1.0),
        ("images.data", 2.0),
        ("images.deep.er", 3.0),
        ("images(1).data", 2.0),
        ("s(2).x", 5.0),
        ("s(1,1).x", 4.0),
        ("c{1}", "first"),
        ("c{2}.y", "second"),
        ("grid{2}", "d"),
        ("grid{2, 3}", "f"),
        ("o.Inner", 6.0),
        ("one.z", 7.0),
        ("x test", 8.0),
        ("dense/kernel:0.a-b", 9.0),
        ("x.y", 10.0),
        ("données{1}", "d"),
    ],
)
def test_paths(path, wanted):
    assert resolve(VARIABLES, path) == wanted


def test_columns_of_tables():
    assert resolve(VARIABLES, "t.Label").tolist() == ["p", "q"]


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("y", "There is no variable 'y'. There are: x, images, s, c"),
        ("images.labels", "'images' has no field 'labels'. There are: data, deep"),
        ("images.deep.x", "'images.deep' has no field 'x'. There are: er"),
        ("x.z", "'x' has no field 'z'. There are: none"),
        ("s(3).x", r"'s\(3\)' is outside of 's', whose size is 2x1"),
        ("c{0}", r"'c\{0\}' is outside of 'c'.*begin at 1"),
        ("grid{3,1}", "whose size is 2x3"),
        ("images..data", "'images..data' is no path"),
        ("2x", "'2x' is no path"),
        ("c{x}", "no path"),
        (f"c{{{'9' * 18}}}", "outside of 'c'"),
        (f"c{{{'9' * 5000}}}", "no path"),  # Python makes no integer of so many digits
    ],
)
def test_a_path_that_breaks_says_where_and_what_there_is(path, says):
    with pytest.raises(VariableNotFoundError, match=says):
        resolve(VARIABLES, path)
