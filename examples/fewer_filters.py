"""Remove filters, and solve or train what is left: a smaller and faster Keras model.

Zeros alone make no network faster on a desktop. Filters that are cut out do, on every machine, but they cost more
accuracy. Two ways bring it back: `reconstruct=True` solves the weights that are left, from 500 images without labels
and without training; fine-tuning trains them.
"""

from __future__ import annotations

import keras
import numpy as np
import pandas as pd
from gallery import output_folder
from mnist_lab import classifier, digits, train

import keras_prunelab as kpl


def main() -> None:
    """Train, remove, compare."""
    out = output_folder(__file__, __doc__)
    keras.utils.set_random_seed(0)
    images, labels, test_images, test_labels = digits()
    images, test_images = images.astype(np.float32), test_images.astype(np.float32)

    def accuracy(network: keras.Model) -> float:
        return float(np.mean(network.predict(test_images, 500, verbose=0).argmax(axis=1) == test_labels))

    def remove(fraction: float, **options: object) -> keras.Model:
        return kpl.remove_filters(model, fraction, **options)

    model = classifier()
    train(model, images, labels, epochs=6, verbose=0)
    solve = {"reconstruct": True, "calibration": images[:500]}
    networks = {
        "as it was": model,
        "half of the filters": remove(0.5),
        "... the rest solved anew": remove(0.5, **solve),
    }
    tuned = remove(0.5, **solve)
    train(tuned, images, labels, epochs=2, verbose=0)
    networks["... and trained for two epochs"] = tuned

    times = kpl.latency(list(networks.values()), batch=64)
    rows = [
        (name, network.count_params(), kpl.metrics(network).macs, 1000 * seconds, accuracy(network))
        for (name, network), seconds in zip(networks.items(), times, strict=True)
    ]
    columns = ["network", "parameters", "multiply-adds", "ms for 64", "accuracy"]
    print(pd.DataFrame(rows, columns=columns).set_index("network").to_string(float_format="{:.3f}".format))

    fractions = np.array([0.2, 0.4, 0.6, 0.8])
    curves = pd.DataFrame(
        {
            "removed": [accuracy(remove(fraction)) for fraction in fractions],
            "removed and solved": [accuracy(remove(fraction, **solve)) for fraction in fractions],
        },
        index=100 * fractions,
    )
    axes = curves.plot(figsize=(6, 3.2), marker="o", xlabel="filters removed, %", ylabel="accuracy", grid=True)
    axes.figure.tight_layout()
    axes.figure.savefig(out / "filters.png", dpi=150)


if __name__ == "__main__":
    main()
