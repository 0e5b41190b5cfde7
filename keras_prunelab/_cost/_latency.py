"""How long a model takes, measured."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_prunelab._backend import compile_forward
from keras_prunelab._errors import InvalidDataError, InvalidModelError
from keras_prunelab._model._data import check_batch_size
from keras_prunelab._model._numbers import real_number
from keras_prunelab._model._random_inputs import random_inputs
from keras_prunelab._model._rebuild import is_graph
from keras_prunelab._model._state import CallState


def latency(models: Sequence[keras.Model], batch: int = 1, *, seconds: float = 1.0) -> list[float]:
    """Measure how long models take for one batch, compiled, side by side.

    The models take turns, so that what else the machine does falls on all of them alike.

    Args:
        models: built models. Free lengths of their inputs are the first of 16, 32, 64, ... with which they run.
        batch: how many observations a batch has.
        seconds: how long to measure, for each model.

    Returns:
        For each model the median time in seconds.

    Raises:
        InvalidModelError: one is not built, or a subclass whose inputs nobody knows; or its batches have a length of
            their own, which is another one.
        InvalidDataError: `batch` is no whole number from 1, or `seconds` no number from 0.
    """
    size, duration = check_batch_size(batch), real_number(seconds)
    if duration is None or not duration >= 0:
        raise InvalidDataError(f"seconds={seconds!r}; it is a number from 0.")
    if isinstance(models, keras.Model):
        raise InvalidModelError("latency takes several models, to be measured side by side: write latency([model]).")
    states = [CallState(model) for model in models]
    try:
        runs = [_prepare(model, size) for model in models]
        times: list[list[float]] = [[] for _ in models]
        deadline = time.perf_counter() + duration * len(models)
        while time.perf_counter() < deadline or len(times[-1]) < 3:
            for run, found in zip(runs, times, strict=True):
                start = time.perf_counter()
                run()
                found.append(time.perf_counter() - start)
    finally:
        for state in states:
            state.restore()
    return [statistics.median(found) for found in times]


def _prepare(model: Any, batch: int) -> Any:
    if not model.built or not is_graph(model):
        raise InvalidModelError(
            f"Model {model.name!r} is not built, or a subclass of keras.Model whose inputs nobody knows, so that it "
            "cannot be given any."
        )
    fixed = {symbol.shape[0] for symbol in model.inputs} - {None, batch}
    if fixed:
        raise InvalidModelError(
            f"Model {model.name!r} takes batches of {min(fixed)} observations only, so batches of {batch} cannot be "
            "measured."
        )
    forward = compile_forward(model)
    inputs = keras.tree.map_structure(
        lambda each: keras.ops.convert_to_tensor(np.resize(each, (batch, *each.shape[1:]))), random_inputs(model)
    )

    def run() -> None:
        keras.tree.map_structure(keras.ops.convert_to_numpy, forward(inputs))  # waits for the result

    run()
    run()
    return run
