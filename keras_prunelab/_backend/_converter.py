"""The process that converts models to LiteRT, and what it is told."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras

from keras_prunelab._errors import InvalidModelError

from ._litert_child import write_saved_model

_CHILD = Path(__file__).with_name("_litert_child.py")


class ConversionError(InvalidModelError):
    """TensorFlow cannot write a model as asked; the message says why."""


@dataclass(frozen=True)
class Conversion:
    """How a model becomes a LiteRT file.

    Attributes:
        quantize: None, `"int8"`, `"int8-weights"` or `"float16"`.
        sparse: whether zeros are stored sparsely.
        batch: how many observations the file takes at a time; None for any number.
        input_type: the type of its inputs where `quantize` is `"int8"`.
        output_type: that of its outputs.
        calibration: the folder of observations that ranges are measured on, `*.npz` with an array for each input.
    """

    quantize: str | None = None
    sparse: bool = True
    batch: int | None = None
    input_type: str = "float32"
    output_type: str = "float32"
    calibration: str | None = None


class _Process:
    """A process that converts one model after the other; it is started anew where a conversion ended it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._owner = os.getpid()
        atexit.register(self.close)

    def ask(self, job: Mapping[str, Any]) -> str | None:
        """Convert; returns what went wrong."""
        with self._lock:
            # A process that was forked from this one shares its pipes, and must have a converter of its own.
            if self._process is None or self._owner != os.getpid() or self._process.poll() is not None:
                self._process, self._owner = self._start(), os.getpid()
            stdin, stdout = self._process.stdin, self._process.stdout
            if stdin is None or stdout is None:
                raise RuntimeError("The converter has no pipes.")
            with contextlib.suppress(BrokenPipeError):
                stdin.write(json.dumps(job) + "\n")
                stdin.flush()
            answer = stdout.readline()
            if answer:
                found: str | None = json.loads(answer)
                return found
            self.close()
            return "TensorFlow's converter ended its process"

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    @staticmethod
    def _start() -> subprocess.Popen[str]:
        found = [path or os.fspath(Path.cwd()) for path in sys.path]  # modules of layers are found where they were
        return subprocess.Popen(  # noqa: S603  # this Python, and a module of this package
            [sys.executable, "-P", str(_CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            env={
                **os.environ,
                "KERAS_BACKEND": "tensorflow",
                "TF_CPP_MIN_LOG_LEVEL": "3",
                "CUDA_VISIBLE_DEVICES": "-1",
                "PYTHONPATH": os.pathsep.join(found),
            },
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )


_PROCESS = _Process()


def converter_of(model: keras.Model, folder: Path, batch: int | None) -> Callable[[Conversion], bytes]:
    """Write a model for the process that converts, once, and return what converts it.

    Args:
        model: a built model.
        folder: an empty folder, which is there as long as the result is used.
        batch: how many observations the files take at a time; None for any number.

    Returns:
        A function that takes a `Conversion` and returns the content of a LiteRT file; it raises `ConversionError`.

    Raises:
        ConversionError: Keras cannot write the model.
    """
    modules: list[str] = []
    is_tensorflow = keras.config.backend() == "tensorflow"
    source = folder / ("saved_model" if is_tensorflow else "model.keras")
    try:
        if is_tensorflow:
            write_saved_model(model, str(source), batch)
        else:
            model.save(source)
            modules = sorted({type(layer).__module__ for layer in model._flatten_layers()} - {"__main__"})
    except OSError:
        raise
    except Exception as error:  # what Keras and a model's own code raise
        raise ConversionError(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}") from error

    def convert(how: Conversion) -> bytes:
        target = folder / "model.tflite"
        job = {**asdict(how), "source": str(source), "target": str(target), "modules": modules, "batch": batch}
        problem = _PROCESS.ask(job)
        if problem is not None:
            raise ConversionError(problem)
        return target.read_bytes()

    return convert
