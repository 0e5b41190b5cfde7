"""Pruning in `fit` against plain `fit`, and against TensorFlow's toolkit, side by side in one run.

Two networks on MNIST-sized data: (a) 784-300-100-10, (b) a small CNN. For each, epochs of

- plain `fit`;
- `fit` with `keras_prunelab.callbacks.Prune`, masks updated every 1, 10 and 100 steps;
- TFMOT 0.8.1 on tf-keras with the same schedules, in a virtual environment of its own that this script makes.

Then repeated fits: epochs of 94 steps of network (a), each a call of `fit` of its own with a new callback, against as
many plain calls; and how often the train step was traced after the first call.

    python benchmarks/training.py [--epochs 9] [--no-tfmot] [--json FILE]

`KERAS_BACKEND=jax` measures JAX; only the repeated fits have goals there.

The ways take turns, and each of them starts with an epoch that is not counted, for tracing. Only the ratios to plain
`fit` mean anything: the seconds are those of a machine and an hour, so that each epoch is compared with the one of
plain `fit` in the same turn, and the median is shown. TFMOT is compared with plain `fit` of tf-keras.
"""

from __future__ import annotations

import argparse
import gc
import json
import operator
import os
import statistics
import subprocess
import sys
import time
import venv
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

FREQUENCIES = (1, 10, 100)
GOALS = {1: 2.0, 10: 1.15, 100: 1.05}
BATCH = 64
ROWS = {"784-300-100-10": 60_000, "CNN": 12_000}
REPEATED_GOALS = {"tensorflow": {100: 1.1, 10: 1.2, 1: 2.0}, "jax": {100: 1.3, 10: 1.6, 1: 5.0}}
REPEATED_ROWS = 94 * 64
COUNTED = 1  # epochs of one turn, after the first
PEER = ("tensorflow==2.19.1", "tf-keras==2.19.0", "tensorflow-model-optimization==0.8.1")
PEER_HOME = Path(__file__).resolve().parent / ".venv-tfmot"


def network(keras: Any, name: str) -> Any:
    """One of the two networks, in Keras 3 or tf-keras."""
    layers = keras.layers
    if name == "CNN":
        convolutions = [
            part
            for filters in (8, 16, 32)
            for part in (layers.Conv2D(filters, 3, padding="same", activation="relu"), layers.MaxPooling2D())
        ]
        parts = [layers.InputLayer((28, 28, 1)), *convolutions, layers.Flatten(), layers.Dense(10)]
    else:
        hidden = [layers.Dense(units, activation="relu") for units in (300, 100)]
        parts = [layers.InputLayer((784,)), *hidden, layers.Dense(10)]
    return keras.Sequential(parts)


def digits(name: str) -> tuple[np.ndarray, np.ndarray]:
    """As many random images of the size of MNIST's as an epoch has; what is on them costs no time."""
    random = np.random.default_rng(0)
    shape = (28, 28, 1) if name == "CNN" else (784,)
    return random.random((ROWS[name], *shape), np.float32), random.integers(0, 10, ROWS[name])


class Clock:
    """Takes the time of epochs."""

    def __init__(self, keras: Any) -> None:
        self.seconds: list[float] = []
        self.callback = keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda _epoch, _logs: self._start(), on_epoch_end=lambda _epoch, _logs: self._stop()
        )

    def _start(self) -> None:
        self._begun = time.perf_counter()

    def _stop(self) -> None:
        self.seconds.append(time.perf_counter() - self._begun)


Way = Callable[[Any], tuple[Any, list[Any]]]
Figures = dict[str, dict[str, list[float]]]
"""The seconds of the epochs, by network and way."""


