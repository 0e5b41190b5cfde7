"""What users do wrong, what goes wrong for them, and what else stands in their list of callbacks."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import keras_prunelab as kpl

from .training import BATCH, ROWS, SCHEDULE, L, Probe, array, compiled, data, dense, expected_zeros, slots_at_zeros

pytestmark = [
    pytest.mark.backends,
    # Most schedules here are made to end after the training, so that it can be cut anywhere.
    pytest.mark.filterwarnings("ignore:Training ends at step:keras_prunelab.PruningWarning"),
]

X, Y = data()
STEPS = ROWS // BATCH
O = keras.optimizers  # noqa: E741
Prune, PruningSummary = kpl.callbacks.Prune, kpl.callbacks.PruningSummary
TOTAL = 12 * 16 + 16 * 4


def fit(model: keras.Model, *callbacks: keras.callbacks.Callback, **options: Any) -> None:
    model.fit(X, Y, BATCH, verbose=0, callbacks=list(callbacks), **options)


def state(model: keras.Model) -> tuple[list[np.ndarray], set[str], list[str]]:
    """All weights, and what the optimizer has as attributes and as variables."""
    optimizer = model.optimizer
    weights = [array(weight).copy() for weight in model.weights]
    return weights, set(vars(optimizer)), [variable.path for variable in optimizer.variables]


def assert_free(model: keras.Model) -> None:
    """Nothing of a callback is left: the optimizer is as Keras made it, and a plain `fit` moves every weight."""
    kept = {"pruning", "rewinding", "apply", "save_own_variables", "load_own_variables"}
    assert not vars(model.optimizer).keys() & kept
    assert all("_mask" not in variable.path for variable in model.optimizer.variables)
    assert all(weight.constraint is None for weight in model.trainable_weights)


def steps_to(batches: int) -> list[int]:
    return [expected_zeros(SCHEDULE, step, TOTAL) for step in range(1, batches + 1)]


def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for start in range(0, ROWS, BATCH):
        yield X[start : start + BATCH], Y[start : start + BATCH]


class Break(keras.callbacks.Callback):
    """Ends `fit` with an error."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch == 2:
            raise self.error


# Errors before the first batch ---------------------------------------------------------------------------------------

