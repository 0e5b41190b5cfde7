"""One layer in MATLAB's own words and layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from .matfile._elements import texts

Array = npt.NDArray[Any]

_CLASS_SETTINGS = ("Categories", "Classes", "ClassNames")


def _frozen(values: Mapping[str, Any] | None) -> Mapping[str, Any]:
    return MappingProxyType(dict(values or {}))


@dataclass(frozen=True)
class Part:
    """Where a parameter stands in a larger array, for files that keep several parameters in one.

    Attributes:
        whole: what the array is called, such as `"Theta1"`.
        array: the array as the file holds it.
        index: the elements of it that are the parameter.
    """

    whole: str
    array: Array = field(repr=False)
    index: tuple[slice | int, ...]


@dataclass(frozen=True)
class Layer:
    """One layer as MATLAB describes it.

    Attributes:
        name: the layer's name in MATLAB.
        class_name: the full class name, such as `"nnet.cnn.layer.Convolution2DLayer"`.
        settings: hyper-parameters by MATLAB's property name (`Stride`, ...), as `matfile` gives them.
        learnables: `Weights`, `Bias`, `Scale`, ... in MATLAB's layout, trailing singleton dimensions dropped
            as MATLAB does. An untrained learnable is an empty array.
        state: `TrainedMean`, `TrainedVariance` and the like, in MATLAB's layout.
        parts: for a parameter that the file keeps inside a larger array, where it stands in that.
    """

    name: str
    class_name: str
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)
    learnables: Mapping[str, Array] = field(default_factory=dict, repr=False)
    state: Mapping[str, Array] = field(default_factory=dict, repr=False)
    parts: Mapping[str, Part] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for name in ("settings", "learnables", "state", "parts"):
            object.__setattr__(self, name, _frozen(getattr(self, name)))

    @property
    def kind(self) -> str:
        """The class name without its package: `"Convolution2DLayer"`."""
        return self.class_name.rpartition(".")[2]

    @property
    def parameters(self) -> dict[str, Array]:
        """Learnables and state together, by name."""
        return {**self.learnables, **self.state}


def class_names(layers: tuple[Layer, ...]) -> tuple[str, ...]:
    """The classes of the first layer that has any, in the order of its scores; empty before training."""
    for layer in layers:
        for setting in _CLASS_SETTINGS:
            # Before training MATLAB writes the word "auto" in place of the classes.
            if not isinstance(layer.settings.get(setting, ""), str):
                return texts(layer.settings[setting])
    return ()


def column_major(array: Array) -> Array:
    """A flat view or copy in the order in which MATLAB stores the elements."""
    return np.asarray(array).ravel(order="F")


def padded_shape(array: Array, rank: int) -> Array:
    """The array with the trailing singleton dimensions that MATLAB drops put back."""
    array = np.asarray(array)
    return array.reshape(array.shape + (1,) * max(0, rank - array.ndim))


def column_major_reshape(array: Array, shape: tuple[int, ...]) -> Array:
    """The elements in MATLAB's order, laid out in another shape."""
    return np.reshape(np.asarray(array), shape, order="F")
