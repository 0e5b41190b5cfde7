"""Fully connected layers, and the flatten before them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, final

import keras
import numpy as np

from matlab_bridge._errors import InvalidNetworkError, UnsupportedLayerError
from matlab_bridge._layer import Array, Layer, padded_shape
from matlab_bridge.convert._rules import LayerRule, Parameter, Shapes, register_layer
from matlab_bridge.convert._site import Site, Tensor, spatial_size

from ._settings import is_given, numbers, text, whole


def _permute(site: Site, images: Tensor) -> Tensor:
    """Images (N, C, W, H), so that a flatten gives MATLAB's order: rows run fastest, then columns, then channels."""
    if set(spatial_size(images)) <= {1}:
        return images
    axes = tuple(range(len(images.shape) - 1, 0, -1))
    return keras.layers.Permute(axes, name=site.helper("permute"))(images)


def _is_image(tensor: Tensor) -> bool:
    """Whether there is something to flatten; the steps of a sequence (N, T, C) are vectors."""
    return bool(spatial_size(tensor))


def _is_spatial(layer: Layer) -> bool:
    """Whether the weights are stored H x W x C x O, not O x N; a dropped last dimension must not deceive."""
    weights, outputs = layer.learnables.get("Weights", np.empty(0)), _output_size(layer)
    if weights.ndim > 2:
        return True
    is_image = len(numbers(layer, "InputSize", (0,))) > 1
    return is_image and outputs == 1 and weights.size > 0 and weights.shape[0] != 1


def _spatial_shape(layer: Layer) -> tuple[int, ...]:
    """The dimensions of weights that are stored H x W x C x O, or S x C x O of 1-D images, with the last.

    Raises:
        InvalidNetworkError: if they are no weights of O outputs.
    """
    weights, outputs = layer.learnables["Weights"], _output_size(layer)
    size = tuple(map(int, numbers(layer, "InputSize", (0,))))
    # Weights that are to come have no elements.
    if len(size) > 1 and weights.size in (0, math.prod(size) * outputs):
        return (*size, outputs)
    shape = padded_shape(weights, max(4, len(size) + 1)).shape
    if shape[-1] != outputs:
        raise InvalidNetworkError(
            f"Weights of the layer {layer.name!r} ({layer.kind}) have the shape {weights.shape}. With its InputSize "
            f"{list(size)} and OutputSize {outputs}, they were expected to have the {outputs} outputs along their "
            f"last dimension, after those of InputSize. Correct the three in MATLAB, or in a Layer made by hand."
        )
    return shape


def _output_size(layer: Layer) -> int:
    """O: stored as `[1 1 O]` or as `O`."""
    return whole(layer, "OutputSize", numbers(layer, "OutputSize")[-1])


