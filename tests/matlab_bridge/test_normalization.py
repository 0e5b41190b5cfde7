"""The normalization of input layers in every form that MATLAB has stored it in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from matlab_bridge import Layer
from matlab_bridge._normalization import Normalization

from .objects_by_hand import EMPTY, row


def image_input(size: Any, **settings: Any) -> Layer:
    return Layer("input", "nnet.cnn.layer.ImageInputLayer", {"InputSize": size, **settings})


@pytest.mark.parametrize("stored", [{}, {"Normalization": EMPTY}, {"Normalization": "none"}])
def test_no_normalization(stored: dict[str, Any]) -> None:
    normalization = Normalization.of(image_input(row(2), **stored))
    assert normalization.type == "none"
    assert normalization.is_trained


@pytest.mark.parametrize(
    ("size", "stored", "broadcasts"),
    [
        ((28, 28, 1), np.ones((28, 28), np.float32), (28, 28, 1)),
        ((28, 28, 1), np.ones((1, 1), np.float32), (1, 1, 1)),
        ((8, 8, 3), np.ones((1, 1, 3), np.float32), (1, 1, 3)),
        ((8, 8, 4, 1), np.ones((8, 8, 4), np.float32), (8, 8, 4, 1)),
        ((12,), np.ones((12, 1), np.float32), (12,)),
    ],
)
def test_the_average_gets_back_the_dimensions_that_matlab_drops(
    size: tuple[int, ...], stored: np.ndarray, broadcasts: tuple[int, ...]
) -> None:
    struct = {"Version": row(2), "Type": "zerocenter", "ImageSize": row(*size), "AverageImage": stored}
    normalization = Normalization.of(image_input(row(*size), Normalization=struct))
    assert normalization.type == "zerocenter"
    assert normalization.mean is not None
    assert normalization.mean.shape == broadcasts
    assert normalization.is_trained


def test_a_rescaling_has_its_targets() -> None:
    struct = {
        "Type": "rescale",
        "Min": row(1, 2).T,
        "Max": row(3, 4).T,
        "TargetMin": row(-1),
        "TargetMax": row(1),
    }
    normalization = Normalization.of(image_input(row(2), Normalization=struct))
    assert normalization.min is not None
    assert normalization.max is not None
    np.testing.assert_array_equal(normalization.min, [1, 2])
    np.testing.assert_array_equal(normalization.max, [3, 4])
    assert (normalization.target_min, normalization.target_max) == (-1, 1)


@pytest.mark.parametrize(("name", "low"), [("rescale-zero-one", 0.0), ("rescale-symmetric", -1.0)])
def test_the_public_names_of_a_rescaling_imply_the_targets(name: str, low: float) -> None:
    layer = image_input(row(2), Normalization=name, Min=row(0), Max=row(255))
    normalization = Normalization.of(layer)
    assert normalization.type == "rescale"
    assert (normalization.target_min, normalization.target_max) == (low, 1)


def test_statistics_beside_a_name_are_read() -> None:
    layer = image_input(row(2), Normalization="zscore", Mean=row(1, 2).T, StandardDeviation=row(3, 4).T)
    normalization = Normalization.of(layer)
    assert normalization.std is not None
    np.testing.assert_array_equal(normalization.std, [3, 4])
    assert normalization.is_trained


def test_an_untrained_normalization_says_so() -> None:
    struct = {"Type": "zerocenter", "AverageImage": EMPTY}
    assert not Normalization.of(image_input(row(8, 8, 1), Normalization=struct)).is_trained
