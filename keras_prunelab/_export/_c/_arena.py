"""Which values share memory: a plan by their lifetimes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ._value import Statement, Value


@dataclass(frozen=True)
class Block:
    """Memory that something needs for a while.

    Attributes:
        name: its name in C.
        type: the type of its elements in C.
        count: how many it has.
        first: the index of the operation that writes it.
        last: that of the last one that reads it.
        note: what a reader wants to know.
    """

    name: str
    type: str
    count: int
    first: int
    last: int
    note: str = ""


@dataclass(frozen=True)
class Places:
    """Where the values of a network are.

    Attributes:
        names: for each value's name, that of the memory it is in: an argument, or a block of the arena.
        blocks: the memory of the arena.
    """

    names: Mapping[str, str]
    blocks: tuple[Block, ...]


def share(operations: Sequence[Statement], inputs: Mapping[str, str], outputs: Mapping[str, str], type_: str) -> Places:
    """Find out which values can be in the same memory.

    Args:
        operations: those of a network, in their order.
        inputs: the arguments that hold values from the start, by the names of these values. They are not written.
        outputs: the arguments that values end in.
        type_: the type of values in C.
    """
    home: dict[str, str] = {name: name for name in inputs}
    first: dict[str, int] = dict.fromkeys(inputs, -1)
    last: dict[str, int] = {}
    size: dict[str, Value] = {}
    called: dict[str, str] = {}
    for index, operation in enumerate(operations):
        output = operation.output
        is_copy = output.name in outputs and operation.inputs and home[operation.inputs[0].name] in inputs
        home[output.name] = home[operation.inputs[0].name] if operation.is_view and not is_copy else output.name
        size.setdefault(home[output.name], output)
        called.setdefault(home[output.name], operation.name)
        first.setdefault(home[output.name], index)
        for value in (*operation.inputs, output):
            last[home[value.name]] = index
    bound = {home[name]: argument for name, argument in outputs.items()}
    last.update(dict.fromkeys(bound, len(operations)))
    for index, operation in enumerate(operations):
        if not operation.can_overwrite or home[operation.output.name] != operation.output.name:
            continue
        old, new = home[operation.inputs[0].name], operation.output.name
        others = [home[each.name] for each in operation.inputs[1:]]
        if old in inputs or last[old] != index or old in others:
            continue
        for name, own in home.items():
            if own == new:
                home[name] = old
        last[old] = last.pop(new)
        if new in bound:
            bound[old] = bound.pop(new)
    names = {name: bound.get(own, inputs.get(own, called.get(own, own))) for name, own in home.items()}
    blocks = tuple(
        Block(called[own], type_, size[own].size, first[own], last[own], " x ".join(map(str, size[own].shape)))
        for own in dict.fromkeys(home.values())
        if own not in inputs and own not in bound
    )
    return Places(names, blocks)


def offsets(blocks: Sequence[Block]) -> tuple[dict[str, int], dict[str, int]]:
    """Lay out blocks, those that live at the same time apart: the largest first, each at the lowest place that is free.

    Returns:
        The offset of each block by its name, and the length for each type of elements.
    """
    at: dict[str, int] = {}
    lengths: dict[str, int] = {}
    placed: list[Block] = []
    for block in sorted(blocks, key=lambda each: -each.count):
        taken = sorted(
            (at[other.name], at[other.name] + other.count)
            for other in placed
            if other.type == block.type and other.first <= block.last and block.first <= other.last
        )
        offset = 0
        for start, end in taken:
            if start - offset >= block.count:
                break
            offset = max(offset, end)
        at[block.name] = offset
        placed.append(block)
        lengths[block.type] = max(lengths.get(block.type, 0), offset + block.count)
    return at, lengths
