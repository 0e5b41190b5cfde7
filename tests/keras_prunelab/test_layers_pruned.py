from __future__ import annotations

import json
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

import keras_prunelab as kpl
from keras_prunelab.layers import Pruned

pytestmark = pytest.mark.backends

L = keras.layers
RNG = np.random.default_rng(11)
X = RNG.normal(size=(16, 5)).astype(np.float32)
Y = RNG.normal(size=(16, 3)).astype(np.float32)
MASK = np.arange(15).reshape(5, 3) % 3 != 1  # a third is pruned


def array(value: object) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(value))


def dense(**options: object) -> tuple[keras.Model, Pruned, np.ndarray]:
    """A model of one wrapped layer with MASK over its kernel, and the kernel as it was."""
    keras.utils.set_random_seed(1)
    pruned = Pruned(L.Dense(3, bias_initializer="ones", name="fc"), 0.5, **options)  # type: ignore[arg-type]
    model = keras.Sequential([keras.Input((5,)), pruned])
    kernel = array(pruned.layer.kernel).copy()
    pruned.set_masks({"kernel": MASK})
    return model, pruned, kernel


@pytest.mark.parametrize("gradients", ["masked", "dense"])
def test_the_layer_sees_zeros_in_the_place_of_pruned_weights(gradients: str) -> None:
    model, pruned, kernel = dense(gradients=gradients)
    expected = X @ np.where(MASK, kernel, 0) + 1
    np.testing.assert_allclose(model.predict(X, verbose=0), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(array(pruned.layer.kernel), kernel if gradients == "dense" else kernel * MASK)
    assert pruned.masks == kpl.MaskSet({"kernel": MASK})


# torch compiles for minutes, and warns of itself while it does.
JIT = [False] if keras.config.backend() == "torch" else [False, True]


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize("gradients", ["masked", "dense"])
def test_one_step_of_gradient_descent(gradients: str, jit: bool) -> None:
    model, pruned, kernel = dense(gradients=gradients)
    model.compile(keras.optimizers.SGD(0.5), "mse", jit_compile=jit)
    model.fit(X, Y, batch_size=16, verbose=0)
    error = X @ np.where(MASK, kernel, 0) + 1 - Y
    slope = X.T @ (2 * error / error.size)
    before = kernel if gradients == "dense" else kernel * MASK
    after = before - 0.5 * (slope if gradients == "dense" else slope * MASK)
    np.testing.assert_allclose(array(pruned.layer.kernel), after, rtol=1e-5, atol=1e-6)


def test_a_mask_is_a_weight_of_one_byte_that_is_not_trained() -> None:
    model, pruned, _ = dense()
    (mask,) = pruned.non_trainable_variables
    assert mask.dtype == "bool"
    assert mask.path == f"{model.name}/fc/kernel_mask"
    assert [variable.path for variable in model.trainable_variables] == [
        f"{model.name}/fc/fc/kernel",
        f"{model.name}/fc/fc/bias",
    ]


def test_state_and_losses_inside_go_their_way() -> None:
    def layers() -> list[keras.layers.Layer]:
        return [
            L.Dense(4, activity_regularizer=keras.regularizers.L2(0.1), kernel_regularizer="l1"),
            L.BatchNormalization(),
            L.Dropout(0.5, seed=7),
        ]

    keras.utils.set_random_seed(1)
    plain = keras.Sequential([keras.Input((5,)), *layers()])
    inside = keras.Sequential([keras.Input((5,)), *layers()])
    inside.set_weights(plain.get_weights())
    wrapped = keras.Sequential([keras.Input((5,)), Pruned(inside, 0.5)])
    y = np.zeros((16, 4), np.float32)
    for model in (plain, wrapped):
        model.compile(keras.optimizers.SGD(0.1), "mse")
        model.fit(X, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
    for one, other in zip(plain.get_weights(), inside.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    losses = [array(keras.ops.sum(model.losses)) for model in (plain, wrapped) if model(X) is not None]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    assert losses[0] > 0


def test_an_assignment_to_a_pruned_weight_reaches_it() -> None:
    pruned = Pruned(L.SpectralNormalization(L.Dense(3)), 0.5)
    pruned(X)
    pruned.set_masks(dict.fromkeys(pruned.masks, MASK))
    kernel = array(pruned.layer.layer.kernel).copy()
    pruned(X, training=True)
    normalized = array(pruned.layer.layer.kernel)
    share = normalized[MASK] / kernel[MASK]
    np.testing.assert_allclose(share, share[0], rtol=1e-5)
    assert not np.isclose(share[0], 1)
    assert not normalized[~MASK].any()


def test_time_steps_that_are_masked_out_stay_so() -> None:
    x = np.concatenate([RNG.normal(size=(2, 3, 4)), np.zeros((2, 2, 4))], axis=1).astype(np.float32)
    inputs = keras.Input((5, 4))
    pruned = Pruned(L.LSTM(3, return_sequences=True), 0.5)
    model = keras.Model(inputs, pruned(L.Masking()(inputs)))
    by_hand = keras.Model(inputs, pruned.layer(L.Masking()(inputs)))
    np.testing.assert_array_equal(model.predict(x, verbose=0), by_hand.predict(x, verbose=0))
    np.testing.assert_allclose(
        array(pruned.layer(x[:, :3]))[:, -1], model.predict(x, verbose=0)[:, -1], rtol=1e-5, atol=1e-6
    )


# JAX has no float64 unless the whole program asks for it.
POLICIES = ["mixed_float16", "mixed_bfloat16", *(["float64"] if keras.config.backend() != "jax" else [])]


@pytest.mark.parametrize("policy", POLICIES)
def test_types_are_those_of_the_layer_inside(policy: str) -> None:
    pruned = Pruned(L.Dense(3, dtype=policy), 0.5)
    model = keras.Sequential([keras.Input((5,), dtype="float64" if policy == "float64" else None), pruned])
    pruned.set_masks({"kernel": MASK})
    by_hand = keras.Sequential([keras.Input((5,), dtype=model.inputs[0].dtype), pruned.layer])
    assert model.outputs[0].dtype == policy.removeprefix("mixed_")
    x = X.astype(np.float64) + 1e-10
    np.testing.assert_array_equal(model.predict(x, verbose=0), by_hand.predict(x, verbose=0))
    model.compile("sgd", "mse")
    model.fit(x, Y, verbose=0)
    assert pruned.layer.kernel.dtype == ("float64" if policy == "float64" else "float32")


def test_files_hold_masks_and_zeros(tmp_path: Path) -> None:
    model, pruned, kernel = dense()
    pruned.layer.kernel.assign(kernel)  # as an optimizer with momentum may leave it
    expected = model.predict(X, verbose=0)
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    with h5py.File(tmp_path / "model.weights.h5") as file:
        arrays: list[np.ndarray] = []
        file.visititems(lambda _, node: arrays.append(node[()]) if isinstance(node, h5py.Dataset) else None)
    masks = [each for each in arrays if each.dtype == np.bool_]
    assert [each.tolist() for each in masks] == [MASK.tolist()]
    assert any(np.array_equal(each, kernel * MASK) for each in arrays)

    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), expected)
    assert loaded.layers[0].get_config() == pruned.get_config()
    other, fresh, _ = dense()
    fresh.set_masks({"kernel": ~MASK})
    other.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(other.predict(X, verbose=0), expected)


def test_files_hold_what_learns_behind_the_masks(tmp_path: Path) -> None:
    model, _, kernel = dense(gradients="dense")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(array(loaded.layers[0].layer.kernel), kernel)
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))


