"""Shallow `network` objects made by hand, and what MATLAB's `net(X)` gives, written from the documentation.

https://www.mathworks.com/help/deeplearning/ug/neural-network-object-properties.html and the pages of the functions
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from matlab_bridge.matfile import MatlabObject

from .objects_by_hand import EMPTY, cell, row

Array = np.ndarray


@dataclass
class Neurons:
    """One layer: weights by source number (from 1), its delays with each, its bias and its functions."""

    size: int
    transfer: str = "purelin"
    inputs: Mapping[int, tuple[Array, tuple[int, ...]]] = field(default_factory=dict)
    layers: Mapping[int, tuple[Array, tuple[int, ...]]] = field(default_factory=dict)
    bias: Array | None = None
    weight: str = "dotprod"
    net_input: str = "netsum"
    name: str = ""


def shallow(
    sizes: Sequence[int],
    neurons: Sequence[Neurons],
    *,
    before: Sequence[Sequence[Mapping[str, Any]]] = (),
    after: Sequence[Mapping[str, Any]] = (),
    outputs: Sequence[int] = (),
) -> dict[str, Any]:
    """The properties of a network: inputs of these sizes, layers, processing before and after.

    `before` has the settings of the functions for each input, in their order; `after` those of the last output.
    """
    outputs = outputs or (len(neurons),)
    grid = {name: np.empty((len(neurons), len(count)), object) for name, count in (("IW", sizes), ("LW", neurons))}
    weights = {name: np.empty_like(cells) for name, cells in grid.items()}
    for i, j in np.ndindex(len(neurons), max(len(sizes), len(neurons))):
        for name, given in (("IW", neurons[i].inputs), ("LW", neurons[i].layers)):
            if j < grid[name].shape[1]:
                matrix, delays = given.get(j + 1, (EMPTY, ()))
                grid[name][i, j] = matrix
                weights[name][i, j] = {"delays": row(*delays), "weightFcn": neurons[i].weight} if delays else EMPTY
    processed = [before[j] if before else () for j in range(len(sizes))]
    return {
        "version": "8",
        "inputs": cell(
            *({"name": "Input", "size": row(n), **processing(p)} for n, p in zip(sizes, processed, strict=True))
        ),
        "layers": cell(
            *(
                {"name": n.name, "size": row(n.size), "transferFcn": n.transfer, "netInputFcn": n.net_input}
                for n in neurons
            )
        ),
        "outputs": cell(
            *(
                {"name": "Output", **processing(after if i == len(neurons) else ())} if i in outputs else EMPTY
                for i in range(1, len(neurons) + 1)
            ),
            shape=(1, -1),
        ),
        "biasConnect": np.array([[n.bias is not None] for n in neurons]),
        "inputConnect": np.array([[j + 1 in n.inputs for j in range(len(sizes))] for n in neurons]),
        "layerConnect": np.array([[j + 1 in n.layers for j in range(len(neurons))] for n in neurons]),
        "outputConnect": np.array([[i in outputs for i in range(1, len(neurons) + 1)]]),
        "inputWeights": weights["IW"],
        "layerWeights": weights["LW"],
        "IW": grid["IW"],
        "LW": grid["LW"],
        "b": cell(*(EMPTY if n.bias is None else n.bias for n in neurons)),
    }


def processing(settings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    names = cell(*(each["name"] for each in settings), shape=(1, -1)) if settings else np.empty((1, 0), object)
    stored = cell(*settings, shape=(1, -1)) if settings else np.empty((1, 0), object)
    return {"processFcns": names, "processSettings": stored}


def as_object(properties: Mapping[str, Any]) -> MatlabObject:
    return MatlabObject("network", dict(properties), old_style=True)


def mapminmax(low: Array, high: Array) -> dict[str, Any]:
    low, high = np.reshape(low, (-1, 1)), np.reshape(high, (-1, 1))
    return {"name": "mapminmax", "xoffset": low, "gain": 2 / (high - low), "ymin": row(-1), "ymax": row(1)}


# What the functions compute, on columns: from their pages.


def apply(settings: Mapping[str, Any], x: Array) -> Array:
    match settings["name"]:
        case "mapminmax":
            return (x - settings["xoffset"]) * settings["gain"] + settings["ymin"]
        case "mapstd":
            return (x - settings["xoffset"]) * settings["gain"] + settings["ymean"]
        case "removeconstantrows":
            return x[settings["keep"].ravel().astype(int) - 1]
        case "processpca":
            return settings["transform"] @ x
        case "fixunknowns":
            rows = []
            for number, values in enumerate(x):
                rows.append(np.where(np.isnan(values), settings["xmeans"][number], values))
                if number + 1 in settings["unknown"]:
                    rows.append(1.0 - np.isnan(values))
            return np.array(rows)
    raise AssertionError(settings["name"])


def reverse(settings: Mapping[str, Any], y: Array) -> Array:
    match settings["name"]:
        case "mapminmax":
            return (y - settings["ymin"]) / settings["gain"] + settings["xoffset"]
        case "mapstd":
            return (y - settings["ymean"]) / settings["gain"] + settings["xoffset"]
        case "removeconstantrows":
            x = np.zeros((int(settings["xrows"].item()), y.shape[1]))
            x[settings["keep"].ravel().astype(int) - 1] = y
            x[settings["remove"].ravel().astype(int) - 1] = settings["constants"].reshape(-1, 1)
            return x
        case "processpca":
            return np.linalg.pinv(settings["transform"]) @ y
    raise AssertionError(settings["name"])


def softmax(n: Array) -> Array:
    return np.exp(n) / np.exp(n).sum(axis=0)


TRANSFER = {
    "compet": lambda n: (np.arange(len(n))[:, None] == n.argmax(axis=0)).astype(float),
    "elliotsig": lambda n: n / (1 + np.abs(n)),
    "hardlim": lambda n: (n >= 0).astype(float),
    "hardlims": lambda n: np.where(n >= 0, 1.0, -1.0),
    "logsig": lambda n: 1 / (1 + np.exp(-n)),
    "netinv": lambda n: 1 / n,
    "poslin": lambda n: np.maximum(n, 0),
    "purelin": lambda n: n,
    "radbas": lambda n: np.exp(-(n**2)),
    "radbasn": lambda n: np.exp(-(n**2)) / np.exp(-(n**2)).sum(axis=0),
    "satlin": lambda n: np.minimum(np.maximum(n, 0), 1),
    "satlins": lambda n: np.minimum(np.maximum(n, -1), 1),
    "softmax": softmax,
    "tansig": lambda n: 2 / (1 + np.exp(-2 * np.maximum(n, -300))) - 1,
    "tribas": lambda n: np.where(np.abs(n) <= 1, 1 - np.abs(n), 0),
}


def weighted(function: str, weights: Array, p: Array) -> Array:
    match function:
        case "dotprod":
            return weights @ p
        case "normprod":
            return weights @ p / p.sum(axis=0)
        case "dist" | "negdist":
            distance = np.sqrt(((weights[:, :, None] - p[None]) ** 2).sum(axis=1))
            return distance if function == "dist" else -distance
    raise AssertionError(function)


def simulate(net: Mapping[str, Any], *inputs: Array) -> list[Array]:
    """`net(X)`: each input (R, Q), or (R, Q, T) for T steps; the outputs likewise."""
    static = inputs[0].ndim == 2
    steps = [x[:, :, None] if static else x for x in inputs]
    total, count = steps[0].shape[2], len(net["layers"])
    stored = [list(each["processSettings"].ravel()) for each in net["inputs"].ravel()]

    def raw(j: int, t: int) -> Array:
        x = steps[j][:, :, t] if t >= 0 else np.zeros(steps[j].shape[:2])
        for settings in stored[j]:
            x = apply(settings, x)
        return x

    past: dict[tuple[int, int], Array] = {}
    for t in range(total):
        for i in range(count):
            layer = net["layers"].ravel()[i]
            terms = []
            for name, given in (("IW", "inputWeights"), ("LW", "layerWeights")):
                for j in range(net[name].shape[1]):
                    matrix, facts = net[name][i, j], net[given][i, j]
                    if matrix.size:
                        source = [
                            raw(j, t - int(d))
                            if name == "IW"
                            else past.get(
                                (j, t - int(d)),
                                np.zeros((int(net["layers"].ravel()[j]["size"].item()), steps[0].shape[1])),
                            )
                            for d in facts["delays"].ravel()
                        ]
                        terms.append(weighted(facts["weightFcn"], matrix, np.concatenate(source)))
            bias = net["b"].ravel()[i]
            if bias.size:
                terms.append(np.broadcast_to(bias, terms[0].shape))
            joined = np.sum(terms, axis=0) if layer["netInputFcn"] == "netsum" else np.prod(terms, axis=0)
            past[i, t] = TRANSFER[layer["transferFcn"]](joined)
    found = []
    for i in np.flatnonzero(net["outputConnect"].ravel()):
        y = np.stack([past[i, t] for t in range(total)], axis=-1)
        for settings in reversed(list(net["outputs"].ravel()[i]["processSettings"].ravel())):
            y = np.stack([reverse(settings, y[:, :, t]) for t in range(total)], axis=-1)
        found.append(y[:, :, 0] if static else y)
    return found
