"""Poolings against windows written out from MATLAB's documented definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .layer_tools import assert_close, chain, image_input, layer, normal, outputs
from .networks_by_hand import row

SIZES = st.tuples(st.integers(3, 8), st.integers(3, 8))


@st.composite
def windows(draw):
    """A pool, a stride, and a padding [top bottom left right] smaller than the pool, as MATLAB asks."""
    pool = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    sides = [draw(st.integers(0, size - 1)) for size in (pool[0], pool[0], pool[1], pool[1])]
    return pool, stride, sides


def pooled(images, pool, stride, sides, reduce, fill):
    top, bottom, left, right = sides
    padded = np.pad(images, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=fill)
    height = (padded.shape[1] - pool[0]) // stride[0] + 1
    width = (padded.shape[2] - pool[1]) // stride[1] + 1
    result = np.zeros((len(images), height, width, images.shape[-1]))
    for i in range(height):
        for j in range(width):
            part = padded[:, i * stride[0] : i * stride[0] + pool[0], j * stride[1] : j * stride[1] + pool[1]]
            result[:, i, j] = reduce(part, axis=(1, 2))
    return result


def same_sides(size, pool, stride):
    sides = []
    for length, taps, step in zip(size, pool, stride, strict=True):
        total = max(0, (int(np.ceil(length / step)) - 1) * step + taps - length)
        sides += [total // 2, total - total // 2]
    return sides


def pooling(kind, pool, stride, **more):
    return layer("pool", kind, {"PoolSize": row(*pool), "Stride": row(*stride), **more})


@given(SIZES, windows())
@settings(max_examples=25)
def test_padding_never_wins_a_maximum(size, window):
    pool, stride, sides = window
    images = normal(1, 2, *size, 2) - 5  # all below zero: a padding of zeros would win
    network = chain(
        image_input((*size, 2)),
        pooling("MaxPooling2DLayer", pool, stride, PaddingMode="manual", PaddingSize=row(*sides)),
    )
    expected = pooled(images, pool, stride, sides, np.max, -np.inf)
    assert_close(outputs(network, images).reshape(expected.shape), expected)


@given(SIZES, windows())
@settings(max_examples=25)
def test_padding_counts_as_zeros_in_a_mean(size, window):
    pool, stride, sides = window
    images = normal(1, 2, *size, 2) + 5
    network = chain(
        image_input((*size, 2)),
        pooling("AveragePooling2DLayer", pool, stride, PaddingMode="manual", PaddingSize=row(*sides)),
    )
    expected = pooled(images, pool, stride, sides, np.mean, 0)
    assert_close(outputs(network, images).reshape(expected.shape), expected)


@given(SIZES, windows())
@settings(max_examples=25)
def test_a_padding_value_of_mean_leaves_the_padding_out(size, window):
    pool, stride, sides = window
    images = normal(1, 2, *size, 2) + 5
    network = chain(
        image_input((*size, 2)),
        pooling("AveragePooling2DLayer", pool, stride, PaddingSize=row(*sides), PaddingValue="mean"),
    )
    expected = pooled(images, pool, stride, sides, np.nanmean, np.nan)
    assert_close(outputs(network, images).reshape(expected.shape), expected)


@given(SIZES, windows(), st.sampled_from(["max", "zeros", "mean"]))
@settings(max_examples=25)
def test_same_padding(size, window, what):
    pool, stride, _ = window
    kind, more, reduce, fill = {
        "max": ("MaxPooling2DLayer", {}, np.max, -np.inf),
        "zeros": ("AveragePooling2DLayer", {"PaddingValue": row(0)}, np.mean, 0),
        "mean": ("AveragePooling2DLayer", {"PaddingValue": "mean"}, np.nanmean, np.nan),
    }[what]
    images = normal(1, 2, *size, 2) + (-5 if what == "max" else 5)
    network = chain(image_input((*size, 2)), pooling(kind, pool, stride, PaddingMode="same", **more))
    expected = pooled(images, pool, stride, same_sides(size, pool, stride), reduce, fill)
    assert_close(outputs(network, images).reshape(expected.shape), expected)


@pytest.mark.parametrize(
    ("kind", "reduce"), [("GlobalAveragePooling2DLayer", np.mean), ("GlobalMaxPooling2DLayer", np.max)]
)
def test_global_poolings_end_as_vectors(kind, reduce):
    images = normal(1, 3, 5, 4, 6)
    network = chain(image_input((5, 4, 6)), layer("pool", kind))
    assert_close(outputs(network, images), reduce(images, axis=(1, 2)))


def test_a_convolution_after_a_global_pooling_sees_one_pixel():
    images, weights = normal(1, 3, 5, 4, 6), normal(2, 1, 1, 6, 2)
    network = chain(
        image_input((5, 4, 6)),
        layer("pool", "GlobalAveragePooling2DLayer"),
        layer(
            "conv",
            "Convolution2DLayer",
            {"FilterSize": row(1, 1), "NumFilters": row(2)},
            {"Weights": weights, "Bias": np.zeros((1, 1, 2))},
        ),
    )
    assert_close(outputs(network, images), images.mean(axis=(1, 2)) @ weights[0, 0])
