"""Which network of a file is loaded, and what the errors say; the files are mappings made by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import matlab_bridge as mb
from matlab_bridge.matfile import FileInfo, MatlabObject, StructArray, VariableInfo
from matlab_bridge.read import Reader, _find

from .objects_by_hand import (
    cell,
    connections,
    dlnetwork,
    fully_connected,
    layer,
    layers,
    row,
    saved,
    small_network,
    untrained,
)


class MemoryFile(Mapping[str, Any]):
    """What `matfile.load` returns, without a file; an exception in place of a value is damage."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values
        variables = tuple(VariableInfo(name, class_of(value), (1, 1)) for name, value in values.items())
        self.info = FileInfo(Path("lab.mat"), "v7", "", "", variables)

    def __getitem__(self, name: str) -> Any:
        if name not in self._values:
            raise mb.VariableNotFoundError(f"lab.mat has no variable {name!r}. Its variables: net.")
        value = self._values[name]
        if isinstance(value, Exception):
            raise value
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def class_of(value: Any) -> str:
    if isinstance(value, MatlabObject):
        return value.class_name
    if isinstance(value, np.ndarray):
        return "cell" if value.dtype == object else "double"
    return "struct"


@pytest.fixture
def file(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Make `lab.mat` hold the given variables."""

    def make(**values: Any) -> Path:
        monkeypatch.setattr(_find, "load", lambda path, lazy: MemoryFile(values))
        return Path("lab.mat")

    return make


def untrained_layers() -> Any:
    return layers(
        layer("FeatureInputLayer", "input", InputSize=row(2)),
        layer("FullyConnectedLayer", "fc", Weights=untrained(), Bias=untrained()),
    )


def where(path: Path) -> list[str]:
    return [source.variable for source in mb.find_networks(path)]


def error_of(path: Path, variable: str | None = None) -> str:
    with pytest.raises(mb.NetworkNotFoundError) as caught:
        mb.load_network(path, variable)
    return str(caught.value)


def test_the_only_network_is_loaded(file: Callable[..., Path]) -> None:
    network = mb.load_network(file(x=row(1, 2), net=small_network()))
    assert network.source == mb.find_networks("lab.mat")[0]
    assert network.source is not None
    assert (network.source.path, network.source.variable) == (Path("lab.mat"), "net")
    assert network.source.class_name == "SeriesNetwork"


def test_networks_are_found_inside_everything(file: Callable[..., Path]) -> None:
    net = [small_network(number) for number in range(7)]
    path = file(
        s={"inner": {"net": net[0]}, "note": "text"},
        models=cell(row(1), net[1], shape=(1, 2)),
        runs=StructArray([{"net": net[2]}, {"net": net[3]}], ("net",)),
        agent=MatlabObject("rl.agent.rlPGAgent", {"Actor": saved("rl.util.rlActor", Network=net[4])}),
        map={"first try": net[5]},
        table=pd.DataFrame({"net": cell(net[6]).ravel()}),
    )
    assert where(path) == [
        "s.inner.net",
        "models{2}",
        "runs(1).net",
        "runs(2).net",
        "agent.Actor.Network",
        "map('first try')",
        "table.net{1}",
    ]
    for number, variable in enumerate(where(path)):
        weights = mb.load_network(path, variable)["fc"].learnables["Weights"]
        np.testing.assert_array_equal(weights, [[number, 2]])


def test_a_network_is_not_searched_for_further_ones(file: Callable[..., Path]) -> None:
    net = dlnetwork(fully_connected("fc"), layer("ReLULayer", "relu"), table=connections(("fc", "relu")))
    assert where(file(net=net)) == ["net"]


def test_handles_that_point_back_are_followed_once(file: Callable[..., Path]) -> None:
    shared = small_network()
    properties: dict[str, Any] = {"Critic": shared, "Actor": shared}
    properties["Self"] = MatlabObject("rl.agent.Owner", {"Agent": cell(properties)})
    agent = MatlabObject("rl.agent.rlDQNAgent", properties)
    properties["Again"] = agent
    assert where(file(agent=agent)) == ["agent.Critic"]


def test_the_part_of_a_path_that_holds_one_network_is_enough(file: Callable[..., Path]) -> None:
    path = file(a={"deep": {"net": small_network(1)}}, ab={"net": small_network(2)})
    network = mb.load_network(path, "a")
    assert network.source is not None
    assert network.source.variable == "a.deep.net"


def test_a_trained_network_goes_before_untrained_layers(file: Callable[..., Path]) -> None:
    network = mb.load_network(file(layers=untrained_layers(), results={"net": small_network()}))
    assert network.source is not None
    assert network.source.variable == "results.net"


def test_a_variable_goes_before_what_is_inside_others(file: Callable[..., Path]) -> None:
    network = mb.load_network(file(results={"net": small_network(1)}, net=small_network(2)))
    assert network.source is not None
    assert network.source.variable == "net"


def test_copies_of_one_network_count_as_one(file: Callable[..., Path]) -> None:
    network = mb.load_network(file(a=cell(small_network(1), small_network(1))))
    assert network.source is not None
    assert network.source.variable == "a{1}"


def test_untrained_layers_alone_are_loaded(file: Callable[..., Path]) -> None:
    assert mb.load_network(file(layers=untrained_layers())).class_name == "layer array"


def test_several_networks_are_listed(file: Callable[..., Path]) -> None:
    path = file(first=small_network(1), other=small_network(2))
    assert error_of(path) == (
        "lab.mat holds 2 networks. Name the one to load:\n"
        "  load_network(path, 'first')  SeriesNetwork, 3 layers\n"
        "  load_network(path, 'other')  SeriesNetwork, 3 layers"
    )


def test_a_path_without_a_network_lists_those_of_its_variable(file: Callable[..., Path]) -> None:
    path = file(s={"net": small_network(), "layers": untrained_layers()})
    assert error_of(path, "s.model") == (
        "lab.mat holds no network at 's.model'. It holds:\n"
        "  load_network(path, 's.net')     SeriesNetwork, 3 layers\n"
        "  load_network(path, 's.layers')  layer array, 2 layers, untrained"
    )


def test_a_variable_that_the_file_does_not_have(file: Callable[..., Path]) -> None:
    with pytest.raises(mb.VariableNotFoundError) as caught:
        mb.load_network(file(net=small_network()), "nett.inner")
    assert str(caught.value) == "lab.mat has no variable 'nett'. Its variables: net."


def test_what_the_file_holds_instead_is_told(file: Callable[..., Path]) -> None:
    path = file(
        x=row(1),
        one=layer("ReLULayer", "relu"),
        options=MatlabObject("nnet.cnn.TrainingOptionsADAM", {}),
        plain={"W1": row(1), "b1": row(2), "note": "two layers"},
    )
    assert error_of(path) == (
        "lab.mat holds no network that can be read. It holds:\n"
        "  x: 1x1 double\n"
        "  one: 1x1 nnet.cnn.layer.ReLULayer, a single layer (nnet.cnn.layer.ReLULayer), not a network\n"
        "  options: 1x1 nnet.cnn.TrainingOptionsADAM, training options, not a network\n"
        "  plain: 1x1 struct, weights by their names (W1, b1), of which the layers are not known\n"
        "A network object, an array of layers, a MatConvNet network or a portable network is needed: in "
        "MATLAB, save('net.mat', 'net') where net is one. Plain matrices of weights need a description: "
        "load_network(path, describe=[WeightLayer('W1', 'b1', 'tanh'), WeightLayer('W2', 'b2')])."
    )


def test_variables_that_are_weights_together_are_told(file: Callable[..., Path]) -> None:
    assert error_of(file(Theta1=row(1), Theta2=row(2))).splitlines()[-2] == (
        "Together they are weights by their names (Theta1, Theta2), of which the layers are not known."
    )


def test_damage_elsewhere_does_not_keep_a_network_from_being_read(file: Callable[..., Path]) -> None:
    path = file(images=mb.TruncatedFileError("cut short"), net=small_network())
    assert mb.load_network(path)["fc"].learnables["Weights"].shape == (1, 2)


def test_damage_is_told_where_nothing_else_is_found(file: Callable[..., Path]) -> None:
    path = file(data={"x": row(1)}, net=mb.LostObjectError("only a marker"))
    for read in (mb.load_network, mb.find_networks):
        with pytest.raises(mb.LostObjectError, match=r"^only a marker$"):
            read(path)


def test_a_damaged_network_does_not_hide_a_sound_one(file: Callable[..., Path]) -> None:
    damaged = MatlabObject("SeriesNetwork", {"Version": row(1)})
    path = file(old=damaged, net=small_network())
    network = mb.load_network(path)
    assert network.source is not None
    assert network.source.variable == "net"
    with pytest.raises(mb.InvalidNetworkError, match=r"^The SeriesNetwork 'old' of lab\.mat holds no layers"):
        mb.load_network(path, "old")


def test_a_further_kind_of_network_takes_one_reader(file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def matches(value: Any) -> bool:
        return isinstance(value, MatlabObject) and value.class_name == "network"

    def read(value: Any, source: mb.Source) -> mb.Network:
        return mb.Network((mb.Layer("hidden", "tansig"),), (), source=source)

    monkeypatch.setattr("matlab_bridge.read._registry.READERS", [Reader("shallow", matches, read)])
    network = mb.load_network(file(s={"net": MatlabObject("network", {}, old_style=True)}))
    assert network.source == mb.Source(Path("lab.mat"), "s.net", "network")
