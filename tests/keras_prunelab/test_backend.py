from __future__ import annotations

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import keras_prunelab as kpl
from keras_prunelab._backend import compile_forward, gradients, optimizer_class

pytestmark = pytest.mark.backends

L = keras.layers


def test_gradients_at_values_from_outside() -> None:
    x, y, unused = (keras.Variable(np.float32([1, 2])) for _ in range(3))
    slopes = gradients(lambda: keras.ops.sum(x * x * y), [x, y, unused])
    for scale in (1, 2):
        a, b = scale * np.float32([3, 4]), np.float32([5, 6])
        found = slopes([a, b, b])
        assert_allclose(found[0], 2 * a * b)
        assert_allclose(found[1], a * a)
        assert_array_equal(found[2], 0)
    assert_array_equal(x.numpy(), [1, 2])


def test_classes_of_optimizers_are_those_that_keras_names() -> None:
    """On torch Keras makes objects of classes of its own, some of them two steps below the one that it exports."""

    class Own(keras.optimizers.Adam):
        pass

    exported = {
        cls
        for cls in vars(keras.optimizers).values()
        if isinstance(cls, type)
        and issubclass(cls, keras.optimizers.Optimizer)
        and cls is not keras.optimizers.Optimizer
    }
    for cls in sorted(exported, key=lambda cls: cls.__name__):
        if cls not in (keras.optimizers.LossScaleOptimizer, keras.optimizers.MultiOptimizer):
            assert optimizer_class(cls()) is cls
    assert optimizer_class(Own()) is Own
    assert optimizer_class(None) is type(None)


def test_forward_sees_new_weights_and_batches() -> None:
    model = keras.Sequential([keras.Input((3,)), L.Dense(2), L.BatchNormalization(), L.Dropout(0.5)])
    forward = compile_forward(model)
    deviation = np.sqrt(1 + 1e-3)  # a fresh batch normalization divides by it, in inference mode
    random = np.random.default_rng(0)
    for size in (4, 1):
        for _ in range(2):
            kernel, bias, batch = random.random((3, 2)), random.random(2), random.random((size, 3))
            model.layers[0].set_weights([kernel, bias])
            output = keras.ops.convert_to_numpy(forward(batch.astype("float32")))
            assert_allclose(output, (batch @ kernel + bias) / deviation, rtol=1e-5)


def test_forward_of_several_inputs_and_outputs() -> None:
    one, two = keras.Input((2,)), keras.Input((2,))
    model = keras.Model([one, two], {"sum": L.Add()([one, two]), "one": L.ReLU()(one)})
    x = np.float32([[-1, 2]])
    outputs = compile_forward(model)([x, x])
    assert_array_equal(keras.ops.convert_to_numpy(outputs["sum"]), 2 * x)
    assert_array_equal(keras.ops.convert_to_numpy(outputs["one"]), [[0, 2]])


def test_a_backend_without_gradients_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.config, "backend", lambda: "numpy")
    with pytest.raises(kpl.MissingBackendError, match=r"'numpy'.* is not installed, or cannot run"):
        gradients(lambda: 0, [])


@pytest.mark.parametrize("backend", ["jax", "nonsense"])
def test_a_missing_backend_gives_the_line_to_run(backend: str) -> None:
    # An import that fails is what a missing package looks like, installed here or not.
    script = (
        "import sys; sys.modules['jax'] = None\n"
        "import keras_prunelab as kpl\n"
        "try:\n    kpl.prune\nexcept kpl.MissingBackendError as error:\n    print(error)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    extra = "jax" if backend == "jax" else "tensorflow"
    assert f'pip install "keras-prunelab[{extra}]"' in run.stdout
    assert f"The backend '{backend}', which the environment variable KERAS_BACKEND asks for," in run.stdout
