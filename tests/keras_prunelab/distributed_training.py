"""Train on two virtual devices and print what was seen there: `python -m tests.keras_prunelab.distributed_training`.

The devices of a process can only be divided before its backend runs: hence a program of its own. It takes
`tensorflow` or `jax`, runs every case with and without distribution, and prints one JSON object.
"""

from __future__ import annotations

import contextlib
import fnmatch
import json
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import Any

BACKEND = sys.argv[1]
os.environ["KERAS_BACKEND"] = BACKEND
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras  # noqa: E402
import numpy as np  # noqa: E402

import keras_prunelab as kpl  # noqa: E402

from .training import BATCH, ROUNDS, SCHEDULE, L, array, compiled, data  # noqa: E402

if BACKEND == "tensorflow":
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")
    TWO = [tf.config.LogicalDeviceConfiguration(), tf.config.LogicalDeviceConfiguration()]
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], TWO)

# Turned to errors only here: the imports of TensorFlow warn.
warnings.simplefilter("error")
warnings.filterwarnings("ignore", "__array__ implementation doesn't accept a copy keyword", DeprecationWarning)
warnings.filterwarnings(
    "ignore", "Training ends at step", kpl.PruningWarning
)  # with half as many steps, where gradients accumulate

O = keras.optimizers  # noqa: E741
X, Y = data()


@contextlib.contextmanager
def distributed(devices: int) -> Iterator[None]:
    """Copy whatever is made here to so many devices; 0 for none but the usual one."""
    if devices == 0:
        yield
    elif BACKEND == "tensorflow":
        with tf.distribute.MirroredStrategy([f"CPU:{index}" for index in range(devices)]).scope():
            yield
    else:
        names = keras.distribution.list_devices("cpu")[:devices]
        with keras.distribution.DataParallel(devices=names, auto_shard_dataset=False).scope():
            yield


def copies(variable: Any) -> list[np.ndarray]:
    """A variable's value on each device."""
    value = variable.value
    if BACKEND == "tensorflow":
        return [np.array(each) for each in getattr(value, "values", (value,))]
    return [np.asarray(shard.data) for shard in value.addressable_shards]


class Watch(keras.callbacks.Callback):
    """Looks at every device at the end of every batch."""

    def __init__(self, training: Any) -> None:
        super().__init__()
        self.training = training
        self.zeros: list[int] = []
        self.devices = 0
        self.differ = self.pruned = self.slots = 0.0  # between devices; of pruned weights, and of their slots

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        masks = self.training.masks
        self.zeros.append(masks.zeros)
        by_shape = {mask.shape: mask for mask in masks.values()}
        of_pruned = {id(item.variable): masks[item.path] for item in kpl.prunable(self.model)}
        # The accumulators and averages too, but not what Keras sums or draws on each device for itself.
        for variable in (*self.model.weights, *self.model.optimizer.variables):
            if not keras.backend.is_float_dtype(variable.dtype):
                continue
            first, *others = values = copies(variable)
            self.devices = len(values)
            self.differ = max(self.differ, *(float(np.abs(first - other).max()) for other in others), 0.0)
            gone = ~by_shape.get(first.shape, np.ones(first.shape, np.bool_))
            largest = max(float(np.abs(value[gone]).max(initial=0)) for value in values)
            if id(variable) in of_pruned:
                self.pruned = max(self.pruned, largest)
            elif first.shape in by_shape and not fnmatch.fnmatch(variable.path, "ftrl*_accumulator"):  # never zero
                self.slots = max(self.slots, largest)


Case = tuple[Callable[[], Any], Callable[[], list[Any]]]


def pruning(**options: Any) -> Callable[[], list[Any]]:
    return lambda: [kpl.callbacks.Prune(SCHEDULE, **options)]


def model_of(optimizer: Any, **options: Any) -> keras.Model:
    """A network whose two kernels differ in shape, with the same weights everywhere and batch-free arithmetic."""
    layers = [L.Dense(16, "tanh", name="hidden", **options), L.Dense(4, name="out", dtype="float32")]
    model = keras.Sequential([keras.Input((12,)), *layers], name="net")
    rng = np.random.default_rng(3)
    model.set_weights([rng.normal(size=tuple(weight.shape)) / 3 for weight in model.weights])
    return compiled(model, optimizer)


