from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import keras_prunelab as kpl
from keras_prunelab._backend import _training
from keras_prunelab._training import _enforcement

from .training import BATCH, ROWS, SCHEDULE, L, Probe, array, compiled, data, dense, expected_zeros, slots_at_zeros

pytestmark = [
    pytest.mark.backends,
    # Most schedules here are made to end after the training, so that it can be cut anywhere.
    pytest.mark.filterwarnings("ignore:Training ends at step:keras_prunelab.PruningWarning"),
    # Their layers are so small that some of them lose all weights.
    pytest.mark.filterwarnings("ignore:All weights of:keras_prunelab.PruningWarning"),
]

X, Y = data()
STEPS = ROWS // BATCH
O = keras.optimizers  # noqa: E741


def trained(model: keras.Model, prune: kpl.callbacks.Prune, *callbacks: Any, epochs: int = 3, **options: Any) -> Probe:
    """Fit with a probe before the callback and one after it."""
    before, after = Probe(prune), Probe(prune)
    model.fit(X, Y, BATCH, epochs=epochs, verbose=0, callbacks=[before, prune, *callbacks, after], **options)
    assert before.zeros == after.zeros
    assert before.ends[:-1] == after.ends[:-1]
    return after


OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "sgd": lambda: O.SGD(0.1, momentum=0.9, nesterov=True),
    "adam": lambda: O.Adam(0.01, amsgrad=True),
    "adamw": lambda: O.AdamW(0.01, weight_decay=0.1),
    "rmsprop": lambda: O.RMSprop(0.01, momentum=0.9, centered=True),
    "adagrad": lambda: O.Adagrad(0.1),
    "adadelta": lambda: O.Adadelta(1.0),
    "adamax": lambda: O.Adamax(0.01),
    "nadam": lambda: O.Nadam(0.01),
    "lion": lambda: O.Lion(0.01, weight_decay=0.1),
    "lamb": lambda: O.Lamb(0.01),
    "ftrl": lambda: O.Ftrl(0.1, l1_regularization_strength=0.01),
    "adafactor": lambda: O.Adafactor(0.01),
    "muon": lambda: O.Muon(0.01),
    "clipped": lambda: O.Adam(0.01, global_clipnorm=0.1),
    "accumulating": lambda: O.Adam(0.01, gradient_accumulation_steps=2),
    "averaging": lambda: O.Adam(0.01, use_ema=True, ema_momentum=0.9),
    "overwriting": lambda: O.Muon(0.01, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=2),
    "scaled": lambda: O.LossScaleOptimizer(O.Adam(0.01)),
    "scheduled": lambda: O.Adam(O.schedules.ExponentialDecay(0.1, 3, 0.5)),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_exact_zeros_at_every_batch_with_every_optimizer(name: str) -> None:
    model = compiled(dense(), OPTIMIZERS[name]())
    prune = kpl.callbacks.Prune(SCHEDULE)
    probe = trained(model, prune)
    total = kpl.prunable(model).total
    every = model.optimizer.gradient_accumulation_steps or 1
    expected = [expected_zeros(SCHEDULE, batch // every, total) for batch in range(1, 3 * STEPS + 1)]
    assert probe.zeros == expected
    assert kpl.sparsity(model) == expected[-1] / total
    assert array(model.optimizer.iterations) == 3 * STEPS // every
    assert prune.masks is not None
    leftovers = {path: left for path, left in slots_at_zeros(model.optimizer, prune.masks, model).items() if left}
    assert not leftovers
    # And training went on: what is kept is not what it was.
    assert all(np.isfinite(array(weight)).all() for weight in model.weights)


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="an update is compiled by itself on TensorFlow")
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_update_that_is_compiled_by_itself_does_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ends = []
    for least in (0, 1 << 62):
        monkeypatch.setattr(_training, "_WORTH_COMPILING", least)
        model = compiled(dense(), OPTIMIZERS[name]())
        prune = kpl.callbacks.Prune(SCHEDULE)
        trained(model, prune, epochs=1)
        assert prune.masks is not None
        assert not any(slots_at_zeros(model.optimizer, prune.masks, model).values())
        ends.append((kpl.sparsity(model), [array(weight) for weight in model.weights]))
    assert ends[0][0] == ends[1][0]
    for one, other in zip(ends[0][1], ends[1][1], strict=True):
        # Fused operations round once; optimizers that divide by small moments make more of it.
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="an update is compiled by itself on TensorFlow")
@pytest.mark.parametrize(
    ("name", "is_compiled"),
    [("adam", True), ("scheduled", True), ("clipped", True), ("muon", False), ("averaging", False), ("scaled", False)],
)
def test_only_code_that_is_known_is_compiled(name: str, is_compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(_enforcement, "in_one_pass", lambda update, *_: asked.append(1) or update)
    trained(compiled(dense(), OPTIMIZERS[name]()), kpl.callbacks.Prune(SCHEDULE), epochs=1)
    assert bool(asked) is is_compiled


# torch.compile imports what torch itself has deprecated.
@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")
@pytest.mark.parametrize("jit", [True, False])
@pytest.mark.parametrize("execution", [1, 4])
def test_compiled_or_not_and_several_steps_at_once(jit: bool, execution: int) -> None:
    if keras.config.backend() == "torch":
        if execution > 1:
            pytest.skip("Keras has no steps_per_execution on torch")
        if jit and not any(map(shutil.which, ("g++", "c++", "clang++", "cl"))):
            pytest.skip("torch.compile needs a C++ compiler at run time, and there is none")
    model = compiled(dense(), jit_compile=jit, steps_per_execution=execution)
    prune = kpl.callbacks.Prune(SCHEDULE)
    probe = trained(model, prune)
    total = kpl.prunable(model).total
    ends = [min(STEPS, start + execution) for start in range(0, STEPS, execution)]
    steps = [epoch * STEPS + end for epoch in range(3) for end in ends]
    assert probe.zeros == [expected_zeros(SCHEDULE, step, total) for step in steps]


def test_eager() -> None:
    model = compiled(dense(), run_eagerly=True)
    assert trained(model, kpl.callbacks.Prune(0.5), epochs=1).zeros == [128] * STEPS


def test_steps_are_those_that_the_optimizer_has_made() -> None:
    """A train step of the user's own may make several, so that counting batches is not enough."""

    class Twice(keras.Sequential):
        def train_step(self, *arguments: Any) -> Any:
            if keras.config.backend() == "jax":
                state, data = arguments
                _, state = super().train_step(state, data)
                return super().train_step(state, data)
            super().train_step(*arguments)
            return super().train_step(*arguments)

    keras.utils.set_random_seed(1)
    model = compiled(Twice([keras.Input((12,)), L.Dense(16, "relu", name="hidden"), L.Dense(4, name="out")]))
    schedule = kpl.schedules.Polynomial(0.0, 0.75, end_step=2 * STEPS - 1, frequency=1)
    model.fit(X, Y, BATCH, verbose=0, callbacks=[kpl.callbacks.Prune(schedule)])
    assert array(model.optimizer.iterations) == 2 * STEPS
    assert kpl.sparsity(model) == 0.75


def test_a_function_traced_before_sees_the_masks() -> None:
    model = compiled(dense())
    model.fit(X, Y, BATCH, epochs=1, verbose=0)
    model.train_on_batch(X[:BATCH], Y[:BATCH])
    probe = trained(model, kpl.callbacks.Prune(0.5))
    assert set(probe.zeros) == {128}
    model.fit(X, Y, BATCH, epochs=1, verbose=0)
    assert kpl.sparsity(model) < 0.5, "after the callback's fit nothing holds the zeros any more"


def test_nothing_is_left_behind_but_zeros() -> None:
    model = compiled(dense())
    model.fit(X, Y, BATCH, verbose=0)
    attributes = set(vars(model.optimizer))
    names = [variable.path for variable in model.optimizer.variables]
    trained(model, kpl.callbacks.Prune(0.5))
    assert set(vars(model.optimizer)) == attributes
    assert [variable.path for variable in model.optimizer.variables] == names
    assert all(weight.constraint is None for weight in model.trainable_weights)


def test_a_constraint_of_the_users_stays_in_force() -> None:
    keras.utils.set_random_seed(0)
    hidden = L.Dense(16, kernel_constraint="non_neg")
    model = compiled(keras.Sequential([keras.Input((12,)), hidden, L.Dense(4)]), O.SGD(0.1))
    trained(model, kpl.callbacks.Prune(0.5))
    assert array(hidden.kernel).min() == 0
    assert hidden.kernel.constraint is hidden.kernel_constraint


class AwayFromZero(keras.constraints.Constraint):
    """Moves every weight to 0.5 or above, pruned ones too."""

    def __call__(self, w: Any) -> Any:
        return keras.ops.abs(w) + 0.5


@pytest.mark.parametrize("name", ["sgd", "adam", "muon"])
def test_a_constraint_that_moves_zeros_leaves_the_pruned_ones_at_zero(name: str) -> None:
    keras.utils.set_random_seed(0)
    hidden = L.Dense(16, kernel_constraint=AwayFromZero())
    model = compiled(keras.Sequential([keras.Input((12,)), hidden, L.Dense(4)]), keras.optimizers.get(name))
    probe = trained(model, kpl.callbacks.Prune(0.5), epochs=1)
    total = kpl.prunable(model).total
    assert probe.zeros == [total // 2] * STEPS  # and Probe looks at the weights themselves
    kernel = array(hidden.kernel)
    assert ((kernel == 0) | (kernel >= 0.5)).all()
    assert 0 < np.count_nonzero(kernel) < kernel.size


def test_zeros_of_weights_that_are_trained_are_no_masks() -> None:
    """A model that was trained without pruning, and whose weights were set to zero since: Adam's moments tell."""
    model = compiled(dense())
    model.fit(X, Y, BATCH, verbose=0)
    for item in kpl.prunable(model):
        value = item.value()
        item.variable.assign(np.where(np.arange(value.size).reshape(value.shape) % 4 > 0, 0, value))
    total = kpl.prunable(model).total
    assert kpl.sparsity(model) == 0.75
    prune = kpl.callbacks.Prune(0.5)
    assert trained(model, prune, epochs=1).zeros == [total // 2] * STEPS


def test_masked_training_is_training_of_the_masked_network() -> None:
    """With fixed masks and plain gradient descent: the same as NumPy, where masks are factors of the gradient."""
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((12,)), L.Dense(3, use_bias=False)])
    model.compile(O.SGD(0.1), "mse")
    x = np.random.default_rng(1).normal(size=(40, 12)).astype("float32")
    y = np.random.default_rng(2).normal(size=(40, 3)).astype("float32")
    weights = array(model.weights[0]).astype("float64")
    ranked = np.argsort(np.abs(weights).ravel(), kind="stable")
    mask = np.ones(36)
    mask[ranked[:18]] = 0
    mask = mask.reshape(12, 3)
    weights *= mask
    for start in range(0, 40, 8):
        batch, target = x[start : start + 8].astype("float64"), y[start : start + 8]
        slope = 2 / (8 * 3) * batch.T @ (batch @ weights - target)
        weights -= 0.1 * mask * slope
    model.fit(x, y, 8, shuffle=False, verbose=0, callbacks=[kpl.callbacks.Prune(0.5)])
    np.testing.assert_allclose(array(model.weights[0]), weights, atol=1e-6)
    assert_array_equal(array(model.weights[0]) == 0, mask == 0)


def test_mixed_precision_with_steps_that_overflow() -> None:
    model = dense()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        keras.utils.set_random_seed(0)
        parts = [keras.Input((12,)), L.Dense(16, "relu"), L.Dense(4, dtype="float32")]
        model = keras.Sequential(parts)
    finally:
        keras.config.set_dtype_policy("float32")
    scaled = O.LossScaleOptimizer(O.Adam(0.01), initial_scale=2.0**40)  # the first steps are skipped
    compiled(model, scaled)
    schedule = kpl.schedules.Polynomial(0.0, 0.75, end_step=6, frequency=1)
    probe = trained(model, kpl.callbacks.Prune(schedule), epochs=6)
    assert 0 < array(scaled.inner_optimizer.iterations) < 6 * STEPS
    assert probe.zeros == sorted(probe.zeros)
    assert kpl.sparsity(model) == 0.75
    moments = [variable for variable in scaled.variables if tuple(variable.shape) == (12, 16)]
    assert any(array(variable).dtype.kind == "f" for variable in moments)


def test_several_optimizers() -> None:
    model = dense()
    compiled(model, O.MultiOptimizer(O.OptimizerMap(O.AdamW(0.01), {".*hidden.*": O.SGD(0.1, momentum=0.9)})))
    probe = trained(model, kpl.callbacks.Prune(SCHEDULE))
    total = kpl.prunable(model).total
    assert probe.zeros == [expected_zeros(SCHEDULE, step, total) for step in range(1, 3 * STEPS + 1)]
    kept = [variable for optimizer in model.optimizer.optimizers for variable in optimizer.variables]
    for item, slots in zip(kpl.prunable(model), (1, 2), strict=True):  # a momentum, and two moments of AdamW
        found = [array(each) for each in kept if tuple(each.shape) == item.shape and "bool" not in str(each.dtype)]
        assert len(found) == slots
        assert not any(value[array(item.variable) == 0].any() for value in found)


def test_swapping_averages_in_for_validation() -> None:
    model = compiled(dense(), O.Adam(0.01, use_ema=True, ema_momentum=0.5))
    prune = kpl.callbacks.Prune(SCHEDULE)
    trained(model, prune, keras.callbacks.SwapEMAWeights(swap_on_epoch=True), validation_data=(X, Y))
    assert kpl.sparsity(model) == 0.875


def test_the_best_weights_of_an_earlier_epoch_stay_sparse() -> None:
    model = compiled(dense(), O.SGD(1.0))
    prune = kpl.callbacks.Prune(SCHEDULE)
    stopping = keras.callbacks.EarlyStopping("loss", restore_best_weights=True, patience=100)
    model.fit(X, Y, BATCH, epochs=3, verbose=0, callbacks=[stopping, prune])
    assert kpl.sparsity(model) >= 0.875


# Architectures ---------------------------------------------------------------------------------------------------


def _nested() -> keras.Model:
    inner = keras.Sequential([keras.Input((12,)), L.Dense(8, "relu", name="inside")], name="inner")
    tensor = keras.Input((12,))
    shared = L.Dense(12, name="shared")
    return keras.Model(tensor, L.Dense(4)(inner(shared(shared(tensor)))))


class Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = L.Dense(8, "relu"), L.Dense(4)

    def build(self, shape: Any) -> None:
        self.first.build(shape)
        self.second.build((*shape[:-1], 8))

    def call(self, inputs: Any) -> Any:
        return self.second(self.first(inputs))


def _subclassed() -> keras.Model:
    model = Subclassed()
    model.build((None, 12))
    return model


def _sequence(*layers: Any) -> keras.Model:
    return keras.Sequential([keras.Input((12,)), L.Reshape((4, 3)), *layers, L.Flatten(), L.Dense(4)])


def _attention() -> keras.Model:
    tensor = keras.Input((12,))
    sequence = L.Reshape((4, 3))(tensor)
    seen = L.MultiHeadAttention(2, 4)(sequence, sequence)
    seen = L.GroupQueryAttention(4, 2, 2)(seen, seen)
    return keras.Model(tensor, L.Dense(4)(L.Flatten()(seen)))


def _images() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((12,)),
            L.Reshape((2, 2, 3)),
            L.Conv2D(4, 2, padding="same"),
            L.BatchNormalization(),
            L.DepthwiseConv2D(2, padding="same"),
            L.SeparableConv2D(4, 2, padding="same"),
            L.Conv2DTranspose(2, 2),
            L.Flatten(),
            L.Dense(4),
        ]
    )


