"""Callbacks that a loop of the user's own calls, and models that Keras builds while they train."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest

import keras_prunelab as kpl
from keras_prunelab.callbacks import SET, Prune, PruningSummary, Rewind, RigL, UpdateMasks

from .training import BATCH, ROWS, L, Probe, array, compiled, data, dense, expected_zeros

STEPS = ROWS // BATCH
X, Y = data()
BACKEND = keras.config.backend()
SCHEDULE = kpl.schedules.Polynomial(0.25, 0.875, begin_step=2, end_step=11, frequency=3)

pytestmark = [
    pytest.mark.backends,
    pytest.mark.filterwarnings("ignore:All weights of:keras_prunelab.PruningWarning"),
]


def batches() -> Iterator[tuple[int, Any, Any]]:
    for number in range(STEPS):
        rows = slice(number * BATCH, (number + 1) * BATCH)
        yield number, X[rows], Y[rows]


def drive(step: Callable[[Any, Any], Any], epochs: int, *callbacks: keras.callbacks.Callback) -> None:
    """What `fit` calls, by hand; the model and the parameters are set already."""
    for callback in callbacks:
        callback.on_train_begin()
    for epoch in range(epochs):
        for callback in callbacks:
            callback.on_epoch_begin(epoch)
        for number, x, y in batches():
            for callback in callbacks:
                callback.on_train_batch_begin(number)
            step(x, y)
            for callback in callbacks:
                callback.on_train_batch_end(number)
        for callback in callbacks:
            callback.on_epoch_end(epoch)
    for callback in callbacks:
        callback.on_train_end()


@pytest.mark.parametrize("parameters", [None, {}, {"epochs": 3, "steps": STEPS}], ids=["none", "empty", "all"])
def test_by_hand_is_as_in_fit(parameters: dict[str, Any] | None) -> None:
    trained = []
    for by_hand in (False, True):
        model = compiled(dense())
        prune = Prune(SCHEDULE)
        probe = Probe(prune)
        if by_hand:
            for callback in (prune, probe):
                callback.set_model(model)
                if parameters is not None:
                    callback.set_params(parameters)
            drive(model.train_on_batch, 3, prune, probe)
        else:
            model.fit(X, Y, BATCH, epochs=3, shuffle=False, verbose=0, callbacks=[prune, probe])
        total = kpl.prunable(model).total
        assert probe.zeros == [expected_zeros(SCHEDULE, step, total) for step in range(1, 3 * STEPS + 1)]
        trained.append(model.get_weights())
    for one, other in zip(*trained, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("parameters", [{}, {"epochs": 3, "steps": STEPS}], ids=["empty", "all"])
def test_a_list_of_callbacks(parameters: dict[str, Any]) -> None:
    model = compiled(dense())
    prune = Prune(SCHEDULE)
    every = keras.callbacks.CallbackList([prune], add_history=False, model=model, **parameters)
    drive(model.train_on_batch, 3, every)
    assert kpl.sparsity(model) == 0.875
    assert not {"apply", "pruning"} & vars(model.optimizer).keys()


@pytest.mark.parametrize(
    "make",
    [
        lambda: [SET(0.5, frequency=2, end_step=9)],
        lambda: [RigL(0.5, (X, Y), frequency=2, end_step=9)],
        lambda: [Prune(kpl.schedules.Iterative(0.5, rounds=2, frequency=5, begin_step=4)), Rewind()],
    ],
    ids=["SET", "RigL", "Rewind"],
)
def test_other_callbacks_by_hand(make: Callable[[], Any]) -> None:
    model = compiled(dense())
    callbacks = make()
    for callback in callbacks:
        callback.set_model(model)
    drive(model.train_on_batch, 2, *callbacks)
    masks = callbacks[0].masks
    assert masks.zeros >= 128
    assert not any(array(item.variable)[~masks[item.path]].any() for item in kpl.prunable(model))


def test_wrapped_layers_by_hand() -> None:
    model = compiled(kpl.layers.wrap(dense(), kpl.schedules.Polynomial(0.0, 0.5, end_step=9, frequency=3)))
    update = UpdateMasks()
    update.set_model(model)
    drive(model.train_on_batch, 2, update)
    assert {layer.masks.sparsity for layer in model.layers} == {0.5}


def test_epochs_in_schedules_by_hand() -> None:
    model = compiled(dense())
    prune = Prune(kpl.schedules.OneShot(0.5, step="1.5ep"))
    prune.set_model(model)
    with pytest.raises(kpl.InvalidScheduleError, match="epochs"):
        prune.on_train_begin()
    prune.set_params({"steps": STEPS})
    prune.set_model(model)
    drive(model.train_on_batch, 2, prune)
    assert kpl.sparsity(model) == 0.5


def step_of(model: keras.Model, optimizer: Any) -> Callable[[Any, Any], None]:
    """A step in the backend's own words, for a model that is not compiled."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    variables = model.trainable_variables
    if BACKEND == "tensorflow":
        import tensorflow as tf

        @tf.function
        def traced(x: Any, y: Any) -> None:
            with tf.GradientTape() as tape:
                value = loss(y, model(x, training=True))
            optimizer.apply_gradients(zip(tape.gradient(value, variables), variables, strict=True))

        return traced
    if BACKEND == "torch":

        def eager(x: Any, y: Any) -> None:
            model.zero_grad()
            loss(y, model(x, training=True)).backward()
            optimizer.apply([variable.value.grad for variable in variables], variables)

        return eager
    import jax

    def cost(trained: Any, x: Any, y: Any) -> Any:
        return loss(y, model.stateless_call(trained, [], x)[0])

    @jax.jit
    def pure(trained: Any, state: Any, x: Any, y: Any) -> Any:
        return optimizer.stateless_apply(state, jax.grad(cost)(trained, x, y), trained)

    def step(x: Any, y: Any) -> None:
        groups = (variables, optimizer.variables)
        results = pure(*([variable.value for variable in group] for group in groups), x, y)
        for group, values in zip(groups, results, strict=True):
            for variable, value in zip(group, values, strict=True):
                variable.assign(value)

    return step


