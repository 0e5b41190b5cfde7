"""How strong the input of each weight is: norms taken from the layers' inputs while the model runs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import keras
import numpy as np
from numpy.typing import NDArray

from keras_prunelab._errors import InvalidModelError
from keras_prunelab._model._data import batches
from keras_prunelab._model._variables import Prunable

from ._base import ScoreContext

# From a layer's input, squared, to the sum for each weight: an array that broadcasts to the variable's shape.
_Reduce: TypeAlias = Callable[[NDArray[Any]], NDArray[Any]]

_CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
_TRANSPOSED = (keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose)
_DEPTHWISE = (
    *(keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D),
    *(keras.layers.SeparableConv1D, keras.layers.SeparableConv2D),
)


def input_norms(context: ScoreContext, size: int) -> dict[str, NDArray[np.float64]]:
    """Run a model and measure what each prunable weight is multiplied with.

    Args:
        context: the model, its prunable variables, and inputs.
        size: how many observations are run at once.

    Returns:
        By path, the Euclidean norms over all data; each array broadcasts to its variable's shape.

    Raises:
        InvalidModelError: the input of a variable cannot be observed.
        InvalidDataError: there is no data.
    """
    watched = [_watch(item) for item in context.prunables]
    hidden = [item.path for item, watch in zip(context.prunables, watched, strict=True) if watch is None]
    if hidden:
        raise InvalidModelError(
            f"Wanda needs the input of each weight, and those of {', '.join(map(repr, hidden))} cannot be observed "
            f"from outside their layers. Leave them out: exclude={hidden!r}."
        )
    watches = [watch for watch in watched if watch is not None]
    mapping = [(item.variable, context.values[item.path]) for item in context.prunables]
    with _observe(watches):
        for batch in batches(context.data, size, labels=False, model=context.model):
            values = [(variable, keras.ops.convert_to_tensor(value, variable.dtype)) for variable, value in mapping]
            with keras.StatelessScope(state_mapping=values):
                context.model(batch.inputs, training=False)
            if not all(np.isfinite(watch.total).all() for watch in watches):
                batch.require_finite()
    return {watch.path: np.sqrt(watch.total) for watch in watches}


@dataclass
class _Watch:
    path: str
    layer: Any
    reduce: _Reduce
    total: Any = 0.0

    def see(self, inputs: Any) -> None:
        array = np.asarray(keras.ops.convert_to_numpy(keras.tree.flatten(inputs)[0]), np.float64)
        self.total = self.total + self.reduce(np.square(array))


def _watch(item: Prunable) -> _Watch | None:
    """Which layer's input the weights of a variable meet, and how they meet it."""
    layer = item.owner
    name = item.variable.name
    if isinstance(layer, keras.layers.EinsumDense):
        return _Watch(item.path, layer, _einsum(layer.equation, item))
    if isinstance(layer, _DEPTHWISE):
        return None if name == "pointwise_kernel" else _Watch(item.path, layer, _depthwise(layer))
    if isinstance(layer, (*_CONVOLUTIONS, *_TRANSPOSED)):
        return _Watch(item.path, layer, _convolution(layer, item.shape))
    recurrent = next((outer for outer in reversed(item.containers) if isinstance(outer, keras.layers.RNN)), None)
    if recurrent is not None:
        cells = next((each.cells for each in item.containers if isinstance(each, keras.layers.StackedRNNCells)), ())
        is_first = not cells or layer is cells[0]  # the others meet what the cell before them gives
        return _Watch(item.path, recurrent, _last_axis(item)) if name == "kernel" and is_first else None
    if len(item.shape) == 2 and name == "kernel":
        return _Watch(item.path, layer, _last_axis(item))
    return None


def _last_axis(item: Prunable) -> _Reduce:
    def reduce(squares: NDArray[Any]) -> NDArray[Any]:
        if squares.shape[-1] != item.shape[-2]:
            raise InvalidModelError(
                f"Layer {item.layer!r} was given {squares.shape[-1]} features, but {item.path!r} has {item.shape[-2]} "
                f"inputs; leave it out: exclude={item.path!r}."
            )
        return np.asarray(squares.sum(axis=tuple(range(squares.ndim - 1))))[:, None]

    return reduce


def _channels(layer: Any, squares: NDArray[Any]) -> NDArray[Any]:
    axis = 1 if layer.data_format == "channels_first" else squares.ndim - 1
    return np.asarray(squares.sum(axis=tuple(other for other in range(squares.ndim) if other != axis)))


def _depthwise(layer: Any) -> _Reduce:
    return lambda squares: _channels(layer, squares)[:, None]


def _convolution(layer: Any, shape: tuple[int, ...]) -> _Reduce:
    if isinstance(layer, _TRANSPOSED):
        return lambda squares: _channels(layer, squares)

    def reduce(squares: NDArray[Any]) -> NDArray[Any]:
        # The filters of group g see its channels only.
        groups = _channels(layer, squares).reshape(layer.groups, -1)
        return np.repeat(groups, shape[-1] // layer.groups, axis=0).T

    return reduce


def _einsum(equation: str, item: Prunable) -> _Reduce:
    left, _ = equation.split("->")
    inputs, kernel = left.split(",")
    shared = "".join(letter for letter in kernel if letter in inputs)
    shape = tuple(length if letter in shared else 1 for letter, length in zip(kernel, item.shape, strict=True))
    return lambda squares: np.einsum(f"{inputs}->{shared}", squares).reshape(shape)


@contextlib.contextmanager
def _observe(watches: list[_Watch]) -> Iterator[None]:
    """Let the layers show what they are called with."""
    layers = {id(watch.layer): watch.layer for watch in watches}
    try:
        for layer in layers.values():
            theirs = [watch for watch in watches if watch.layer is layer]
            vars(layer)["call"] = _Observer(layer.call, theirs)
        yield
    finally:
        for layer in layers.values():
            del vars(layer)["call"]


@dataclass
class _Observer:
    call: Callable[..., Any]
    watches: list[_Watch]

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        for watch in self.watches:
            watch.see(inputs)
        return self.call(inputs, *args, **kwargs)
