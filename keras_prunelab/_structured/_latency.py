"""How long a model takes, measured."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_prunelab._backend import compiled_forward

from ._proof import random_inputs


def latency(models: Sequence[keras.Model], batch: int = 1, *, seconds: float = 1.0) -> list[float]:
    """Measure how long models take for one batch, compiled, side by side.

    The models take turns, so that what else the machine does falls on all of them alike.

    Args:
        models: built models. Free lengths of their inputs are the first of 16, 32, 64, ... with which they run.
        batch: how many observations a batch has.
        seconds: how long to measure, for each model.

    Returns:
        For each model the median time in seconds.
    """
    runs = [_prepared(model, batch) for model in models]
    times: list[list[float]] = [[] for _ in models]
    deadline = time.perf_counter() + seconds * len(models)
    while time.perf_counter() < deadline or len(times[-1]) < 3:
        for run, found in zip(runs, times, strict=True):
            start = time.perf_counter()
            run()
            found.append(time.perf_counter() - start)
    return [statistics.median(found) for found in times]


def _prepared(model: keras.Model, batch: int) -> Any:
    forward = compiled_forward(model)
    inputs = keras.tree.map_structure(
        lambda each: keras.ops.convert_to_tensor(np.resize(each, (batch, *each.shape[1:]))), random_inputs(model)
    )

    def run() -> None:
        keras.tree.map_structure(keras.ops.convert_to_numpy, forward(inputs))  # waits for the result

    run()
    run()
    return run
