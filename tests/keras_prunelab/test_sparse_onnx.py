"""ONNX files with sparse initializers, read by onnx and run by onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import keras_prunelab as kpl

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

RNG = np.random.default_rng(0)


def write(path: Path, share: float) -> tuple[np.ndarray, np.ndarray]:
    """A file of two products, the first with a share of zeros, made by hand."""
    first, second = (RNG.normal(size=size).astype("float32") for size in ((60, 80), (80, 4)))
    first.reshape(-1)[RNG.permutation(first.size)[: round(share * first.size)]] = 0
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("MatMul", ["h", "v"], ["y"])]
    given, asked = (helper.make_tensor_value_info(*each) for each in (("x", kind, ["N", 60]), ("y", kind, ["N", 4])))
    weights = [onnx.numpy_helper.from_array(array, name) for array, name in ((first, "w"), (second, "v"))]
    model = helper.make_model(helper.make_graph(nodes, "net", [given], [asked], weights))
    model.ir_version = 9
    onnx.save(model, str(path))
    return first, second


def run(path: Path, x: np.ndarray) -> Any:
    return onnxruntime.InferenceSession(str(path)).run(None, {"x": x})[0]


@pytest.mark.parametrize(("share", "tensors"), [(0.0, 0), (0.6, 0), (0.7, 1), (0.95, 1), (1.0, 1)])
def test_only_what_is_smaller_is_sparse(share: float, tensors: int, tmp_path: Path) -> None:
    first, second = write(tmp_path / "net.onnx", share)
    before = (tmp_path / "net.onnx").read_bytes()
    found = kpl.sparsify_onnx(tmp_path / "net.onnx", tmp_path / "sparse.onnx")
    assert (found.tensors, found.of, found.bytes_before) == (tensors, 2, len(before))
    assert found.bytes == (tmp_path / "sparse.onnx").stat().st_size
    assert (found.bytes < len(before)) == bool(tensors)
    assert found.bytes <= len(before) - tensors * (4 * first.size - 12 * np.count_nonzero(first)) + 100
    assert (tmp_path / "net.onnx").read_bytes() == before
    x = RNG.normal(size=(7, 60)).astype("float32")
    np.testing.assert_array_equal(run(tmp_path / "sparse.onnx", x), run(tmp_path / "net.onnx", x))
    np.testing.assert_allclose(run(tmp_path / "sparse.onnx", x), x @ first @ second, rtol=1e-3, atol=1e-3)
    labels = (x @ first @ second).argmax(axis=-1)
    for kernels in ("default", "reference"):
        measured = kpl.evaluate_file(tmp_path / "sparse.onnx", (x, labels), kernels=kernels)
        assert measured.metrics == {"accuracy": 1.0}


def test_the_indices_count_along_all_axes(tmp_path: Path) -> None:
    first, _ = write(tmp_path / "net.onnx", 0.9)
    kpl.sparsify_onnx(tmp_path / "net.onnx")
    model = onnx.load(str(tmp_path / "net.onnx"))
    onnx.checker.check_model(model)
    (sparse,) = model.graph.sparse_initializer
    indices = onnx.numpy_helper.to_array(sparse.indices)
    assert (indices.ndim, list(sparse.dims), sparse.values.name) == (1, [60, 80], "w")
    np.testing.assert_array_equal(indices, np.flatnonzero(first))
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(sparse.values), first[first != 0])


def test_a_second_time_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path / "net.onnx", 0.9)
    kpl.sparsify_onnx(tmp_path / "net.onnx")
    once = (tmp_path / "net.onnx").read_bytes()
    assert kpl.sparsify_onnx(tmp_path / "net.onnx").bytes == len(once)
    assert (tmp_path / "net.onnx").read_bytes() == once


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"no model")
    with pytest.raises(kpl.InvalidModelError, match=r"is no ONNX file, or it is damaged"):
        kpl.sparsify_onnx(tmp_path / "net.onnx")
    assert (tmp_path / "net.onnx").read_bytes() == b"no model"
    with pytest.raises(FileNotFoundError, match="There is no file"):
        kpl.sparsify_onnx(tmp_path / "none.onnx")
    with pytest.raises(kpl.InvalidModelError, match=r"should end in \.onnx"):
        kpl.sparsify_onnx(tmp_path / "net.onnx", tmp_path / "net.bin")


def test_weights_that_are_an_output_stay(tmp_path: Path) -> None:
    write(tmp_path / "net.onnx", 0.9)
    model = onnx.load(str(tmp_path / "net.onnx"))
    model.graph.output.append(onnx.helper.make_tensor_value_info("w", onnx.TensorProto.FLOAT, [60, 80]))
    onnx.save(model, str(tmp_path / "net.onnx"))
    assert kpl.sparsify_onnx(tmp_path / "net.onnx").tensors == 0
