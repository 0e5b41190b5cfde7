"""MATLAB's recurrent layers in NumPy and double precision, gate by gate as the pages of the layers write them.

Every function takes the layer and one sequence (T, C), and gives (T, H), or (H,) where the output mode is "last".
Source: the section "Algorithms" of https://www.mathworks.com/help/deeplearning/ref/nnet.cnn.layer.lstmlayer.html
and of the pages of the other layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from scipy.special import expit

from matlab_bridge import Layer

from . import numpy_windows

Array = np.ndarray

FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": np.tanh,
    "softsign": lambda x: x / (1 + np.abs(x)),
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": expit,
    "hard-sigmoid": lambda x: np.where(x < -2.5, 0, np.where(x > 2.5, 1, 0.2 * x + 0.5)),
}


def lstm(layer: Layer, sequence: Array) -> Array:
    """c = f c + i g and h = o tanh(c), from the saved states on."""
    return output(layer, [hidden for hidden, _ in lstm_steps(layer, sequence, *weights(layer), *states(layer))])


def lstm_steps(
    layer: Layer, sequence: Array, W: Array, R: Array, b: Array, h: Array, c: Array
) -> Iterator[tuple[Array, Array]]:
    state, gate = functions(layer)
    H = h.size
    for x in sequence:
        i = gate(W[:H] @ x + R[:H] @ h + b[:H])
        f = gate(W[H : 2 * H] @ x + R[H : 2 * H] @ h + b[H : 2 * H])
        g = state(W[2 * H : 3 * H] @ x + R[2 * H : 3 * H] @ h + b[2 * H : 3 * H])
        o = gate(W[3 * H :] @ x + R[3 * H :] @ h + b[3 * H :])
        c = f * c + i * g
        h = o * state(c)
        yield h, c


def bilstm(layer: Layer, sequence: Array) -> Array:
    """One LSTM forward, one backward: the first half of every array, and the second."""
    W, R, b = weights(layer)
    h, c = states(layer)
    half = [len(W) // 2, len(h) // 2]
    first = lstm_steps(layer, sequence, W[: half[0]], R[: half[0]], b[: half[0]], h[: half[1]], c[: half[1]])
    second = lstm_steps(layer, sequence[::-1], W[half[0] :], R[half[0] :], b[half[0] :], h[half[1] :], c[half[1] :])
    forward, backward = [hidden for hidden, _ in first], [hidden for hidden, _ in second]
    if not layer.settings["ReturnSequence"]:
        return np.concatenate([forward[-1], backward[-1]])
    return np.concatenate([forward, backward[::-1]], axis=-1)


def gru(layer: Layer, sequence: Array) -> Array:
    """h = (1 - z) h~ + z h, with the reset gate in h~ where `ResetGateMode` says."""
    W, R, b = weights(layer)
    (h,) = states(layer)
    H = h.size
    b, rb = (b[: 3 * H], b[3 * H :]) if b.size == 6 * H else (b, np.zeros(3 * H))
    state, gate = functions(layer)
    steps = []
    for x in sequence:
        r = gate(W[:H] @ x + b[:H] + R[:H] @ h + rb[:H])
        z = gate(W[H : 2 * H] @ x + b[H : 2 * H] + R[H : 2 * H] @ h + rb[H : 2 * H])
        if layer.settings["ResetGateMode"] == "before-multiplication":
            recurrent = R[2 * H :] @ (r * h)
        else:
            recurrent = r * (R[2 * H :] @ h + rb[2 * H :])
        h = (1 - z) * state(W[2 * H :] @ x + b[2 * H :] + recurrent) + z * h
        steps.append(h)
    return output(layer, steps)


def functions(layer: Layer) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    return (
        FUNCTIONS[layer.settings.get("StateActivationFunction", "tanh")],
        FUNCTIONS[layer.settings.get("GateActivationFunction", "sigmoid")],
    )


def weights(layer: Layer) -> tuple[Array, Array, Array]:
    """Input weights, recurrent weights, bias; those of a projected layer as the full ones that they stand for."""
    known = {name: array.astype(float) for name, array in layer.learnables.items()}
    W, R, b = known["InputWeights"], known["RecurrentWeights"], known["Bias"].ravel()
    if "InputProjector" in known:
        W, R = W @ known["InputProjector"].T, R @ known["OutputProjector"].T
    return W, R, b


def states(layer: Layer) -> list[Array]:
    return [layer.state[name].astype(float).ravel() for name in ("HiddenState", "CellState") if name in layer.state]


def output(layer: Layer, steps: list[Array]) -> Array:
    return np.array(steps) if layer.settings["ReturnSequence"] else steps[-1]


def sequence_input(layer: Layer, sequence: Array) -> Array:
    """The normalizations of the files: per feature, as columns."""
    normalization = layer.settings.get("Normalization")
    if not isinstance(normalization, dict):
        return sequence
    known = {name: np.ravel(value) for name, value in normalization.items() if name != "Type"}
    if normalization["Type"] == "zerocenter":
        return sequence - known["AverageImage"]
    share = (sequence - known["Min"]) / (known["Max"] - known["Min"])
    return known["TargetMin"] + share * (known["TargetMax"] - known["TargetMin"])


def convolution(layer: Layer, sequence: Array) -> Array:
    (size,), (stride,), (dilation,) = (
        [int(number) for number in np.ravel(layer.settings[name])]
        for name in ("FilterSize", "Stride", "DilationFactor")
    )
    extent = [(size - 1) * dilation + 1]
    sides = {
        "same": numpy_windows.same_sides(sequence.shape[:1], extent, [stride]),
        "causal": [(extent[0] - 1, 0)],
        "manual": [tuple(int(number) for number in np.ravel(layer.settings["PaddingSize"]))],
    }[layer.settings["PaddingMode"]]
    weights = layer.learnables["Weights"].astype(float).reshape(size, sequence.shape[1], -1, order="F")
    bias = layer.learnables["Bias"].astype(float).ravel()
    return numpy_windows.convolve(numpy_windows.padded(sequence, sides), weights, bias, [stride], [dilation])


def max_pooling(layer: Layer, sequence: Array) -> Array:
    size, stride = (int(np.ravel(layer.settings[name])[0]) for name in ("PoolSize", "Stride"))
    sides = [tuple(int(number) for number in np.ravel(layer.settings["PaddingSize"]))]
    return numpy_windows.pool(numpy_windows.padded(sequence, sides, -np.inf), [size], [stride], np.max)


COMPUTE = {
    "SequenceInputLayer": sequence_input,
    "Convolution1DLayer": convolution,
    "MaxPooling1DLayer": max_pooling,
    "FlattenLayer": lambda layer, sequence: sequence,
    "SigmoidLayer": lambda layer, value: FUNCTIONS["sigmoid"](value),
    "LSTMLayer": lstm,
    "LSTMProjectedLayer": lstm,
    "BiLSTMLayer": bilstm,
    "GRULayer": gru,
    "GRUProjectedLayer": gru,
}
