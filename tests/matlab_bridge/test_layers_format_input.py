"""`inputLayer`, whose data may have any format."""

from __future__ import annotations

import numpy as np
import pytest

import matlab_bridge as mb

from .layer_tools import chain, layer, normal, outputs
from .networks_by_hand import row


def format_input(letters: str, *lengths: float) -> mb.Layer:
    return layer("input", "InputLayer", {"InputFormat": letters, "InputSize": row(*lengths)})


@pytest.mark.parametrize(
    ("letters", "lengths", "shape"),
    [
        ("CB", (4, np.nan), (4,)),
        ("BC", (np.nan, 4), (4,)),
        ("SSCB", (5, 6, 3, np.nan), (5, 6, 3)),
        ("SSC", (5, 6, 3), (5, 6, 3)),
        ("BCSS", (1, 3, 5, 6), (5, 6, 3)),
        ("SSCB", (np.nan, np.nan, 3, np.nan), (None, None, 3)),
        ("SSSCB", (5, 6, 7, 3, np.nan), (5, 6, 7, 3)),
        ("CBT", (4, np.nan, 9), (None, 4)),
        ("CTB", (4, np.nan, np.nan), (None, 4)),
        ("SSCBT", (5, 6, 3, np.nan, np.nan), (None, 5, 6, 3)),
    ],
)
def test_the_shape_of_an_observation(letters: str, lengths: tuple[float, ...], shape: tuple[int | None, ...]) -> None:
    model = chain(format_input(letters, *lengths), layer("relu", "ReLULayer")).to_keras()
    assert model.input_shape == (None, *shape)


def test_nothing_is_normalized() -> None:
    data = normal(0, 5, 3)
    weights, bias = normal(1, 2, 3), normal(2, 2, 1)
    fc = layer("fc", "FullyConnectedLayer", {"OutputSize": row(2)}, {"Weights": weights, "Bias": bias})
    found = outputs(chain(format_input("CB", 3, np.nan), fc), data)
    np.testing.assert_allclose(found, data @ weights.T + bias.ravel(), atol=1e-5)


@pytest.mark.parametrize(
    ("letters", "lengths", "reason"),
    [
        ("UU", (3, 4), "InputFormat is 'UU', and without the B one of 'C', 'SSC'"),
        ("SCB", (3, 4, 5), "InputFormat is 'SCB'"),
        ("CCB", (3, 4, 5), "InputFormat is 'CCB'"),
        ("SSCB", (3, 4, np.nan, 5), r"number of channels is free \(NaN in InputSize\)"),
        ("SSCB", (3, 4), r"InputFormat 'SSCB' and its InputSize \[3\.0, 4\.0\] do not have as many elements"),
        ("", (3, 4), "InputFormat '' and its InputSize"),
    ],
)
def test_formats_that_are_refused(letters: str, lengths: tuple[float, ...], reason: str) -> None:
    with pytest.raises(mb.UnsupportedLayerError, match=reason):
        chain(format_input(letters, *lengths), layer("relu", "ReLULayer")).to_keras()
