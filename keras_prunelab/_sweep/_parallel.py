"""Points measured by several processes, of this machine or of a cluster, through joblib."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras

from keras_prunelab._errors import MissingBackendError, UnknownNameError
from keras_prunelab._model._numbers import whole_number
from keras_prunelab._util._worker import Packet, measure

from ._bench import Dense, Outcome, Task
from ._curve_masks import CurveMasks
from ._plan import Curve, Plan, Point
from ._sent import pack, pack_masks

_SENT_ONCE = 10_000
"""Bytes from which joblib puts an array where all workers of this machine can look at it."""


def wanted_workers(workers: int | None) -> int:
    """How many processes to use: 1 is this one; -1 stands for as many as there are.

    Args:
        workers: what the user said; None for what `joblib.parallel_config` says, or else 1.

    Raises:
        UnknownNameError: it is no number of workers.
    """
    if workers is not None:
        count = whole_number(workers)
        if count is None or count == 0 or count < -1:
            raise UnknownNameError(f"workers is a number from 1, or -1 for all processors, not {workers!r}.")
        return count
    joblib = sys.modules.get("joblib")  # without it nobody has configured anything
    if joblib is None:
        return 1
    backend, jobs = joblib.parallel.get_active_backend()
    jobs = jobs if jobs is not None else getattr(backend, "default_n_jobs", 1)
    return 1 if type(backend).__name__ == "SequentialBackend" or jobs is None else int(jobs)


class Workers:
    """Measures points in worker processes; each is sent the model and the data once.

    Args:
        task: the model, the data, and what is to be done.
        plan: the points.
        workers: the number of processes.

    Raises:
        MissingBackendError: joblib is not installed.
        InvalidModelError: the model cannot be sent.
        InvalidDataError: the data cannot.
    """

    def __init__(self, task: Task, plan: Plan, workers: int) -> None:
        try:
            import joblib
        except ModuleNotFoundError as error:
            raise MissingBackendError(
                'Several workers need joblib: pip install "keras-prunelab[parallel]", or use workers=1.'
            ) from error
        self._joblib = joblib
        self._workers = workers
        self._numbers = {curve: number for number, curve in enumerate(task.curves)}
        self._task = pack(task, plan)
        self._parallel = joblib.Parallel(
            n_jobs=workers, return_as="generator_unordered", max_nbytes=_SENT_ONCE, pre_dispatch="2 * n_jobs"
        )

    def dense(self) -> Dense:
        """Measure the network before pruning, in all workers: it makes them ready."""
        jobs = self._joblib.effective_n_jobs(self._workers)
        found: list[Dense] = list(self._parallel(self._call(0, None, None) for _ in range(jobs)))
        return found[0]

    def run(self, points: Sequence[Point], prepared: Callable[[Point], CurveMasks]) -> Iterator[tuple[Point, Outcome]]:
        """Measure points; they come as they are done."""
        packets: dict[Curve, Packet | None] = {}
        for point in points:
            if point.curve not in packets:
                levels = [other.level for other in points if other.curve is point.curve]
                packets[point.curve] = pack_masks(prepared(point), levels)
        outcomes = self._parallel(self._call(place, point, packets[point.curve]) for place, point in enumerate(points))
        try:
            for place, outcome in outcomes:
                yield points[place], outcome
        finally:
            outcomes.close()

    def _call(self, place: int, point: Point | None, masks: Packet | None) -> Any:
        which = None if point is None else (place, self._numbers[point.curve], point.level)
        packets = [self._task] if masks is None else [self._task, masks]
        return self._joblib.delayed(measure)(
            keras.config.backend(),
            which,
            self._task.key,
            None if masks is None else masks.key,
            *(packet.content for packet in packets),
        )
