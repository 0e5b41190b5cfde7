"""The constants of a network as text of C, and the kernels that it calls."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._activations import Activation
from ._scale import Range, Scale, fixed_point
from ._storage import Stored, store
from ._value import Value

C_TYPES = {
    "float32": "float",
    "int8": "int8_t",
    "uint8": "uint8_t",
    "int16": "int16_t",
    "uint16": "uint16_t",
    "int32": "int32_t",
}
_WIDTH = 116


class Code:
    """What the functions of a network share.

    Attributes:
        dtype: `"float32"` or `"int8"`.
        kernels: the names of the kernels that are called, in their order.
        functions: the functions of one value, by their names.
        constants: the text of each constant by its name.
        matrices: how each matrix is stored, by its name.
        nbytes: of all constants.
        count_bits, column_bits: of the counts and columns of sparse matrices.
    """

    def __init__(
        self, dtype: str, optimize: str, scales: Mapping[str, Scale], internals: Mapping[str, Mapping[str, Range]]
    ) -> None:
        """Begin with nothing.

        Args:
            dtype: `"float32"` or `"int8"`.
            optimize: `"size"` or `"speed"`.
            scales: of each value, by its name; empty for float32.
            internals: the ranges inside each operation, by its name; empty for float32.
        """
        self.dtype, self._optimize, self._scales, self._internals = dtype, optimize, scales, internals
        self.kernels: dict[str, None] = {}
        self.functions: dict[str, str] = {}
        self.constants: dict[str, str] = {}
        self.matrices: dict[str, Stored] = {}
        self._places: list[tuple[str, NDArray[Any]]] = []
        self.nbytes = 0

    @property
    def is_int8(self) -> bool:
        """Whether numbers have 8 bits."""
        return self.dtype == "int8"

    @property
    def value_type(self) -> str:
        """The type of values in C."""
        return "int8_t" if self.is_int8 else "float"

    def kernel(self, name: str) -> str:
        """The name in C of a kernel, which the header then has."""
        self.kernels[name] = None
        return f"net_{name}"

    def scale(self, value: Value) -> Scale:
        """The scale of an 8-bit value."""
        return self._scales[value.name]

    def internal(self, operation: str, name: str) -> Range:
        """A range inside an operation."""
        return self._internals[operation][name]

    def array(self, name: str, values: NDArray[Any], note: str = "") -> str:
        """Write an array of constants; returns its name in C."""
        return self._write(name, values, C_TYPES[str(values.dtype)], note)

    def constant(self, name: str, type_: str, text: str) -> str:
        """Write a constant of a type of the kernels; returns its name in C."""
        line = f"static const net_{type_} net_{name} = {text};"
        if len(line) > _WIDTH and "\n" not in line:
            line = textwrap.fill(line, _WIDTH, subsequent_indent="    ", break_long_words=False)
        self.constants.setdefault(f"net_{name}", line)
        return f"net_{name}"

    def matrix(self, name: str, matrix: NDArray[Any]) -> str:
        """Write a matrix of outputs x inputs in the form that is best; returns its initializer."""
        if name not in self.matrices:
            self.matrices[name] = store(matrix, self._optimize)
        form = self.matrices[name]
        self.kernel("matrix")
        product = self.kernel(f"add_product_{form.form}")
        share = f"{form.kept / max(form.rows * form.columns, 1):.1%} of {form.rows} x {form.columns} weights"
        values = self.array(f"{name}_values", form.values, share)
        places = counts = "NULL"
        if form.places is not None:
            if form.form == "columns":
                self._places.append((f"net_{name}_columns", form.places))
            places = self._write(
                f"{name}_{form.form}",
                form.places,
                "net_column" if form.form == "columns" else C_TYPES[str(form.places.dtype)],
            )
        if form.counts is not None:
            self._places.append((f"net_{name}_counts", form.counts))
            counts = self._write(f"{name}_counts", form.counts, "net_count")
        return f"{{{product}, {form.rows}, {form.columns}, {values}, {places}, {counts}}}"

    def is_smaller_sparse(self, whole: NDArray[Any], count: int) -> bool:
        """Whether a depthwise kernel takes less room as the few values of a whole one.

        Args:
            whole: the kernel as one in which each output sees one channel.
            count: how many weights it has without the others.
        """
        if self._optimize == "speed":  # its own loops go over channels side by side
            return False
        bits = (whole != 0).astype(self.dtype)
        return bool(store(bits, "size").nbytes < count * bits.itemsize)

    def scaling(self, name: str, factors: NDArray[Any], output: Scale, low: int, high: int) -> str:
        """Write how sums become 8-bit outputs; returns its initializer."""
        self.kernel("scale_sums")
        parts = [fixed_point(float(factor)) for factor in factors]
        multipliers = self.array(f"{name}_multipliers", np.array([each for each, _ in parts], np.int32))
        shifts = self.array(f"{name}_shifts", np.array([each for _, each in parts], np.int8))
        return f"{{{multipliers}, {shifts}, {output.zero_point}, {low}, {high}}}"

    def function(self, activation: Activation) -> str:
        """The name in C of a function of one value."""
        number, rest = 1, f"(float x)\n{{\n    return {activation.expression};\n}}"
        name = f"net_{activation.name}"
        while not self.functions.get(name, rest).endswith(rest):
            number += 1
            name = f"net_{activation.name}_{number}"
        self.functions[name] = f"static float {name}{rest}"
        return name

    def integer_types(self) -> list[str]:
        """The types of the counts and columns of sparse matrices, as small as the network allows.

        Counted from the matrices so far; the same for all.
        """
        found = []
        for type_, ending in (("net_count", "_counts"), ("net_column", "_columns")):
            arrays = [array for name, array in self._places if name.endswith(ending)]
            bits = max((array.itemsize * 8 for array in arrays), default=8)
            if arrays or type_ == "net_count":
                found.append(f"typedef uint{bits}_t {type_};")
        return found

    def total_bytes(self) -> int:
        """Bytes of all arrays, with counts and columns in the types of `integer_types`."""
        known = dict(self._places)
        extra = 0
        for ending in ("_counts", "_columns"):
            arrays = [array for name, array in known.items() if name.endswith(ending)]
            widest = max((array.itemsize for array in arrays), default=1)
            extra += sum(array.size * (widest - array.itemsize) for array in arrays)
        return self.nbytes + extra

    def dense_bytes(self) -> int:
        """Bytes of all arrays, were every matrix stored whole."""
        forms = self.matrices.values()
        return self.nbytes + sum(form.values.itemsize * form.rows * form.columns - form.nbytes for form in forms)

    def _write(self, name: str, values: NDArray[Any], type_: str, note: str = "") -> str:
        known = f"net_{name}"
        if known in self.constants:
            return known
        self.nbytes += values.nbytes
        values = values if values.size else np.zeros(1, values.dtype)  # C has no empty arrays
        comment = f"/* {note} */\n" if note else ""
        self.constants[known] = f"{comment}static const {type_} {known}[{values.size}] = {{\n{numbers(values)}}};"
        return known


def numbers(values: NDArray[Any]) -> str:
    """Numbers as C writes them, in lines."""
    flat = values.reshape(-1)
    if flat.dtype == np.float32:
        texts = [f"{each}f" for each in flat.astype(str).tolist()]
    else:
        texts = [str(each) for each in flat.tolist()]
    return textwrap.fill(", ".join(texts), _WIDTH, initial_indent="    ", subsequent_indent="    ")
