"""The error for an option that a public function does not have: it names the function and the nearest option."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from keras_prunelab._text import suggest

P = ParamSpec("P")
R = TypeVar("R")


def names_options(function: Callable[P, R]) -> Callable[P, R]:
    """Let a keyword that a function does not have be answered with the nearest one, and with all that there are.

    Examples:
        >>> @names_options
        ... def fit(model, *, batch_size=32): ...
        >>> fit("net", batchsize=64)
        Traceback (most recent call last):
        TypeError: fit has no option 'batchsize'. Did you mean 'batch_size'? Its options are model, batch_size.
    """
    known = list(inspect.signature(function).parameters)

    @functools.wraps(function)
    def checked(*args: P.args, **options: P.kwargs) -> R:
        unknown = next((name for name in options if name not in known), None)
        if unknown is not None:
            hint = suggest(unknown, known)
            raise TypeError(f"{function.__name__} has no option {unknown!r}.{hint} Its options are {', '.join(known)}.")
        return function(*args, **options)

    return checked
