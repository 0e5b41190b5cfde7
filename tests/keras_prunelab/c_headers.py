"""Headers that `export_c` wrote, compiled with every warning an error, and run under sanitizers."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not on the PATH")

FLAGS = ("-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", "-pedantic", "-fsanitize=address,undefined")
FLAGS += ("-fno-sanitize-recover=all", "-ffp-contract=off")

# Observations come in one after the other, the arrays of each in their order; outputs go out likewise.
RUN = """
#define NET_IMPLEMENTATION
#include "net.h"
#include <stdio.h>
int main(void)
{
    static net_arena arena;
    static %(type)s input[%(inputs)s], output[%(outputs)s];
    while (fread(input, sizeof input, 1, stdin) == 1) {
        net_run(&arena, %(arguments)s);
        fwrite(output, sizeof output, 1, stdout);
    }
    return 0;
}
"""

# Two streams at once: the steps of the one between those of the other.
STEP = """
#define NET_IMPLEMENTATION
#include "net.h"
#include <stdio.h>
int main(void)
{
    static net_state streams[2];
    static %(type)s input[%(inputs)s], output[%(outputs)s];
    net_reset(&streams[0]);
    net_reset(&streams[1]);
    for (int i = 0; fread(input, sizeof input, 1, stdin) == 1; i = 1 - i) {
        net_step(&streams[i], %(arguments)s);
        fwrite(output, sizeof output, 1, stdout);
    }
    return 0;
}
"""


def compiled(folder: Path, main: str, inputs: list[int], outputs: list[int], dtype: str) -> Path:
    """A program from `net.h` in a folder and a `main`; `inputs` and `outputs` are lengths of arrays."""
    starts = np.cumsum([0, *inputs])[:-1], np.cumsum([0, *outputs])[:-1]
    arguments = [f"input + {start}" for start in starts[0]] + [f"output + {start}" for start in starts[1]]
    type_ = "float" if dtype == "float32" else "int8_t"
    fields = {"type": type_, "inputs": sum(inputs), "outputs": sum(outputs), "arguments": ", ".join(arguments)}
    (folder / "main.c").write_text(main % fields)
    command = ["gcc", *FLAGS, str(folder / "main.c"), "-o", str(folder / "main"), "-lm"]
    result = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert result.returncode == 0, result.stderr
    return folder / "main"


def run(program: Path, *inputs: np.ndarray) -> np.ndarray:
    """The outputs for observations, one row each; the arrays of one observation stand side by side."""
    rows = np.concatenate([each.reshape(len(each), -1) for each in inputs], axis=1)
    result = subprocess.run([program], input=np.ascontiguousarray(rows).tobytes(), capture_output=True, check=False)
    assert result.returncode == 0, result.stderr.decode()
    return np.frombuffer(result.stdout, inputs[0].dtype).reshape(len(rows), -1)


def of_keras(model: keras.Model, *inputs: np.ndarray) -> np.ndarray:
    """The outputs of a model, one row for each observation."""
    found = keras.tree.flatten(model.predict_on_batch(list(inputs) if len(inputs) > 1 else inputs[0]))
    return np.concatenate([np.asarray(each).reshape(len(inputs[0]), -1) for each in found], axis=1)


def sizes(tensors: list[Any]) -> list[int]:
    return [int(np.prod(tensor.shape[1:])) for tensor in tensors]


def randomized(model: keras.Model, seed: int = 0) -> keras.Model:
    """A model with weights that are not as they start: biases, statistics of normalizations."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        fan = max(1, int(np.prod(weight.shape[:-1])))
        value = rng.normal(size=weight.shape) * (1.5 / np.sqrt(fan) if len(weight.shape) > 1 else 0.3)
        weight.assign(np.abs(value) + 0.5 if "variance" in weight.path or "gamma" in weight.path else value)
    return model
