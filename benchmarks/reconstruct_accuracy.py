"""How sparse a network gets within one point of its dense accuracy: masked as it is, and with its weights solved anew.

    python benchmarks/reconstruct_accuracy.py lab --digits mnist_train.npz --seeds 5
    python benchmarks/reconstruct_accuracy.py filters --digits mnist_train.npz
    python benchmarks/reconstruct_accuracy.py matlab --corpus CORPUS

`--digits` is a file of NumPy with MNIST's training images `x` and labels `y`. `lab` trains the network of
examples/mnist_lab.py on 4,000 of them, `filters` that and 784-300-100-10. Another 1,000 without labels calibrate, and
another 5,000 tell the accuracy. `matlab` reads networks and their data from a folder of `.mat` files of public
repositories, named as in docs/corpus.md. Nothing is trained after pruning.

The sparsest level is that of `SweepResult.choose`: within one point of dense together with every level below it.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

import numpy as np

CALIBRATION = 1000
MEASURED = 5000
TRAINED = 4000
LEVELS = [0.3, 0.5, 0.55, *np.round(np.arange(0.6, 0.89, 0.04), 2), *np.round(np.arange(0.9, 0.975, 0.01), 2)]
LARGE = [0.3, 0.5, 0.7, 0.8, 0.85, 0.9, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99, 0.995]
WAYS: dict[str, tuple[str, Any]] = {
    "magnitude": ("magnitude", False),
    "magnitude + reconstruction": ("magnitude", "layers"),
    "magnitude + sequential": ("magnitude", "sequential"),
    "obs, masks alone": ("obs", False),
    "obs + reconstruction": ("obs", "layers"),
    "obs + sequential": ("obs", "sequential"),
}

MNIST = "transafeailab__nnv/examples__artifact__CAV2020_ImageStar__MNIST_NETS__"
IMAGES = {
    "Medium_ConvNet": (f"{MNIST}Architecture__Medium_ConvNet.mat", f"{MNIST}Medium__images.mat"),
    "Large_ConvNet": (f"{MNIST}Architecture__Large_ConvNet.mat", f"{MNIST}Large__images.mat"),
    "TEST_NET": (
        "transafeailab__nnv/examples__nn__cnn__TEST_NET__TEST_NET.mat",
        "transafeailab__nnv/examples__nn__cnn__TEST_NET__test_images.mat",
    ),
}
WALKS = "kooste2018__Monty_Matlab_SS2021"


@dataclass(frozen=True)
class Case:
    """A trained network and its data: what calibrates, without labels, and what the accuracy is measured on."""

    name: str
    model: Any
    calibration: Any
    inputs: Any
    labels: Any


def split_digits(path: Path, seed: int) -> tuple[Any, Any, Any, Any, Any]:
    """Images and labels to train on, images to calibrate on, images and labels to measure on: all apart."""
    with np.load(path) as file:
        images, labels = file["x"][..., np.newaxis].astype("float32"), file["y"].astype("int64")
    order = np.random.default_rng(seed).permutation(len(images))
    train, calibration, measured, _ = np.split(order, np.cumsum([TRAINED, CALIBRATION, MEASURED]))
    return images[train], labels[train], images[calibration], images[measured], labels[measured]


def lab(path: Path, seed: int) -> Case:
    """The lab's network, trained from a seed."""
    import keras
    from mnist_lab import classifier

    images, labels, *rest = split_digits(path, seed)
    keras.utils.set_random_seed(seed)
    model = classifier()
    model.compile(optimizer=keras.optimizers.Adam(2e-3), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(images, labels, batch_size=64, epochs=10, verbose=0)
    return Case("lab network", model, *rest)


def perceptron(path: Path, seed: int) -> Case:
    """784-300-100-10, trained from a seed."""
    import keras

    images, labels, *rest = split_digits(path, seed)
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Rescaling(1 / 255),
            layers.Flatten(),
            layers.Dense(300, "relu"),
            layers.Dense(100, "relu"),
            layers.Dense(10, "softmax"),
        ]
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(images, labels, batch_size=64, epochs=10, verbose=0)
    return Case("784-300-100-10", model, *rest)


def images(corpus: Path, name: str, seed: int) -> Case:
    """A network of MATLAB's with 2,000 images, half of which calibrate and half of which measure."""
    import matlab_bridge as mb

    network, file = IMAGES[name]
    data = mb.load(corpus / file)
    pictures = np.moveaxis(data["IM_data"], 2, 0)[..., np.newaxis].astype("float32")
    labels = data["IM_labels"].ravel().astype("int64") - 1  # MATLAB counts from 1
    calibration, measured = np.split(np.random.default_rng(seed).permutation(len(pictures)), [CALIBRATION])
    model = mb.load_network(corpus / network).to_keras()
    return Case(name, model, pictures[calibration], pictures[measured], labels[measured])


def walks(corpus: Path, seed: int) -> Case:
    """An LSTM that tells walks apart: windows of its training walks calibrate, those of its test walks measure."""
    import matlab_bridge as mb

    network = mb.load_network(corpus / WALKS / "Model.mat")
    names = list(network.class_names)
    training, _ = _windows(corpus, "TrainingData__Group4_*.mat", names)
    order = np.random.default_rng(seed).permutation(len(training))
    return Case(
        "walks, LSTM", network.to_keras(), training[order[:CALIBRATION]], *_windows(corpus, "TestData__*.mat", names)
    )


