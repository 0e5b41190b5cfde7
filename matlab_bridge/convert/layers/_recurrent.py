"""What MATLAB's recurrent layers share: activations, the states that they start with, and their ports."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import keras
import numpy as np

from matlab_bridge._errors import InvalidNetworkError, UnsupportedLayerError
from matlab_bridge._layer import Array, Layer
from matlab_bridge.convert._rules import LayerRule
from matlab_bridge.convert._site import Site, Tensor, is_sequence
from matlab_bridge.convert.keras_objects import hard_sigmoid

from ._settings import flag, integer, is_given, text

# MATLAB's names of the activations, and what Keras calls the same function.
_ACTIVATIONS: Mapping[str, Any] = {
    "tanh": "tanh",
    "softsign": "softsign",
    "relu": "relu",
    "sigmoid": "sigmoid",
    "hard-sigmoid": hard_sigmoid,
}
_ROLES = {"StateActivationFunction": "tanh", "GateActivationFunction": "sigmoid"}


class Recurrent(LayerRule):
    """One of MATLAB's recurrent layers.

    The states that a layer starts with are those that MATLAB saved with it (`HiddenState`, `CellState`), or come
    in at the ports of these names where the layer has `HasStateInputs`.

    Attributes:
        ports: MATLAB's names of the states, in Keras' order.
        directions: how many ways it goes through a sequence; its states have H numbers for each.
    """

    ports: ClassVar[tuple[str, ...]] = ("hidden", "cell")
    directions: ClassVar[int] = 1

    @abstractmethod
    def recurrent(self, site: Site, options: Mapping[str, Any]) -> keras.layers.Layer:
        """The Keras layer; `options` are those that all of Keras' recurrent layers take."""

    def split(self, states: list[Tensor]) -> list[Tensor]:
        """The states as Keras takes them, of those at MATLAB's ports."""
        return states

    def joined(self, states: list[Tensor]) -> list[Tensor]:
        """The states at MATLAB's ports, of those that Keras gives."""
        return states

    def sizes_of(self, layer: Layer, built: keras.layers.Layer) -> Mapping[str, Any]:
        """The features, and the units of one direction."""
        cell = getattr(built, "forward_layer", built).cell
        first = getattr(cell, "input_projector", cell.kernel)
        sizes = {"InputSize": first.shape[0], "NumHiddenUnits": cell.units}
        return {name: np.array([[size]], dtype=float) for name, size in sizes.items()}

    def objection(self, layer: Layer) -> str | None:
        """Activations that MATLAB's documentation does not name."""
        for role, default in _ROLES.items():
            if (name := text(layer, role, default)) not in _ACTIVATIONS:
                return f"its {role} is {name!r}, which is none of {', '.join(map(repr, _ACTIVATIONS))}"
        return None

    def build(self, site: Site) -> Tensor | Mapping[str, Tensor]:
        """The Keras layer on sequences; its states are outputs too where MATLAB's layer has `HasStateOutputs`."""
        layer, sequences = site.layer, site.as_vector(site.input)
        if not is_sequence(sequences) or len(sequences.shape) != 3:
            raise UnsupportedLayerError(
                f"it acts on sequences of vectors, but {tuple(site.input.shape)} reaches it; "
                f"a flattenLayer before it makes vectors of images"
            )
        gives_states = flag(layer, "HasStateOutputs")
        options = {
            "activation": _ACTIVATIONS[text(layer, "StateActivationFunction", "tanh")],
            "recurrent_activation": _ACTIVATIONS[text(layer, "GateActivationFunction", "sigmoid")],
        }
        outputs = self.recurrent(site, options)(sequences, initial_state=self._initial_states(site, sequences))
        if not gives_states:
            return outputs
        out, *states = outputs
        return {"out": out, **dict(zip(self.ports, self.joined(states), strict=True))}

    def _initial_states(self, site: Site, sequences: Tensor) -> list[Tensor] | None:
        """None stands for zeros."""
        if flag(site.layer, "HasStateInputs"):
            states = [site.at(port) for port in self.ports]
            if any(state is None for state in states):
                raise InvalidNetworkError(
                    f"The layer {site.layer.name!r} takes its states from other layers (HasStateInputs), and nothing "
                    f"is connected to all of its ports {', '.join(self.ports)}."
                )
            return self.split(states)
        values = {port: saved_state(site.layer, f"{port.capitalize()}State") for port in self.ports}
        if not any(np.any(value) for value in values.values()):
            return None
        size = self.directions * hidden_units(site.layer)
        for port, value in values.items():
            if value.size not in (0, size):
                raise UnsupportedLayerError(
                    f"its {port.capitalize()}State has {value.size} numbers, and the {size} of one sequence were "
                    f"expected: a batch leaves such a state. Save the network again after net = resetState(net)"
                )
        return self.split(
            [
                _constant(site, sequences, port, value if value.size else np.zeros(size))
                for port, value in values.items()
            ]
        )


def saved_state(layer: Layer, name: str) -> Array:
    """A state as MATLAB saved it: the one that predicting would go on from."""
    current = layer.state.get(name, np.empty(0))
    return np.ravel(current if current.size else layer.state.get(f"Initial{name}", np.empty(0)))


def _constant(site: Site, sequences: Tensor, port: str, values: Array) -> Tensor:
    """The same state (N, H) for each of N sequences."""
    zeros = keras.ops.repeat(keras.ops.zeros_like(sequences[:, 0, :1]), values.size, axis=-1)
    return keras.layers.Rescaling(1.0, values.tolist(), name=site.helper(port))(zeros)


def returns_sequences(layer: Layer) -> bool:
    """Whether the layer gives the output of each step, MATLAB's default, and not that of the last one alone."""
    if is_given(layer, "ReturnSequence"):
        return flag(layer, "ReturnSequence")
    return text(layer, "OutputMode", "sequence") == "sequence"


def common_options(layer: Layer) -> dict[str, Any]:
    """What Keras' recurrent layers and wrappers take alike."""
    return {"return_sequences": returns_sequences(layer), "return_state": flag(layer, "HasStateOutputs")}


def hidden_units(layer: Layer) -> int:
    """H."""
    return integer(layer, "NumHiddenUnits")


def settings_of_recurrent(layer: keras.layers.Layer, inputs: int) -> dict[str, Any]:
    """The settings that MATLAB's recurrent layers share, of a Keras one that takes D features.

    Raises:
        UnsupportedLayerError: if MATLAB's layer cannot do the same.
    """
    for option in ("go_backwards", "stateful", "return_state"):
        if getattr(layer, option, False):
            raise UnsupportedLayerError(f"its {option} is on, which MATLAB's layer cannot do the same way")
    words = {_serialize(function): name for name, function in _ACTIVATIONS.items()}
    functions = {
        "StateActivationFunction": _serialize(layer.activation),
        "GateActivationFunction": _serialize(layer.recurrent_activation),
    }
    if strange := [function for function in functions.values() if function not in words]:
        raise UnsupportedLayerError(f"its activation {strange[0]!r} is none of those of MATLAB's recurrent layers")
    return {
        "InputSize": np.array([[inputs]], dtype=float),
        "NumHiddenUnits": np.array([[layer.units]], dtype=float),
        "ReturnSequence": np.array([[bool(layer.return_sequences)]]),
        **{role: words[function] for role, function in functions.items()},
        "HasStateInputs": np.zeros((1, 1), dtype=bool),
        "HasStateOutputs": np.zeros((1, 1), dtype=bool),
    }


def _serialize(function: Any) -> str:
    return str(keras.activations.serialize(keras.activations.get(function)))
