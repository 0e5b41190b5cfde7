"""The sweep against what a user would write, and against what the machine can do, side by side in one run.

Four measurements, each of them several times in turns:

- **cnn**: the network of MathWorks' example on 5,000 images of 28x28, 91 levels. *loop*: for each level, assign the
  masked weights and call `model.evaluate(batch_size=128)`. *engine*: `keras_prunelab.sweep`, everything included.
  *limit*: as many bare forward passes, compiled, over tensors, with the best batch size, without masks.
- **mlp**: the same with a 784-300-100-10 network on 10,000 rows.
- **masks**: magnitudes, thresholds and masks of 91 levels over the 61 million weights of AlexNet, in the form in which
  they are kept (the level at which each weight goes), against one `np.partition` of the magnitudes with all 91
  positions; and the peak of the memory, all arrays of NumPy together with the weights themselves.
- **workers**: 2 worker processes against 1 on a network of AlexNet's size, 64 images, every third level; each worker is
  held to one thread, and started and warmed by a sweep before.

    python benchmarks/sweep.py [cnn] [mlp] [masks] [workers] [--repeats 3] [--json FILE]

Only the ratios mean anything: the seconds are those of a machine and an hour. Medians of the repeats.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import joblib
import keras
import numpy as np
from rich.console import Console
from rich.table import Table

import keras_prunelab as kpl
from keras_prunelab._backend import compile_step, wait_for

BATCH_SIZES = (64, 128, 256, 512, 1000)
GOALS = {
    "cnn loop / engine": (">=", 3.0),
    "cnn engine / limit": ("<=", 1.15),
    "mlp loop / engine": (">=", 5.0),
    "mlp engine / limit": ("<=", 1.3),
    "masks / partition": ("<=", 1.3),
    "masks peak memory / weights": ("<=", 2.5),
    "1 worker / 2 workers": (">=", 1.6),
}
Ways = dict[str, Callable[[], Any]]


def cnn() -> tuple[keras.Model, np.ndarray]:
    """MathWorks' example, and 5,000 images."""
    layers = keras.layers
    blocks = [
        layer
        for filters in (8, 16, 32)
        for layer in (layers.Conv2D(filters, 3, padding="same"), layers.ReLU(), layers.MaxPooling2D(2))
    ][:-1]  # the last convolution is not pooled
    model = keras.Sequential([keras.Input((28, 28, 1)), *blocks, layers.Flatten(), layers.Dense(10, "softmax")])
    return model, np.random.default_rng(0).random((5_000, 28, 28, 1), np.float32)


def mlp() -> tuple[keras.Model, np.ndarray]:
    """LeNet-300-100, and as many rows as MNIST tests with."""
    hidden = [keras.layers.Dense(units, "relu") for units in (300, 100)]
    model = keras.Sequential([keras.Input((784,)), *hidden, keras.layers.Dense(10, "softmax")])
    return model, np.random.default_rng(0).random((10_000, 784), np.float32)


