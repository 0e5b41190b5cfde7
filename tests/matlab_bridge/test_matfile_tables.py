"""Variables of a table that one object holds for all rows: each row has its own element."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

from matlab_bridge import TruncatedFileError
from matlab_bridge.matfile import Enumeration, MatlabObject
from matlab_bridge.matfile._budget import Budget
from matlab_bridge.matfile._decode._tables import table
from tests.matlab_bridge.datasets_by_hand import cell


def frame(value, rows=3):
    return table(
        {
            "data": cell(np.arange(float(rows))[:, np.newaxis], value, as_row=True),
            "varnames": cell("n", "x", as_row=True),
            "nrows": np.array([[float(rows)]]),
            "rownames": np.empty((0, 0), object),
            "props": {},
        },
        Budget(),
    )


@pytest.mark.parametrize("names", [["Line", "Rectangle", "Scene"], ["Line"], ["Line", "Line"]])
def test_an_enumeration_gives_each_row_its_member(names):
    members = frame(Enumeration("labelType", np.array(names)[:, np.newaxis]), len(names))["x"]
    assert [member.names.tolist() for member in members] == [[[name]] for name in names]
    assert {member.class_name for member in members} == {"labelType"}


def test_an_enumeration_of_several_columns():
    found = frame(Enumeration("k", np.array([["a", "b"], ["c", "d"], ["e", "f"]])))
    assert list(found.columns) == ["n", "x_1", "x_2"]
    assert [member.names.item() for member in found["x_2"]] == ["b", "d", "f"]


def test_a_calendar_duration_gives_each_row_its_own():
    parts = {"months": np.array([[1.0], [2.0], [3.0]]), "days": np.zeros((1, 1)), "millis": np.zeros((1, 1))}
    found = frame(MatlabObject("calendarDuration", {"components": parts, "fmt": "ymdt"}))["x"]
    assert [each.properties["components"]["months"].tolist() for each in found] == [[[1.0]], [[2.0]], [[3.0]]]
    assert all(each.properties["components"]["days"].tolist() == [[0.0]] for each in found)
    assert {each.properties["fmt"] for each in found} == {"ymdt"}


def test_the_only_row_has_the_whole_object():
    value = MatlabObject("calendarDuration", {"components": {"months": np.ones((1, 1))}})
    assert frame(value, 1)["x"][0] is value


def test_a_sparse_variable_of_a_table_may_have_as_many_zeros_as_memory_allows():
    full = frame(scipy.sparse.csc_array((3000, 2000)), 3000)
    assert full.shape == (3000, 2001)
    assert not full.iloc[:, 1:].to_numpy().any()
    with pytest.raises(TruncatedFileError, match="the zeros of a sparse variable would take"):
        frame(scipy.sparse.csc_array((2**40, 1)))
