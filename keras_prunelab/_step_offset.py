"""An optimizer that takes itself to be some steps back, while its own count goes on."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras

from ._backend import creation_scope, read
from ._enforcement import chain, leaves, without

_METHODS = ("save_own_variables", "load_own_variables")


class StepOffset:
    """So many steps that some methods of an optimizer see less than it has made.

    Keras' optimizers compute the learning rate of a schedule, and Adam's bias correction, from the number of steps
    that they have made. To set that number back would mislead whatever else counts by it. The offset is a variable of
    the optimizer, because on JAX only such a one can change between two steps without a new trace. It is in no
    checkpoint, which plain Keras thus loads as any other.

    Args:
        optimizer: a built optimizer.
        methods: the methods that see the steps less the offset.
    """

    def __init__(self, optimizer: Any, methods: Iterable[str]) -> None:
        self._optimizer = optimizer
        self._methods = tuple(methods)
        self._variables: list[Any] = []
        self._replaced: list[tuple[Any, str, Any, Any]] = []  # part, method, ours, and what was there before

    def attach(self) -> None:
        """Put offsets of zero into the optimizer."""
        for leaf in leaves(self._optimizer):
            with creation_scope(leaf):
                offset = leaf.add_variable(
                    shape=(), dtype=leaf._iterations.dtype, aggregation="only_first_replica", name="steps_set_back"
                )
            self._variables.append(offset)
            for name in self._methods:
                self._replace(leaf, name, functools.partial(_set_back, leaf, leaf._iterations, offset))
        for part in chain(self._optimizer):
            for name in _METHODS:
                self._replace(part, name, functools.partial(without, self._optimizer, self._variables))

    def detach(self) -> None:
        """Leave the optimizer as it would be without."""
        for part, name, ours, before in reversed(self._replaced):
            if vars(part).get(name) is ours:
                delattr(part, name)
                if before is not None:
                    setattr(part, name, before)
        for leaf, offset in zip(leaves(self._optimizer), self._variables, strict=True):
            leaf._untrack_variable(offset)
        self._replaced, self._variables = [], []

    @property
    def values(self) -> tuple[int, ...]:
        """The offset of each optimizer inside, in the units of its own count."""
        return tuple(int(read(offset)) for offset in self._variables)

    @values.setter
    def values(self, values: Sequence[int]) -> None:
        for offset, value in zip(self._variables, values, strict=True):
            offset.assign(value)

    def _replace(self, part: Any, name: str, make: Any) -> None:
        ours = functools.partial(make, getattr(part, name))
        self._replaced.append((part, name, ours, vars(part).get(name)))
        setattr(part, name, ours)


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
