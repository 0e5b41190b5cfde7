"""Whatever trains the model: its masks hold, or an error says why not."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest

import keras_prunelab as kpl
from keras_prunelab._training._oversight import Oversight
from keras_prunelab.callbacks import SET, Prune, RigL, UpdateMasks

from .training import BATCH, ROWS, L, Probe, array, compiled, data, dense

STEPS = ROWS // BATCH
X, Y = data()
O = keras.optimizers  # noqa: E741
S = kpl.schedules
BACKEND = keras.config.backend()
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
SCHEDULES = [0.5, S.Polynomial(0.0, 0.5, end_step=2 * STEPS, frequency=2)]

pytestmark = [
    pytest.mark.backends,
    pytest.mark.filterwarnings("ignore:All weights of:keras_prunelab.PruningWarning"),
]
stateful = pytest.mark.skipif(BACKEND == "jax", reason="a train step on JAX gets all that it changes from Keras")


@contextlib.contextmanager
def gradients_of(variables: list[Any]) -> Iterator[Callable[[Any], list[Any]]]:
    """A tape: what it yields gives the gradients of a loss computed inside."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape(persistent=True) as tape:
            yield lambda loss: tape.gradient(loss, [variable.value for variable in variables])
    else:
        import torch

        with torch.enable_grad():
            yield lambda loss: torch.autograd.grad(loss, [variable.value for variable in variables], allow_unused=True)


class Gan(keras.Model):
    """Two networks, and two optimizers that only its own train step knows."""

    def __init__(self, every: int = 1) -> None:
        super().__init__()
        keras.utils.set_random_seed(3)
        self.generator = keras.Sequential([keras.Input((4,)), L.Dense(16, "relu", name="g1"), L.Dense(12, name="g2")])
        self.discriminator = keras.Sequential(
            [keras.Input((12,)), L.Dense(16, "relu", name="d1"), L.Dense(1, name="d2")]
        )
        self.every, self.turn, self.built = every, 0, True

    def own(self, *optimizers: Any) -> Gan:
        super().compile()
        self.d_optimizer, self.g_optimizer = optimizers
        return self

    def train_step(self, data: Any) -> dict[str, Any]:
        real = data[0] if isinstance(data, tuple) else data
        noise = keras.ops.ones((BATCH, 4))
        steps = [(self.d_optimizer, self.discriminator, 1.0), (self.g_optimizer, self.generator, -1.0)]
        if self.every > 1:  # they take turns
            steps = [steps[self.turn % self.every == 0]]
            self.turn += 1
        for optimizer, part, sign in steps:
            with gradients_of(part.trainable_variables) as gradients:
                gap = keras.ops.mean(self.discriminator(self.generator(noise))) - keras.ops.mean(
                    self.discriminator(real)
                )
                loss = sign * gap
            optimizer.apply_gradients(zip(gradients(loss), part.trainable_variables, strict=True))
        return {"gap": gap}


def zeros(model: keras.Model) -> int:
    return sum(int((array(item.variable) == 0).sum()) for item in kpl.prunable(model))


class Zeros(keras.callbacks.Callback):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.seen.append(zeros(self.model))


@stateful
@pytest.mark.parametrize("schedule", SCHEDULES, ids=["constant", "polynomial"])
def test_the_optimizers_of_a_gan_are_found(schedule: Any) -> None:
    gan = Gan().own(O.Adam(0.01), O.RMSprop(0.01))
    prune, seen = Prune(schedule), Zeros()
    gan.fit(X, batch_size=BATCH, epochs=3, verbose=0, callbacks=[prune, seen])
    total = kpl.prunable(gan).total
    asked = [kpl.schedules.get(schedule)(step) for step in range(1, 3 * STEPS + 1)]
    assert seen.seen == [int(np.floor(sparsity * total + 0.5)) for sparsity in asked]
    assert array(gan.optimizer.iterations) == 0  # what compile() made by default has never moved


@stateful
@pytest.mark.parametrize("make", [lambda: SET(0.5, frequency=3), lambda: SET(0.5, frequency=2, scope="layer")])
def test_random_masks_move_with_the_optimizers_of_a_gan(make: Callable[[], Any]) -> None:
    gan = Gan().own(O.Adam(0.01), O.Adam(0.01))
    sparse = make()
    changes: list[Any] = []
    sparse.after_update.append(lambda _model, masks: changes.append(masks))
    gan.fit(X, batch_size=BATCH, epochs=3, verbose=0, callbacks=[sparse])
    assert len(changes) > 1
    assert len({masks.zeros for masks in changes}) == 1
    assert not any(array(item.variable)[~changes[-1][item.path]].any() for item in kpl.prunable(gan))


@stateful
def test_networks_that_take_turns() -> None:
    gan = Gan(every=2).own(O.SGD(0.01), O.SGD(0.01, momentum=0.9))
    gan.compile(run_eagerly=True)
    gan.fit(X, batch_size=BATCH, epochs=2, verbose=0, callbacks=[Prune(0.5)])
    assert kpl.sparsity(gan) == 0.5


