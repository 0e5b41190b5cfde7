"""How many observations to compute at once, and in how many pieces: measured where that pays, else estimated."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_prunelab._backend import compiles_for_each_length
from keras_prunelab._model._shapes import at_a_time

from ._data import Observations, Samples

ACTIVATION_BYTES = 8 * 2**20
"""How large the largest activation of a batch should be: what a processor's caches still hold."""
MOST_BYTES = 64 * 2**20
"""How large it may be while batch sizes are tried."""
MIN_BATCH, MAX_BATCH = 32, 1024
"""Fewer at once would read large kernels over and over; more gain nothing."""
_SHARE = 0.03
"""The part of the whole work that measuring may take."""
_REPEATS = 3


class BatchSize(NamedTuple):
    """The size of a batch, and in how many pieces the model computes it."""

    size: int
    pieces: int = 1


def estimate(model: keras.Model, data: Observations) -> int:
    """The size with which the largest activation of a batch fits `ACTIVATION_BYTES`, or the only one that works."""
    fixed = at_a_time(model)
    if fixed is not None:
        return fixed
    return int(min(np.clip(ACTIVATION_BYTES // largest_activation(model, data), MIN_BATCH, MAX_BATCH), len(data)))


def candidates(model: keras.Model, data: Observations, passes: int) -> tuple[int, ...]:
    """The sizes worth trying, ascending; one of them where trying would take longer than it saves.

    Args:
        model: the model.
        data: the observations.
        passes: how many passes over them are to come.
    """
    guess = estimate(model, data)
    # Sequences come in batches of one length, and a size means little there.
    if (
        not data.is_held
        or at_a_time(model) is not None
        or (isinstance(data, Samples) and not isinstance(data.inputs, np.ndarray))
    ):
        return (guess,)
    fits = max(MOST_BYTES // largest_activation(model, data), MIN_BATCH)
    tried = (256, 1024) if compiles_for_each_length() else (64, 256, 1024, 4096)
    sizes = [size for size in tried if size <= min(len(data), fits)]
    runs = _REPEATS + compiles_for_each_length()
    return tuple(sizes) if sizes and runs * sum(sizes) <= _SHARE * passes * len(data) else (guess,)


def quickest(sizes: Sequence[int], run: Callable[[BatchSize], Any], observations: int, pieces: int) -> BatchSize:
    """The one with the least time for an observation.

    Args:
        sizes: what to try, ascending.
        run: computes a batch, and waits for it.
        observations: how many are to come, counted in each pass.
        pieces: in how many pieces to compute a batch where that is quicker.
    """
    if len(sizes) == 1:
        return BatchSize(sizes[0])
    compiling, seconds = 0.0, dict[BatchSize, float]()
    for size in map(BatchSize, sizes):
        if not seconds or compiles_for_each_length():
            compiling = _time(run, size)
        seconds[size] = _each(run, size)
    best = min(seconds, key=seconds.__getitem__)
    if pieces > 1 and 2 * compiling <= _SHARE * observations * seconds[best]:
        run(BatchSize(sizes[0], pieces))
        more = [BatchSize(size, pieces) for size in sizes if size >= best.size][:2]
        seconds |= {size: _each(run, size) for size in more}
    return min(seconds, key=seconds.__getitem__)


def largest_activation(model: keras.Model, data: Observations) -> int:
    """The bytes of the largest activation of one observation, as far as the layers tell."""
    first = next(iter(data.batches(1)))
    arrays = keras.tree.flatten(first.inputs)
    longest = max((array.shape[1] for array in arrays if array.ndim > 1), default=1)
    largest = max(1, *(math.prod(array.shape[1:]) for array in arrays))
    for layer in getattr(model, "_flatten_layers", lambda: ())():
        try:
            shape = layer.output.shape
        except (AttributeError, ValueError):  # several outputs, or a layer inside a subclassed model
            continue
        largest = max(largest, math.prod(longest if length is None else length for length in shape[1:]))
    return int(4 * largest)


def _each(run: Callable[[BatchSize], Any], size: BatchSize) -> float:
    return min(_time(run, size) for _ in range(_REPEATS)) / size.size


def _time(run: Callable[[BatchSize], Any], size: BatchSize) -> float:
    begun = time.perf_counter()
    run(size)
    return time.perf_counter() - begun
