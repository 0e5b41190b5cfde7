"""Errors for a network whose values have types, shapes or sizes that the code does not expect."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ._errors import BridgeError, InvalidNetworkError

_OF_VALUES = (ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError)
"""What a wrong value raises in code that did not expect it; anything else has its cause in the code alone."""


@contextmanager
def values_expected(failure: Callable[[], str]) -> Iterator[None]:
    """Raise what goes wrong over the values of a network as an error of this package.

    Errors of Keras and its backends, whatever their types, say that shapes do not fit or memory does not suffice. Of
    this package's own code only such pass for the network's fault as a wrong value can lead to, and the message leaves
    open whose it is; every other is a defect, and stays what it is.

    Args:
        failure: makes the beginning of the message: what could not be done with what.

    Raises:
        InvalidNetworkError: a value is not as expected.
    """
    try:
        yield
    except BridgeError:
        raise
    except Exception as error:
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        module = str(frames[-1].f_globals.get("__name__"))
        if module.partition(".")[0] != __name__.partition(".")[0]:
            raise InvalidNetworkError(f"{failure()}: {error}") from error
        if not isinstance(error, _OF_VALUES):
            raise
        raise InvalidNetworkError(
            f"{failure()}: {error} ({type(error).__name__} in {module}). A value is of a type or size that was not "
            "expected, or the code has a defect: please report it, with what the network holds there."
        ) from error
