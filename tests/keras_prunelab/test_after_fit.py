"""What users do with a model after `fit`, and inside it: export and save it, exactly as without a callback."""

from __future__ import annotations

import copy
import functools
import importlib.util
import pickle
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_prunelab as kpl
from keras_prunelab.callbacks import SET, Prune, Rewind, RigL, UpdateMasks

from .training import BATCH, ROUNDS, ROWS, L, array, compiled, data, dense

if keras.config.backend() != "tensorflow":
    pytest.skip("SavedModel, LiteRT and tf.train.Checkpoint are TensorFlow's", allow_module_level=True)

import tensorflow as tf

STEPS = ROWS // BATCH
X, Y = data()
O = keras.optimizers  # noqa: E741

CALLBACKS: dict[str, Callable[[], Sequence[Any]]] = {
    "none": list,
    "Prune": lambda: [Prune(0.5)],
    "SET": lambda: [SET(0.5, frequency=2, end_step=STEPS)],
    "RigL": lambda: [RigL(0.5, (X, Y), frequency=2, end_step=STEPS)],
    "Rewind": lambda: [Prune(ROUNDS), Rewind()],
    "rewound learning rate": lambda: [Prune(ROUNDS), Rewind(what="learning_rate")],
    "UpdateMasks": lambda: [UpdateMasks()],
    "two of Prune": lambda: [Prune(0.5, include="hidden"), Prune(0.25, include="out")],
}
RATE = O.schedules.CosineDecay(0.1, 100)
OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "SGD": lambda: O.SGD(RATE),
    "loss scale": lambda: O.LossScaleOptimizer(O.SGD(RATE)),
    "average": lambda: O.Adam(RATE, use_ema=True),
    "accumulating": lambda: O.Adam(RATE, gradient_accumulation_steps=2),
    "Muon": lambda: O.Muon(RATE),
    "several": lambda: O.MultiOptimizer(O.OptimizerMap(O.Adam(RATE), {".*out/.*": O.SGD(RATE)})),
}


def made(callbacks: str, optimizer: str = "SGD") -> keras.Model:
    model = dense()
    if callbacks == "UpdateMasks":
        model = kpl.layers.wrap(model, 0.5)
    return compiled(model, OPTIMIZERS[optimizer]())


def fitted(callbacks: str, optimizer: str = "SGD", *more: keras.callbacks.Callback) -> keras.Model:
    model = made(callbacks, optimizer)
    model.fit(X, Y, BATCH, epochs=3, verbose=0, callbacks=[*CALLBACKS[callbacks](), *more])
    return model


# Trained once; the exports below leave it as it is.
trained = functools.cache(fitted)


# The exports, each giving the outputs of what it wrote -----------------------------------------------------------


def keras_export(model: keras.Model, folder: Path) -> Any:
    model.export(str(folder / "exported"), verbose=False)
    loaded = tf.saved_model.load(str(folder / "exported"))
    return loaded.serve(X)


def saved_model(model: keras.Model, folder: Path) -> Any:
    tf.saved_model.save(model, str(folder / "saved"))
    loaded = tf.saved_model.load(str(folder / "saved"))
    (outputs,) = loaded.signatures["serving_default"](tf.constant(X)).values()
    return outputs


def checkpoint(model: keras.Model, folder: Path) -> Any:
    """Read back into a model that was made anew, whose optimizer then is as the first one's too."""
    path = tf.train.Checkpoint(model=model, optimizer=model.optimizer).write(str(folder / "checkpoint"))
    again = made("UpdateMasks" if isinstance(model.layers[0], kpl.layers.Pruned) else "none")
    again.compile_from_config(model.get_compile_config())
    again.optimizer.build(again.trainable_variables)
    tf.train.Checkpoint(model=again, optimizer=again.optimizer).restore(path).expect_partial()
    if not hasattr(model.optimizer, "inner_optimizer") and not hasattr(model.optimizer, "optimizers"):
        # Of optimizers around others such checkpoints leave some variables out, with a callback or without.
        for one, other in zip(again.optimizer.variables, model.optimizer.variables, strict=True):
            np.testing.assert_array_equal(array(one), array(other))
    return again.predict(X, verbose=0)


def converter(model: keras.Model, folder: Path) -> Any:
    return interpreted(tf.lite.TFLiteConverter.from_keras_model(model).convert())


def keras_litert(model: keras.Model, folder: Path) -> Any:
    model.export(str(folder / "model.tflite"), format="litert", verbose=False)
    return interpreted((folder / "model.tflite").read_bytes())


def own_litert(model: keras.Model, folder: Path) -> Any:
    kpl.export_litert(model, folder / "own.tflite")
    return interpreted((folder / "own.tflite").read_bytes())


