"""Layers with several inputs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Any, final

import keras
import numpy as np

from matlab_bridge._errors import UnsupportedLayerError
from matlab_bridge.convert._rules import LayerRule, Shapes, register_layer
from matlab_bridge.convert._site import Site, Tensor, is_sequence, spatial_size

from ._elementwise import add_inputs
from ._settings import integer


def _of_one_rank(site: Site) -> list[Tensor]:
    """The inputs, vectors made images of one pixel where others are images."""
    rank = max(len(spatial_size(tensor)) for tensor in site.inputs)
    if rank > 1 and not any(map(is_sequence, site.inputs)):
        return [site.as_image(tensor, rank) for tensor in site.inputs]
    return list(site.inputs)


def _with_all_axes(tensors: list[Tensor]) -> list[Tensor]:
    """Tensors of as many axes as the longest has: what one lacks comes after the batch, and after its own time."""
    rank = max(len(tensor.shape) for tensor in tensors)
    missing = [range(1 + is_sequence(tensor), 1 + is_sequence(tensor) + rank - len(tensor.shape)) for tensor in tensors]
    return [
        keras.ops.expand_dims(tensor, tuple(axes)) if axes else tensor
        for tensor, axes in zip(tensors, missing, strict=True)
    ]


def _count(shapes: Shapes) -> Any:
    return np.array([[len(shapes)]], dtype=float)


@register_layer("nnet.cnn.layer.AdditionLayer")
@final
class Addition(LayerRule):
    """`additionLayer`: element by element; where a dimension of one input is 1 long, it counts for all of another's.

    Source: https://www.mathworks.com/help/deeplearning/ref/nnet.cnn.layer.additionlayer.html
    """

    keras_classes = ("Add",)

    def build(self, site: Site) -> Tensor:
        """Keras' layer of the same meaning for inputs of one size; others it may add along a wrong axis."""
        tensors = _of_one_rank(site)
        if len({tuple(tensor.shape) for tensor in tensors}) == 1:
            return keras.layers.Add(name=site.name)(tensors)
        return keras.layers.Identity(name=site.name)(reduce(add_inputs, _with_all_axes(tensors)))

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


def _axes(tensor: Tensor) -> dict[int, int]:
    """The axis of a Keras tensor for each of MATLAB's dimensions."""
    rank, has_time = len(spatial_size(tensor)), is_sequence(tensor)
    axes = {dim: dim + has_time for dim in range(1, rank + 2)}
    if has_time:
        axes[rank + 3] = 1
    elif rank == 0:
        axes[3] = 1  # a vector is an image of one pixel
    return axes


@register_layer("nnet.cnn.layer.ConcatenationLayer")
@final
class Concatenation(LayerRule):
    """`concatenationLayer`: along `Dim` of MATLAB's dimensions: those of the image, channels, batch, time."""

    keras_classes = ("Concatenate",)

    def build(self, site: Site) -> Tensor:
        """Keras' concatenation along the axis that `Dim` means."""
        dim, tensors = integer(site.layer, "Dim"), _of_one_rank(site)
        axes = _axes(tensors[0])
        if dim not in axes:
            raise UnsupportedLayerError(f"its Dim is {dim}, and inputs of shape {tensors[0].shape} reach it")
        return keras.layers.Concatenate(axis=axes[dim], name=site.name)(tensors)

    def settings_of(self, layer: keras.layers.Layer, shapes: Shapes) -> Mapping[str, Any] | None:
        """The number of inputs and the dimension."""
        rank = len(shapes[0])
        axis = layer.axis % rank
        dim = axis if rank > 3 else 1
        if axis == 0 or (rank == 3 and axis == 1):
            raise UnsupportedLayerError(f"it concatenates along axis {layer.axis}, the batch or the time")
        return {"NumInputs": _count(shapes), "Dim": np.array([[dim]], dtype=float)}
