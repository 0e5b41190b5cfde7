"""Data that comes in batches: how it is read, and whether it ends."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import keras

from keras_prunelab._errors import InvalidDataError

MOST_BATCHES = 100_000
"""Data that does not tell its length is taken for endless beyond this many batches."""


@dataclass(frozen=True)
class Source:
    """Data that comes in batches.

    Attributes:
        read: begins a new pass over the batches. It raises `InvalidDataError` where a pass has no end.
        tells_length: whether the data says how many batches it has.
    """

    read: Callable[[], Iterator[Any]]
    tells_length: bool


def source(data: Any) -> Source | None:
    """Find out how data is read in batches.

    Args:
        data: a `tf.data.Dataset`, a `keras.utils.PyDataset`, a torch `DataLoader` or another iterable, a function
            that returns an iterable, or a list of batches that are tuples.

    Returns:
        How to read it; None where it is arrays, or an object with `inputs` and `labels`.

    Raises:
        InvalidDataError: it has no end, or can be read only once.
    """
    if hasattr(data, "inputs") and hasattr(data, "labels"):
        return None
    if isinstance(data, keras.utils.PyDataset):
        if data.num_batches is None:
            raise _endless(
                f"{type(data).__name__} does not say how many batches it has. Let its num_batches return a number."
            )
        return Source(lambda: (data[index] for index in range(data.num_batches)), tells_length=True)
    if hasattr(data, "cardinality"):
        count = int(data.cardinality())
        if count == -1:  # tf.data.INFINITE_CARDINALITY
            raise _endless("A tf.data.Dataset repeats for ever. Leave out repeat(), or add take(n).")
        return _iterate(data, tells_length=count >= 0)
    if isinstance(data, Iterator):
        raise InvalidDataError(
            f"A {type(data).__name__} can be read only once, and nobody can see whether it ends. Give a function that "
            "returns a new one, such as data=lambda: batches()."
        )
    if is_array(data) or isinstance(data, tuple | dict):
        return None
    if callable(data):
        return Source(lambda: _returned(data), tells_length=False)
    if isinstance(data, list) and not (data and all(isinstance(each, tuple) for each in data)):
        return None
    if any(each.__module__.startswith("torch.utils.data") for each in type(data).__mro__):
        # Its batches are lists where they are made of pairs; `fit` too reads them as tuples.
        read = _iterate(data, tells_length=_has_length(data)).read
        return Source(lambda: (tuple(one) if isinstance(one, list) else one for one in read()), _has_length(data))
    return _iterate(data, tells_length=_has_length(data)) if hasattr(data, "__iter__") else None


# Functions and data sets that have come to their end once.
_ENDING: weakref.WeakSet[Any] = weakref.WeakSet()


def check_ends(data: Any) -> None:
    """Make sure that data has an end, before any work with it.

    Data that does not tell its length is read through once for this, without a look at the batches.

    Args:
        data: what a score, a callback or `recalibrate` is given.

    Raises:
        InvalidDataError: it has no end, or can be read only once.
    """
    found = source(data)
    if found is None or found.tells_length or _has_ended(data):
        return
    for _ in found.read():
        pass
    with contextlib.suppress(TypeError):  # it has no hash, or nothing can refer to it weakly
        _ENDING.add(data)


def _has_ended(data: Any) -> bool:
    try:
        return data in _ENDING
    except TypeError:
        return False


def is_array(value: Any) -> bool:
    """Whether a value is an array or a tensor, of whatever library."""
    return hasattr(value, "shape") and (hasattr(value, "dtype") or hasattr(value, "dtypes"))


def _endless(why: str) -> InvalidDataError:
    return InvalidDataError(f"The data never ends: {why}")


def _iterate(data: Iterable[Any], *, tells_length: bool) -> Source:
    return Source(lambda: iter(data) if tells_length else _count(data), tells_length)


def _count(given: Iterable[Any]) -> Iterator[Any]:
    for number, batch in enumerate(given):
        if number == MOST_BATCHES:
            raise _endless(
                f"there are more than {MOST_BATCHES:,} batches, and it does not say how many. Let it stop after one "
                "pass over the observations; for as many as this, give a tf.data.Dataset or a keras.utils.PyDataset "
                "that knows its length."
            )
        yield batch


def _returned(function: Callable[[], Any]) -> Iterator[Any]:
    """The batches that a function returns, as a generator or in any other form."""
    made = function()
    if isinstance(made, Iterator):
        return _count(made)
    found = source(made)
    return iter(made) if found is None else found.read()


def _has_length(data: Any) -> bool:
    try:
        len(data)
    except (TypeError, NotImplementedError):  # a DataLoader of a stream has the method, and no length
        return False
    return True
