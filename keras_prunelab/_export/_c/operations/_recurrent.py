"""Recurrent layers: one step after the other, with what they keep."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from keras_prunelab._export._c._activations import Activation
from keras_prunelab._export._c._body import Body
from keras_prunelab._export._c._operation import Array, Operation, whole_sequence
from keras_prunelab._export._c._scale import Range
from keras_prunelab._export._c._value import Value

from . import _recurrent_int8 as int8

Step = Callable[[Array], Array]


@dataclass(frozen=True, eq=False, kw_only=True)
class Recurrent(Operation):
    """A layer that sees one step of a sequence after the other.

    Attributes:
        kernel: the weights of the inputs, gates x inputs.
        recurrent: those of the hidden values, gates x units.
        bias: one number a gate.
        activation: of what is kept.
        gate: of the gates.
        gives_sequence: whether the hidden values of all steps come out, or of the last one.
        goes_backwards: whether the last step comes first.
        turns_back: whether what comes out of the first step that it sees stands last.
    """

    kernel: Array
    recurrent: Array
    bias: Array
    activation: Activation
    gate: Activation
    gives_sequence: bool
    goes_backwards: bool = False
    turns_back: bool = False

    @property
    def units(self) -> int:
        """How many hidden values there are."""
        return self.output.channels

    @abstractmethod
    def stepper(self, batch: int, seen: dict[str, list[Array]]) -> Step:
        """A function that gives the hidden values for the inputs of one step after the other, in NumPy.

        Args:
            batch: how many observations there are.
            seen: takes what calibration has to know of each step.
        """

    @abstractmethod
    def emit_step(self, body: Body) -> tuple[str, str]:
        """Write the constants and the memory.

        Returns:
            The call of one step, with `{x}` for its inputs, and where its hidden values are.
        """

    def compute(self, *inputs: Array) -> Array:
        """See `Operation.compute`."""
        return self._run(inputs[0], {})

    def internals(self, *inputs: Array) -> dict[str, Range]:
        """See `Operation.internals`."""
        seen: dict[str, list[Array]] = {}
        self._run(inputs[0], seen)
        return {name: (float(np.min(each)), float(np.max(each))) for name, each in seen.items()}

    def _run(self, x: Array, seen: dict[str, list[Array]]) -> Array:
        step = self.stepper(len(x), seen)
        steps = x.swapaxes(0, 1)
        found = [step(each) for each in (steps[::-1] if self.goes_backwards else steps)]
        seen["hidden"] = found
        if not self.gives_sequence:
            return found[-1]
        return np.stack(found[::-1] if self.turns_back else found, axis=1)

    def emit(self, body: Body) -> None:
        """See `Operation.emit`."""
        call, hidden = self.emit_step(body)
        source, output = self.inputs[0], body.at(self.output)
        size = f"{self.units} * sizeof({body.value_type})"
        if self.is_step:
            body.do(call.format(x=body.at(source)))
            body.do(f"memcpy({output}, {hidden}, {size});")
            return
        length = source.shape[0] or 0
        step = f"({length - 1} - step)" if self.goes_backwards else "step"
        body.do(f"for (int step = 0; step < {length}; ++step) {{")
        body.do("    " + call.format(x=f"{body.at(source)} + {step} * {source.channels}"))
        if self.gives_sequence:
            place = f"({length - 1} - step)" if self.turns_back else "step"
            body.do(f"    memcpy({output} + {place} * {self.units}, {hidden}, {size});")
        body.do("}")
        if not self.gives_sequence:
            body.do(f"memcpy({output}, {hidden}, {size});")

    def at_step(self, inputs: tuple[Value, ...], timed: Sequence[bool]) -> tuple[Operation, bool]:
        """See `Operation.at_step`."""
        if not timed[0] or self.goes_backwards:
            raise whole_sequence(self)
        if self.gives_sequence:
            return self.with_one_step(inputs), True
        return replace(self, inputs=inputs, is_step=True), False


def _note(seen: dict[str, list[Array]], **arrays: Array) -> None:
    for name, array in arrays.items():
        seen.setdefault(name, []).append(array)


class LSTM(Recurrent):
    """Long short-term memory: gates input, forget, candidate, output."""

    def stepper(self, batch: int, seen: dict[str, list[Array]]) -> Step:
        """See `Recurrent.stepper`."""
        state = [np.zeros((batch, self.units), np.float32) for _ in range(2)]

        def step(x: Array) -> Array:
            hidden, memory = state
            gates = x @ self.kernel.T + hidden @ self.recurrent.T + self.bias
            first, forget, candidate, last = np.split(gates, 4, axis=1)
            state[1] = self.gate(forget) * memory + self.gate(first) * self.activation(candidate)
            state[0] = self.gate(last) * self.activation(state[1])
            _note(seen, memory=state[1])
            return state[0]

        return step

    def emit_step(self, body: Body) -> tuple[str, str]:
        """See `Recurrent.emit_step`."""
        if body.code.is_int8:
            return int8.lstm(self, body)
        code, units = body.code, self.units
        code.kernel("lstm")
        parts = [
            code.matrix(f"{self.name}_kernel", self.kernel),
            code.matrix(f"{self.name}_recurrent", self.recurrent),
            code.array(f"{self.name}_bias", self.bias),
            code.function(self.activation),
            code.function(self.gate),
        ]
        layer = code.constant(f"{self.name}_layer", "lstm", f"{{{', '.join(parts)}}}")
        gates = body.scratch("gates", "float", 4 * units)
        memory, hidden = body.keep("memory", "float", units), body.keep("hidden", "float", units)
        return f"net_lstm_step(&{layer}, {{x}}, {gates}, {memory}, {hidden});", hidden


@dataclass(frozen=True, eq=False, kw_only=True)
class GRU(Recurrent):
    """Gated recurrent unit: gates update, reset, candidate.

    Attributes:
        recurrent_bias: one number a gate.
        resets_after: whether the reset gate acts behind the recurrent matrix, or before it.
    """

    recurrent_bias: Array
    resets_after: bool

    def stepper(self, batch: int, seen: dict[str, list[Array]]) -> Step:
        """See `Recurrent.stepper`."""
        del seen
        state = [np.zeros((batch, self.units), np.float32)]
        split = 2 * self.units

        def step(x: Array) -> Array:
            (hidden,) = state
            gates = x @ self.kernel.T + self.bias
            if self.resets_after:
                inner = hidden @ self.recurrent.T + self.recurrent_bias
                update, reset = np.split(self.gate(gates[:, :split] + inner[:, :split]), 2, axis=1)
                candidate = self.activation(gates[:, split:] + reset * inner[:, split:])
            else:
                inner = hidden @ self.recurrent[:split].T
                update, reset = np.split(self.gate(gates[:, :split] + inner), 2, axis=1)
                candidate = self.activation(gates[:, split:] + (reset * hidden) @ self.recurrent[split:].T)
            state[0] = update * hidden + (1 - update) * candidate
            return state[0]

        return step

    def emit_step(self, body: Body) -> tuple[str, str]:
        """See `Recurrent.emit_step`."""
        if body.code.is_int8:
            return int8.gru(self, body)
        code, units = body.code, self.units
        kernel = "gru" if self.resets_after else "gru_before"
        code.kernel(kernel)
        parts = [code.matrix(f"{self.name}_kernel", self.kernel)]
        if self.resets_after:
            parts += [
                code.matrix(f"{self.name}_recurrent", self.recurrent),
                code.array(f"{self.name}_bias", self.bias),
                code.array(f"{self.name}_recurrent_bias", self.recurrent_bias),
            ]
        else:
            parts += [
                code.matrix(f"{self.name}_recurrent_gates", self.recurrent[: 2 * units]),
                code.matrix(f"{self.name}_recurrent_candidate", self.recurrent[2 * units :]),
                code.array(f"{self.name}_bias", self.bias),
            ]
        parts += [code.function(self.activation), code.function(self.gate)]
        layer = code.constant(f"{self.name}_layer", kernel, f"{{{', '.join(parts)}}}")
        gates = body.scratch("gates", "float", 3 * units)
        other = body.scratch(
            "recurrent" if self.resets_after else "reset", "float", (3 if self.resets_after else 1) * units
        )
        hidden = body.keep("hidden", "float", units)
        return f"net_{kernel}_step(&{layer}, {{x}}, {gates}, {other}, {hidden});", hidden


class SimpleRNN(Recurrent):
    """A dense layer of the inputs and the hidden values."""

    def stepper(self, batch: int, seen: dict[str, list[Array]]) -> Step:
        """See `Recurrent.stepper`."""
        del seen
        state = [np.zeros((batch, self.units), np.float32)]

        def step(x: Array) -> Array:
            state[0] = self.activation(x @ self.kernel.T + state[0] @ self.recurrent.T + self.bias)
            return state[0]

        return step

    def emit_step(self, body: Body) -> tuple[str, str]:
        """See `Recurrent.emit_step`."""
        if body.code.is_int8:
            return int8.simple_rnn(self, body)
        code = body.code
        code.kernel("simple_rnn")
        parts = [
            code.matrix(f"{self.name}_kernel", self.kernel),
            code.matrix(f"{self.name}_recurrent", self.recurrent),
            code.array(f"{self.name}_bias", self.bias),
            code.function(self.activation),
        ]
        layer = code.constant(f"{self.name}_layer", "simple_rnn", f"{{{', '.join(parts)}}}")
        sums, hidden = body.scratch("sums", "float", self.units), body.keep("hidden", "float", self.units)
        return f"net_simple_rnn_step(&{layer}, {{x}}, {sums}, {hidden});", hidden
