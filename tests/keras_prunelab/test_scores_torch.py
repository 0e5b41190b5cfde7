"""Scores against torch's own autograd and pruning, on the same weights and the same batch."""

from __future__ import annotations

import copy
from typing import Any

import keras
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.utils import prune

import keras_prunelab as kpl
from keras_prunelab import scores

pytestmark = pytest.mark.backends

Array = NDArray[Any]


@pytest.fixture(scope="module")
def pair() -> tuple[keras.Model, nn.Module]:
    """The same network twice: a convolution, and two dense layers."""
    keras.utils.set_random_seed(4)
    layers = [
        keras.layers.Conv2D(5, 3, activation="relu"),
        keras.layers.Permute((3, 1, 2)),  # torch flattens the channels first
        keras.layers.Flatten(),
        keras.layers.Dense(12, activation="relu"),
        keras.layers.Dense(4),
    ]
    model = keras.Sequential([keras.Input((8, 8, 2)), *layers])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    twin = nn.Sequential(
        nn.Conv2d(2, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(5 * 36, 12), nn.ReLU(), nn.Linear(12, 4)
    )
    weights = [torch.tensor(np.array(array)) for array in model.get_weights()]
    with torch.no_grad():
        for layer, (kernel, bias) in zip(
            (twin[0], twin[3], twin[5]), zip(weights[::2], weights[1::2], strict=True), strict=True
        ):
            layer.weight.copy_(kernel.permute(3, 2, 0, 1) if kernel.ndim == 4 else kernel.T)
            layer.bias.copy_(bias)
    return model, twin


@pytest.fixture(scope="module")
def data() -> tuple[Array, Array]:
    rng = np.random.default_rng(9)
    return rng.normal(size=(24, 8, 8, 2)).astype(np.float32), rng.integers(0, 4, 24)


def loss_of(twin: nn.Module, inputs: Array, labels: Array) -> torch.Tensor:
    outputs = twin(torch.tensor(inputs).permute(0, 3, 1, 2))
    return nn.functional.cross_entropy(outputs, torch.tensor(labels))


def parameters(twin: nn.Module) -> list[torch.Tensor]:
    return [layer.weight for layer in (twin[0], twin[3], twin[5])]  # type: ignore[index]


def as_keras(tensor: torch.Tensor) -> Array:
    array = tensor.detach()
    return (array.permute(2, 3, 1, 0) if array.ndim == 4 else array.T).numpy()


def check(model: keras.Model, name: str, given: Any, expected: list[torch.Tensor], **config: Any) -> None:
    found = kpl.prunable(model)
    score = scores.deserialize({"name": name, "config": config})
    values = score(scores.ScoreContext(model, found, found.values(), given))
    for one, other in zip(values.values(), expected, strict=True):
        reference = as_keras(other)
        assert np.abs(one - reference).max() < 1e-4 * np.abs(reference).max()


def test_snip(pair: tuple[keras.Model, nn.Module], data: tuple[Array, Array]) -> None:
    model, twin = pair
    slopes = torch.autograd.grad(loss_of(twin, *data), parameters(twin))
    check(model, "snip", data, [(w * g).abs() for w, g in zip(parameters(twin), slopes, strict=True)])


def test_grasp(pair: tuple[keras.Model, nn.Module], data: tuple[Array, Array]) -> None:
    model, twin = pair
    weights = parameters(twin)
    slopes = torch.autograd.grad(loss_of(twin, *data), weights, create_graph=True)
    flow = torch.autograd.grad(sum((slope**2).sum() for slope in slopes) / 2, weights)  # H g
    check(model, "grasp", data, [w * part for w, part in zip(weights, flow, strict=True)])


def test_taylor(pair: tuple[keras.Model, nn.Module], data: tuple[Array, Array]) -> None:
    model, twin = pair
    terms = []
    for part in (slice(0, 16), slice(16, 24)):
        slopes = torch.autograd.grad(loss_of(twin, data[0][part], data[1][part]), parameters(twin))
        terms.append([(w * g) ** 2 for w, g in zip(parameters(twin), slopes, strict=True)])
    check(model, "taylor", data, [(one + two) / 2 for one, two in zip(*terms, strict=True)], batch_size=16)


def test_synflow(pair: tuple[keras.Model, nn.Module]) -> None:
    model, twin = pair
    absolute = {name: value.detach().abs().requires_grad_() for name, value in twin.named_parameters()}
    total = torch.func.functional_call(twin, absolute, torch.ones(1, 2, 8, 8)).sum()
    weights = [absolute[name] for name in ("0.weight", "3.weight", "5.weight")]
    slopes = torch.autograd.grad(total, weights)
    check(model, "synflow", None, [(w * g).abs() for w, g in zip(weights, slopes, strict=True)])


@pytest.mark.parametrize("sparsity", [0.3, 0.9, 0.987])
def test_global_magnitude_masks_are_those_of_torch(pair: tuple[keras.Model, nn.Module], sparsity: float) -> None:
    model, twin = pair[0], copy.deepcopy(pair[1])
    pruned = [(layer, "weight") for layer in (twin[0], twin[3], twin[5])]  # type: ignore[index]
    count = round(sparsity * sum(layer.weight.numel() for layer, _ in pruned))
    prune.global_unstructured(pruned, prune.L1Unstructured, amount=count)
    expected = [as_keras(layer.weight_mask) for layer, _ in pruned]
    masks = kpl.trajectory(model, sparsity).masks(0)
    for one, other in zip(masks.values(), expected, strict=True):
        np.testing.assert_array_equal(one, other.astype(bool))


def test_filters_by_l2_norm_are_those_of_torch(pair: tuple[keras.Model, nn.Module]) -> None:
    model, twin = pair
    layer = nn.Conv2d(2, 5, 3)
    layer.load_state_dict(twin[0].state_dict())  # type: ignore[index]
    prune.ln_structured(layer, "weight", amount=2, n=2, dim=0)
    path = kpl.trajectory(
        model, 0.4, scores.Magnitude(norm=2), granularity="channel", prunables=kpl.prunable(model, "conv2d*")
    )
    (mask,) = path.masks(0).values()
    np.testing.assert_array_equal(mask, as_keras(layer.weight_mask).astype(bool))
