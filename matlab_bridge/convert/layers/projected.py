"""Recurrent layers whose weights were compressed by projection: their projectors stay weights of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

import keras
import numpy as np

from matlab_bridge._layer import Array, Layer
from matlab_bridge.convert._rules import Parameter, register_layer
from matlab_bridge.convert._site import Site, keras_name
from matlab_bridge.convert.keras_objects import ProjectedGRUCell, ProjectedLSTMCell

from ._recurrent import Recurrent, common_options, hidden_units
from ._settings import integer
from .recurrent import reset_gate_mode, reset_gate_objection


def _sizes(layer: Layer) -> tuple[int, int, int]:
    """H, and the sizes of the projectors of the input and of the output."""
    return hidden_units(layer), integer(layer, "InputProjectorSize"), integer(layer, "OutputProjectorSize")


def _unchanged(projector: Array) -> Array:
    return projector


def _row(bias: Array) -> Array:
    return bias.ravel()


def _column(bias: Array) -> Array:
    return bias.reshape(-1, 1)


def _rows(bias: Array) -> Array:
    return np.stack(np.split(bias.ravel(), 2)) if bias.size else bias


def _cell_name(layer: Layer) -> str:
    """A clone has the paths of the cells alone: their names must say which layer they are of."""
    return f"{keras_name(layer.name)}_cell"


def _parameters(layer: Layer, bias_to_keras: Any) -> tuple[Parameter, ...]:
    """Weights as Keras' kernels transposed; the projectors, D x q and H x p, are as they are."""
    names: dict[str, tuple[str, Any, Any]] = {
        "InputWeights": ("kernel", np.transpose, np.transpose),
        "RecurrentWeights": ("recurrent_kernel", np.transpose, np.transpose),
        "Bias": ("bias", bias_to_keras, _column),
        "InputProjector": ("input_projector", _unchanged, _unchanged),
        "OutputProjector": ("output_projector", _unchanged, _unchanged),
    }
    return tuple(
        Parameter(matlab, f"cell.{name}", to_keras, to_matlab, path=f"{_cell_name(layer)}/{name}")
        for matlab, (name, to_keras, to_matlab) in names.items()
    )


@register_layer("nnet.cnn.layer.LSTMProjectedLayer")
@final
class LSTMProjected(Recurrent):
    """`lstmProjectedLayer`: 4H x q and 4H x p weights behind projectors D x q and H x p."""

    def recurrent(self, site: Site, options: Mapping[str, Any]) -> keras.layers.Layer:
        """A cell of this package in Keras' `RNN`."""
        cell = ProjectedLSTMCell(*_sizes(site.layer), **options, name=_cell_name(site.layer))
        return keras.layers.RNN(cell, **common_options(site.layer), name=site.name)

    def parameters(self, layer: Layer) -> tuple[Parameter, ...]:
        return _parameters(layer, _row)


@register_layer("nnet.cnn.layer.GRUProjectedLayer")
@final
class GRUProjected(Recurrent):
    """`gruProjectedLayer`: 3H x q and 3H x p weights behind projectors D x q and H x p."""

    ports: ClassVar[tuple[str, ...]] = ("hidden",)

    def objection(self, layer: Layer) -> str | None:
        """A mode that the documentation does not name."""
        return reset_gate_objection(layer) or super().objection(layer)

    def recurrent(self, site: Site, options: Mapping[str, Any]) -> keras.layers.Layer:
        """A cell of this package in Keras' `RNN`."""
        mode = reset_gate_mode(site.layer)
        cell = ProjectedGRUCell(*_sizes(site.layer), reset_gate_mode=mode, **options, name=_cell_name(site.layer))
        return keras.layers.RNN(cell, **common_options(site.layer), name=site.name)

    def parameters(self, layer: Layer) -> tuple[Parameter, ...]:
        """All five arrays; the cell has its gates in MATLAB's order."""
        has_two = reset_gate_mode(layer).startswith("recurrent-bias")
        return _parameters(layer, _rows if has_two else _row)
