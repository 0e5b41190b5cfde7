"""Rewinding: weights, optimizer and learning rate as they were, round after round."""

from __future__ import annotations

import copy
import math
import pickle
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_prunelab as kpl
from tests.keras_prunelab.sparse_training import (
    ON_TORCH,
    STEPS,
    Array,
    Cut,
    Probe,
    assert_same_weights,
    assert_untouched,
    kernels,
    make_data,
    make_model,
    train,
)

pytestmark = pytest.mark.backends

PEAK, LENGTH = 0.02, 40


def cosine() -> keras.optimizers.schedules.LearningRateSchedule:
    return keras.optimizers.schedules.CosineDecay(PEAK, LENGTH)


def rate_at(step: int) -> float:
    """The same in NumPy."""
    return PEAK * (1 + math.cos(math.pi * min(step, LENGTH) / LENGTH)) / 2


def rounds(begin: int = 7, number: int = 3) -> kpl.schedules.Iterative:
    """The masks change before step 7, 13, 19: at the beginning of the second, third and fourth epoch."""
    return kpl.schedules.Iterative(0.5, rounds=number, frequency=STEPS, begin_step=begin)


class States(keras.callbacks.Callback):
    """All weights and moments at the beginning of every batch."""

    def __init__(self) -> None:
        super().__init__()
        self.weights: list[list[Array]] = []
        self.moments: list[list[Array]] = []

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.weights.append([np.array(array) for array in self.model.get_weights()])
        optimizer = self.model.optimizer
        moments = [*optimizer._momentums, *optimizer._velocities]
        self.moments.append([np.array(keras.ops.convert_to_numpy(moment)) for moment in moments])


@pytest.mark.parametrize("order", [1, -1], ids=["rewind last", "rewind first"])
@pytest.mark.parametrize("to", [0, 4, "0.5ep"])
def test_everything_is_as_it_was(to: int | str, order: int) -> None:
    model, states, probe = make_model(), States(), Probe()
    prune = kpl.callbacks.Prune(rounds())
    callbacks = [prune, kpl.callbacks.Rewind(to)][::order]
    train(model, *callbacks, states, probe)
    then = {0: 0, 4: 4, "0.5ep": 3}[to]
    for begin, share in ((6, 0.5), (12, 0.75), (18, 0.875)):
        for now, remembered in zip(states.weights[begin], states.weights[then], strict=True):
            gone = (now == 0) & (remembered != 0)
            np.testing.assert_array_equal(now[~gone], remembered[~gone])
            assert gone.any() == (now.ndim == 2)  # kernels only
        pruned = {now.shape: now == 0 for now in states.weights[begin] if now.ndim == 2}
        for now, remembered in zip(states.moments[begin], states.moments[then], strict=True):
            np.testing.assert_array_equal(now, np.where(pruned.get(now.shape, False), 0, remembered))
        for step in range(begin, begin + STEPS):
            gone = sum(np.count_nonzero(value == 0) for value in probe.kernels[step].values())
            assert gone == math.floor(share * sum(value.size for value in probe.kernels[step].values()) + 0.5)
    assert prune.after_update == []


