"""The variables of a model as values: what each does, what its axes mean, what it is worth under its mask."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Protocol, TypeAlias, overload, runtime_checkable

import keras
import numpy as np
from numpy.typing import NDArray

from keras_prunelab._backend import protect, read
from keras_prunelab._errors import InvalidModelError
from keras_prunelab._util._arrays import all_finite, mask_with

Role: TypeAlias = Literal["kernel", "bias", "gamma", "beta", "mean", "embedding", "table", "other"]
AxisRole: TypeAlias = Literal["space", "input", "output", "other"]
Learnables: TypeAlias = Literal["weights", "all"]


@runtime_checkable
class Masking(Protocol):
    """A layer that puts masks over variables of the layers inside it while it runs."""

    def mask_of(self, variable: Any) -> Any:
        """The mask of a variable, a boolean Keras variable of its shape; None where it has none."""


@dataclass(frozen=True)
class Prunable:
    """One variable that can be pruned.

    Attributes:
        path: the variable's path, such as `"conv1/kernel"`; where two variables of a model have the same
            path, the later one gets `"#2"` at its end.
        within: the names of the layers that the variable stands in, from the outermost to its owner, such as
            `("encoder", "attention", "query")`. `Pruned` wrappers are left out.
        role: what the variable does.
        shape: its shape.
        axes: what each axis counts. A kernel's `"output"` axes count the channels (filters, units) that it
            makes.
        variable: the Keras variable itself.
        owner: the layer that owns it.
        containers: every layer that it stands in, the owner among them.
        mask: the mask that a `Pruned` wrapper puts over the variable, a boolean Keras variable; None elsewhere.
    """

    path: str
    within: tuple[str, ...]
    role: Role
    shape: tuple[int, ...]
    axes: tuple[AxisRole, ...]
    variable: Any = field(repr=False, compare=False)
    owner: Any = field(repr=False, compare=False)
    containers: tuple[Any, ...] = field(repr=False, compare=False)
    mask: Any = field(default=None, repr=False, compare=False)

    @property
    def layer(self) -> str:
        """The name of the layer that owns the variable."""
        return self.within[-1]

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def output_axes(self) -> tuple[int, ...]:
        """The axes that count output channels."""
        return tuple(index for index, axis in enumerate(self.axes) if axis == "output")

    def value(self) -> NDArray[np.floating[Any]]:
        """A copy of what the variable is worth in its layer, under its mask; 16-bit types come as float32.

        Raises:
            InvalidModelError: a value is not finite.
        """
        return self._finite(self._masked())

    def view(self) -> NDArray[np.floating[Any]]:
        """What `value` gives, to look at only: no copy where the backend allows that.

        Raises:
            InvalidModelError: a value is not finite.
        """
        if self.mask is not None:
            return self.value()
        return self._finite(protect(self.variable))

    def raw_value(self) -> NDArray[np.floating[Any]]:
        """A copy of the variable itself, whatever a mask hides of it.

        Raises:
            InvalidModelError: a value is not finite.
        """
        return self._finite(self._array())

    def zeros(self) -> int:
        """How many of its weights are zero."""
        return self.size - int(np.count_nonzero(self._masked()))

    def _array(self) -> NDArray[Any]:
        value = np.asarray(keras.ops.convert_to_numpy(self.variable))
        # On torch the array that Keras gives shares its memory with the variable.
        return value if value.flags.owndata else value.copy()

    def _masked(self) -> NDArray[Any]:
        value = self._array()
        if self.mask is not None:
            value = mask_with(value, np.array(keras.ops.convert_to_numpy(self.mask), np.bool_))
        return value

    def _finite(self, value: NDArray[Any]) -> NDArray[np.floating[Any]]:
        value = value.astype(np.float64 if value.dtype == np.float64 else np.float32, copy=False)
        if not all_finite(value):
            bad = int(np.size(value) - np.count_nonzero(np.isfinite(value)))
            raise InvalidModelError(
                f"{self.path} has {bad} values that are NaN or infinite, which cannot be ranked. Was the "
                "training stable? Load weights from before it diverged, or leave it out with exclude=."
            )
        return value


@dataclass(frozen=True)
class _Quantized(Prunable):
    """A kernel of whole numbers, to be counted only: as the layer unpacks it, with zero where it stands for zero."""

    def _array(self) -> NDArray[Any]:
        value = np.array(keras.ops.convert_to_numpy(self.owner.kernel), np.int64)
        zero = getattr(self.owner, "kernel_zero", None)
        if zero is None:
            return value
        # One number stands for zero in each group of rows; g_idx tells the group of a row.
        groups = np.asarray(keras.ops.convert_to_numpy(self.owner.g_idx)).astype(np.intp)
        rows = np.asarray(keras.ops.convert_to_numpy(zero)).astype(np.int64)[groups]
        return value - rows.reshape(value.shape)


def quantized_kernel(item: Prunable) -> Prunable | None:
    """A variable as the quantized kernel that it is; None where it is none."""
    if item.role != "kernel" or keras.backend.is_float_dtype(item.variable.dtype):
        return None
    if getattr(item.owner, "_kernel", None) is not item.variable:
        return None
    shape = tuple(int(length) for length in item.owner.kernel.shape)
    values = {field.name: getattr(item, field.name) for field in fields(item)}
    return _Quantized(**{**values, "shape": shape})


@dataclass(frozen=True)
class Skipped:
    """One variable that is left alone, and why."""

    path: str
    layer: str
    reason: str


@dataclass(frozen=True)
class Prunables(Sequence[Prunable]):
    """The prunable variables of a model, in the model's order, and those that were skipped.

    Attributes:
        items: the prunable variables.
        skipped: every other variable of the model's layers, with its reason.
        learnables: which roles were asked for.
    """

    items: tuple[Prunable, ...]
    skipped: tuple[Skipped, ...]
    learnables: Learnables

    @overload
    def __getitem__(self, index: int) -> Prunable: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Prunable, ...]: ...
    def __getitem__(self, index: int | slice) -> Prunable | tuple[Prunable, ...]:
        return self.items[index]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Prunable]:
        return iter(self.items)

    @property
    def total(self) -> int:
        """The number of weights in all variables together: the N of every sparsity."""
        return sum(item.size for item in self.items)

    def read(self) -> dict[str, NDArray[Any]]:
        """The values by path, to look at only: where the backend allows it they are no copies."""
        return {item.path: read(item.variable) for item in self.items}

    def views(self) -> dict[str, NDArray[np.floating[Any]]]:
        """The values by path, to look at only, and only until the variables change.

        Raises:
            InvalidModelError: a value is not finite.
        """
        return {item.path: item.view() for item in self.items}

    def values(self) -> dict[str, NDArray[np.floating[Any]]]:
        """Copies of the values, by path.

        Raises:
            InvalidModelError: a value is not finite.
        """
        return {item.path: item.value() for item in self.items}
