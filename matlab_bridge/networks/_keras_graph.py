"""The operations of a Keras model, in an order in which they can be translated one by one."""

from __future__ import annotations

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
