"""A layer as MATLAB shows it, by documented properties; a few are saved in another form.

| layer           | MATLAB saves                           | MATLAB shows                           |
|-----------------|----------------------------------------|----------------------------------------|
| input           | `Normalization`, a struct              | `Normalization`, a name; `Mean`, `Min` |
| recurrent       | `ReturnSequence`, logical              | `OutputMode`, `'sequence'` or `'last'` |
| fully connected | `Weights` H x W x C x O after an image | `Weights` O x N                        |
|                 | `Bias` 1 x 1 x O                       | `Bias` O x 1                           |
| output          | `Categories` or `ClassNames`           | `Classes`                              |

Source: the "Properties" of each layer's page, such as
https://www.mathworks.com/help/deeplearning/ref/nnet.cnn.layer.fullyconnectedlayer.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ._layer import Array, Layer, padded_shape
from ._normalization import Normalization

_FULLY_CONNECTED = "FullyConnectedLayer"
_SAVED_CLASSES = ("Categories", "ClassNames")

# Of MATLAB's two public names for a rescaling, the one for each interval.
_RESCALINGS = {(0.0, 1.0): "rescale-zero-one", (-1.0, 1.0): "rescale-symmetric"}


def public_layer(layer: Layer) -> Layer:
    """A layer with its settings and parameters as MATLAB shows them.

    Args:
        layer: as read from a file, or public already.

    Returns:
        The same layer; settings without a public counterpart stay as they are.
    """
    settings = _normalization(layer)
    if "ReturnSequence" in settings:
        settings["OutputMode"] = "sequence" if np.all(settings.pop("ReturnSequence")) else "last"
    for saved in _SAVED_CLASSES:
        if saved in settings:
            settings["Classes"] = settings.pop(saved)
    if layer.kind == _FULLY_CONNECTED:
        settings |= {
            size: np.array([[np.prod(settings[size])]])
            for size in ("InputSize", "OutputSize")
            if np.size(settings.get(size, ())) > 0
        }
    learnables = {name: public_parameter(layer, name, array) for name, array in layer.learnables.items()}
    return replace(layer, settings=settings, learnables=learnables)


def public_parameter(layer: Layer, name: str, array: Array) -> Array:
    """A learnable, or a mask over it, in the layout in which MATLAB shows it.

    Args:
        layer: the layer that it belongs to.
        name: `"Weights"`, `"Bias"`, ...
        array: in the layout in which MATLAB saves it, of any dtype.

    Returns:
        For a fully connected layer, O x N weights and an O x 1 bias; for any other, the array as it is.
    """
    if layer.kind != _FULLY_CONNECTED or array.size == 0:
        return array
    if name == "Bias":
        return array.reshape(-1, 1)
    outputs = int(np.prod(layer.settings["OutputSize"]))
    inputs = array.size // outputs
    if name != "Weights" or array.shape == (outputs, inputs):
        return array
    # The rows of an image run fastest, then the columns, then the channels: MATLAB's order of its elements.
    return padded_shape(array, 4).reshape((inputs, outputs), order="F").T


def saved_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Public settings in the words of a saved layer, for the conversions, which read those.

    Args:
        settings: public ones, or saved ones.

    Returns:
        The same with `ReturnSequence` in place of `OutputMode`. A normalization is understood in both forms.
    """
    saved = dict(settings)
    if "OutputMode" in saved:
        saved["ReturnSequence"] = np.array([[saved.pop("OutputMode") == "sequence"]])
    return saved


def _normalization(layer: Layer) -> dict[str, Any]:
    """The settings of a layer with the struct of a normalization laid open."""
    settings = dict(layer.settings)
    stored = settings.get("Normalization")
    if not isinstance(stored, Mapping):
        if stored is not None and np.size(stored) == 0:
            settings["Normalization"] = "none"
        return settings
    normalization = Normalization.of(layer)
    targets = normalization.target_min, normalization.target_max
    settings["Normalization"] = (
        _RESCALINGS.get(targets, "rescale") if normalization.type == "rescale" else normalization.type
    )
    statistics = {
        "Mean": normalization.mean,
        "StandardDeviation": normalization.std,
        "Min": normalization.min,
        "Max": normalization.max,
    }
    # A statistic of features is a column in MATLAB.
    return settings | {
        name: value.reshape(-1, 1) if value.ndim == 1 else value
        for name, value in statistics.items()
        if value is not None
    }