def wrapped() -> keras.Model:
    return compiled(kpl.layers.wrap(model_of("sgd"), SCHEDULE), O.SGD(0.1, momentum=0.9))


def rewinding() -> list[Any]:
    return [kpl.callbacks.Prune(ROUNDS), kpl.callbacks.Rewind(to=2)]


CASES: dict[str, Case] = {
    "sgd": (lambda: model_of(O.SGD(0.1, momentum=0.9, nesterov=True)), pruning()),
    "adamw": (lambda: model_of(O.AdamW(0.01, weight_decay=0.1)), pruning()),
    "muon": (lambda: model_of(O.Muon(0.01)), pruning()),
    "ftrl": (lambda: model_of(O.Ftrl(0.1)), pruning()),
    "averaging": (lambda: model_of(O.Adam(0.01, use_ema=True, ema_momentum=0.9)), pruning()),
    "constrained": (lambda: model_of(O.Adam(0.01), kernel_constraint="max_norm"), pruning()),
    "scaled": (lambda: model_of(O.LossScaleOptimizer(O.Adam(0.01)), dtype="mixed_float16"), pruning()),
    "a score of data": (lambda: model_of(O.Adam(0.01)), pruning(score="snip", data=(X, Y))),
    "set": (lambda: model_of(O.Adam(0.01)), lambda: [kpl.callbacks.SET(0.75, frequency=3)]),
    "rigl": (lambda: model_of(O.Adam(0.01)), lambda: [kpl.callbacks.RigL(0.75, (X, Y), frequency=3, batch_size=16)]),
    "rewind": (lambda: model_of(O.Adam(0.01)), rewinding),
    "wrapped": (wrapped, lambda: [kpl.callbacks.UpdateMasks()]),
}
if BACKEND == "jax":  # where Keras itself accumulates gradients on several devices
    CASES["accumulating"] = (lambda: model_of(O.Adam(0.01, gradient_accumulation_steps=2)), pruning())


def trained(name: str, devices: int) -> dict[str, Any]:
    """What was seen on so many devices, then what was left, and then how sparse the model is after a plain `fit`."""
    with distributed(devices):
        model, callbacks = (make() for make in CASES[name])
        watch = Watch(callbacks[0])
        model.fit(X, Y, BATCH, epochs=3, shuffle=False, verbose=0, callbacks=[*callbacks, watch])
        leaf = getattr(model.optimizer, "inner_optimizer", model.optimizer)
        left = sorted(vars(leaf).keys() & {"apply", "save_own_variables", "load_own_variables", "pruning", "rewinding"})
        left += [
            path for path in (variable.path for variable in leaf.variables) if "_mask" in path or "set_back" in path
        ]
        found = {
            "devices": watch.devices,
            "zeros": watch.zeros,
            "between_devices": watch.differ,
            "pruned": watch.pruned,
            "slots": watch.slots,
            "sparsity": kpl.sparsity(model),
            "masks": {path.partition("/")[2]: mask.tolist() for path, mask in watch.training.masks.items()},
            "weights": [array(weight).tolist() for weight in model.trainable_weights],
            "left": left,
        }
        if model.optimizer.use_ema and BACKEND == "jax":
            # Keras leaves weights and averages in one array, which the step of the next fit consumes twice: it fails
            # or crashes, without this package too.
            return found
        model.fit(X, Y, BATCH, verbose=0)
    return found | {"afterwards": kpl.sparsity(model)}


def main() -> None:
    """Print what was seen in every case, or why there was nothing to see."""
    results: dict[str, Any] = {}
    for name in CASES:
        for devices in (0, 1, 2) if name == "adamw" else (0, 2):
            try:
                found = trained(name, devices)
            except Exception:  # noqa: BLE001, the tests say which case failed, and how
                found = {"error": traceback.format_exc()}
            results.setdefault(name, {})[devices] = found
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
