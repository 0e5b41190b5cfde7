"""Labels of every kind, against class indices written out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

from matlab_bridge import DatasetError, LabelMismatchError, load_dataset, matfile
from matlab_bridge.datasets._expected import Expected
from matlab_bridge.datasets._labels._encode import Doubt, encode
from matlab_bridge.matfile import CategoricalArray, MatlabObject
from tests.matlab_bridge.datasets_by_hand import cell, network

STRING = np.dtypes.StringDType()
DIGITS = Expected("image", (28, 28, 1), 10, tuple("0123456789"))
PETS = Expected("image", (8, 8, 3), 3, ("dog", "cat", "bird"))
NAMELESS = Expected("image", (8, 8, 3), 3)
NAMES = ["cat", "bird", "dog", "cat"]
INDICES = [1, 2, 0, 1]


@pytest.mark.parametrize(
    "value",
    [
        pd.Categorical(NAMES),
        pd.Categorical(NAMES, categories=["bird", "fish", "dog", "cat"]),
        CategoricalArray(np.array([[2, 3], [1, 2]]), ("bird", "cat", "dog")),
        np.array(NAMES, dtype=STRING)[:, np.newaxis],
        np.array(NAMES, dtype=STRING)[np.newaxis],
        np.array(["cat ", "bird", "dog ", "cat "]),
        cell(*NAMES),
        cell(*NAMES, as_row=True),
    ],
    ids=["categorical", "unused", "matrix", "string", "row", "char", "cellstr", "cell row"],
)
def test_names_are_matched_to_the_order_of_the_network(value):
    labels = encode(value, PETS, 4)
    assert labels.data.tolist() == INDICES
    assert labels.data.dtype == np.int64
    assert labels.class_names == PETS.class_names


@pytest.mark.parametrize("dtype", ["float64", "float32", "uint8", "int64"])
def test_numbers_that_are_all_the_classes_names_are_names(dtype):
    values = np.array([[3, 0, 9, 1, 2, 4, 5, 6, 7, 8]], dtype=dtype)
    assert encode(values, DIGITS, 10).data.tolist() == values.ravel().tolist()


def test_numbers_from_one_to_the_number_of_classes_are_indices_all_of_them():
    labels = encode(np.arange(1.0, 11.0), DIGITS, 10)
    assert labels.data.tolist() == list(range(10))
    assert labels.class_names == DIGITS.class_names
    assert "class indices 1 to 10 (1 is '0')" in labels.note


def test_indices_that_begin_at_zero():
    expected = Expected("feature", (4,), 3, ("a", "b", "c"))
    assert encode(np.array([0.0, 2.0, 1.0, 0.0]), expected, 4).data.tolist() == [0, 2, 1, 0]
    assert encode(np.array([1.0, 3.0, 2.0]), expected, 3).data.tolist() == [0, 2, 1]
    assert encode(np.array([1.0, 2.0]), expected, 2).data.tolist() == [0, 1]


def ask(*predicted):
    """A network that gives these classes to the first observations."""
    return lambda: (np.arange(len(predicted)), np.array(predicted))


def test_a_network_decides_whether_numbers_are_names_or_indices():
    values = np.array([1.0, 2.0, 8.0])
    assert encode(values, DIGITS, 3).data.tolist() == [1, 2, 8]
    assert encode(values, DIGITS, 3, Doubt(predictions=ask(1, 2, 0))).data.tolist() == [1, 2, 8]
    labels = encode(values, DIGITS, 3, Doubt(predictions=ask(0, 1, 8)))
    assert labels.data.tolist() == [0, 1, 7]
    assert "agrees with 66.7% of a sample read so, with 33.3% as the names" in labels.note


def test_what_the_user_says_about_numbers_is_not_questioned():
    values = np.array([1.0, 2.0, 8.0])
    assert encode(values, DIGITS, 3, Doubt("indices")).data.tolist() == [0, 1, 7]
    assert encode(values, DIGITS, 3, Doubt("names", ask(0, 1, 7))).data.tolist() == [1, 2, 8]
    assert encode(values, DIGITS, 3, Doubt("indices", ask(0, 1, 3))).data.tolist() == [0, 1, 7]
    assert encode(np.arange(10.0), DIGITS, 10, Doubt("indices")).data.tolist() == list(range(10))
    zero = np.array([0.0, 1.0, 2.0, 8.0])
    assert encode(zero, DIGITS, 4, Doubt("indices", ask(5, 0, 1, 7))).data.tolist() == [-1, 0, 1, 7]
    with pytest.raises(DatasetError, match="number_labels='names'"):
        encode(np.array([1.0, 3.0]), PETS, 2, Doubt("names"))


def test_a_network_is_not_asked_where_there_is_no_doubt():
    def never():
        raise AssertionError

    assert encode(np.arange(10.0), DIGITS, 10, Doubt(predictions=never)).data.tolist() == list(range(10))
    assert encode(np.array([2.0, 3.0]), PETS, 2, Doubt(predictions=never)).data.tolist() == [1, 2]


def test_a_zero_among_indices_is_no_class_if_the_network_says_so():
    values = np.array([0.0, 1.0, 2.0, 8.0])
    labels = encode(values, DIGITS, 4, Doubt(predictions=ask(5, 0, 1, 7)))
    assert labels.data.tolist() == [-1, 0, 1, 7]
    assert "0 for no class" in labels.note
    assert encode(values, DIGITS, 4).data.tolist() == [0, 1, 2, 8]


def test_an_unanswered_question_leaves_the_names():
    assert encode(np.array([1.0, 2.0]), DIGITS, 2, Doubt(predictions=lambda: None)).data.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("names", "wanted"), [(("no", "yes"), [1, 0, 1]), (("true", "false"), [0, 1, 0]), (("1", "0"), [0, 1, 0])]
)
def test_logical_labels(names, wanted):
    expected = Expected("feature", (4,), 2, names)
    assert encode(np.array([[True, False, True]]), expected, 3).data.tolist() == wanted


def test_logical_labels_that_are_all_true_are_the_second_class():
    expected = Expected("feature", (4,), 2, ("no", "yes"))
    assert encode(np.array([True, True]), expected, 2).data.tolist() == [1, 1]


def test_class_names_may_be_any_numbers():
    expected = Expected("feature", (4,), 3, ("0.5", "10", "-1"))
    assert encode(np.array([10.0, -1.0, 0.5]), expected, 3).data.tolist() == [1, 2, 0]


@given(st.lists(st.integers(0, 2), min_size=4, max_size=9))
def test_one_hot_rows_and_columns(indices):
    one_hot = np.eye(3)[indices]
    for matrix in (one_hot, one_hot.T, one_hot.astype(bool)):
        labels = encode(matrix, PETS, len(indices))
        assert labels.data.tolist() == indices
        assert labels.class_names == PETS.class_names


def test_one_hot_without_class_names_counts_from_one():
    labels = encode(np.eye(3)[[2, 0, 1, 1]], NAMELESS, 4)
    assert (labels.data.tolist(), labels.class_names) == ([2, 0, 1, 1], ("1", "2", "3"))


@pytest.mark.parametrize(
    ("value", "names", "indices"),
    [
        (pd.Categorical(["b", "a", "c"], categories=["c", "b", "a"]), ("c", "b", "a"), [1, 2, 0]),
        (pd.Categorical(["b", "a"], categories=["c", "b", "a"]), ("c", "b", "a"), [1, 2]),
        (pd.Categorical(["b", "a", "c"], categories=["c", "x", "b", "a"]), ("c", "b", "a"), [1, 2, 0]),
        (cell("b", "a", "c"), ("a", "b", "c"), [1, 0, 2]),
        (np.array([10.0, 5.0, 20.0]), ("5", "10", "20"), [1, 0, 2]),
        (np.array([0.0, 1.0, 2.0]), ("0", "1", "2"), [0, 1, 2]),
        (np.array([1.0, 3.0, 2.0]), ("1", "2", "3"), [0, 2, 1]),
        (np.array([1.0, 3.0]), ("1", "2", "3"), [0, 2]),
        (np.array([0.0, 2.0]), ("0", "1", "2"), [0, 2]),
    ],
)
def test_a_network_without_class_names_takes_their_order_from_the_labels(value, names, indices):
    labels = encode(value, NAMELESS, len(indices))
    assert labels.class_names == names
    assert labels.data.tolist() == indices


@pytest.mark.parametrize(
    ("categories", "outputs", "names"),
    [
        (("c", "b", "x", "a"), 4, ("c", "b", "x", "a")),  # as many as the network has classes: all of them count
        (("y", "c", "b", "x", "a"), 3, ("c", "b", "a")),  # those that occur, as MATLAB's removecats leaves them
        (("y", "c", "b", "x", "a"), None, ("y", "c", "b", "x", "a")),
    ],
)
def test_categories_keep_their_order_whether_or_not_they_are_used(path, categories, outputs, names):
    labels = ["a", "b", "c", "b"]
    matfile.save(path, {"X": np.arange(8.0).reshape(4, 2), "Y": pd.Categorical(labels, categories=list(categories))})
    known = None if outputs is None else network("Feature", 2, outputs=outputs)
    data = load_dataset(path, inputs="X", labels="Y", network=known)
    assert data.class_names == names
    assert data.labels.tolist() == [names.index(label) for label in labels]


def test_a_single_output_tells_two_classes_apart():
    expected = Expected("feature", (4,), 1)
    assert encode(np.array([0.0, 1.0, 1.0]), expected, 3).data.tolist() == [0, 1, 1]
    assert encode(cell("yes", "no"), expected, 2).class_names == ("no", "yes")
    assert encode(np.array([0.25, 1.5]), expected, 2).data.tolist() == [[0.25], [1.5]]


@pytest.mark.parametrize("matrix", [np.arange(8.0).reshape(4, 2), np.arange(8.0).reshape(4, 2).T])
def test_responses_of_a_regression_stay_numbers(matrix):
    labels = encode(matrix, Expected("feature", (3,), 2, regression=True), 4)
    assert labels.data.shape == (4, 2)
    assert labels.data.dtype == np.float32
    assert labels.class_names == ()
    rows = matrix if matrix.shape[0] == 4 else matrix.T
    assert (labels.data == rows).all()


def test_whole_responses_of_a_regression_are_no_classes():
    labels = encode(np.array([1.0, 2.0, 3.0]), Expected("feature", (3,), 1, regression=True), 3)
    assert labels.data.tolist() == [[1.0], [2.0], [3.0]]


def test_each_time_step_may_have_its_label():
    value = cell(pd.Categorical(["a", "b"], categories=["b", "a"]), pd.Categorical(["b"], categories=["b", "a"]))
    labels = encode(value, Expected("sequence", (3,)), 2)
    assert [v.tolist() for v in labels.data] == [[1, 0], [0]]
    assert labels.class_names == ("b", "a")
    numbers = encode(cell(np.array([[1.0, 2.0]]), np.array([[3.0]])), Expected("sequence", (3,), 3), 2)
    assert [v.tolist() for v in numbers.data] == [[0, 1], [2]]


def test_each_time_step_may_have_its_responses():
    value = cell(np.arange(6.0).reshape(2, 3), np.arange(8.0).reshape(2, 4))
    labels = encode(value, Expected("sequence", (3,), 2, regression=True), 2)
    assert [v.shape for v in labels.data] == [(3, 2), (4, 2)]
    assert labels.data[0].tolist() == [[0, 3], [1, 4], [2, 5]]


@pytest.mark.parametrize(
    ("value", "expected", "says"),
    [
        (cell("cat", "fish"), PETS, "Only among the labels: 'fish'.*Only among the classes: 'dog', 'bird'"),
        (np.array([1.0, 4.0]), PETS, "Only among the labels: '1', '4'.*all classes: 'dog', 'cat', 'bird'"),
        (np.array([0.5, 1.0]), PETS, "'0.5'"),
        (np.eye(4)[[0, 1]], PETS, "Only among the labels: '1', '2', '3', '4'"),
        (cell("a", "b", "c", "d"), NAMELESS, "4 different labels.*3 outputs"),
        (pd.Categorical(["cat", None]), PETS, "1 of 2 labels are <undefined>"),
        (np.array([[0.2, 0.8, 0.0], [0.5, 0.5, 0.0]]), PETS, "not one-hot"),
    ],
)
def test_labels_that_are_not_the_classes_are_listed_with_them(value, expected, says):
    observations = len(value)
    with pytest.raises(LabelMismatchError, match=says):
        encode(value, expected, observations)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (cell("cat", "dog"), "3 observations but 2 labels"),
        (np.zeros((4, 2)), "3 observations, but the labels are 4 x 2"),
        (MatlabObject("cvpartition", {}), "labels are a cvpartition"),
        (cell({}, {}, {}), "neither names nor numbers"),
    ],
)
def test_what_is_no_list_of_labels(value, says):
    with pytest.raises(DatasetError, match=says):
        encode(value, PETS, 3)


@pytest.mark.parametrize("version", ["v7", "v7.3"])
def test_sparse_targets_as_ind2vec_makes_them(version, tmp_path):
    targets = scipy.sparse.csc_matrix(np.eye(3)[[1, 2, 0, 1]].T)
    path = tmp_path / "targets.mat"
    matfile.save(path, {"x": np.zeros((5, 4)), "t": targets}, version=version)
    data = load_dataset(path, network=network("Feature", 5))
    assert data.labels.tolist() == [1, 2, 0, 1]


@pytest.mark.parametrize("column", [pd.Categorical(NAMES), NAMES, [2.0, 3.0, 1.0, 2.0]])
def test_a_table_of_one_variable_is_that_variable(column, tmp_path):
    path = tmp_path / "tables.mat"
    signals = [np.full((2, steps), steps) for steps in (3, 4, 5, 6)]
    matfile.save(path, {"X": pd.DataFrame({"signal": signals}), "Y": pd.DataFrame({"pet": column})})
    net = network("Sequence", 2, class_names=("dog", "cat", "bird"))
    data = load_dataset(path, "X", "Y", network=net)
    assert [len(each) for each in data.inputs] == [3, 4, 5, 6]
    assert data.labels.tolist() == INDICES


def test_undefined_labels_are_the_reason_that_is_told(tmp_path):
    path = tmp_path / "undefined.mat"
    matfile.save(path, {"X": np.zeros((4, 5)), "Y": pd.Categorical(["dog", None, "cat", "dog"])})
    with pytest.raises(DatasetError, match=r"Y: 4 x 1 categorical.* 1 of 4 labels are <undefined>"):
        load_dataset(path, network=network("Feature", 5, class_names=("dog", "cat", "bird")))


def segmenting(*, regression=False):
    """A network of 4 x 3 images; a class of two, or a response, for each pixel."""
    net = network("Image", 4, 3, 1, outputs=1 if regression else 2, regression=regression)
    return net if regression else replace(net, class_names=("sky", "road"))


@pytest.mark.parametrize("with_channel", [True, False])
@pytest.mark.parametrize("as_names", [True, False])
def test_a_class_for_each_pixel(with_channel, as_names, tmp_path):
    classes = np.random.default_rng(0).integers(0, 2, (5, 4, 3))
    stored = np.moveaxis(classes, 0, -1) + 1
    stored = stored[:, :, np.newaxis] if with_channel else stored
    labels = CategoricalArray(stored, ("sky", "road")) if as_names else stored.astype(float)
    matfile.save(tmp_path / "pixels.mat", {"X": np.zeros((4, 3, 1, 5)), "L": labels})
    data = load_dataset(tmp_path / "pixels.mat", "X", "L", network=segmenting())
    np.testing.assert_array_equal(data.labels, classes)
    assert data.class_names == ("sky", "road")


@pytest.mark.parametrize("with_channel", [True, False])
def test_responses_that_are_images(with_channel, tmp_path):
    images = np.random.default_rng(0).normal(size=(5, 4, 3)).astype("f4")
    stored = np.moveaxis(images, 0, -1)
    stored = stored[:, :, np.newaxis] if with_channel else stored
    matfile.save(tmp_path / "clean.mat", {"X": np.zeros((4, 3, 1, 5)), "Y": stored})
    data = load_dataset(tmp_path / "clean.mat", "X", "Y", network=segmenting(regression=True))
    np.testing.assert_array_equal(data.labels, images[..., np.newaxis])


@pytest.mark.parametrize("count", [1, 2])
def test_responses_in_the_last_of_four_dimensions(count, tmp_path):
    responses = np.arange(5.0 * count).reshape(5, count)
    matfile.save(tmp_path / "r.mat", {"X": np.zeros((4, 3, 1, 5)), "Y": responses.T.reshape(1, 1, count, 5)})
    net = network("Image", 4, 3, 1, outputs=count, regression=True)
    np.testing.assert_array_equal(load_dataset(tmp_path / "r.mat", "X", "Y", network=net).labels, responses)
