"""Which variables `include=` and `exclude=` mean."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias, cast

import keras

from keras_prunelab._errors import UnknownNameError

from ._variables import Prunable

Filter: TypeAlias = "str | type | keras.layers.Layer | keras.Variable | Callable[[Prunable], bool]"
Filters: TypeAlias = "Filter | Iterable[Filter] | None"


def matcher(
    filters: Filters, candidates: Sequence[Prunable], argument: str, *, known: bool = True
) -> Callable[[Prunable], bool]:
    """One predicate for all filters of an argument; where `known`, names and objects not in the model are refused."""
    if filters is None:
        return lambda _: False
    several = isinstance(filters, Iterable) and not isinstance(filters, (str, keras.Variable))
    predicates = []
    one: Any
    for one in cast("Iterable[Any]", filters) if several else (filters,):
        predicate = _predicate(one, argument)
        named = isinstance(one, (str, keras.layers.Layer, keras.Variable))
        if known and named and not any(map(predicate, candidates)):
            names = ", ".join(dict.fromkeys(item.layer for item in candidates))
            given = one if isinstance(one, str) else one.name
            raise UnknownNameError(
                f"{argument}={given!r} matches no layer and no variable with trainable values of the model. "
                f"Its layers with such variables are: {names}."
            )
        predicates.append(predicate)
    return lambda item: any(predicate(item) for predicate in predicates)


def _predicate(one: Any, argument: str) -> Callable[[Prunable], bool]:
    if isinstance(one, str):
        return lambda item: any(
            fnmatch.fnmatchcase(name, one) for name in (item.path, *(layer.name for layer in item.containers))
        )
    if isinstance(one, type):
        return lambda item: any(isinstance(layer, one) for layer in item.containers)
    if isinstance(one, keras.layers.Layer):
        return lambda item: any(layer is one for layer in item.containers)
    if isinstance(one, keras.Variable):
        return lambda item: item.variable is one
    if callable(one):
        return lambda item: bool(one(item))
    raise UnknownNameError(
        f"{argument} holds {one!r} of type {type(one).__name__}; a filter is a layer, a variable, a layer "
        "class, a name or pattern, or a function of a Prunable."
    )
