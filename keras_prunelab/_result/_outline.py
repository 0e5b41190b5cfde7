"""What a result remembers of its model: the layers in order, and how often each weight is used."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keras_prunelab._cost._macs import uses_by_variable
from keras_prunelab._model._prunable import prunable
from keras_prunelab._model._variables import Prunable, Role
from keras_prunelab._select._masks import Masks

if TYPE_CHECKING:
    import keras

Family = Literal[
    "convolution", "fully connected", "recurrent", "normalization", "pooling", "addition", "flatten", "other"
]

_POOLING = ("MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool", "AdaptiveMax", "AdaptiveAverage")
_RECURRENT = ("LSTM", "GRU", "RNN", "Bidirectional")


@dataclass(frozen=True)
class VariableOutline:
    """A variable of a layer.

    Attributes:
        path: the key of its mask.
        role: what it does, such as `"kernel"`.
        shape: its shape in Keras' layout.
        output_axes: the axes that count filters or units.
        uses: in how many multiply-adds one element takes part for one observation: 0 for biases and scales,
            None where the layer's type or a free dimension leaves it unknown.
    """

    path: str
    role: Role
    shape: tuple[int, ...]
    output_axes: tuple[int, ...]
    uses: int | None

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    def by_filter(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The variable's mask as a matrix with one column per filter."""
        filters = math.prod(self.shape[axis] for axis in self.output_axes)
        ends = range(-len(self.output_axes), 0)
        return np.moveaxis(mask, self.output_axes, tuple(ends)).reshape(-1, filters)


@dataclass(frozen=True)
class LayerOutline:
    """A layer of the model, with or without variables, in the order of the computation.

    Attributes:
        name: the layer's name.
        kind: its Keras class, such as `"Conv2D"`.
        variables: those that training changes, of layers inside it too.
    """

    name: str
    kind: str
    variables: tuple[VariableOutline, ...] = ()

    @property
    def family(self) -> Family:
        """The sort of layer, as reports speak of it."""
        kind = self.kind
        if "Conv" in kind and "LSTM" not in kind:
            return "convolution"
        if kind.endswith("Normalization"):
            return "normalization"
        if kind.startswith(_POOLING):
            return "pooling"
        if kind in {"Dense", "EinsumDense"}:
            return "fully connected"
        if any(part in kind for part in _RECURRENT):
            return "recurrent"
        return {"Add": "addition", "Flatten": "flatten"}.get(kind, "other")  # type: ignore[return-value]

    def filters_kept(self, masks: Masks) -> NDArray[np.bool_] | None:
        """Which filters (of a convolution) or units (of a fully connected layer) are left.

        A filter is gone when every learnable of it that the masks cover is zero: its weights and its bias
        where biases are pruned, its weights alone where the convention leaves biases out.
        """
        if self.family not in {"convolution", "fully connected"}:
            return None
        covered = [variable for variable in self.variables if variable.path in masks]
        kernels = [variable for variable in covered if variable.role == "kernel" and variable.output_axes]
        if not kernels:
            return None
        # The last kernel makes the output: in a separable convolution the pointwise one.
        kept = np.asarray(kernels[-1].by_filter(masks[kernels[-1].path]).any(axis=0))
        for variable in covered:
            if variable.role == "bias" and variable.size == kept.size:
                kept |= masks[variable.path].ravel()
        return kept


@dataclass(frozen=True)
class Left:
    """What masks leave of a network, as counts.

    Attributes:
        zeros: how many weights of each variable that the masks cover are zero, by path.
        removed: of each layer of the outline, how many filters or units are gone; None where it has none to count.
    """

    zeros: Mapping[str, int]
    removed: tuple[int | None, ...]


