"""Fully connected layers."""

# ruff: noqa: ARG002 # the methods of a rule are given what any rule may need

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_prunelab._channels._channels import BarrierError, Flags, Flow, Ids, Layout, Site, Trace
from keras_prunelab._channels._graph import Call

from ._base import Count
from ._registry import register_rule
from ._weighted import Weighted

L = keras.layers


@register_rule(L.Dense)
class DenseRule(Weighted):
    """Fully connected along the last axis."""

    def made(self, layer: Any) -> int:
        return int(layer.units)

    def axis(self, layer: Any, rank: int) -> int:
        return rank - 1

    def sums(self, site: Site) -> NDArray[Any]:
        """The kernel."""
        return site.weights[0]

    def reads(self, site: Site) -> Flags:
        """Where the kernel is not zero."""
        return np.asarray(site.weights[0] != 0)

    def kernels(self, layer: Any, ports: Mapping[str, Ids]) -> Sequence[Layout]:
        """(in, out)."""
        return [(ports["in"], ports["out"])]

    def config(self, site: Site, count: Count) -> dict[str, Any]:
        return {"units": count(site.ports["out"])}


@register_rule(L.EinsumDense)
class EinsumDenseRule(DenseRule):
    """A product of the last axis with a matrix, as in `"abc,cd->abd"`; other equations are barriers."""

    def flow(self, call: Call, inputs: tuple[Flow, ...], trace: Trace) -> Sequence[Flow]:
        """Channels pass as through a fully connected layer, where the equation is one."""
        layer = call.layer
        left, output = layer.equation.split("->")
        data, kernel = left.split(",")
        simple = len(kernel) == 2 and data[-1] == kernel[0] and output == data[:-1] + kernel[1]
        if not simple or layer.bias_axes not in (None, kernel[1]):
            raise BarrierError(f"multiplies along other axes than the last one of both: {layer.equation}")
        return super().flow(call, inputs, trace)

    def made(self, layer: Any) -> int:
        """The columns of its kernel."""
        return int(layer.kernel.shape[1])

    def has_bias(self, layer: Any) -> bool:
        """Where there are axes for it."""
        return layer.bias_axes is not None

    def new_bias(self, layer: Any) -> dict[str, Any]:
        """Along the last axis."""
        return {"bias_axes": layer.equation[-1]}

    def config(self, site: Site, count: Count) -> dict[str, Any]:
        """A shorter last axis."""
        shape = site.layer.get_config()["output_shape"]
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        return {"output_shape": (*shape[:-1], count(site.ports["out"]))}
