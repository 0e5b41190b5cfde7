"""The networks, as the papers have them, and how all of them are trained."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import keras
from keras import layers

BATCH = 128


@dataclass(frozen=True)
class Network:
    """A network and its training.

    Attributes:
        name: as the papers call it.
        data: `"digits"` or `"signals"`.
        shape: that of one observation.
        build: makes it, with new weights and logits as outputs.
        rate: Adam's learning rate at the beginning; it falls along half a cosine.
        shift: how many pixels each image moves at most, anew in every epoch; 0 for images as they are.
    """

    name: str
    data: str
    shape: tuple[int, ...]
    build: Callable[[], keras.Model]
    rate: float = 2e-3
    shift: int = 0

    @property
    def recipe(self) -> str:
        """How it is trained, in words."""
        moved = f", images moved by up to {self.shift} pixel{'s' * (self.shift > 1)}" if self.shift else ""
        return f"Adam from {self.rate:g}, batches of {BATCH}{moved}"


def compile_for(model: keras.Model, network: Network, rows: int, epochs: int) -> keras.Model:
    """Compile a model to be trained for some epochs: Adam, and a learning rate that falls to a hundredth."""
    steps = math.ceil(rows / BATCH) * epochs
    rate = keras.optimizers.schedules.CosineDecay(network.rate, steps, alpha=0.01)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # TensorFlow's own kernels are faster than XLA's for convolutions on a processor, XLA's are faster for the rest.
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"], jit_compile=keras.backend.backend() == "jax")
    return model


def lenet_300_100() -> keras.Model:
    """Two hidden layers; 266,610 parameters. LeCun et al. 1998."""
    hidden = [layers.Dense(units, "relu", name=name) for units, name in ((300, "fc1"), (100, "fc2"))]
    return keras.Sequential([keras.Input((784,)), *hidden, layers.Dense(10, name="fc3")], name="LeNet-300-100")


def lenet_5() -> keras.Model:
    """The variant of Caffe; 431,080 parameters: its convolutions have no activation."""
    body = [
        layers.Conv2D(20, 5, name="conv1"),
        layers.MaxPooling2D(2),
        layers.Conv2D(50, 5, name="conv2"),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dense(500, "relu", name="fc1"),
    ]
    return keras.Sequential([keras.Input((28, 28, 1)), *body, layers.Dense(10, name="fc2")], name="LeNet-5")


def lstm_128() -> keras.Model:
    """An image as a sequence of its 28 rows; Lee et al. 2019."""
    return keras.Sequential([keras.Input((28, 28)), layers.LSTM(128, name="lstm"), layers.Dense(10, name="fc")])


def signal_cnn() -> keras.Model:
    """Three convolutions along time, as in `examples/modulation.py`."""
    blocks = [
        layer
        for index, filters in enumerate((16, 32, 48), start=1)
        for layer in (
            layers.Conv1D(filters, 7, padding="same", use_bias=False, name=f"conv{index}"),
            layers.BatchNormalization(name=f"norm{index}"),
            layers.ReLU(),
            layers.MaxPooling1D(2),
        )
    ]
    head = [layers.GlobalAveragePooling1D(), layers.Dense(4, name="fc")]
    return keras.Sequential([keras.Input((128, 2)), *blocks, *head], name="signal-CNN")


NETWORKS = {
    network.name: network
    for network in (
        Network("LeNet-300-100", "digits", (784,), lenet_300_100, rate=4e-3),
        Network("LeNet-5", "digits", (28, 28, 1), lenet_5, rate=3e-3),
        Network("LeNet-300-100-shifted", "digits", (784,), lenet_300_100, rate=4e-3, shift=1),
        Network("LeNet-5-shifted", "digits", (28, 28, 1), lenet_5, rate=3e-3, shift=1),
        Network("LSTM-128", "digits", (28, 28), lstm_128, rate=8e-3),
        Network("signal-CNN", "signals", (128, 2), signal_cnn),
    )
}