@pytest.mark.parametrize("built", [True, False])
def test_a_step_of_ones_own_around_a_model_that_is_not_compiled(built: bool) -> None:
    if BACKEND == "jax" and not built:
        pytest.skip("stateless_apply needs an optimizer that is built")
    model, optimizer = dense(), keras.optimizers.SGD(0.1, momentum=0.9)
    if built:
        optimizer.build(model.trainable_variables)
    prune = Prune(SCHEDULE, optimizers=optimizer)
    probe = Probe(prune)
    for callback in (prune, probe):
        callback.set_model(model)
    drive(step_of(model, optimizer), 3, prune, probe)
    total = kpl.prunable(model).total
    assert probe.zeros == [expected_zeros(SCHEDULE, step, total) for step in range(1, 3 * STEPS + 1)]
    slots = [array(slot) for slot in optimizer.momentums]
    for item in kpl.prunable(model):
        (slot,) = [value for value in slots if value.shape == item.shape]
        assert not slot[array(item.variable) == 0].any()  # momentum has let go of pruned weights


@pytest.mark.skipif(BACKEND == "jax", reason="its optimizers hand their variables in and out")
@pytest.mark.parametrize(("clip", "gradient"), [(None, 1.0), (1.0, 1.0), (1.0, np.inf)])
def test_gradients_without_their_variables_are_those_of_all(clip: float | None, gradient: float) -> None:
    """Infinite ones too, which clipping makes finite."""
    model = compiled(dense(), keras.optimizers.SGD(0.1, clipvalue=clip))
    model.optimizer.build(model.trainable_variables)
    prune = Prune(0.5)
    prune.set_model(model)
    gradients = [keras.ops.full(variable.shape, gradient) for variable in model.trainable_variables]

    def step(x: Any, y: Any) -> None:
        before = [array(item.variable).copy() for item in kpl.prunable(model)]
        model.optimizer.apply(gradients)
        assert prune.masks is not None
        for item, was in zip(kpl.prunable(model), before, strict=True):  # before the callback looks at them
            np.testing.assert_allclose(array(item.variable), np.where(prune.masks[item.path], was - 0.1, 0), atol=1e-6)

    drive(step, 1, prune)
    assert kpl.sparsity(model) == 0.5


@pytest.mark.skipif(BACKEND != "tensorflow", reason="only TensorFlow keeps the trace of a step made before")
def test_a_step_that_was_traced_before_is_an_error() -> None:
    model, optimizer = dense(), keras.optimizers.SGD(0.1)
    step = step_of(model, optimizer)
    step(X[:BATCH], Y[:BATCH])
    prune = Prune(0.5, optimizers=optimizer)
    prune.set_model(model)
    with pytest.raises(kpl.InvalidModelError, match="trace steps of your own after on_train_begin"):
        drive(step, 1, prune)


def test_without_an_optimizer_the_error_says_what_to_do() -> None:
    prune = Prune(0.5)
    prune.set_model(dense())
    with pytest.raises(kpl.InvalidModelError, match="optimizers=my_optimizer"):
        prune.on_train_begin()


# Models that Keras builds in fit ---------------------------------------------------------------------------------


class Subclass(keras.Model):
    def __init__(self, *layers: Any) -> None:
        super().__init__()
        self.parts = list(layers)

    def call(self, inputs: Any) -> Any:
        for part in self.parts:
            inputs = part(inputs)
        return inputs


class Look(keras.callbacks.Callback):
    """What there is to see before and after each batch."""

    def __init__(self) -> None:
        super().__init__()
        self.before: list[list[Any]] = []
        self.sparsities: list[float] = []

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.before.append(self.model.get_weights())

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.sparsities.append(kpl.sparsity(self.model))


