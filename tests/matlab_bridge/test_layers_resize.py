"""Resizing against a look-up of every pixel, and moving pixels between space and depth."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from matlab_bridge import UnsupportedLayerError
from matlab_bridge.network import Connection, Network

from .layer_tools import assert_close, chain, image_input, layer, normal, outputs
from .networks_by_hand import row

SIZE = st.integers(1, 9)


def looked_up(image, size, method, mode, rounding):
    """Pixel by pixel, in exact fractions where a place lies half way."""
    height, width, channels = image.shape
    result = np.zeros((*size, channels))
    for y, x in np.ndindex(*size):
        places = []
        for at, have, want in ((y, height, size[0]), (x, width, size[1])):
            place = ((2 * at + 1) * have / want - 1) / 2 if mode == "half-pixel" else at * have / want
            places.append(min(max(place, 0), have - 1))
        if method == "nearest":
            i, j = (int(place + 0.5) if rounding == "round" else int(place) for place in places)
            result[y, x] = image[min(i, height - 1), min(j, width - 1)]
            continue
        (i, u), (j, v) = ((int(place), place - int(place)) for place in places)
        down, right = min(i + 1, height - 1), min(j + 1, width - 1)
        above = (1 - v) * image[i, j] + v * image[i, right]
        below = (1 - v) * image[down, j] + v * image[down, right]
        result[y, x] = (1 - u) * above + u * below
    return result


def resizing(**more):
    given_ = {"Scale": np.zeros((0, 0)), "OutputSize": np.zeros((0, 0)), "EnableReferenceInput": row(0)}
    return layer("resize", "Resize2DLayer", {**given_, **more})


@given(
    st.tuples(SIZE, SIZE),
    st.tuples(SIZE, SIZE),
    st.sampled_from(["nearest", "bilinear"]),
    st.sampled_from(["half-pixel", "asymmetric"]),
    st.sampled_from(["round", "floor"]),
)
@settings(max_examples=40)
def test_resizing_to_a_size(before, after, method, mode, rounding):
    images = normal(1, 2, *before, 3)
    settings_ = {"Method": method, "GeometricTransformMode": mode, "NearestRoundingMode": rounding}
    network = chain(image_input((*before, 3)), resizing(OutputSize=row(*after), **settings_))
    expected = np.stack([looked_up(image, after, method, mode, rounding) for image in images])
    assert_close(outputs(network, images).reshape(expected.shape), expected)


def test_a_scale_and_a_size_that_keeps_the_proportions():
    images = normal(1, 2, 4, 6, 1)
    for more, size in (({"Scale": row(2, 0.5)}, (8, 3)), ({"Scale": row(1.5)}, (6, 9))):
        expected = np.stack([looked_up(image, size, "bilinear", "half-pixel", "round") for image in images])
        assert_close(outputs(chain(image_input((4, 6, 1)), resizing(Method="bilinear", **more)), images), expected)
    network = chain(image_input((4, 6, 1)), resizing(Method="nearest", OutputSize=row(np.nan, 3)))
    assert network.to_keras().output_shape == (None, 2, 3, 1)
    with pytest.raises(UnsupportedLayerError, match=r"makes 4\.4 x 6\.6 pixels of \(4, 6\)"):
        chain(image_input((4, 6, 1)), resizing(Scale=row(1.1))).to_keras()


def test_a_size_given_by_another_image():
    layers = (
        image_input((3, 4, 2)),
        layer("other", "ImageInputLayer", {"InputSize": row(5, 2, 1)}),
        resizing(EnableReferenceInput=row(1), Method="nearest"),
    )
    connections = (Connection("input", "resize", "", "in"), Connection("other", "resize", "", "ref"))
    images = normal(1, 2, 3, 4, 2)
    expected = np.stack([looked_up(image, (5, 2), "nearest", "half-pixel", "round") for image in images])
    model = Network(layers, connections).to_keras()
    assert_close(np.asarray(model([images, normal(2, 2, 5, 2, 1)])), expected)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"Method": "bicubic"}, "Method is 'bicubic'"),
        ({"GeometricTransformMode": "align-corners"}, "GeometricTransformMode is 'align-corners'"),
        ({"Method": "nearest", "NearestRoundingMode": "onnx-10"}, "NearestRoundingMode 'onnx-10'"),
    ],
)
def test_what_is_not_documented_is_refused(more, reason):
    with pytest.raises(UnsupportedLayerError, match=reason):
        chain(image_input((4, 6, 1)), resizing(OutputSize=row(2, 2), **more)).to_keras()


def test_a_resizing_model_loads_in_keras_alone(tmp_path):
    model = chain(image_input((4, 6, 1)), resizing(OutputSize=row(7, 5), Method="bilinear")).to_keras()
    model.save(tmp_path / "net.keras")
    images = normal(1, 2, 4, 6, 1)
    loaded = keras.models.load_model(tmp_path / "net.keras", custom_objects={})
    np.testing.assert_array_equal(np.asarray(loaded(images)), np.asarray(model(images)))


BLOCKS = st.tuples(st.integers(1, 3), st.integers(1, 3))


@given(BLOCKS, BLOCKS, st.integers(1, 3), st.sampled_from(["dcr", "crd"]))
@settings(max_examples=15)
def test_depth_to_space(size, block, depth, mode):
    (height, width), (rows, columns) = size, block
    images = normal(1, 2, height, width, rows * columns * depth)
    expected = np.zeros((2, height * rows, width * columns, depth))
    for y, x, r, c, d in np.ndindex(height, width, rows, columns, depth):
        channel = d + depth * (c + columns * r) if mode == "dcr" else c + columns * (r + rows * d)
        expected[:, y * rows + r, x * columns + c, d] = images[:, y, x, channel]
    settings_ = {"BlockSize": row(rows, columns), "Mode": mode}
    network = chain(image_input(images.shape[1:]), layer("up", "DepthToSpace2DLayer", settings_))
    np.testing.assert_array_equal(outputs(network, images).reshape(expected.shape), expected)


@given(BLOCKS, BLOCKS, st.integers(1, 3))
@settings(max_examples=15)
def test_depth_to_space_undoes_space_to_depth(size, block, depth):
    assume(size[0] * block[0] * size[1] * block[1] > 1)
    images = normal(1, 2, size[0] * block[0], size[1] * block[1], depth)
    settings_ = {"BlockSize": row(*block)}
    down, up = layer("down", "SpaceToDepthLayer", settings_), layer("up", "DepthToSpace2DLayer", settings_)
    network = chain(image_input(images.shape[1:]), down, up)
    np.testing.assert_array_equal(outputs(network, images), images)
    if size != (1, 1):
        packed = outputs(chain(image_input(images.shape[1:]), down), images)
        assert packed.shape == (2, *size, depth * block[0] * block[1])


def cropping(before, reference, **more):
    layers = (
        image_input((*before, 2)),
        layer("other", "ImageInputLayer", {"InputSize": row(*reference, 1)}),
        layer("crop", "Crop2DLayer", more),
    )
    return Network(layers, (Connection("input", "crop", "", "in"), Connection("other", "crop", "", "ref")))


def test_crops_from_the_middle_and_from_a_pixel_on():
    images, reference = normal(1, 2, 6, 7, 2), normal(2, 2, 4, 3, 1)
    middle = cropping((6, 7), (4, 3), Mode="centercrop").to_keras()
    np.testing.assert_array_equal(np.asarray(middle([images, reference])), images[:, 1:5, 2:5])
    custom = cropping((6, 7), (4, 3), Mode="custom", Location=row(4, 2)).to_keras()  # X is the column
    np.testing.assert_array_equal(np.asarray(custom([images, reference])), images[:, 1:5, 3:6])


@pytest.mark.parametrize(
    ("reference", "more", "reason"),
    [
        ((3, 3), {"Mode": "centercrop"}, r"crops \[3, 4\] pixels from the middle"),
        ((4, 3), {"Mode": "custom", "Location": row(6, 1)}, r"does not lie in its input"),
    ],
)
def test_crops_that_are_refused(reference, more, reason):
    with pytest.raises(UnsupportedLayerError, match=reason):
        cropping((6, 7), reference, **more).to_keras()
