"""Files for TensorFlow Lite Micro, in the interpreter of the package tflite-micro and against decoders of our own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import keras_prunelab as kpl
from keras_prunelab._export._tflm import _encode

pytest.importorskip("tflite_micro")
L = keras.layers
RNG = np.random.default_rng(0)
ARENA = 2**23


def decoded(encoding: _encode.Encoding, shape: tuple[int, ...], dtype: Any, zeros: Any, axis: int | None) -> np.ndarray:
    """One value after the other, as the kernel of DECODE goes, written from its description."""
    kind, version, *_ = encoding.ancillary[:16]
    assert (version, encoding.ancillary[4], encoding.ancillary[2:4]) == (1, 1, b"\0\0")
    bits = "".join(f"{byte:08b}" for byte in encoding.codes)
    table = np.frombuffer(encoding.ancillary[16:], dtype)
    assert encoding.form == {0: "table", 2: "mask"}[kind]
    found, kept = [], iter(table)
    for place, index in enumerate(np.ndindex(shape)):
        if kind == 2:
            zero = 0 if zeros is None else zeros[0 if axis is None else index[axis]]
            found.append(next(kept) if bits[place] == "1" else np.dtype(dtype).type(zero))
        else:
            channels, width = encoding.ancillary[5] >> 4, encoding.ancillary[5] & 7
            row = 0 if channels == 15 else index[channels]
            code = int(bits[place * width : (place + 1) * width], 2)
            found.append(table[row * encoding.ancillary[6] + code])
    assert next(kept, None) is None or kind == 0
    return np.array(found, dtype).reshape(shape)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_encodings_are_decoded_bit_for_bit(data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(["int8", "int16", "int32", "float32"]))
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=4, max_side=9))
    numbers = hnp.from_dtype(np.dtype(dtype), allow_nan=True) if dtype == "float32" else hnp.from_dtype(np.dtype(dtype))
    few = data.draw(st.lists(numbers, min_size=1, max_size=data.draw(st.sampled_from([1, 3, 200]))))
    values = data.draw(hnp.arrays(dtype, shape, elements=st.sampled_from(few), fill=st.just(few[0])))
    axis = data.draw(st.sampled_from([None, 0, len(shape) - 1]))
    zeros = None
    if dtype == "int8" and data.draw(st.booleans()):
        count = 1 if axis is None else shape[axis]
        zeros = np.array(data.draw(st.lists(st.integers(-128, 127), min_size=count, max_size=count)))
    encoding = _encode.smallest(values, zeros, axis)
    assert encoding.size == len(encoding.codes) + len(encoding.ancillary)
    assert decoded(encoding, shape, dtype, zeros, axis).tobytes() == values.tobytes()


def lenet() -> keras.Model:
    return keras.Sequential(
        [keras.Input((784,)), L.Dense(300, "relu"), L.Dense(100, "relu"), L.Dense(10, activation="softmax")]
    )


def convolutional() -> keras.Model:
    layers = [keras.Input((12, 12, 3)), L.Conv2D(32, 3, activation="relu"), L.DepthwiseConv2D(3)]
    return keras.Sequential([*layers, L.Conv2D(64, 1), L.GlobalAveragePooling2D(), L.Dense(4, activation="sigmoid")])


def transposed() -> keras.Model:
    return keras.Sequential([keras.Input((6, 6, 8)), L.Conv2DTranspose(32, 3, strides=2), L.Flatten(), L.Dense(2)])


def shared() -> keras.Model:
    first, second = keras.Input((64,), name="zebra"), keras.Input((64,), name="ant")
    layer = L.Dense(64, "tanh")
    joined = L.Concatenate()([layer(layer(first)), layer(second)])
    return keras.Model([first, second], [L.Dense(3)(joined), joined])


def looping() -> keras.Model:
    return keras.Sequential([keras.Input((20, 8)), L.GRU(24, return_sequences=True), L.LSTM(24), L.Dense(4)])


NETWORKS = [lenet, convolutional, transposed, shared, looping]


def inputs_of(model: keras.Model, count: int) -> Any:
    arrays = [RNG.normal(size=(count, *tensor.shape[1:])).astype("float32") for tensor in model.inputs]
    return arrays[0] if len(arrays) == 1 else arrays


def interpreted(path: Path, arrays: list[np.ndarray]) -> list[bytes]:
    """The outputs of a file, with nothing of the package between."""
    from tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(path.read_bytes(), arena_size=ARENA)
    for index, array in enumerate(arrays):
        detail = interpreter.get_input_details(index)
        assert tuple(detail["shape"]) == array.shape
        if detail["dtype"] == np.int8:
            array = np.clip(array * 40, -128, 127).astype(np.int8)
        interpreter.set_input(array, index)
    interpreter.invoke()
    found = []
    for index in range(9):
        try:
            found.append(interpreter.get_output(index).tobytes())
        except (IndexError, ValueError, RuntimeError):
            break
    return found


@pytest.mark.parametrize("make", NETWORKS)
@pytest.mark.parametrize("quantize", [None, "int8"])
def test_compressed_files_answer_as_dense_ones_bit_for_bit(
    make: Callable[[], keras.Model], quantize: Any, tmp_path: Path
) -> None:
    model = kpl.prune(make(), 0.9, scope="layer")
    x = inputs_of(model, 32)
    calibration = None if quantize is None else (x,) if isinstance(x, list) else x
    small, whole = (
        kpl.export_litert(
            model, tmp_path / f"{sparse}.tflite", quantize, runtime="tflm", sparse=sparse, calibration=calibration
        )
        for sparse in (None, False)
    )
    assert (small.runtime, whole.sparse) == ("tflm", False)
    if make is looping and quantize:  # unrolled, it has many operators, each of which would need a DECODE
        # One constant of a single use may be smaller. Each conversion names its values anew, in more or fewer letters.
        assert 0.999 * small.dense_bytes < small.bytes <= small.dense_bytes
        return
    assert "mask" in small.forms.values()
    assert "TFLM_DECODE" in small.operators
    assert set(small.operators) - {"TFLM_DECODE"} == set(whole.operators)
    assert (small.dense_bytes, small.dense_arena_bytes) == (whole.bytes, whole.arena_bytes)
    assert small.bytes == small.path.stat().st_size < 0.95 * whole.bytes
    assert small.nonzeros == whole.nonzeros
    arrays = x if isinstance(x, list) else [x]
    for row in range(4):
        one = [array[row : row + 1] for array in arrays]
        assert interpreted(small.path, one) == interpreted(whole.path, one)


@pytest.mark.parametrize(("quantize", "most"), [(None, 0.16), ("int8", 0.30)])
def test_lenet_at_90_percent(quantize: Any, most: float, tmp_path: Path) -> None:
    model = kpl.prune(lenet(), 0.9)
    calibration = inputs_of(model, 32) if quantize else None
    found = kpl.export_litert(model, tmp_path / "a.tflite", quantize, runtime="tflm", calibration=calibration)
    assert found.bytes <= most * found.dense_bytes
    # The decoded weights of the largest layer are in the arena while it runs.
    assert found.arena_bytes - found.dense_arena_bytes >= 0.9 * 784 * 300 * (1 if quantize else 4)


@pytest.mark.parametrize("by_channel", [False, True])
def test_few_values_become_a_table(by_channel: bool, tmp_path: Path) -> None:
    """With 127 in every channel the step of each is known, and so are the whole numbers."""
    model = keras.Sequential([keras.Input((400,)), L.Dense(8, name="few", use_bias=False), L.Dense(3)])
    places = RNG.integers(0, 4, size=(400, 8))
    whole = np.array([127, 60, -33, 90])[places] - (by_channel * places.clip(0, 1)) * np.arange(8) * 3
    model.layers[0].set_weights([(whole * 0.01).astype("float32")])
    x = inputs_of(model, 64)
    found, plain = (
        kpl.export_litert(
            model,
            tmp_path / f"{sparse}.tflite",
            "int8",
            runtime="tflm",
            calibration=x,
            sparse=sparse,
            dense_scales="channel" if by_channel else None,
        )
        for sparse in (None, False)
    )
    assert list(found.forms.values()) == ["table"]
    # A table of one row for each channel takes two bits a value, and one for all takes more bits or as many.
    assert plain.bytes - found.bytes > 400 * 8 * 3 // 4 - 500
    assert interpreted(found.path, [x[:1]]) == interpreted(plain.path, [x[:1]])


def test_what_is_no_smaller_stays_dense(tmp_path: Path) -> None:
    found = kpl.export_litert(convolutional(), tmp_path / "net.tflite", runtime="tflm")
    assert (found.sparse, dict(found.forms), found.bytes) == (False, {}, found.dense_bytes)
    assert "of the dense" in str(found)


@pytest.mark.parametrize("quantize", [None, "int8"])
@pytest.mark.parametrize("make", [lenet, convolutional, shared])
def test_evaluate_file_runs_them(make: Callable[[], keras.Model], quantize: Any, tmp_path: Path) -> None:
    model = kpl.prune(make(), 0.8, scope="layer")
    x = inputs_of(model, 40)
    arrays = x if isinstance(x, list) else [x]
    calibration = (x,) if isinstance(x, list) else x
    written = kpl.export_litert(model, tmp_path / "net.tflite", quantize, runtime="tflm", calibration=calibration)
    outputs = [np.array(each) for each in keras.tree.flatten(model(x))]
    labels = [output.argmax(axis=-1) for output in outputs]
    data = (x, labels if len(labels) > 1 else labels[0])
    found = kpl.evaluate_file(written.path, data, model=model)
    assert found.kernels == "micro"
    assert found.observations == len(arrays[0])
    assert found.difference is not None
    assert found.difference < (0.1 if quantize else 1e-5)
    assert kpl.evaluate_file(written.path, data, model=model, kernels="micro").metrics == found.metrics
    with pytest.raises(kpl.UnknownNameError, match="micro"):
        kpl.evaluate_file(written.path, data, kernels="reference")


def test_micro_kernels_run_a_plain_file_and_no_onnx(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((20,)), L.Dense(3)])
    x = inputs_of(model, 300)
    written = kpl.export_litert(model, tmp_path / "net.tflite", "int8", calibration=x)
    labels = np.array(model(x)).argmax(axis=-1)
    micro, reference = (
        kpl.evaluate_file(written.path, (x, labels), model=model, kernels=kernels) for kernels in ("micro", "reference")
    )
    np.testing.assert_allclose(micro.differences, reference.differences, atol=0.02 * float(np.abs(model(x)).max()))
    (tmp_path / "net.onnx").write_bytes(b"none")
    with pytest.raises(kpl.UnknownNameError, match="onnxruntime"):
        kpl.evaluate_file(tmp_path / "net.onnx", (x, labels), kernels="micro")


STUBS = {
    "tensorflow/lite/micro/micro_mutable_op_resolver.h": """#pragma once
