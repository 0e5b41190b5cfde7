"""Activations against their formulas, on images, vectors and sequences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import erf, expit, softmax

from matlab_bridge import Layer, UnsupportedLayerError

from .layer_tools import (
    assert_close,
    assert_round_trip,
    chain,
    feature_input,
    image_input,
    layer,
    normal,
    outputs,
    sequence_input,
)
from .networks_by_hand import row

ACTIVATIONS = [
    ("ReLULayer", {}, lambda x: np.maximum(x, 0)),
    ("LeakyReLULayer", {"Scale": row(0.25)}, lambda x: np.where(x < 0, 0.25 * x, x)),
    ("ClippedReLULayer", {"Ceiling": row(1.5)}, lambda x: np.clip(x, 0, 1.5)),
    ("ELULayer", {"Alpha": row(0.7)}, lambda x: np.where(x < 0, 0.7 * np.expm1(x), x)),
    ("TanhLayer", {}, np.tanh),
    ("SigmoidLayer", {}, expit),
    ("SoftmaxLayer", {}, lambda x: softmax(x, axis=-1)),
    ("SwishLayer", {}, lambda x: x * expit(x)),
    ("GELULayer", {}, lambda x: x / 2 * (1 + erf(x / np.sqrt(2)))),
    (
        "GELULayer",
        {"Approximation": "tanh"},
        lambda x: x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    ),
    ("SoftplusLayer", {}, lambda x: np.logaddexp(0, x)),
    ("ScalingLayer", {"Scale": row(2), "Bias": row(-1)}, lambda x: 2 * x - 1),
    ("ScalingLayer", {"Scale": row(1, 2, 3, 4, 5), "Bias": row(0.5)}, lambda x: x * np.arange(1, 6) + 0.5),
    ("DropoutLayer", {"Probability": row(0.5)}, lambda x: x),
    ("SpatialDropoutLayer", {"Probability": row(0.5)}, lambda x: x),
    ("IdentityLayer", {}, lambda x: x),
    ("ClassificationOutputLayer", {}, lambda x: x),
    ("RegressionOutputLayer", {}, lambda x: x),
    ("PixelClassificationLayer", {}, lambda x: x),
    ("FocalLossLayer", {}, lambda x: x),
    ("YOLOv2OutputLayer", {}, lambda x: x),
]


@pytest.mark.parametrize(
    ("kind", "settings", "formula"), ACTIVATIONS, ids=[f"{each[0]}{number}" for number, each in enumerate(ACTIVATIONS)]
)
@pytest.mark.parametrize(
    ("first", "shape"),
    [(image_input((3, 4, 5)), (2, 3, 4, 5)), (feature_input(5), (2, 5)), (sequence_input(5), (2, 7, 5))],
    ids=["images", "vectors", "sequences"],
)
def test_activation(kind, settings, formula, first, shape):
    data = normal(1, *shape) * 2
    assert_close(outputs(chain(first, layer("act", kind, settings)), data), formula(data))


def test_the_softmax_of_one_pixel_is_the_last_layer():
    network = chain(image_input((4, 4, 3)), layer("pool", "GlobalAveragePooling2DLayer"), layer("prob", "SoftmaxLayer"))
    model = network.to_keras()
    assert model.layers[-1].name == "prob"
    assert model.output_shape == (None, 3)


def test_dropout_acts_in_training():
    model = chain(feature_input(1000), layer("drop", "DropoutLayer", {"Probability": row(0.25)})).to_keras()
    kept = np.asarray(model(np.ones((1, 1000)), training=True))
    np.testing.assert_allclose(np.unique(kept), [0, 1 / 0.75], rtol=1e-6)
    assert 0.15 < (kept == 0).mean() < 0.35


@pytest.mark.parametrize("count", [1, 5], ids=["one slope", "a slope for each channel"])
@pytest.mark.parametrize(
    ("first", "shape"),
    [(image_input((3, 4, 5)), (2, 3, 4, 5)), (feature_input(5), (2, 5)), (sequence_input(5), (2, 7, 5))],
    ids=["images", "vectors", "sequences"],
)
def test_learned_slopes(first, shape, count):
    data, alpha = normal(1, *shape), normal(2, 1, 1, count)
    network = chain(first, layer("act", "PReLULayer", {}, {"Alpha": alpha}))
    assert_close(outputs(network, data), np.where(data < 0, alpha.ravel() * data, data))
    assert_round_trip(network)


def test_spatial_dropout_drops_whole_channels():
    drop = layer("drop", "SpatialDropoutLayer", {"Probability": row(0.5)})
    kept = np.asarray(chain(image_input((2, 3, 400)), drop).to_keras()(np.ones((1, 2, 3, 400)), training=True))
    np.testing.assert_allclose(np.unique(kept), [0, 2])
    np.testing.assert_array_equal(kept, np.broadcast_to(kept[:, :1, :1], kept.shape))
    assert 0.35 < (kept[0, 0, 0] == 0).mean() < 0.65


def test_products_of_features_in_matlabs_order():
    u = normal(1, 4, 3)
    a, b, c = u.T
    network = chain(feature_input(3), layer("square", "QuadraticLayer"))
    assert_close(outputs(network, u), np.stack([a * a, a * b, b * b, a * c, b * c, c * c], axis=1))


def test_an_approximation_of_a_later_release_is_refused():
    with pytest.raises(UnsupportedLayerError, match=r"Approximation is 'erf'"):
        chain(feature_input(3), layer("act", "GELULayer", {"Approximation": "erf"})).to_keras()


def scaling_factor(**settings):
    return Layer("scale", "nnet.inceptionresnetv2.layer.ScalingFactorLayer", settings)


@pytest.mark.parametrize("name", ["ScaleFactor", "Anything"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_factor_of_a_residual(name, dtype):
    more = {"Type": "Scaling", "Description": "", "NumInputs": row(1), "NumOutputs": row(1), "Is": np.array([[True]])}
    scale = scaling_factor(**more, **{name: np.array([[0.125]], dtype=dtype)}, Rest=np.zeros((0, 0)))
    images = normal(1, 2, 3, 4, 5)
    assert_close(outputs(chain(image_input((3, 4, 5)), scale), images), images / 8)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [({"NumInputs": row(1)}, "there are 0: none"), ({"A": row(2), "B": row(3), "C": "x"}, "there are 2: A, B")],
)
def test_no_factor_or_several(settings, reason):
    with pytest.raises(UnsupportedLayerError, match=f"one number among its properties was expected.* {reason}"):
        chain(feature_input(3), scaling_factor(**settings)).to_keras()
