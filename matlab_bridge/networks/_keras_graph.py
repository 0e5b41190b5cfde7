"""The operations of a Keras model, in an order in which they can be translated one by one."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras

from matlab_bridge._errors import UnsupportedLayerError

from ._rules import Shapes, Tensor


@dataclass(frozen=True, slots=True)
class Call:
    """One operation of the Keras graph, mostly a layer, with its tensors."""

    operation: Any
    inputs: tuple[Tensor, ...]
    output: Tensor

    @property
    def kind(self) -> str:
        """The name of the Keras class."""
        return type(self.operation).__name__

    @property
    def shapes(self) -> Shapes:
        """The shapes of the inputs, each with the batch first."""
        return tuple(tuple(tensor.shape) for tensor in self.inputs)

    def unsupported(self, reason: str) -> UnsupportedLayerError:
        """The error that says why this operation has no form in MATLAB."""
        return UnsupportedLayerError(
            f"The Keras layer {self.operation.name!r} ({self.kind}) has no form in MATLAB: {reason}."
        )


def calls(model: keras.Model) -> Iterator[Call]:
    """The operations of a Sequential or functional model, each after those that feed it.

    Args:
        model: a built model; operations that its outputs do not depend on are left out.

    Yields:
        One call for each time that the model uses an operation.
    """
    done: set[int] = set()
    stack: list[tuple[Tensor, bool]] = [(tensor, False) for tensor in reversed(model.outputs)]
    while stack:
        tensor, is_fed = stack.pop()
        operation, node_index, _ = tensor._keras_history
        node = operation._inbound_nodes[node_index]
        if id(node) in done:
            continue
        if is_fed:
            done.add(id(node))
            yield Call(operation, tuple(node.input_tensors), tensor)
        else:
            stack.append((tensor, True))
            stack.extend((source, False) for source in reversed(node.input_tensors))


def shortest_sequence(model: keras.Model) -> int:
    """The least length of sequences that a model can take: its windows must fit into them.

    Args:
        model: a built model; a length that is fixed counts as it is.

    Returns:
        The number of steps, 1 where none is needed or none of up to 2**16 suffices.
    """
    fixed = max((tensor.shape[1] or 1 for tensor in model.inputs if len(tensor.shape) == 3), default=1)
    longest = 2**16
    lengths = range(fixed, longest + 1)
    place = bisect_left(lengths, True, key=lambda length: _fits(model, length))
    return lengths[place] if place < len(lengths) else 1


def _fits(model: keras.Model, length: int) -> bool:
    """Whether the shapes of all layers can be worked out for sequences of that length."""
    given = [
        keras.KerasTensor((1, *(size or length for size in tensor.shape[1:])), tensor.dtype) for tensor in model.inputs
    ]
    try:
        model.compute_output_spec(given[0] if len(given) == 1 else given)
    except ValueError:
        return False
    return True
