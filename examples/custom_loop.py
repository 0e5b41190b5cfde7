"""Masks in a training loop of your own.

A loop calls a callback at the moments at which `fit` does. Here it is knowledge distillation: a small network learns
the answers of a larger one, while `Prune` takes 90 % of its weights.
"""

from __future__ import annotations

import keras
import matplotlib.pyplot as plt
import numpy as np
from gallery import output_folder
from mnist_lab import classifier, digits, train

import keras_prunelab as kpl

EPOCHS, BATCH = 6, 64


def student() -> keras.Model:
    """A network of two layers."""
    hidden = keras.layers.Dense(64, "relu", name="hidden")
    return keras.Sequential(
        [
            *(keras.Input((28, 28, 1)), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()),
            *(hidden, keras.layers.Dense(10, "softmax", name="out")),
        ]
    )


def main() -> None:
    """Train a teacher by `fit`, and its student by a loop."""
    out = output_folder(__file__, __doc__)
    keras.utils.set_random_seed(0)
    images, labels, test_images, test_labels = digits()
    images, test_images = images.astype(np.float32), test_images.astype(np.float32)
    teacher = classifier()
    train(teacher, images, labels, epochs=4, verbose=0)
    answers = teacher.predict(images, 500, verbose=0)

    model = student()
    model.compile("adam", "kl_divergence")
    steps = len(images) // BATCH
    prune = kpl.callbacks.Prune(kpl.schedules.Polynomial(0.2, 0.9, end_step=(EPOCHS - 2) * steps, frequency=20))
    prune.set_model(model)
    prune.on_train_begin()
    curve = []
    for epoch in range(EPOCHS):
        prune.on_epoch_begin(epoch)
        for step, batch in enumerate(
            np.random.default_rng(epoch).permutation(len(images))[: steps * BATCH].reshape(steps, BATCH)
        ):
            prune.on_train_batch_begin(step)
            model.train_on_batch(images[batch], answers[batch])
            prune.on_train_batch_end(step)
        prune.on_epoch_end(epoch)
        right = np.mean(model.predict(test_images, 500, verbose=0).argmax(axis=1) == test_labels)
        curve.append((kpl.sparsity(model), right))
        print(f"epoch {epoch + 1}: sparsity {curve[-1][0]:.1%}, accuracy {right:.1%}")
    prune.on_train_end()

    figure, axes = plt.subplots(figsize=(6, 3))
    axes.plot(range(1, EPOCHS + 1), np.multiply(curve, 100), marker="o", label=("sparsity", "accuracy"))
    axes.set(xlabel="epoch", ylabel="%")
    axes.grid(visible=True)
    axes.legend()
    figure.tight_layout()
    figure.savefig(out / "epochs.png", dpi=150)


if __name__ == "__main__":
    main()
