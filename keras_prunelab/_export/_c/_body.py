"""One function of a network: its statements, and the memory that they use."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ._arena import Block, Places, offsets
from ._code import Code
from ._value import Statement, Value


@dataclass(frozen=True)
class Kept:
    """What a stream keeps from step to step.

    Attributes:
        name: the member of the state.
        type: of its elements in C.
        count: how many it has.
        initial: the number in all of them at the start.
    """

    name: str
    type: str
    count: int
    initial: int


_BYTES = {"float": 4, "int8_t": 1, "int16_t": 2, "int32_t": 4}


class Body:
    """The statements of a function, while operations write them."""

    def __init__(self, code: Code, places: Places, is_step: bool) -> None:
        """Begin with nothing.

        Args:
            code: the constants, shared with other functions.
            places: where values are.
            is_step: whether the function takes one step of a stream.
        """
        self.code, self._places, self._is_step = code, places, is_step
        self.lines: list[str] = []
        self.kept: list[Kept] = []
        self._scratch: list[Block] = []
        self._index = 0
        self._owner = ""

    def write(self, operations: Iterable[Statement]) -> None:
        """Write all operations."""
        for self._index, operation in enumerate(operations):
            self._owner = operation.name
            before = len(self.lines)
            operation.emit(self)
            if len(self.lines) > before:
                shape = " x ".join(map(str, operation.output.shape))
                self.lines.insert(before, f"    /* {operation.name}: {operation.kind}, to {shape} */")

    @property
    def value_type(self) -> str:
        """The type of values in C."""
        return self.code.value_type

    @property
    def sum_type(self) -> str:
        """The type of sums in C."""
        return "int32_t" if self.code.is_int8 else "float"

    def at(self, value: Value) -> str:
        """Where a value is."""
        return self._places.names[value.name]

    def scratch(self, label: str, type_: str, count: int) -> str:
        """Memory for the operation that is being written; returns its name."""
        name = f"{self._owner}_{label}"
        self._scratch.append(Block(name, type_, count, self._index, self._index))
        return name

    def keep(self, label: str, type_: str, count: int, initial: int = 0) -> str:
        """Memory that keeps its contents from step to step; returns where it is. Set before the first."""
        if self._is_step:
            self.kept.append(Kept(f"{self._owner}_{label}", type_, count, initial))
            return f"state->{self._owner}_{label}"
        name = self.scratch(label, type_, count)
        self.do(fill(name, type_, count, initial))
        return name

    def do(self, statement: str) -> None:
        """Write a statement."""
        self.lines.append(f"    {statement}")

    def call(self, kernel: str, *arguments: object) -> None:
        """Write a call of a kernel."""
        self.do(f"{self.code.kernel(kernel)}({', '.join(map(str, arguments))});")

    def memory(self, owner: str) -> tuple[list[str], dict[str, int]]:
        """The declarations of what is in the arena, and the length of the arena for each type.

        Args:
            owner: what has the arena, such as `"arena"`.
        """
        blocks = [*self._places.blocks, *self._scratch]
        at, lengths = offsets(blocks)
        lines = []
        for block in blocks:
            place = f" + {at[block.name]}" if at[block.name] else ""
            note = f" /* {block.note} */" if block.note else f" /* {block.count} */"
            lines.append(f"    {block.type} *const {block.name} = {owner}->{member(block.type)}{place};{note}")
        return lines, lengths


def member(type_: str) -> str:
    """The member of an arena that has elements of a type."""
    return {"float": "floats", "int8_t": "bytes", "int16_t": "shorts", "int32_t": "sums"}[type_]


def size_of(lengths: dict[str, int]) -> int:
    """Bytes of a struct with arrays of these lengths, the largest elements first."""
    total = sum(_BYTES[type_] * length for type_, length in lengths.items())
    widest = max((_BYTES[type_] for type_ in lengths), default=1)
    return -(-total // widest) * widest


def in_order(lengths: dict[str, int]) -> list[tuple[str, int]]:
    """Types and lengths, the largest elements first, so that nothing lies between them."""
    return sorted(lengths.items(), key=lambda each: -_BYTES[each[0]])


def fill(place: str, type_: str, count: int, initial: int) -> str:
    """The statement that sets all of an array; a number other than 0 is for bytes alone."""
    return f"memset({place}, {initial}, {count} * sizeof({type_}));"