ARCHITECTURES: dict[str, Callable[[], keras.Model]] = {
    "nested and shared": _nested,
    "subclassed": _subclassed,
    "recurrent": lambda: _sequence(L.LSTM(4, return_sequences=True), L.GRU(4, return_sequences=True), L.SimpleRNN(3)),
    "bidirectional": lambda: _sequence(L.Bidirectional(L.LSTM(3)), L.Reshape((1, 6))),
    "distributed": lambda: _sequence(L.TimeDistributed(L.Dense(5)), L.EinsumDense("btc,cd->btd", (4, 6))),
    "one-dimensional": lambda: _sequence(L.Conv1D(4, 2), L.Conv1DTranspose(3, 2)),
    "attention": _attention,
    "images": _images,
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_any_architecture(name: str) -> None:
    keras.utils.set_random_seed(0)
    model = compiled(ARCHITECTURES[name]())
    probe = trained(model, kpl.callbacks.Prune(SCHEDULE), epochs=2)
    total = kpl.prunable(model).total
    assert probe.zeros == [expected_zeros(SCHEDULE, step, total) for step in range(1, 2 * STEPS + 1)]


# What is pruned, and from where ----------------------------------------------------------------------------------


def test_filters_scopes_and_granularities() -> None:
    model = compiled(dense())
    prune = kpl.callbacks.Prune(0.5, granularity="2:4", include="hidden", scope="layer")
    trained(model, prune)
    kernel = array(model.get_layer("hidden").kernel)
    assert (np.count_nonzero(kernel.T.reshape(16, 3, 4), axis=2) == 2).all()
    assert np.count_nonzero(array(model.get_layer("out").kernel)) == 64


def test_whole_channels() -> None:
    model = compiled(dense())
    trained(model, kpl.callbacks.Prune(0.5, score=kpl.scores.Magnitude(2), granularity="channel", include="hidden"))
    gone = ~array(model.get_layer("hidden").kernel).any(axis=0)
    assert gone.sum() == 8


@pytest.mark.parametrize(
    "score", ["random", "magnitude", "snip", "grasp", "taylor", "movement", "wanda", "lamp", "fisher"]
)
def test_every_score(score: str) -> None:
    model = compiled(dense())
    probe = trained(model, kpl.callbacks.Prune(0.5, score, data=(X, Y)), epochs=1)
    assert probe.zeros == [128] * STEPS


def test_a_score_of_ones_own() -> None:
    def outer(context: kpl.scores.ScoreContext) -> dict[str, np.ndarray]:
        return {path: np.arange(value.size, dtype=float).reshape(value.shape) for path, value in context.values.items()}

    model = compiled(dense())
    trained(model, kpl.callbacks.Prune(0.25, outer, include="hidden"), epochs=1)
    assert_array_equal(array(model.get_layer("hidden").kernel).ravel() == 0, np.arange(192) < 48)


def test_frozen_layers_and_embeddings() -> None:
    tokens = keras.Sequential([keras.Input((3,)), L.Embedding(10, 4), L.Flatten(), L.Dense(4)])
    tokens.layers[-1].trainable = False
    compiled(tokens)
    ids = np.random.default_rng(0).integers(0, 10, (ROWS, 3))
    tokens.fit(ids, Y, BATCH, verbose=0, callbacks=[kpl.callbacks.Prune(0.5, include=tokens.layers[-1])])
    assert np.count_nonzero(array(tokens.layers[-1].kernel)) == 24
    assert array(tokens.layers[0].embeddings).all()


def test_embeddings_that_are_named() -> None:
    keras.utils.set_random_seed(0)
    tokens = compiled(keras.Sequential([keras.Input((3,)), L.Embedding(10, 4), L.Flatten(), L.Dense(4)]))
    ids = np.random.default_rng(0).integers(0, 10, (ROWS, 3))
    prune = kpl.callbacks.Prune(0.5, include=[L.Embedding, L.Dense])
    probe = Probe(prune)
    tokens.fit(ids, Y, BATCH, verbose=0, callbacks=[prune, probe])
    assert set(probe.zeros) == {44}
    assert (array(tokens.layers[0].embeddings) == 0).any()


def test_all_learnables() -> None:
    model = compiled(keras.Sequential([keras.Input((12,)), L.Dense(16), L.BatchNormalization(), L.Dense(4)]))
    model.fit(X, Y, BATCH, verbose=0)  # biases are zero before
    before = [array(variable) for variable in model.trainable_variables]
    total = 12 * 16 + 16 + 2 * 16 + 16 * 4 + 4
    ranks = np.sort(np.abs(np.concatenate([value.ravel() for value in before])))
    threshold = ranks[total // 2 - 1 : total // 2 + 1].mean()
    prune = kpl.callbacks.Prune(0.5, learnables="all")
    summary = kpl.callbacks.PruningSummary(learnables="all", verbose=0)
    history = model.fit(X, Y, BATCH, epochs=2, verbose=0, callbacks=[prune, summary])
    for variable, value in zip(model.trainable_variables, before, strict=True):
        assert_array_equal(array(variable) == 0, np.abs(value) < threshold, variable.path)
    assert history.history["sparsity"] == [0.5, 0.5]
    norm = model.layers[1]
    zeros = [np.mean(np.concatenate([array(norm.gamma), array(norm.beta)]) == 0)] * 2
    assert history.history[f"sparsity/{norm.name}"] == zeros
    assert kpl.sparsity(model, convention="matlab") == 0.5


def test_a_layer_passes_on_without_biases() -> None:
    model = compiled(dense())
    prune = kpl.callbacks.Prune(kpl.schedules.Constant(0.1, begin_step=2), learnables="all")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "All weights of")
        probe = trained(model, prune)  # biases are the smallest after two steps
    assert not any(array(layer.bias).any() for layer in model.layers)
    assert set(probe.zeros) == {0, round(0.1 * (12 * 16 + 16 + 16 * 4 + 4))}

    def out_first(context: kpl.scores.ScoreContext) -> dict[str, np.ndarray]:
        return {path: np.full(value.shape, not path.endswith("out/kernel")) for path, value in context.values.items()}

    emptied = kpl.callbacks.Prune(64 / 276, out_first, learnables="all")
    with pytest.warns(kpl.PruningWarning, match="All weights of '.*out/kernel' are pruned"):
        trained(compiled(dense()), emptied)


def test_ftrl_goes_on_without_the_callback() -> None:
    """It divides by what it accumulated, and inputs of zero give no gradient: 0 / 0 if that were zero."""
    model = compiled(dense(), O.Ftrl(0.1))
    quiet = X.copy()
    quiet[:, :6] = 0
    model.fit(quiet, Y, BATCH, verbose=0, callbacks=[kpl.callbacks.Prune(0.5)])
    model.fit(quiet, Y, BATCH, verbose=0)
    assert all(np.isfinite(array(weight)).all() for weight in model.weights)


def test_synflow_follows_biases_and_statistics_as_they_are_trained() -> None:
    """At the last update it scores what the model is then: as a score computed once, from scratch, would."""
    keras.utils.set_random_seed(0)
    parts = [keras.Input((12,)), L.Dense(16, name="hidden"), L.BatchNormalization(), L.ReLU(), L.Dense(4, name="out")]
    model = compiled(keras.Sequential(parts), O.Adam(0.1))
    seen: list[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]] = []

    class Watched(kpl.scores.Score):
        name = "watched"

        def __init__(self) -> None:
            self.flow = kpl.scores.SynFlow()

        def __call__(self, context: kpl.scores.ScoreContext) -> dict[str, np.ndarray]:
            fresh = kpl.scores.SynFlow()(kpl.scores.ScoreContext(context.model, context.prunables, context.values))
            seen.append((self.flow(context), fresh))
            return fresh

    schedule = kpl.schedules.Polynomial(0.1, 0.8, begin_step=0, end_step=12, frequency=4)
    model.fit(X, Y, BATCH, epochs=3, verbose=0, callbacks=[kpl.callbacks.Prune(schedule, Watched())])
    assert len(seen) > 2
    for kept, fresh in seen:
        for path, values in fresh.items():
            np.testing.assert_allclose(kept[path], values, rtol=1e-5)