@dataclass(frozen=True)
class Outline:
    """The layers of a model, early to late."""

    layers: tuple[LayerOutline, ...]

    def left(self, masks: Masks) -> Left:
        """Count what masks leave."""
        zeros = {path: int(mask.size - np.count_nonzero(mask)) for path, mask in masks.items()}
        kept = [layer.filters_kept(masks) for layer in self.layers]
        removed = (None if each is None else int(each.size - np.count_nonzero(each)) for each in kept)
        return Left(zeros, tuple(removed))

    def table(self, left: Left) -> pd.DataFrame:
        """One row for each layer that is pruned, with the columns of `SweepResult.layers`."""
        rows = [
            self._row(layer, left, removed)
            for layer, removed in zip(self.layers, left.removed, strict=True)
            if any(variable.path in left.zeros for variable in layer.variables)
        ]
        counts = ["filters", "filters_removed", "macs", "macs_kept"]
        return pd.DataFrame(rows, columns=_COLUMNS).astype(dict.fromkeys(counts, "Int64"))

    def macs(self, left: Left) -> tuple[int, int, tuple[str, ...]]:
        """Multiply-adds of the whole model, those that are left, and the layers that could not be counted."""
        counted = [(layer, _macs(layer, left)) for layer in self.layers if layer.variables]
        unknown = tuple(layer.name for layer, (total, _) in counted if total is None)
        return (
            sum(total or 0 for _, (total, _) in counted),
            sum(kept or 0 for _, (_, kept) in counted),
            unknown,
        )

    @staticmethod
    def _row(layer: LayerOutline, left: Left, removed: int | None) -> dict[str, object]:
        covered = [variable for variable in layer.variables if variable.path in left.zeros]
        parameters = sum(variable.size for variable in covered)
        zeros = sum(left.zeros[variable.path] for variable in covered)
        total, kept = _macs(layer, left)
        return {
            "layer": layer.name,
            "type": layer.kind,
            "parameters": parameters,
            "zeros": zeros,
            "sparsity": zeros / parameters,
            "filters": None if removed is None else _filters(covered),
            "filters_removed": removed,
            "macs": total,
            "macs_kept": kept,
        }


_COLUMNS = ["layer", "type", "parameters", "zeros", "sparsity", "filters", "filters_removed", "macs", "macs_kept"]


def _filters(covered: Sequence[VariableOutline]) -> int:
    """How many filters the last kernel makes."""
    kernel = [variable for variable in covered if variable.role == "kernel" and variable.output_axes][-1]
    return math.prod(kernel.shape[axis] for axis in kernel.output_axes)


def _macs(layer: LayerOutline, left: Left) -> tuple[int, int] | tuple[None, None]:
    total = kept = 0
    for variable in layer.variables:
        if variable.uses is None:
            return None, None
        total += variable.uses * variable.size
        kept += variable.uses * (variable.size - left.zeros.get(variable.path, 0))
    return total, kept


def outline(model: keras.Model) -> Outline:
    """The outline of a built model.

    Multiply-adds are counted for one observation, as one per weight of a kernel and position at which it is
    used; biases, normalization, activations and pooling are not counted.
    """
    items = {id(item.variable): item for item in prunable(model, learnables="all")}
    used = uses_by_variable(model)
    layers = []
    for layer in _leaves(model):
        owned = [items.pop(id(weight)) for weight in layer.weights if id(weight) in items]
        variables = (VariableOutline(o.path, o.role, o.shape, o.output_axes, _uses(layer, o, used)) for o in owned)
        layers.append(LayerOutline(layer.name, type(layer).__name__, tuple(variables)))
    return Outline(tuple(layers))


def _leaves(model: Any) -> Iterator[Any]:
    """The layers, with those of nested models in their place."""
    for layer in model.layers:
        if hasattr(layer, "layers") and hasattr(layer, "get_layer"):
            yield from _leaves(layer)
        else:
            yield layer


def _uses(layer: Any, item: Prunable, used: Mapping[int, int]) -> int | None:
    if item.role in ("bias", "gamma", "beta"):
        return 0
    if item.role == "other" and not type(layer).__module__.startswith("keras."):
        return None  # in a layer of somebody's own, multiply-adds may hide behind any name
    return used.get(id(item.variable))