@stateful
@pytest.mark.parametrize("where", ["list", "dictionary", "layer"])
def test_optimizers_are_found_wherever_the_model_holds_them(where: str) -> None:
    gan = Gan().own(O.Adam(0.01), O.Adam(0.01))
    optimizers = [gan.d_optimizer, gan.g_optimizer]
    hidden = {"list": optimizers, "dictionary": dict(enumerate(optimizers)), "layer": None}[where]

    class Elsewhere(Gan):
        d_optimizer = property(lambda _self: optimizers[0])
        g_optimizer = property(lambda _self: optimizers[1])

    other = Elsewhere()
    keras.Model.compile(other)
    if where == "layer":
        other.generator.its_own, other.discriminator.its_own = optimizers[1], optimizers[0]
    else:
        other.kept_here = hidden
    other.fit(X, batch_size=BATCH, verbose=0, callbacks=[Prune(0.5)])
    assert kpl.sparsity(other) == 0.5


class Hidden(keras.Model):
    """Its optimizer is in a closure, where nobody finds it."""

    def __init__(self, optimizer: Any, wrap: bool = False) -> None:
        super().__init__()
        self.net, self.built = dense(), True
        if wrap:
            self.net = kpl.layers.wrap(self.net, S.Polynomial(0.0, 0.5, end_step=4, frequency=1))
        self.update = lambda gradients, variables: optimizer.apply_gradients(zip(gradients, variables, strict=True))

    def call(self, inputs: Any) -> Any:
        return self.net(inputs)

    def train_step(self, data: Any) -> dict[str, Any]:
        x, y = data
        with gradients_of(self.net.trainable_variables) as gradients:
            loss = LOSS(y, self.net(x, training=True))
        self.update(gradients(loss), self.net.trainable_variables)
        return {"loss": loss}


CALLBACKS = {
    "constant": lambda **options: Prune(0.5, **options),
    "polynomial": lambda **options: Prune(SCHEDULES[1], **options),
    "SET": lambda **options: SET(0.5, frequency=2, **options),
    "RigL": lambda **options: RigL(0.5, (X, Y), frequency=2, **options),
}


@stateful
@pytest.mark.parametrize("name", ["constant", "polynomial", "SET"])
def test_an_optimizer_that_nobody_can_find_is_an_error_that_helps(name: str) -> None:
    optimizer = O.SGD(0.1)
    model = Hidden(optimizer)
    model.compile(loss=LOSS)
    with pytest.raises(kpl.InvalidModelError, match=r"optimizers=\[\.\.\.\]"):
        model.fit(X, Y, BATCH, epochs=2, verbose=0, callbacks=[CALLBACKS[name]()])
    assert not {"apply", "pruning"} & (vars(optimizer).keys() | vars(model.optimizer).keys())
    # The advice, followed:
    model.fit(X, Y, BATCH, epochs=3, verbose=0, callbacks=[CALLBACKS[name](optimizers=[optimizer])])
    assert kpl.sparsity(model) >= 0.5


@stateful
def test_schedules_of_wrapped_layers_follow_the_optimizer_that_is_named() -> None:
    optimizer = O.SGD(0.1)
    model = Hidden(optimizer, wrap=True)
    model.compile(loss=LOSS)
    with pytest.raises(kpl.InvalidModelError, match=r"no optimizer that the callback knows has made a step"):
        model.fit(X, Y, BATCH, verbose=0, callbacks=[UpdateMasks()])
    model.fit(X, Y, BATCH, epochs=2, verbose=0, callbacks=[UpdateMasks(optimizers=optimizer)])
    assert {layer.masks.sparsity for layer in model.net.layers} == {0.5}


@pytest.mark.skipif(BACKEND != "torch", reason="torch.optim is torch's")
@pytest.mark.parametrize("name", CALLBACKS)
def test_an_optimizer_of_torch(name: str) -> None:
    import torch

    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.built = dense(), True

        def call(self, inputs: Any) -> Any:
            return self.net(inputs)

        def train_step(self, data: Any) -> dict[str, Any]:
            self.theirs.zero_grad()
            loss = LOSS(data[1], self.net(data[0]))
            loss.backward()
            self.theirs.step()
            return {"loss": loss}

    model = Own()
    model.compile(loss=LOSS)
    model.theirs = torch.optim.Adam(model.parameters(), 0.01)
    with pytest.raises(kpl.InvalidModelError, match=r"torch\.optim"):
        model.fit(X, Y, BATCH, epochs=2, verbose=0, callbacks=[CALLBACKS[name]()])
    with pytest.raises(kpl.InvalidModelError, match=r"keras_prunelab\.layers\.wrap"):
        model.fit(X, Y, BATCH, verbose=0, callbacks=[Prune(0.5, optimizers=model.theirs)])
    # The advice, followed: masks that hold whatever trains the model.
    masked = Own()
    masked.net = kpl.layers.wrap(kpl.prune(dense(), 0.5), 0.5)
    for layer in masked.net.layers:
        layer.set_masks({"kernel": array(layer.layer.kernel) != 0})
    masked.compile(loss=LOSS)
    masked.theirs = torch.optim.SGD(masked.parameters(), 0.1)
    masked.fit(X, Y, BATCH, verbose=0)
    assert kpl.sparsity(kpl.layers.strip(masked.net)) == 0.5