def test_weights_set_after_an_interruption_are_left_alone() -> None:
    model, prune = compiled(dense()), kpl.callbacks.Prune(0.5)

    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            raise KeyboardInterrupt

    before = model.get_weights()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, BATCH, verbose=0, callbacks=[prune, Stop()])
    model.set_weights(before)
    seen: list[Any] = []
    look = keras.callbacks.LambdaCallback(on_train_begin=lambda _logs: seen.extend(model.get_weights()))
    model.fit(X, Y, BATCH, verbose=0, callbacks=[look, kpl.callbacks.Prune(0.25)])
    for found, expected in zip(seen, before, strict=True):
        assert_array_equal(found, expected)
    assert kpl.sparsity(model) == 0.25


def test_from_a_sparse_model() -> None:
    model = compiled(kpl.prune(dense(), 0.6))
    was = {item.path: item.value() == 0 for item in kpl.prunable(model)}
    prune = kpl.callbacks.Prune(kpl.schedules.OneShot(0.8, step=4), masks="from_zeros")
    probe = trained(model, prune, epochs=1)
    total = kpl.prunable(model).total
    low, high = round(0.6 * total), round(0.8 * total)
    assert probe.zeros == [low] * 3 + [high] * 3
    for item in kpl.prunable(model):
        assert not item.value()[was[item.path]].any()