MASKS = kpl.MaskSet({"elsewhere": np.ones((2, 2), np.bool_)})
LATE = kpl.schedules.Polynomial(0.0, 0.5, begin_step="2ep", end_step=5)
REFUSED: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "rows of another length": (lambda: Prune(0.5, granularity="2:5"), kpl.InvalidSparsityError, r"divides by 5"),
    "more than a pattern has": (lambda: Prune(0.9, granularity="2:4"), kpl.InvalidSparsityError, r"from 0 to 0\.5"),
    "no such layer": (lambda: Prune(0.5, include="nothing"), kpl.UnknownNameError, r"include='nothing' matches no"),
    "a filter of nothing": (lambda: Prune(0.5, include=lambda _: False), kpl.NothingToPruneError, r"no weight"),
    "everything left out": (lambda: Prune(0.5, exclude="*"), kpl.NothingToPruneError, r"matches exclude="),
    "no such scope": (lambda: Prune(0.5, scope="model"), kpl.UnknownNameError, r"scope='model'"),  # type: ignore[arg-type]
    "no such granularity": (lambda: Prune(0.5, granularity="2x"), kpl.UnknownNameError, r"granularity='2x'"),
    "a score without data": (lambda: Prune(0.5, "snip"), kpl.InvalidDataError, r"'snip' needs data"),
    "an end before the beginning": (lambda: Prune(LATE), kpl.InvalidScheduleError, r"ends at step 5"),
    "masks of another model": (lambda: Prune(0.5, masks=MASKS), kpl.InvalidMaskError, r"'elsewhere'"),
    "a summary of nothing": (lambda: PruningSummary(include="nothing"), kpl.UnknownNameError, r"include='nothing'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_before_anything_is_changed(name: str) -> None:
    make, error, message = REFUSED[name]
    model = compiled(dense())
    model.optimizer.build(model.trainable_variables)
    weights, attributes, variables = state(model)
    with pytest.raises(error, match=message):
        fit(model, make())
    after = state(model)
    for one, other in zip(after[0], weights, strict=True):
        assert_array_equal(one, other)
    assert after[1:] == (attributes, variables)
    fit(model)
    assert kpl.sparsity(model) == 0


@pytest.mark.parametrize("value", [1.0, -0.1, 1.5, float("nan"), True, None, "half", [0.5], {"hidden": 0.5}])
def test_what_is_no_sparsity(value: Any) -> None:
    with pytest.raises((kpl.InvalidSparsityError, kpl.UnknownNameError), match=r"(?s)."):
        Prune(value)


def test_weights_that_are_not_numbers() -> None:
    model = compiled(dense())
    weights = model.get_weights()
    weights[0][3, 3] = np.nan
    model.set_weights(weights)
    with pytest.raises(kpl.InvalidModelError, match=r"hidden/kernel has 1 values that are NaN"):
        fit(model, Prune(0.5))
    assert_free(model)
    fit(model, Prune(0.5, exclude="hidden"), epochs=0)


def test_a_model_without_weights_to_prune() -> None:
    model = keras.Sequential([keras.Input((12,)), L.BatchNormalization()])
    model.compile("sgd", "mse")
    for callback in (Prune(0.5), PruningSummary()):
        with pytest.raises(kpl.NothingToPruneError, match=r"no weight to prune"):
            model.fit(X, X, BATCH, verbose=0, callbacks=[callback])
        assert_free(model)
    model.fit(X, X, BATCH, verbose=0)


def test_epochs_of_unknown_length() -> None:
    model = compiled(dense())
    with pytest.raises(kpl.InvalidScheduleError, match=r"'1ep' counts epochs"):
        model.fit(batches(), shuffle=False, verbose=0, callbacks=[Prune(kpl.schedules.OneShot(0.5, step="1ep"))])
    assert_free(model)


def test_two_callbacks_for_the_same_weights() -> None:
    model = compiled(dense())
    prune = Prune(0.5)
    for other in (prune, Prune(0.75, include="hidden"), kpl.callbacks.SET(0.5, frequency=1, end_step=9)):
        with pytest.raises(kpl.InvalidModelError, match=r"Two callbacks .* 'sequential\S*/hidden/kernel'"):
            fit(model, prune, other)
        fit(model)
    fit(model, prune)
    assert_free(model)
    assert kpl.sparsity(model) == 0.5


# Errors in the midst -------------------------------------------------------------------------------------------------


def _not_finite(context: kpl.scores.ScoreContext) -> dict[str, np.ndarray]:
    return {path: np.full(value.shape, np.nan) for path, value in context.values.items()}


def _broken(context: kpl.scores.ScoreContext) -> dict[str, np.ndarray]:
    raise LookupError("as users' functions do")


@pytest.mark.parametrize(("score", "error"), [(_not_finite, kpl.PruneLabError), (_broken, LookupError)])
def test_a_score_that_fails(score: Any, error: type[Exception]) -> None:
    model = compiled(dense(), O.Muon(0.01))
    with pytest.raises(error, match=r"(?s)."):
        fit(model, Prune(kpl.schedules.OneShot(0.5, step=3), score))
    assert_free(model)


@pytest.mark.parametrize("optimizer", [O.Adam, O.Muon])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("out of memory")], ids=["interrupt", "error"])
def test_an_interrupted_fit_and_a_new_one(error: BaseException, optimizer: type[O.Optimizer]) -> None:
    model = compiled(dense(), optimizer(0.01))
    prune, out = Prune(0.5, include="hidden"), Prune(0.25, include="out")
    with pytest.raises(type(error)):
        fit(model, prune, out, Break(error))
    weights = model.get_weights()
    _refill(model, weights)
    probe = Probe(again := Prune(0.75))
    fit(model, again, probe)
    assert probe.zeros == [192] * STEPS
    assert_free(model)
    fit(model)
    assert kpl.sparsity(model) < 0.75


@pytest.mark.parametrize("optimizer", [O.Adam, O.Muon])
def test_compiled_anew_after_an_interruption(optimizer: type[O.Optimizer]) -> None:
    model = compiled(dense(), optimizer(0.01))
    prune = Prune(0.5)
    with pytest.raises(KeyboardInterrupt):
        fit(model, prune, Break(KeyboardInterrupt()))
    compiled(model, optimizer(0.01))
    assert_free(model)
    weights = dense(2).get_weights()
    _refill(model, weights)
    fit(model)
    assert kpl.sparsity(model) == 0
    fit(model, prune)
    assert kpl.sparsity(model) == 0.5
    assert_free(model)


def _refill(model: keras.Model, weights: list[np.ndarray]) -> None:
    # On JAX an interrupted fit leaves arrays that its step has consumed.
    for variable, value in zip(model.weights, weights, strict=True):
        variable.assign(value)


# Data, and ways to train ---------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning")  # how Keras learns the length
def test_generators_without_a_length() -> None:
    model = compiled(dense())
    prune = Prune(SCHEDULE)
    probe = Probe(prune)
    model.fit(batches(), shuffle=False, verbose=0, callbacks=[prune, probe])
    assert probe.zeros == steps_to(STEPS)


