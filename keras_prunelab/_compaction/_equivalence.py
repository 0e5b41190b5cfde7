"""Whether two models compute the same, on random inputs and on given ones."""

from __future__ import annotations

import itertools
import warnings
from typing import Any, TypeAlias

import keras
import numpy as np

from keras_prunelab._backend import trace_model
from keras_prunelab._errors import NotEquivalentError
from keras_prunelab._model._call import call_on
from keras_prunelab._model._data import Batch, inputs_of
from keras_prunelab._model._random_inputs import random_inputs
from keras_prunelab._model._rounding import relative_change
from keras_prunelab._model._shapes import at_a_time
from keras_prunelab._model._state import CallState

Output: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

_TOLERANCES = {"float64": 1e-4, "float32": 1e-4, "float16": 2e-2, "bfloat16": 1e-1}
_CHAOTIC = 1e-2  # a hundred times the tolerance: digits that rounding has reached are no use to compare


def check_equivalence(model: keras.Model, small: keras.Model, data: Any = None) -> float:
    """Make sure that a smaller model computes what the whole one does.

    Args:
        model: the whole model.
        small: the smaller one.
        data: what to compare them on beside random inputs.

    Returns:
        The largest difference of an output, relative to the largest output; inputs for which rounding makes more than
        1e-4 count only where it does so for all.

    Raises:
        InvalidDataError: the data does not fit the model, is empty, or has no end.
        NotEquivalentError: it is past 1e-4 (in float32), and past what rounding makes of the model's own outputs.
    """
    # A model that was loaded has the policy of the moment, whatever its layers compute in.
    tolerance = max(_TOLERANCES.get(layer.compute_dtype, 1e-4) for layer in model._flatten_layers())
    start = CallState(model)
    whole, less = _Repeatable(model, start), _Repeatable(small, start)
    try:
        with warnings.catch_warnings(action="ignore"):  # what a layer says of its inputs is not about these
            first = None if data is None else next(inputs_of(model, data))
            if first is not None:
                call_on(model, next(Batch(first).cut(at_a_time(model) or 1)))
            drawn = random_inputs(model, like=first)
            # To a network that divides pixels by 255, small inputs are all alike.
            given = () if data is None else inputs_of(model, data)
            batches = itertools.chain([drawn, _scale(drawn, 100)], given)
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


class _Repeatable:
    """A model whose every call begins with one state, where that fits."""

    def __init__(self, model: Any, start: CallState) -> None:
        self.name = model.name
        self._call = trace_model(model)
        self._own, self._start = CallState(model), start

    def __call__(self, inputs: Any) -> list[Output]:
        """The outputs, as one list whatever their structure."""
        self._own.recall(self._start)
        found = keras.tree.flatten(self._call(inputs))
        return [np.asarray(keras.ops.convert_to_numpy(each), np.float64) for each in found]

    def end(self) -> None:
        """Leave the model as it was."""
        self._own.restore()


def _difference(model: _Repeatable, small: _Repeatable, inputs: Any, tolerance: float) -> float | None:
    """The relative difference for a batch; None where the batch tells nothing, because rounding decides."""
    expected = model(inputs)
    change = relative_change(expected, small(inputs))
    if change <= tolerance:
        return change
    if (apart := relative_change(expected, model(inputs))) > tolerance:
        raise NotEquivalentError(
            f"The outputs of {model.name!r} are random: they differ by {apart:.1e} of the largest output from one call "
            "to the next on the same inputs, so that nothing can be compared. Nothing was returned. Give its layers "
            "random numbers of their own (keras.random.SeedGenerator), which begin alike at each call here."
        )
    # A deep network may amplify the roundings of its first layers; it does so with last digits of its inputs too.
    rounding = relative_change(expected, model(_scale(inputs, 1 + tolerance / 100)))
    if rounding > _CHAOTIC:
        return None
    if change <= 10 * rounding:
        return change
    raise NotEquivalentError(
        f"The outputs of {model.name!r} and of the smaller model differ by {change:.1e} of the largest output, more "
        f"than {tolerance:.0e}. Nothing was returned. If the model has a layer of your own with a rule of your own "
        "(register_rule), the rule does not say what the layer computes; else it would help to have the model."
    )


def _scale(inputs: Any, factor: float) -> Any:
    """Inputs with their real numbers multiplied."""

    def scaled(each: Any) -> Any:
        value = np.asarray(keras.ops.convert_to_numpy(each) if keras.ops.is_tensor(each) else each)
        return (factor * value).astype(value.dtype) if value.dtype.kind == "f" else each

    return keras.tree.map_structure(scaled, inputs)