def _windows(corpus: Path, pattern: str, names: list[str]) -> tuple[Any, Any]:
    """Windows of 3.4 seconds at 50 Hz, half overlapping, and their classes, which the files' names end with."""
    import matlab_bridge as mb

    rate, length = 50, 170
    windows, labels = [], []
    for path in sorted((corpus / WALKS).glob(pattern)):
        walk = mb.load(path)
        moments = walk["time"].ravel()
        grid = np.arange(moments[0], moments[-1], 1 / rate)
        signal = np.stack([np.interp(grid, moments, channel) for channel in walk["data"]], axis=-1)
        starts = range(0, len(signal) - length + 1, length // 2)
        windows += [signal[start : start + length] for start in starts]
        labels += [names.index("Normal walk" if path.stem.endswith("_N") else "Silly walk")] * len(starts)
    return np.array(windows, "float32"), np.array(labels)


def curves(case: Case, ways: Sequence[str], budget: float | None = None) -> Iterator[tuple[str, float]]:
    """The sparsest level of each way; what was measured at each level is printed."""
    import keras_prunelab as kpl
    from keras_prunelab import NoTradeOffError

    case.model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    levels = LARGE if case.model.count_params() > 100_000 else LEVELS
    scores, modes = ([*dict.fromkeys(part)] for part in zip(*(WAYS[way] for way in ways), strict=True))
    begun, used = time.perf_counter(), time.process_time()
    # One sweep for all: obs is traced once, and statistics are collected once.
    swept = kpl.sweep(
        case.model,
        (case.inputs, case.labels),
        levels,
        [kpl.scores.OBS(budget=budget) if score == "obs" and budget is not None else score for score in scores],
        calibration=case.calibration,
        reconstruct=modes,
        progress=lambda at: print(f"<!-- {time.perf_counter() - begun:.0f} s: {at.what} -->", file=sys.stderr),
    )
    taken = f"{time.perf_counter() - begun:.0f} s, {time.process_time() - used:.0f} s of processors for all ways"
    for way in ways:
        score, mode = WAYS[way]
        training = {False: "none", "layers": "reconstruction", "sequential": "sequential reconstruction"}[mode]
        rows = swept.table[(swept.table["score"] == score) & (swept.table["training"] == training)]
        result = dataclasses.replace(swept, table=rows.reset_index(drop=True))
        try:
            found = float(result.choose(max_drop=0.01).sparsity_target)
        except NoTradeOffError:
            found = 0.0
        points = zip(result.table["sparsity_target"], result.table["accuracy"], strict=True)
        line = " ".join(f"{level:g}:{100 * accuracy:.1f}" for level, accuracy in points)
        print(f"<!-- {case.name}, {way}: dense {result.dense:.4f}, {found:.3f}; {taken}; {line} -->", flush=True)
        yield way, found


def level_table(
    make: Callable[[int], Case], seeds: Sequence[int], ways: Sequence[str], budget: float | None = None
) -> None:
    """Print a row of the table: the median over seeds."""
    found: dict[str, list[float]] = {way: [] for way in ways}
    name = ""
    for seed in seeds:
        case = make(seed)
        name = case.name
        for way, level in curves(case, ways, budget):
            found[way].append(level)
    cells = []
    for levels in found.values():
        spread = f" ({min(levels):.1%} to {max(levels):.1%})" if len(levels) > 1 else ""
        cells.append(f"{median(levels):.1%}{spread}")
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


def removed(make: Callable[[int], Case], seeds: Sequence[int]) -> None:
    """Print the errors with half of the filters and neurons removed, in percent: the mean over seeds."""
    import keras_prunelab as kpl

    found, name = [], ""
    for seed in seeds:
        case = make(seed)
        name = case.name

        def error(model: Any, case: Case = case) -> float:
            return 100 * float(np.mean(model.predict(case.inputs, verbose=0).argmax(axis=-1) != case.labels))

        plain = kpl.remove_filters(case.model, 0.5)
        folded = [
            kpl.remove_filters(case.model, 0.5, reconstruct=mode, calibration=case.calibration)
            for mode in ("layers", "sequential")
        ]
        found.append([error(each) for each in (case.model, plain, *folded)])
        print(f"<!-- {name}, seed {seed}: {found[-1]} -->", flush=True)
    cells = " | ".join(f"{value:.2f}" for value in np.mean(found, axis=0))
    print(f"| {name} | {cells} |", flush=True)


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("lab", "filters", "matlab"))
    parser.add_argument("--digits", type=Path, help="MNIST's training digits: an .npz of x and y")
    parser.add_argument("--corpus", type=Path, help="the folder of MATLAB files")
    parser.add_argument(
        "--network", action="append", help="of the folder: one of these alone; several times for several"
    )
    parser.add_argument("--seeds", type=int, default=5, help="how many networks or splits; by default 5")
    parser.add_argument("--way", action="append", choices=WAYS, help="one of these alone; several times for several")
    parser.add_argument("--budget", type=float, help="multiply-adds that obs may take for a trace")
    given = parser.parse_args()
    ways = given.way or list(WAYS)
    seeds = range(given.seeds)
    needed = "corpus" if given.part == "matlab" else "digits"
    if getattr(given, needed) is None:
        parser.error(f"{given.part} needs --{needed}")
    if given.part == "filters":
        print(
            "| network | dense error, % | half removed | reconstructed at once | in sequence |\n|---|---|---|---|---|"
        )
        for make in (perceptron, lab):
            removed(lambda seed, make=make: make(given.digits, seed), seeds)
        return
    print(f"| network | {' | '.join(ways)} |\n|{'---|' * (1 + len(ways))}", flush=True)
    if given.part == "lab":
        level_table(lambda seed: lab(given.digits, seed), seeds, ways, given.budget)
        return
    for name in given.network or (*IMAGES, "walks"):
        if name == "walks":
            level_table(lambda seed: walks(given.corpus, seed), seeds, ways, given.budget)
        else:
            level_table(lambda seed, name=name: images(given.corpus, name, seed), seeds, ways, given.budget)


if __name__ == "__main__":
    main()
