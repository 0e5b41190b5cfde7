"""Numbers for TensorBoard, on any backend.

TensorBoard's own package has the messages and the records of its files, and so TensorFlow is neither needed nor loaded:
its summaries, and TensorBoard's own writer on a machine that has TensorFlow, would take seconds for that.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_prunelab._errors import MissingBackendError

_VERSION = "brain.Event:2"  # of the format; the first record says it


class EventFile:
    """A file of scalars for TensorBoard.

    Args:
        log_dir: the folder that TensorBoard is pointed at. The file is made in it by the first `write`, under a name
            that no other has.

    Raises:
        MissingBackendError: TensorBoard is not installed.
    """

    def __init__(self, log_dir: str | os.PathLike[str]) -> None:
        try:
            import tensorboard.compat.proto.event_pb2  # noqa: F401  # only whether it is there
        except ImportError as error:
            raise MissingBackendError(
                'log_dir= needs TensorBoard, which is not installed: pip install "keras-prunelab[tensorboard]".'
            ) from error
        self._log_dir = Path(log_dir)
        self._path: Path | None = None

    def write(self, values: Mapping[str, float], step: int) -> None:
        """Write numbers by their names, so that TensorBoard shows them at once."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.record_writer import RecordWriter

        summary = Summary(value=[Summary.Value(tag=name, simple_value=value) for name, value in values.items()])
        events = [Event(wall_time=time.time(), step=step, summary=summary)]
        if self._path is None:
            self._path = self._new_path()
            events.insert(0, Event(wall_time=time.time(), file_version=_VERSION))
        with self._path.open("ab") as file:  # open no longer than that: training may end at any time
            for event in events:
                RecordWriter(file).write(event.SerializeToString())

    def end(self) -> None:
        """Let what is written later begin another file in the same folder."""
        self._path = None

    def _new_path(self) -> Path:
        self._log_dir.mkdir(parents=True, exist_ok=True)
        # TensorBoard finds files by "tfevents", and reads them in the order of their names.
        seconds, rest = divmod(time.time_ns(), 10**9)
        return self._log_dir / f"events.out.tfevents.{seconds:010d}.{rest:09d}.{platform.node()}.{os.getpid()}"

    def __getstate__(self) -> dict[str, Any]:
        """The folder: a copy writes a file of its own."""
        return vars(self) | {"_path": None}
