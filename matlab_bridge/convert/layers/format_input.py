"""The input layer that takes data of any format, as networks that MATLAB imported have it."""

from __future__ import annotations

from typing import final

import keras

from matlab_bridge._errors import UnsupportedLayerError
from matlab_bridge._input_format import observation
from matlab_bridge._layer import Layer
from matlab_bridge.convert._rules import LayerRule, register_layer
from matlab_bridge.convert._site import Site, Tensor

# What one observation may consist of: a vector, an image, a volume; or a sequence of either.
_OBSERVATIONS = ("C", "SSC", "SSSC", "CT", "SSCT", "SSSCT")


@register_layer("nnet.cnn.layer.InputLayer")
@final
class FormatInput(LayerRule):
    """`inputLayer`: vectors (N, C), images (N, H, W, C), volumes, or sequences of them (N, T, ..., C); not normalized.

    Source: https://www.mathworks.com/help/deeplearning/ref/nnet.cnn.layer.inputlayer.html
    """

    is_input = True

    def objection(self, layer: Layer) -> str | None:
        """Formats that are no vectors, images or volumes, and a free number of channels."""
        try:
            letters, sizes = observation(layer)
        except UnsupportedLayerError as error:
            return str(error)
        if letters not in _OBSERVATIONS:
            known, given = ", ".join(map(repr, _OBSERVATIONS)), layer.settings["InputFormat"]
            return f"its InputFormat is {given!r}, and without the B one of {known} was expected"
        if sizes[letters.index("C")] is None:
            return "its number of channels is free (NaN in InputSize)"
        return None

    def build(self, site: Site) -> Tensor:
        """Keras' input, channels last, with the time steps first."""
        letters, sizes = observation(site.layer)
        # The stored length of a sequence is that of the data the network was initialized with.
        shape = (None, *sizes[:-1]) if letters.endswith("T") else sizes
        return keras.Input(shape, name=site.name)
