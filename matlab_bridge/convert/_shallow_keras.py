"""What a shallow network computes and no Keras layer does: transfer functions, distances, delayed feedback."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, final

import keras

from ._site import Tensor


def _hardlim(n: Tensor) -> Tensor:
    return keras.ops.cast(keras.ops.greater_equal(n, 0), n.dtype)


def _compet(n: Tensor) -> Tensor:
    # Of equal values the first one wins, in MATLAB as here.
    return keras.ops.one_hot(keras.ops.argmax(n, axis=-1), n.shape[-1], dtype=n.dtype)


# https://www.mathworks.com/help/deeplearning/transfer-functions.html and the pages of each function
TRANSFER_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "compet": _compet,
    "elliotsig": lambda n: n / (1 + keras.ops.abs(n)),
    "hardlim": _hardlim,
    "hardlims": lambda n: 2 * _hardlim(n) - 1,
    "logsig": keras.ops.sigmoid,
    "netinv": keras.ops.reciprocal,
    "poslin": keras.ops.relu,
    "purelin": lambda n: n,
    "radbas": lambda n: keras.ops.exp(-keras.ops.square(n)),
    # exp(-n^2) divided by its sum.
    "radbasn": lambda n: keras.ops.softmax(-keras.ops.square(n)),
    "satlin": lambda n: keras.ops.clip(n, 0, 1),
    "satlins": lambda n: keras.ops.clip(n, -1, 1),
    "softmax": keras.ops.softmax,
    "tansig": keras.ops.tanh,
    "tribas": lambda n: keras.ops.relu(1 - keras.ops.abs(n)),
}


@final
@keras.saving.register_keras_serializable(package="matlab_bridge")
class Distance(keras.layers.Layer):  # type: ignore[misc]  # Keras ships no type information
    """The Euclidean distance of each input vector from each neuron's weights: `dist`.

    Args:
        units: the number of neurons S; the kernel is R x S for inputs of R elements.
        **options: as for any Keras layer.
    """

    def __init__(self, units: int, **options: Any) -> None:
        super().__init__(**options)
        self.units = units

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the kernel."""
        self.kernel = self.add_weight(name="kernel", shape=(input_shape[-1], self.units))

    def call(self, inputs: Tensor) -> Tensor:
        """One distance a neuron."""
        difference = keras.ops.expand_dims(inputs, -1) - self.kernel
        return keras.ops.sqrt(keras.ops.sum(keras.ops.square(difference), axis=-2))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The input's, with one element a neuron."""
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        """What makes an equal layer."""
        return {**super().get_config(), "units": self.units}


@final
@keras.saving.register_keras_serializable(package="matlab_bridge")
class DelayedFeedback(keras.layers.Layer):  # type: ignore[misc]  # Keras ships no type information
    """A layer that is fed by its own outputs of earlier steps: y(t) = f(x(t) + W [y(t - d1); y(t - d2); ...]).

    Outputs before the first step are zeros.

    Args:
        delays: the numbers of steps d1, d2, ..., each at least 1.
        transfer: MATLAB's name of the transfer function f.
        **options: as for any Keras layer.
    """

    def __init__(self, delays: Sequence[int], transfer: str, **options: Any) -> None:
        super().__init__(**options)
        self.delays = tuple(delays)
        self.transfer = transfer

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the kernel, the transpose of W."""
        units = input_shape[-1] or 0
        self.kernel = self.add_weight(name="kernel", shape=(len(self.delays) * units, units))
        step = _Step(self._output, units, max(self.delays), dtype=self.dtype_policy)
        self._steps = keras.layers.RNN(step, return_sequences=True, dtype=self.dtype_policy)

    def _output(self, inputs: Tensor, past: Sequence[Tensor]) -> Tensor:
        fed_back = keras.ops.concatenate([past[delay - 1] for delay in self.delays], axis=-1)
        return TRANSFER_FUNCTIONS[self.transfer](inputs + keras.ops.matmul(fed_back, self.kernel))

    def call(self, inputs: Tensor) -> Tensor:
        """Sequences (N, T, S) to sequences of the same shape."""
        return self._steps(inputs)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The input's."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """What makes an equal layer."""
        return {**super().get_config(), "delays": list(self.delays), "transfer": self.transfer}


class _Step(keras.layers.Layer):  # type: ignore[misc]  # Keras ships no type information
    """One step of a layer that feeds itself, in the form that Keras asks of a cell; it has no weights of its own.

    The states are the outputs of the steps before, the last one first.
    """

    def __init__(
        self, output: Callable[[Tensor, Sequence[Tensor]], Tensor], units: int, depth: int, **options: Any
    ) -> None:
        super().__init__(**options)
        self._output = output
        self.state_size = [units] * depth
        self.output_size = units

    def call(self, inputs: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        output = self._output(inputs, states)
        return output, [output, *states[:-1]]
