"""The graph of an ONNX file while it is made, and the registry of the functions that put MATLAB's layers into it.

Images are (N, C, H, W), volumes (N, C, H, W, D), sequences (N, C, T), features (N, C). Operators are those of operator
set 13, which importers of all ages know.

Source: https://github.com/onnx/onnx/blob/main/docs/Operators.md
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from onnx import helper

from matlab_bridge._errors import UnsupportedLayerError
from matlab_bridge._layer import Array, Layer

Size: TypeAlias = tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor of the graph: its name, and the sizes of images; `(None,)` for sequences, and None for vectors."""

    name: str
    size: Size | None = None

    @property
    def is_pixel(self) -> bool:
        """Whether it holds images of one pixel, which count as vectors."""
        return self.size is not None and set(self.size) == {1}

    @property
    def is_sequence(self) -> bool:
        """Whether it holds sequences, whose length is open."""
        return self.size == (None,)


@dataclass(slots=True)
class Graph:
    """The nodes and the constants that were made so far, in an order in which they can run."""

    nodes: list[Any] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)

    @property
    def made(self) -> set[str]:
        """The names of all outputs."""
        return {name for node in self.nodes for name in node.output}

    def node(self, operator: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """Add an operator; it and its output are called `name`."""
        self.several(operator, inputs, [name], name=name, **attributes)
        return name

    def several(self, operator: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> None:
        """Add an operator of several outputs."""
        self.nodes.append(helper.make_node(operator, inputs, outputs, **attributes))

    def constant(self, name: str, array: Any, dtype: Any = np.float32) -> str:
        """Add an array, such as the weights of a layer."""
        self.constants[name] = np.ascontiguousarray(array, dtype=dtype)
        return name

    def vector(self, value: Value, name: str) -> str:
        """A tensor as vectors, the elements of an image in MATLAB's order: rows, then columns, then channels."""
        if value.size is None:
            return value.name
        if value.is_sequence:
            raise UnsupportedLayerError("it takes vectors, and sequences reach it")
        source = value.name
        if len(value.size) > 1 and not value.is_pixel:
            backwards = range(len(value.size) + 1, 1, -1)
            source = self.node("Transpose", [source], f"{name}.columns", perm=[0, 1, *backwards])
        return self.node("Flatten", [source], f"{name}.flat", axis=1)


Make = Callable[[Graph, Layer, Sequence[Value]], Value]

MAKERS: dict[str, Make] = {}


def makes(*kinds: str) -> Callable[[Make], Make]:
    """Register the function for layers of MATLAB's."""

    def decorate(make: Make) -> Make:
        MAKERS.update(dict.fromkeys((f"{kind}Layer" for kind in kinds), make))
        return make

    return decorate


def learnable(graph: Graph, layer: Layer, name: str, array: Array) -> str:
    """Add the weights of a layer under their names in MATLAB."""
    return graph.constant(f"{layer.name}.{name}", array)
