"""The layers that convert, one file a family; importing this package registers their rules."""

from . import (
    activation,
    combination,
    convolution,
    dense,
    inputs,
    matconvnet,
    normalization,
    output,
    pooling,
    processing,
    shallow,
)

__all__ = [
    "activation",
    "combination",
    "convolution",
    "dense",
    "inputs",
    "matconvnet",
    "normalization",
    "output",
    "pooling",
    "processing",
    "shallow",
]