def interpreted(content: bytes) -> Any:
    interpreter = tf.lite.Interpreter(model_content=content)
    (given,), (asked,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(given["index"], X.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(given["index"], X)
    interpreter.invoke()
    return interpreter.get_tensor(asked["index"])


def onnx(model: keras.Model, folder: Path) -> Any:
    if not importlib.util.find_spec("tf2onnx"):
        pytest.skip("Keras writes ONNX from TensorFlow with tf2onnx, which is not installed")
    import onnxruntime

    model.export(str(folder / "model.onnx"), format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
    return session.run(None, {session.get_inputs()[0].name: X})[0]


def native_file(model: keras.Model, folder: Path) -> Any:
    model.save(folder / "model.keras")
    return keras.saving.load_model(folder / "model.keras").predict(X, verbose=0)


def pickled(model: keras.Model, folder: Path) -> Any:
    return pickle.loads(pickle.dumps(model)).predict(X, verbose=0)  # noqa: S301  # written here


def copied(model: keras.Model, folder: Path) -> Any:
    return copy.deepcopy(model).predict(X, verbose=0)


EXPORTS = [
    keras_export,
    saved_model,
    checkpoint,
    converter,
    keras_litert,
    own_litert,
    onnx,
    native_file,
    pickled,
    copied,
]

pytestmark = [
    pytest.mark.filterwarnings("ignore:Training ends at step:keras_prunelab.PruningWarning"),
    pytest.mark.filterwarnings("ignore:All weights of:keras_prunelab.PruningWarning"),
    # TensorFlow's own converter and interpreter say that they are going to move.
    pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated:UserWarning"),
    pytest.mark.filterwarnings("ignore:Statistics for quantized inputs:UserWarning"),
]


@pytest.mark.parametrize("export", EXPORTS, ids=lambda export: export.__name__)
@pytest.mark.parametrize("callbacks", CALLBACKS)
def test_after_fit_with_every_callback(callbacks: str, export: Callable[..., Any], tmp_path: Path) -> None:
    model = trained(callbacks)
    np.testing.assert_allclose(export(model, tmp_path), model.predict(X, verbose=0), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("export", [keras_export, saved_model, checkpoint, own_litert], ids=lambda each: each.__name__)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_after_fit_with_every_optimizer(optimizer: str, export: Callable[..., Any], tmp_path: Path) -> None:
    model = trained("Prune", optimizer)
    np.testing.assert_allclose(export(model, tmp_path), model.predict(X, verbose=0), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("callbacks", CALLBACKS)
def test_inside_fit(callbacks: str, tmp_path: Path) -> None:
    class Export(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch == 1:  # of three, the first and the last
                return
            for export in (keras_export, saved_model, own_litert, native_file):
                folder = tmp_path / f"{export.__name__}{epoch}"
                folder.mkdir()
                expected = self.model(X).numpy()
                np.testing.assert_allclose(export(self.model, folder), expected, rtol=1e-5, atol=1e-5)

    fitted(callbacks, "SGD", Export())


@functools.cache
def checkpointed(callbacks: str, optimizer: str) -> list[list[str]]:
    """What checkpoints hold, by name: those at the end of each epoch, and one after `fit`."""
    names: list[list[str]] = []

    def write(model: keras.Model) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = tf.train.Checkpoint(model=model).write(f"{folder}/checkpoint")
            names.append(sorted(name for name, _ in tf.train.list_variables(path)))

    class Write(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            write(self.model)

    write(fitted(callbacks, optimizer, Write()))
    return names


@pytest.mark.parametrize("callbacks", ["Prune", "SET", "RigL", "Rewind", "rewound learning rate"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_checkpoint_holds_what_it_would_without_the_callback(callbacks: str, optimizer: str) -> None:
    plain, names = checkpointed("none", optimizer), checkpointed(callbacks, optimizer)
    assert len(names) == 4
    assert all(each == plain[0] for each in [*plain, *names])


def test_masks_of_wrapped_layers_are_in_checkpoints(tmp_path: Path) -> None:
    model = fitted("UpdateMasks")
    masks = model.layers[0].masks
    path = tf.train.Checkpoint(model=model).write(str(tmp_path / "masks"))
    again = made("UpdateMasks")
    assert not again.layers[0].masks.zeros
    tf.train.Checkpoint(model=again).restore(path).expect_partial()
    assert again.layers[0].masks == masks
    again.fit(X, Y, BATCH, verbose=0)
    kernel = array(again.layers[0].layer.kernel)
    assert not kernel[~masks["kernel"]].any() or again.layers[0].masks == masks
    np.testing.assert_array_equal(again.predict(X, verbose=0), kpl.layers.strip(again).predict(X, verbose=0))


def test_nested_wrappers_and_names_with_slashes(tmp_path: Path) -> None:
    """Each mask of a layer with several kernels is found again."""
    inputs = keras.Input((6, 4))
    layer = kpl.layers.Pruned(L.Bidirectional(L.LSTM(3), name="both"), 0.5)
    model = keras.Model(inputs, L.Dense(2)(layer(inputs)))
    layer.set_masks({name: np.arange(mask.size).reshape(mask.shape) % 2 == 0 for name, mask in layer.masks.items()})
    path = tf.train.Checkpoint(model=model).write(str(tmp_path / "both"))
    masks = layer.masks
    assert len(masks) == 4
    layer.set_masks({name: np.ones(mask.shape, bool) for name, mask in masks.items()})
    tf.train.Checkpoint(model=model).restore(path).expect_partial()
    assert layer.masks == masks
