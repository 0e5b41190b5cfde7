from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_prunelab as kpl
from keras_prunelab.layers import Pruned, strip, wrap

pytestmark = pytest.mark.backends

L = keras.layers
RNG = np.random.default_rng(12)
X = RNG.normal(size=(12, 6, 4)).astype(np.float32)
Y = RNG.normal(size=(12, 6, 2)).astype(np.float32)


def network() -> keras.Model:
    """Shared, nested, recurrent and distributed layers, and attention with two inputs."""
    keras.utils.set_random_seed(2)
    inputs = keras.Input((6, 4), name="sequence")
    x = L.Bidirectional(L.LSTM(3, return_sequences=True, name="lstm"), name="both")(inputs)
    shared = L.Dense(6, name="shared")
    nested = keras.Sequential([keras.Input((6, 6)), L.Dense(6, name="deep"), L.BatchNormalization()], name="nested")
    x = L.MultiHeadAttention(2, 3, name="attention")(shared(x), nested(shared(x)))
    x = L.TimeDistributed(L.Dense(5, name="each"), name="time")(x)
    model = keras.Model(inputs, L.Dense(2, name="out")(x), name="net")
    model.compile(keras.optimizers.AdamW(0.02, weight_decay=0.1), {"out": "mse"}, metrics={"out": ["mae"]})
    model.class_names = ["a", "b"]
    return model


def trained(model: keras.Model, **options: object) -> keras.Model:
    wrapped = wrap(model, 0.5, **options)  # type: ignore[arg-type]
    wrapped.fit(X, Y, batch_size=4, verbose=0, callbacks=[kpl.callbacks.UpdateMasks()])
    return wrapped


def assert_same_outputs(found: np.ndarray, expected: np.ndarray) -> None:
    """To the last bits: for a variable torch multiplies matrices in another order than for its product with a mask."""
    np.testing.assert_allclose(found, expected, rtol=0, atol=4 * np.finfo(np.float32).eps * np.abs(expected).max())


def test_a_wrapped_copy_has_the_same_outputs_names_and_compiled_state() -> None:
    model = network()
    before = model.get_weights()
    wrapped = wrap(model, 0.5)
    assert_same_outputs(wrapped.predict(X, verbose=0), model.predict(X, verbose=0))
    assert [layer.name for layer in wrapped.layers] == [layer.name for layer in model.layers]
    assert wrapped.output_names == model.output_names == ["out"]
    assert wrapped.class_names == ["a", "b"]
    assert wrapped.optimizer is not model.optimizer
    assert wrapped.optimizer.get_config() == model.optimizer.get_config()
    assert {type(layer) for layer in wrapped.layers} == {L.InputLayer, Pruned, keras.Sequential}
    wrapped.fit(X, Y, batch_size=4, verbose=0, callbacks=[kpl.callbacks.UpdateMasks()])
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_shared_layers_stay_shared_and_nested_models_are_gone_through() -> None:
    model = network()
    wrapped = wrap(model, 0.5)
    assert len(wrapped.get_layer("shared")._inbound_nodes) == 2
    assert isinstance(wrapped.get_layer("nested").get_layer("deep"), Pruned)
    assert not isinstance(wrapped.get_layer("nested"), Pruned)
    assert [item.within for item in kpl.prunable(wrapped)] == [item.within for item in kpl.prunable(model)]


def test_a_stripped_copy_has_equal_outputs_names_and_zeros() -> None:
    model = network()
    wrapped = trained(model)
    plain = strip(wrapped)
    assert_same_outputs(plain.predict(X, verbose=0), wrapped.predict(X, verbose=0))
    assert [layer.name for layer in plain.layers] == [layer.name for layer in model.layers]
    assert [item.within for item in kpl.prunable(plain)] == [item.within for item in kpl.prunable(model)]
    assert kpl.sparsity(plain) == kpl.sparsity(wrapped)
    assert plain.class_names == ["a", "b"]
    assert plain.optimizer.get_config() == wrapped.optimizer.get_config()
    plain.fit(X, Y, verbose=0)


