"""The sweep against the loop that a user would write, and against the limit, side by side in one run.

The network is that of MathWorks' example, on 5,000 digits of 28x28. Three ways to measure its accuracy at many levels:

- the loop: for each level, assign the masked weights and call `model.evaluate(batch_size=128)`;
- the sweep: `keras_prunelab.sweep`, masks and all;
- the limit: as many bare forward passes, compiled once, over data held as one tensor, without masks.

    python benchmarks/lab.py [--levels 91] [--repeats 3] [--json FILE]

Only the ratios mean anything: the seconds are those of a machine and an hour. Medians of the repeats, which take turns.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import keras_prunelab as kpl
from keras_prunelab._backend import compiled_forward

BATCH_SIZES = (64, 128, 256, 512, 1000)


def example() -> ModuleType:
    """examples/mnist_lab.py, for its digits and its network."""
    spec = importlib.util.spec_from_file_location(
        "mnist_lab", Path(__file__).resolve().parents[1] / "examples" / "mnist_lab.py"
    )
    assert spec is not None  # noqa: S101  # the file is part of this repository
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def loop(model: keras.Model, x: np.ndarray, y: np.ndarray, levels: np.ndarray) -> list[float]:
    """What a user writes: global magnitude, one `evaluate` a level."""
    kernels = [weight for weight in model.trainable_weights if weight.name == "kernel"]
    dense = [weight.numpy() for weight in kernels]
    ranked = np.sort(np.concatenate([np.abs(value).ravel() for value in dense]))
    accuracies = []
    for level in levels:
        count = int(np.floor(level * ranked.size + 0.5))
        threshold = ranked[count - 1] if count else -1.0
        for weight, value in zip(kernels, dense, strict=True):
            weight.assign(np.where(np.abs(value) > threshold, value, 0))
        accuracies.append(model.evaluate(x, y, batch_size=128, verbose=0)[1])
    for weight, value in zip(kernels, dense, strict=True):
        weight.assign(value)
    return accuracies


def forward_passes(model: keras.Model, x: np.ndarray) -> Callable[[int], None]:
    """Bare passes over the data at the fastest of a few batch sizes."""
    forward, data = compiled_forward(model), keras.ops.convert_to_tensor(x)

    def passes(count: int, size: int) -> None:
        for _ in range(count):
            outputs = [forward(data[start : start + size]) for start in range(0, len(x), size)]
            keras.ops.convert_to_numpy(outputs[-1])

    def seconds(size: int) -> float:
        passes(1, size)  # compiles
        return timed(lambda: passes(3, size))[0]

    best = min(BATCH_SIZES, key=seconds)
    return lambda count: passes(count, best)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and what the work returned."""
    begun = time.perf_counter()
    result = work()
    return time.perf_counter() - begun, result


def main() -> None:
    """Measure, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--levels", type=int, default=91, help="levels from 80 to 98 %%")
    parser.add_argument("--repeats", type=int, default=3, help="how often each way is measured")
    parser.add_argument("--json", type=Path, help="a file for the figures")
    arguments = parser.parse_args()

    keras.utils.set_random_seed(0)
    lab = example()
    train_x, train_y, x, y = lab.digits()
    model = lab.classifier()
    lab.train(model, train_x, train_y, epochs=2)
    x, y = np.concatenate([train_x, x]).astype(np.float32), np.concatenate([train_y, y])
    levels = np.linspace(0.8, 0.98, arguments.levels)
    passes = forward_passes(model, x)

    ways: dict[str, Callable[[], Any]] = {
        "loop": lambda: loop(model, x, y, levels),
        "sweep": lambda: kpl.sweep(model, (x, y), levels, ["magnitude"]),
        "limit": lambda: passes(len(levels)),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    results: dict[str, Any] = {}
    for _ in range(arguments.repeats):
        for name, work in ways.items():
            taken, results[name] = timed(work)
            seconds[name].append(taken)
    difference = float(np.abs(results["sweep"].table["accuracy"] - results["loop"]).max())

    median = {name: statistics.median(values) for name, values in seconds.items()}
    figures = {
        "levels": len(levels),
        "images": len(x),
        "seconds": {name: round(value, 3) for name, value in median.items()},
        "loop / sweep": round(median["loop"] / median["sweep"], 2),
        "sweep / limit": round(median["sweep"] / median["limit"], 2),
        "largest difference in accuracy": difference,
    }
    for name, value in figures.items():
        print(f"{name:32} {value}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
