"""What the tests of layers share: short networks, and comparison with arithmetic in double precision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from matlab_bridge import Layer
from matlab_bridge.convert._parameters import model_values, to_matlab
from matlab_bridge.network import Network, series

from .networks_by_hand import NNET, row


def layer(
    name: str,
    kind: str,
    settings: Mapping[str, Any] | None = None,
    learnables: Mapping[str, np.ndarray] | None = None,
    state: Mapping[str, np.ndarray] | None = None,
) -> Layer:
    """A layer of MATLAB's own, with its arrays as MATLAB keeps them."""
    return Layer(
        name,
        f"{NNET}{kind}",
        settings or {},
        {key: dropped(value) for key, value in (learnables or {}).items()},
        {key: dropped(value) for key, value in (state or {}).items()},
    )


def dropped(array: np.ndarray) -> np.ndarray:
    """An array as MATLAB keeps it: single, and at least 2-D, without singleton dimensions after that."""
    array = np.asarray(array, dtype=np.float32)
    while array.ndim > 2 and array.shape[-1] == 1:
        array = array[..., 0]
    return array


def image_input(shape: tuple[int, ...], **settings: Any) -> Layer:
    return layer("input", "ImageInputLayer", {"InputSize": row(*shape), **settings})


def feature_input(size: int, **settings: Any) -> Layer:
    return layer("input", "FeatureInputLayer", {"InputSize": row(size), **settings})


def sequence_input(size: int, **settings: Any) -> Layer:
    return layer("input", "SequenceInputLayer", {"InputSize": row(size), **settings})


def chain(*layers: Layer) -> Network:
    """A series network."""
    return Network(layers, series(each.name for each in layers))


def outputs(network: Network, *inputs: np.ndarray) -> np.ndarray:
    """What the converted network gives in inference."""
    tensors = [np.asarray(array, dtype=np.float32) for array in inputs]
    result = network.to_keras()(tensors[0] if len(tensors) == 1 else tensors, training=False)
    return np.asarray(result)


def assert_close(actual: np.ndarray, expected: np.ndarray) -> None:
    """Equal to the rounding of single precision, relative to the largest expected value."""
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=2e-6 * scale)


def assert_round_trip(network: Network) -> None:
    """Weights, and masks over them, come back in MATLAB's layout element for element."""
    values = model_values(network.to_keras())
    stored = {(each.name, name): array for each in network.layers for name, array in each.parameters.items()}
    back = to_matlab(network, values)
    masks = to_matlab(network, {path: value > 0 for path, value in values.items()})
    assert back.keys() == masks.keys() == stored.keys()
    for key, array in stored.items():
        np.testing.assert_array_equal(back[key], array)
        np.testing.assert_array_equal(masks[key], array > 0)
        assert back[key].dtype == array.dtype
        assert masks[key].dtype == bool


def normal(seed: int, *shape: int) -> np.ndarray:
    """Random numbers that single precision holds exactly."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32).astype(float)
