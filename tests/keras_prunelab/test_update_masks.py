from __future__ import annotations

import math
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_prunelab as kpl
from keras_prunelab.layers import Pruned, wrap

pytestmark = [
    pytest.mark.backends,
    # Most schedules here are made to end after the training, so that it can be cut anywhere.
    pytest.mark.filterwarnings("ignore:Training ends at step:keras_prunelab.PruningWarning"),
]

L = keras.layers
RNG = np.random.default_rng(13)
X = RNG.normal(size=(24, 6)).astype(np.float32)
Y = RNG.normal(size=(24, 3)).astype(np.float32)


def network(**optimizer: object) -> keras.Model:
    keras.utils.set_random_seed(4)
    model = keras.Sequential([keras.Input((6,)), L.Dense(8, "relu", name="hidden"), L.Dense(3, name="out")])
    model.compile(keras.optimizers.AdamW(0.05, weight_decay=0.1, **optimizer), "mse")  # type: ignore[arg-type]
    return model


class Watch(keras.callbacks.Callback):
    """The pruned weights of each layer after every batch."""

    def __init__(self) -> None:
        super().__init__()
        self.zeros: list[tuple[int, ...]] = []

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        self.zeros.append(tuple(layer.masks.zeros for layer in self.model.layers))


def rounded(sparsity: float, total: int) -> int:
    return math.floor(round(sparsity * total, 6) + 0.5)


# Keras has no executions of several steps on torch.
AT_ONCE = [] if keras.config.backend() == "torch" else [(None, 2)]


@pytest.mark.parametrize(("accumulated", "execution"), [(None, 1), (2, 1), *AT_ONCE])
def test_each_layer_follows_its_own_schedule(accumulated: int | None, execution: int) -> None:
    schedules = [kpl.schedules.Polynomial(0.1, 0.9, end_step=9, frequency=2), kpl.schedules.OneShot(0.5, step=4)]
    model = wrap(network(gradient_accumulation_steps=accumulated), schedules[0], include="hidden")
    model = wrap(model, schedules[1])
    model.compile(model.optimizer, "mse", steps_per_execution=execution)
    watch = Watch()
    model.fit(X, Y, batch_size=4, epochs=2, verbose=0, callbacks=[kpl.callbacks.UpdateMasks(), watch])
    # After batch b of one execution, b * execution / accumulated steps are done.
    steps = [(batch + 1) * execution // (accumulated or 1) for batch in range(len(watch.zeros))]
    expected = [
        tuple(rounded(schedule(step), size) for schedule, size in zip(schedules, (48, 24), strict=True))
        for step in steps
    ]
    assert watch.zeros == expected


def test_magnitudes_decide_by_exact_count() -> None:
    model = wrap(network(), 0.4)
    kernel = keras.ops.convert_to_numpy(model.layers[0].layer.kernel)
    model.fit(X, Y, batch_size=24, verbose=0, callbacks=[kpl.callbacks.UpdateMasks()])
    order = np.argsort(np.abs(kernel), axis=None, kind="stable")
    expected = np.ones(48, np.bool_)
    expected[order[: rounded(0.4, 48)]] = False
    np.testing.assert_array_equal(model.layers[0].masks["kernel"], expected.reshape(6, 8))


def test_scores_with_data_see_the_loss() -> None:
    model = wrap(network(), 0.5, score="snip", include="out")
    model = wrap(model, 0.25, score="random")
    hidden, out = (layer.layer.get_weights() for layer in model.layers)
    activations = np.maximum(X @ hidden[0] + hidden[1], 0)
    error = activations @ out[0] + out[1] - Y
    score = np.abs(out[0] * (activations.T @ (2 * error / error.size)))
    model.fit(X, Y, batch_size=24, verbose=0, callbacks=[kpl.callbacks.UpdateMasks(data=(X, Y))])
    expected = np.ones(24, np.bool_)
    expected[np.argsort(score, axis=None)[:12]] = False
    # The random mask of the other layer came at the same moment: its scores were those of the dense network.
    np.testing.assert_array_equal(model.layers[1].masks["kernel"], expected.reshape(8, 3))
    assert model.layers[0].masks.zeros == 12


def test_dense_gradients_bring_a_weight_back_and_masked_ones_do_not() -> None:
    masks = {}
    for gradients in ("dense", "masked"):
        keras.utils.set_random_seed(5)
        pruned = Pruned(L.Dense(1, use_bias=False), 0.5, gradients=gradients)  # type: ignore[arg-type]
        model = keras.Sequential([keras.Input((2,)), pruned])
        model.compile(keras.optimizers.SGD(0.1), "mse")
        pruned.layer.kernel.assign([[0.5], [0.1]])
        # The second input alone makes the target: its small weight is pruned first, and its gradient is large.
        x = np.random.default_rng(6).normal(size=(64, 2)).astype(np.float32)
        model.fit(
            x, 3 * x[:, 1:], batch_size=8, epochs=5, verbose=0, callbacks=[kpl.callbacks.UpdateMasks(frequency=4)]
        )
        masks[gradients] = pruned.masks["kernel"].reshape(-1).tolist()
    assert masks == {"dense": [False, True], "masked": [True, False]}


def test_behind_masks_momentum_and_decay_leave_zeros_at_the_end_of_an_epoch() -> None:
    model = wrap(network(), kpl.schedules.OneShot(0.5, step=3))
    found: list[int] = []
    count = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: found.append(raw_zeros(model)))
    model.fit(X, Y, batch_size=4, epochs=2, verbose=0, callbacks=[kpl.callbacks.UpdateMasks(), count])
    assert found == [36, 36]
    assert raw_zeros(model) == 36


