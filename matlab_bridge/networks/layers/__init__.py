"""The layers that convert, one file a family; importing this package registers their rules."""

from . import (
    activation,
    combination,
    convolution,
    dense,
    inputs,
    normalization,
    output,
    pooling,
    projected,
    recurrent,
    sequence,
)

__all__ = [
    "activation",
    "combination",
    "convolution",
    "dense",
    "inputs",
    "normalization",
    "output",
    "pooling",
    "projected",
    "recurrent",
    "sequence",
]
