"""What a network is made of: operations between values."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from numpy.typing import NDArray

from ._body import Body
from ._scale import Range, Scale, scale_of
from ._value import Value

Array = NDArray[Any]


class NotStreamableError(Exception):
    """An operation that needs a whole sequence at once."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Operation(ABC):
    """One step of a network.

    Attributes:
        name: an identifier of C, after the layer; its constants begin with it.
        kind: what people call it, such as `"Conv2D"`.
        inputs: what it reads.
        output: what it gives.
        is_step: whether it is called for one step of a sequence after the other, and keeps what it has to.
    """

    name: str
    kind: str
    inputs: tuple[Value, ...]
    output: Value
    is_step: bool = False

    can_overwrite: ClassVar[bool] = False
    """Whether the output may take the place of the first input."""
    is_view: ClassVar[bool] = False
    """Whether the output is the first input in another shape."""

    keeps_scale: ClassVar[bool] = False
    """Whether the same 8-bit numbers mean the same in the output as in the first input."""
    needs_whole: ClassVar[bool] = False
    """Whether it needs a whole sequence at once."""

    @abstractmethod
    def compute(self, *inputs: Array) -> Array:
        """The output for a batch of inputs, in NumPy: calibration sees it."""

    @abstractmethod
    def emit(self, body: Body) -> None:
        """Write the statements that do it."""

    def shaped(self, values: Array) -> Array:
        """Values for a batch in the shape of the output."""
        return values.reshape(len(values), *(-1 if length is None else length for length in self.output.shape))

    def internals(self, *inputs: Array) -> dict[str, Range]:
        """The ranges of what is inside, which calibration has to know."""
        del inputs
        return {}

    def scale(self, found: Range, inputs: Sequence[Scale]) -> Scale:
        """The scale of an 8-bit output, from the range that calibration found and the scales of the inputs."""
        return inputs[0] if self.keeps_scale else scale_of(found)

    def at_step(self, inputs: tuple[Value, ...], timed: Sequence[bool]) -> tuple[Operation, bool]:
        """The operation for one step of a sequence, and whether its output is still one of a sequence.

        Raises:
            NotStreamableError: it needs the whole sequence.
        """
        if not any(timed):
            return replace(self, inputs=inputs), False
        if self.needs_whole:
            raise whole_sequence(self)
        return self.with_one_step(inputs), True

    def with_one_step(self, inputs: tuple[Value, ...]) -> Operation:
        """The operation where sequences have one step."""
        shape = (1, *self.output.shape[1:])
        return replace(self, inputs=inputs, output=Value(self.output.name, shape), is_step=True)


def whole_sequence(operation: Operation) -> NotStreamableError:
    """The error of an operation that cannot go step by step."""
    return NotStreamableError(f"{operation.name} ({operation.kind}) needs the whole sequence")
