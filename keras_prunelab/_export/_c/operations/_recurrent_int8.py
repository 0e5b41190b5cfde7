"""Recurrent layers with 8-bit weights and hidden values, 16-bit gates and memory, as LiteRT's integer LSTM has them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from keras_prunelab._export._c._activations import Activation
from keras_prunelab._export._c._body import Body
from keras_prunelab._export._c._code import Code
from keras_prunelab._export._c._operation import Array
from keras_prunelab._export._c._scale import Scale, fixed_point, quantized_weights, without_zero_point

_GATE = 4096
"""Sums of gates are in 1 / 4096: from -8 to 8 in 16 bits."""
_HIDDEN = 32768
"""Values from -1 to 1 are in 1 / 32768."""


def lstm(layer: Any, body: Body) -> tuple[str, str]:
    """Write an LSTM; see `Recurrent.emit_step`."""
    body.code.kernel("lstm")
    gates = _gates(layer, body.code, layer.recurrent, np.zeros(4 * layer.units, np.float32))
    low, high = body.code.internal(layer.name, "memory")
    bits = 15 - max(0, math.ceil(math.log2(max(abs(low), abs(high), 2.0**-14) * (1 + 1e-6))))
    sums, recurrent = (body.scratch(label, "int32_t", 4 * layer.units) for label in ("gates", "recurrent"))
    memory = body.keep("memory", "int16_t", layer.units)
    hidden = _hidden(layer, body)
    return f"net_lstm_step(&{gates}, {max(bits, 0)}, {{x}}, {sums}, {recurrent}, {memory}, {hidden});", hidden


def gru(layer: Any, body: Body) -> tuple[str, str]:
    """Write a GRU; see `Recurrent.emit_step`."""
    code, units = body.code, layer.units
    sums, recurrent = (body.scratch(label, "int32_t", 3 * units) for label in ("gates", "recurrent"))
    exact, hidden = body.keep("exact", "int16_t", units), _hidden(layer, body)
    if layer.resets_after:
        code.kernel("gru")
        gates = _gates(layer, code, layer.recurrent, layer.recurrent_bias)
        return f"net_gru_step(&{gates}, {{x}}, {sums}, {recurrent}, {exact}, {hidden});", hidden
    code.kernel("gru_before")
    split, zeros = 2 * units, np.zeros(2 * units, np.float32)
    gates = _gates(layer, code, layer.recurrent[:split], zeros)
    parts = _weights(code, f"{layer.name}_candidate", layer.recurrent[split:], zeros[:units], code.scale(layer.output))
    candidate = code.constant(f"{layer.name}_candidate", "candidate", f"{{{', '.join(parts)}}}")
    reset = body.scratch("reset", "int8_t", units)
    arguments = f"{{x}}, {sums}, {recurrent}, {reset}, {exact}, {hidden}"
    return f"net_gru_before_step(&{gates}, &{candidate}, {arguments});", hidden


def simple_rnn(layer: Any, body: Body) -> tuple[str, str]:
    """Write a simple recurrent layer; see `Recurrent.emit_step`."""
    body.code.kernel("simple_rnn")
    gates = _gates(layer, body.code, layer.recurrent, np.zeros(layer.units, np.float32))
    sums, recurrent = (body.scratch(label, "int32_t", layer.units) for label in ("gates", "recurrent"))
    hidden = _hidden(layer, body)
    return f"net_simple_rnn_step(&{gates}, {{x}}, {sums}, {recurrent}, {hidden});", hidden


def _hidden(layer: Any, body: Body) -> str:
    return body.keep("hidden", "int8_t", layer.units, body.code.scale(layer.output).zero_point)


def _gates(layer: Any, code: Code, recurrent: Array, recurrent_bias: Array) -> str:
    """Write the weights, the curves, and how hidden values become 8-bit ones."""
    hidden = code.scale(layer.output)
    kernel = _weights(code, f"{layer.name}_kernel", layer.kernel, layer.bias, code.scale(layer.inputs[0]))
    inner = _weights(code, f"{layer.name}_recurrent", recurrent, recurrent_bias, hidden)
    parts = [each for pair in zip(kernel, inner, strict=True) for each in pair]
    activation = _curve(code, layer.activation)
    gate = _curve(code, layer.gate) if layer.gate.is_bounded else "NULL"
    multiplier, shift = fixed_point(1 / (_HIDDEN * hidden.factor))
    parts += [activation, gate, str(multiplier), str(shift), str(hidden.zero_point)]
    return code.constant(f"{layer.name}_gates", "gates", f"{{{', '.join(parts)}}}")


def _weights(code: Code, name: str, weights: Array, bias: Array, scale: Scale) -> list[str]:
    """Write a matrix, its bias, and the factors to gates; returns the four initializers."""
    found, whole, factors = quantized_weights(weights, bias, scale)
    points = [fixed_point(float(factor) * _GATE) for factor in factors]
    return [
        code.matrix(name, found),
        code.array(f"{name}_bias", without_zero_point(found, whole, scale)),
        code.array(f"{name}_multipliers", np.array([each for each, _ in points], np.int32)),
        code.array(f"{name}_shifts", np.array([each for _, each in points], np.int8)),
    ]


def _curve(code: Code, activation: Activation) -> str:
    values = np.round(activation(np.linspace(-8, 8, 257)).astype(np.float64) * _HIDDEN)
    return code.array(f"{activation.name}_curve", np.clip(values, -_HIDDEN, _HIDDEN - 1).astype(np.int16))
