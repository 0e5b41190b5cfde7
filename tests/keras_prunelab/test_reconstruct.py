"""`reconstruct`, `prune(reconstruct=)` and the score `obs`, as users call them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

import keras_prunelab as kpl
from keras_prunelab._reconstruct._sensitivity import squared_gradients

from .reconstruct_by_hand import least_squares

pytestmark = pytest.mark.backends

L = keras.layers
Array = NDArray[Any]


def inputs(*shape: int, seed: int = 0) -> Array:
    """Numbers of which neighbours are alike, so that they make up for each other."""
    random = np.random.default_rng(seed)
    return np.cumsum(random.normal(size=shape), axis=-1).astype(np.float32) / shape[-1] ** 0.5


def classifier() -> keras.Model:
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [keras.Input((8, 8, 2)), L.Conv2D(6, 3, activation="relu"), L.Flatten(), L.Dense(12, "relu"), L.Dense(4)]
    )
    for layer in model.layers:  # biases that are not zero, as of a trained network
        if layer.weights:
            layer.bias.assign(inputs(*layer.bias.shape, seed=5) / 4)
    return model


def values(model: keras.Model) -> list[Array]:
    return [np.array(each) for each in model.get_weights()]


def zeros(model: keras.Model) -> list[Array]:
    return [each == 0 for each in values(model)]


def reconstruction(*args: Any, **options: Any) -> kpl.Reconstruction:
    """What `reconstruct` tells of itself."""
    told: list[kpl.Reconstruction] = []
    assert kpl.reconstruct(*args, **options, on_done=told.append) is told[0].model
    return told[0]


def error(model: keras.Model, other: keras.Model, x: Array) -> float:
    one, two = (np.asarray(keras.ops.convert_to_numpy(each(x, training=False))) for each in (model, other))
    return float(np.square(one - two).mean() / np.square(one).mean())


@pytest.mark.parametrize("mode", ["sequential", "layers"])
@pytest.mark.parametrize(
    "how",
    [
        {"sparsity": 0.6},
        {"sparsity": 0.7, "scope": "layer"},
        {"sparsity": 0.5, "granularity": "2:4", "exclude": ["conv2d*"]},
        {"sparsity": 0.5, "granularity": "2x2"},
        {"sparsity": 0.5, "granularity": "kernel"},
        {"sparsity": 0.4, "granularity": "channel", "scope": "layer", "exclude": ["dense_1"]},
        {"sparsity": 0.6, "convention": "matlab"},
    ],
)
def test_zeros_stay_and_outputs_come_closer(mode: Any, how: dict[str, Any]) -> None:
    model, x = classifier(), inputs(200, 8, 8, 2)
    model.layers[0].name, model.layers[2].name, model.layers[3].name = "conv2d", "dense", "dense_1"
    pruned = kpl.prune(model, **how)
    before = values(pruned)
    convention = how.get("convention", "paper")
    better = kpl.reconstruct(pruned, model, x, mode=mode, convention=convention)
    for one, two in zip(zeros(pruned), zeros(better), strict=True):
        assert_array_equal(one, two)
    for one, two in zip(before, values(pruned), strict=True):
        assert_array_equal(one, two)
    if mode == "sequential" or how.get("granularity") != "channel":  # at once, no layer knows of channels that are gone
        assert error(model, better, x) < (0.8 if mode == "sequential" else 0.95) * error(model, pruned, x)
    direct = kpl.prune(model, **how, calibration=x, reconstruct=mode)
    for one, two in zip(values(better), values(direct), strict=True):
        assert_allclose(one, two, rtol=1e-4, atol=1e-5)


def test_one_layer_after_the_other_equals_numpy() -> None:
    model = keras.Sequential([keras.Input((6,)), L.Dense(5, "relu"), L.Dense(3)])
    x = inputs(80, 6)
    pruned = kpl.prune(model, 0.5, scope="layer")
    better = kpl.reconstruct(pruned, model, x, damping=0.01)

    def ones(rows: Array) -> Array:
        return np.concatenate([rows, np.ones((len(rows), 1))], axis=1).astype(np.float64)

    old, masks, rows, target = values(model), zeros(pruned), ones(x), ones(x)
    for place in (0, 2):
        whole = np.concatenate([old[place], old[place + 1][None]]).astype(np.float64)
        kept = np.concatenate([~masks[place], np.ones((1, whole.shape[1]), bool)])
        new = np.stack(
            [
                least_squares(rows, target @ column, column, stays, 0.01)
                for column, stays in zip(whole.T, kept.T, strict=True)
            ],
            axis=1,
        )
        assert_allclose(values(better)[place], new[:-1], rtol=2e-3, atol=1e-4)
        assert_allclose(values(better)[place + 1], new[-1], rtol=2e-3, atol=1e-4)
        rows, target = ones(np.maximum(rows @ new, 0)), ones(np.maximum(target @ whole, 0))


def test_errors_before_and_after_are_those_of_the_layers_outputs() -> None:
    model = keras.Sequential([keras.Input((6,)), L.Dense(5, "relu"), L.Dense(3)])
    x = inputs(80, 6)
    pruned = kpl.prune(model, 0.5, scope="layer")
    for mode in ("layers", "sequential"):
        found = reconstruction(pruned, model, x, mode=mode)
        parts = [keras.Model(each.inputs[0], each.layers[0].output) for each in (model, pruned, found.model)]
        whole, _, solved = (np.asarray(keras.ops.convert_to_numpy(each(x))) for each in parts)
        w, after, before = (each.layers[1].get_weights() for each in (model, found.model, pruned))
        fed = solved if mode == "sequential" else whole
        outputs = whole @ w[0] + w[1]
        scale = np.square(outputs).sum()
        assert_allclose(
            found.solved[1].before, np.square(fed @ before[0] + before[1] - outputs).sum() / scale, rtol=1e-3
        )
        assert_allclose(found.solved[1].after, np.square(fed @ after[0] + after[1] - outputs).sum() / scale, rtol=1e-2)
        assert [each.method for each in found.solved] == ["exact", "exact"]
        assert "Dense" not in str(found.skipped)
        assert "2 layers solved anew" in str(found)


def test_a_separable_convolution_is_solved_in_its_two_steps() -> None:
    model = keras.Sequential([keras.Input((8, 8, 3)), L.SeparableConv2D(5, 3, depth_multiplier=2)])
    random = np.random.default_rng(3)  # damping may turn the order round where both come out alike
    model.set_weights([random.normal(size=weight.shape) for weight in model.weights])
    x = inputs(40, 8, 8, 3)
    pruned = kpl.prune(model, 0.5)
    errors = {mode: error(model, kpl.reconstruct(pruned, model, x, mode=mode), x) for mode in ("layers", "sequential")}
    assert errors["sequential"] <= errors["layers"] < error(model, pruned, x)


def test_layers_without_a_rule_keep_their_masked_weights_and_are_named() -> None:
    @keras.saving.register_keras_serializable("test_reconstruct")
    class Own(L.Layer):
        def build(self, shape: Any) -> None:
            self.kernel = self.add_weight(shape=(shape[-1], 4), name="kernel")

        def call(self, x: Any) -> Any:
            return keras.ops.matmul(x, self.kernel)

    model = keras.Sequential([keras.Input((6,)), Own(name="own"), L.Dense(3)])
    x = inputs(60, 6)
    pruned = kpl.prune(model, 0.5, scope="layer")
    found = reconstruction(pruned, model, x)
    assert_array_equal(values(found.model)[0], values(pruned)[0])
    assert [path.split("/")[-1] for path in found.skipped] == ["own"]
    with pytest.raises(kpl.InvalidModelError, match="register_linear_rule"):
        kpl.prune(model, 0.5, "obs", calibration=x)

    kpl.register_linear_rule(Own)(kpl.LinearRule)
    found = reconstruction(pruned, model, x)
    assert not found.skipped
    assert error(model, found.model, x) < error(model, pruned, x)
    assert kpl.sparsity(kpl.prune(model, 0.5, "obs", calibration=x)) == 0.5


def test_bad_input_is_refused_and_nothing_is_changed() -> None:
    model, x = classifier(), inputs(50, 8, 8, 2)
    pruned = kpl.prune(model, 0.5)
    other = keras.Sequential([keras.Input((8, 8, 2)), L.Flatten(), L.Dense(4)])
    wrong = x.copy()
    wrong[3] = np.nan
    cases: list[tuple[Any, type[Exception], str]] = [
        (lambda: kpl.reconstruct(pruned, model), kpl.InvalidDataError, "calibration"),
        (lambda: kpl.reconstruct(pruned, model, x[:0]), kpl.InvalidDataError, "empty"),
        (lambda: kpl.reconstruct(pruned, model, x[:3]), kpl.InvalidDataError, "too few"),
        (lambda: kpl.reconstruct(pruned, model, wrong), kpl.InvalidDataError, "NaN"),
        (lambda: kpl.reconstruct(pruned, model, x[..., :1]), kpl.InvalidDataError, "shape"),
        (lambda: kpl.reconstruct(pruned, other, x), kpl.InvalidModelError, "no copy"),
        (lambda: kpl.reconstruct(model, pruned, x), kpl.InvalidModelError, "wrong order"),
        (lambda: kpl.reconstruct(pruned, model, x, damping=-1), kpl.InvalidDataError, "damping"),
        (lambda: kpl.reconstruct(pruned, model, np.full((30, 8, 8, 2), "a")), kpl.InvalidDataError, "type and shape"),
        (lambda: kpl.reconstruct(pruned, model, x, budget=-1), kpl.InvalidDataError, "multiply-adds"),
        (lambda: kpl.scores.OBS(budget="much"), kpl.InvalidDataError, "multiply-adds"),  # type: ignore[arg-type]
        (lambda: kpl.register_linear_rule("Dense"), kpl.InvalidModelError, "classes of layers"),  # type: ignore[arg-type]
        (lambda: kpl.reconstruct(pruned, model, x, mode="both"), kpl.UnknownNameError, "both"),
        (lambda: kpl.reconstruct(pruned, model, x, data=x), kpl.InvalidDataError, "mean the same"),
        (lambda: kpl.prune(model, 0.5, reconstruct=True), kpl.InvalidDataError, "calibration"),
        (lambda: kpl.prune(model, 0.5, "obs"), kpl.InvalidDataError, "needs data"),
    ]
    before = values(model), values(pruned)
    for call, kind, words in cases:
        with pytest.raises(kind, match=words):
            call()
    for one, two in zip([*before[0], *before[1]], [*values(model), *values(pruned)], strict=True):
        assert_array_equal(one, two)


@pytest.mark.parametrize("granularity", ["weight", "2:4", "4x2", "kernel", "channel"])
def test_obs_prunes_exactly_and_loses_less_than_magnitude(granularity: str) -> None:
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((8, 8, 4)), L.Conv2D(8, 3, activation="relu"), L.Flatten(), L.Dense(4)])
    x = inputs(200, 8, 8, 4)
    how: dict[str, Any] = {"granularity": granularity, "calibration": x, "reconstruct": "layers"}
    score = kpl.scores.OBS()
    obs, magnitude = kpl.prune(model, 0.5, score, **how), kpl.prune(model, 0.5, **how)
    if granularity == "weight":
        assert kpl.sparsity(obs) == kpl.sparsity(magnitude)
    assert abs(kpl.sparsity(obs) - 0.5) < (0.15 if granularity == "channel" else 0.02)  # a channel is many weights
    if granularity != "channel":  # whole channels are not made up for in their own layer
        assert error(model, obs, x) < 1.1 * error(model, magnitude, x)
    assert set(score.methods.values()) == {"exact"}


def test_obs_counts_biases_where_the_convention_does_and_scales_go_last() -> None:
    model = keras.Sequential([keras.Input((8,)), L.Dense(6), L.BatchNormalization(), L.ReLU(), L.Dense(3)])
    for layer in (model.layers[0], model.layers[3]):
        layer.bias.assign(np.full(layer.bias.shape, 1e-3))
    model.layers[1].beta.assign(np.full((6,), 0.1))
    pruned = kpl.prune(model, 0.7, "obs", calibration=inputs(100, 8), convention="matlab", reconstruct=True)
    assert kpl.sparsity(pruned, convention="matlab") == pytest.approx(0.7, abs=0.03)
    assert not np.any(values(pruned)[2] == 0)  # the scale of the normalization


def test_a_layer_beyond_the_budget_is_ranked_by_a_pass() -> None:
    model, x = classifier(), inputs(100, 8, 8, 2)
    score = kpl.scores.OBS(budget=0)
    pruned = kpl.prune(model, 0.6, score, calibration=x)
    assert kpl.sparsity(pruned) == pytest.approx(0.6, abs=1e-3)
    assert set(score.methods.values()) == {"blocked"}
    found = reconstruction(pruned, model, x, budget=0)
    assert {each.method for each in found.solved} == {"refined"}
    exact = kpl.reconstruct(pruned, model, x)
    assert error(model, found.model, x) < 1.3 * error(model, exact, x)


def test_squared_gradients_are_those_of_single_observations() -> None:
    """Of a linear network with normally distributed labels: the mean square of each input, times the outputs' noise."""
    model = keras.Sequential([keras.Input((4,)), L.Dense(3, use_bias=False)])
    x = inputs(1000, 4)
    (found,) = squared_gradients(model, model.trainable_variables, x).values()
    # 125 gradients of 3 outputs each: their mean is within 7 % of the expected one with the probability of a sigma.
    assert_allclose(found.sum(), 3 * np.square(x.astype(np.float64)).mean(axis=0).sum(), rtol=0.25)


def test_names() -> None:
    assert kpl.scores.get("obs") == kpl.scores.OBS()
    assert kpl.scores.deserialize(kpl.scores.serialize(kpl.scores.OBS(0.1))) == kpl.scores.OBS(0.1)
    with pytest.raises(kpl.UnknownNameError, match="'obs'"):
        kpl.scores.get("nothing")
