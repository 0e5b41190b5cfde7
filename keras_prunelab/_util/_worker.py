"""What runs in a worker process: points of a sweep, on a model and data that it is sent once.

This module imports neither Keras nor anything that does, because it decides what Keras is to run on first.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Packed: TypeAlias = str
"""The key of a packet."""
PointOfTask: TypeAlias = tuple[int, int, float]
"""The place of a point in a list, the number of its curve, and its level."""

_BENCHES: dict[str, Any] = {}
_MASKS: dict[str, Any] = {}
_TIMES = 8
"""Weights as they were and with masks on, the masks, a copy that is trained, its gradients and its optimizer's."""
_LOCK = threading.Lock()  # some clusters run several tasks in threads of one process, which has one model


@dataclass(frozen=True, eq=False)
class Packet:
    """Something that workers need for many tasks.

    Attributes:
        key: tells it from others.
        content: pickled. joblib and Dask send an array once to each worker, however many tasks refer to it.
    """

    key: str
    content: NDArray[np.uint8]

    @classmethod
    def of(cls, key: str, content: bytes) -> Packet:
        """Wrap what was pickled."""
        return cls(key, np.frombuffer(content, np.uint8))


def measure(backend: str, point: PointOfTask | None, task: Packed, packed: Packed | None, *contents: Any) -> Any:
    """Measure a point.

    Args:
        backend: what Keras is to run on.
        point: which; None for the dense network.
        task: the key of the packet with the model and the data.
        packed: that of the packet with the masks, where the point needs any.
        contents: of these packets. They are arguments of their own, or they would be sent with every task.

    Returns:
        The place of the point in its list, and an `Outcome`; or a `Dense`.

    Raises:
        MissingBackendError: Keras runs on another backend in this process already.
    """
    with _LOCK:
        _prepare(backend)
        _allow_memory(sum(content.nbytes for content in contents))
        bench = _bench(task, contents[0])
        if point is None:
            return bench.dense()
        masks = {} if packed is None else _masks(packed, contents[1])
        place, number, level = point

        def found(level: float) -> Any:
            path, index = masks[level]
            return path.masks(index)

        return place, bench.measure(number, level, found, tuple(masks))


def _prepare(backend: str) -> None:
    from keras_prunelab._errors import MissingBackendError

    keras = sys.modules.get("keras")
    if keras is not None:
        if keras.config.backend() != backend:
            raise MissingBackendError(
                f"This worker runs Keras on {keras.config.backend()}, and the sweep runs on {backend}. Start the "
                f"workers with the environment variable KERAS_BACKEND={backend}."
            )
        return
    os.environ["KERAS_BACKEND"] = backend
    threads = os.environ.get("OMP_NUM_THREADS")  # joblib and Dask set it to a worker's share of the processors
    if threads:
        for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "NPROC"):
            os.environ.setdefault(name, threads)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def _allow_memory(sent: int) -> None:
    """Let this process hold what is made of so many bytes.

    joblib's loky takes a process that has grown by 300 MB since its first task for one that leaks, and ends it, and
    nothing but this variable of its module says otherwise. A model whose weights have masks on is larger than that.
    """
    loky: Any = sys.modules.get("joblib.externals.loky.process_executor")
    bound = getattr(loky, "_MAX_MEMORY_LEAK_SIZE", None)
    if bound is not None:
        loky._MAX_MEMORY_LEAK_SIZE = max(bound, 300_000_000 + _TIMES * sent)


def _bench(key: str, content: NDArray[np.uint8]) -> Any:
    if key not in _BENCHES:
        _BENCHES.clear()  # one model at a time
        _MASKS.clear()
        _BENCHES[key] = pickle.loads(content.tobytes()).open()  # noqa: S301  # from the process that started this one
    return _BENCHES[key]


def _masks(key: str, content: NDArray[np.uint8]) -> Any:
    if key not in _MASKS:
        if len(_MASKS) >= 2:
            _MASKS.clear()
        _MASKS[key] = pickle.loads(content.tobytes())  # noqa: S301  # from the process that started this one
    return _MASKS[key]
