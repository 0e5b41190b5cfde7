"""Points measured by several processes, of this machine or of a cluster, through joblib."""

from __future__ import annotations

import hashlib
import json
import pickle
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

import keras

from keras_prunelab._errors import InvalidDataError, InvalidModelError, MissingBackendError, UnknownNameError
from keras_prunelab._numbers import whole_number
from keras_prunelab._prunable import prunable
from keras_prunelab._rebuild import custom_objects, in_memory, known_objects
from keras_prunelab._variables import Prunables
from keras_prunelab._worker import Parcel, measure

from ._bench import Bench, Dense, Outcome, Task
from ._fingerprint import Fingerprint
from ._plan import Arm, Plan, Point
from ._pruning import Curve, Pruning

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
        self._numbers = {arm: number for number, arm in enumerate(task.arms)}
        self._task = _packed(task, plan)
        self._parallel = joblib.Parallel(
            n_jobs=workers, return_as="generator_unordered", max_nbytes=_SENT_ONCE, pre_dispatch="2 * n_jobs"
        )

    def dense(self) -> Dense:
        """Measure the network before pruning, in all workers: it makes them ready."""
        jobs = self._joblib.effective_n_jobs(self._workers)
        found: list[Dense] = list(self._parallel(self._call(0, None, None) for _ in range(jobs)))
        return found[0]

    def run(self, points: Sequence[Point], prepared: Callable[[Point], Curve]) -> Iterator[tuple[Point, Outcome]]:
        """Measure points; they come as they are done."""
        parcels: dict[Arm, Parcel | None] = {}
        for point in points:
            if point.arm not in parcels:
                levels = [other.level for other in points if other.arm is point.arm]
                parcels[point.arm] = _packed_curve(prepared(point), levels)
        outcomes = self._parallel(self._call(place, point, parcels[point.arm]) for place, point in enumerate(points))
        try:
            for place, outcome in outcomes:
                yield points[place], outcome
        finally:
            outcomes.close()

    def _call(self, place: int, point: Point | None, curve: Parcel | None) -> Any:
        which = None if point is None else (place, self._numbers[point.arm], point.level)
        parcels = [self._task] if curve is None else [self._task, curve]
        return self._joblib.delayed(measure)(
            keras.config.backend(),
            which,
            self._task.key,
            None if curve is None else curve.key,
            *(parcel.content for parcel in parcels),
        )


def _packed(task: Task, plan: Plan) -> Parcel:
    """A task for workers: layers and variables of this process mean nothing there."""
    import cloudpickle  # what joblib and Dask use, and come with

    model = task.model
    places = {item.path: place for place, item in enumerate(prunable(model, learnables="all"))}
    metrics = None if task.metrics is None else [_sent_metric(one) for one in task.metrics]
    try:
        with known_objects(model), in_memory():
            made = model.__reduce__()
    # NotImplementedError is what Keras raises for a class without get_config.
    except (TypeError, ValueError, NotImplementedError, AttributeError) as error:
        raise InvalidModelError(
            f"Model {model.name!r} cannot be sent to workers, because Keras cannot save it: {error}. Use workers=1."
        ) from error
    content = {
        "objects": custom_objects(model),
        "model": made,
        "items": [(places[item.path], item.path) for item in task.pruning.prunables],
        "learnables": task.pruning.prunables.learnables,
        "pruning": (task.pruning.convention, task.pruning.granularity),
        "metrics": metrics,
        "rest": (task.data, task.arms, task.score_data, task.passes),
    }
    try:
        packed = cloudpickle.dumps(content, protocol=pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # pickling runs anybody's code
        raise InvalidDataError(
            f"The data, a score or a metric cannot be sent to workers: {error}. Give arrays, a keras.utils.PyDataset "
            "or a function that returns batches; or use workers=1."
        ) from error
    return Parcel.of(_key(task, plan), packed)


def unpacked_bench(content: bytes) -> Bench:
    """The bench of a worker, from what `Workers` packed."""
    sent = pickle.loads(content)  # noqa: S301  # from the process that started this one
    with keras.saving.custom_object_scope(sent["objects"]), in_memory():
        make, arguments = sent["model"]
        model = make(*arguments)
    every = prunable(model, learnables="all")
    items = tuple(replace(every[place], path=path) for place, path in sent["items"])
    convention, granularity = sent["pruning"]
    pruning = Pruning(convention, granularity, Prunables(items, (), sent["learnables"]))
    data, arms, score_data, passes = sent["rest"]
    metrics = None if sent["metrics"] is None else [_received_metric(one) for one in sent["metrics"]]
    return Bench(Task(model, data, pruning, metrics, arms, score_data, passes))


def _packed_curve(curve: Curve, levels: Sequence[float]) -> Parcel | None:
    known = {level: curve.known(level) for level in levels if level in curve}
    content = pickle.dumps(known, protocol=pickle.HIGHEST_PROTOCOL) if known else b""
    return Parcel.of(uuid.uuid4().hex, content) if known else None


def _key(task: Task, plan: Plan) -> str:
    """The same for the same task, so that workers that are still there need not prepare anew."""
    if task.trains or task.score_data is not None:
        return uuid.uuid4().hex
    fingerprint = asdict(Fingerprint.of(task, plan))
    for name in ("sparsities", "training"):  # said by each point; what trains is sent with its data
        fingerprint["settings"].pop(name)
    try:
        config = keras.saving.serialize_keras_object(task.model)
        text = json.dumps([fingerprint, config, [type(one).__name__ for one in task.arms]], default=repr)
    except (TypeError, ValueError, NotImplementedError):  # Keras or JSON cannot write it down: a task of its own
        return uuid.uuid4().hex
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _sent_metric(metric: Any) -> Any:
    return keras.metrics.serialize(metric) if isinstance(metric, keras.metrics.Metric) else metric


def _received_metric(metric: Any) -> Any:
    return keras.metrics.deserialize(metric) if isinstance(metric, dict) else metric
