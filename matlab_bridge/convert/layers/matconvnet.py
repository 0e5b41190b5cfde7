"""The blocks of MatConvNet, by the names of its `dagnn` classes; `simplenn` layers are the same blocks.

The readers give them the settings of MATLAB's layers of the same meaning: `Stride`, `PaddingSize` as
`[top bottom left right]`, ... Images may be of any size, for MatConvNet does not store what it was trained on.

Source: A. Vedaldi, K. Lenc, *MatConvNet: Convolutional Neural Networks for MATLAB*, ACM MM 2015, and the
manual at https://www.vlfeat.org/matconvnet/matconvnet-manual.pdf
"""

from __future__ import annotations

from dataclasses import replace
from typing import final

import keras
import numpy as np

from matlab_bridge._errors import UnsupportedLayerError
from matlab_bridge._layer import Array, Layer
from matlab_bridge.convert._rules import LayerRule, Parameter, register_layer
from matlab_bridge.convert._site import Site, Tensor

from ._settings import integer, number, numbers, sizes, text
from ._window import Margins, crop_output, manual_margins, pad
from .activation import Dropout, LeakyReLU, Sigmoid, Softmax
from .combination import Addition, DepthConcatenation
from .normalization import CrossChannelNormalization

register_layer("dagnn.Sigmoid")(Sigmoid)
register_layer("dagnn.SoftMax")(Softmax)
register_layer("dagnn.DropOut")(Dropout)
register_layer("dagnn.Sum")(Addition)
register_layer("dagnn.Concat")(DepthConcatenation)


def _weights(layer: Layer) -> tuple[Parameter, ...]:
    """The filters, in Keras' own order, and the biases if there are any."""
    kernel = Parameter("Weights", "kernel")
    return (kernel, Parameter("Bias", "bias")) if "Bias" in layer.learnables else (kernel,)


def _filter_shape(layer: Layer) -> tuple[int, int, int, int]:
    """The shape of the filters, with the trailing dimensions of size 1 that MATLAB drops."""
    shape = (*layer.learnables["Weights"].shape, 1, 1)
    return shape[0], shape[1], shape[2], shape[3]


@register_layer("dagnn.AnySizeInputLayer")
@final
class AnySizeInput(LayerRule):
    """The input of a network that does not say how large its images are."""

    is_input = True

    def build(self, site: Site) -> Tensor:
        """Images of any height and width."""
        return keras.Input((None, None, integer(site.layer, "NumChannels")), name=site.name)


@register_layer("dagnn.Conv")
@final
class Conv(LayerRule):
    """`vl_nnconv`: a cross-correlation, as in Keras; filters of fewer channels than the input make groups."""

    def build(self, site: Site) -> Tensor:
        """A padding and a convolution."""
        layer, images = site.layer, site.image
        height, width, channels, filters = _filter_shape(layer)
        stride, dilation = sizes(layer, "Stride", 2, 1), sizes(layer, "DilationFactor", 2, 1)
        # Keras refuses a stride together with a dilation: every pixel is computed, then every stride-th taken.
        subsampled = max(stride) > 1 and max(dilation) > 1
        if int(images.shape[-1]) % channels:
            raise UnsupportedLayerError(f"its filters take {channels} channels, and {images.shape[-1]} reach it")
        outputs = keras.layers.Conv2D(
            filters,
            (height, width),
            strides=1 if subsampled else stride,
            dilation_rate=dilation,
            groups=int(images.shape[-1]) // channels,
            use_bias="Bias" in layer.learnables,
            name=site.name,
        )(pad(site, images, manual_margins(layer, 2, "PaddingSize")))
        return keras.layers.MaxPooling2D(1, stride, name=site.helper("stride"))(outputs) if subsampled else outputs

    def parameters(self, layer: Layer) -> tuple[Parameter, ...]:
        """FH x FW x C x K, Keras' own order."""
        return _weights(layer)


@register_layer("dagnn.ConvTranspose")
@final
class ConvTranspose(LayerRule):
    """`vl_nnconvt`: the transpose of a convolution, upsampled by `Stride`, then cropped."""

    def objection(self, layer: Layer) -> str | None:
        """Groups have no counterpart."""
        groups = number(layer, "NumGroups", 1)
        return f"it has {groups:g} groups, and Keras' transposed convolution has none" if groups > 1 else None

    def build(self, site: Site) -> Tensor:
        """A transposed convolution and the cropping."""
        layer = site.layer
        height, width, filters, _ = _filter_shape(layer)
        stride, crop = sizes(layer, "Stride", 2, 1), manual_margins(layer, 2, "CroppingSize")
        outputs = keras.layers.Conv2DTranspose(
            filters, (height, width), strides=stride, use_bias="Bias" in layer.learnables, name=site.name
        )(site.image)
        # Where a filter is shorter than the stride, Keras adds rows at the end that MatConvNet has not.
        bottom, right = (max(step - size, 0) for size, step in zip((height, width), stride, strict=True))
        return crop_output(site, outputs, crop.plus(Margins(((0, bottom), (0, right)))))

    def parameters(self, layer: Layer) -> tuple[Parameter, ...]:
        """FH x FW x K x C, Keras' own order."""
        return _weights(layer)


