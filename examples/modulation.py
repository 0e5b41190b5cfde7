"""Tell modulations apart, and see what pruning costs at which signal-to-noise ratio.

BPSK, QPSK, 8-PSK and 16-QAM are made by arithmetic (`signals.py`). A one-dimensional CNN and an LSTM learn them. Both
are pruned in one shot, by magnitude and by `obs`, and the weights that are left are solved anew. The lower row shows
at which ratios the accuracy goes.
"""

from __future__ import annotations

import keras
import matplotlib.pyplot as plt
import numpy as np
from gallery import output_folder
from keras import layers
from signals import CLASSES, LENGTH, make_signals

import keras_prunelab as kpl

LEVELS = np.arange(0.1, 0.96, 0.05)


def cnn() -> keras.Model:
    """Three convolutions, and the mean over time."""
    blocks = [
        layer
        for index, filters in enumerate((16, 32, 48), start=1)
        for layer in (
            layers.Conv1D(filters, 7, padding="same", use_bias=False, name=f"conv{index}"),
            layers.BatchNormalization(name=f"norm{index}"),
            layers.ReLU(name=f"relu{index}"),
            layers.MaxPooling1D(2, name=f"pool{index}"),
        )
    ]
    head = [layers.GlobalAveragePooling1D(), layers.Dense(len(CLASSES), "softmax", name="fc")]
    return keras.Sequential([keras.Input((LENGTH, 2)), *blocks, *head], name="CNN")


def lstm() -> keras.Model:
    """A convolution that halves the rate twice, and a memory."""
    return keras.Sequential(
        [
            keras.Input((LENGTH, 2)),
            layers.Conv1D(32, 8, strides=4, activation="relu", name="conv"),
            layers.LSTM(48, name="lstm"),
            layers.Dense(len(CLASSES), "softmax", name="fc"),
        ],
        name="LSTM",
    )


def main() -> None:
    """Make signals, train, sweep, choose, and look at the ratios."""
    out = output_folder(__file__, __doc__)
    keras.utils.set_random_seed(0)
    train, check = make_signals(20_000, seed=1), make_signals(4_000, seed=2)
    figure, panels = plt.subplots(2, 2, figsize=(9, 6))
    for (above, below), model, epochs in zip(panels.T, (cnn(), lstm()), (6, 10), strict=True):
        model.compile(keras.optimizers.Adam(2e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
        model.fit(train.inputs, train.labels, 128, epochs, verbose=0)
        result = kpl.sweep(
            model,
            (check.inputs, check.labels),
            LEVELS,
            ["magnitude", "obs"],
            calibration=train.inputs[:1000],
            reconstruct=True,
            groups={"SNR in dB": check.ratios},
            progress=False,
        )
        print(f"{model.name}: {result.dense:.1%} before pruning")
        for number, score in enumerate(result.scores):
            choice = result.choose(max_drop=0.01, score=score)
            print(f"  {choice.curve} keeps within one point up to {choice.sparsity:.0%}")
            at = result.choose(sparsity=0.8, score=score)
            by_ratio = result.groups(at)
            if not number:
                below.plot(by_ratio["value"], by_ratio["dense"], "k--", label="before pruning")
            below.plot(by_ratio["value"], by_ratio["accuracy"], marker="o", label=f"{at.curve}, 80 %")
        kpl.report(result, result.choose(max_drop=0.01), out / f"{model.name.lower()}.html", title=model.name)
        result.plot(above)
        above.set_title(model.name)
        below.set(xlabel="signal-to-noise ratio in dB", ylabel="accuracy")
        below.grid(visible=True)
        below.legend()
    figure.tight_layout()
    figure.savefig(out / "modulation.png", dpi=150)


if __name__ == "__main__":
    main()
