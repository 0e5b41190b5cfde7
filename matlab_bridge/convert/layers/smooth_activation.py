"""Activations without a kink: those of newer networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import keras

from matlab_bridge._layer import Layer
from matlab_bridge.convert._rules import LayerRule, Shapes, register_layer
from matlab_bridge.convert._site import Site, Tensor

from ._settings import text

_APPROXIMATIONS = ("none", "tanh")


def _does(layer: keras.layers.Layer, *functions: str) -> bool:
    return keras.activations.serialize(layer.activation) in functions


@register_layer("nnet.cnn.layer.SwishLayer")
@final
class Swish(LayerRule):
    """`swishLayer`: x sigmoid(x)."""

    keras_classes = ("Activation",)

    def build(self, site: Site) -> Tensor:
        return keras.layers.Activation("silu", name=site.name)(site.input)

    def settings_of(self, layer: keras.layers.Layer, shapes: Shapes) -> Mapping[str, Any] | None:
        return {} if _does(layer, "silu", "swish") else None


@register_layer("nnet.cnn.layer.GELULayer")
@final
class GELU(LayerRule):
    """`geluLayer`: x/2 (1 + erf(x/sqrt(2))), or with `Approximation` `"tanh"` its approximation by a tanh.

    Source: https://www.mathworks.com/help/deeplearning/ref/nnet.cnn.layer.gelulayer.html
    """

    keras_classes = ("Activation",)

    def objection(self, layer: Layer) -> str | None:
        kind = text(layer, "Approximation", "none")
        return None if kind in _APPROXIMATIONS else f"its Approximation is {kind!r}, neither 'none' nor 'tanh'"

    def build(self, site: Site) -> Tensor:
        """Keras' function, whose own default is the exact form."""
        if text(site.layer, "Approximation", "none") == "tanh":
            return keras.layers.Identity(name=site.name)(keras.ops.gelu(site.input, approximate=True))
        return keras.layers.Activation("gelu", name=site.name)(site.input)

    def settings_of(self, layer: keras.layers.Layer, shapes: Shapes) -> Mapping[str, Any] | None:
        """Keras' activation `"gelu"` is the exact one."""
        return {"Approximation": "none"} if _does(layer, "gelu") else None


@register_layer("rl.layer.SoftplusLayer", "nnet.cnn.layer.SoftplusLayer")
@final
class Softplus(LayerRule):
    """`softplusLayer`: log(1 + exp(x))."""

    keras_classes = ("Activation",)

    def build(self, site: Site) -> Tensor:
        """Keras' activation of the same name."""
        return keras.layers.Activation("softplus", name=site.name)(site.input)

    def settings_of(self, layer: keras.layers.Layer, shapes: Shapes) -> Mapping[str, Any] | None:
        return {} if _does(layer, "softplus") else None
