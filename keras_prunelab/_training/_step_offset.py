"""An optimizer whose schedule is set some steps back, while its own count of steps goes on."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras

from keras_prunelab._backend import creation_scope, read
from keras_prunelab._model._optimizers import leaves

from ._alteration import Alteration, alter, kept, restore


class StepOffset:
    """So many steps that some methods of an optimizer see less than it has made.

    Keras' optimizers compute the learning rate of a schedule, and Adam's bias correction, from the number of steps
    that they have made. To set that number back would mislead whatever else counts by it. The offset is a variable
    that the train step reads, so that it can change between two steps without a new trace. It is in no checkpoint,
    which plain Keras thus loads as any other.

    Args:
        model: a compiled model, whose optimizer is built.
        methods: the methods that see the steps less the offset.
    """

    def __init__(self, model: keras.Model, methods: Iterable[str]) -> None:
        self._model = model
        self._optimizer = model.optimizer
        self._methods = tuple(methods)

    def attach(self) -> None:
        """Put the offsets into the optimizer; `values` has to be set next."""
        key = ("steps set back", id(self._optimizer), *self._methods)
        self._offsets, self._alteration = kept(self._model, key, self._make)
        alter(self._model, self._alteration)

    def detach(self) -> None:
        """Leave the optimizer as it would be without."""
        restore(self._model, self._alteration)

    @property
    def values(self) -> tuple[int, ...]:
        """The offset of each optimizer inside, in the units of its own count."""
        return tuple(int(read(offset)) for offset in self._offsets)

    @values.setter
    def values(self, values: Sequence[int]) -> None:
        for offset, value in zip(self._offsets, values, strict=True):
            offset.assign(value)

    def _make(self) -> tuple[tuple[Any, ...], Alteration]:
        parts = leaves(self._optimizer)
        offsets = tuple(map(_offset_of, parts))
        replacements = [
            (leaf, name, functools.partial(_set_back, leaf, leaf._iterations, offset))
            for leaf, offset in zip(parts, offsets, strict=True)
            for name in self._methods
        ]
        return offsets, Alteration((self._optimizer,), replacements, list(zip(parts, offsets, strict=True)))


def _offset_of(leaf: Any) -> keras.Variable:
    with creation_scope(leaf):
        return keras.Variable(
            initializer="zeros",
            shape=(),
            dtype=leaf._iterations.dtype,
            trainable=False,
            aggregation="only_first_replica",
            name="steps_set_back",
        )


def _set_back(
    optimizer: Any, count: keras.Variable, offset: keras.Variable, method: Callable[..., Any], *arguments: Any
) -> Any:
    if vars(optimizer)["_iterations"] is not count:  # one of these methods within another
        return method(*arguments)
    # Past __setattr__, which would track it.
    vars(optimizer)["_iterations"] = count - offset
    try:
        return method(*arguments)
    finally:
        vars(optimizer)["_iterations"] = count