def test_weights_of_samples_and_classes_and_validation() -> None:
    model = compiled(dense())
    prune = Prune(SCHEDULE)
    probe = Probe(prune)
    weights = {index: index + 1.0 for index in range(4)}
    fit(model, prune, probe, validation_split=0.25, class_weight=weights)  # five batches
    fit(model, prune, probe, validation_data=(X, Y), sample_weight=np.linspace(0, 1, ROWS))
    assert probe.zeros == steps_to(5 + STEPS)


def test_no_epochs_and_later_epochs() -> None:
    model = compiled(dense())
    fit(model, Prune(SCHEDULE), epochs=0)
    assert kpl.sparsity(model) == 0
    assert_free(model)
    prune = Prune(SCHEDULE)
    probe = Probe(prune)
    fit(model, prune, probe, epochs=3, initial_epoch=2)
    assert probe.zeros == steps_to(STEPS)


def test_single_batches_between_two_fits() -> None:
    model = compiled(dense(), O.AdamW(0.01))
    prune = Prune(0.5)
    fit(model, prune)
    model.train_on_batch(X[:BATCH], Y[:BATCH])
    assert kpl.sparsity(model) < 0.5
    probe = Probe(prune)
    fit(model, prune, probe)
    assert probe.zeros == [128] * STEPS


def test_evaluating_and_predicting_leave_nothing_behind() -> None:
    model = compiled(dense())
    prune = Prune(0.5)
    fit(model, prune)
    model.evaluate(X, Y, verbose=0, callbacks=[prune, PruningSummary()])
    model.predict(X, verbose=0, callbacks=[prune])
    assert_free(model)


def test_another_optimizer_between_two_fits() -> None:
    """It has made no steps, so the schedule counts anew; but what is pruned stays pruned."""
    model = compiled(dense())
    prune = Prune(SCHEDULE)
    first, second = Probe(prune), Probe(prune)
    fit(model, prune, first, epochs=1)
    compiled(model, O.RMSprop(0.01))
    fit(model, prune, second, epochs=2)
    assert first.zeros == steps_to(STEPS)
    assert second.zeros == [max(first.zeros[-1], zeros) for zeros in steps_to(2 * STEPS)]


def test_other_weights_between_two_fits() -> None:
    """Weights that are not as sparse as the last fit left them begin anew."""
    model = compiled(dense())
    before = model.get_weights()
    prune = Prune(SCHEDULE)
    fit(model, prune, epochs=2)
    compiled(model)
    model.set_weights(before)
    probe = Probe(prune)
    fit(model, prune, probe, epochs=2)
    assert probe.zeros == steps_to(2 * STEPS)


def test_layers_frozen_between_two_fits() -> None:
    model = compiled(dense())
    prune = Prune(SCHEDULE)
    fit(model, prune)
    model.get_layer("hidden").trainable = False
    compiled(model)
    kept = array(model.get_layer("hidden").kernel).copy()
    fit(model, prune, epochs=2)
    assert_array_equal(array(model.get_layer("hidden").kernel), kept)
    assert kpl.sparsity(model, exclude="hidden") == 0.875


def test_one_callback_for_two_models() -> None:
    prune = Prune(SCHEDULE)
    fit(compiled(dense()), prune, epochs=2)
    other = compiled(keras.Sequential([keras.Input((12,)), L.Dense(4)]))
    fit(other, prune, epochs=2)
    assert kpl.sparsity(other) == 42 / 48


def test_two_callbacks_for_different_weights() -> None:
    model = compiled(dense(), O.Muon(0.01))
    hidden, out = Prune(0.5, include="hidden"), Prune(SCHEDULE, include="out")
    fit(model, hidden, out, epochs=2)
    assert [np.mean(array(layer.kernel) == 0) for layer in model.layers] == [0.5, 0.875]
    assert_free(model)


# Optimizers, layers and types ----------------------------------------------------------------------------------------


class Drifting(O.Optimizer):
    """Moves every weight at every step, whatever its gradient; its state stands in a dict and in a list."""

    def build(self, variables: Any) -> None:
        if not self.built:
            super().build(variables)
            self.moments = self.add_optimizer_variables(variables, "moment")

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        moment = self.moments[self._get_variable_index(variable)]
        self.assign(moment, keras.ops.add(moment, keras.ops.add(gradient, 0.1)))
        self.assign_sub(variable, keras.ops.multiply(keras.ops.cast(learning_rate, variable.dtype), moment))


def test_an_optimizer_of_ones_own() -> None:
    model = compiled(dense(), Drifting(0.01))
    prune = Prune(SCHEDULE)
    probe = Probe(prune)
    fit(model, prune, probe, epochs=2)
    assert probe.zeros == steps_to(2 * STEPS)
    assert prune.masks is not None
    assert set(slots_at_zeros(model.optimizer, prune.masks, model).values()) == {0.0}


