"""Fully connected layers, among them the projections of attention."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from ._base import LinearMap, NoLinearMapError, Places, Rule, Seen, Values, places_of, with_bias, with_ones
from ._registry import register_linear_rule

L = keras.layers


@register_linear_rule(L.Dense)
class LinearRule(Rule):
    """Outputs that are rows, made of the inputs, times a kernel, with a bias that may be added.

    Without an override it is that of `Dense`. For a layer of one's own, the methods say what differs.

    Examples:
        >>> import keras
        >>> import keras_prunelab as kpl
        >>> class Doubled(keras.layers.Dense):
        ...     def call(self, x):
        ...         return super().call(2 * x)
        >>> @kpl.register_linear_rule(Doubled)
        ... class DoubledRule(kpl.LinearRule):
        ...     def rows(self, layer, inputs):
        ...         return 2 * inputs
    """

    def kernel(self, layer: Any) -> Any:
        """The variable that the rows are multiplied with, inputs x outputs; by default `layer.kernel`."""
        return layer.kernel

    def bias(self, layer: Any) -> Any:
        """The variable that is added, one number an output, or None; by default `layer.bias`, if there is one."""
        return getattr(layer, "bias", None)

    def rows(self, layer: Any, inputs: Values) -> Values:
        """What is multiplied: an array whose last axis is the kernel's first; by default the inputs as they are.

        Args:
            layer: the layer, with the weights that it was called with.
            inputs: its first argument, in NumPy.
        """
        del layer
        return inputs

    def maps(self, layer: Any) -> Sequence[LinearMap]:
        """The kernel, and the bias."""
        added = self.bias(layer)
        kernel = _places(layer, self.kernel(layer))[None]
        bias = None if added is None else _places(layer, added)[None]

        def rows(seen: Seen) -> Values:
            own = self.rows(seen.layer, seen.inputs)
            return with_ones(own.reshape(1, -1, kernel.shape[1]), has_bias=bias is not None)

        return [LinearMap("kernel", with_bias(kernel, bias), rows, bias is not None)]


@register_linear_rule(L.EinsumDense)
class EinsumDenseRule(Rule):
    """A sum of products by letters: those in both operands and the output number separate maps."""

    def maps(self, layer: Any) -> Sequence[LinearMap]:
        """The kernel; and the bias, where each output of a map has one of its own."""
        left, output = layer.equation.replace(" ", "").split("->")
        inputs, kernel = left.split(",")
        if set(kernel) - set(inputs) - set(output):
            raise NoLinearMapError(f"its kernel is summed up by itself: {layer.equation}")
        if len({*kernel}) < len(kernel) or len({*inputs} - {"."}) < len(inputs.replace(".", "")):
            raise NoLinearMapError(f"it takes a diagonal: {layer.equation}")
        shared = [letter for letter in kernel if letter in inputs and letter in output]
        summed = [letter for letter in kernel if letter in inputs and letter not in output]
        made = [letter for letter in kernel if letter not in inputs]
        places = places_of(layer)
        whole = places["kernel"]
        sizes = dict(zip(kernel, whole.shape, strict=True))
        order = [kernel.index(letter) for letter in (*shared, *summed, *made)]
        lengths = [_product(sizes, letters) for letters in (shared, summed, made)]
        bias = _own_bias(layer, output, [*shared, *made], sizes, places)
        bias = None if bias is None else bias.reshape(lengths[0], lengths[2])

        def rows(seen: Seen) -> Values:
            own = _without_dots(inputs, np.ndim(seen.inputs))
            # Letters of the input that the output has not are summed up, here before the product.
            samples = [letter for letter in own if letter not in kernel and (letter in output or letter not in inputs)]
            arranged = np.einsum(f"{own}->{''.join((*shared, *samples, *summed))}", seen.inputs)
            return with_ones(arranged.reshape(lengths[0], -1, lengths[1]), has_bias=bias is not None)

        matrices = whole.transpose(order).reshape(lengths)
        return [LinearMap("kernel", with_bias(matrices, bias), rows, bias is not None)]


def _places(layer: Any, variable: Any) -> Places:
    """Where the entries of one of a layer's variables stand in its flat weights."""
    start = 0
    for each in layer.weights:
        if each is variable:
            return np.arange(start, start + int(np.prod(each.shape))).reshape(each.shape)
        start += int(np.prod(each.shape))
    raise NoLinearMapError(f"{variable!r:.60} is none of its variables")


def _own_bias(
    layer: Any, output: str, letters: list[str], sizes: dict[str, int], places: dict[str, Places]
) -> Places | None:
    """Where the biases stand, by letter; None where outputs of a map share one, or one output has several."""
    if layer.bias_axes is None or set(layer.bias_axes) != set(letters):
        return None
    along = [letter for letter in output if letter in letters]
    whole = places["bias"].reshape([sizes[letter] for letter in along])
    return whole.transpose([along.index(letter) for letter in letters])


def _product(sizes: dict[str, int], letters: list[str]) -> int:
    return int(np.prod([sizes[letter] for letter in letters]))


def _without_dots(inputs: str, rank: int) -> str:
    """The letters of an operand with as many spare ones for dots as its rank needs."""
    spare = (letter for letter in string.ascii_uppercase + string.ascii_lowercase if letter not in inputs)
    return inputs.replace("...", "".join(next(spare) for _ in range(rank - len(inputs.replace(".", "")))))