# What is no fault ------------------------------------------------------------------------------------------------


class WarmUp(O.schedules.LearningRateSchedule):
    def __call__(self, step: Any) -> Any:
        return 0.1 * keras.ops.cast(step >= STEPS, "float32")


LEGITIMATE: dict[str, Callable[[], Any]] = {
    "warm-up from zero": lambda: O.SGD(WarmUp()),
    "no learning at all": lambda: O.SGD(0.0),
    "accumulated gradients": lambda: O.Adam(0.01, gradient_accumulation_steps=4),
    "skipped steps": lambda: O.LossScaleOptimizer(O.SGD(0.1), initial_scale=1e38),
    "averages over weights": lambda: O.SGD(0.1, use_ema=True, ema_overwrite_frequency=2),
}


@pytest.mark.parametrize("name", LEGITIMATE)
@pytest.mark.parametrize("schedule", SCHEDULES, ids=["constant", "polynomial"])
@pytest.mark.filterwarnings("ignore:Training ends at step:keras_prunelab.PruningWarning")
@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
def test_no_alarm(name: str, schedule: Any) -> None:
    model = compiled(dense(), LEGITIMATE[name]())
    prune = Prune(schedule)
    model.fit(X, Y, BATCH, epochs=4, verbose=0, callbacks=[prune])
    assert prune.masks is not None
    assert not any(array(item.variable)[~prune.masks[item.path]].any() for item in kpl.prunable(model))


def test_no_alarm_over_layers_that_write_their_own_kernel() -> None:
    keras.utils.set_random_seed(1)
    hidden = L.SpectralNormalization(L.Dense(16, "relu", name="hidden"))
    model = compiled(
        keras.Sequential([keras.Input((12,)), hidden, L.Dense(4, name="out")]),
        O.LossScaleOptimizer(O.SGD(0.1), initial_scale=1e38),
    )
    prune = Prune(0.5)
    probe = Probe(prune)
    model.fit(X, Y, BATCH, epochs=2, verbose=0, callbacks=[prune, probe])
    assert set(probe.zeros) == {kpl.prunable(model).total // 2}


def test_no_alarm_over_frozen_layers_and_weights_that_others_set() -> None:
    model = dense()
    model.get_layer("hidden").trainable = False
    compiled(model)
    other = dense(2).get_weights()

    class SetWeights(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.set_weights(other)

    prune = Prune(0.5, include=["hidden", "out"])
    model.fit(X, Y, BATCH, epochs=3, verbose=0, callbacks=[prune, SetWeights()])
    assert kpl.sparsity(model) == 0.5


def test_optimizers_that_are_none() -> None:
    with pytest.raises(kpl.InvalidModelError, match="'adam'; it is a Keras optimizer"):
        compiled(dense()).fit(X, Y, verbose=0, callbacks=[Prune(0.5, optimizers="adam")])
    with pytest.raises(kpl.InvalidModelError, match=r"optimizers=\[\]"):
        compiled(dense()).fit(X, Y, verbose=0, callbacks=[Prune(0.5, optimizers=[])])


def overseen() -> tuple[Any, Any, Oversight]:
    """A network of one kernel, of which the first row is pruned, and what looks at it."""
    model = keras.Sequential([keras.Input((3,)), L.Dense(2, kernel_initializer="ones", name="fc")])
    model.compile("sgd", "mse")
    model.optimizer.build(model.trainable_variables)
    kernel = model.layers[0].kernel
    kernel.assign([[0.0, 0.0], [1.0, 1.0], [1.0, 1.0]])
    found = kpl.prunable(model)
    masks = kpl.MaskSet({item.path: array(item.variable) != 0 for item in found})
    return model, kernel, Oversight(found, [model.optimizer], lambda: masks)


@pytest.mark.parametrize("value", [0.5, -0.5])
def test_a_pruned_weight_that_is_not_zero_is_seen_whatever_its_sign(value: float) -> None:
    _, kernel, oversight = overseen()
    oversight.begin()
    oversight.check()
    kernel.assign([[value, 0.0], [1.0, 1.0], [1.0, 1.0]])
    for check in (oversight.check, oversight.check_zeros):
        with pytest.raises(kpl.InvalidModelError, match="1 of the pruned weights of"):
            check()


def test_a_weight_that_moves_while_no_known_optimizer_steps_is_seen() -> None:
    _, kernel, oversight = overseen()
    oversight.begin()
    kernel.assign([[0.0, 0.0], [1.0, 2.0], [1.0, 1.0]])
    with pytest.raises(kpl.InvalidModelError, match="was trained, but no optimizer that the callback knows"):
        oversight.check()
    oversight.forget()  # the callback itself has written it
    oversight.check()


def test_a_weight_that_moves_with_a_step_is_no_fault() -> None:
    model, kernel, oversight = overseen()
    oversight.begin()
    kernel.assign([[0.0, 0.0], [1.0, 2.0], [1.0, 1.0]])
    model.optimizer.iterations.assign_add(1)
    oversight.check()
