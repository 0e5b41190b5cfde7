"""Both conventions, against NumPy written from their definitions."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import keras_prunelab as kpl
from keras_prunelab._select import _conventions

from .numpy_network import Array, Step, exact_mask, matlab_mask, synflow

pytestmark = pytest.mark.backends

L = keras.layers
LEVELS = (*np.linspace(0, 0.9, 10), 0.95, 0.98)


def network(filters: tuple[int, ...], size: int, classes: int, *, norm: bool, ending: str = "softmax") -> keras.Model:
    """Convolutions with ReLU, pooling between them, and a classifier, with random values everywhere."""
    keras.utils.set_random_seed(7)
    x = inputs = keras.Input((size, size, 1))
    x = L.Rescaling(2.0, offset=-0.5)(x)
    for index, count in enumerate(filters, start=1):
        x = L.MaxPooling2D()(x) if index > 1 else x
        x = L.Conv2D(count, 3, padding="same", bias_initializer="normal", name=f"conv{index}")(x)
        if norm:
            x = L.BatchNormalization(name=f"norm{index}")(x)
        x = L.ReLU()(x)
    x = L.Flatten()(x)
    if ending == "softmax":
        x = L.Dense(classes, activation="softmax", bias_initializer="normal", name="fc")(x)
    else:
        x = L.Dense(classes, bias_initializer="normal", name="fc")(x)
        x = {"layer": L.Softmax(), "activation": L.Activation("sigmoid"), "operation": keras.ops.softmax}[ending](x)
    model = keras.Model(inputs, x)
    random = np.random.default_rng(7)
    for layer in model.layers:
        if isinstance(layer, L.BatchNormalization):
            gamma, beta, mean = random.normal(size=(3, layer.gamma.shape[0]))
            layer.set_weights([gamma, beta, 0.1 * mean, random.uniform(0.5, 2, gamma.shape)])
    return model


def steps(filters: tuple[int, ...], *, norm: bool) -> list[Step]:
    found: list[Step] = []
    for index in range(1, len(filters) + 1):
        found += [Step("pool")] if index > 1 else []
        found += [
            Step("conv", f"conv{index}"),
            *([Step("norm", f"norm{index}")] if norm else []),
            Step("relu"),
        ]
    return [*found, Step("flatten"), Step("dense", "fc")]


def arrays(model: keras.Model) -> tuple[dict[str, Array], dict[str, Array]]:
    weights = {v.path: np.asarray(v.numpy(), np.float64) for v in model.trainable_variables}
    states = {v.path: np.asarray(v.numpy(), np.float64) for v in model.non_trainable_variables}
    return weights, states


def ones(size: int) -> Array:
    return 2.0 * np.ones((size, size, 1)) - 0.5


def same(masks: kpl.MaskSet, expected: dict[str, Array]) -> bool:
    assert masks.keys() == expected.keys()
    for path, mask in masks.items():
        assert_array_equal(mask, expected[path], err_msg=path)
    return True


def synflow_scores(model: keras.Model) -> dict[str, Array]:
    found = kpl.prunable(model, learnables="all")
    return kpl.scores.SynFlow()(kpl.scores.ScoreContext(model, found, found.values(), flow="as built"))


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("ending", ["softmax", "layer", "activation", "operation"])
def test_synflow_scores_are_those_of_numpy(norm: bool, ending: str) -> None:
    model = network((4, 6), 8, 5, norm=norm, ending=ending)
    weights, states = arrays(model)
    expected = synflow(steps((4, 6), norm=norm), weights, states, ones(8))
    scores = synflow_scores(model)
    assert scores.keys() == expected.keys()
    for path, score in scores.items():
        assert_allclose(score, expected[path], rtol=1e-5, err_msg=path)


@pytest.mark.parametrize("norm", [False, True])
def test_matlab_synflow_masks_are_those_of_numpy(norm: bool) -> None:
    model = network((4, 6), 8, 5, norm=norm)
    weights, states = arrays(model)
    found = kpl.trajectory(model, LEVELS, "synflow", convention="matlab")
    for level, sparsity in enumerate(LEVELS):
        # On the network pruned so far: the masks accumulate.
        mask = matlab_mask(synflow(steps((4, 6), norm=norm), weights, states, ones(8)), sparsity)
        weights = {path: value * mask[path] for path, value in weights.items()}
        assert same(found.masks(level), mask)
        assert found.zeros(level) == sum(np.count_nonzero(~one) for one in mask.values())


@pytest.mark.parametrize("norm", [False, True])
def test_matlab_magnitude_masks_are_those_of_numpy(norm: bool) -> None:
    model = network((8, 16, 32), 28, 10, norm=norm)
    weights, _ = arrays(model)
    found = kpl.trajectory(model, LEVELS, "magnitude", convention="matlab")
    assert found.total == 21_578 + norm * 2 * (8 + 16 + 32)
    for level, sparsity in enumerate(LEVELS):
        assert same(found.masks(level), matlab_mask({path: np.abs(w) for path, w in weights.items()}, sparsity))


def test_matlab_rule_prunes_zeros_at_sparsity_zero_and_all_ties() -> None:
    model = keras.Sequential([keras.Input((4,)), L.Dense(3, name="fc")])
    model.layers[0].set_weights([np.float32([[0, 1, 1], [1, 1, 2], [2, 3, 3], [0, 4, 4]]), np.zeros(3, "float32")])
    found = kpl.trajectory(model, [0.0, 0.4, 0.45], convention="matlab")
    assert [found.zeros(level) for level in range(3)] == [5, 9, 9]  # of 15, k is 0, 6 and 7
    exact = kpl.trajectory(model, [0.0, 0.4, 0.45], convention="paper")
    assert [exact.zeros(level) for level in range(3)] == [0, 5, 5]  # of the kernel's 12


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("rounds", [1, 100])
def test_paper_synflow_masks_are_those_of_numpy(norm: bool, rounds: int) -> None:
    model = network((4, 6), 8, 5, norm=norm)
    weights, states = arrays(model)
    paths = [path for path in weights if path.endswith("kernel")]
    masks = {path: np.ones(weights[path].shape, bool) for path in paths}
    states = {path: value * (not path.endswith("moving_mean")) for path, value in states.items()}
    for step in range(1, rounds + 1):
        scores = synflow(steps((4, 6), norm=norm), weights, states, 2.0 * np.ones((8, 8, 1)))  # without the offset
        ranked = {path: np.where(masks[path], scores[path], -1) for path in paths}
        masks = exact_mask(ranked, 1 - 0.1 ** (step / rounds))
        weights |= {path: weights[path] * masks[path] for path in paths}
    found = kpl.trajectory(model, [0.9], kpl.scores.SynFlow(rounds=rounds), convention="paper")
    assert same(found.masks(0), masks)


def test_published_network_scores_are_those_of_numpy() -> None:
    model = network((8, 16, 32), 28, 10, norm=False)
    weights, states = arrays(model)
    expected = synflow(steps((8, 16, 32), norm=False), weights, states, ones(28))
    for path, score in synflow_scores(model).items():
        assert_allclose(score, expected[path], rtol=1e-5, err_msg=path)


def test_convention_is_found_by_name() -> None:
    assert _conventions.get("matlab") is _conventions.MATLAB
    assert _conventions.get(_conventions.PAPER) is _conventions.PAPER
    with pytest.raises(kpl.UnknownNameError, match="'papers' is unknown; it is one of 'paper', 'matlab'"):
        _conventions.get("papers")