def test_a_stripped_file_loads_without_this_package(tmp_path: Path) -> None:
    wrapped = trained(network())
    strip(wrapped).save(tmp_path / "plain.keras")
    np.save(tmp_path / "x.npy", X)
    script = (
        "import sys, keras, numpy as np\n"
        f"model = keras.saving.load_model({str(tmp_path / 'plain.keras')!r})\n"
        f"np.save({str(tmp_path / 'y.npy')!r}, model.predict(np.load({str(tmp_path / 'x.npy')!r}), verbose=0))\n"
        "assert not any(name.startswith('keras_prunelab') for name in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    assert_same_outputs(np.load(tmp_path / "y.npy"), wrapped.predict(X, verbose=0))


def test_a_wrapped_file_loads_and_trains_on(tmp_path: Path) -> None:
    wrapped = trained(network())
    wrapped.save(tmp_path / "wrapped.keras")
    loaded = keras.saving.load_model(tmp_path / "wrapped.keras")
    assert_same_outputs(loaded.predict(X, verbose=0), wrapped.predict(X, verbose=0))
    assert int(loaded.optimizer.iterations) == 3
    loaded.fit(X, Y, batch_size=4, verbose=0)
    assert kpl.sparsity(loaded) == kpl.sparsity(wrapped)


def test_layers_with_settings_of_their_own() -> None:
    wrapped = wrap(network(), 0.75, include=["out", "shared"], gradients="dense")
    wrapped = wrap(wrapped, kpl.schedules.OneShot(0.25, step=2), score="random", exclude="attention")
    out, both = wrapped.get_layer("out"), wrapped.get_layer("both")
    assert (out.schedule, out.gradients) == (kpl.schedules.Constant(0.75), "dense")
    assert (both.schedule, both.score.name) == (kpl.schedules.OneShot(0.25, step=2), "random")
    assert isinstance(wrapped.get_layer("attention"), L.MultiHeadAttention)
    wrapped.fit(X, Y, batch_size=4, verbose=0, callbacks=[kpl.callbacks.UpdateMasks(frequency=2)])
    found = {name: wrapped.get_layer(name).masks for name in ("out", "shared", "both", "time")}
    assert {name: masks.sparsity for name, masks in found.items()} == pytest.approx(
        {"out": 8 / 10, "shared": 0.75, "both": 0.25, "time": 8 / 30}
    )


def test_masks_of_layers_that_were_wrapped_before_are_kept() -> None:
    once = trained(network(), include="shared")
    twice = wrap(once, 0.5)
    assert twice.get_layer("shared").masks == once.get_layer("shared").masks
    assert twice.get_layer("out").masks.zeros == 0
    assert_same_outputs(twice.predict(X, verbose=0), once.predict(X, verbose=0))


def test_filters_that_leave_a_part_of_a_layer() -> None:
    wrapped = wrap(network(), 0.5, include=lambda item: item.variable.name == "recurrent_kernel")
    assert [name.rpartition("/")[2] for name in wrapped.get_layer("both").masks] == ["recurrent_kernel"] * 2
    assert isinstance(wrapped.get_layer("out"), L.Dense)


def test_the_rest_of_the_package_sees_masked_weights() -> None:
    wrapped = wrap(network(), 0.5)
    out = wrapped.get_layer("out")
    out.gradients = "dense"  # so that the weights behind the mask stay
    mask = np.zeros((5, 2), np.bool_)
    mask[0] = True
    out.set_masks({"kernel": mask})
    assert kpl.sparsity(wrapped, include="out") == 0.8
    items = kpl.prunable(wrapped)
    assert not items[-1].value()[1:].any()
    assert items[-1].raw_value()[1:].all()
    assert all(item.variable.dtype == "float32" for item in kpl.prunable(wrapped, learnables="all"))
    assert kpl.MaskSet.from_zeros(wrapped)[items[-1].path].tolist() == mask.tolist()
    summary = kpl.callbacks.PruningSummary(verbose=0)
    history = wrapped.fit(X, Y, verbose=0, callbacks=[summary])
    assert history.history["sparsity/out"] == [0.8]
    with pytest.raises(kpl.InvalidModelError, match="masks of Pruned wrappers, which UpdateMasks changes"):
        wrapped.fit(X, Y, verbose=0, callbacks=[kpl.callbacks.Prune(0.5)])


# Which weights are the smallest depends on how the backend draws them.
@pytest.mark.filterwarnings("ignore:All weights of:keras_prunelab.PruningWarning")
def test_prune_takes_the_layers_that_are_not_wrapped() -> None:
    wrapped = wrap(network(), 0.5, include="out")
    callbacks = [kpl.callbacks.UpdateMasks(), kpl.callbacks.Prune(0.75, exclude=Pruned)]
    wrapped.fit(X, Y, batch_size=4, verbose=0, callbacks=callbacks)
    assert kpl.sparsity(wrapped, include="out") == 0.5
    assert kpl.sparsity(wrapped, exclude="out") == pytest.approx(0.75, abs=0.005)


@keras.saving.register_keras_serializable(package="tests")
class Holder(L.Layer):
    """A layer that is given its layers."""

    def __init__(self, inner: keras.layers.Layer, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.inner = inner

    def build(self, shape: tuple[int, ...]) -> None:
        self.inner.build(shape)

    def call(self, x: object) -> object:
        return self.inner(x)

    def get_config(self) -> dict[str, object]:
        return super().get_config() | {"inner": keras.saving.serialize_keras_object(self.inner)}

    @classmethod
    def from_config(cls, config: dict[str, object]) -> Holder:
        return cls(keras.saving.deserialize_keras_object(config.pop("inner")), **config)


@pytest.mark.parametrize("outside", [L.TimeDistributed, Holder])
def test_wrappers_inside_other_layers_are_stripped_too(outside: type) -> None:
    model = keras.Sequential([keras.Input((6, 4)), outside(Pruned(L.Dense(2, name="fc"), 0.5), name="outside")])
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0, callbacks=[kpl.callbacks.UpdateMasks()])
    assert kpl.sparsity(model) == 0.5
    plain = strip(model)
    assert not any(isinstance(layer, Pruned) for layer in plain._flatten_layers())
    assert_same_outputs(plain.predict(X, verbose=0), model.predict(X, verbose=0))


class Own(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.fc = L.Dense(2)

    def call(self, x: object) -> object:
        return self.fc(x)


class Making(L.Layer):
    """A layer that makes a wrapper by itself."""

    def __init__(self, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.inner = Pruned(L.Dense(2), 0.5)

    def build(self, shape: tuple[int, ...]) -> None:
        self.inner.build(shape)

    def call(self, x: object) -> object:
        return self.inner(x)


def test_models_that_cannot_be_wrapped_or_stripped() -> None:
    own = Own()
    own(X)
    with pytest.raises(kpl.InvalidModelError, match=r"class Own cannot be wrapped: only functional .*callbacks\.Prune"):
        wrap(own, 0.5)
    with pytest.raises(kpl.InvalidModelError, match="not built"):
        wrap(keras.Sequential([L.Dense(2)]), 0.5)
    with pytest.raises(kpl.InvalidModelError, match="is wrapped already"):
        wrap(wrap(network(), 0.5), 0.5, include="out")
    with pytest.raises(kpl.UnknownNameError, match="'conv' matches no layer"):
        wrap(network(), 0.5, include="conv")
    with pytest.raises(kpl.InvalidSparsityError, match="divides by 4"):
        wrap(network(), 0.5, granularity="2:4", include="out")
    with pytest.raises(kpl.InvalidModelError, match="makes Pruned layers by itself"):
        strip(keras.Sequential([keras.Input((4,)), Making()]))


def test_a_class_of_ones_own_keeps_its_train_step_or_is_refused() -> None:
    class Named(keras.Model):
        def train_step(self, *args: object) -> object:
            return super().train_step(*args)

    class Sized(keras.Model):
        def __init__(self, size: int) -> None:
            inputs = keras.Input((4,))
            super().__init__(inputs, L.Dense(size)(inputs))

    inputs = keras.Input((4,))
    assert type(wrap(Named(inputs, L.Dense(2)(inputs)), 0.5)) is Named
    with pytest.raises(kpl.InvalidModelError, match="class would be lost"):
        wrap(Sized(3), 0.5)


def test_frozen_layers_stay_frozen() -> None:
    model = network()
    model.get_layer("shared").trainable = False
    wrapped = wrap(model, 0.5)
    assert [v.path.split("/")[-1] for v in wrapped.trainable_variables] == [
        v.path.split("/")[-1] for v in model.trainable_variables
    ]
    assert not strip(wrapped).get_layer("shared").trainable


def test_operations_without_a_layer_are_copied() -> None:
    inputs = keras.Input((8,))
    x = L.Dense(4, name="hidden")(inputs)
    joined = keras.ops.concatenate([keras.ops.relu6(x), x * 2.0 + 1.0], axis=-1)
    model = keras.Model(inputs, L.Dense(2)(joined))
    rows = RNG.normal(size=(5, 8)).astype(np.float32)
    wrapped = wrap(model, 0.5)
    assert_same_outputs(wrapped.predict(rows, verbose=0), model.predict(rows, verbose=0))
    assert_same_outputs(strip(wrapped).predict(rows, verbose=0), model.predict(rows, verbose=0))
    theirs, ours = ({id(each) for each in one.operations} for one in (model, wrapped))
    assert theirs.isdisjoint(ours)  # nothing of the model's graph gains a call
