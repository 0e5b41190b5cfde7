"""Layers with several inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import keras
import numpy as np

from matlab_bridge._errors import UnsupportedLayerError
from matlab_bridge.networks._rules import LayerRule, Shapes, Site, Tensor, register_layer

from ._settings import integer


def _of_one_rank(site: Site) -> list[Tensor]:
    """The inputs, vectors made images of 1x1 pixels where others are images."""
    if any(len(tensor.shape) == 4 for tensor in site.inputs):
        return [site.as_image(tensor) for tensor in site.inputs]
    return list(site.inputs)


def _count(shapes: Shapes) -> Any:
    return np.array([[len(shapes)]], dtype=float)


@register_layer("nnet.cnn.layer.AdditionLayer")
@final
class Addition(LayerRule):
    """`additionLayer`."""

    keras_classes = ("Add",)

    def build(self, site: Site) -> Tensor:
        """Keras' layer of the same meaning."""
        return keras.layers.Add(name=site.name)(_of_one_rank(site))

    def settings_of(self, layer: keras.layers.Layer, shapes: Shapes) -> Mapping[str, Any]:
        """The number of inputs."""
        return {"NumInputs": _count(shapes)}


@register_layer("nnet.cnn.layer.MultiplicationLayer")
@final
class Multiplication(LayerRule):
    """`multiplicationLayer`: element by element; the vectors of one input count for every pixel of another."""

    keras_classes = ("Multiply",)

    def build(self, site: Site) -> Tensor:
        """Keras' layer of the same meaning."""
        return keras.layers.Multiply(name=site.name)(_of_one_rank(site))

    def settings_of(self, layer: keras.layers.Layer, shapes: Shapes) -> Mapping[str, Any]:
        """The number of inputs."""
        return {"NumInputs": _count(shapes)}


@register_layer("nnet.cnn.layer.DepthConcatenationLayer")
@final
class DepthConcatenation(LayerRule):
    """`depthConcatenationLayer`: along the channels."""

    keras_classes = ("Concatenate",)

    def build(self, site: Site) -> Tensor:
        """Keras' concatenation along the last axis."""
        return keras.layers.Concatenate(axis=-1, name=site.name)(_of_one_rank(site))

    def settings_of(self, layer: keras.layers.Layer, shapes: Shapes) -> Mapping[str, Any] | None:
        """The number of inputs; other axes, and sequences, are `concatenationLayer`'s."""
        rank = len(shapes[0])
        return {"NumInputs": _count(shapes)} if rank != 3 and layer.axis % rank == rank - 1 else None


@register_layer("nnet.cnn.layer.ConcatenationLayer")
@final
class Concatenation(LayerRule):
    """`concatenationLayer`: along `Dim` of rows, columns, channels; vectors have channels only."""

    keras_classes = ("Concatenate",)

    def build(self, site: Site) -> Tensor:
        """Keras' concatenation along the axis that `Dim` means."""
        dim, tensors = integer(site.layer, "Dim"), _of_one_rank(site)
        rank = len(tensors[0].shape)
        axes = {4: {1: 1, 2: 2, 3: 3}, 2: {1: 1, 3: 1}, 3: {1: 2}}[rank]
        if dim not in axes:
            raise UnsupportedLayerError(f"its Dim is {dim}, and inputs of shape {tensors[0].shape} reach it")
        return keras.layers.Concatenate(axis=axes[dim], name=site.name)(tensors)

    def settings_of(self, layer: keras.layers.Layer, shapes: Shapes) -> Mapping[str, Any] | None:
        """The number of inputs and the dimension."""
        rank = len(shapes[0])
        axis = layer.axis % rank
        dim = axis if rank == 4 else 1
        if axis == 0 or (rank == 3 and axis == 1):
            raise UnsupportedLayerError(f"it concatenates along axis {layer.axis}, the batch or the time")
        return {"NumInputs": _count(shapes), "Dim": np.array([[dim]], dtype=float)}