def test_configuration_is_json_and_makes_the_same_layer() -> None:
    schedule = kpl.schedules.Polynomial(0.1, 0.9, end_step="2ep")
    pruned = Pruned(
        L.GRU(3, name="gru"), schedule, kpl.scores.Random(seed=3), granularity="4x4", gradients="dense", variables="k*"
    )
    again = Pruned.from_config(json.loads(json.dumps(pruned.get_config())))
    assert again.get_config() == pruned.get_config()
    assert (again.schedule, again.score, str(again.granularity)) == (schedule, kpl.scores.Random(seed=3), "4x4")
    assert isinstance(again.layer, L.GRU)
    assert again.name == again.layer.name == "gru"


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        (None, ["forward_l/lstm_cell/kernel", "forward_l/lstm_cell/recurrent_kernel"]),
        ("recurrent_kernel", ["forward_l/lstm_cell/recurrent_kernel"]),
        (
            ["forward_l/lstm_cell/bias", "*recurrent*"],
            ["forward_l/lstm_cell/recurrent_kernel", "forward_l/lstm_cell/bias"],
        ),
    ],
)
def test_variables_by_name(variables: object, found: list[str]) -> None:
    pruned = Pruned(L.Bidirectional(L.LSTM(2, name="l")), 0.5, variables=variables)  # type: ignore[arg-type]
    pruned(np.ones((1, 3, 2), np.float32))
    assert [name for name in pruned.masks if name.startswith("forward")] == found