@register_layer("dagnn.Pooling")
@final
class Pooling(LayerRule):
    """`vl_nnpool`: padding never wins a maximum, and counts in no mean."""

    def build(self, site: Site) -> Tensor:
        """Keras' pooling of the padded images."""
        layer, images = site.layer, site.image
        size, stride = sizes(layer, "PoolSize", 2), sizes(layer, "Stride", 2, 1)
        margins = manual_margins(layer, 2, "PaddingSize")
        if text(layer, "Method", "max") == "max":
            return keras.layers.MaxPooling2D(size, stride, name=site.name)(pad(site, images, margins, -np.inf))
        pool = keras.layers.AveragePooling2D(size, stride, name=site.name)
        means = pool(pad(site, images, margins))
        if margins.are_empty:
            return means
        # The mean of an image of ones is the share of each window that lies on the image.
        share = keras.layers.AveragePooling2D(size, stride, name=site.helper("share"))
        return keras.ops.divide(means, share(pad(site, keras.ops.ones_like(images), margins)))


@register_layer("dagnn.ReLU")
@final
class ReLU(LayerRule):
    """`vl_nnrelu`: negative values times `Scale`, which MatConvNet calls the leak."""

    def build(self, site: Site) -> Tensor:
        """Keras' layer for either form."""
        if number(site.layer, "Scale", 0):
            return LeakyReLU().build(site)
        return keras.layers.ReLU(name=site.name)(site.input)


@register_layer("dagnn.LRN")
@final
class LocalResponseNormalization(LayerRule):
    """`vl_nnnormalize`, `[N kappa alpha beta]`: y = x / (kappa + alpha * ss) ** beta.

    ss is the sum of squares over a window of N channels. MATLAB's own layer divides its `Alpha` by N.
    """

    def build(self, site: Site) -> Tensor:
        """MATLAB's layer, with N times the alpha."""
        if None in site.image.shape[1:]:
            raise UnsupportedLayerError("it needs images of a known size, and the network does not say how large")
        window, kappa, alpha, beta = numbers(site.layer, "Param", (5, 1, 0.0001 / 5, 0.75))
        settings = {"WindowChannelSize": [window], "K": [kappa], "Alpha": [alpha * window], "Beta": [beta]}
        return CrossChannelNormalization().build(replace(site, layer=replace(site.layer, settings=settings)))


@register_layer("dagnn.BatchNorm")
@final
class BatchNorm(LayerRule):
    """`vl_nnbnorm` with moments: G (x - mu) / sigma + B, where sigma is the root of variance + `Epsilon`."""

    def build(self, site: Site) -> Tensor:
        """Keras' layer over the channels."""
        return keras.layers.BatchNormalization(epsilon=_epsilon(site.layer), name=site.name)(site.input)

    def parameters(self, layer: Layer) -> tuple[Parameter, ...]:
        """Sigma becomes a variance; where that did not change, sigma comes back as it was stored."""
        epsilon, stored = _epsilon(layer), layer.state["Sigma"].ravel()

        def variance(sigma: Array) -> Array:
            return (np.square(sigma, dtype=float) - epsilon).astype(np.float32)

        def sigma(variances: Array) -> Array:
            if variances.dtype.kind == "b":  # a mask over them
                return variances
            new = np.sqrt(variances.astype(float) + epsilon)
            return np.where(variances == variance(stored), stored, new).astype(stored.dtype)

        return (
            Parameter("Offset", "beta"),
            Parameter("Scale", "gamma"),
            Parameter("Mean", "moving_mean", is_state=True),
            Parameter("Sigma", "moving_variance", variance, sigma, is_state=True),
        )


def _epsilon(layer: Layer) -> float:
    """The layer's, or less where a stored sigma is so small that its variance would be negative."""
    least = float(np.min(np.square(layer.state["Sigma"], dtype=float)))
    return min(number(layer, "Epsilon", 1e-4), least / 2)