def test_from_given_masks() -> None:
    model = compiled(dense())
    masks = kpl.MaskSet({item.path: np.arange(item.size).reshape(item.shape) % 2 == 0 for item in kpl.prunable(model)})
    prune = kpl.callbacks.Prune(0.5, masks=masks)
    trained(model, prune, epochs=1)
    assert prune.masks == masks


def test_a_second_fit_goes_on() -> None:
    model = compiled(dense())
    prune = kpl.callbacks.Prune(SCHEDULE)
    zeros = trained(model, prune, epochs=1).zeros + trained(model, prune, epochs=2).zeros
    total = kpl.prunable(model).total
    assert zeros == [expected_zeros(SCHEDULE, step, total) for step in range(1, 3 * STEPS + 1)]


def test_epochs_in_schedules() -> None:
    schedule = kpl.schedules.OneShot(0.5, step="1.5ep")
    model = compiled(dense(), O.Adam(gradient_accumulation_steps=2))
    probe = trained(model, kpl.callbacks.Prune(schedule))
    # 6 batches an epoch are 3 steps of the optimizer; 1.5 epochs are 4.5, so 5 steps, which 10 batches make.
    assert [zeros > 0 for zeros in probe.zeros] == [batch >= 10 for batch in range(1, 19)]


def test_the_same_seed_on_every_backend() -> None:
    """Data-free scores come from NumPy alone; the numbers below are those of NumPy."""
    model = compiled(dense())
    weights = np.random.default_rng(5)
    model.set_weights([weights.normal(size=array(weight).shape) for weight in model.weights])
    prune = kpl.callbacks.Prune(0.5, kpl.scores.Random(seed=7))
    model.fit(X[:BATCH], Y[:BATCH], BATCH, verbose=0, callbacks=[prune])
    draws = [np.random.default_rng([7, index]).random(shape) for index, shape in enumerate([(12, 16), (16, 4)])]
    threshold = np.sort(np.concatenate([draw.ravel() for draw in draws]))[127]
    assert prune.masks is not None
    for draw, mask in zip(draws, prune.masks.values(), strict=True):
        assert_array_equal(mask, draw > threshold)