def alexnet() -> keras.Model:
    """A network of the size of AlexNet: 61 million weights."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((227, 227, 3)),
            layers.Conv2D(96, 11, 4, activation="relu"),
            layers.MaxPooling2D(3, 2),
            layers.Conv2D(256, 5, padding="same", activation="relu"),
            layers.MaxPooling2D(3, 2),
            layers.Conv2D(384, 3, padding="same", activation="relu"),
            layers.Conv2D(384, 3, padding="same", activation="relu"),
            layers.Conv2D(256, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(3, 2),
            layers.Flatten(),
            layers.Dense(4096, "relu"),
            layers.Dense(4096, "relu"),
            layers.Dense(1000, "softmax"),
        ]
    )


def loop(model: keras.Model, x: np.ndarray, y: np.ndarray, levels: np.ndarray) -> list[float]:
    """What a user writes: global magnitude, one `evaluate` a level."""
    kernels = [weight for weight in model.trainable_weights if weight.name == "kernel"]
    dense = [np.array(keras.ops.convert_to_numpy(weight)) for weight in kernels]
    ranked = np.sort(np.concatenate([np.abs(value).ravel() for value in dense]))
    accuracies = []
    for level in levels:
        count = int(np.floor(level * ranked.size + 0.5))
        for weight, value in zip(kernels, dense, strict=True):
            weight.assign(np.where(np.abs(value) > ranked[count - 1], value, 0))
        accuracies.append(model.evaluate(x, y, batch_size=128, verbose=0)[1])
    for weight, value in zip(kernels, dense, strict=True):
        weight.assign(value)
    return accuracies


def forward_passes(model: keras.Model, x: np.ndarray, count: int) -> Callable[[], None]:
    """So many bare passes over the data, at the fastest of a few batch sizes."""
    forward = compile_step(lambda inputs: model(inputs, training=False), model.weights)
    batches = {
        size: [keras.ops.convert_to_tensor(x[start : start + size]) for start in range(0, len(x), size)]
        for size in BATCH_SIZES
    }

    def passes(count: int, size: int) -> None:
        for _ in range(count):
            wait_for([forward(batch) for batch in batches[size]][-1])

    def seconds(size: int) -> float:
        passes(1, size)  # compiles
        return min(timed(lambda: passes(1, size)) for _ in range(3))

    best = min(BATCH_SIZES, key=seconds)
    return lambda: passes(count, best)


def network(name: str, levels: np.ndarray, repeats: int) -> Iterator[tuple[str, float]]:
    """The loop, the engine and the limit on one network."""
    keras.utils.set_random_seed(0)
    model, x = {"cnn": cnn, "mlp": mlp}[name]()
    y = np.random.default_rng(1).integers(0, 10, len(x))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    results: dict[str, Any] = {}
    ways: Ways = {
        "loop": lambda: results.update(loop=loop(model, x, y, levels)),
        "engine": lambda: results.update(engine=kpl.sweep(model, (x, y), levels, "magnitude")),
        "limit": forward_passes(model, x, len(levels)),
    }
    seconds = in_turns(ways, repeats)
    yield from ((f"{name} {way}, seconds", value) for way, value in seconds.items())
    yield f"{name} loop / engine", seconds["loop"] / seconds["engine"]
    yield f"{name} engine / limit", seconds["engine"] / seconds["limit"]
    difference = np.abs(results["engine"].table["accuracy"] - results["loop"]).max()
    yield f"{name} largest difference in accuracy", float(difference)


def masks(levels: np.ndarray, repeats: int) -> Iterator[tuple[str, float]]:
    """Magnitudes, thresholds and masks of all levels."""
    keras.utils.set_random_seed(0)
    model = alexnet()
    found = kpl.prunable(model)
    magnitudes = np.concatenate([np.abs(value).ravel() for value in found.views().values()])
    positions = np.floor(levels * magnitudes.size + 0.5).astype(np.int64) - 1
    ways: Ways = {
        "partition": lambda: np.partition(magnitudes, positions),
        "masks": lambda: kpl.trajectory(model, levels),
    }
    seconds = in_turns(ways, repeats)
    yield from ((f"{way}, seconds", value) for way, value in seconds.items())
    yield "masks / partition", seconds["masks"] / seconds["partition"]
    ways.clear()
    size = magnitudes.nbytes
    tracemalloc.start()
    kpl.trajectory(model, levels)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # The weights are TensorFlow's and not among NumPy's arrays.
    yield "masks peak memory / weights", (size + peak) / size


def workers(levels: np.ndarray, repeats: int) -> Iterator[tuple[str, float]]:
    """Two worker processes against one, each of them held to one thread."""
    # joblib starts no process for one worker, and TensorFlow takes its threads once: each way is a process of its own.
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1")
    seconds = {}
    for count in (1, 2):
        code = f"from sweep import alone; alone({count}, {levels[::3].tolist()}, {repeats})"
        environment = os.environ | one_thread | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
        seconds[count] = float(done.stdout.splitlines()[-1])
        yield f"{count} worker{'s' * (count > 1)} of one thread, seconds", seconds[count]
    yield "1 worker / 2 workers", seconds[1] / seconds[2]


def alone(count: int, levels: list[float], repeats: int) -> None:
    """Print the median seconds of a sweep of a network of AlexNet's size with so many workers."""
    keras.utils.set_random_seed(0)
    model = alexnet()
    x, y = np.random.default_rng(0).random((64, 227, 227, 3), np.float32), np.arange(64)
    with joblib.parallel_config("loky", inner_max_num_threads=1):
        kpl.sweep(model, (x, y), levels, workers=count)  # starts the processes, sends model and data, compiles
        print(statistics.median(timed(lambda: kpl.sweep(model, (x, y), levels, workers=count)) for _ in range(repeats)))


def in_turns(ways: Ways, repeats: int) -> dict[str, float]:
    """The median seconds of each way."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, work in ways.items():
            seconds[name].append(timed(work))
    return {name: statistics.median(values) for name, values in seconds.items()}


def timed(work: Callable[[], Any]) -> float:
    """The seconds that something takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def shown(figures: dict[str, float]) -> None:
    """The figures as a table, with the goals beside them."""
    table = Table("measure", "value", "goal", "", title=f"Sweep, on {keras.config.backend()}")
    for name, value in figures.items():
        sign, goal = GOALS.get(name, ("", 0.0))
        is_met = value >= goal if sign == ">=" else value <= goal
        table.add_row(
            name, f"{value:.3g}", f"{sign} {goal:g}" if sign else "", ("met" if is_met else "missed") if sign else ""
        )
    Console(width=100).print(table)


def main() -> None:
    """Measure, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help="cnn, mlp, masks, workers; by default all")
    parser.add_argument("--levels", type=int, default=91, help="levels from 80 to 98 %%")
    parser.add_argument("--repeats", type=int, default=3, help="how often each way is measured")
    parser.add_argument("--json", type=Path, default=Path("sweep-benchmark.json"), help="a file for the figures")
    arguments = parser.parse_args()
    parts: dict[str, Callable[[np.ndarray, int], Iterator[tuple[str, float]]]] = {
        "cnn": lambda levels, repeats: network("cnn", levels, repeats),
        "mlp": lambda levels, repeats: network("mlp", levels, repeats),
        "masks": masks,
        "workers": workers,
    }
    figures: dict[str, float] = {}
    for name in arguments.parts or parts:
        figures.update(parts[name](np.linspace(0.8, 0.98, arguments.levels), arguments.repeats))
    shown(figures)
    arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
