"""Methods that this library does not have, tried against gradual magnitude pruning with equal epochs.

One of them would be added if its mean error at 50 times compression were lower by more than the pooled standard
deviation, over three seeds, on at least two networks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import keras

import keras_prunelab as kpl

from .methods import gradual, train
from .networks import BATCH
from .rows import Outcome
from .thresholds import learn_thresholds
from .trial import Clock, Trial

REFERENCE = "gradual magnitude"
TAUGHT, ALTERNATING, THRESHOLDS = "gradual magnitude, taught by the dense network", "AC/DC", "STR, learned thresholds"
TEMPERATURE, SHARE = 4.0, 0.9
"""Of the dense network's answers: Hinton et al., Distilling the knowledge in a neural network, 2015."""


def tried(trial: Trial, method: str, levels: Sequence[float]) -> Iterator[Outcome]:
    """Train with a method, or with the one that it is compared with."""
    if method == REFERENCE:
        yield from train(trial, method, levels)
        return
    for level in levels:
        model, sparsity = trial.new(), trial.sparsity(level)
        with Clock() as clock:
            if method == TAUGHT:
                taught(trial, model, sparsity)
            elif method == THRESHOLDS:
                model = learn_thresholds(trial, sparsity)
            else:
                alternate(trial, model, sparsity)
        yield trial.measure(model, trial.epochs, clock.seconds)


def taught(trial: Trial, model: keras.Model, sparsity: float) -> None:
    """Prune along the same schedule; nine tenths of the loss are towards what the dense network answers."""
    teacher, plain = trial.dense, model.compute_loss

    def compute_loss(x: Any, y: Any, y_pred: Any, sample_weight: Any = None, training: bool = True) -> Any:
        answers = keras.ops.softmax(teacher(x, training=False) / TEMPERATURE)
        answered = keras.losses.categorical_crossentropy(answers, y_pred / TEMPERATURE, from_logits=True)
        right = plain(x, y, y_pred, sample_weight, training=training)
        return SHARE * TEMPERATURE**2 * keras.ops.mean(answered) + (1 - SHARE) * right

    model.compute_loss = compute_loss
    trial.fit(model, gradual("magnitude")(trial, sparsity))


def alternate(trial: Trial, model: keras.Model, sparsity: float) -> None:
    """Sparse and dense epochs by turns, between dense and sparse ones: Peste et al. 2021.

    A sixth of training is dense, then epochs take turns until three fifths of it are behind, the rest is sparse.
    """
    first, last = trial.epochs // 6, round(0.6 * trial.epochs)
    for epoch in range(trial.epochs):
        is_sparse = epoch >= last or (epoch >= first and (epoch - first) % 2 == 0)
        callbacks = [kpl.callbacks.Prune(sparsity)] if is_sparse else []
        model.fit(*trial.data.train, BATCH, epoch + 1, initial_epoch=epoch, verbose=0, callbacks=callbacks)