def raw_zeros(model: keras.Model) -> int:
    return sum(int(np.count_nonzero(item.raw_value() == 0)) for item in kpl.prunable(model))


def test_without_the_callback_masks_hold_as_they_are() -> None:
    model = wrap(network(), 0.5)
    mask = np.arange(48).reshape(6, 8) % 2 == 0
    model.layers[0].set_masks({"kernel": mask})
    model.fit(X, Y, batch_size=4, verbose=0)
    np.testing.assert_array_equal(model.layers[0].masks["kernel"], mask)
    assert model.layers[1].masks.zeros == 0
    assert kpl.sparsity(model, include="hidden") == 0.5


@pytest.mark.parametrize("gradients", ["masked", "dense"])
def test_a_run_that_is_cut_and_loaded_goes_on_as_if_it_had_not_been(tmp_path: Path, gradients: str) -> None:
    schedule = kpl.schedules.Polynomial(0.2, 0.8, end_step=10, frequency=3)

    def fit(model: keras.Model, epochs: int) -> None:
        callback = kpl.callbacks.UpdateMasks(frequency=4)
        model.fit(X, Y, batch_size=4, epochs=epochs, shuffle=False, verbose=0, callbacks=[callback])

    whole, cut = (wrap(network(), schedule, gradients=gradients) for _ in range(2))  # type: ignore[arg-type]
    fit(whole, 2)
    fit(cut, 1)
    cut.save(tmp_path / "cut.keras")
    loaded = keras.saving.load_model(tmp_path / "cut.keras")
    fit(loaded, 1)
    assert [layer.masks for layer in loaded.layers] == [layer.masks for layer in whole.layers]
    assert loaded.layers[0].masks.zeros == rounded(0.8, 48)
    np.testing.assert_allclose(loaded.predict(X, verbose=0), whole.predict(X, verbose=0), rtol=1e-4, atol=1e-5)


def test_listeners_are_told_of_new_masks() -> None:
    model = wrap(network(), 0.25)
    update = kpl.callbacks.UpdateMasks()
    told: list[float] = []
    update.after_update.append(lambda its, masks: told.append(masks.sparsity))
    model.fit(X, Y, batch_size=4, verbose=0, callbacks=[update])
    assert told == [0.25]
    assert update.masks is not None
    assert update.masks.sparsity == 0.25


ERRORS = [
    (network, {}, kpl.NothingToPruneError, r"no Pruned layer .* keras_prunelab.layers.wrap"),
    (
        lambda: wrap(network(), 0.5, score="snip"),
        {},
        kpl.InvalidDataError,
        r"score 'snip' needs data; give data=\(inputs, labels\)",
    ),
    (
        lambda: wrap(network(), 0.9, granularity="1:2"),
        {},
        kpl.InvalidSparsityError,
        "out of reach",
    ),
]


@pytest.mark.parametrize(("make", "options", "error", "message"), ERRORS)
def test_errors(make: object, options: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make().fit(X, Y, verbose=0, callbacks=[kpl.callbacks.UpdateMasks(**options)])  # type: ignore[operator]


def test_epochs_of_unknown_length_are_refused() -> None:
    model = wrap(network(), kpl.schedules.OneShot(0.5, step="1ep"))
    batches = ((X[:4], Y[:4]) for _ in range(3))
    with pytest.raises(kpl.InvalidScheduleError, match="how many steps an epoch has"):
        model.fit(batches, shuffle=False, verbose=0, callbacks=[kpl.callbacks.UpdateMasks()])
    with pytest.raises(kpl.InvalidScheduleError, match="at least one step apart"):
        kpl.callbacks.UpdateMasks(frequency=0)
