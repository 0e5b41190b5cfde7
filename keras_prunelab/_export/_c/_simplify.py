"""Fewer operations that do the same: normalizations, borders and ReLUs as part of the layer next to them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ._network import Network
from ._operation import Operation
from .operations._arithmetic import Arithmetic
from .operations._convolution import Convolution, Scaling
from .operations._elementwise import Elementwise
from .operations._linear import Linear
from .operations._shape import Pad, Permute, View

_NO_LIMITS = (-math.inf, math.inf)


def simplified(network: Network, *, is_int8: bool) -> Network:
    """A network in which layers do what the layer behind or before them did.

    Args:
        network: the network.
        is_int8: whether ReLUs become limits of the layer before them, so that 8 bits are left for what passes.
    """
    readers = network.readers()
    operations: dict[str, Operation] = {}  # by their outputs
    for operation in network.operations:
        source = operations.get(operation.inputs[0].name) if operation.inputs else None
        if source is not None and readers[source.output.name] == 1:
            joined = _join(source, operation, is_int8=is_int8)
            if joined is not None:
                del operations[source.output.name]
                operation = joined
        operations[operation.output.name] = operation
    return Network(tuple(operations.values()), network.inputs, network.outputs)


def _join(first: Operation, second: Operation, *, is_int8: bool) -> Operation | None:
    """One operation for two; None where there is none."""
    if isinstance(first, Permute):
        return _permute(first, second)
    if isinstance(first, Linear) and first.limits == _NO_LIMITS and isinstance(second, Scaling):
        if len(second.factors) != len(first.bias):
            return None
        scaled = first.scaled(second.factors, second.bias)
        return replace(scaled, output=second.output, kind=f"{first.kind}, {second.kind}")
    if (
        isinstance(first, Pad)
        and first.only_adds
        and isinstance(second, Convolution)
        and not isinstance(second, Scaling)
    ):
        above, left = (one + other for one, other in zip(first.window.before, second.window.before, strict=True))
        window = replace(second.window, image=first.window.image, before=(above, left))
        kind = f"{first.kind}, {second.kind}"
        return None if second.is_causal else replace(second, window=window, inputs=first.inputs, kind=kind)
    if is_int8 and isinstance(first, Linear | Arithmetic) and isinstance(second, Elementwise):
        limits = second.activation.limits
        if first.limits == _NO_LIMITS and limits is not None:
            return replace(first, limits=limits, output=second.output, kind=f"{first.kind}, {second.kind}")
    return None


def _permute(first: Permute, second: Operation) -> Operation | None:
    """A dense layer of all values takes them in any order."""
    if isinstance(second, View):
        return replace(first, output=second.output, kind=f"{first.kind}, {second.kind}")
    if type(second) is not Linear or second.inputs[0].size != second.weights.shape[1]:
        return None
    weights = np.empty_like(second.weights)
    weights[:, first.order()] = second.weights
    return replace(second, weights=weights, inputs=first.inputs, kind=f"{first.kind}, {second.kind}")
