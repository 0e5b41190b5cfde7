"""Whether two models compute the same, on random inputs and on given ones."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any, TypeAlias

import keras
import numpy as np

from keras_prunelab._backend import traced
from keras_prunelab._errors import InvalidDataError, NotEquivalentError

from ._memory import Memory

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

_TOLERANCES = {"float64": 1e-4, "float32": 1e-4, "float16": 2e-2, "bfloat16": 1e-1}
_CHAOTIC = 1e-2  # a hundred times the tolerance: digits that rounding has reached are no use to compare
_FREE_LENGTHS = (16, 32, 64, 128, 224, 512, 1024, 2048, 4096)
_MOST_NUMBERS = 1 << 23  # in one input: longer ones are not tried


def proved(model: keras.Model, small: keras.Model, data: Any = None) -> float:
    """Make sure that a smaller model computes what the whole one does.

    Args:
        model: the whole model.
        small: the smaller one.
        data: inputs to compare them on beside random ones.

    Returns:
        The largest difference of an output, relative to the largest output; inputs for which rounding makes more than
        1e-4 count only where it does so for all.

    Raises:
        NotEquivalentError: it is past 1e-4 (in float32), and past what rounding makes of the model's own outputs.
    """
    # A model that was loaded has the policy of the moment, whatever its layers compute in.
    tolerance = max(_TOLERANCES.get(layer.compute_dtype, 1e-4) for layer in model._flatten_layers())
    memory = Memory(model)
    whole, less = _Run(model, memory), _Run(small, memory)
    try:
        with warnings.catch_warnings(action="ignore"):  # what a layer says of its inputs is not about these
            drawn = random_inputs(model, like=data)
            # To a network that divides pixels by 255, small inputs are all alike.
            batches = [drawn, _scaled(drawn, 100), *([] if data is None else [data])]
            found = [each for batch in batches if (each := _difference(whole, less, batch, tolerance)) is not None]
    finally:
        whole.end()
        less.end()
    within = [each for each in found if each <= tolerance]
    if not found:
        raise NotEquivalentError(
            f"The outputs of {model.name!r} follow the rounding of its inputs, so that nothing can be compared. Give "
            "data=, inputs such as the model was trained on."
        )
    return max(within or found)


class _Run:
    """A model whose every call begins with one memory, where that fits."""

    def __init__(self, model: Any, start: Memory) -> None:
        self.name = model.name
        self._call = traced(model)
        self._own, self._start = Memory(model), start

    def __call__(self, inputs: Any) -> list[Array]:
        """The outputs, flat."""
        self._own.recall(self._start)
        found = keras.tree.flatten(self._call(inputs))
        return [np.asarray(keras.ops.convert_to_numpy(each), np.float64) for each in found]

    def end(self) -> None:
        """Leave the model as it was."""
        self._own.restore()


def _difference(model: _Run, small: _Run, inputs: Any, tolerance: float) -> float | None:
    """The relative difference for a batch; None where the batch tells nothing, because rounding decides."""
    expected = model(inputs)
    change = _change(expected, small(inputs))
    if change <= tolerance:
        return change
    if (apart := _change(expected, model(inputs))) > tolerance:
        raise NotEquivalentError(
            f"The outputs of {model.name!r} are random: they differ by {apart:.1e} of the largest output from one call "
            "to the next on the same inputs, so that nothing can be compared. Nothing was returned. Give its layers "
            "random numbers of their own (keras.random.SeedGenerator), which begin alike at each call here."
        )
    # A deep network may amplify the roundings of its first layers; it does so with last digits of its inputs too.
    rounding = _change(expected, model(_scaled(inputs, 1 + tolerance / 100)))
    if rounding > _CHAOTIC:
        return None
    if change <= 10 * rounding:
        return change
    raise NotEquivalentError(
        f"The outputs of {model.name!r} and of the smaller model differ by {change:.1e} of the largest output, more "
        f"than {tolerance:.0e}. Nothing was returned. If the model has a layer of your own with a rule of your own "
        "(register_rule), the rule does not say what the layer computes; else it would help to have the model."
    )


def _change(expected: Sequence[Array], found: Sequence[Array]) -> float:
    worst = 0.0
    for one, other in zip(expected, found, strict=True):
        if one.shape != other.shape:
            return np.inf
        finite = np.isfinite(one)
        if not np.array_equal(one[~finite], other[~finite], equal_nan=True):
            return np.inf
        largest = float(np.abs(one[finite]).max(initial=0.0))
        change = float(np.abs(one[finite] - other[finite]).max(initial=0.0))
        worst = max(worst, change / largest if largest else change)
    return worst


def _scaled(inputs: Any, factor: float) -> Any:
    """Inputs with their real numbers multiplied."""

    def scaled(each: Any) -> Any:
        value = np.asarray(keras.ops.convert_to_numpy(each) if keras.ops.is_tensor(each) else each)
        return (factor * value).astype(value.dtype) if value.dtype.kind == "f" else each

    return keras.tree.map_structure(scaled, inputs)


def random_inputs(model: Any, *, like: Any = None) -> Any:
    """Random inputs for which a model runs.

    Args:
        model: a built functional or sequential model.
        like: inputs of the user's, whose lengths are taken for the free axes; without them, and where they do not fit,
            lengths are tried from short to long.

    Returns:
        What the model can be called on.

    Raises:
        InvalidDataError: the model runs with no length that was tried.
    """
    rng = np.random.default_rng(0)
    words = _vocabulary(model)
    struct = getattr(model, "_inputs_struct", None)

    def batch_of(shapes: Sequence[Sequence[int]]) -> Any:
        inputs = [_array(symbol, shape, words, rng) for symbol, shape in zip(model.inputs, shapes, strict=True)]
        return inputs[0] if struct is None else keras.tree.pack_sequence_as(struct, inputs)

    if not any(None in symbol.shape[1:] for symbol in model.inputs):
        return batch_of([_shape(symbol, 0) for symbol in model.inputs])
    last: Exception | None = None
    tried: list[int] = []
    given, call = _given_shapes(model, like), traced(model)
    for length in _FREE_LENGTHS if given is None else (0, *_FREE_LENGTHS):
        shapes = given if given is not None and length == 0 else [_shape(symbol, length) for symbol in model.inputs]
        if length and tried and max(map(math.prod, shapes)) > _MOST_NUMBERS:
            break
        tried.append(length)
        batch = batch_of(shapes)
        try:
            call(batch)
        except Exception as error:  # noqa: BLE001 - each backend has its own for an image too small
            last = error
        else:
            return batch
    raise InvalidDataError(
        f"Model {model.name!r} has inputs of free length, and runs with none of the lengths "
        f"{', '.join(map(str, filter(None, tried)))}. Give data=, inputs of lengths that it takes. It said: "
        f"{' '.join(str(last).split()):.300}"
    ) from last


def _given_shapes(model: Any, like: Any) -> list[list[int]] | None:
    """The shapes of inputs that a user gave, for small batches; None where they are not those of the model."""
    flat = [] if like is None else keras.tree.flatten(like)
    if len(flat) != len(model.inputs) or not all(hasattr(each, "shape") for each in flat):
        return None
    shapes = [
        [symbol.shape[0] or 2, *map(int, each.shape[1:])] for symbol, each in zip(model.inputs, flat, strict=True)
    ]
    fits = (
        len(shape) == len(symbol.shape)
        and all(one in (None, own) for one, own in zip(symbol.shape, shape, strict=True))
        for shape, symbol in zip(shapes, model.inputs, strict=True)
    )
    return shapes if all(fits) else None


def _shape(symbol: Any, length: int) -> list[int]:
    return [symbol.shape[0] or 2, *(length if one is None else one for one in symbol.shape[1:])]


def _array(symbol: Any, shape: Sequence[int], words: int, rng: np.random.Generator) -> Any:
    if keras.backend.is_float_dtype(symbol.dtype):
        return rng.normal(size=shape).astype("float32" if symbol.dtype == "bfloat16" else symbol.dtype)
    if symbol.dtype == "bool":
        return rng.random(shape) < 0.7
    if symbol.dtype == "string":
        return rng.choice(np.array(["a", "the", "model"]), size=shape)
    return rng.integers(0, words, shape).astype(symbol.dtype)


def _vocabulary(model: Any) -> int:
    """How many different whole numbers every embedding of the model knows."""
    layers = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.Embedding)]
    return min((int(layer.input_dim) for layer in layers), default=2)
