"""The methods, by the names that the tables use; each gets the same network, data, epochs and learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras

import keras_prunelab as kpl

from .networks import BATCH
from .rows import Outcome
from .trial import Clock, Learnables, Trial

UPDATES = 20
"""Steps between two changes of the masks."""
END_OF_PRUNING = 0.4
"""The share of training after which nothing more is pruned: what is left needs the rest of it."""

# While the network is trained, from its first weights on --------------------------------------------------------------

Callbacks = Callable[[Trial, float], list[Any]]
"""From a trial and a sparsity to the callbacks of `fit`."""


def gradual(score: str, learnables: Learnables = "weights") -> Callbacks:
    """More and more weights, along the polynomial of Zhu and Gupta 2017."""

    def callbacks(trial: Trial, sparsity: float) -> list[Any]:
        end = int(END_OF_PRUNING * trial.epochs * math.ceil(len(trial.data.train.labels) / BATCH))
        schedule = kpl.schedules.Polynomial(0.0, sparsity, end_step=end, frequency=UPDATES)
        return [kpl.callbacks.Prune(schedule, score, learnables=learnables)]

    return callbacks


def at_first(score: str) -> Callbacks:
    """All that goes before the first step, by a score on training data."""
    return lambda trial, sparsity: [kpl.callbacks.Prune(sparsity, score, data=trial.data.calibration)]


def rigl(trial: Trial, sparsity: float) -> list[Any]:
    """Sparse from the first step, weights growing where the gradient is large: Evci et al. 2020."""
    return [kpl.callbacks.RigL(sparsity, data=trial.data.train, batch_size=BATCH, seed=trial.seed)]


def sparse_evolution(trial: Trial, sparsity: float) -> list[Any]:
    """Sparse from the first step, weights growing at random: Mocanu et al. 2018."""
    return [kpl.callbacks.SET(sparsity, seed=trial.seed)]


GRADUAL = ("gradual OBD", "gradual magnitude")
BIASES_TOO = "gradual OBD, biases too"
TRAINED: dict[str, Callbacks] = {
    "gradual OBD": gradual("obd"),
    "gradual magnitude": gradual("magnitude"),
    "SNIP at first": at_first("snip"),
    "RigL": rigl,
    "SET": sparse_evolution,
    "gradual random": gradual("random"),
    "GraSP at first": at_first("grasp"),
    "SynFlow at first": at_first("synflow"),
    BIASES_TOO: gradual("obd", "all"),
}


def train(trial: Trial, method: str, levels: Sequence[float]) -> Iterator[Outcome]:
    """Prune while the network is trained."""
    learnables: Learnables = "all" if method == BIASES_TOO else "weights"
    for level in levels:
        model = trial.new()
        callbacks = TRAINED[method](trial, trial.sparsity(level, learnables))
        with Clock() as clock:
            trial.fit(model, callbacks)
        yield trial.measure(model, trial.epochs, clock.seconds, learnables)


# In rounds ------------------------------------------------------------------------------------------------------------

ROUNDS = 3
REWOUND = ("fine-tuned", "learning rate rewound", "weights rewound")


def rewind(trial: Trial, method: str, levels: Sequence[float]) -> Iterator[Outcome]:
    """Train, prune, train, prune, train: three equal parts of the epochs, going back after each pruning or not.

    The learning rate falls within the first part. `"fine-tuned"` goes on with the last one; rewinding goes through its
    schedule again, Renda et al. 2020; or the weights return to the end of the first epoch too, Frankle et al. 2020.
    """
    part = trial.epochs // ROUNDS
    for level in levels:
        model = trial.new(part)
        fraction = 1 - (1 - trial.sparsity(level)) ** (1 / (ROUNDS - 1))
        rounds = kpl.schedules.Iterative(fraction, rounds=ROUNDS - 1, frequency=f"{part}ep", begin_step=f"{part}ep")
        callbacks: list[Any] = [kpl.callbacks.Prune(rounds)]
        if method == "learning rate rewound":
            callbacks.append(kpl.callbacks.Rewind(what="learning_rate"))
        elif method == "weights rewound":
            callbacks.append(kpl.callbacks.Rewind("1ep"))
        with Clock() as clock:
            trial.fit(model, callbacks, ROUNDS * part)
        yield trial.measure(model, ROUNDS * part, clock.seconds)


# Of a trained network -------------------------------------------------------------------------------------------------

SCORES: dict[str, tuple[str, str]] = {
    "random": ("random", "global"),
    "magnitude": ("magnitude", "global"),
    "magnitude, per layer": ("magnitude", "layer"),
    "magnitude, ERK": ("magnitude", "erk"),
    "LAMP": ("lamp", "global"),
    "obs": ("obs", "global"),
    "Taylor": ("taylor", "global"),
    "SynFlow": ("synflow", "global"),
    "SNIP": ("snip", "global"),
    "GraSP": ("grasp", "global"),
    "Wanda": ("wanda", "layer"),
}
"""Score and scope by the name of the method."""

RECONSTRUCTED = " + reconstruction"


def from_dense(trial: Trial, method: str, levels: Sequence[float], study: str, tuning: int) -> Iterator[Outcome]:
    """Prune the dense network at once by a sweep, whose store keeps each level; then fine-tune, if asked."""
    name = method.removesuffix(RECONSTRUCTED)
    score, scope = SCORES[name]
    finetune = kpl.FineTune(tuple(trial.data.train), tuning, batch_size=BATCH) if tuning else None
    file = "-".join((study, trial.network.name, str(trial.seed), method)).replace(" ", "_")
    with Clock() as clock:
        result = kpl.sweep(
            trial.compiled(trial.dense, max(tuning, 1)),
            tuple(trial.data.test),
            [trial.sparsity(level) for level in levels],
            [score],
            [trial.seed],
            scope=scope,
            calibration=tuple(trial.data.calibration),
            reconstruct=method != name,
            finetune=finetune,
            store=trial.work / f"{file}.sqlite",
            progress=False,
        )
    for row in result.table.to_dict("records"):
        yield Outcome(
            parameters=trial.parameters,
            kept=trial.parameters - int(row["zeros"]),
            weights=int(row["total"]),
            zeros=int(row["zeros"]),
            macs_dense=trial.macs_dense,
            macs=round(trial.macs_dense / row["speedup"]),
            error_dense=trial.error_dense,
            error=1 - row["accuracy"],
            epochs=tuning,
            seconds=clock.seconds / len(levels),
            backend=keras.backend.backend(),
        )


def oneshot(trial: Trial, method: str, levels: Sequence[float]) -> Iterator[Outcome]:
    """Prune the dense network without any training."""
    return from_dense(trial, method, levels, "oneshot", tuning=0)


def finetune(trial: Trial, method: str, levels: Sequence[float]) -> Iterator[Outcome]:
    """Prune the dense network at once, and fine-tune it."""
    return from_dense(trial, method, levels, "finetune", trial.tuning)


# Whole filters --------------------------------------------------------------------------------------------------------

FILTERS = {"Li (l1)": "l1", "Taylor": "taylor", "group": "group"}
AFTERWARDS = ("", RECONSTRUCTED, " + fine-tuning", f"{RECONSTRUCTED} + fine-tuning")


def filters(trial: Trial, method: str, levels: Sequence[float]) -> Iterator[Outcome]:
    """Cut whole filters or neurons out of the dense network; a level is the share that goes of each layer."""
    score = next(name for name in FILTERS if method.startswith(name))
    for level in levels:
        epochs = trial.tuning if "fine-tuning" in method else 0
        with Clock() as clock:
            model = kpl.remove_filters(
                trial.dense,
                level,
                FILTERS[score],
                calibration=tuple(trial.data.calibration),
                reconstruct="reconstruction" in method,
            )
            if epochs:
                keras.utils.set_random_seed(trial.seed)
                trial.fit(trial.compiled(model, epochs), epochs=epochs)
        yield trial.measure(model, epochs, clock.seconds)
