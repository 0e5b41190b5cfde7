"""Descriptions of layers from outside Deep Learning Toolbox: shallow networks, MatConvNet, plain weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ._layer import Layer


def _size(layer: Layer) -> str:
    """The size of the weights, which a layer made by hand may lack."""
    return "x".join(map(str, np.shape(layer.learnables.get("Weights", np.empty(0)))))


def _row(layer: Layer, setting: str) -> str:
    numbers = [f"{number:g}" for number in np.ravel(layer.settings.get(setting, ()))]
    return numbers[0] if len(numbers) == 1 else f"[{' '.join(numbers)}]"


def _weights(layer: Layer) -> str:
    bias = layer.learnables.get("Bias")
    text = f"{_size(layer)} weights" + (f" and {bias.size} biases" if bias is not None else "")
    delays = layer.settings.get("Delays", np.zeros(1))
    return f"{text}, delays {_row(layer, 'Delays')}" if np.any(delays) else text


def _feedback(layer: Layer) -> str:
    return f"{layer.settings.get('TransferFcn', '')} of what it is fed and its own past, {_weights(layer)}"


def _process(what: str) -> Callable[[Layer], str]:
    return lambda layer: f"{what}, reversed" if np.any(layer.settings.get("Reverse", False)) else what


def _sliding(layer: Layer) -> str:
    return f"stride {_row(layer, 'Stride')}, padding {_row(layer, 'PaddingSize')}"


def _conv(layer: Layer) -> str:
    return f"{_size(layer)} convolution, {_sliding(layer)}"


def _conv_transpose(layer: Layer) -> str:
    return (
        f"{_size(layer)} transposed convolution, upsampling {_row(layer, 'Stride')}, crop {_row(layer, 'CroppingSize')}"
    )


def _pooling(layer: Layer) -> str:
    return f"{_row(layer, 'PoolSize')} {layer.settings.get('Method', 'max')} pooling, {_sliding(layer)}"


def _text(text: str) -> Callable[[Layer], str]:
    return lambda _: text


def _transfer(text: str) -> tuple[str, Callable[[Layer], str]]:
    return "Transfer Function", _text(text)


SOURCE_TYPES: Mapping[str, tuple[str, Callable[[Layer], str]]] = {
    # MatConvNet
    "AnySizeInputLayer": ("Image Input", lambda layer: f"images of any size, {_row(layer, 'NumChannels')} channels"),
    "BatchNorm": (
        "dagnn.BatchNorm",
        lambda layer: f"batch normalization of {np.size(layer.state.get('Sigma', ()))} channels",
    ),
    "Concat": ("dagnn.Concat", _text("concatenation of channels")),
    "Conv": ("dagnn.Conv", _conv),
    "ConvTranspose": ("dagnn.ConvTranspose", _conv_transpose),
    "DropOut": ("dagnn.DropOut", lambda layer: f"dropout of {_row(layer, 'Probability')}"),
    "LRN": ("dagnn.LRN", lambda layer: f"[N kappa alpha beta] = {_row(layer, 'Param')}"),
    "Pooling": ("dagnn.Pooling", _pooling),
    "ReLU": ("dagnn.ReLU", lambda layer: f"leak {_row(layer, 'Scale')}"),
    "Sigmoid": ("dagnn.Sigmoid", _text("sigmoid")),
    "SoftMax": ("dagnn.SoftMax", _text("softmax")),
    "Sum": ("dagnn.Sum", _text("sum")),
    # Shallow networks
    "dist": ("Distance Weights", _weights),
    "dotprod": ("Weights", _weights),
    "feedback": ("Feedback", _feedback),
    "fixunknowns": ("Processing", _process("fixunknowns")),
    "inputstates": ("Input States", lambda layer: f"{_row(layer, 'Delays')} steps of zeros before the first"),
    "mapminmax": ("Processing", _process("mapminmax")),
    "mapstd": ("Processing", _process("mapstd")),
    "negdist": ("Distance Weights", _weights),
    "netprod": ("Net Input", _text("product")),
    "netsum": ("Net Input", _text("sum")),
    "normprod": ("Normalized Weights", _weights),
    "processpca": ("Processing", _process("processpca")),
    "removeconstantrows": ("Processing", _process("removeconstantrows")),
    "removerows": ("Processing", _process("removerows")),
    **{
        name: _transfer(name)
        for name in (
            *("compet", "elliotsig", "hardlim", "hardlims", "logsig", "netinv", "poslin", "purelin", "radbas"),
            *("radbasn", "satlin", "satlins", "softmax", "tansig", "tribas"),
        )
    },
}
