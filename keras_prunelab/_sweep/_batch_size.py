"""How many observations to compute at once: measured where that pays, estimated where it does not."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from keras_prunelab._backend import compiles_for_each_length

from ._data import Observations, Samples

ACTIVATION_BYTES = 8 * 2**20
"""How large the largest activation of a batch should be: what a processor's caches still hold."""
MOST_BYTES = 64 * 2**20
"""How large it may be while batch sizes are tried."""
MIN_BATCH, MAX_BATCH = 32, 1024
"""Fewer at once would read large kernels over and over; more gain nothing."""
_SHARE = 0.03
"""The part of the whole work that measuring may take."""
_REPEATS = 2


def estimated(model: keras.Model, data: Observations) -> int:
    """The size with which the largest activation of a batch fits `ACTIVATION_BYTES`."""
    return int(min(np.clip(ACTIVATION_BYTES // largest_activation(model, data), MIN_BATCH, MAX_BATCH), len(data)))


def candidates(model: keras.Model, data: Observations, passes: int) -> tuple[int, ...]:
    """The sizes worth trying, ascending; one of them where trying would take longer than it saves.

    Args:
        model: the model.
        data: the observations.
        passes: how many passes over them are to come.
    """
    guess = estimated(model, data)
    # Sequences come in batches of one length, and a size means little there.
    if not data.is_held or (isinstance(data, Samples) and not isinstance(data.inputs, np.ndarray)):
        return (guess,)
    fits = max(MOST_BYTES // largest_activation(model, data), MIN_BATCH)
    tried = (256, 1024) if compiles_for_each_length() else (64, 256, 1024, 4096)
    sizes = [size for size in tried if size <= min(len(data), fits)]
    work = (_REPEATS + 1) * sum(sizes)
    return tuple(sizes) if sizes and work <= _SHARE * passes * len(data) else (guess,)


def quickest(sizes: Sequence[int], run: Callable[[int], Any]) -> int:
    """The size with the least time for an observation.

    Args:
        sizes: what to try, ascending.
        run: computes a batch of a size, and waits for it.
    """
    if len(sizes) == 1:
        return sizes[0]
    seconds = {}
    for size in sizes:
        run(size)  # compiles, and makes room
        seconds[size] = min(_timed(run, size) for _ in range(_REPEATS)) / size
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


def _timed(run: Callable[[int], Any], size: int) -> float:
    begun = time.perf_counter()
    run(size)
    return time.perf_counter() - begun
