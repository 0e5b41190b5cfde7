"""The parts of a shallow network: weight, net input and transfer functions, by MATLAB's names for them.

A layer of a `network` object takes its sources through weight functions, joins them by a net input function,
and gives what a transfer function makes of that. Weights are S x R for S neurons and sources of R elements;
with several delays, the columns of the first delay come first.

Source: https://www.mathworks.com/help/deeplearning/ug/neuron-model.html and the pages of the functions
"""

from __future__ import annotations

from typing import final

import keras
import numpy as np

from matlab_bridge._errors import UnsupportedLayerError
from matlab_bridge._layer import Layer
from matlab_bridge.convert._rules import LayerRule, Parameter, register_layer
from matlab_bridge.convert._shallow_keras import TRANSFER_FUNCTIONS, DelayedFeedback, Distance
from matlab_bridge.convert._site import Site, Tensor

from ._settings import integer, is_given, numbers, text

# Those that are Keras activations, by Keras' names.
_ACTIVATIONS = {
    "elliotsig": "softsign",
    "logsig": "sigmoid",
    "poslin": "relu",
    "softmax": "softmax",
    "tansig": "tanh",
}

_KERNEL = Parameter("Weights", "kernel", np.transpose, np.transpose)
# Rows x W of a file that keeps W for rows: Keras' own order.
_TRANSPOSED_KERNEL = Parameter("Weights", "kernel")
_BIAS = Parameter("Bias", "bias")


def _parameters(layer: Layer) -> tuple[Parameter, ...]:
    kernel = _TRANSPOSED_KERNEL if text(layer, "Orientation") == "inputs x outputs" else _KERNEL
    return (kernel, _BIAS) if "Bias" in layer.learnables else (kernel,)


def _units(layer: Layer) -> int:
    axis = 1 if text(layer, "Orientation") == "inputs x outputs" else 0
    return int(layer.learnables["Weights"].shape[axis])


def _delay(site: Site) -> Tensor:
    """The source at each delay, side by side; before its first step it is zero, or what `History` gave."""
    delays = [int(delay) for delay in numbers(site.layer, "Delays", (0.0,))]
    history = integer(site.layer, "History", 0)
    if delays == [0] and not history:
        return site.input
    if len(site.input.shape) != 3:
        raise UnsupportedLayerError(f"its delays {delays} need a sequence, and {site.input.shape} reaches it")
    missing = max(*delays, history) - history
    source = site.input
    if missing:
        source = keras.layers.ZeroPadding1D((missing, 0), name=site.helper("zeros"))(source)
    total = history + missing

    def at(delay: int) -> Tensor:
        crop = (total - delay, delay)
        return keras.layers.Cropping1D(crop, name=site.helper(f"delay_{delay}"))(source) if any(crop) else source

    taps = [at(delay) for delay in delays]
    return taps[0] if len(taps) == 1 else keras.layers.Concatenate(name=site.helper("delays"))(taps)


@register_layer("dotprod")
@final
class DotProduct(LayerRule):
    """`dotprod`: the weights times the source, here with the bias where it is the layer's only source."""

    def build(self, site: Site) -> Tensor:
        """A dense layer, for sequences at each step."""
        use_bias = "Bias" in site.layer.learnables
        return keras.layers.Dense(_units(site.layer), use_bias=use_bias, name=site.name)(_delay(site))

    def parameters(self, layer: Layer) -> tuple[Parameter, ...]:
        """S x R is Keras' kernel transposed."""
        return _parameters(layer)


@register_layer("normprod")
@final
class NormalizedDotProduct(LayerRule):
    """`normprod`: the weights times the source, divided by the sum of the source's elements."""

    def build(self, site: Site) -> Tensor:
        """A dense layer and a division."""
        source = _delay(site)
        products = keras.layers.Dense(_units(site.layer), use_bias=False, name=site.name)(source)
        return keras.ops.divide(products, keras.ops.sum(source, axis=-1, keepdims=True))

    def parameters(self, layer: Layer) -> tuple[Parameter, ...]:
        """S x R is Keras' kernel transposed."""
        return (_KERNEL,)


@register_layer("dist", "negdist")
@final
class EuclideanDistance(LayerRule):
    """`dist` and `negdist`: how far the source is from each neuron's weights, and the negative of that."""

    def build(self, site: Site) -> Tensor:
        """A layer of this package's, for Keras has none."""
        distances = Distance(_units(site.layer), name=site.name)(_delay(site))
        return keras.ops.negative(distances) if site.layer.kind == "negdist" else distances

    def parameters(self, layer: Layer) -> tuple[Parameter, ...]:
        """S x R is the kernel transposed."""
        return (_KERNEL,)


@register_layer("netsum")
@final
class NetSum(LayerRule):
    """`netsum` of several weighted sources; the bias stands with the first of them."""

    def build(self, site: Site) -> Tensor:
        return keras.layers.Add(name=site.name)(list(site.inputs))


@register_layer("netprod")
@final
class NetProduct(LayerRule):
    """`netprod`: the product of the weighted sources and the bias, which here is a constant of the model."""

    def build(self, site: Site) -> Tensor:
        """Keras' multiplication, then a scale for each neuron."""
        product = site.input
        if len(site.inputs) > 1:
            product = keras.layers.Multiply(name=site.name)(list(site.inputs))
        if not is_given(site.layer, "Bias"):
            return product
        return keras.layers.Rescaling(list(numbers(site.layer, "Bias")), name=site.helper("bias"))(product)


@register_layer(*TRANSFER_FUNCTIONS)
@final
class Transfer(LayerRule):
    """A transfer function: a = f(n)."""

    def build(self, site: Site) -> Tensor:
        """Keras' activation where it has the function, else the arithmetic."""
        function = site.layer.kind
        if function == "purelin":
            return site.input
        if function in _ACTIVATIONS:
            return keras.layers.Activation(_ACTIVATIONS[function], name=site.name)(site.input)
        return TRANSFER_FUNCTIONS[function](site.input)


@register_layer("feedback")
@final
class Feedback(LayerRule):
    """A layer with weights from its own earlier outputs (`layrecnet`), and its transfer function."""

    def objection(self, layer: Layer) -> str | None:
        """Feedback takes time, and a function that is known."""
        if min(numbers(layer, "Delays", (0.0,))) < 1:
            return "it feeds itself without a delay"
        if text(layer, "TransferFcn") not in TRANSFER_FUNCTIONS:
            return f"its transfer function {text(layer, 'TransferFcn')!r} has no conversion"
        return None

    def build(self, site: Site) -> Tensor:
        """A layer of this package's, for Keras' recurrent layers look back one step only."""
        delays = [int(delay) for delay in numbers(site.layer, "Delays")]
        return DelayedFeedback(delays, text(site.layer, "TransferFcn"), name=site.name)(site.input)

    def parameters(self, layer: Layer) -> tuple[Parameter, ...]:
        """S x (S times the number of delays) is the kernel transposed."""
        return (_KERNEL,)


@register_layer("inputstates")
@final
class InputStates(LayerRule):
    """The input before the first step: zeros in the user's units, as `net(X)` takes where `Xi` is not given."""

    def build(self, site: Site) -> Tensor:
        """Zeros, for as many steps as the longest delay."""
        steps = integer(site.layer, "Delays")
        return keras.layers.ZeroPadding1D((steps, 0), name=site.name)(site.input)
