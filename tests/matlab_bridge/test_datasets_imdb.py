"""MatConvNet's image databases."""

from __future__ import annotations

import numpy as np
import pytest

from matlab_bridge import DatasetError, DatasetNotFoundError, load_imdb, matfile
from tests.matlab_bridge.datasets_by_hand import cell, network, pixels

IMAGES = pixels(0, 8, 6, 3, 6)
LABELS = np.array([[2, 1, 2, 2, 1, 2]], np.float64)
SETS = np.array([[1, 3, 1, 2, 3, 1]], np.float64)
MEAN = np.full((8, 6, 3), 5.0)


def images(**changes):
    return {"data": IMAGES.astype(np.float32), "labels": LABELS, "set": SETS, "data_mean": MEAN, **changes}


def meta():
    return {"sets": cell("train", "val", "test", as_row=True), "classes": cell("dog", "cat", as_row=True)}


@pytest.fixture(params=["v7", "v7.3"])
def write(request, tmp_path):
    def written(**variables):
        path = tmp_path / "imdb.mat"
        matfile.save(path, variables, version=request.param)
        return path

    return written


@pytest.mark.parametrize("nested", [False, True])
def test_the_parts_of_an_imdb(write, nested):
    variables = {"images": images(), "meta": meta()}
    path = write(note="x", imdb=variables) if nested else write(**variables)
    found = load_imdb(path)
    for part, number in ((found.train, 1), (found.validation, 2), (found.test, 3)):
        chosen = [index for index in range(6) if SETS[0, index] == number]
        assert part.class_names == ("dog", "cat")
        assert part.labels.tolist() == [int(LABELS[0, index]) - 1 for index in chosen]
        for place, index in enumerate(chosen):
            np.testing.assert_array_equal(part.inputs[place], IMAGES[..., index].astype(np.float32))
    np.testing.assert_array_equal(found.data_mean, MEAN.astype(np.float32))
    assert "3: test" in found.test.description


def test_parts_that_are_not_there(write):
    found = load_imdb(write(imdb={"images": images(set=np.ones((1, 6)))}), "imdb", network=network("Image", 8, 6, 3))
    assert (len(found.train), found.validation, found.test) == (6, None, None)


def test_the_order_of_the_network_goes_before_that_of_the_file(write):
    net = network("Image", 8, 6, 3, class_names=("cat", "dog"), outputs=2)
    found = load_imdb(write(images=images(), meta=meta()), network=net)
    assert found.train.class_names == ("cat", "dog")


@pytest.mark.parametrize(
    ("variables", "error", "says"),
    [
        ({"x": 1.0}, DatasetNotFoundError, "has no imdb.*There are: x"),
        ({"images": {"labels": LABELS}}, DatasetError, "images has no field data"),
        ({"images": {"data": IMAGES}}, DatasetError, r"no field set.*'images\.data', 'images\.labels'"),
        ({"images": images(set=SETS[:, :5])}, DatasetError, r"images\.set is 1 x 5, but there are 6 images"),
        ({"images": images(labels=LABELS[:, :5])}, DatasetError, "6 observations but 5 labels"),
    ],
)
def test_what_is_no_imdb(write, variables, error, says):
    with pytest.raises(error, match=says):
        load_imdb(write(**variables))


def test_a_variable_that_is_none(write):
    with pytest.raises(DatasetNotFoundError, match=r"x in .* is no imdb"):
        load_imdb(write(images=images(), x=1.0), "x")
