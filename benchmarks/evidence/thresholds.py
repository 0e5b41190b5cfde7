"""Learned thresholds: each layer learns how small a weight may be before it is taken for zero."""

from __future__ import annotations

from typing import Any

import keras

import keras_prunelab as kpl

from .trial import Trial

DECAY = 1.8
"""Of the thresholds' logarithms; the larger, the sparser. 1.8 leaves LeNet-300-100 about one of 50 parameters."""
BEGINNING = -8.0
"""The logit of the thresholds at the beginning: 0.0003."""


class _Threshold:
    """A layer that lets through what its weights are above a threshold: STR, Kusupati et al. 2020."""

    def build(self, shape: Any) -> None:
        self.threshold: Any = None
        super().build(shape)  # type: ignore[misc]
        start = keras.initializers.Constant(BEGINNING)
        self.threshold = self.add_weight(name="threshold", shape=(), initializer=start)  # type: ignore[attr-defined]

    @property
    def kernel(self) -> Any:
        """The weights that the layer computes with."""
        kernel = super().kernel  # type: ignore[misc]
        if self.threshold is None:
            return kernel
        ops = keras.ops
        return ops.sign(kernel) * ops.relu(ops.abs(kernel) - ops.sigmoid(self.threshold))


class _Dense(_Threshold, keras.layers.Dense): ...


class _Conv2D(_Threshold, keras.layers.Conv2D): ...


def learn_thresholds(trial: Trial, sparsity: float) -> keras.Model:
    """Train a network with a threshold for each layer, which decays towards one half.

    Args:
        trial: the network, its data and its epochs.
        sparsity: what the weights are cut to by magnitude at the end, where more are left.

    Returns:
        The plain network with the weights that it computes with.
    """
    plain = trial.new()
    kinds = {keras.layers.Dense: _Dense, keras.layers.Conv2D: _Conv2D}

    def with_threshold(layer: Any) -> Any:
        return kinds.get(type(layer), type(layer)).from_config(layer.get_config())

    model = keras.models.clone_model(plain, clone_function=with_threshold)
    for layer, other in zip(plain.layers, model.layers, strict=True):
        other.set_weights([*layer.get_weights(), *other.get_weights()[len(layer.get_weights()) :]])
    rate = plain.optimizer._learning_rate
    optimizer = keras.optimizers.AdamW(rate, weight_decay=DECAY)
    optimizer.exclude_from_weight_decay(var_names=["kernel", "bias"])
    model.compile(optimizer, plain.loss, jit_compile=plain.jit_compile)
    trial.fit(model)
    for layer, other in zip(plain.layers, model.layers, strict=True):
        if isinstance(other, _Threshold):
            layer.set_weights([keras.ops.convert_to_numpy(other.kernel), keras.ops.convert_to_numpy(other.bias)])
    return kpl.prune(plain, sparsity) if kpl.sparsity(plain) < sparsity else plain