@register_layer("nnet.cnn.layer.FullyConnectedLayer")
@final
class FullyConnected(LayerRule):
    """`fullyConnectedLayer`: weights O x N, or H x W x C x O after an image; on sequences, each step.

    Source: https://www.mathworks.com/help/deeplearning/ref/nnet.cnn.layer.fullyconnectedlayer.html
    """

    per_frame = True
    keras_classes = ("Dense",)

    def objection(self, layer: Layer) -> str | None:
        """One dimension of the input's own, which releases from R2026a on may name."""
        if not is_given(layer, "OperationDimension") or text(layer, "OperationDimension") == "spatial-channel":
            return None
        given = np.ravel(np.asarray(layer.settings["OperationDimension"], dtype=object))[0]
        return f"its OperationDimension is {given!r}; only 'spatial-channel', all of an image, converts"

    def build(self, site: Site) -> Tensor:
        """A dense layer after a flatten, in the order in which the weights are stored."""
        layer, tensor = site.layer, site.input
        if _is_image(tensor):
            tensor = tensor if _is_spatial(layer) else _permute(site, tensor)
            tensor = keras.layers.Flatten(name=site.helper("flatten"))(tensor)
        return keras.layers.Dense(_output_size(layer), name=site.name)(tensor)

    def parameters(self, layer: Layer) -> tuple[Parameter, ...]:
        """O x N is Keras' kernel transposed; H x W x C x O is the kernel with its rows in Keras' order."""
        bias = Parameter("Bias", "bias", to_matlab=lambda bias: bias.reshape(-1, 1))
        if not _is_spatial(layer):
            return Parameter("Weights", "kernel", np.transpose, np.transpose), bias
        shape = _spatial_shape(layer)

        def to_keras(weights: Array) -> Array:
            return weights.reshape(-1, shape[-1])

        def to_matlab(kernel: Array) -> Array:
            return kernel.reshape(shape)

        return Parameter("Weights", "kernel", to_keras, to_matlab), bias

    def sizes_of(self, layer: Layer, built: keras.layers.Layer) -> Mapping[str, Any]:
        """All inputs, or the channels of an image that stays as high and wide; and the outputs."""
        inputs, outputs = built.kernel.shape
        image = _spatial_shape(layer)[:-2] if _is_spatial(layer) else ()
        return {
            "InputSize": np.array([[*image, inputs // math.prod(image)]], dtype=float),
            "OutputSize": np.array([[*numbers(layer, "OutputSize")[:-1], outputs]], dtype=float),
        }

    def settings_of(self, layer: keras.layers.Layer, shapes: Shapes) -> Mapping[str, Any]:
        """The same layer in MATLAB's words."""
        if len(shapes[0]) > 3:
            raise UnsupportedLayerError("it acts on each pixel; in MATLAB a 1x1 convolution does")
        inputs, outputs = layer.kernel.shape
        return {
            "InputSize": np.array([[inputs]], dtype=float),
            "OutputSize": np.array([[outputs]], dtype=float),
        }


@register_layer("nnet.cnn.layer.FlattenLayer")
@final
class Flatten(LayerRule):
    """`flattenLayer`: the spatial dimensions into the channels, column-major; vectors and sequences stay."""

    per_frame = True
    keras_classes = ("Flatten",)

    def build(self, site: Site) -> Tensor:
        """A permutation to MATLAB's order, then Keras' flatten."""
        if not _is_image(site.input):
            return keras.layers.Identity(name=site.name)(site.input)
        return keras.layers.Flatten(name=site.name)(_permute(site, site.input))


@register_layer(
    "nnet.keras.layer.FlattenCStyleLayer",
    "nnet.keras.layer.FlattenCStyleTFLayer",
    "nnet.keras.layer.TimeDistributedFlattenCStyleLayer",
)
@final
class FlattenCStyle(LayerRule):
    """The flatten of networks that MATLAB imported from Keras: channels run fastest, then columns, then rows."""

    per_frame = True

    def build(self, site: Site) -> Tensor:
        flatten = keras.layers.Flatten if _is_image(site.input) else keras.layers.Identity
        return flatten(name=site.name)(site.input)


@register_layer("nnet.onnx.layer.FlattenLayer", "nnet.onnx.layer.FlattenInto2dLayer")
@final
class FlattenChannelsFirst(LayerRule):
    """The flatten of networks that MATLAB imported from ONNX: columns run fastest, then rows, then channels.

    Source: https://onnx.ai/onnx/operators/onnx__Flatten.html, of images N x C x H x W
    """

    per_frame = True

    def build(self, site: Site) -> Tensor:
        """Channels first, then Keras' flatten."""
        tensor = site.input
        if not _is_image(tensor):
            return keras.layers.Identity(name=site.name)(tensor)
        if len(tensor.shape) != 4:
            raise UnsupportedLayerError(f"it flattens images of two dimensions, and {tuple(tensor.shape)} reaches it")
        tensor = keras.layers.Permute((3, 1, 2), name=site.helper("permute"))(tensor)
        return keras.layers.Flatten(name=site.name)(tensor)
