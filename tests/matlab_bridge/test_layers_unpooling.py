"""Max unpooling against loops over windows; ties, padding and images that no window divides."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matlab_bridge import InvalidNetworkError, UnsupportedLayerError
from matlab_bridge.network import Connection, Network

from .layer_tools import chain, image_input, layer, normal
from .networks_by_hand import row


def pooling(pool, stride, sides):
    settings_ = {
        "PoolSize": row(*pool),
        "Stride": row(*stride),
        "PaddingMode": "manual",
        "PaddingSize": row(*sides),
        "HasUnpoolingOutputs": np.array([[True]]),
    }
    return layer("pool", "MaxPooling2DLayer", settings_)


def there_and_back(size, pool, stride, sides):
    """A pooling, a function of the maxima, and the unpooling."""
    layers = (
        image_input(size),
        pooling(pool, stride, sides),
        layer("act", "TanhLayer"),
        layer("unpool", "MaxUnpooling2DLayer"),
    )
    ends = [("input", "pool"), ("pool/out", "act"), ("act", "unpool/in")]
    ends += [("pool/indices", "unpool/indices"), ("pool/size", "unpool/size")]
    return Network(layers, tuple(Connection.parse(*each) for each in ends))


def unpooled(images, pool, stride, sides):
    """What MATLAB documents: zeros, and what was made of a maximum at the place of it."""
    top, bottom, left, right = sides
    padded = np.pad(images, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=-np.inf)
    result = np.zeros_like(padded)
    _, height, width, _ = padded.shape
    for n, c in np.ndindex(len(images), images.shape[-1]):
        for y in range(0, height - pool[0] + 1, stride[0]):
            for x in range(0, width - pool[1] + 1, stride[1]):
                window = padded[n, y : y + pool[0], x : x + pool[1], c]
                place = int(np.argmax(window.ravel(order="F")))  # the first, down the columns
                i, j = place % pool[0], place // pool[0]
                result[n, y + i, x + j, c] = np.tanh(window[i, j])
    return result[:, top : height - bottom, left : width - right]


@st.composite
def windows(draw):
    pool = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    stride = tuple(size + draw(st.integers(0, 1)) for size in pool)
    sides = [draw(st.integers(0, size - 1)) for size in (pool[0], pool[0], pool[1], pool[1])]
    return pool, stride, sides


@given(st.tuples(st.integers(3, 7), st.integers(3, 7)), windows(), st.booleans())
@settings(max_examples=20)
def test_values_return_to_where_the_maxima_were(size, window, with_ties):
    images = normal(1, 3, *size, 2)
    if with_ties:
        images = np.sign(images)
    model = there_and_back((*size, 2), *window).to_keras()
    expected = unpooled(images, *window)
    actual = np.asarray(model(images.astype(np.float32)))
    np.testing.assert_allclose(actual.reshape(expected.shape), expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(actual.reshape(expected.shape) != 0, expected != 0)


def test_one_row_of_windows_as_wide_as_there_are_channels():
    images = normal(1, 1, 2, 6, 3)
    model = there_and_back((2, 6, 3), (2, 2), (2, 2), (0, 0, 0, 0)).to_keras()
    expected = unpooled(images, (2, 2), (2, 2), (0, 0, 0, 0))
    np.testing.assert_allclose(np.asarray(model(images)), expected, rtol=0, atol=1e-6)


def test_a_saved_model_loads_in_keras_alone(tmp_path):
    model, images = there_and_back((5, 6, 2), (2, 2), (2, 2), (0, 0, 0, 0)).to_keras(), normal(1, 2, 5, 6, 2)
    model.save(tmp_path / "net.keras")
    loaded = keras.models.load_model(tmp_path / "net.keras", custom_objects={})
    np.testing.assert_array_equal(np.asarray(loaded(images)), np.asarray(model(images)))


def test_windows_that_overlap_are_refused():
    network = chain(image_input((6, 6, 1)), pooling((3, 3), (2, 2), (0, 0, 0, 0)))
    with pytest.raises(UnsupportedLayerError, match=r"'pool' .*HasUnpoolingOutputs.* overlap at stride \(2, 2\)"):
        network.to_keras()


def test_an_unpooling_without_its_pooling():
    network = chain(image_input((6, 6, 1)), layer("unpool", "MaxUnpooling2DLayer"))
    with pytest.raises(InvalidNetworkError, match=r"'unpool' .* needs the indices and the size"):
        network.to_keras()
