"""Recurrent layers: LSTM, bidirectional LSTM, and GRU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

import keras
import numpy as np

from matlab_bridge._errors import NetworkMismatchError, UnsupportedLayerError
from matlab_bridge._layer import Array, Layer
from matlab_bridge.convert._rules import Parameter, Shapes, register_layer
from matlab_bridge.convert._site import Site, Tensor, keras_name
from matlab_bridge.convert.keras_objects import NoRecurrentBias

from ._recurrent import Recurrent, common_options, hidden_units, settings_of_recurrent
from ._settings import text

_AFTER, _BEFORE, _TWO_BIASES = (
    "after-multiplication",
    "before-multiplication",
    "recurrent-bias-after-multiplication",
)


def _column(array: Array) -> Array:
    return array.reshape(-1, 1)


def _features(shapes: Shapes) -> int:
    return int(shapes[0][-1] or 0)


@register_layer("nnet.cnn.layer.LSTMLayer")
@final
class LSTM(Recurrent):
    """`lstmLayer`: weights 4H x D, gates in the order input, forget, cell candidate, output, as in Keras."""

    keras_classes = ("LSTM",)

    def recurrent(self, site: Site, options: Mapping[str, Any]) -> keras.layers.Layer:
        """Keras' layer of the same name."""
        layer = site.layer
        return keras.layers.LSTM(hidden_units(layer), **options, **common_options(layer), name=site.name)

    def parameters(self, layer: Layer) -> tuple[Parameter, ...]:
        return (
            Parameter("InputWeights", "cell.kernel", np.transpose, np.transpose, path="lstm_cell/kernel"),
            Parameter(
                "RecurrentWeights",
                "cell.recurrent_kernel",
                np.transpose,
                np.transpose,
                path="lstm_cell/recurrent_kernel",
            ),
            Parameter("Bias", "cell.bias", to_matlab=_column, path="lstm_cell/bias"),
        )

    def settings_of(self, layer: keras.layers.Layer, shapes: Shapes) -> Mapping[str, Any]:
        """The same layer in MATLAB's words."""
        return settings_of_recurrent(layer, _features(shapes))


@register_layer("nnet.cnn.layer.BiLSTMLayer")
@final
class BiLSTM(Recurrent):
    """`bilstmLayer`: the first 4H rows of the 8H x D weights go forward, the others backward; so do the states.

    With `OutputMode` `"last"` each direction gives its state after its own last step.
    """

    keras_classes = ("Bidirectional",)
    directions: ClassVar[int] = 2

    def recurrent(self, site: Site, options: Mapping[str, Any]) -> keras.layers.Layer:
        """Keras' wrapper around an LSTM."""
        layer = site.layer
        # A clone has the paths of the inner layers alone: their names must say which layer they are of.
        name = keras_name(layer.name)
        lstm = keras.layers.LSTM(hidden_units(layer), **options, **common_options(layer), name=name)
        return keras.layers.Bidirectional(lstm, name=site.name)

    def split(self, states: list[Tensor]) -> list[Tensor]:
        """Keras takes the hidden state and the cell state forward, then both backward."""
        halves = [keras.ops.split(state, 2, axis=-1) for state in states]
        return [state[direction] for direction in (0, 1) for state in halves]

    def joined(self, states: list[Tensor]) -> list[Tensor]:
        """Keras gives them in the same order."""
        count = len(self.ports)
        return [keras.ops.concatenate([states[n], states[n + count]], axis=-1) for n in range(count)]

    def parameters(self, layer: Layer) -> tuple[Parameter, ...]:
        """Each of MATLAB's arrays is the two Keras ones after each other."""
        inner = keras_name(layer.name)

        def both(matlab: str, name: str, to_keras: Any, to_matlab: Any) -> Parameter:
            return Parameter(
                matlab,
                (f"forward_layer.cell.{name}", f"backward_layer.cell.{name}"),
                to_keras,
                to_matlab,
                path=(f"forward_{inner}/lstm_cell/{name}", f"backward_{inner}/lstm_cell/{name}"),
            )

        return (
            both("InputWeights", "kernel", np.transpose, np.transpose),
            both("RecurrentWeights", "recurrent_kernel", np.transpose, np.transpose),
            both("Bias", "bias", _column, _column),
        )

    def settings_of(self, layer: keras.layers.Layer, shapes: Shapes) -> Mapping[str, Any]:
        """The same layer in MATLAB's words."""
        forward, backward = layer.forward_layer, layer.backward_layer
        inputs = _features(shapes)
        if not all(isinstance(each, keras.layers.LSTM) for each in (forward, backward)):
            raise UnsupportedLayerError(
                f"it wraps a {type(forward).__name__}; MATLAB's goes both ways as an LSTM alone"
            )
        if layer.merge_mode != "concat":
            raise UnsupportedLayerError(f"its merge_mode is {layer.merge_mode!r}; MATLAB's layer concatenates")
        settings = settings_of_recurrent(forward, inputs)
        own = ("units", "activation", "recurrent_activation")
        if any(getattr(forward, option) != getattr(backward, option) for option in own):
            raise UnsupportedLayerError("its two layers differ in their units or activations")
        return settings


