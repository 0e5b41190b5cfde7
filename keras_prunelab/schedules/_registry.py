"""Schedules by name: the trio `serialize`, `deserialize`, `get`, and `register` for schedules of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias, TypeVar

from keras_prunelab._errors import UnknownNameError
from keras_prunelab._model._numbers import real_number
from keras_prunelab._util._registry import Registry

from ._base import Schedule
from ._constant import Constant, OneShot
from ._gradual import Cosine, Exponential, Polynomial
from ._rounds import Iterative, Piecewise

ScheduleLike: TypeAlias = "Schedule | float | Mapping[str, Any]"
S = TypeVar("S", bound=type[Schedule])

_SCHEDULES: Registry[Schedule] = Registry(
    "schedule", (Constant, Cosine, Exponential, Iterative, OneShot, Piecewise, Polynomial), otherwise=""
)


def register(schedule: S) -> S:
    """Make a `Schedule` class known by its `name`; usable as a decorator.

    Args:
        schedule: the class. A later one of the same name takes its place.

    Returns:
        The class.
    """
    return _SCHEDULES.register(schedule)


def serialize(schedule: Schedule) -> dict[str, Any]:
    """Turn a schedule into JSON values.

    Args:
        schedule: a schedule of a registered class.

    Returns:
        `{"name": ..., "config": ...}`.

    Raises:
        UnknownNameError: the class is not registered, so that `deserialize` would not find it.
    """
    return _SCHEDULES.serialize(schedule)


def deserialize(config: Mapping[str, Any]) -> Schedule:
    """Make a schedule from what `serialize` returned.

    Args:
        config: `{"name": ..., "config": ...}`.

    Returns:
        The schedule.

    Raises:
        UnknownNameError: no schedule of that name is registered.
    """
    return _SCHEDULES.deserialize(config)


def get(schedule: ScheduleLike) -> Schedule:
    """Find or make a schedule.

    Args:
        schedule: a `Schedule`, a sparsity to hold from the beginning, or what `serialize` returned.

    Returns:
        The schedule.

    Raises:
        UnknownNameError: it is none of these.
        InvalidSparsityError: it is a number outside [0, 1).
    """
    if isinstance(schedule, Schedule):
        return schedule
    if isinstance(schedule, Mapping):
        return deserialize(schedule)
    if (sparsity := real_number(schedule)) is not None:
        return Constant(sparsity)
    raise UnknownNameError(
        f"schedule={schedule!r} of type {type(schedule).__name__} is no schedule; give one such as "
        "keras_prunelab.schedules.Polynomial(0.0, 0.9, end_step=2000), or a sparsity such as 0.9."
    )
