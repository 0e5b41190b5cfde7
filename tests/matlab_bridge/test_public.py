"""The public form of a layer, against MATLAB's documentation of what each property means."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matlab_bridge import Layer
from matlab_bridge._normalization import Normalization
from matlab_bridge._public import public_layer, public_parameter, saved_settings

from .networks_by_hand import NNET, row, single


def without_trailing_ones(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    while array.ndim > 2 and array.shape[-1] == 1:
        array = array[..., 0]
    return array


@given(st.tuples(*[st.integers(1, 4)] * 4))
def test_fully_connected_weights_multiply_the_elements_in_matlabs_order(
    shape: tuple[int, int, int, int],
) -> None:
    height, width, channels, outputs = shape
    weights = np.random.default_rng(0).normal(size=shape)
    layer = Layer(
        "fc",
        f"{NNET}FullyConnectedLayer",
        {"InputSize": row(height, width, channels), "OutputSize": row(1, 1, outputs)},
        {"Weights": without_trailing_ones(weights), "Bias": np.ones((1, 1, outputs))},
    )
    public = public_layer(layer)
    image = np.random.default_rng(1).normal(size=shape[:3])
    expected = np.einsum("hwc,hwco->o", image, weights)
    np.testing.assert_allclose(public.learnables["Weights"] @ image.ravel(order="F"), expected, atol=1e-12)
    assert public.learnables["Bias"].shape == (outputs, 1)
    assert public.settings["OutputSize"].tolist() == [[outputs]]
    assert public.settings["InputSize"].tolist() == [[height * width * channels]]
    for name, array in public_layer(public).learnables.items():
        np.testing.assert_array_equal(array, public.learnables[name])


def test_masks_move_with_their_weights() -> None:
    weights = single(0, 2, 3, 4, 5)
    layer = Layer("fc", f"{NNET}FullyConnectedLayer", {"OutputSize": row(1, 1, 5)}, {"Weights": weights})
    moved = public_parameter(layer, "Weights", weights > 0)
    assert moved.dtype == bool
    np.testing.assert_array_equal(moved, public_parameter(layer, "Weights", weights) > 0)


def test_other_layers_keep_their_arrays() -> None:
    weights = single(0, 3, 3, 2, 4)
    layer = Layer("conv", f"{NNET}Convolution2DLayer", {"NumFilters": row(4)}, {"Weights": weights})
    assert public_layer(layer).learnables["Weights"] is weights


@pytest.mark.parametrize(
    ("stored", "name", "statistics"),
    [
        ({"Type": "zerocenter", "AverageImage": single(0, 4, 3)}, "zerocenter", {"Mean": single(0, 4, 3, 1)}),
        (
            {"Type": "zscore", "Mean": single(0, 1, 1), "Std": single(1, 1, 1)},
            "zscore",
            {"Mean": single(0, 1, 1, 1), "StandardDeviation": single(1, 1, 1, 1)},
        ),
        (
            {"Type": "rescale", "Min": row(0), "Max": row(255), "TargetMin": row(-1), "TargetMax": row(1)},
            "rescale-symmetric",
            {"Min": row(0)[..., None], "Max": row(255)[..., None]},
        ),
        (
            {"Type": "rescale", "Min": row(0), "Max": row(255), "TargetMin": row(0), "TargetMax": row(1)},
            "rescale-zero-one",
            {"Min": row(0)[..., None], "Max": row(255)[..., None]},
        ),
        (np.zeros((0, 0)), "none", {}),
    ],
)
def test_normalization_by_name(stored: Any, name: str, statistics: dict[str, Any]) -> None:
    layer = Layer("in", f"{NNET}ImageInputLayer", {"InputSize": row(4, 3, 1), "Normalization": stored})
    public = public_layer(layer)
    assert public.settings["Normalization"] == name
    given = {key: value for key, value in public.settings.items() if key not in ("InputSize", "Normalization")}
    assert given.keys() == statistics.keys()
    for key, value in statistics.items():
        np.testing.assert_array_equal(given[key], value)
    before, after = Normalization.of(layer), Normalization.of(public)
    for field in ("type", "target_min", "target_max"):
        assert getattr(before, field) == getattr(after, field)


def test_statistics_of_features_are_columns() -> None:
    stored = {"Type": "zerocenter", "AverageImage": single(0, 5, 1)}
    layer = Layer("in", f"{NNET}FeatureInputLayer", {"InputSize": row(5), "Normalization": stored})
    assert public_layer(layer).settings["Mean"].shape == (5, 1)


@pytest.mark.parametrize(("returns", "mode"), [(True, "sequence"), (False, "last")])
def test_output_mode(returns: bool, mode: str) -> None:
    layer = Layer("lstm", f"{NNET}LSTMLayer", {"ReturnSequence": np.array([[returns]])})
    public = public_layer(layer).settings
    assert dict(public) == {"OutputMode": mode}
    assert saved_settings(public)["ReturnSequence"].tolist() == [[returns]]


@pytest.mark.parametrize("saved", ["Categories", "ClassNames"])
def test_classes(saved: str) -> None:
    categories = pd.Categorical(["a", "b"])
    layer = Layer("out", f"{NNET}ClassificationOutputLayer", {saved: categories})
    assert public_layer(layer).settings == {"Classes": categories}
