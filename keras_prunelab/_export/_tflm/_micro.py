"""The interpreter of TensorFlow Lite Micro, in a process of its own."""

from __future__ import annotations

import importlib.util
import re
import shutil
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from keras_prunelab._errors import InvalidModelError, MissingBackendError
from keras_prunelab._export._file_tensor import FileTensor, numbered
from keras_prunelab._util._job_process import JobEndedError, JobProcess

from ._graph import Graph

Array: TypeAlias = "NDArray[Any]"

_PROCESS = JobProcess(Path(__file__).with_name("_micro_child.py"), {})
_SECONDS = 120.0  # to open a file and run it once: some kernels never end where an operator is not as they expect
_TRIALS = 40
_MORE = 1.08
_KIB = 1024
_LEAST_STEP = 2.0**-26  # of the input of a softmax, which the fixed-point factor of its kernel can express


class MicroFile:
    """A file that TensorFlow Lite Micro runs.

    Attributes:
        arena: the bytes of working memory that it takes here, where a pointer has 8 bytes; less where it has 4.
        operators: those that it calls, by their names in LiteRT's schema.
    """

    kernels = "micro"

    def __init__(self, content: bytes, name: str) -> None:
        """Open a file.

        Args:
            content: the file.
            name: what errors call it.

        Raises:
            MissingBackendError: `tflite-micro` is not installed.
            InvalidModelError: it has an operator that TensorFlow Lite Micro lacks, or values that it cannot express.
        """
        check_installed()
        graph = Graph(content)
        self._name, self.operators = name, graph.operators
        ends = {kind: graph.ends(kind) for kind in ("inputs", "outputs")}
        tensors = {
            kind: [_described(each, tensor, graph.dtypes) for each, tensor in found] for kind, found in ends.items()
        }
        self._batch = next((int(tensor.shape[0]) for _, tensor in ends["inputs"]), 1)
        # One observation after the other, in one go.
        self.inputs = tuple(map(_of_any_number, tensors["inputs"]) if self._batch == 1 else tensors["inputs"])
        # In the order of the model, which the numbers in their names tell.
        order = range(len(tensors["outputs"]))
        self._order = sorted(order, key=lambda index: numbered(tensors["outputs"][index].name))
        self.outputs = tuple(tensors["outputs"][index] for index in self._order)
        self.ends_in_sigmoid = graph.last_operators & {"LOGISTIC"} != set()
        collapsed = [step for step in graph.int8_steps("SOFTMAX") if step <= _LEAST_STEP]
        if collapsed:
            raise InvalidModelError(
                f"The values before a softmax of {name} collapsed: on the calibration data they span "
                f"{255 * collapsed[0]:.1g}, which TensorFlow Lite Micro cannot tell apart. Train the model, or after "
                "pruning recalibrate its normalizations (kpl.recalibrate), and give inputs such as those in use."
            )
        folder = tempfile.mkdtemp()
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self._path = Path(folder) / "model.tflite"
        self._path.write_bytes(content)
        self._size: int | None = None  # as much as it takes
        self.arena = self._least_arena(self._ask(None)["arena"])

    def run(self, arrays: Sequence[Array]) -> list[Array]:
        """Run it once for each observation; the numbers are as the file has them."""
        data = self._path.with_name("data.npz")
        np.savez(data, *arrays)
        self._ask(data)
        with np.load(data, allow_pickle=False) as found:
            return [found[f"arr_{index}"] for index in self._order]

    def in_order_of_file(self, outputs: Sequence[Array]) -> list[Array]:
        """The outputs of a run as the file numbers them."""
        return [outputs[self._order.index(index)] for index in range(len(self._order))]

    def _least_arena(self, used: int) -> int:
        """The memory with which the file is shown to open: what it uses in the end, and more where that is too little.

        To prepare operators and to plan where values lie takes memory for a time. Where there is too little, the
        interpreter says so or ends its process.
        """
        for number in range(_TRIALS):
            self._size = size = max(used + number * _KIB, int(used * _MORE**number))
            try:
                self._ask(None)
                break
            except InvalidModelError:
                if number == _TRIALS - 1:
                    raise
        return size

    def _ask(self, data: Path | None) -> dict[str, Any]:
        log = self._path.with_name("log")
        log.write_bytes(b"")
        job = {
            "file": str(self._path),
            "arena": self._size,
            "outputs": len(self.outputs),
            "batch": self._batch,
            "data": None if data is None else str(data),
            "log": str(log),
        }
        try:
            answer: dict[str, Any] = _PROCESS.ask(job, _SECONDS if data is None else None)
        except JobEndedError as error:
            said = _reason(log.read_text("utf-8", "replace"))
            raise InvalidModelError(
                f"TensorFlow Lite Micro ended its process when it ran {self._name}, or was not done after "
                f"{_SECONDS:.0f} seconds{said and f': {said}'}. It does so where a scale is too small or too large for "
                f"it, as when the values of a layer collapsed, and with some operators. {self._name} has "
                f"{', '.join(self.operators)}."
            ) from error
        if "error" in answer:
            raise InvalidModelError(
                f"TensorFlow Lite Micro cannot run {self._name}: {_reason(answer['log']) or answer['error']}. "
                "export_c may write the network for the same device."
            )
        return answer


def check_installed() -> None:
    """Make sure that there is an interpreter.

    Raises:
        MissingBackendError: there is none.
    """
    if not importlib.util.find_spec("tflite_micro"):
        raise MissingBackendError(
            "Files for TensorFlow Lite Micro are run by tflite-micro, which is not installed; it is for Linux: run\n"
            '    pip install "keras-prunelab[device]"'
        )


def _reason(log: str) -> str:
    """What was said, without what every failure says."""
    operator = re.search(r"Didn't find op for builtin opcode '(\w+)'", log)
    if operator:
        return f"it has no operator {operator[1]}"
    lines = [line.strip() for line in log.splitlines() if line.strip() and "RecordingMicroAllocator" not in line]
    return "; ".join(dict.fromkeys(lines))[-300:].rstrip(".")


def _described(name: str, tensor: Any, dtypes: dict[int, np.dtype[Any]]) -> FileTensor:
    quantization = tensor.quantization
    shape = tuple(map(int, tensor.shape))
    if quantization is None or quantization.scale is None or not len(quantization.scale):
        return FileTensor(name, shape, dtypes[tensor.type])
    return FileTensor(name, shape, dtypes[tensor.type], float(quantization.scale[0]), int(quantization.zeroPoint[0]))


def _of_any_number(tensor: FileTensor) -> FileTensor:
    return FileTensor(tensor.name, (None, *tensor.shape[1:]), tensor.dtype, tensor.scale, tensor.zero)