def measure(keras: Any, name: str, ways: dict[str, Way], epochs: int) -> dict[str, list[float]]:
    """Train each way in turns; gives the seconds of each epoch."""
    x, y = digits(name)
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    trained = {}
    for way, make in ways.items():
        keras.utils.set_random_seed(0)
        model, callbacks = make(network(keras, name))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss, metrics=["accuracy"])
        trained[way] = (model, callbacks)
    for _ in range(-(-epochs // COUNTED)):
        for way, (model, callbacks) in trained.items():
            clock = Clock(keras)
            model.fit(x, y, BATCH, epochs=1 + COUNTED, verbose=0, callbacks=[*callbacks, clock.callback])
            seconds[way] += clock.seconds[1:]
    return seconds


def ratio(seconds: dict[str, list[float]], way: str) -> float:
    """The median over the turns of the time to that of plain `fit` in the same turn."""
    return statistics.median(map(operator.truediv, seconds[way], seconds["plain"]))


def steps(name: str, epochs: int) -> int:
    """Optimizer steps of the whole measurement: masks change until its end."""
    return -(-ROWS[name] // BATCH) * (1 + COUNTED) * -(-epochs // COUNTED)


def ours(epochs: int) -> Figures:
    """Plain `fit` of Keras 3, and `Prune` in it."""
    import keras

    import keras_prunelab as kpl

    def pruned(frequency: int, end: int) -> Way:
        schedule = kpl.schedules.Polynomial(0.0, 0.95, end_step=end, frequency=frequency)
        return lambda model: (model, [kpl.callbacks.Prune(schedule)])

    figures = {}
    for name in ROWS:
        end = steps(name, epochs)
        ways: dict[str, Way] = {"plain": lambda model: (model, [])}
        ways |= {str(frequency): pruned(frequency, end) for frequency in FREQUENCIES}
        figures[name] = measure(keras, name, ways, epochs)
    return figures


def tfmot(epochs: int) -> Figures:
    """Plain `fit` of tf-keras, and TFMOT in it; runs in the peer's environment."""
    import tensorflow_model_optimization as toolkit
    import tf_keras as keras

    sparsity = toolkit.sparsity.keras

    def pruned(frequency: int, end: int) -> Way:
        def make(model: Any) -> tuple[Any, list[Any]]:
            schedule = sparsity.PolynomialDecay(0.0, 0.95, 0, end, frequency=frequency)
            return sparsity.prune_low_magnitude(model, schedule), [sparsity.UpdatePruningStep()]

        return make

    figures = {}
    for name in ROWS:
        end = steps(name, epochs)
        ways: dict[str, Way] = {"plain": lambda model: (model, [])}
        ways |= {str(frequency): pruned(frequency, end) for frequency in FREQUENCIES}
        figures[name] = measure(keras, name, ways, epochs)
    return figures


def in_peers_environment(epochs: int) -> Figures:
    """Make the peer's environment where it is missing, and measure TFMOT there."""
    python = PEER_HOME / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not (PEER_HOME / "installed").is_file():
        venv.create(PEER_HOME, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PEER], check=True)  # noqa: S603  # names from above
        (PEER_HOME / "installed").touch()
    command = [python, __file__, "--epochs", str(epochs), "--as-peer"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8")  # noqa: S603  # this file
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def mask_bytes() -> float:
    """Bytes of memory that the masks take at rest, a weight."""
    import keras

    import keras_prunelab as kpl

    model = network(keras, "784-300-100-10")
    model.compile("adam", "mse")
    taken: list[float] = []

    class Look(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            live = (each for each in gc.get_objects() if isinstance(each, keras.Variable) and each.dtype == "bool")
            size = sum(np.asarray(keras.ops.convert_to_numpy(mask)).nbytes for mask in live)
            taken.append(size / kpl.prunable(self.model).total)

    gc.collect()
    callbacks = [kpl.callbacks.Prune(0.5), Look()]
    model.fit(np.ones((4, 784), np.float32), np.ones((4, 10), np.float32), verbose=0, callbacks=callbacks)
    return taken[-1]


def repeated(calls: int) -> tuple[dict[str, list[float]], dict[str, int]]:
    """Call `fit` again and again, for one epoch each; gives the seconds by way, and the traces after the first call."""
    import keras

    import keras_prunelab as kpl

    traces = dict.fromkeys(("plain", *map(str, FREQUENCIES)), 0)
    seconds: dict[str, list[float]] = {way: [] for way in traces}
    x, y = digits("784-300-100-10")
    x, y = x[:REPEATED_ROWS], y[:REPEATED_ROWS]

    class Counting(keras.Model):  # type: ignore[misc]
        def __init__(self, way: str) -> None:
            super().__init__()
            self.net, self.way, self.is_known = network(keras, "784-300-100-10"), way, False
            self.built = True

        def call(self, inputs: Any) -> Any:
            return self.net(inputs)

        def train_step(self, *arguments: Any) -> Any:
            traces[self.way] += self.is_known
            return super().train_step(*arguments)

    models = {way: Counting(way) for way in traces}
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    for model in models.values():
        model.compile("adam", loss)
    for turn in range(1 + calls):
        for way, model in models.items():
            end = 94 * (1 + calls)
            schedule = None if way == "plain" else kpl.schedules.Polynomial(0.0, 0.95, end_step=end, frequency=int(way))
            callbacks = [] if schedule is None else [kpl.callbacks.Prune(schedule)]
            begun = time.perf_counter()
            model.fit(x, y, BATCH, verbose=0, callbacks=callbacks)
            if turn:
                seconds[way].append(time.perf_counter() - begun)
            model.is_known = True
    return seconds, traces


def print_repeated(calls: int) -> bool:
    """Measure repeated fits, print their ratios, and say whether the goals are reached."""
    import keras

    backend = keras.config.backend()
    seconds, traces = repeated(calls)
    reached = backend == "torch" or not any(traces.values())  # torch does not trace
    print(f"repeated fits on {backend}, {calls} calls of 94 steps each")
    for frequency in reversed(FREQUENCIES):
        found = ratio(seconds, str(frequency))
        goal = REPEATED_GOALS.get(backend, {}).get(frequency)
        reached &= goal is None or found <= goal
        print(f"  every {frequency:3} steps  {found:.3f}  " + (f"goal <= {goal:.2f}" if goal else "no goal"))
    print("  traces after the first call:", "none, ever" if backend == "torch" else traces)
    return reached


def table(figures: dict[str, Figures]) -> tuple[list[Sequence[str]], bool]:
    """The ratios as rows, and whether ours reach their goals."""
    rows: list[Sequence[str]] = [("network", "masks updated every", "fit + Prune / fit", "goal", "TFMOT / fit")]
    reached = True
    for name, mine in figures["keras_prunelab"].items():
        peer = figures.get("tfmot", {}).get(name)
        for frequency in FREQUENCIES:
            found = ratio(mine, str(frequency))
            reached &= found <= GOALS[frequency]
            theirs = f"{ratio(peer, str(frequency)):.2f}" if peer else "not run"
            unit = "step" if frequency == 1 else f"{frequency} steps"
            rows.append((name, unit, f"{found:.3f}", f"<= {GOALS[frequency]:.2f}", theirs))
    return rows, reached


def main() -> None:
    """Measure, print the table, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=9, help="epochs to count for each way")
    parser.add_argument("--rows", type=int, help="images of an epoch, for a quick look")
    parser.add_argument("--no-tfmot", action="store_true", help="leave the peer out, and its environment")
    parser.add_argument("--calls", type=int, default=9, help="calls of fit to count for each way of the repeated fits")
    parser.add_argument("--only-repeated", action="store_true", help="leave out all but the repeated fits")
    parser.add_argument("--json", type=Path, help="write all seconds to this file")
    parser.add_argument("--as-peer", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.rows:
        ROWS.update(dict.fromkeys(ROWS, asked.rows))
    if asked.as_peer:
        print(json.dumps(tfmot(asked.epochs)))
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Training ends at step")  # before the schedule of all calls does
        print("all goals reached" if print_repeated(asked.calls) else "NOT all goals reached")
    if asked.only_repeated:
        return
    figures = {"keras_prunelab": ours(asked.epochs)}
    if not asked.no_tfmot:
        figures["tfmot"] = in_peers_environment(asked.epochs)
    rows, reached = table(figures)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))
    size = mask_bytes()
    print(f"memory of the masks: {size:.2f} bytes a weight (goal: at most 1)")
    print("all goals reached" if reached and size <= 1 else "NOT all goals reached")
    if asked.json:
        asked.json.write_text(json.dumps({**figures, "bytes a weight": size}, indent=2), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
