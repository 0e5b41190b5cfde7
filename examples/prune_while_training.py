"""Prune in `fit`, and put the network into a LiteRT file: size and accuracy at each step.

A small CNN learns 4,000 real digits. Then it is trained on while a schedule prunes it to 90 %, and written as LiteRT
files of float32 numbers and of whole ones. Each file is measured by itself, on 1,000 digits that no training saw.
"""

from __future__ import annotations

import keras
import numpy as np
import pandas as pd
from gallery import output_folder
from mnist_lab import classifier, digits, train

import keras_prunelab as kpl

EPOCHS = 6


def main() -> None:
    """Train, prune, export, measure."""
    out = output_folder(__file__, __doc__)
    keras.utils.set_random_seed(0)
    images, labels, *test = digits()
    images = images.astype(np.float32)
    rows = []

    def export(name: str, quantize: str | None, *, sparse: bool | None = None) -> None:
        written = kpl.export_litert(model, out / f"{name}.tflite", quantize, calibration=images[:200], sparse=sparse)
        found = kpl.evaluate_file(written.path, (test[0].astype(np.float32), test[1]), model=model)
        rows.append((name, written.bytes, found.metrics["accuracy"]))

    model = classifier()
    train(model, images, labels, EPOCHS, verbose=0)
    export("dense", None)
    export("dense-int8", "int8")

    steps = EPOCHS * len(images) // 64
    schedule = kpl.schedules.Polynomial(0.3, 0.9, end_step=steps // 2, frequency=20)
    train(model, images, labels, EPOCHS, verbose=0, callbacks=[kpl.callbacks.Prune(schedule)])
    print(f"Sparsity after training: {kpl.sparsity(model):.1%}\n")
    export("pruned", None)
    export("pruned-int8", "int8", sparse=True)

    table = pd.DataFrame(rows, columns=["file", "bytes", "accuracy"]).set_index("file")
    print(table.to_string(formatters={"accuracy": "{:.1%}".format, "bytes": "{:,}".format}))
    axes = table["bytes"].div(1000).plot.barh(figsize=(6, 2.6), color="#3b6ea5", xlabel="size in kB", ylabel="")
    axes.bar_label(axes.containers[0], [f"{value:.1%}" for value in table["accuracy"]], padding=3)
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.figure.tight_layout()
    axes.figure.savefig(out / "files.png", dpi=150)


if __name__ == "__main__":
    main()
