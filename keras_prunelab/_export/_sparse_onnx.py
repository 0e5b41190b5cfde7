"""ONNX files in which zeros take no space."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_prunelab._errors import InvalidModelError, MissingBackendError
from keras_prunelab._util._atomic import replace_whole

_INDEX = 8  # bytes: ONNX knows no indices but of int64
_HEADER = 64  # what a sparse tensor takes beside its numbers, at most


@dataclass(frozen=True)
class SparseOnnx:
    """What `sparsify_onnx` wrote.

    Attributes:
        path: the file.
        bytes: its size.
        bytes_before: that of the file it was made from.
        tensors: how many initializers are stored sparsely.
        of: how many there are.
    """

    path: Path
    bytes: int
    bytes_before: int
    tensors: int
    of: int

    def __str__(self) -> str:
        return (
            f"{self.path.name}: {self.bytes:,} bytes, {self.bytes / self.bytes_before:.1%} of {self.bytes_before:,}; "
            f"{self.tensors} of {self.of} initializers stored sparsely."
        )


def sparsify_onnx(path: str | os.PathLike[str], target: str | os.PathLike[str] | None = None) -> SparseOnnx:
    """Rewrite an ONNX file with sparse initializers, each where that is smaller.

    A value that is kept takes its own bytes and eight for its place (`SparseTensorProto` of
    https://github.com/onnx/onnx/blob/main/onnx/onnx.proto), so that float32 weights are smaller above two thirds of
    zeros. onnxruntime makes them dense again when it loads the file: the file shrinks, not the memory or the time.
    Numbers stay bit for bit, but for zeros with a sign; the outputs of both files are compared in onnxruntime.

    Args:
        path: an `.onnx` file of any origin.
        target: the file to write; None for `path` itself, which is replaced only once the new one is whole.

    Returns:
        What was written.

    Raises:
        FileNotFoundError: there is no such file.
        InvalidModelError: it is no ONNX file, keeps its weights in other files, or onnxruntime does not read the
            new one as the old one.
        MissingBackendError: onnx or onnxruntime is not installed.
    """
    source = Path(path)
    written = source if target is None else Path(target)
    if written.suffix != ".onnx":
        raise InvalidModelError(f"{written} should end in .onnx.")
    if not source.is_file():
        raise FileNotFoundError(f"There is no file {str(source)!r}.")
    onnx, runtime = _packages()
    model = _load(onnx, source)
    before = source.read_bytes()
    total = sum(len(graph.initializer) for graph in _graphs(onnx, model.graph))
    # Inputs of a graph may have an initializer as their default, and operators of subgraphs read those of the outer
    # one: only the main graph's own constants are rewritten, which is where exporters put weights.
    count = _rewrite(onnx, model.graph)
    content = model.SerializeToString()
    if count:
        _compare(runtime, source, before, content)
    else:
        content = before
    with replace_whole(written) as temporary:
        temporary.write_bytes(content)
    return SparseOnnx(written, len(content), len(before), count, total)


def _packages() -> tuple[Any, Any]:
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise MissingBackendError(
            'sparsify_onnx needs onnx and onnxruntime: run\n    pip install "keras-prunelab[onnx]"'
        ) from error
    return onnx, onnxruntime


def _load(onnx: Any, source: Path) -> Any:
    try:
        model = onnx.load(str(source), load_external_data=False)
        onnx.checker.check_model(str(source))
    except Exception as error:  # of protobuf, of the checker, of the operating system
        raise InvalidModelError(f"{source} is no ONNX file, or it is damaged: {str(error)[:300]}") from error
    if any(each.data_location == onnx.TensorProto.EXTERNAL for each in model.graph.initializer):
        raise InvalidModelError(
            f"{source} keeps its weights in other files. Put them into one first: "
            "onnx.save(onnx.load(path), path), for models below 2 GB."
        )
    return model


def _graphs(onnx: Any, graph: Any) -> list[Any]:
    """A graph and those inside its operators."""
    found = [graph]
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                found += _graphs(onnx, attribute.g)
    return found


def _rewrite(onnx: Any, graph: Any) -> int:
    """Store initializers sparsely where that is smaller; returns how many."""
    outside = {each.name for each in (*graph.input, *graph.output)}
    kept, count = [], 0
    for tensor in graph.initializer:
        sparse = None if tensor.name in outside else _sparse(onnx, tensor)
        if sparse is None:
            kept.append(tensor)
        else:
            graph.sparse_initializer.append(sparse)
            count += 1
    dense = [_copy(tensor) for tensor in kept]
    del graph.initializer[:]
    graph.initializer.extend(dense)
    return count


def _copy(tensor: Any) -> Any:
    new = type(tensor)()
    new.CopyFrom(tensor)
    return new


def _sparse(onnx: Any, tensor: Any) -> Any:
    """A tensor as its values that are not zero and their places, counted along all axes; None where it is larger."""
    if tensor.data_type not in (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE) or not tensor.dims:
        return None  # onnxruntime reads sparse initializers of these
    array: NDArray[Any] = onnx.numpy_helper.to_array(tensor)
    flat = array.reshape(-1)
    places = np.flatnonzero(flat)
    if flat.size and not len(places):
        places = np.zeros(1, np.int64)  # onnxruntime reads no sparse tensor without values: a zero is one
    size = len(places) * (flat.itemsize + _INDEX) + len(tensor.name) + _HEADER
    if size >= flat.nbytes:
        return None
    return onnx.helper.make_sparse_tensor(
        onnx.numpy_helper.from_array(flat[places], tensor.name),
        onnx.numpy_helper.from_array(places.astype(np.int64), f"{tensor.name}_indices"),
        list(array.shape),
    )


def _compare(runtime: Any, source: Path, before: bytes, after: bytes) -> None:
    """Run both files on the same random inputs.

    Raises:
        InvalidModelError: onnxruntime reads the new one otherwise than the old one.
    """
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    old, new = (_session(runtime, source, options, content) for content in (before, after))
    rng = np.random.default_rng(0)
    feeds = {each.name: _random(each, rng) for each in old.get_inputs()}
    try:
        expected = old.run(None, feeds)
    except Exception:  # noqa: BLE001  # it does not run on lengths that were guessed; both files loaded
        return
    found = new.run(None, feeds)
    if not all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(expected, found, strict=True)):
        raise InvalidModelError(
            f"onnxruntime computes something else with sparse initializers than with {source}. Nothing was written."
        )


def _session(runtime: Any, source: Path, options: Any, content: bytes) -> Any:
    try:
        return runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has several of its own
        raise InvalidModelError(f"onnxruntime cannot read {source}, or not sparsely: {str(error)[:300]}") from error


def _random(each: Any, rng: np.random.Generator) -> NDArray[Any]:
    shape = [length if isinstance(length, int) and length > 0 else 1 for length in each.shape]
    kind = each.type.removeprefix("tensor(").removesuffix(")")
    if kind in ("float", "double", "float16"):
        return rng.normal(size=shape).astype({"float": "float32", "double": "float64"}.get(kind, kind))
    return np.zeros(shape, kind)
