"""Recurrent layers, in one direction or in both."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_prunelab._channels._graph import Call
from keras_prunelab._export._c._activations import Activation, activation_of, is_linear
from keras_prunelab._export._c._reader import Reader, UnsupportedError, numbers_of, reads
from keras_prunelab._export._c._value import Value
from keras_prunelab._export._c.operations._arithmetic import Arithmetic
from keras_prunelab._export._c.operations._recurrent import GRU, LSTM, Recurrent, SimpleRNN
from keras_prunelab._export._c.operations._shape import Concatenate

from ._normalization import scaling

L = keras.layers
_KINDS: dict[type, type[Recurrent]] = {L.LSTM: LSTM, L.GRU: GRU, L.SimpleRNN: SimpleRNN}
_IDENTITY = Activation("identity", "x", keras.activations.linear)


@reads(L.LSTM, L.GRU, L.SimpleRNN)
def recurrent(reader: Reader, call: Call, layer: Any) -> Value:
    """In one direction."""
    return _directed(reader, call, layer)


@reads(L.Bidirectional)
def bidirectional(reader: Reader, call: Call, layer: Any) -> Value:
    """In both directions."""
    for each in (layer.forward_layer, layer.backward_layer):
        if type(each) not in _KINDS:
            raise UnsupportedError(f"{type(each).__name__} in one of both directions")
    if layer.merge_mode not in ("concat", "sum", "mul", "ave"):
        raise UnsupportedError(f"merge_mode={layer.merge_mode!r}; 'concat', 'sum', 'mul' and 'ave' work")
    forward = _directed(reader, call, layer.forward_layer, name=f"{call.name}_forward")
    backward = _directed(reader, call, layer.backward_layer, name=f"{call.name}_backward", turns_back=True)
    # Keras takes the directions to have equally many units when it tells the shape of the output.
    shape = (*forward.shape[:-1], forward.channels + backward.channels)
    if layer.merge_mode == "concat":
        return reader.add(Concatenate, call, (forward, backward), shape, axis=len(shape) - 1)
    kernel = {"sum": "add", "ave": "add", "mul": "multiply_values"}[layer.merge_mode]
    merged = reader.add(Arithmetic, call, (forward, backward), forward.shape, kernel=kernel)
    if layer.merge_mode == "ave":
        return scaling(reader, call, merged, np.array(0.5), np.array(0.0))
    return merged


def _directed(reader: Reader, call: Call, layer: Any, turns_back: bool = False, **names: Any) -> Value:
    if len(call.inputs) != 1:
        raise UnsupportedError("it is given an initial state")
    if layer.return_state:
        raise UnsupportedError("it returns its state")
    kernel, inner, *bias = numbers_of(layer)
    (source,) = (reader.value(tensor) for tensor in call.inputs)
    if source.shape[0] is None and layer.go_backwards:
        raise UnsupportedError("it goes backwards, and the length of its sequences is free")
    fields: dict[str, Any] = {
        "kernel": np.ascontiguousarray(kernel.T),
        "recurrent": np.ascontiguousarray(inner.T),
        "bias": bias[0] if bias else np.zeros(kernel.shape[1], np.float32),
        "activation": _activation(layer.activation),
        "gate": _activation(getattr(layer, "recurrent_activation", None)),
        "gives_sequence": layer.return_sequences,
        "goes_backwards": layer.go_backwards,
        "turns_back": turns_back,
    }
    kind = _KINDS[type(layer)]
    if kind is GRU:
        fields["resets_after"] = layer.reset_after
        both = layer.reset_after and bool(bias)
        fields["recurrent_bias"] = fields["bias"][1] if both else np.zeros(kernel.shape[1], np.float32)
        fields["bias"] = fields["bias"][0] if both else fields["bias"]
    shape = (source.shape[0], layer.units) if layer.return_sequences else (layer.units,)
    return reader.add(kind, call, (source,), shape, label=type(layer).__name__, **fields, **names)


def _activation(function: Any) -> Activation:
    if is_linear(function):
        return _IDENTITY
    found = activation_of(function)
    if found is None:
        raise UnsupportedError(f"the activation {getattr(function, '__name__', function)!r}")
    return found
