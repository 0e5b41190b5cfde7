"""A small model to train, a callback that looks at it, and an interruption."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

import keras_prunelab as kpl

Array = NDArray[Any]
INPUTS, HIDDEN, OUTPUTS, COUNT, BATCH = 12, 16, 3, 48, 8
KERNELS = ("hidden", "out")
ON_TORCH = keras.config.backend() == "torch"  # Keras has no steps_per_execution there
STEPS = COUNT // BATCH  # of one epoch


def make_data() -> tuple[Array, Array]:
    rng = np.random.default_rng(5)
    labels = rng.normal(size=(COUNT, OUTPUTS + HIDDEN))
    return rng.normal(size=(COUNT, INPUTS)).astype(np.float32), labels.astype(np.float32)


def make_model(optimizer: Any = None, **compile_arguments: Any) -> keras.Model:
    """A network with the same weights on every backend.

    The hidden units are outputs too: no gradient is exactly zero, however few weights the last layer keeps.
    """
    hidden, out = keras.layers.Dense(HIDDEN, "tanh", name="hidden"), keras.layers.Dense(OUTPUTS, name="out")
    inputs = keras.Input((INPUTS,))
    features = keras.layers.BatchNormalization(name="norm")(hidden(inputs))
    model = keras.Model(inputs, keras.layers.Concatenate()([out(features), features]))
    rng = np.random.default_rng(11)
    hidden.set_weights([rng.normal(size=(INPUTS, HIDDEN)) / 3, rng.normal(size=HIDDEN) / 9])
    out.set_weights([rng.normal(size=(HIDDEN, OUTPUTS)) / 3, rng.normal(size=OUTPUTS) / 9])
    model.compile(optimizer or keras.optimizers.Adam(0.01), "mse", **compile_arguments)
    return model


def train(model: keras.Model, *callbacks: keras.callbacks.Callback, **arguments: Any) -> None:
    arguments = {"epochs": 4, "batch_size": BATCH, "shuffle": False, "verbose": 0} | arguments
    model.fit(*make_data(), callbacks=list(callbacks), **arguments)


def kernels(model: keras.Model) -> dict[str, Array]:
    """The kernels by layer name, copied."""
    found = {name: model.get_layer(name).kernel for name in KERNELS}
    return {name: np.array(keras.ops.convert_to_numpy(kernel)) for name, kernel in found.items()}


def slots(model: keras.Model) -> dict[str, list[Array]]:
    """Adam's moments of the kernels by layer name, copied."""
    found = {}
    for name in KERNELS:
        kernel = model.get_layer(name).kernel
        index = next(i for i, variable in enumerate(model.trainable_variables) if variable is kernel)
        moments = (model.optimizer._momentums[index], model.optimizer._velocities[index])
        found[name] = [np.array(keras.ops.convert_to_numpy(moment)) for moment in moments]
    return found


class Probe(keras.callbacks.Callback):
    """What the model looks like at the end of every batch, after the batches that were asked for."""

    def __init__(self, *, moments: bool = False, rate: bool = False) -> None:
        super().__init__()
        self.moments, self.rate = moments, rate
        self.kernels: list[dict[str, Array]] = []
        self.slots: list[dict[str, list[Array]]] = []
        self.rates: list[float] = []

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self.rate:
            self.rates.append(float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.kernels.append(kernels(self.model))
        if self.moments:
            self.slots.append(slots(self.model))

    def zeros(self, layer: str) -> list[int]:
        """How many weights of a layer were zero at the end of each batch."""
        return [int(np.count_nonzero(each[layer] == 0)) for each in self.kernels]


class Cut(keras.callbacks.Callback):
    """Interrupt training at the beginning of an epoch."""

    def __init__(self, epoch: int) -> None:
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == self.epoch:
            raise KeyboardInterrupt


def assert_same_weights(one: keras.Model, other: keras.Model) -> None:
    for found, expected in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(found == 0, expected == 0)


def assert_untouched(model: keras.Model, before: list[Array]) -> None:
    """Nothing of a callback is left in the train step, nor any change of the weights."""
    for found, expected in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert all(item.variable.constraint is None for item in kpl.prunable(model))
    assert not any(name in vars(model.optimizer) for name in ("save_own_variables", "_get_current_learning_rate"))
    assert all("mask" not in variable.path for variable in model.optimizer.variables)
