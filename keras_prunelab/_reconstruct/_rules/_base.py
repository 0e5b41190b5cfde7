"""What a rule says of a layer: the products of matrices that its outputs are made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import keras
import numpy as np
from numpy.typing import NDArray

Values: TypeAlias = NDArray[Any]
Places: TypeAlias = NDArray[np.intp]


@dataclass(frozen=True)
class Seen:
    """One call of a layer.

    Attributes:
        layer: the layer that was called; its weights are those of the call.
        inputs: its first argument, in NumPy.
        mask: which time steps count, or None.
        state: the initial state of a recurrent layer, or None.
        reference: the same call in the unpruned network, or None where this is it.
    """

    layer: Any
    inputs: Values
    mask: NDArray[np.bool_] | None = None
    state: tuple[Values, ...] | None = None
    reference: Seen | None = None

    @property
    def unpruned(self) -> Seen:
        """The call in the unpruned network."""
        return self if self.reference is None else self.reference


@dataclass(frozen=True)
class LinearMap:
    """Some products of rows, made from a layer's inputs, with matrices, made of its weights.

    Attributes:
        name: which part of the layer this is, such as `"kernel"`.
        places: p x n x m: where each entry of the p matrices stands in the layer's weights, flat, one array after the
            other, as `flat_weights` has them.
        rows: makes p x samples x n from a call.
        has_bias: whether the last row of each matrix is a bias, and the last input one.
        follows: whether the rows are made with weights of the maps before it, so that those are solved first.
    """

    name: str
    places: Places
    rows: Callable[[Seen], Values]
    has_bias: bool
    follows: bool = False

    def read(self, flat: Values) -> Values:
        """The matrices, p x n x m, of a layer's flat weights, masks or scores."""
        return flat[self.places]

    def write(self, flat: Values, matrices: Values) -> None:
        """Put matrices back into a layer's flat weights.

        What is not zero stays so, also where the weights are of lower precision: a kept weight is never lost.
        """
        old = flat[self.places]
        new = np.asarray(matrices).astype(flat.dtype)
        flat[self.places] = np.where((new == 0) & (np.asarray(matrices) != 0), old, new)


class Rule(ABC):
    """How to see layers of a class as linear maps; see `register_linear_rule`."""

    @abstractmethod
    def maps(self, layer: Any) -> Sequence[LinearMap]:
        """The linear maps of a built layer.

        Raises:
            NoLinearMapError: this layer has none, with the reason.
        """


class NoLinearMapError(Exception):
    """A layer whose outputs are no product with its weights; the message is the reason."""


def flat_weights(layer: Any) -> Values:
    """The weights of a layer in one array, in the order of `layer.weights`."""
    return np.concatenate([np.ravel(keras.ops.convert_to_numpy(each)) for each in layer.weights] or [np.empty(0)])


def places_of(layer: Any) -> dict[str, Places]:
    """Where the entries of each of a layer's variables stand in its flat weights, by the variable's name."""
    found: dict[str, Places] = {}
    start = 0
    for each in layer.weights:
        size = int(np.prod(each.shape))
        found[each.name] = np.arange(start, start + size).reshape(each.shape)
        start += size
    return found


def value_of(layer: Any, name: str) -> Values:
    """A variable of a layer in double precision, by its name."""
    (found,) = (each for each in layer.weights if each.name == name)
    return np.asarray(keras.ops.convert_to_numpy(found), np.float64)


def with_bias(kernel: Places, bias: Places | None) -> Places:
    """Matrices with a bias as their last row; p x n x m and p x m."""
    return kernel if bias is None else np.concatenate([kernel, bias[:, None, :]], axis=1)


def with_ones(rows: Values, *, has_bias: bool) -> Values:
    """Rows with a last input of ones for a bias; p x samples x n."""
    return np.concatenate([rows, np.ones((*rows.shape[:-1], 1), rows.dtype)], axis=-1) if has_bias else rows
