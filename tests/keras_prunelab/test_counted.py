"""Sparsity of quantized models, frozen variables in fit, and what errors of copies say."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import keras_prunelab as kpl

L = keras.layers
X = np.random.default_rng(0).normal(size=(8, 256)).astype("float32")
NO_INPUT = "ignore:Layer InputLayer does not have a `quantize` method:UserWarning"  # Keras says so of every model


def dense() -> keras.Model:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((256,)), L.Dense(6, name="one"), L.EinsumDense("ab,bc->ac", 5), L.Dense(2)])
    model.compile("sgd", "mse")
    return model


@pytest.mark.filterwarnings(NO_INPUT)
@pytest.mark.parametrize("mode", ["int8", "int4", "float8"])
def test_quantized_models_are_counted(mode: str) -> None:
    model = dense()
    kernel = model.get_layer("one").kernel
    # Large numbers, which no quantization rounds to zero, in half of the places.
    kernel.assign(np.where(np.arange(kernel.shape[0])[:, None] % 2, 0.9, 0.0) * np.ones(kernel.shape))
    model.quantize(mode)
    assert kpl.sparsity(model, include="one") == 0.5
    logs: dict[str, Any] = {}
    summary = kpl.callbacks.PruningSummary(include="one", verbose=0)
    summary.set_model(model)
    summary.on_epoch_end(0, logs)
    assert logs == {"sparsity": 0.5, "sparsity/one": 0.5}


@pytest.mark.filterwarnings(NO_INPUT)
@pytest.mark.parametrize("mode", ["int8", "int4"])
def test_quantized_models_are_not_pruned_and_the_reason_is_said(mode: str) -> None:
    model = dense()
    model.quantize(mode)
    with pytest.raises(kpl.NothingToPruneError, match="kernel: its values are int8; prune before quantizing"):
        kpl.prune(model, 0.5)


@pytest.mark.parametrize(
    ("include", "expected"),
    [(None, ["two"]), ("one", ["one"]), ("o*", ["one"]), (["one", "two"], ["one", "two"]), (L.Dense, ["two"])],
)
def test_fit_leaves_frozen_weights_alone(include: Any, expected: list[str]) -> None:
    model = keras.Sequential([keras.Input((256,)), L.Dense(6, name="one"), L.Dense(2, name="two")])
    model.get_layer("one").trainable = False
    model.compile("sgd", "mse")
    model.fit(X, X[:, :2], verbose=0, callbacks=[kpl.callbacks.Prune(0.5, include=include)])
    zeros = {layer.name: kpl.sparsity(model, include=layer) for layer in model.layers}
    assert [name for name, share in zeros.items() if share] == expected


def test_a_model_that_is_all_frozen_is_refused() -> None:
    model = dense()
    model.trainable = False
    model.compile("sgd", "mse")
    with pytest.raises(kpl.NothingToPruneError, match="trainable = True"):
        model.fit(X, X[:, :2], verbose=0, callbacks=[kpl.callbacks.Prune(0.5)])


class NoConfig(L.Layer):
    def __init__(self, other: Any, **options: Any) -> None:
        super().__init__(**options)
        self.other = other

    def call(self, x: Any) -> Any:
        return x


class Incomplete(NoConfig):
    def get_config(self) -> dict[str, Any]:
        return super(NoConfig, self).get_config()


@pytest.mark.parametrize(
    ("kind", "why"), [(NoConfig, "non-serializable argument|get_config"), (Incomplete, "missing 1 required.*'other'")]
)
def test_copy_errors_name_the_layer_and_the_reason(kind: Any, why: str) -> None:
    hidden = L.Dense(3, name="hidden")
    model = keras.Sequential([keras.Input((4,)), hidden, kind(hidden, name="odd"), L.Dense(2)])
    for act in (lambda: kpl.prune(model, 0.5), lambda: kpl.compact(model)):
        with pytest.raises(kpl.InvalidModelError, match=f"'odd' of class {kind.__name__}: .*({why})"):
            act()
