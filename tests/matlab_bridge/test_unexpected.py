"""Values of a network that are not as expected: an error of the package, whatever reads them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import matlab_bridge as mb
from matlab_bridge._unexpected import values_expected

from .networks_by_hand import row, single
from .objects_by_hand import cell
from .test_read_matconvnet import conv, dag, net_of
from .test_read_shallow import two_layers


def raising(error: BaseException) -> Callable[[], None]:
    """A function of this package's that raises an error."""
    scope: dict[str, Any] = {"__name__": "matlab_bridge.convert.layers.activation", "error": error}
    exec("def fail():\n    raise error", scope)  # noqa: S102  # the error is to come from a module of the package
    return scope["fail"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "error",
    [ZeroDivisionError("x"), KeyError("x"), ValueError("x"), TypeError("x"), AttributeError("x"), RecursionError("x")],
    ids=repr,
)
def test_what_a_wrong_value_leads_to_leaves_open_whose_fault_it_is(error: Exception) -> None:
    with (
        pytest.raises(
            mb.InvalidNetworkError, match=r"^It fails: '?x'? \(\w+ in matlab_.*activation\).*report"
        ) as caught,
        values_expected(lambda: "It fails"),
    ):
        raising(error)()
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [NameError("x"), ImportError("x"), AssertionError(), NotImplementedError()], ids=repr)
def test_a_defect_stays_what_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, values_expected(lambda: "It fails"):
        raising(error)()
    assert caught.value is error


def test_errors_of_this_package_stay_as_they_are() -> None:
    error = mb.NetworkMismatchError("x")
    with pytest.raises(mb.NetworkMismatchError) as caught, values_expected(lambda: "It fails"):
        raising(error)()
    assert caught.value is error


def test_errors_of_others_are_about_the_network_alone() -> None:
    with (
        pytest.raises(mb.InvalidNetworkError, match=r"^It fails: Expecting value[^.]*$"),
        values_expected(lambda: "It fails"),
    ):
        json.loads("")


def _with(net: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {**net, **fields}


NETWORKS: dict[str, dict[str, Any]] = {
    "no step": {"net": net_of(conv(0, 3, 3, 2, 4, stride=row(0)))},
    "no weights": {"net": net_of({**conv(0, 3, 3, 2, 4), "weights": "none"})},
    "weights in words": {"net": net_of({**conv(0, 3, 3, 2, 4), "weights": cell("a", "b", shape=(1, 2))})},
    "no types": _with(dag(), layers=cell({"name": "fc", "inputs": "data", "block": {}})),
    "biases in words": {"net": _with(two_layers(), b=cell("a", "b"))},
    "too few biases": {"net": _with(two_layers(), b=cell(single(0, 4, 1)))},
    "sizes in words": {"net": _with(two_layers(), inputs=cell({"name": "Input", "size": "many"}))},
    "delays of nothing": {"net": _with(two_layers(), inputWeights=cell({"delays": {"a": 1.0}}, {"delays": {}}))},
    "sizes that are no numbers": {"net": _with(two_layers(), inputs=cell({"name": "Input", "size": row(np.nan)}))},
}


@pytest.mark.parametrize("version", ["v7", "v7.3"])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_kind_of_network(name: str, version: Any, tmp_path: Path) -> None:
    mb.save(tmp_path / "x.mat", NETWORKS[name], version=version)
    with pytest.raises(mb.NetworkError):
        mb.load_network(tmp_path / "x.mat").to_keras()


@pytest.mark.parametrize("value", [row(1, 2), "another", np.array([["ab"], ["cd"]])])
def test_a_struct_with_any_format_is_no_portable_network(value: Any, tmp_path: Path) -> None:
    mb.save(tmp_path / "x.mat", {"net": {"Format": value, "Layers": row(1)}})
    with pytest.raises(mb.NetworkNotFoundError):
        mb.load_network(tmp_path / "x.mat")


def convolution(**settings: Any) -> mb.Network:
    """A network of one convolution with other settings."""
    layers = (
        mb.Layer("in", "nnet.cnn.layer.ImageInputLayer", {"InputSize": row(4, 4, 1), "Normalization": "none"}),
        mb.Layer(
            "conv",
            "nnet.cnn.layer.Convolution2DLayer",
            {"FilterSize": row(3, 3), "NumFilters": row(2), "Stride": row(1, 1), "PaddingMode": "same", **settings},
            {"Weights": single(0, 3, 3, 1, 2), "Bias": single(1, 1, 1, 2)},
        ),
    )
    return mb.Network(layers, (mb.Connection("in", "conv"),))


ODD = [np.zeros((0, 0)), row(1, 2), "words", {"a": 1.0}, cell("a", row(1)), np.array([["ab"], ["cd"]])]


@pytest.mark.parametrize("setting", ["PaddingMode", "Stride", "FilterSize", "NumFilters", "DilationFactor"])
@pytest.mark.parametrize("value", ODD, ids=["empty", "numbers", "words", "struct", "cell", "strings"])
def test_a_network_with_odd_settings_is_shown_and_written_or_refused(setting: str, value: Any, tmp_path: Path) -> None:
    network = convolution(**{setting: value})
    assert "conv" in network.summary()
    for use in (network.to_keras, lambda: mb.export_matlab_code(tmp_path / "net.m", network)):
        try:
            use()
        except mb.BridgeError:
            continue


def test_parameters_that_are_no_numbers() -> None:
    layers = (
        mb.Layer("in", "nnet.cnn.layer.FeatureInputLayer", {"InputSize": row(2), "Normalization": "none"}),
        mb.Layer(
            "fc",
            "nnet.cnn.layer.FullyConnectedLayer",
            {"OutputSize": row(1)},
            {"Weights": single(0, 1, 2), "Bias": np.array([["b"]])},
        ),
    )
    with pytest.raises(mb.InvalidNetworkError, match=r"'fc' .* has Bias that cannot be put into Keras"):
        mb.Network(layers, (mb.Connection("in", "fc"),)).to_keras()