@pytest.mark.parametrize(
    "make",
    [
        lambda: keras.optimizers.Adam(cosine()),
        lambda: keras.optimizers.AdamW(cosine(), weight_decay=0.1, use_ema=True, ema_overwrite_frequency=4),
        lambda: keras.optimizers.Nadam(0.01),
        lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(cosine()), initial_scale=4.0),
        lambda: keras.optimizers.Adam(cosine(), gradient_accumulation_steps=2),
    ],
    ids=["adam", "averages", "nadam", "scaled", "accumulated"],
)
def test_training_goes_on_as_from_there(make: Any) -> None:
    """From a round on, the run is the one of a new model with the first weights and the masks of the round."""
    model = make_model(make())
    accumulated = getattr(model.optimizer, "gradient_accumulation_steps", None) or 1
    probe, masks, steps = Probe(), [], STEPS // accumulated
    prune = kpl.callbacks.Prune(kpl.schedules.OneShot(0.6, step=steps + 1))
    prune.after_update.append(lambda _, now: masks.append(now))
    train(model, prune, kpl.callbacks.Rewind(0), probe, epochs=3)
    fresh, expected = make_model(make()), Probe()
    paths = [item.path for item in kpl.prunable(fresh)]
    ticket = kpl.MaskSet(dict(zip(paths, masks[0].values(), strict=True)))
    train(fresh, kpl.callbacks.Prune(0.6, masks=ticket), expected, epochs=2)
    assert len(masks) == 1
    # With accumulated gradients the step under way is finished first.
    for found, wanted in zip(probe.kernels[STEPS:][accumulated - 1 :], expected.kernels, strict=False):
        for name, value in wanted.items():
            np.testing.assert_array_equal(found[name] == 0, value == 0)
            if accumulated == 1:
                np.testing.assert_allclose(found[name], value, rtol=2e-4, atol=1e-6)
    assert int(model.optimizer.iterations) == 3 * steps


