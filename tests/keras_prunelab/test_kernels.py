"""Which arrays of custom layers are kernels, by what their calls do with them."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

import keras_prunelab as kpl

L = keras.layers
O = keras.ops  # noqa: E741 - as in the other tests of layers
WIDTH, STEPS = 8, 5


class Custom(L.Layer):
    """A layer with given arrays, and a call that is given too."""

    def __init__(self, shapes: dict[str, tuple[int, ...]], compute: Callable[..., Any]) -> None:
        super().__init__(name="custom")
        self.shapes, self.compute, self.calls = shapes, compute, 0

    def build(self, shape: Any) -> None:
        for name, own in self.shapes.items():
            setattr(self, name, self.add_weight(shape=own, name=name, initializer="random_normal"))

    def call(self, x: Any) -> Any:
        self.calls += 1
        return self.compute(self, x)


def found(layer: Any, shape: tuple[int | None, ...] = (STEPS, WIDTH), dtype: str = "float32") -> set[str]:
    entry = keras.Input(shape, dtype=dtype)
    model = keras.Model(entry, L.Dense(2, name="out")(layer(entry)))
    return {item.path.split("/")[-1] for item in kpl.prunable(model) if item.layer != "out"}


SQUARE, TABLE = {"w": (WIDTH, 4)}, {"p": (STEPS, WIDTH)}
PRODUCTS: dict[str, tuple[dict[str, tuple[int, ...]], Callable[..., Any]]] = {
    "matmul": (SQUARE, lambda s, x: O.matmul(x, s.w)),
    "operator": (SQUARE, lambda s, x: x @ s.w),
    "from the left": ({"w": (4, STEPS)}, lambda s, x: s.w @ x),
    "twice": (SQUARE, lambda s, x: x @ s.w + (2 * x) @ s.w),
    "transposed": ({"w": (4, WIDTH)}, lambda s, x: x @ O.transpose(s.w)),
    "cast": (SQUARE, lambda s, x: x @ O.cast(O.cast(s.w, "float16"), "float32")),
    "reshaped": ({"w": (2, 4, 4)}, lambda s, x: x @ O.reshape(s.w, (WIDTH, 4))),
    "masked": (SQUARE, lambda s, x: x @ (s.w * np.tri(WIDTH, 4, dtype="float32"))),
    "scaled": ({**SQUARE, "g": (1, 4)}, lambda s, x: x @ (s.w * s.g)),
    "normalized": (SQUARE, lambda s, x: x @ (s.w / O.sqrt(O.sum(s.w * s.w, 0, keepdims=True)))),
    "broadcast": (SQUARE, lambda s, x: O.matmul(x, O.broadcast_to(s.w, (O.shape(x)[0], WIDTH, 4)))),
    "sliced": (SQUARE, lambda s, x: x @ s.w[:, :2] + x @ s.w[:, 2:]),
    "einsum": ({"w": (WIDTH, 2, 2)}, lambda s, x: O.einsum("btd,dhk->bthk", x, s.w)),
    "tensordot": (SQUARE, lambda s, x: O.tensordot(x, s.w, 1)),
    "dot": (SQUARE, lambda s, x: O.dot(x, s.w)),
    "convolution": ({"w": (3, WIDTH, 4)}, lambda s, x: O.conv(x, s.w, 1, "same")),
    "depthwise": ({"w": (3, WIDTH, 1)}, lambda s, x: O.depthwise_conv(x, s.w, 1, "same")),
    "transposed convolution": ({"w": (3, 4, WIDTH)}, lambda s, x: O.conv_transpose(x, s.w, 2, "same")),
    "behind a table": ({**SQUARE, **TABLE}, lambda s, x: (x + s.p) @ s.w),
    "of a low rank": ({"w": (WIDTH, 2), "w2": (2, 4)}, lambda s, x: x @ (s.w @ s.w2)),
}
TABLES: dict[str, tuple[dict[str, tuple[int, ...]], Callable[..., Any]]] = {
    "position": (TABLE, lambda s, x: x + s.p),
    "class token": (
        {"p": (1, 1, WIDTH)},
        lambda s, x: O.concatenate([O.broadcast_to(s.p, (O.shape(x)[0], 1, WIDTH)), x], 1),
    ),
    "gathered": (TABLE, lambda s, x: x + O.take(s.p, O.argmax(x, -1) % STEPS, axis=0)),
    "relative": ({"p": (9, STEPS)}, lambda s, x: x + O.expand_dims(O.sum(O.take(s.p, np.arange(STEPS), 0), 0), -1)),
    "gate": (TABLE, lambda s, x: x * O.sigmoid(s.p)),
    "codebook": (
        {"p": (WIDTH, 6)},
        lambda s, x: O.one_hot(O.argmin(O.sum(s.p**2, 0) - 2 * O.matmul(x, s.p), -1), 6) @ O.transpose(s.p),
    ),
}


@pytest.mark.parametrize(("shapes", "compute"), PRODUCTS.values(), ids=PRODUCTS.keys())
def test_what_the_input_is_multiplied_with_is_a_kernel(shapes: Any, compute: Any) -> None:
    assert found(Custom(shapes, compute)) == {name for name in shapes if name.startswith("w")}


@pytest.mark.parametrize(("shapes", "compute"), TABLES.values(), ids=TABLES.keys())
def test_tables_are_skipped_and_named(shapes: Any, compute: Any) -> None:
    entry = keras.Input((STEPS, WIDTH))
    model = keras.Model(entry, L.Dense(2, name="out")(Custom(shapes, compute)(entry)))
    prunables = kpl.prunable(model)
    assert [item.layer for item in prunables] == ["out"]
    (skipped,) = (each for each in prunables.skipped if each.layer == "custom")
    assert f"include={skipped.path!r}" in skipped.reason
    assert [item.path for item in kpl.prunable(model, include=skipped.path)] == [skipped.path]
    assert skipped.path in [item.path for item in kpl.prunable(model, learnables="all")]


def test_native_products() -> None:
    def native(layer: Any, x: Any) -> Any:
        weight = O.convert_to_tensor(layer.w)
        if keras.config.backend() == "tensorflow":
            import tensorflow as tf

            return tf.einsum("btd,dk->btk", x, weight)
        if keras.config.backend() == "jax":
            import jax.numpy as jnp

            return jnp.matmul(x, weight)
        import torch

        return torch.nn.functional.linear(x, weight.T)

    assert found(Custom(SQUARE, native)) == {"w"}


def test_what_cannot_be_traced_goes_by_name() -> None:
    def fails(layer: Any, x: Any) -> Any:
        raise RuntimeError("not now")

    layer = Custom({"kernel": (8, 4), "table": (8, 4), "own_kernel": (4, 4)}, lambda s, x: x)
    entry = keras.Input((STEPS, WIDTH))
    model = keras.Model(entry, layer(entry))
    layer.compute = fails
    assert {item.path for item in kpl.prunable(model)} == {"custom/kernel", "custom/own_kernel"}


class Cell(L.Layer):
    def __init__(self) -> None:
        super().__init__(name="cell")
        self.state_size = 6

    def build(self, shape: Any) -> None:
        self.u = self.add_weight(shape=(shape[-1], 6), name="u")
        self.v = self.add_weight(shape=(6, 6), name="v")

    def call(self, x: Any, states: Any) -> Any:
        state = O.tanh(x @ self.u + states[0] @ self.v)
        return state, [state]


def test_cells_of_recurrent_layers() -> None:
    assert found(L.RNN(Cell())) == {"u", "v"}


def test_nested_layers_and_free_lengths() -> None:
    class Outer(L.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Custom(SQUARE, lambda s, x: x @ s.w)

        def call(self, x: Any) -> Any:
            return self.inner(x)

        def compute_output_shape(self, shape: Any) -> Any:
            return (*shape[:-1], 4)

    assert found(Outer(), (None, WIDTH)) == {"w"}


def test_a_trace_happens_once_and_changes_nothing() -> None:
    layer = Custom(SQUARE, lambda s, x: x @ s.w)
    entry = keras.Input((STEPS, WIDTH))
    model = keras.Model(entry, layer(entry))
    weights = [O.convert_to_numpy(each).copy() for each in model.weights]
    calls, state, drawn = layer.calls, random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002 - the global one
    seen: list[Any] = []
    compute = layer.compute
    layer.compute = lambda s, x: (seen.append(x), setattr(s, "last", x), np.random.normal(), compute(s, x))[-1]  # noqa: NPY002
    for _ in range(3):
        kpl.prunable(model)
    assert len(seen) == 1
    assert layer.calls == calls
    assert not hasattr(layer, "last")
    assert random.getstate() == state
    assert np.array_equal(np.random.get_state()[1], drawn)  # noqa: NPY002
    assert all(
        np.array_equal(one, O.convert_to_numpy(other)) for one, other in zip(weights, model.weights, strict=True)
    )


@pytest.mark.skipif(keras.config.backend() != "torch", reason="modules of torch")
@pytest.mark.parametrize(
    ("make", "axes"),
    [
        (lambda nn: nn.Linear(8, 16), [("output", "input")]),
        (lambda nn: nn.Conv2d(8, 16, 3, groups=2), [("output", "input", "space", "space")]),
        (lambda nn: nn.ConvTranspose1d(8, 16, 3), [("input", "output", "space")]),
        (lambda nn: nn.Sequential(nn.Linear(8, 4), nn.BatchNorm1d(4), nn.LayerNorm((4, 4))), [("output", "input")]),
        (lambda nn: nn.Embedding(10, 4), []),
        (lambda nn: nn.LSTM(8, 4), [("output", "input")] * 2),
    ],
)
def test_modules_of_torch(make: Any, axes: Any) -> None:
    import torch

    class Model(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.module = L.TorchModuleWrapper(make(torch.nn), name="module")
            self.out = L.Dense(2, name="out")
            self.out.build((None, 4))
            self.built = True

    prunables = kpl.prunable(Model())
    assert [item.axes for item in prunables if item.layer == "module"] == axes