@register_layer("nnet.cnn.layer.GRULayer")
@final
class GRU(Recurrent):
    """`gruLayer`: weights 3H x D, gates in the order reset, update, candidate; Keras' are update, reset, candidate.

    | `ResetGateMode`                         | Keras                                            | `Bias` |
    |-----------------------------------------|--------------------------------------------------|--------|
    | `"after-multiplication"`                | `reset_after=True`, its recurrent bias kept zero | 3H x 1 |
    | `"before-multiplication"`               | `reset_after=False`                              | 3H x 1 |
    | `"recurrent-bias-after-multiplication"` | `reset_after=True`                               | 6H x 1 |

    Source: https://www.mathworks.com/help/deeplearning/ref/nnet.cnn.layer.grulayer.html
    """

    keras_classes = ("GRU",)
    ports: ClassVar[tuple[str, ...]] = ("hidden",)

    def objection(self, layer: Layer) -> str | None:
        """A mode that the documentation does not name."""
        return reset_gate_objection(layer) or super().objection(layer)

    def recurrent(self, site: Site, options: Mapping[str, Any]) -> keras.layers.Layer:
        """Keras' layer of the same name."""
        layer, mode = site.layer, reset_gate_mode(site.layer)
        return keras.layers.GRU(
            hidden_units(layer),
            **options,
            **common_options(layer),
            reset_after=mode != _BEFORE,
            bias_constraint=NoRecurrentBias() if mode == _AFTER else None,
            name=site.name,
        )

    def parameters(self, layer: Layer) -> tuple[Parameter, ...]:
        """Keras' kernels transposed, with the first two gates exchanged."""
        to_keras, to_matlab = _BIASES[reset_gate_mode(layer)]
        return (
            Parameter("InputWeights", "cell.kernel", _to_keras, _to_matlab, path="gru_cell/kernel"),
            Parameter(
                "RecurrentWeights", "cell.recurrent_kernel", _to_keras, _to_matlab, path="gru_cell/recurrent_kernel"
            ),
            Parameter("Bias", "cell.bias", to_keras, to_matlab, path="gru_cell/bias"),
        )

    def settings_of(self, layer: keras.layers.Layer, shapes: Shapes) -> Mapping[str, Any]:
        """The same layer in MATLAB's words; a recurrent bias that is zero is left out."""
        mode = _BEFORE
        if layer.reset_after:
            bias = layer.cell.bias
            has_two = bias is not None and np.any(keras.ops.convert_to_numpy(bias)[1])
            mode = _TWO_BIASES if has_two else _AFTER
        return {**settings_of_recurrent(layer, _features(shapes)), "ResetGateMode": mode}


def reset_gate_mode(layer: Layer) -> str:
    """`ResetGateMode`, by default MATLAB's own."""
    return text(layer, "ResetGateMode", _AFTER)


def reset_gate_objection(layer: Layer) -> str | None:
    """Why the mode is none that is known, or None."""
    mode = reset_gate_mode(layer)
    return None if mode in _BIASES else f"its ResetGateMode is {mode!r}, which is none of {', '.join(_BIASES)}"


def _exchange(array: Array) -> Array:
    """Reset, update, candidate as update, reset, candidate, and the other way round, along the rows."""
    first, second, candidate = np.split(array, 3)
    return np.concatenate([second, first, candidate])


def _to_keras(weights: Array) -> Array:
    return _exchange(weights).T


def _to_matlab(kernel: Array) -> Array:
    return _exchange(kernel.T)


def _one_bias_to_keras(bias: Array) -> Array:
    return _exchange(bias.ravel())


def _one_bias_to_matlab(bias: Array) -> Array:
    return _column(_exchange(bias))


def _two_biases_to_keras(bias: Array) -> Array:
    return np.stack([_exchange(each) for each in np.split(bias.ravel(), 2)])


def _two_biases_to_matlab(bias: Array) -> Array:
    return np.concatenate([_one_bias_to_matlab(each) for each in bias])


def _input_bias_to_keras(bias: Array) -> Array:
    exchanged = _one_bias_to_keras(bias)
    return np.stack([exchanged, np.zeros_like(exchanged)])


def _input_bias_to_matlab(bias: Array) -> Array:
    if bias.ndim == 1:  # of a Keras layer without a bias
        return _one_bias_to_matlab(bias)
    of_input, recurrent = bias
    if bias.dtype != bool and np.any(recurrent):
        raise NetworkMismatchError(
            f"MATLAB's layer has no recurrent bias, and training has given the Keras layer one. Train the model "
            f"that to_keras() makes, whose constraint keeps it at zero, or write the network with save_portable, as "
            f"a layer of the mode {_TWO_BIASES!r}."
        )
    return _one_bias_to_matlab(of_input)


_BIASES = {
    _AFTER: (_input_bias_to_keras, _input_bias_to_matlab),
    _BEFORE: (_one_bias_to_keras, _one_bias_to_matlab),
    _TWO_BIASES: (_two_biases_to_keras, _two_biases_to_matlab),
}
