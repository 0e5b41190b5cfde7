"""A network as operations between values, and the same for one step of a sequence."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from ._operation import NotStreamableError, Operation
from ._value import Value
from .operations._convolution import Convolution
from .operations._recurrent import Recurrent


@dataclass(frozen=True)
class Network:
    """Operations, each behind those that it reads from.

    Attributes:
        operations: the operations.
        inputs: what the network is given.
        outputs: what it gives, each value once.
    """

    operations: tuple[Operation, ...]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]

    def readers(self) -> Counter[str]:
        """How often each value is read, by operations and from outside, by its name."""
        inside = (value.name for operation in self.operations for value in operation.inputs)
        return Counter([*inside, *(value.name for value in self.outputs)])

    def has_free_lengths(self) -> bool:
        """Whether the model leaves lengths free."""
        values = (*self.inputs, *(each.output for each in self.operations))
        return any(None in value.shape for value in values)


def of_one_step(network: Network) -> Network:
    """The network for one step of a sequence, which keeps what it has to from step to step.

    Raises:
        NotStreamableError: it is not given sequences, keeps nothing, or needs a whole sequence at once.
    """
    if any(len(value.shape) != 2 for value in network.inputs):
        raise NotStreamableError("its inputs are not steps x channels")
    if len({value.shape[0] for value in network.inputs}) > 1:
        raise NotStreamableError("its inputs have different numbers of steps")
    inputs = tuple(Value(value.name, (1, value.channels)) for value in network.inputs)
    known: dict[str, tuple[Value, bool]] = {value.name: (value, True) for value in inputs}
    operations = []
    for operation in network.operations:
        given = [known[value.name] for value in operation.inputs]
        found, is_timed = operation.at_step(tuple(value for value, _ in given), [timed for _, timed in given])
        known[found.output.name] = (found.output, is_timed)
        operations.append(found)
    if not any(_keeps(operation) for operation in operations):
        raise NotStreamableError("no layer keeps anything from step to step")
    return Network(tuple(operations), inputs, tuple(known[value.name][0] for value in network.outputs))


def _keeps(operation: Operation) -> bool:
    is_causal = isinstance(operation, Convolution) and operation.is_causal and operation.window.sight > 1
    return operation.is_step and (is_causal or isinstance(operation, Recurrent))
