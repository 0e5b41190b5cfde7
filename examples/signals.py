"""Modulated signals, made by arithmetic: BPSK, QPSK, 8-PSK and 16-QAM in noise.

Each observation is a piece of a received signal: random symbols, pulses shaped by a root-raised cosine, an unknown
phase, a small offset of the carrier and of the clock, and white noise. The signal's power is 1 before the noise is
added, so that the signal-to-noise ratio is what it says.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

CLASSES = ("BPSK", "QPSK", "8-PSK", "16-QAM")
LENGTH, PER_SYMBOL = 128, 8
RATIOS = np.arange(0, 21, 4)


class Signals(NamedTuple):
    """Observations.

    Attributes:
        inputs: in-phase and quadrature parts, `(N, 128, 2)` float32.
        labels: indices into `CLASSES`, `(N,)`.
        ratios: signal-to-noise ratios in dB, `(N,)`.
    """

    inputs: np.ndarray
    labels: np.ndarray
    ratios: np.ndarray


def make_signals(count: int, seed: int) -> Signals:
    """Make observations of random classes at random ratios of `RATIOS`."""
    rng = np.random.default_rng(seed)
    labels, ratios = rng.integers(len(CLASSES), size=count), rng.choice(RATIOS, size=count)
    pulse = root_raised_cosine(roll_off=0.35, symbols=8)
    points = [constellation(name) for name in CLASSES]
    signals = np.empty((count, LENGTH), np.complex128)
    time = np.arange(LENGTH)
    for index, label in enumerate(labels):
        symbols = rng.choice(points[label], LENGTH // PER_SYMBOL + 10)
        train = np.zeros(len(symbols) * PER_SYMBOL, np.complex128)
        train[::PER_SYMBOL] = symbols
        start = 5 * PER_SYMBOL + rng.integers(PER_SYMBOL)  # where the pulses at the edge are behind
        shaped = np.convolve(train, pulse, "same")[start : start + LENGTH]
        turn = 2 * np.pi * (rng.random() + rng.uniform(-1e-3, 1e-3) * time)
        signals[index] = shaped * np.exp(1j * turn)
    noise = rng.normal(size=(2, count, LENGTH)) / np.sqrt(2) * 10 ** (-ratios[:, None] / 20)
    received = signals + noise[0] + 1j * noise[1]
    received /= np.sqrt(np.mean(np.abs(received) ** 2, axis=1, keepdims=True))  # a receiver controls its gain
    return Signals(np.stack([received.real, received.imag], axis=-1).astype(np.float32), labels, ratios)


def constellation(name: str) -> np.ndarray:
    """The points of a modulation, of mean power 1."""
    if name == "16-QAM":
        levels = np.array([-3, -1, 1, 3])
        return (levels[:, None] + 1j * levels).ravel() / np.sqrt(10)
    count = {"BPSK": 2, "QPSK": 4, "8-PSK": 8}[name]
    return np.exp(2j * np.pi * np.arange(count) / count)


def root_raised_cosine(roll_off: float, symbols: int) -> np.ndarray:
    """A pulse of mean power 1 at one symbol each `PER_SYMBOL` samples.

    Source: Proakis and Salehi, Digital Communications, 5th ed., section 9.2.
    """
    time = np.arange(-symbols * PER_SYMBOL // 2, symbols * PER_SYMBOL // 2 + 1) / PER_SYMBOL + 1e-9  # never 0 / 0
    rises = np.sin(np.pi * time * (1 - roll_off))
    falls = 4 * roll_off * time * np.cos(np.pi * time * (1 + roll_off))
    pulse = (rises + falls) / (np.pi * time * (1 - (4 * roll_off * time) ** 2))
    return pulse / np.sqrt(np.sum(pulse**2) / PER_SYMBOL)
