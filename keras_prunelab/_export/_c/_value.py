"""What operations hand on, and what those see of them who plan memory and write statements."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, eq=False)
class Value:
    """What one operation hands to others, for one observation.

    Attributes:
        name: an identifier of C that no other value has.
        shape: its lengths; None is one that the model leaves free.
    """

    name: str
    shape: tuple[int | None, ...]

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return math.prod(length or 0 for length in self.shape)

    @property
    def channels(self) -> int:
        """The length of its last axis."""
        return (self.shape or (1,))[-1] or 0

    @property
    def positions(self) -> int:
        """How many places have channels."""
        return self.size // self.channels


class Statement(Protocol):
    """An operation, for those who plan its memory and write it down."""

    @property
    def name(self) -> str:
        """An identifier of C."""

    @property
    def kind(self) -> str:
        """What people call it."""

    @property
    def inputs(self) -> tuple[Value, ...]:
        """What it reads."""

    @property
    def output(self) -> Value:
        """What it gives."""

    @property
    def can_overwrite(self) -> bool:
        """Whether the output may take the place of the first input."""

    @property
    def is_view(self) -> bool:
        """Whether the output is the first input in another shape."""

    def emit(self, body: Any) -> None:
        """Write it into a `Body`."""
