"""What a header is made from, and what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from ._network import Network
from ._scale import Range, Scale
from ._value import Value


@dataclass(frozen=True)
class Content:
    """What a header is made from.

    Attributes:
        name: what the names in C begin with.
        title: the name of the model.
        dtype: `"float32"` or `"int8"`.
        optimize: `"size"` or `"speed"`.
        whole: the network; None where it leaves lengths free.
        step: the network for one step of a stream; None where it is no such network.
        class_names: of the outputs; empty for none.
        scales: of each value, by its name; empty for float32.
        internals: the ranges inside of operations, by their names; empty for float32.
        test_inputs: one observation.
        test_outputs: what the model gives for it.
    """

    name: str
    title: str
    dtype: str
    optimize: str
    whole: Network | None
    step: Network | None
    class_names: tuple[str, ...]
    test_inputs: tuple[NDArray[Any], ...]
    test_outputs: tuple[NDArray[Any], ...]
    scales: Mapping[str, Scale] = field(default_factory=dict)
    internals: Mapping[str, Mapping[str, Range]] = field(default_factory=dict)

    @property
    def network(self) -> Network:
        """The network, whole or for one step."""
        found = self.whole or self.step
        assert found is not None, "one of them there is"  # noqa: S101
        return found

    @property
    def value_type(self) -> str:
        """The type of inputs and outputs in C."""
        return "int8_t" if self.dtype == "int8" else "float"


@dataclass(frozen=True)
class Written:
    """The text, and figures of it.

    Attributes:
        text: the header.
        constant_bytes: of weights, places, biases and tables.
        dense_bytes: the same with every matrix stored whole.
        arena_bytes: that one call needs.
        state_bytes: of a stream.
        forms: how each matrix is stored, by the name of its constants.
    """

    text: str
    constant_bytes: int
    dense_bytes: int
    arena_bytes: int
    state_bytes: int
    forms: Mapping[str, str]


def named(values: tuple[Value, ...], single: str) -> tuple[tuple[str, Value], ...]:
    """Values with the names of their arguments in C.

    Args:
        values: inputs or outputs.
        single: what the argument is called where there is one; it is the beginning where there are several.
    """
    if len(values) == 1:
        return ((single, values[0]),)
    return tuple((f"{single}_{value.name}", value) for value in values)