UNBUILT: dict[str, Callable[..., keras.Model]] = {
    "sequential": lambda *layers: keras.Sequential(list(layers)),
    "subclass": Subclass,
    "nested": lambda *layers: Subclass(keras.Sequential(list(layers[:1])), *layers[1:]),
}


def unbuilt(kind: str, *, wrap: bool = False, **options: Any) -> keras.Model:
    keras.utils.set_random_seed(1)
    first = keras.initializers.GlorotUniform(seed=1)
    layers = [L.Dense(16, "relu", kernel_initializer=first, name="hidden"), L.Dense(4, name="out")]
    if wrap:
        layers = [kpl.layers.Pruned(layer, 0.5) for layer in layers]
    model = compiled(UNBUILT[kind](*layers), **options)
    assert not model.built
    return model


@pytest.mark.parametrize("kind", UNBUILT)
def test_a_model_that_fit_builds_is_pruned_from_the_first_batch_on(kind: str) -> None:
    model = unbuilt(kind)
    prune = Prune(SCHEDULE)
    probe, summary = Probe(prune), PruningSummary(verbose=0)
    history = model.fit(X, Y, BATCH, epochs=3, verbose=0, validation_split=0.0, callbacks=[prune, probe, summary])
    assert probe.zeros == [expected_zeros(SCHEDULE, step, 256) for step in range(1, 3 * STEPS + 1)]
    assert history.history["sparsity"][-1] == 0.875


@pytest.mark.parametrize(
    ("make", "wrap"),
    [
        (lambda: [SET(0.5, frequency=2, end_step=9, scope="layer")], False),
        (lambda: [RigL(0.5, (X, Y), frequency=2, end_step=9, scope="layer")], False),
        (lambda: [Prune(0.5, include="hidden"), Prune(0.5, include="out")], False),
        (lambda: [UpdateMasks()], True),
    ],
    ids=["SET", "RigL", "two of Prune", "UpdateMasks"],
)
def test_other_callbacks_over_models_that_fit_builds(make: Callable[[], Any], wrap: bool) -> None:
    model = unbuilt("sequential", wrap=wrap)
    callbacks = make()
    look = Look()
    model.fit(X, Y, BATCH, epochs=2, verbose=0, callbacks=[*callbacks, look])
    assert min(look.sparsities) >= 0.5
    assert not {"apply", "pruning"} & vars(model.optimizer).keys()


@pytest.mark.parametrize("first", [True, False], ids=["Prune first", "Rewind first"])
def test_rewinding_a_model_that_fit_builds(first: bool) -> None:
    """Its weights of step 0 are those that it is built with."""
    model = unbuilt("sequential")
    prune = Prune(kpl.schedules.Iterative(0.5, rounds=1, frequency=STEPS, begin_step=STEPS))
    callbacks = [prune, Rewind()] if first else [Rewind(), prune]
    look = Look()
    model.fit(X, Y, BATCH, epochs=1, verbose=0, callbacks=[*callbacks, look])
    built = unbuilt("sequential")
    built.build((None, 12))
    (kernel, bias), expected = look.before[STEPS - 1][:2], built.get_weights()[0]
    assert np.count_nonzero(kernel) < kernel.size
    np.testing.assert_array_equal(kernel, np.where(kernel != 0, expected, 0))
    assert not bias.any()


def test_train_on_batch_builds_the_model_too() -> None:
    model = unbuilt("sequential")
    if BACKEND != "tensorflow":
        model.build((None, 12))  # there Keras builds in fit, before the callbacks, and train_on_batch after them
    prune = Prune(0.5)
    prune.set_model(model)
    drive(model.train_on_batch, 1, prune)
    assert kpl.sparsity(model) == 0.5


@pytest.mark.skipif(BACKEND != "tensorflow", reason="elsewhere Keras builds models before the callbacks are called")
def test_several_steps_at_once_and_an_error_within() -> None:
    model = unbuilt("subclass", steps_per_execution=3)
    model.fit(X, Y, BATCH, verbose=0, callbacks=[Prune(0.5)])
    assert kpl.sparsity(model) == 0.5
    model = unbuilt("sequential")
    with pytest.raises(kpl.UnknownNameError, match="nowhere"):
        model.fit(X, Y, BATCH, verbose=0, callbacks=[Prune(0.5, include="nowhere")])
    model.fit(X, Y, BATCH, verbose=0)
    assert kpl.sparsity(model) < 0.5


@pytest.mark.skipif(BACKEND != "tensorflow", reason="elsewhere Keras builds models before the callbacks are called")
def test_a_fit_that_ends_before_the_first_batch_leaves_nothing_behind() -> None:
    model = unbuilt("sequential")
    model.fit(X, Y, BATCH, epochs=0, verbose=0, callbacks=[Prune(0.5)])
    model.fit(X, Y, BATCH, verbose=0)
    assert kpl.sparsity(model) < 0.5