#include <cstdint>
enum TfLiteStatus { kTfLiteOk, kTfLiteError };
namespace tflite { template <unsigned n> struct MicroMutableOpResolver {
    TfLiteStatus AddFullyConnected(); TfLiteStatus AddSoftmax(); TfLiteStatus AddDecode();
    TfLiteStatus AddConcatenation(); TfLiteStatus AddTanh(); TfLiteStatus AddQuantize(); }; }""",
    "tensorflow/lite/kernels/internal/tensor_ctypes.h": """#pragma once
struct TfLiteTensor { struct { char* raw; } data; };
namespace tflite { template <typename T> const T* GetTensorData(const TfLiteTensor*); }""",
    "tensorflow/lite/micro/micro_interpreter.h": """#pragma once
#include "tensorflow/lite/kernels/internal/tensor_ctypes.h"
namespace tflite { struct Model; struct MicroInterpreter {
    template <typename R> MicroInterpreter(const Model*, R&, uint8_t*, std::size_t) {}
    TfLiteStatus AllocateTensors(); TfLiteStatus Invoke();
    TfLiteTensor* input(int); TfLiteTensor* output(int); }; }""",
    "tensorflow/lite/micro/micro_log.h": "#pragma once\nvoid MicroPrintf(const char*, ...);",
    "tensorflow/lite/schema/schema_generated.h": (
        "#pragma once\nnamespace tflite { struct Model; const Model* GetModel(const void*); }"
    ),
}

PRINT = """
#include <cstdio>
#include "model.h"
int main() {
    std::fwrite(NET_model, 1, NET_model_size, stdout);
    std::fwrite(NET_test_input_0, 1, sizeof(NET_test_input_0), stdout);
    std::fwrite(NET_test_output_0, 1, sizeof(NET_test_output_0), stdout);
    return reinterpret_cast<std::size_t>(NET_model) % 16 ? 1 : 0;
}
"""


@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
@pytest.mark.parametrize("quantize", [None, "int8"])
@pytest.mark.parametrize("make", [lenet, shared])
def test_the_folder_compiles(make: Callable[[], keras.Model], quantize: Any, tmp_path: Path) -> None:
    model = kpl.prune(make(), 0.9)
    x = inputs_of(model, 16)
    calibration = None if quantize is None else (x,) if isinstance(x, list) else x
    found = kpl.export_litert(model, tmp_path / "my-net 2", quantize, runtime="tflm", calibration=calibration)
    folder = tmp_path / "my-net 2"
    assert found.path == folder / "my-net 2.tflite"
    assert {path.name for path in folder.iterdir()} == {
        "model.h", "model.cc", "operators.h", "main.cc", "my-net 2.tflite",
    }  # fmt: skip
    assert f"arena_size = {found.arena_bytes};" in (folder / "model.h").read_text()
    assert f"MicroMutableOpResolver<{len(found.operators)}>" in (folder / "operators.h").read_text()
    for name, text in STUBS.items():
        (tmp_path / "stubs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "stubs" / name).write_text(text)
    strict = ["g++", "-std=c++17", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([*strict, "-fsyntax-only", f"-I{tmp_path / 'stubs'}", folder / "main.cc"], check=True)
    (folder / "print.cc").write_text(PRINT.replace("NET", "my_net_2"))
    subprocess.run([*strict, "print.cc", "model.cc", "-o", "print"], check=True, cwd=folder)
    printed = subprocess.run([folder / "print"], check=True, capture_output=True).stdout
    content = found.path.read_bytes()
    assert printed[: len(content)] == content
    rest = printed[len(content) :]
    # The test vector: what the interpreter gives for that input.
    from tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(content, arena_size=found.arena_bytes)
    for index in range(len(model.inputs)):
        detail = interpreter.get_input_details(index)
        size = int(np.prod(detail["shape"])) * np.dtype(detail["dtype"]).itemsize
        if index == 0:
            interpreter.set_input(np.frombuffer(rest[:size], detail["dtype"]).reshape(detail["shape"]), index)
            first = size
    if len(model.inputs) == 1:
        interpreter.invoke()
        assert interpreter.get_output(0).tobytes() == rest[first:]


def test_methods_of_the_resolver() -> None:
    """As `micro_mutable_op_resolver.h` names them."""
    from keras_prunelab._export._tflm._sources import method

    known = {
        "CONV_2D": "AddConv2D",
        "AVERAGE_POOL_2D": "AddAveragePool2D",
        "TRANSPOSE_CONV": "AddTransposeConv",
        "SPLIT_V": "AddSplitV",
        "PADV2": "AddPadV2",
        "BATCH_TO_SPACE_ND": "AddBatchToSpaceNd",
        "L2_NORMALIZATION": "AddL2Normalization",
        "RELU6": "AddRelu6",
        "CUMSUM": "AddCumSum",
        "SVDF": "AddSvdf",
        "UNIDIRECTIONAL_SEQUENCE_LSTM": "AddUnidirectionalSequenceLSTM",
        "RESIZE_NEAREST_NEIGHBOR": "AddResizeNearestNeighbor",
        "TFLM_DECODE": "AddDecode",
    }
    assert {name: method(name) for name in known} == known


def test_what_it_cannot_run_is_an_error_and_nothing_is_written(tmp_path: Path) -> None:
    gelu = keras.Sequential([keras.Input((8,)), L.Dense(40, "gelu")])
    with pytest.raises(kpl.InvalidModelError, match="no operator GELU"):
        kpl.export_litert(gelu, tmp_path / "net.tflite", runtime="tflm")
    flat = keras.Sequential([keras.Input((8,)), L.Dense(4, "softmax")])
    flat.layers[0].set_weights([1e-9 * RNG.normal(size=(8, 4)).astype("float32"), np.zeros(4, "float32")])
    with pytest.raises(kpl.InvalidModelError, match=r"before a softmax .* collapsed"):
        kpl.export_litert(flat, tmp_path / "net.tflite", "int8", runtime="tflm", calibration=inputs_of(flat, 16))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_ends_the_interpreter_is_an_error_and_the_next_one_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from keras_prunelab._export._tflm import _micro

    monkeypatch.setattr(_micro, "_LEAST_STEP", 0.0)  # the softmax's own check: the kernel's ends the process
    flat = keras.Sequential([keras.Input((8,)), L.Dense(4, "softmax")])
    flat.layers[0].set_weights([1e-9 * RNG.normal(size=(8, 4)).astype("float32"), np.zeros(4, "float32")])
    x = inputs_of(flat, 16)
    with pytest.raises(kpl.InvalidModelError, match="ended its process"):
        kpl.export_litert(flat, tmp_path / "net.tflite", "int8", runtime="tflm", calibration=x)
    assert kpl.export_litert(convolutional(), tmp_path / "net.tflite", runtime="tflm").arena_bytes


def test_bad_input_is_refused_before_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from keras_prunelab._export import _litert

    monkeypatch.setattr(_litert, "converted", lambda *_: pytest.fail("it was converted"))
    model, target = lenet(), tmp_path / "net.tflite"
    for quantize in ("float16", "int8-weights"):
        with pytest.raises(kpl.UnknownNameError, match="no kernels"):
            kpl.export_litert(model, target, quantize, runtime="tflm")
    with pytest.raises(kpl.UnknownNameError, match="runtime='micro'; it is one of 'litert', 'tflm'"):
        kpl.export_litert(model, target, runtime="micro")
    with pytest.raises(kpl.InvalidModelError, match=r"in \.tflite or, for a folder"):
        kpl.export_litert(model, tmp_path / "net.onnx", runtime="tflm")
    with pytest.raises(kpl.InvalidModelError, match=r"in \.tflite\.$"):
        kpl.export_litert(model, tmp_path / "net", runtime="litert")
    free = keras.Sequential([keras.Input((None, 4), name="frames"), L.GRU(3)])
    with pytest.raises(kpl.InvalidModelError, match=r"'frames' .* fixed lengths"):
        kpl.export_litert(free, target, runtime="tflm")


@pytest.mark.parametrize("missing", ["tflite_micro", "ai_edge_litert"])
def test_missing_extras_are_named_before_work(missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else find(name))
    with pytest.raises(kpl.MissingBackendError, match=r"keras-prunelab\[device\]"):
        kpl.export_litert(lenet(), tmp_path / "net.tflite", runtime="tflm")


def test_the_package_loads_without_the_extras() -> None:
    script = """
import sys
for name in ("flatbuffers", "tflite_micro", "ai_edge_litert", "ethosu"):
    sys.modules[name] = None
import keras_prunelab._evaluate._evaluate_file, keras_prunelab._export._tflm._write
"""
    subprocess.run([sys.executable, "-c", script], check=True, env={**os.environ, "KERAS_BACKEND": "jax"}, timeout=300)
