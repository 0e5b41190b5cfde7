"""What holds for every layer that can be pruned, whatever its class: the contract, in one function.

Each backend and each layer goes through the same steps: found, pruned by `Prune` with exact sparsity after every
batch, wrapped, trained with `UpdateMasks`, saved, loaded, and stripped to equal outputs.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

import keras_prunelab as kpl
from keras_prunelab._model._prunable import reason_to_skip
from keras_prunelab.layers._pruned import inside

_BATCH, _BATCHES, _EPOCHS = 4, 3, 2


@dataclass(frozen=True)
class Case:
    """A layer to run through the harness.

    Attributes:
        make: makes the layer.
        shapes: the shape of each input, without the batch.
        channels: how many output channels each kernel has, by its name inside the layer: what the layer's arguments
            say, not its weights.
        integers: the inputs are whole numbers below this; None for floating-point inputs.
        variables: what to wrap where the layer has no kernel.
        arguments: further arguments of the call.
    """

    make: Callable[[], keras.layers.Layer]
    shapes: Sequence[tuple[int, ...]]
    channels: Mapping[str, int]
    integers: int | None = None
    variables: str | None = None
    arguments: Mapping[str, Any] | None = None


def assert_prunable(case: Case) -> None:
    """Run a layer through everything that pruning promises."""
    keras.utils.set_random_seed(3)
    model = built(case, case.make())
    layer = model.layers[-1]
    kernels = {
        name: item
        for name, item in inside(layer).items()
        if (reason_to_skip(item, "weights") is None if case.variables is None else name == case.variables)
    }
    assert {name: channels(item) for name, item in kernels.items()} == dict(case.channels)
    for item in kernels.values():
        assert len(item.axes) == len(item.shape)
        assert "input" in item.axes or item.axes.count("output") == 2, "a depthwise kernel, or inputs"
    if case.variables is None:
        pruned_while_training(model)
    else:
        assert layer.name in {item.within[0] for item in kpl.prunable(model, learnables="all")}
    wrapped_and_stripped(case)


def built(case: Case, layer: keras.layers.Layer) -> keras.Model:
    """A compiled model of one layer."""
    inputs = [keras.Input(shape, dtype="int32" if case.integers else None) for shape in case.shapes]
    model = keras.Model(inputs if len(inputs) > 1 else inputs[0], layer(*inputs, **(case.arguments or {})))
    model.compile(keras.optimizers.Adam(0.01), ["mse"] * len(keras.tree.flatten(model.outputs)))
    return model


def pruned_while_training(model: keras.Model) -> None:
    """Train with `Prune`: exactly half of the weights are zero after every batch, and at the end."""
    total = kpl.prunable(model).total
    zeros: list[int] = []

    class Count(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: object = None) -> None:
            zeros.append(sum(item.zeros() for item in kpl.prunable(self.model)))

    x, y = data(model)
    model.fit(x, y, batch_size=_BATCH, epochs=_EPOCHS, verbose=0, callbacks=[kpl.callbacks.Prune(0.5), Count()])
    half = math.floor(0.5 * total + 0.5)
    assert zeros == [half] * (_BATCHES * _EPOCHS)
    assert kpl.sparsity(model) == half / total


def wrapped_and_stripped(case: Case) -> None:
    """Wrap the layer, train it, save and load it, and strip it."""
    pruned = kpl.layers.Pruned(case.make(), 0.5, variables=case.variables)
    model = built(case, pruned)
    x, y = data(model)
    before = {name: item.raw_value() for name, item in inside(pruned.layer).items() if name in case.channels}
    model.fit(x, y, batch_size=_BATCH, epochs=_EPOCHS, verbose=0, callbacks=[kpl.callbacks.UpdateMasks()])
    total = sum(item.size for name, item in inside(pruned.layer).items() if name in case.channels)
    assert pruned.masks.zeros == math.floor(0.5 * total + 0.5)
    after = {name: inside(pruned.layer)[name].raw_value() for name in before}
    assert any(not np.array_equal(after[name][mask], before[name][mask]) for name, mask in pruned.masks.items())
    for name, mask in pruned.masks.items():
        assert not after[name][~mask].any()

    outputs = predicted(model, x)
    # What the wrapper shows its layer is what the layer computes from zeros that stand in its weights.
    by_hand = built(case, pruned.layer)
    assert_equal(predicted(by_hand, x), outputs)
    plain = kpl.layers.strip(model)
    assert not any(isinstance(layer, kpl.layers.Pruned) for layer in plain._flatten_layers())
    assert [layer.name for layer in plain.layers] == [layer.name for layer in model.layers]
    assert_equal(predicted(plain, x), outputs)
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "wrapped.keras")
        loaded = keras.saving.load_model(Path(folder) / "wrapped.keras")
        assert_equal(predicted(loaded, x), outputs)
        assert loaded.layers[-1].masks == pruned.masks


def channels(item: kpl.Prunable) -> int:
    """How many output channels the axes of a kernel say that it has."""
    return int(np.prod([item.shape[axis] for axis in item.output_axes]))


def data(model: keras.Model) -> tuple[Any, Any]:
    """Random inputs and targets, in whole batches."""
    count, rng = _BATCH * _BATCHES, np.random.default_rng(5)

    def made(tensor: keras.KerasTensor) -> Any:
        shape = (count, *tensor.shape[1:])
        return rng.integers(0, 4, shape) if "int" in tensor.dtype else rng.normal(size=shape).astype(np.float32)

    x, y = [made(tensor) for tensor in model.inputs], [made(tensor) for tensor in model.outputs]
    return x if len(x) > 1 else x[0], y if len(y) > 1 else y[0]


def predicted(model: keras.Model, x: Any) -> list[np.ndarray]:
    """What a model makes of inputs, as arrays."""
    outputs = keras.tree.flatten(model(x, training=False))
    return [np.asarray(keras.ops.convert_to_numpy(output)) for output in outputs]


def assert_equal(one: Sequence[np.ndarray], other: Sequence[np.ndarray]) -> None:
    """Outputs are equal to the last bit."""
    for left, right in zip(one, other, strict=True):
        np.testing.assert_array_equal(left, right)
