"""LoRA is refused until it is merged, and merging changes no output."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_prunelab as kpl

L = keras.layers
X = np.random.default_rng(0).normal(size=(8, 6, 8)).astype("float32")


def with_lora() -> keras.Model:
    parts = [L.Conv1D(6, 3, padding="same"), L.EinsumDense("abc,cd->abd", (None, 5)), L.Dense(4)]
    model = keras.Sequential([keras.Input((6, 8)), *parts])
    for layer in parts:
        layer.enable_lora(2)
        layer.lora_kernel_b.assign(np.random.default_rng(1).normal(size=layer.lora_kernel_b.shape))
    model.compile("sgd", "mse")
    return model


def fit(model: keras.Model, callback: Any) -> None:
    model.fit(X, X[..., :4], batch_size=2, epochs=4, verbose=0, callbacks=[callback])


FUNCTIONS: dict[str, Any] = {
    "prune": lambda model, _: kpl.prune(model, 0.5),
    "sparsity": lambda model, _: kpl.sparsity(model),
    "compact": lambda model, _: kpl.compact(model),
    "sweep": lambda model, _: kpl.sweep(model, (X, X[..., :4]), [0.5]),
    "save_sparse": lambda model, folder: kpl.save_sparse(model, folder / "net.keras"),
    "Prune": lambda model, _: fit(model, kpl.callbacks.Prune(0.5)),
    "SET": lambda model, _: fit(model, kpl.callbacks.SET(0.5, frequency=1)),
    "RigL": lambda model, _: fit(model, kpl.callbacks.RigL(0.5, (X, X[..., :4]), frequency=1)),
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS.keys())
def test_refused_until_merged(function: Any, tmp_path: Path) -> None:
    model = with_lora()
    with pytest.raises(kpl.InvalidModelError, match="merge_lora"):
        function(model, tmp_path)
    before = model.predict(X, verbose=0)
    kpl.layers.merge_lora(model)
    np.testing.assert_allclose(model.predict(X, verbose=0), before, rtol=1e-4, atol=1e-5)
    model.compile("sgd", "mse")
    function(model, tmp_path)


def test_a_merged_model_is_plain(tmp_path: Path) -> None:
    model = with_lora()
    kpl.layers.merge_lora(model)
    assert len(model.trainable_weights) == len(model.weights) == 5
    model.save(tmp_path / "net.keras")
    again = keras.models.load_model(tmp_path / "net.keras")
    np.testing.assert_allclose(again.predict(X, verbose=0), model.predict(X, verbose=0), rtol=1e-5, atol=1e-5)
    assert not any(layer.lora_enabled for layer in again.layers)