def test_accumulated_gradients_go_back_between_two_steps() -> None:
    optimizer = keras.optimizers.SGD(cosine(), momentum=0.9, gradient_accumulation_steps=3)
    model, states, begin = make_model(optimizer), [], kernels(make_model())

    class Kernels(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            states.append((kernels(self.model), float(self.model.optimizer.learning_rate)))

    # The masks change before step 4 is done: at its third batch of three, number 11. It goes back before number 12.
    prune = kpl.callbacks.Prune(kpl.schedules.OneShot(0.6, step=4))
    train(model, prune, kpl.callbacks.Rewind(0), Kernels())
    assert (states[11][0]["hidden"] == 0).any()
    for number, back in ((11, False), (12, True)):
        for name, value in states[number][0].items():
            assert np.array_equal(value, begin[name] * (value != 0)) is back
    assert [rate for _, rate in states] == pytest.approx([rate_at(step) for step in [*range(12), *range(12)]])


@pytest.mark.parametrize("to", [0, 3, "0.5ep"])
@pytest.mark.parametrize("what", ["weights", "learning_rate"])
def test_the_rate_follows_its_schedule_anew(what: Any, to: int | str) -> None:
    model = make_model(keras.optimizers.SGD(cosine()))
    probe, states = Probe(rate=True), []

    class Weights(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            states.append([np.array(array) for array in self.model.get_weights()])

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            states[-1] += [np.array(array) for array in self.model.get_weights()]

    train(model, kpl.callbacks.Prune(rounds()), kpl.callbacks.Rewind(to, what), probe, Weights())
    then = 0 if to == 0 else 3
    steps = [*range(6), *(then + step for step in range(6)), *(then + step for step in range(6))]
    steps += [then + step for step in range(6)]
    expected = [rate_at(step) for step in steps]
    assert probe.rates == pytest.approx(expected, rel=1e-5)
    assert int(model.optimizer.iterations) == 24
    assert float(model.optimizer.learning_rate) == pytest.approx(rate_at(24))  # nothing of it is left
    # The train step used these: SGD moves the bias of the last layer by rate times gradient, here by hand.
    inputs, labels = make_data()
    for number in (1, 8, 14, 20):
        half = len(states[number]) // 2
        before, after = states[number][:half], states[number][half:]
        batch = slice(number % STEPS * 8, number % STEPS * 8 + 8)
        slope = bias_slope([array.astype(np.float64) for array in before], inputs[batch], labels[batch])
        np.testing.assert_allclose(after[-1] - before[-1], -expected[number] * slope, rtol=2e-3, atol=1e-7)


def bias_slope(weights: list[Array], inputs: Array, labels: Array) -> Array:
    """The gradient of the mean squared error with respect to the last bias, in NumPy."""
    kernel, bias, gamma, beta, _, _, last, offset = weights
    hidden = np.tanh(inputs @ kernel + bias)
    features = (hidden - hidden.mean(axis=0)) / np.sqrt(hidden.var(axis=0) + 1e-3) * gamma + beta
    slope: Array = 2 * (features @ last + offset - labels[:, :3]).sum(axis=0) / labels.size
    return slope


def test_only_the_rate_goes_back() -> None:
    one, other = make_model(keras.optimizers.SGD(0.01)), make_model(keras.optimizers.SGD(Flat()))
    train(one, kpl.callbacks.Prune(rounds()))
    train(other, kpl.callbacks.Prune(rounds()), kpl.callbacks.Rewind(0, "learning_rate"))
    assert_same_weights(one, other)


@keras.saving.register_keras_serializable("test_rewind")
class Flat(keras.optimizers.schedules.LearningRateSchedule):
    def __call__(self, step: Any) -> Any:
        return keras.ops.cast(0.01, "float32")

    def get_config(self) -> dict[str, Any]:
        return {}


@pytest.mark.parametrize("what", ["weights", "learning_rate"])
@pytest.mark.parametrize("cut", [1, 2, 3])
def test_resumed_is_as_if_uncut(tmp_path: Path, cut: int, what: Any) -> None:
    def callbacks() -> list[keras.callbacks.Callback]:
        # Rounds in the middle of the second and third epoch; the weights to remember are those of the middle of the
        # first. After the last cut no round mends what was lost.
        return [kpl.callbacks.Rewind(4, what), kpl.callbacks.Prune(rounds(begin=9, number=2))]

    uncut, model, again = (make_model(keras.optimizers.Adam(cosine())) for _ in range(3))
    train(uncut, *callbacks())
    with pytest.raises(KeyboardInterrupt):
        train(model, keras.callbacks.BackupAndRestore(tmp_path), *callbacks(), Cut(cut))
    train(again, *callbacks(), keras.callbacks.BackupAndRestore(tmp_path))
    assert_same_weights(again, uncut)


def test_an_interrupted_model_can_be_trained_again() -> None:
    model = make_model(keras.optimizers.Adam(cosine()))
    callbacks = [kpl.callbacks.Prune(rounds()), kpl.callbacks.Rewind(2)]
    with pytest.raises(KeyboardInterrupt):
        train(model, *callbacks, Cut(2))
    train(model, *callbacks, initial_epoch=2)
    uncut = make_model(keras.optimizers.Adam(cosine()))
    train(uncut, kpl.callbacks.Prune(rounds()), kpl.callbacks.Rewind(2))
    assert_same_weights(model, uncut)
    assert_untouched(model, model.get_weights())
    assert callbacks[0].after_update == []  # type: ignore[attr-defined]


def test_checkpoints_load_in_plain_keras(tmp_path: Path) -> None:
    model = make_model(keras.optimizers.Adam(cosine()))
    path, plain = tmp_path / "model.keras", make_model(keras.optimizers.Adam(cosine()))
    callbacks = [kpl.callbacks.Prune(rounds()), kpl.callbacks.Rewind(2), keras.callbacks.ModelCheckpoint(path)]
    train(model, *callbacks)
    loaded = keras.saving.load_model(path)  # a warning would be an error
    assert_same_weights(loaded, model)
    assert int(loaded.optimizer.iterations) == 24
    assert float(loaded.optimizer.learning_rate) == pytest.approx(rate_at(24))
    train(plain, epochs=1)
    assert len(loaded.optimizer.variables) == len(plain.optimizer.variables)
    moments = [keras.ops.convert_to_numpy(moment) for moment in loaded.optimizer._momentums]
    assert all(np.abs(moment).max() > 0 for moment in moments)
    train(loaded, epochs=1)


@pytest.mark.parametrize(
    "arguments",
    [{"jit_compile": False}, {} if ON_TORCH else {"steps_per_execution": 4}],
    ids=["without jit", "executions"],
)
def test_compiled_or_not(arguments: dict[str, Any]) -> None:
    """Executions end after 4, 6, 10, 12 ... batches: the first round changes the masks after 6."""
    model, states = make_model(keras.optimizers.Adam(cosine()), **arguments), States()
    schedule = rounds(begin=9)
    train(model, kpl.callbacks.Prune(schedule), kpl.callbacks.Rewind(4), states)
    executions = "steps_per_execution" in arguments
    index, then = (2, 1) if executions else (8, 4)
    for now, remembered in zip(states.weights[index], states.weights[then], strict=True):
        gone = (now == 0) & (remembered != 0)
        np.testing.assert_array_equal(now[~gone], remembered[~gone])
        assert gone.any() == (now.ndim == 2)


@pytest.mark.parametrize(
    ("callbacks", "error", "message"),
    [
        (lambda: [kpl.callbacks.Rewind()], kpl.InvalidScheduleError, r"same list of callbacks; there is none"),
        (
            lambda: [kpl.callbacks.SET(0.5, frequency=2), kpl.callbacks.Rewind()],
            kpl.InvalidScheduleError,
            r"there is a SET",
        ),
        (
            lambda: [kpl.callbacks.Prune(rounds()), kpl.callbacks.Rewind(7)],
            kpl.InvalidScheduleError,
            r"prunes before step 8, the first after to='7'",
        ),
        (
            lambda: [kpl.callbacks.Rewind("2ep"), kpl.callbacks.Prune(rounds())],
            kpl.InvalidScheduleError,
            r"to='2ep'",
        ),
        (
            lambda: [kpl.callbacks.Prune(rounds()), kpl.callbacks.Rewind(0, "learning_rate")],
            kpl.InvalidModelError,
            r"the optimizer has none",
        ),
        (
            lambda: [
                kpl.callbacks.Rewind(),
                *(kpl.callbacks.Prune(rounds(), include=each) for each in ("hidden", "out")),
            ],
            kpl.InvalidScheduleError,
            r"rounds of one Prune",
        ),
        (
            lambda: [kpl.callbacks.Rewind(), kpl.callbacks.Prune(rounds(), exclude="nowhere")],
            kpl.UnknownNameError,
            r"nowhere",
        ),
    ],
    ids=["alone", "grows", "too late", "too late in epochs", "no schedule", "two of them", "the other fails"],
)
def test_errors_come_before_the_first_batch(callbacks: Any, error: type[Exception], message: str) -> None:
    model = make_model()
    before = model.get_weights()
    with pytest.raises(error, match=message):
        train(model, *callbacks())
    assert_untouched(model, before)


def test_what_is_past_is_refused() -> None:
    model = make_model()
    train(model, epochs=1)
    before = model.get_weights()
    with pytest.raises(kpl.InvalidModelError, match=r"has made 6 steps already.*to='5' is not known"):
        train(model, kpl.callbacks.Prune(rounds()), kpl.callbacks.Rewind(5))
    assert_untouched(model, before)
    train(model, kpl.callbacks.Prune(rounds(begin=9)), kpl.callbacks.Rewind(6))


def test_arguments_are_checked() -> None:
    with pytest.raises(kpl.UnknownNameError, match=r"what='rate'"):
        kpl.callbacks.Rewind(what="rate")  # type: ignore[arg-type]
    with pytest.raises(kpl.InvalidScheduleError, match=r"'soon' is no moment"):
        kpl.callbacks.Rewind("soon")


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))])  # noqa: S301
def test_copies_of_the_callback(copied: Any) -> None:
    first = rounds(number=1)
    model, whole = make_model(), make_model()
    train(whole, kpl.callbacks.Prune(first), kpl.callbacks.Rewind(2))
    train(model, kpl.callbacks.Prune(first), rewind := copied(kpl.callbacks.Rewind(2)))
    assert_same_weights(model, whole)
    copied(rewind)
