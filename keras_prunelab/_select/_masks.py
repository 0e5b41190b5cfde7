"""Which weights are kept: a boolean array for every pruned variable."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import keras
import numpy as np
from numpy.typing import NDArray

from keras_prunelab._errors import InvalidMaskError
from keras_prunelab._model._prunable import maskable, prunable
from keras_prunelab._model._variables import Prunable, Prunables
from keras_prunelab._util._arrays import mask_with
from keras_prunelab._util._atomic import replace_whole

Mask: TypeAlias = NDArray[np.bool_]
"""True where a weight is kept; of the shape of its variable."""
Masks: TypeAlias = Mapping[str, Mask]
"""Masks by the paths of their variables."""

_FORMAT = "keras_prunelab masks 1"


class MaskSet(Mapping[str, Mask]):
    """The masks of a model's variables: `True` where a weight is kept.

    A mapping from variable path to a boolean array of the variable's shape. It cannot be changed.

    Args:
        masks: boolean arrays by variable path, such as `{"conv1/kernel": ...}`.

    Raises:
        InvalidMaskError: a mask is not boolean.

    Examples:
        >>> import numpy as np
        >>> from keras_prunelab import MaskSet
        >>> masks = MaskSet({"dense/kernel": np.array([[True, False], [False, False]])})
        >>> masks.zeros, masks.total, masks.sparsity
        (3, 4, 0.75)
    """

    def __init__(self, masks: Mapping[str, NDArray[np.bool_]]) -> None:
        self._masks: dict[str, NDArray[np.bool_]] = {}
        for path, mask in masks.items():
            array = np.array(mask)
            if array.dtype != np.bool_:
                raise InvalidMaskError(
                    f"The mask of {path!r} is of type {array.dtype}; masks are boolean, True where a weight "
                    "is kept. Write `weights != 0` for the non-zero ones."
                )
            array.flags.writeable = False
            self._masks[path] = array

    def __getitem__(self, path: str) -> NDArray[np.bool_]:
        return self._masks[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._masks)

    def __len__(self) -> int:
        return len(self._masks)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MaskSet):
            return NotImplemented
        return self.keys() == other.keys() and all(np.array_equal(self[path], other[path]) for path in self)

    __hash__ = None  # type: ignore[assignment] # compared by value, and too large to hash at every look-up

    def __repr__(self) -> str:
        counts = f"{self.zeros} of {self.total} weights pruned ({self.sparsity:.2%})"
        return f"<MaskSet of {len(self)} variables: {counts}>"

    def __and__(self, other: MaskSet) -> MaskSet:
        """Keep what both keep; a variable that only one of them has keeps that one's mask."""
        return self._combined(other, np.logical_and)

    def __or__(self, other: MaskSet) -> MaskSet:
        """Keep what either keeps; of a variable that only one of them has, the other keeps everything."""
        return self._combined(other, np.logical_or)

    def _combined(self, other: MaskSet, combine: Callable[..., NDArray[np.bool_]]) -> MaskSet:
        if not isinstance(other, MaskSet):
            return NotImplemented
        combined = {}
        for path in {**self._masks, **other._masks}:
            one, two = self._masks.get(path, np.True_), other._masks.get(path, np.True_)
            if np.ndim(one) and np.ndim(two) and np.shape(one) != np.shape(two):
                raise InvalidMaskError(
                    f"The masks of {path!r} have the shapes {np.shape(one)} and {np.shape(two)}; only masks "
                    "of the same model can be combined."
                )
            combined[path] = combine(one, two)
        return MaskSet(combined)

    @property
    def total(self) -> int:
        """The number of weights."""
        return sum(mask.size for mask in self._masks.values())

    @property
    def zeros(self) -> int:
        """The number of pruned weights."""
        return sum(self.zeros_by_variable().values())

    def zeros_by_variable(self) -> dict[str, int]:
        """The number of pruned weights of each variable, by path."""
        return {path: mask.size - int(np.count_nonzero(mask)) for path, mask in self._masks.items()}

    @property
    def sparsity(self) -> float:
        """The pruned share of the weights, in [0, 1]."""
        return self.zeros / self.total if self.total else 0.0

    @property
    def density(self) -> float:
        """The kept share of the weights, in [0, 1]."""
        return 1.0 - self.sparsity

    @classmethod
    def from_zeros(cls, model: keras.Model, prunables: Prunables | None = None) -> MaskSet:
        """Read the masks off a model that is already sparse: what is not zero is kept.

        Args:
            model: a built model.
            prunables: the variables to look at; by default `prunable(model)`.

        Returns:
            The masks.
        """
        found = prunable(model) if prunables is None else prunables
        return cls({path: value != 0 for path, value in found.values().items()})

    def variables(self, model: keras.Model) -> dict[str, Prunable]:
        """Find the variable of each mask in a model.

        Args:
            model: a built model.

        Returns:
            The variables, by path.

        Raises:
            InvalidMaskError: the model lacks a variable, or one has another shape.
        """
        candidates = {item.path: item for item in maskable(model)}
        missing = [path for path in self if path not in candidates]
        if missing:
            raise InvalidMaskError(
                f"Model {model.name!r} has no variable {', '.join(map(repr, missing))}; it has "
                f"{', '.join(map(repr, candidates))}. Masks fit the model they were made for and its copies "
                "with the same layer names."
            )
        for path, mask in self.items():
            if candidates[path].shape != mask.shape:
                raise InvalidMaskError(
                    f"The mask of {path!r} has shape {mask.shape}, but in model {model.name!r} the variable "
                    f"has shape {candidates[path].shape}."
                )
        return {path: candidates[path] for path in self}

    def apply(self, model: keras.Model) -> None:
        """Write zeros into a model's weights, in place, where the masks are `False`.

        Args:
            model: a built model that has the masks' variables.

        Raises:
            InvalidMaskError: the masks do not fit the model, which is then left as it was.
        """
        for path, item in self.variables(model).items():
            value = keras.ops.convert_to_numpy(item.variable)
            item.variable.assign(mask_with(value, self[path]))

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each mask, by path."""
        return {path: mask.shape for path, mask in self._masks.items()}

    def packed(self) -> NDArray[np.uint8]:
        """All masks, one after the other, one bit a weight."""
        flat = [mask.reshape(-1) for mask in self._masks.values()]
        return np.packbits(np.concatenate(flat) if flat else np.zeros(0, np.bool_))

    @classmethod
    def unpacked(cls, shapes: Mapping[str, Sequence[int]], bits: NDArray[np.uint8]) -> MaskSet:
        """Make masks from what `shapes` and `packed` gave."""
        sizes = [int(np.prod(shape, dtype=np.int64)) for shape in shapes.values()]
        flat = np.unpackbits(bits, count=sum(sizes)).astype(np.bool_)
        pieces = np.split(flat, np.cumsum(sizes)[:-1]) if sizes else []
        return cls({path: part.reshape(shape) for (path, shape), part in zip(shapes.items(), pieces, strict=True)})

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the masks to a NumPy `.npz` file, one bit a weight.

        Args:
            path: the file to write; its ending should be `.npz`. Replaced only once the new one is whole.
        """
        header = json.dumps({"format": _FORMAT, "shapes": self.shapes})
        bits = self.packed()
        with replace_whole(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, header=np.array(header), bits=bits)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> MaskSet:
        """Read masks that `save` wrote.

        Args:
            path: the file.

        Returns:
            The masks.

        Raises:
            FileNotFoundError: there is no such file.
            InvalidMaskError: the file does not hold masks.
        """
        try:
            with np.load(Path(path), allow_pickle=False) as file:
                header, bits = json.loads(str(file["header"])), file["bits"]
            masks = cls.unpacked(header["shapes"], bits)
            known: Literal[True] | Any = header["format"] == _FORMAT
        except (KeyError, TypeError, ValueError, AttributeError, EOFError, zipfile.BadZipFile) as error:
            raise InvalidMaskError(f"{os.fspath(path)} is not a file of masks that MaskSet.save wrote.") from error
        if not known:
            raise InvalidMaskError(
                f"{os.fspath(path)} is of the format {header['format']!r}; this version reads {_FORMAT!r}."
            )
        return masks
