"""Exported files, run by their interpreters: what goes in and comes out are floating-point numbers."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from keras_prunelab._backend import open_litert
from keras_prunelab._errors import InvalidModelError, MissingBackendError, UnknownNameError

from ._file_tensor import FileTensor, numbered
from ._tflm._graph import has_decode
from ._tflm._micro import MicroFile

Array = NDArray[Any]

KERNELS = ("default", "reference", "micro")


class ExportedFile(Protocol):
    """A file that can be run.

    Attributes:
        inputs: what it takes.
        outputs: what it gives.
        ends_in_sigmoid: whether its last operator is a sigmoid.
        kernels: those that run it.
    """

    inputs: tuple[FileTensor, ...]
    outputs: tuple[FileTensor, ...]
    ends_in_sigmoid: bool
    kernels: str

    def run(self, arrays: Sequence[Array]) -> list[Array]:
        """Run it once; the numbers are as the file has them."""


def open_file(path: Path, kernels: str) -> ExportedFile:
    """The interpreter of a file, which its ending tells.

    Args:
        path: a `.tflite` or an `.onnx` file.
        kernels: `"default"` for the fast ones, `"reference"`, or `"micro"` for those of TensorFlow Lite Micro, which a
            file that was written for it gets by default.

    Raises:
        FileNotFoundError: there is no such file.
        InvalidModelError: its ending is another one, or the interpreter cannot read it.
        MissingBackendError: the interpreter is not installed.
        UnknownNameError: there are no such kernels.
    """
    if kernels not in KERNELS:
        raise UnknownNameError(f"kernels={kernels!r}; they are one of {', '.join(map(repr, KERNELS))}.")
    if path.suffix.lower() not in _OPEN:
        raise InvalidModelError(f"A file that can be run ends in {' or '.join(_OPEN)}, but got {str(path)!r}.")
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {str(path)!r}.")
    try:
        return _OPEN[path.suffix.lower()](path, kernels)
    except (ImportError, InvalidModelError, UnknownNameError):
        raise
    except Exception as error:  # each interpreter has errors of its own
        text = " ".join(str(error).split())
        operator = re.search(r"Didn't find op for builtin opcode '(\w+)'", text)
        if operator:
            others = "; kernels='default' may" if kernels == "reference" else ""
            raise InvalidModelError(
                f"The {kernels} kernels have no operator {operator[1]}, which {path.name} needs{others}."
            ) from error
        raise InvalidModelError(f"The interpreter of {path.name} cannot read it: {text[:300]}") from error


def run_batch(file: ExportedFile, arrays: Sequence[Array]) -> list[Array]:
    """The outputs of a file for any number of observations, whatever number it takes at a time.

    Args:
        file: the file.
        arrays: one for each input, in the file's order.

    Returns:
        One array for each output.
    """
    encoded = [tensor.encode(array) for tensor, array in zip(file.inputs, arrays, strict=True)]
    outputs = run_parts(file.run, file.inputs, encoded)
    return [tensor.decode(output) for tensor, output in zip(file.outputs, outputs, strict=True)]


def run_parts(run: Callable[[list[Array]], Sequence[Array]], inputs: Sequence[Any], arrays: list[Array]) -> list[Array]:
    """The outputs of what takes a fixed number of observations, for any number.

    Args:
        run: gives the outputs for so many.
        inputs: what it takes, each with a `shape`; where none has a first length, all observations are run at once.
        arrays: one for each input.
    """
    count = len(arrays[0])
    size = next((tensor.shape[0] for tensor in inputs if tensor.shape[0] is not None), None) or count
    parts = []
    for start in range(0, count, size):
        # The last part is filled up with its first observation where so many only are taken.
        places = np.arange(start, start + size)
        chosen = np.where(places < count, places, start)
        parts.append(run([np.ascontiguousarray(array[chosen]) for array in arrays]))
    return [np.concatenate(column)[:count] for column in zip(*parts, strict=True)]


def _open_litert(path: Path, kernels: str) -> ExportedFile:
    content = path.read_bytes()
    if content[4:8] != b"TFL3":
        raise InvalidModelError(f"{path.name} is no LiteRT file, or it is damaged.")
    if kernels == "micro" or has_decode(content):
        if kernels == "reference":
            raise UnknownNameError(
                f"{path.name} has the operator DECODE, which TensorFlow Lite Micro alone knows: kernels='micro'."
            )
        return MicroFile(content, path.name)
    return _LitertFile(content, path.name, kernels)


class _LitertFile:
    def __init__(self, content: bytes, name: str, kernels: str) -> None:
        self.kernels, self._content, self._name = kernels, content, name
        self._is_plain = False
        try:
            self._open(kernels)
        except RuntimeError:
            self._open_plain()
        signatures = self._interpreter.get_signature_list()
        if self._runner is not None:
            inputs, outputs = self._runner.get_input_details(), self._runner.get_output_details()
        else:
            inputs = {each["name"]: each for each in self._interpreter.get_input_details()}
            outputs = {each["name"]: each for each in self._interpreter.get_output_details()}
        self._indices = [inputs[name]["index"] for name in inputs], [outputs[name]["index"] for name in outputs]
        ordered = sorted(outputs, key=numbered) if signatures else list(outputs)
        self.inputs = tuple(_tensor(name, detail) for name, detail in inputs.items())
        self.outputs = tuple(_tensor(name, outputs[name]) for name in ordered)
        self.ends_in_sigmoid = self._last_operators() & {"LOGISTIC"} != set()

    def _open(self, kernels: str) -> None:
        self._interpreter = open_litert(self._content, kernels)
        self._interpreter.allocate_tensors()
        signatures = self._interpreter.get_signature_list()
        self._runner: Any = None
        if signatures:
            name = "serving_default" if "serving_default" in signatures else next(iter(signatures))
            self._runner = self._interpreter.get_signature_runner(name)

    def _open_plain(self) -> None:
        """Open it without XNNPACK, which refuses sparse weights of whole numbers; the other kernels read them."""
        self._is_plain = True
        self._open("plain" if self.kernels == "default" else self.kernels)

    def run(self, arrays: Sequence[Array]) -> list[Array]:
        try:
            return self._run(arrays)
        except RuntimeError as error:
            if not self._is_plain and self.kernels == "default":
                self._open_plain()  # with other lengths, XNNPACK prepares anew, and refuses only then
                return self.run(arrays)
            text = " ".join(str(error).split())
            raise InvalidModelError(f"The {self.kernels} kernels cannot run {self._name}: {text[:300]}") from error

    def _run(self, arrays: Sequence[Array]) -> list[Array]:
        if self._runner is not None:
            found = self._runner(**{tensor.name: array for tensor, array in zip(self.inputs, arrays, strict=True)})
            return [found[tensor.name] for tensor in self.outputs]
        details = {each["index"]: each for each in self._interpreter.get_input_details()}
        for index, array in zip(self._indices[0], arrays, strict=True):
            if tuple(details[index]["shape"]) != array.shape:
                self._interpreter.resize_tensor_input(index, array.shape)
        self._interpreter.allocate_tensors()
        for index, array in zip(self._indices[0], arrays, strict=True):
            self._interpreter.set_tensor(index, array)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index) for index in self._indices[1]]

    def _last_operators(self) -> set[str]:
        """The names of the operators that make the outputs; what only passes on is left out."""
        wanted = {each["index"] for each in self._interpreter.get_output_details()}
        found = set()
        for operator in reversed(self._interpreter._get_ops_details()):
            if wanted & set(operator["outputs"]):
                found.add(operator["op_name"])
                if operator["op_name"] in ("DEQUANTIZE", "QUANTIZE", "RESHAPE", "DELEGATE"):
                    wanted |= set(operator["inputs"])
        return found


class _OnnxFile:
    def __init__(self, path: Path, kernels: str) -> None:
        if kernels == "micro":
            raise UnknownNameError("kernels='micro' runs .tflite files; onnxruntime runs .onnx files.")
        self.kernels = kernels
        missing = [name for name in ("onnx", "onnxruntime") if not importlib.util.find_spec(name)]
        if missing:
            raise MissingBackendError(
                f'ONNX files are read by onnx and onnxruntime: run\n    pip install "keras-prunelab[onnx]"\n'
                f"({', '.join(missing)} is not installed)."
            )
        import onnx
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.inputs = tuple(map(_onnx_tensor, session.get_inputs()))
        self.outputs = tuple(map(_onnx_tensor, session.get_outputs()))
        model = onnx.load(str(path))
        last = {name: node.op_type for node in model.graph.node for name in node.output}
        self.ends_in_sigmoid = last.get(self.outputs[0].name) == "Sigmoid"
        self._session = session
        if kernels == "reference":
            from onnx.reference import ReferenceEvaluator

            self._session = ReferenceEvaluator(_without_sparse(model))

    def run(self, arrays: Sequence[Array]) -> list[Array]:
        feeds = {tensor.name: array for tensor, array in zip(self.inputs, arrays, strict=True)}
        return [np.asarray(each) for each in self._session.run(None, feeds)]


_OPEN: dict[str, Callable[[Path, str], ExportedFile]] = {".tflite": _open_litert, ".onnx": _OnnxFile}


def _tensor(name: str, detail: Any) -> FileTensor:
    scale, zero = detail["quantization"]
    # A file that TensorFlow did not write may lack the shape with free lengths.
    lengths = detail.get("shape_signature", detail["shape"])
    shape = tuple(None if length < 0 else int(length) for length in lengths)
    return FileTensor(name, shape, np.dtype(detail["dtype"]), float(scale), int(zero))


def _onnx_tensor(each: Any) -> FileTensor:
    kind = re.sub(r"tensor\((\w+)\)", r"\1", each.type)
    dtype = {"float": "float32", "double": "float64"}.get(kind, kind)
    shape = tuple(length if isinstance(length, int) and length > 0 else None for length in each.shape)
    return FileTensor(each.name, shape, np.dtype(dtype))


def _without_sparse(model: Any) -> Any:
    """A model of ONNX whose initializers are dense: the reference kernels know no others."""
    from onnx import numpy_helper

    for sparse in model.graph.sparse_initializer:
        values = numpy_helper.to_array(sparse.values)
        dense = np.zeros(tuple(sparse.dims), values.dtype)
        places = numpy_helper.to_array(sparse.indices)
        if places.ndim == 1:
            dense.reshape(-1)[places] = values
        else:
            dense[tuple(places.T)] = values
        model.graph.initializer.append(numpy_helper.from_array(dense, sparse.values.name))
    del model.graph.sparse_initializer[:]
    return model
