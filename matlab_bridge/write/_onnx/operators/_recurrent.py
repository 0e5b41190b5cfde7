"""The ONNX operators of recurrent layers, which take sequences (T, N, C) and have gates in an order of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from matlab_bridge._errors import UnsupportedLayerError
from matlab_bridge._layer import Array, Layer
from matlab_bridge.convert.layers._recurrent import returns_sequences, saved_state
from matlab_bridge.convert.layers._settings import flag, integer, text
from matlab_bridge.convert.layers.recurrent import reset_gate_mode
from matlab_bridge.write._onnx._graph import Graph, Value, learnable, makes

_ACTIVATIONS = {
    "tanh": "Tanh",
    "softsign": "Softsign",
    "relu": "Relu",
    "sigmoid": "Sigmoid",
    "hard-sigmoid": "HardSigmoid",  # its defaults, 0.2 x + 0.5, are MATLAB's
}
# ONNX's gates in the order in which MATLAB has them.
_LSTM_GATES = (0, 3, 1, 2)  # input, output, forget, cell of input, forget, cell, output
_GRU_GATES = (1, 0, 2)  # update, reset, hidden of reset, update, candidate


@makes("LSTM", "BiLSTM")
def _lstm(graph: Graph, layer: Layer, values: Sequence[Value]) -> Value:
    directions = 2 if layer.kind == "BiLSTMLayer" else 1
    gate, state = _functions(layer)
    attributes = {"activations": [gate, state, state] * directions}
    weights = _weights(layer, directions, _LSTM_GATES)
    return _recurrent(graph, layer, values, "LSTM", (weights, ("HiddenState", "CellState"), attributes))


@makes("GRU")
def _gru(graph: Graph, layer: Layer, values: Sequence[Value]) -> Value:
    gate, state = _functions(layer)
    after = int(reset_gate_mode(layer) != "before-multiplication")
    attributes = {"activations": [gate, state], "linear_before_reset": after}
    weights = _weights(layer, 1, _GRU_GATES)
    return _recurrent(graph, layer, values, "GRU", (weights, ("HiddenState",), attributes))


def _functions(layer: Layer) -> tuple[str, str]:
    names = text(layer, "GateActivationFunction", "sigmoid"), text(layer, "StateActivationFunction", "tanh")
    for name in names:
        if name not in _ACTIVATIONS:
            raise UnsupportedLayerError(f"its activation is {name!r}, which is none of {', '.join(_ACTIVATIONS)}")
    return _ACTIVATIONS[names[0]], _ACTIVATIONS[names[1]]


def _weights(layer: Layer, directions: int, gates: tuple[int, ...]) -> dict[str, Array]:
    """Input and recurrent weights, and biases of both, by direction and with ONNX's order of the gates."""
    units = integer(layer, "NumHiddenUnits")

    def ordered(array: Array) -> Array:
        return np.concatenate([array[gate * units : (gate + 1) * units] for gate in gates])

    bias = layer.learnables["Bias"].reshape(directions, -1)
    rows = len(gates) * units
    recurrent = bias[:, rows:] if bias.shape[1] == 2 * rows else np.zeros_like(bias)
    found = {
        name: np.stack([ordered(half) for half in layer.learnables[name].reshape(directions, rows, -1)])
        for name in ("InputWeights", "RecurrentWeights")
    }
    both = [
        np.concatenate([ordered(of_input[:rows]), ordered(own)]) for of_input, own in zip(bias, recurrent, strict=True)
    ]
    return {**found, "Bias": np.stack(both)}


def _recurrent(
    graph: Graph,
    layer: Layer,
    values: Sequence[Value],
    operator: str,
    described: tuple[dict[str, Array], tuple[str, ...], dict[str, Any]],
) -> Value:
    """The operator between transpositions; `described` are its weights, states and attributes."""
    weights, states, attributes = described
    if not values[0].is_sequence:
        raise UnsupportedLayerError("it acts on sequences of vectors, and others reach it")
    if flag(layer, "HasStateInputs") or flag(layer, "HasStateOutputs"):
        raise UnsupportedLayerError("its states come from, or go to, other layers")
    name, units = layer.name, integer(layer, "NumHiddenUnits")
    directions = len(weights["Bias"])
    steps = graph.node("Transpose", [values[0].name], f"{name}.steps", perm=[2, 0, 1])
    inputs = [steps, *(learnable(graph, layer, word, array) for word, array in weights.items())]
    starts = {state: saved_state(layer, state) for state in states}
    if any(np.any(start) for start in starts.values()):
        inputs.append("")  # all sequences are as long as the longest
        inputs += [_start(graph, layer, steps, state, start, directions) for state, start in starts.items()]
    if directions == 2:
        attributes["direction"] = "bidirectional"
    # Y is (T, directions, N, H), Y_h (directions, N, H).
    every, last = f"{name}.every", f"{name}.last"
    graph.several(operator, inputs, [every, last], name=f"{name}.recurrent", hidden_size=units, **attributes)
    shape = graph.constant(f"{name}.Shape", [0, directions * units, -1], np.int64)
    if returns_sequences(layer):
        turned = graph.node("Transpose", [every], f"{name}.turned", perm=[2, 1, 3, 0])
        # (N, directions, H, T): the directions become one axis with the units.
        merged = graph.node("Reshape", [turned, shape], name)
        return Value(merged, values[0].size)
    turned = graph.node("Transpose", [last], f"{name}.turned", perm=[1, 0, 2])
    return Value(graph.node("Flatten", [turned], name, axis=1))


def _start(graph: Graph, layer: Layer, steps: str, state: str, start: Array, directions: int) -> str:
    """The state that a layer was saved with, once for each of the sequences."""
    name, units = f"{layer.name}.{state}", integer(layer, "NumHiddenUnits")
    values = np.zeros(directions * units) if not start.size else start
    constant = graph.constant(name, values.reshape(directions, 1, units))
    if f"{layer.name}.count" not in graph.made:
        shape = graph.node("Shape", [steps], f"{layer.name}.lengths")
        at = graph.constant(f"{layer.name}.BatchAxis", [1], np.int64)
        count = graph.node("Gather", [shape, at], f"{layer.name}.count")
        ends = [
            graph.constant(f"{layer.name}.{word}", [size], np.int64)
            for word, size in (("Directions", directions), ("Units", units))
        ]
        graph.node("Concat", [ends[0], count, ends[1]], f"{layer.name}.states", axis=0)
    return graph.node("Expand", [constant, f"{layer.name}.states"], f"{name}.each")
