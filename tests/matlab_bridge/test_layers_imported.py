"""Layers that MATLAB's importers from Keras and ONNX, and its pretrained networks, bring along."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from matlab_bridge import Layer, UnsupportedLayerError, export_matlab_code, export_onnx

from .layer_tools import assert_close, chain, feature_input, image_input, normal, outputs, sequence_input
from .networks_by_hand import row


def imported(kind, **settings):
    return Layer("imported", f"nnet.{kind}", {"NumInputs": row(1), "NumOutputs": row(1), **settings})


@pytest.mark.parametrize(
    ("kind", "settings", "formula"),
    [
        ("keras.layer.SigmoidLayer", {}, expit),
        ("onnx.layer.SigmoidLayer", {}, expit),
        ("keras.layer.TanhLayer", {}, np.tanh),
        ("onnx.layer.TanhLayer", {}, np.tanh),
        ("onnx.layer.IdentityLayer", {}, lambda x: x),
        ("onnx.layer.VerifyBatchSizeLayer", {"BatchSize": row(1)}, lambda x: x),
        ("onnx.layer.ClipLayer", {"Min": row(0), "Max": row(1.5)}, lambda x: np.clip(x, 0, 1.5)),
        ("keras.layer.ClipLayer", {"Min": row(-1), "Max": row(np.inf)}, lambda x: np.maximum(x, -1)),
        (
            "onnx.layer.ElementwiseAffineLayer",
            {"Scale": row(2), "Offset": row(1), "DoScale": np.array([[True]]), "DoOffset": np.array([[True]])},
            lambda x: 2 * x + 1,
        ),
        (
            "onnx.layer.ElementwiseAffineLayer",
            {"Scale": row(7), "Offset": row(1), "DoScale": np.array([[False]]), "DoOffset": np.array([[True]])},
            lambda x: x + 1,
        ),
        (
            "onnx.layer.ElementwiseAffineLayer",
            {"Scale": row(7), "Offset": row(1), "DoScale": np.array([[True]]), "DoOffset": np.array([[False]])},
            lambda x: 7 * x,
        ),
    ],
)
@pytest.mark.parametrize(
    ("first", "shape"),
    [(image_input((3, 4, 5)), (2, 3, 4, 5)), (feature_input(5), (2, 5)), (sequence_input(5), (2, 7, 5))],
    ids=["images", "vectors", "sequences"],
)
def test_arithmetic(kind, settings, formula, first, shape):
    x = 2 * normal(1, *shape)
    assert_close(outputs(chain(first, imported(kind, **settings)), x), formula(x))


@pytest.mark.parametrize("package", ["keras", "onnx"])
def test_means_of_images(package):
    x = normal(1, 2, 3, 4, 5)
    mean = imported(f"{package}.layer.GlobalAveragePooling2dLayer")
    assert_close(outputs(chain(image_input((3, 4, 5)), mean), x), x.mean(axis=(1, 2)))


@pytest.mark.parametrize("kind", ["FlattenLayer", "FlattenInto2dLayer"])
def test_a_flatten_from_onnx_has_channels_first(kind):
    x = normal(1, 2, 3, 4, 5)
    network = chain(image_input((3, 4, 5)), imported(f"onnx.layer.{kind}"))
    assert_close(outputs(network, x), x.transpose(0, 3, 1, 2).reshape(2, -1))


@pytest.mark.parametrize("write", [export_matlab_code, export_onnx])
def test_a_flatten_from_onnx_is_never_written_as_matlabs(write, tmp_path):
    network = chain(image_input((3, 4, 5)), imported("onnx.layer.FlattenLayer"))
    with pytest.raises(UnsupportedLayerError, match="imported"):
        write(tmp_path / f"net{'.m' if write is export_matlab_code else '.onnx'}", network)


def test_a_flatten_from_tensorflow_has_channels_last():
    x = normal(1, 2, 3, 4, 5)
    network = chain(image_input((3, 4, 5)), imported("keras.layer.FlattenCStyleTFLayer"))
    assert_close(outputs(network, x), x.reshape(2, -1))


def test_a_padding_of_equal_sides():
    x = normal(1, 2, 3, 4, 5)
    network = chain(image_input((3, 4, 5)), imported("keras.layer.ZeroPadding2dLayer", Amounts=row(2, 2, 2, 2)))
    assert_close(outputs(network, x), np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0))))


def test_a_padding_of_unequal_sides_is_refused():
    network = chain(image_input((3, 4, 5)), imported("keras.layer.ZeroPadding2dLayer", Amounts=row(0, 1, 0, 1)))
    with pytest.raises(UnsupportedLayerError, match=r"in which order it keeps its sides"):
        network.to_keras()


def test_a_shuffle_of_channels():
    x = normal(1, 2, 3, 4, 6)
    network = chain(image_input((3, 4, 6)), imported("shufflenet.layer.ChannelShufflingLayer", Groups=row(2)))
    assert_close(outputs(network, x), x[..., [0, 3, 1, 4, 2, 5]])


@pytest.mark.parametrize("kind", ["cnn.layer.ScalingLayer", "onnx.layer.ElementwiseAffineLayer"])
@pytest.mark.parametrize(
    ("shape", "constant"),
    [
        ((3, 4, 5), (1, 1, 5)),
        ((3, 4, 5), (3, 4, 5)),
        ((3, 5, 5), (1, 5)),
        ((5, 4, 5), (5, 1)),
        ((3, 4, 5), (3, 1, 5)),
        ((3, 4, 1), (3, 4)),
        ((5,), (5, 1)),
        ((5,), (1, 1, 5)),
        ((5,), (1, 5)),
    ],
)
def test_constants_spread_over_the_input_as_in_matlab(kind, shape, constant):
    x, scale, offset = normal(1, 2, *shape), normal(2, *constant), normal(3, *constant)
    first = image_input(shape) if len(shape) == 3 else feature_input(*shape)
    full = constant + (1,) * (len(shape) - len(constant))
    spread = [each.reshape(full if len(shape) == 3 else -1) for each in (scale, offset)]
    network = chain(first, imported(kind, Scale=scale, Offset=offset))
    assert_close(outputs(network, x), x * spread[0] + spread[1])


def test_constants_of_another_size_are_refused():
    network = chain(image_input((3, 4, 5)), imported("cnn.layer.ScalingLayer", Offset=normal(1, 1, 4, 3)))
    with pytest.raises(UnsupportedLayerError, match="Scale and Offset have 1 and 12 elements"):
        network.to_keras()
