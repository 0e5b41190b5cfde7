"""Every deep network that real MATLAB saved, from 2018 to 2025."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import matlab_bridge as mb
from tests.conftest import CORPUS

pytestmark = pytest.mark.corpus

DEEP = {"SeriesNetwork", "DAGNetwork", "dlnetwork", "LayerGraph", "layer-array", "rl-agent", "detector"}
OTHER_NETWORKS = {"shallow-network", "matconvnet-simplenn", "matconvnet-dagnn", "plain-weights"}


def catalogue(kinds: set[str]) -> list[Any]:
    path = CORPUS / "catalogue.json"
    entries = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    return [pytest.param(entry, id=entry["file"]) for entry in entries if entry["kind"] in kinds]


@pytest.mark.parametrize("entry", catalogue(DEEP))
def test_every_layer_of_every_network_is_read(corpus: Path, entry: dict[str, Any]) -> None:
    path = corpus / entry["file"]
    kinds = set()
    for source in mb.find_networks(path):
        network = mb.load_network(path, source.variable)
        assert network.source == source
        assert len(network.execution_order) == len(network.layers)
        assert network.summary().count("\n") >= len(network.layers)
        # The catalogue lists the layers of MathWorks, not those that users and other toolboxes wrote.
        kinds |= {layer.kind for layer in network.layers if layer.class_name.startswith("nnet.cnn.layer.")}
    assert kinds == set(entry["layer_classes"])


@pytest.mark.parametrize("entry", catalogue(DEEP))
def test_it_is_plain_which_network_of_a_file_is_meant(corpus: Path, entry: dict[str, Any]) -> None:
    if entry["file"] == "korniarp__ML_DQN/lgraph.mat":
        with pytest.raises(mb.NetworkNotFoundError) as caught:
            mb.load_network(corpus / entry["file"])
        assert str(caught.value) == (
            "lgraph.mat holds 2 networks. Name the one to load:\n"
            "  load_network(path, 'lgraph')    nnet.cnn.LayerGraph, 15 layers, untrained\n"
            "  load_network(path, 'lgraph_1')  nnet.cnn.LayerGraph, 15 layers, untrained"
        )
    else:
        assert mb.load_network(corpus / entry["file"]).layers


def test_the_trained_network_of_an_agent_is_loaded(corpus: Path) -> None:
    network = mb.load_network(corpus / "TimBurtell__RL-GridWorld-Matlab" / "agent.mat")
    assert network.source is not None
    assert network.source.variable == "agent.Actor.adModelExternal"
    assert all(array.size for layer in network.layers for array in layer.learnables.values())


def test_networks_that_were_lost_in_saving_are_told(corpus: Path) -> None:
    for path in sorted((corpus / "bildiriciEthem__text-sentiment-analysis").glob("*.mat")):
        with pytest.raises(mb.LostObjectError):
            mb.load_network(path)