def test_a_layer_that_builds_its_layers_when_it_is_called() -> None:
    class Block(L.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = L.Dense(4), L.Dense(3)

        def call(self, x: object, shift: object) -> object:
            return self.two(self.one(x)) + shift

    pruned = Pruned(Block(), 0.5)
    shift = np.ones((16, 3), np.float32)
    outputs = pruned(X, shift)
    assert pruned.masks.total == 5 * 4 + 4 * 3
    np.testing.assert_array_equal(array(outputs), array(pruned.layer(X, shift)))


ERRORS = [
    (lambda: Pruned("fc", 0.5), kpl.InvalidModelError, r"wraps a layer of Keras .* not 'fc' of type str"),
    (lambda: Pruned(Pruned(L.Dense(2), 0.5), 0.5), kpl.InvalidModelError, "that is not pruned yet"),
    (lambda: Pruned(L.Dense(2), 0.5, gradients="none"), kpl.UnknownNameError, "it is 'masked' or 'dense'"),
    (lambda: Pruned(L.Dense(2), 0.5, "size"), kpl.UnknownNameError, "score='size' is unknown"),
    (lambda: Pruned(L.Dense(2), 1.5), kpl.InvalidSparsityError, r"1.5; a sparsity is in \[0, 1\)"),
    (lambda: Pruned(L.ReLU(), 0.5)(X), kpl.NothingToPruneError, r"'.*' of class ReLU has no kernel .* no weights"),
    (
        lambda: Pruned(L.BatchNormalization(), 0.5)(X),
        kpl.NothingToPruneError,
        r"gamma: the scale of a normalization.* variables='gamma'",
    ),
    (
        lambda: Pruned(L.Dense(2), 0.5, variables="w")(X),
        kpl.UnknownNameError,
        r"no trainable variable 'w'; it has 'kernel'",
    ),
    (lambda: Pruned(L.Dense(2), 0.5, granularity="2:4")(X), kpl.InvalidSparsityError, r"divides by 4"),
    (
        lambda: Pruned(keras.Sequential([keras.Input((5,)), Pruned(L.Dense(2, name="d"), 0.5)]), 0.5)(X),
        kpl.InvalidModelError,
        "layers inside it that are pruned already: d/kernel",
    ),
]


@pytest.mark.parametrize(("make", "error", "message"), ERRORS)
def test_errors(make: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()  # type: ignore[operator]


def test_masks_that_do_not_fit() -> None:
    _, pruned, _ = dense()
    with pytest.raises(
        kpl.InvalidMaskError, match=r"no pruned variable 'kernel' of shape \(3, 5\); it has 'kernel' \(5, 3\)"
    ):
        pruned.set_masks({"kernel": MASK.T})
    with pytest.raises(kpl.InvalidMaskError, match="masks are boolean"):
        pruned.set_masks({"kernel": MASK.astype(float)})
    assert pruned.masks == kpl.MaskSet({"kernel": MASK})


def test_a_layer_that_was_quantized_inside_says_so() -> None:
    model, pruned, _ = dense()
    pruned.layer.quantize("int8")
    with pytest.raises(kpl.InvalidModelError, match=r"strip\(model\) first"):
        model(X)


def test_a_layer_that_has_lora_inside_says_so_until_it_is_merged() -> None:
    model, pruned, _ = dense()
    pruned.layer.enable_lora(2)
    with pytest.raises(kpl.InvalidModelError, match="merge_lora"):
        model(X)
    kpl.layers.merge_lora(model)
    model(X)
