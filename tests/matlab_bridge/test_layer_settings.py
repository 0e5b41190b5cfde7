"""Numbers, words and flags among the settings of a layer: what is taken, and what is refused with its reason."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from matlab_bridge import Connection, InvalidNetworkError, Layer, Network, UnsupportedLayerError
from tests.matlab_bridge.networks_by_hand import NNET, row

POOL = {"PoolSize": row(2, 3), "Stride": row(2, 1), "PaddingSize": row(0, 0, 0, 0)}
MOST = 2**26


def pooled(**settings: Any) -> Network:
    """An image of 6 x 6 x 1 through a pooling layer with other settings; None leaves one out."""
    given = {name: value for name, value in (POOL | settings).items() if value is not None}
    image = Layer("in", f"{NNET}ImageInputLayer", {"InputSize": row(6, 6, 1)})
    return Network((image, Layer("pool", f"{NNET}MaxPooling2DLayer", given)), (Connection("in", "pool"),))


def layer_of(network: Network) -> Any:
    return next(layer for layer in network.to_keras().layers if isinstance(layer, keras.layers.MaxPooling2D))


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (row(2, 3), (2, 3)),
        (np.array([[2], [3]], np.uint8), (2, 3)),
        (row(2), (2, 2)),
        (4, (4, 4)),
        ([3, 1.0], (3, 1)),
    ],
)
def test_one_number_stands_for_all_axes(given: Any, taken: tuple[int, ...]) -> None:
    assert layer_of(pooled(PoolSize=given)).pool_size == taken


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"PoolSize": None}, r"Layer 'pool' \(MaxPooling2DLayer\) has no setting 'PoolSize'; it has \['PaddingSize'"),
        ({"PoolSize": np.empty((0, 0))}, "has no setting 'PoolSize'"),
        ({"PoolSize": row(2, 2, 2)}, "has 3 numbers for PoolSize; 2 or one was expected"),
        ({"PoolSize": "large"}, "has 'large' for PoolSize; it is no number"),
        ({"PoolSize": {"a": 1}}, r"has \{'a': 1\} for PoolSize; it is no number"),
        ({"PoolSize": row(2, np.inf)}, "has inf for PoolSize; a whole number was expected"),
        ({"PoolSize": row(np.nan)}, "has nan for PoolSize; a whole number was expected"),
        ({"PoolSize": row(MOST + 1)}, "has 67108865 for PoolSize, more than any layer has"),
        ({"PoolSize": row(-MOST - 1)}, "has -67108865 for PoolSize, more than any layer has"),
    ],
)
def test_what_is_no_setting_is_named_with_its_layer(changed: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidNetworkError, match=says):
        pooled(**changed).to_keras()


@pytest.mark.parametrize(
    ("mode", "same"), [("same", True), (np.array(["same"], dtype=object), True), ("manual", False)]
)
@pytest.mark.parametrize("flag", [None, row(0), np.array([[False]])])
def test_words_and_flags(mode: Any, same: bool, flag: Any) -> None:
    network = pooled(PoolSize=row(3), Stride=row(1), PaddingMode=mode, HasUnpoolingOutputs=flag)
    assert network.to_keras().output_shape == ((None, 6, 6, 1) if same else (None, 4, 4, 1))


@pytest.mark.parametrize("no_word", [None, np.empty((0, 0)), row(7)])
def test_a_word_that_is_missing_or_a_number_is_the_default(no_word: Any) -> None:
    assert pooled(PoolSize=row(3), Stride=row(1), PaddingMode=no_word).to_keras().output_shape == (None, 4, 4, 1)


def test_a_flag_that_is_set() -> None:
    with pytest.raises(UnsupportedLayerError, match=r"windows \(3, 3\) that overlap"):
        pooled(PoolSize=row(3), Stride=row(1), HasUnpoolingOutputs=row(1)).to_keras()


def test_the_most_that_a_layer_may_state() -> None:
    with pytest.raises(InvalidNetworkError) as refused:  # a pool of 2^26 pixels is known, but not within 6 x 6
        pooled(PoolSize=row(MOST)).to_keras()
    assert "more than any layer has" not in str(refused.value)


def test_values_of_a_layer_cannot_be_changed() -> None:
    settings, weights = {"Stride": row(2)}, {"Weights": np.ones((2, 3))}
    layer = Layer("name", "some.package.FancyLayer", settings, weights, {"TrainedMean": np.zeros(3)})
    settings["Stride"] = row(9)
    assert layer.settings["Stride"] == 2
    assert layer.kind == "FancyLayer"
    assert Layer("name", "plain").kind == "plain"
    assert list(layer.parameters) == ["Weights", "TrainedMean"]
    assert Layer("name", "plain").parameters == {}
    for part in (layer.settings, layer.learnables, layer.state, layer.parts):
        with pytest.raises(TypeError):
            part["new"] = 1  # type: ignore[index]
    with pytest.raises(AttributeError):
        layer.name = "other"  # type: ignore[misc]
    for hidden in ("Stride", "Weights", "TrainedMean"):  # arrays are long
        assert hidden not in repr(layer)
