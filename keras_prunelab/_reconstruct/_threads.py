"""Work that falls into parts, on a thread for each core."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import TypeVar

from threadpoolctl import ThreadpoolController

T = TypeVar("T")

_LARGE = 3000


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def linear_algebra_on(inputs: int) -> AbstractContextManager[object]:
    """Use all cores for the linear algebra of large matrices alone, while the body runs.

    On a machine that does something else too, the threads of one small factorization wait longer for each other than
    the factorization takes on one core.

    Args:
        inputs: the length of a matrix.
    """
    return nullcontext() if inputs >= _LARGE else _on_one_core()


def run(work: Callable[[T], None], parts: Iterable[T], on_part: Callable[[int, int], None] | None = None) -> None:
    """Do the parts of some work on threads, each with linear algebra on one core.

    NumPy's products and factorizations let other threads run. One core each is faster than all cores for one part
    after the other: the parts are small, and on a busy machine the threads of one product wait for each other.

    Args:
        work: does one part, and writes its result where no other part writes.
        parts: what it is called with. One part alone has all cores for its linear algebra.
        on_part: called as `on_part(done, total)` in this thread.

    Raises:
        Exception: the first that a part raises.
    """
    several: Sequence[T] = list(parts)
    if len(several) < 2:
        for part in several:
            work(part)
        return
    with _on_one_core(), ThreadPoolExecutor(min(cores(), len(several))) as pool:
        for number, done in enumerate([pool.submit(work, part) for part in several], 1):
            done.result()
            if on_part is not None:
                on_part(number, len(several))


def _on_one_core() -> AbstractContextManager[object]:
    limits: AbstractContextManager[object] = _controller().limit(limits=1, user_api="blas")
    return limits


@cache
def _controller() -> ThreadpoolController:
    """What sets the threads of the libraries that are loaded by now: to look for them takes longer than a layer may."""
    return ThreadpoolController()
