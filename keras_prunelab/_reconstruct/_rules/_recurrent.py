"""Recurrent layers: what goes into their gates is linear in the inputs and the state before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from ._base import LinearMap, NoLinearMapError, Rule, Seen, Values, flat_weights, places_of, with_bias, with_ones
from ._registry import register_linear_rule

L = keras.layers


@register_linear_rule(L.LSTM, L.SimpleRNN)
class RecurrentRule(Rule):
    """All gates together: [x(t), h(t-1), 1]."""

    def maps(self, layer: Any) -> Sequence[LinearMap]:
        """The kernel, the recurrent kernel and the bias as one matrix."""
        _check_stateless(layer)
        places = places_of(layer)
        matrix = np.concatenate([places["kernel"], places["recurrent_kernel"]])[None]
        bias = places["bias"][None] if layer.use_bias else None

        def rows(seen: Seen) -> Values:
            return with_ones(np.concatenate(_steps(seen), axis=-1)[None], has_bias=bias is not None)

        return [LinearMap("kernel and recurrent_kernel", with_bias(matrix, bias), rows, bias is not None)]


@register_linear_rule(L.GRU)
class GRURule(Rule):
    """The gates z and r together; the candidate as one map, or as two where its reset comes after the product."""

    def maps(self, layer: Any) -> Sequence[LinearMap]:
        """The maps; what changes of the bias of z and r goes into the bias of the input."""
        _check_stateless(layer)
        places, units = places_of(layer), layer.units
        kernel, recurrent = places["kernel"], places["recurrent_kernel"]
        biases = np.atleast_2d(places["bias"]) if layer.use_bias else None  # of the input, and of the state
        gates, candidate = slice(0, 2 * units), slice(2 * units, None)

        def linear_map(
            name: str, parts: Sequence[Values], of: Callable[[Seen], Sequence[Values]], columns: slice, row: int = 0
        ) -> LinearMap:
            bias = None if biases is None else biases[row, columns][None]
            matrix = np.concatenate([part[:, columns] for part in parts])[None]

            def rows(seen: Seen) -> Values:
                return with_ones(np.concatenate(of(seen), axis=-1)[None], has_bias=bias is not None)

            return LinearMap(name, with_bias(matrix, bias), rows, bias is not None)

        found = [linear_map("gates", (kernel, recurrent), _steps, gates)]
        if layer.reset_after:
            found.append(linear_map("candidate, input", (kernel,), lambda seen: _steps(seen)[:1], candidate))
            found.append(linear_map("candidate, state", (recurrent,), lambda seen: _steps(seen)[1:], candidate, 1))
        else:
            read = found[0]

            def reset(seen: Seen) -> Sequence[Values]:
                inputs, _ = _steps(seen)
                own = seen.unpruned
                before = np.matmul(read.rows(own), read.read(flat_weights(own.layer)))[0, :, units:]
                gate = own.layer.recurrent_activation(keras.ops.convert_to_tensor(before))
                return inputs, np.asarray(keras.ops.convert_to_numpy(gate)) * _steps(own)[1]

            found.append(linear_map("candidate", (kernel, recurrent), reset, candidate))
        return found


def _check_stateless(layer: Any) -> None:
    if layer.stateful:
        raise NoLinearMapError("it keeps its state from batch to batch; rebuild it with stateful=False")


def _steps(seen: Seen) -> tuple[Values, Values]:
    """The inputs of all time steps that count, and the states before them in the unpruned network: samples x each."""
    layer = seen.layer
    inputs = seen.inputs[:, ::-1] if layer.go_backwards else seen.inputs
    states = _states(seen.unpruned)
    if seen.mask is None:
        return inputs.reshape(-1, inputs.shape[-1]), states.reshape(-1, states.shape[-1])
    counts = seen.mask[:, ::-1] if layer.go_backwards else seen.mask
    return inputs[counts], states[counts]


def _states(seen: Seen) -> Values:
    """The output of the cell before each time step, observations x steps x units."""
    layer, inputs = seen.layer, seen.inputs
    size = layer.cell.state_size
    sizes = size if isinstance(size, (tuple, list)) else [size]
    state = [np.asarray(each) for each in seen.state or [np.zeros((len(inputs), each), np.float32) for each in sizes]]
    steps = range(inputs.shape[1])
    found = []
    for step in reversed(steps) if layer.go_backwards else steps:
        found.append(state[0])
        now = keras.ops.convert_to_tensor(inputs[:, step])
        # Called as the layer does it: so its weights are cast to the type that it computes in, and the states too.
        _, after = layer.cell(now, [keras.ops.convert_to_tensor(each) for each in state], training=False)
        new = [np.asarray(keras.ops.convert_to_numpy(each)) for each in after]
        counts = np.ones((len(inputs), 1), np.bool_) if seen.mask is None else seen.mask[:, step, None]
        state = [np.where(counts, each, old) for each, old in zip(new, state, strict=True)]
    return np.stack(found, axis=1)
