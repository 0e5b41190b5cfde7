"""The operations of a Keras model, in an order in which they can be translated one by one."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras

from matlab_bridge._errors import UnsupportedLayerError

from ._rules import Shapes
from ._site import Tensor


@dataclass(frozen=True, slots=True)
class Call:
    """One operation of the Keras graph, mostly a layer, with its tensors.

    Attributes:
        operation: the layer or the operation.
        inputs: the tensors that it is called with, wherever they stand among its arguments.
        output: the tensor that it gives.
        arguments: what it is called with in order: tensors, lists of them, and numbers.
        options: what it is called with by name.
    """

    operation: Any
    inputs: tuple[Tensor, ...]
    output: Tensor
    arguments: tuple[Any, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """The name of the Keras class; with its module for a class of the user's that only shares its name."""
        kind = type(self.operation)
        is_own = not kind.__module__.startswith("keras.") and hasattr(keras.layers, kind.__name__)
        return f"{kind.__module__}.{kind.__name__}" if is_own else kind.__name__

    @property
    def is_layer(self) -> bool:
        """Whether the operation is a layer, which takes its inputs as one argument."""
        return isinstance(self.operation, keras.layers.Layer)

    def objection(self) -> str | None:
        """Why it does not do the same as a layer that is called with its tensors alone, or None."""
        # What is left out, and training=False, is as if it were not there.
        options = {name: value for name, value in self.options.items() if value is not None and value is not False}
        given = [value for value in (*self.arguments, *options.values()) if value is not None]
        if self.is_layer and len(given) > 1:
            words = ", ".join(f"{name}=" for name in options) or f"{len(given)} arguments"
            return f"it is called with {words}, which MATLAB's layer does not take"
        if not self.is_layer and len({len(shape) for shape in self.shapes}) > 1:
            return f"it broadcasts tensors of the shapes {', '.join(map(str, self.shapes))}, in which MATLAB differs"
        if all(isinstance(leaf, keras.KerasTensor) for leaf in keras.tree.flatten(given)):
            return None
        return (
            "it takes constants beside the outputs of layers. Sums with a constant and products with one become a "
            "scalingLayer where it is one number, or one for each channel; put any other into the weights of a layer"
        )

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
            arguments = node.arguments
            yield Call(operation, tuple(node.input_tensors), tensor, arguments.args, arguments.kwargs)
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
