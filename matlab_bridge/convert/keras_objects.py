"""What some of MATLAB's layers need beyond Keras' own: an activation, a constraint, two recurrent cells, two layers.

A converted model is made of Keras' own layers but for these. Keras loads a saved model with one of them only after
they are registered, and importing this module registers them:

    import matlab_bridge.convert.keras_objects
"""

from __future__ import annotations

from typing import Any

import keras

from ._shallow_keras import DelayedFeedback, Distance
from ._site import Tensor

__all__ = ["DelayedFeedback", "Distance", "NoRecurrentBias", "ProjectedGRUCell", "ProjectedLSTMCell", "hard_sigmoid"]

_register = keras.saving.register_keras_serializable(package="matlab_bridge")


@_register  # type: ignore[untyped-decorator] # Keras has no type information
def hard_sigmoid(x: Tensor) -> Tensor:
    """MATLAB's hard sigmoid, 0.2 x + 0.5 between 0 and 1; Keras' own has the slope 1/6.

    Args:
        x: a tensor of any shape.

    Returns:
        A tensor of that shape.

    Source: https://www.mathworks.com/help/deeplearning/ref/nnet.cnn.layer.lstmlayer.html, "Activations"
    """
    return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)


@_register
class NoRecurrentBias(keras.constraints.Constraint):  # type: ignore[misc] # Keras has no type information
    """Keeps the second of the two biases of a Keras GRU at zero: most of MATLAB's GRUs have the first alone."""

    def __call__(self, bias: Tensor) -> Tensor:
        """The bias (2, 3 H) with zeros in its second row."""
        return keras.ops.multiply(bias, keras.ops.cast([[1], [0]], bias.dtype))


class _ProjectedCell(keras.layers.Layer):  # type: ignore[misc] # Keras has no type information
    """A recurrent cell that sees its input and its state through projectors.

    In place of `W x` it computes `W' (Q' x)`, where Q is a projector and W' = W Q is stored.

    Args:
        units: H, the number of hidden units.
        input_projector_size: q; the input projector is (D, q), the kernel (q, gates H).
        output_projector_size: p; the output projector is (H, p), the recurrent kernel (p, gates H).
        activation: of the state.
        recurrent_activation: of the gates.
        **options: of `keras.layers.Layer`.
    """

    gates = 1

    def __init__(
        self,
        units: int,
        input_projector_size: int,
        output_projector_size: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.units = units
        self.input_projector_size = input_projector_size
        self.output_projector_size = output_projector_size
        self.activation = keras.activations.get(activation)
        self.recurrent_activation = keras.activations.get(recurrent_activation)

    @property
    def output_size(self) -> int:
        return self.units

    def bias_shape(self) -> tuple[int, ...]:
        return (self.gates * self.units,)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        shapes = {
            "input_projector": (input_shape[-1], self.input_projector_size),
            "kernel": (self.input_projector_size, self.gates * self.units),
            "output_projector": (self.units, self.output_projector_size),
            "recurrent_kernel": (self.output_projector_size, self.gates * self.units),
        }
        for name, shape in shapes.items():
            setattr(self, name, self.add_weight(shape=shape, initializer="glorot_uniform", name=name))
        self.bias = self.add_weight(shape=self.bias_shape(), initializer="zeros", name="bias")

    def from_input(self, inputs: Tensor) -> Tensor:
        return keras.ops.matmul(keras.ops.matmul(inputs, self.input_projector), self.kernel)

    def from_state(self, state: Tensor, kernel: Tensor) -> Tensor:
        return keras.ops.matmul(keras.ops.matmul(state, self.output_projector), kernel)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "input_projector_size": self.input_projector_size,
            "output_projector_size": self.output_projector_size,
            "activation": keras.activations.serialize(self.activation),
            "recurrent_activation": keras.activations.serialize(self.recurrent_activation),
        }


@_register
class ProjectedLSTMCell(_ProjectedCell):
    """The cell of `lstmProjectedLayer`; gates in the order input, forget, cell candidate, output.

    Source: https://www.mathworks.com/help/deeplearning/ref/nnet.cnn.layer.lstmprojectedlayer.html
    """

    gates = 4

    @property
    def state_size(self) -> list[int]:
        """Hidden state and cell state."""
        return [self.units, self.units]

    def call(self, inputs: Tensor, states: Any) -> tuple[Tensor, list[Tensor]]:
        """One step.

        Args:
            inputs: (N, D).
            states: the hidden state and the cell state, (N, H) each.

        Returns:
            The hidden state, and both states.
        """
        hidden, cell = states
        gates = self.from_input(inputs) + self.from_state(hidden, self.recurrent_kernel) + self.bias
        into, forget, candidate, out = keras.ops.split(gates, 4, axis=-1)
        cell = self.recurrent_activation(forget) * cell
        cell = cell + self.recurrent_activation(into) * self.activation(candidate)
        hidden = self.recurrent_activation(out) * self.activation(cell)
        return hidden, [hidden, cell]


@_register
class ProjectedGRUCell(_ProjectedCell):
    """The cell of `gruProjectedLayer`; gates in the order reset, update, candidate.

    Args:
        *arguments: as for `ProjectedLSTMCell`: the units, then the sizes of the two projectors.
        reset_gate_mode: MATLAB's `ResetGateMode`: where the reset gate acts on the candidate.
        **options: the activations, and those of `keras.layers.Layer`.

    Source: https://www.mathworks.com/help/deeplearning/ref/nnet.cnn.layer.gruprojectedlayer.html
    """

    gates = 3

    def __init__(self, *arguments: int, reset_gate_mode: str = "after-multiplication", **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.reset_gate_mode = reset_gate_mode

    @property
    def state_size(self) -> int:
        """The hidden state."""
        return self.units

    def bias_shape(self) -> tuple[int, ...]:
        """Two biases where the recurrent one is separate."""
        return (2, 3 * self.units) if self.reset_gate_mode.startswith("recurrent-bias") else (3 * self.units,)

    def call(self, inputs: Tensor, states: Any) -> tuple[Tensor, list[Tensor]]:
        """One step.

        Args:
            inputs: (N, D).
            states: the hidden state (N, H), alone in a list or not.

        Returns:
            The hidden state, twice.
        """
        hidden = states[0] if isinstance(states, list | tuple) else states
        bias = keras.ops.convert_to_tensor(self.bias)
        biases = (bias[0], bias[1]) if len(bias.shape) == 2 else (bias, keras.ops.zeros_like(bias))
        from_input = keras.ops.split(self.from_input(inputs) + biases[0], 3, axis=-1)
        split = 2 * self.units
        gates = self.from_state(hidden, self.recurrent_kernel[:, :split]) + biases[1][:split]
        reset, update = (
            self.recurrent_activation(seen + remembered)
            for seen, remembered in zip(from_input, keras.ops.split(gates, 2, axis=-1), strict=False)
        )
        kernel = self.recurrent_kernel[:, split:]
        if self.reset_gate_mode == "before-multiplication":
            recurrent = self.from_state(reset * hidden, kernel)
        else:
            recurrent = reset * (self.from_state(hidden, kernel) + biases[1][split:])
        hidden = (1 - update) * self.activation(from_input[2] + recurrent) + update * hidden
        return hidden, [hidden]

    def get_config(self) -> dict[str, Any]:
        """The arguments, as Keras saves them."""
        return {**super().get_config(), "reset_gate_mode": self.reset_gate_mode}
