"""The way arrays lie: every layout that MATLAB users save, against transposes written out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

from matlab_bridge import DatasetError
from matlab_bridge.datasets._arrays import numbers_of
from matlab_bridge.datasets._expected import Expected, expected_of
from matlab_bridge.datasets._readings import arrange_inputs, readings
from matlab_bridge.matfile import MatlabObject
from tests.matlab_bridge.datasets_by_hand import cell, network, pixels

UNKNOWN = Expected()


def image(*size):
    return Expected("image", size)


@given(h=st.integers(1, 5), w=st.integers(1, 5), c=st.integers(1, 4), n=st.integers(2, 6))
def test_images_of_matlab_become_observations_first(h, w, c, n):
    array = np.random.default_rng(0).normal(size=(h, w, c, n))
    data, _ = arrange_inputs(array, image(h, w, c), "X", {n})
    assert data.shape == (n, h, w, c)
    assert data.dtype == np.float32
    for index in np.ndindex(h, w, c, n):
        y, x, channel, observation = index
        assert data[observation, y, x, channel] == np.float32(array[index])


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16"])
def test_small_integers_keep_their_type_and_their_numbers(dtype):
    array = np.arange(2 * 3 * 1 * 4, dtype=dtype).reshape(2, 3, 1, 4)
    data, _ = arrange_inputs(array, image(2, 3, 1), "X")
    assert data.dtype == np.dtype(dtype)
    assert data[3, 1, 2, 0] == array[1, 2, 0, 3]


@pytest.mark.parametrize("dtype", ["bool", "float32", "float64", "int32", "uint32", "int64"])
def test_other_numbers_become_single(dtype):
    array = np.ones((2, 3, 1, 4), dtype=dtype)
    data, _ = arrange_inputs(array, image(2, 3, 1), "X")
    assert data.dtype == np.float32
    assert (data == 1).all()


def test_gray_images_without_a_channel_dimension():
    array = pixels(0, 4, 3, 7)
    data, text = arrange_inputs(array, image(4, 3, 1), "X")
    assert data.shape == (7, 4, 3, 1)
    assert (data[5, :, :, 0] == array[:, :, 5]).all()
    assert "height x width x observations (gray)" in text


def test_one_colour_image_and_one_gray_image():
    colour, gray = pixels(0, 4, 3, 3), pixels(1, 4, 3)
    assert (arrange_inputs(colour, image(4, 3, 3), "X")[0] == colour[np.newaxis]).all()
    assert (arrange_inputs(gray, image(4, 3, 1), "X")[0] == gray[np.newaxis, :, :, np.newaxis]).all()


def test_observations_that_already_come_first_are_left_there():
    array = pixels(0, 7, 4, 3, 2)
    data, text = arrange_inputs(array, image(4, 3, 2), "X")
    assert (data == array).all()
    assert "observations x height x width x channels" in text


def test_the_number_of_labels_decides_between_first_and_last():
    array = pixels(0, 4, 4, 4, 4)
    data, text = arrange_inputs(array, image(4, 4, 4), "X")
    assert (data == np.moveaxis(array, -1, 0)).all()
    assert "rows are taken" in text


def test_three_dimensional_images():
    array = pixels(0, 4, 3, 2, 1, 6)
    data, _ = arrange_inputs(array, image(4, 3, 2, 1), "X")
    assert (data[2] == array[..., 2]).all()


@pytest.mark.parametrize("as_rows", [True, False])
def test_images_unrolled_with_a_colon_are_rolled_column_by_column(as_rows):
    array = pixels(0, 4, 3, 2, 5)
    flat = np.stack([array[..., n].ravel(order="F") for n in range(5)])
    data, text = arrange_inputs(flat if as_rows else flat.T, image(4, 3, 2), "X")
    assert (data == np.moveaxis(array, -1, 0)).all()
    assert "unrolled column by column" in text


def test_features_in_rows_or_columns():
    array = np.random.default_rng(0).normal(size=(6, 4))
    by_row, _ = arrange_inputs(array, Expected("feature", (4,)), "X")
    by_column, text = arrange_inputs(array.T, Expected("feature", (4,)), "X")
    assert (by_row == array.astype(np.float32)).all()
    assert (by_column == by_row).all()
    assert "columns of observations" in text


def test_square_features_are_rows_and_the_text_says_so():
    array = np.random.default_rng(0).normal(size=(4, 4))
    data, text = arrange_inputs(array, Expected("feature", (4,)), "X")
    assert (data == array.astype(np.float32)).all()
    assert "could also be columns of observations" in text


def test_without_a_network_the_labels_say_which_dimension_counts():
    array = np.random.default_rng(0).normal(size=(4, 6))
    assert arrange_inputs(array, UNKNOWN, "X", {6})[0].shape == (6, 4)
    assert arrange_inputs(array, UNKNOWN, "X", {4})[0].shape == (4, 6)
    assert arrange_inputs(array, UNKNOWN, "X")[0].shape == (4, 6)


def test_three_pages_without_a_network_are_an_image_or_three():
    array = pixels(0, 4, 5, 3)
    with pytest.raises(DatasetError, match=r"can be .* or .*Pass network="):
        arrange_inputs(array, UNKNOWN, "X")
    assert arrange_inputs(array, UNKNOWN, "X", {1})[0].shape == (1, 4, 5, 3)
    assert arrange_inputs(array, UNKNOWN, "X", {3})[0].shape == (3, 4, 5, 1)
    assert arrange_inputs(pixels(0, 4, 5, 9), UNKNOWN, "X")[0].shape == (9, 4, 5, 1)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("as_row", [False, True])
def test_sequences_in_cells_become_time_by_channels(turned, as_row):
    sequences = [np.random.default_rng(n).normal(size=(3, n + 4)) for n in range(5)]
    value = cell(*(s.T if turned else s for s in sequences), as_row=as_row)
    data, _ = arrange_inputs(value, Expected("sequence", (3,)), "X", {5})
    assert len(data) == 5
    for got, wanted in zip(data, sequences, strict=True):
        assert got.dtype == np.float32
        assert (got == wanted.T.astype(np.float32)).all()


def test_sequences_without_a_network_share_their_channels():
    sequences = [np.random.default_rng(n).normal(size=(n + 4, 3)) for n in range(4)]
    data, _ = arrange_inputs(cell(*sequences), UNKNOWN, "X")
    assert [s.shape for s in data] == [s.shape for s in sequences]


def test_one_sequence_may_be_a_plain_matrix():
    array = np.random.default_rng(0).normal(size=(3, 20))
    for value in (array, array.T):
        data, _ = arrange_inputs(value, Expected("sequence", (3,)), "X")
        assert len(data) == 1
        assert (data[0] == array.T.astype(np.float32)).all()


def test_sequences_of_one_length_may_be_pages():
    array = np.random.default_rng(0).normal(size=(3, 20, 4))
    data, _ = arrange_inputs(array, Expected("sequence", (3,)), "X")
    assert (data[2] == array[:, :, 2].T.astype(np.float32)).all()


def test_cells_of_images_and_of_feature_vectors():
    images = [pixels(n, 4, 3) for n in range(5)]
    assert (arrange_inputs(cell(*images), image(4, 3, 1), "X")[0][..., 0] == np.stack(images)).all()
    vectors = [np.arange(3.0)[:, np.newaxis] + n for n in range(4)]
    data, _ = arrange_inputs(cell(*vectors), Expected("feature", (3,)), "X")
    assert (data == np.arange(3) + np.arange(4)[:, np.newaxis]).all()


def test_tables_give_their_numeric_variables():
    table = pd.DataFrame({"a": [1.0, 2.0], "name": ["x", "y"], "b": [3, 4], "wide": [np.ones(2), np.zeros(2)]})
    data, _ = arrange_inputs(table, Expected("feature", (4,)), "T")
    assert (data == [[1, 3, 1, 1], [2, 4, 0, 0]]).all()


def test_sparse_and_dlarray_hold_numbers():
    array = np.eye(4, 6)
    sparse, _ = arrange_inputs(scipy.sparse.csc_array(array), Expected("feature", (6,)), "X")
    wrapped, _ = arrange_inputs(MatlabObject("dlarray", {"Data": array}), Expected("feature", (6,)), "X")
    assert (sparse == array).all()
    assert (wrapped == array).all()


@pytest.mark.parametrize(
    ("value", "expected", "says"),
    [
        (
            np.zeros((28, 28, 3, 5)),
            image(28, 28, 1),
            "28 x 28 x 3 x 5 float64.*takes images of 28 x 28 x 1.*im2gray",
        ),
        (np.zeros((5, 3)), Expected("feature", (4,)), "5 x 3 float64.*takes 4 features"),
        (cell(np.zeros((3, 5))), Expected("sequence", (4,)), "cell of 1 x 1.*4 values a time step"),
        (MatlabObject("pca", {}), Expected("feature", (4,)), "a pca"),
        (np.zeros((2, 2, 2, 2, 2)), UNKNOWN, "2 x 2 x 2 x 2 x 2"),
        (np.zeros((0, 0)), UNKNOWN, "0 x 0"),
        (cell("a"), UNKNOWN, "cell of 1 x 1"),
    ],
)
def test_what_does_not_fit_says_both_sizes(value, expected, says):
    assert readings(value, expected) == ()
    with pytest.raises(DatasetError, match=says):
        arrange_inputs(value, expected, "X")


def test_what_networks_expect():
    assert expected_of(None) == UNKNOWN
    assert expected_of(network("Image", 8, 6, 2)) == Expected("image", (8, 6, 2), 3)
    assert expected_of(network("Feature", 5, class_names=("a", "b", "c"))).class_names == ("a", "b", "c")
    assert expected_of(network("Sequence", 5, outputs=1, regression=True)).regression
    assert str(expected_of(network("Image3D", 4, 3, 2, 1))) == "images of 4 x 3 x 2 x 1"
    assert expected_of(network("Sequence", 28, 28, 1)).kind == "unknown"


def test_a_sparse_matrix_that_states_more_than_memory_holds_is_no_data():
    small = scipy.sparse.csc_array(np.eye(3))
    np.testing.assert_array_equal(numbers_of(small), np.eye(3))
    assert numbers_of(scipy.sparse.csc_array((2**40, 1))) is None
