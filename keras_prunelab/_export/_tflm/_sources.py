"""What a device compiles to run a file with TensorFlow Lite Micro: arrays, the list of operators, an example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ._graph import DECODE

Array: TypeAlias = "NDArray[Any]"

# What `MicroMutableOpResolver` calls an operator follows from its name, but for these.
_METHODS = {
    DECODE: "Decode",
    "BATCH_MATMUL": "BatchMatMul",
    "CUMSUM": "CumSum",
    "PADV2": "PadV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTM",
}
_TYPES = {
    "float32": "float",
    "int8": "int8_t",
    "uint8": "uint8_t",
    "int16": "int16_t",
    "int32": "int32_t",
    "bool": "bool",
}

_NOT_FINITE = {"inf": "INFINITY", "-inf": "-INFINITY", "nan": "NAN"}


def sources(
    name: str,
    content: bytes,
    operators: Sequence[str],
    arena: int,
    ends: tuple[Sequence[Array], Sequence[Array]],
) -> Mapping[str, str]:
    """The text of each file of a folder to compile.

    Args:
        name: an identifier of C, which the names of arrays begin with.
        content: the LiteRT file.
        operators: those that it calls.
        arena: bytes of working memory.
        ends: inputs for one run, and the outputs that they give.

    Returns:
        Texts by the names of the files.
    """
    arrays = [
        (f"{name}_test_{kind}_{index}", np.ascontiguousarray(array))
        for kind, found in zip(("input", "output"), ends, strict=True)
        for index, array in enumerate(found)
    ]
    return {
        "model.h": _header(name, arena, [len(found) for found in ends], arrays),
        "model.cc": _model(name, content, arrays),
        "operators.h": _operators(name, operators),
        "main.cc": _main(name, ends),
    }


def method(operator: str) -> str:
    """The method of `MicroMutableOpResolver` that registers an operator.

    Args:
        operator: as the schema of LiteRT names it.

    Examples:
        >>> method("DEPTHWISE_CONV_2D"), method("FULLY_CONNECTED"), method("L2_POOL_2D")
        ('AddDepthwiseConv2D', 'AddFullyConnected', 'AddL2Pool2D')
    """
    words = (word.upper() if word == "2D" else word.capitalize() for word in operator.split("_"))
    return f"Add{_METHODS.get(operator) or ''.join(words)}"


def _header(name: str, arena: int, counts: Sequence[int], arrays: Sequence[tuple[str, Array]]) -> str:
    declared = "\n".join(f"extern const {_TYPES[array.dtype.name]} {each}[{array.size}];" for each, array in arrays)
    guard = f"{name.upper()}_MODEL_H_"
    return f"""#ifndef {guard}
#define {guard}

#include <cstddef>
#include <cstdint>

// The LiteRT file, for tflite::GetModel.
extern const unsigned char {name}_model[];
extern const std::size_t {name}_model_size;

// Working memory, measured where a pointer has 8 bytes; it takes less where it has 4.
constexpr std::size_t {name}_arena_size = {arena};

// Inputs of one run, and the outputs that TensorFlow Lite Micro gave on the machine where this was made.
constexpr int {name}_inputs = {counts[0]};
constexpr int {name}_outputs = {counts[1]};
{declared}

#endif  // {guard}
"""


def _model(name: str, content: bytes, arrays: Sequence[tuple[str, Array]]) -> str:
    test = "\n\n".join(
        f"alignas(16) const {_TYPES[array.dtype.name]} {each}[{array.size}] = {{\n{_numbers(array.reshape(-1))}\n}};"
        for each, array in arrays
    )
    whole = np.frombuffer(content, np.uint8)
    return f"""#include "model.h"

#include <cmath>

alignas(16) const unsigned char {name}_model[] = {{
{_numbers(whole)}
}};
const std::size_t {name}_model_size = {len(content)};

{test}
"""


def _numbers(values: Array) -> str:
    if values.dtype.kind == "f":
        texts = [
            f"{float(value)!r}f" if np.isfinite(value) else str(value).upper().replace("INF", "INFINITY")
            for value in values
        ]
    else:
        texts = [str(int(value)) for value in values]
    return "\n".join("    " + ", ".join(texts[start : start + 16]) + "," for start in range(0, len(texts), 16))


def _operators(name: str, operators: Sequence[str]) -> str:
    guard = f"{name.upper()}_OPERATORS_H_"
    added = "\n".join(f"  if (resolver.{method(each)}() != kTfLiteOk) return kTfLiteError;" for each in operators)
    return f"""#ifndef {guard}
#define {guard}

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

using {name}_resolver = tflite::MicroMutableOpResolver<{len(operators)}>;

// The operators of the model and no others, so that the linker leaves out the rest.
inline TfLiteStatus {name}_add_operators({name}_resolver& resolver) {{
{added}
  return kTfLiteOk;
}}

#endif  // {guard}
"""


def _main(name: str, ends: tuple[Sequence[Array], Sequence[Array]]) -> str:
    inputs = "\n".join(
        f"  std::memcpy(interpreter.input({index})->data.raw, {name}_test_input_{index}, "
        f"sizeof({name}_test_input_{index}));"
        for index in range(len(ends[0]))
    )
    outputs = "\n".join(
        f"  same = same && is_close(tflite::GetTensorData<{_TYPES[array.dtype.name]}>(interpreter.output({index})), "
        f"{name}_test_output_{index});"
        for index, array in enumerate(ends[1])
    )
    return f"""// Runs the test vector. Compile it with model.cc, for C++17, and link it with TensorFlow Lite Micro
// (https://github.com/tensorflow/tflite-micro) of October 2026 or later, which has the operator DECODE.
// A device's own kernels may differ from these outputs by a step, and in the last digits of floating-point numbers.
#include <cmath>
#include <cstring>
#include <type_traits>

#include "model.h"
#include "operators.h"
#include "tensorflow/lite/kernels/internal/tensor_ctypes.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_log.h"
#include "tensorflow/lite/schema/schema_generated.h"

template <typename T, std::size_t count>
static bool is_close(const T* found, const T (&expected)[count]) {{
  const double most = std::is_floating_point<T>::value ? 1e-4 : 1.0;
  for (std::size_t i = 0; i < count; ++i) {{
    if (!(std::fabs(static_cast<double>(found[i]) - static_cast<double>(expected[i])) <= most)) return false;
  }}
  return true;
}}

int main() {{
  alignas(16) static uint8_t arena[{name}_arena_size];
  static {name}_resolver resolver;
  if ({name}_add_operators(resolver) != kTfLiteOk) return 1;
  const tflite::Model* model = tflite::GetModel({name}_model);
  tflite::MicroInterpreter interpreter(model, resolver, arena, {name}_arena_size);
  if (interpreter.AllocateTensors() != kTfLiteOk) return 1;
{inputs}
  if (interpreter.Invoke() != kTfLiteOk) return 1;
  bool same = true;
{outputs}
  MicroPrintf(same ? "The outputs are those of the test vector." : "The outputs differ from the test vector.");
  return same ? 0 : 2;
}}
"""