def test_a_constraint_holds_for_what_is_kept() -> None:
    """Unit norm is lost where zeros are written after it: Muon moves every weight."""
    keras.utils.set_random_seed(0)
    hidden = L.Dense(16, kernel_constraint="unit_norm")
    model = compiled(keras.Sequential([keras.Input((12,)), hidden, L.Dense(4)]), O.Muon(0.05))
    fit(model, Prune(0.5, include="dense*", scope="layer"))
    kernel = array(hidden.kernel)
    assert np.count_nonzero(kernel == 0) == 96
    np.testing.assert_allclose(np.linalg.norm(kernel, axis=0), 1, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_types_of_numbers(dtype: str) -> None:
    if dtype == "float64" and keras.config.backend() == "jax":
        pytest.skip("JAX has no float64 unless it is told so before it runs")
    keras.utils.set_random_seed(1)
    layers = [L.Dense(16, "relu", dtype=dtype), L.Dense(4, dtype=dtype)]
    model = compiled(keras.Sequential([keras.Input((12,), dtype=dtype), *layers]), O.SGD(0.01, momentum=0.9))
    prune = Prune(SCHEDULE)
    probe = Probe(prune)
    fit(model, prune, probe, PruningSummary(verbose=0), epochs=2)
    assert probe.zeros == steps_to(2 * STEPS)
    assert prune.masks is not None
    assert set(slots_at_zeros(model.optimizer, prune.masks, model).values()) == {0.0}


def test_layers_that_are_quantized() -> None:
    model = dense()
    model.get_layer("hidden").quantize("int8")
    compiled(model)
    fit(model, Prune(0.5))
    assert np.count_nonzero(array(model.get_layer("out").kernel)) == 32


# Copies and files ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))])  # noqa: S301
def test_copies_of_the_callback(copied: Callable[[Prune], Prune]) -> None:
    model = compiled(dense())
    prune = copied(Prune(SCHEDULE))
    fit(model, prune)
    other = copied(prune)
    assert other.masks == prune.masks
    probe = Probe(other)
    fit(model, other, probe)
    assert probe.zeros == steps_to(2 * STEPS)[STEPS:]


class Saving(keras.callbacks.Callback):
    """Saves, loads, clones and copies the model while it is trained."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.sparsities: list[float] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.model.save(self.folder / "model.keras")
        loaded = keras.models.load_model(self.folder / "model.keras")
        assert all("_mask" not in variable.path for variable in loaded.optimizer.variables)
        cloned = keras.models.clone_model(self.model)
        cloned.set_weights(self.model.get_weights())
        self.sparsities += [kpl.sparsity(each) for each in (loaded, cloned, copy.deepcopy(self.model))]


@pytest.mark.parametrize("optimizer", [O.Adam, O.Muon])
def test_saving_while_training(tmp_path: Path, optimizer: type[O.Optimizer]) -> None:
    model = compiled(dense(), optimizer(0.01, use_ema=True))
    saving = Saving(tmp_path)
    fit(model, Prune(0.5), saving, epochs=2)
    assert saving.sparsities == [0.5] * 6
    loaded = keras.models.load_model(tmp_path / "model.keras")
    fit(loaded)
    assert kpl.sparsity(loaded) == 0


# Beside other callbacks ----------------------------------------------------------------------------------------------


def test_beside_the_callbacks_of_keras(tmp_path: Path) -> None:
    model = compiled(dense(), O.SGD(0.1))
    prune, log = Prune(SCHEDULE), tmp_path / "log.csv"
    others = [
        keras.callbacks.CSVLogger(str(log)),
        keras.callbacks.ReduceLROnPlateau("sparsity", mode="max", patience=1),
        keras.callbacks.TerminateOnNaN(),
        keras.callbacks.EarlyStopping("sparsity", mode="max", patience=1),
    ]
    fit(model, PruningSummary(verbose=0), *others, prune, epochs=6)
    header, *rows = (line.split(",") for line in log.read_text().splitlines())
    column = header.index("sparsity")
    expected = [steps_to(epoch * STEPS)[-1] / TOTAL for epoch in (1, 2, 3)]
    assert [float(row[column]) for row in rows] == expected, "it stops an epoch after the last rise"


def test_training_that_diverges() -> None:
    model = compiled(dense(), O.SGD(1e30))
    fit(model, Prune(0.5), keras.callbacks.TerminateOnNaN(), epochs=3)
    assert_free(model)
    model = compiled(dense(), O.SGD(1e30))
    with pytest.raises(kpl.PruneLabError, match=r"NaN or infinite"):
        fit(model, Prune(SCHEDULE), epochs=3)
    assert_free(model)
