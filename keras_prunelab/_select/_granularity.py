"""What goes as a whole: single weights, N of every M, blocks, kernels or channels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from keras_prunelab._errors import InvalidSparsityError, UnknownNameError
from keras_prunelab._model._numbers import whole_number
from keras_prunelab._model._variables import AxisRole, Prunable
from keras_prunelab._util._arrays import mask_with

GranularityLike: TypeAlias = "str | tuple[int, int] | Granularity"

_PAIR = re.compile(r"(\d+)\s*([:x])\s*(\d+)")


@dataclass(frozen=True)
class Granularity:
    """What goes as a whole.

    Attributes:
        kind: `"weight"`, `"n:m"`, `"block"`, `"kernel"` or `"channel"`.
        pair: N and M, or the block's lengths along the input and the output axis.
    """

    kind: Literal["weight", "n:m", "block", "kernel", "channel"]
    pair: tuple[int, int] = (1, 1)

    def check(self, prunables: Iterable[Prunable]) -> None:
        """Make sure that the variables can be cut like this.

        Raises:
            InvalidSparsityError: the input axis of a variable does not divide by M, or it has none.
        """
        if self.kind != "n:m":
            return
        n, m = self.pair
        wrong = {item.path: size for item in prunables if (size := _length(item, "input")) % m or not _has_input(item)}
        if wrong:
            found = ", ".join(f"{path} ({size or 'no'} inputs)" for path, size in wrong.items())
            raise InvalidSparsityError(
                f"granularity='{n}:{m}' needs an input axis that divides by {m}, which these have not: {found}. Leave "
                f"them out: exclude={list(wrong)!r}."
            )

    def most(self, item: Prunable) -> int:
        """How many weights of a variable can go at most."""
        if self.kind == "n:m":
            n, m = self.pair
            return item.size - item.size // m * n
        if self.kind == "channel":  # one channel stays, or nothing would pass
            return item.size - item.size // max(1, _length(item, "output"))
        return item.size

    def units(self, item: Prunable) -> NDArray[np.int64] | None:
        """The number of the unit that each weight belongs to, in the variable's shape; None for single weights."""
        if self.kind in ("weight", "n:m"):
            return None
        if self.kind == "channel":
            return _number(item, {"output": 1})
        lengths = self.pair if self.kind == "block" else (1, 1)
        steps: dict[AxisRole, int] = {"input": lengths[0], "output": lengths[1]}
        return _number(item, steps | ({"space": 1, "other": 1} if self.kind == "block" else {}))

    def protected(self, item: Prunable, scores: NDArray[Any], kept: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
        """Which weights of a variable never go: the N best of every M that are kept. None where all may."""
        if self.kind != "n:m":
            return None
        n, m = self.pair
        inputs = [axis for axis, role in enumerate(item.axes) if role == "input"]
        last = range(-len(inputs), 0)
        rows = np.moveaxis(mask_with(scores, kept, -np.inf), inputs, last)
        # Of equal scores those that stand first go, here as everywhere.
        order = np.argsort(rows.reshape(-1, m), axis=1, kind="stable")
        best = np.zeros(order.shape, np.bool_)
        np.put_along_axis(best, order[:, m - n :], values=True, axis=1)
        return np.moveaxis(best.reshape(rows.shape), last, inputs)

    def __str__(self) -> str:
        return {"n:m": "{}:{}", "block": "{}x{}"}.get(self.kind, self.kind).format(*self.pair)


def get(granularity: GranularityLike) -> Granularity:
    """Find a granularity.

    Args:
        granularity: `"weight"`; `"2:4"`: of every 4 weights along the input axis at most 2 stay; `(4, 4)` or
            `"4x4"`: blocks over the input and output axes, at each position of a convolution kernel; `"kernel"`:
            all positions of the kernel between one input and one output channel; `"channel"` or `"filter"`: all
            weights that make one output channel.

    Returns:
        The granularity.

    Raises:
        UnknownNameError: there is no such granularity.
    """
    if isinstance(granularity, Granularity):
        return granularity
    if granularity in ("weight", "kernel", "channel", "filter"):
        return Granularity("channel" if granularity == "filter" else granularity)  # type: ignore[arg-type]
    text = (
        granularity
        if isinstance(granularity, str)
        else "x".join(str(whole_number(length)) for length in _sequence(granularity))
    )
    match = _PAIR.fullmatch(text)
    if match:
        first, second = int(match[1]), int(match[3])
        if match[2] == "x" and first and second:
            return Granularity("block", (first, second))
        if match[2] == ":" and 0 < first < second:
            return Granularity("n:m", (first, second))
    raise UnknownNameError(
        f"granularity={granularity!r} is unknown; it is 'weight', 'kernel', 'channel', blocks such as (4, 4) or '4x4', "
        "or N of every M weights such as '2:4'."
    )


def _sequence(value: Any) -> Sequence[Any]:
    return value if isinstance(value, (tuple, list)) else (value,)


def _length(item: Prunable, role: AxisRole) -> int:
    lengths = [length for length, axis in zip(item.shape, item.axes, strict=True) if axis == role]
    return int(np.prod(lengths)) if lengths else 0


def _has_input(item: Prunable) -> bool:
    return "input" in item.axes


def _number(item: Prunable, steps: dict[AxisRole, int]) -> NDArray[np.int64]:
    """Number the units: axes of one role run together as one, cut every so many; other axes are not cut."""
    number = np.zeros(item.shape, np.int64)
    for role, step in steps.items():
        axes = [axis for axis, its in enumerate(item.axes) if its == role]
        if not axes:
            continue
        lengths = [item.shape[axis] for axis in axes]
        along = np.arange(int(np.prod(lengths))) // step
        shape = [length if axis in axes else 1 for axis, length in enumerate(item.shape)]
        number = number * (int(along[-1]) + 1 if along.size else 1) + along.reshape(shape)
    return number
