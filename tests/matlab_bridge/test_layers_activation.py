"""Activations against their formulas, on images, vectors and sequences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, softmax

from matlab_bridge.networks._build import to_keras

from .layer_tools import (
    assert_close,
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
    ("DropoutLayer", {"Probability": row(0.5)}, lambda x: x),
    ("IdentityLayer", {}, lambda x: x),
    ("ClassificationOutputLayer", {}, lambda x: x),
    ("RegressionOutputLayer", {}, lambda x: x),
    ("PixelClassificationLayer", {}, lambda x: x),
]


@pytest.mark.parametrize(("kind", "settings", "formula"), ACTIVATIONS, ids=[each[0] for each in ACTIVATIONS])
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
    model = to_keras(network)
    assert model.layers[-1].name == "prob"
    assert model.output_shape == (None, 3)


def test_dropout_acts_in_training():
    model = to_keras(chain(feature_input(1000), layer("drop", "DropoutLayer", {"Probability": row(0.25)})))
    kept = np.asarray(model(np.ones((1, 1000)), training=True))
    np.testing.assert_allclose(np.unique(kept), [0, 1 / 0.75], rtol=1e-6)
    assert 0.15 < (kept == 0).mean() < 0.35
