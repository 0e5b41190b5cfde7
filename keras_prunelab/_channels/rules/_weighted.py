"""What layers with kernels have in common: each output channel is a weighted sum of input channels."""

# ruff: noqa: ARG002 # the methods of a rule are given what any rule may need

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_prunelab._channels._channels import Flags, Flow, Ids, Layout, Site, Trace, Values, channel_axis
from keras_prunelab._channels._elementwise import apply, is_elementwise
from keras_prunelab._channels._graph import Call

from ._base import ChannelRule, Count


class Weighted(ChannelRule):
    """A layer with a kernel that sums over input channels, a bias and an activation.

    Subclasses say what the kernel sums, and how it is laid out.
    """

    def made(self, layer: Any) -> int:
        """How many channels the layer makes."""
        return int(layer.filters)

    def axis(self, layer: Any, rank: int) -> int:
        """The axis of the channels, of the input and the output."""
        return channel_axis(layer, rank)

    @abstractmethod
    def sums(self, site: Site) -> NDArray[Any]:
        """What an output gains from an input that is 1 everywhere: (inputs, outputs)."""

    @abstractmethod
    def reads(self, site: Site) -> Flags:
        """Whether an output depends on an input: (inputs, outputs)."""

    @abstractmethod
    def kernels(self, layer: Any, ports: Mapping[str, Ids]) -> Sequence[Layout]:
        """The elements along the axes of the kernels, `"in"` and `"out"` among the ports."""

    def has_border(self, layer: Any) -> bool:
        """Whether outputs near the border see fewer inputs, so that a constant does not stay one."""
        return False

    def has_bias(self, layer: Any) -> bool:
        """Whether the last weight is a bias."""
        return bool(layer.use_bias)

    def flow(self, call: Call, inputs: tuple[Flow, ...], trace: Trace) -> Sequence[Flow]:
        """Bind the input channels, make the output channels."""
        layer = call.layer
        axis = self.axis(layer, len(call.inputs[0].shape))
        trace.bind(layer, "in", inputs[0].at(axis))
        made = trace.make(layer, "out", self.made(layer))
        if not is_elementwise(layer.activation):
            trace.pin(made)  # a softmax sees how many there are
        return [Flow(axis, made)]

    def constants(self, site: Site, values: Sequence[Values]) -> Sequence[Values]:
        """An output is constant where it sums constants alone."""
        count = site.ports["out"].size
        if not is_elementwise(site.layer.activation):
            return [np.full(count, np.nan)]
        loose = self._loose(site, values[0])
        varies = self.reads(site)[loose].any(axis=0)
        total = np.where(loose, 0.0, values[0]) @ self.sums(site)
        if self.has_bias(site.layer):
            total = total + site.weights[-1]
        return [apply(site.layer.activation, np.where(varies, np.nan, total))]

    def needs(self, site: Site, values: Sequence[Values], live: Sequence[Flags]) -> Sequence[Flags]:
        """An input is read by the outputs that have a weight for it."""
        if not is_elementwise(site.layer.activation):
            return [np.asarray(self.reads(site).any(axis=1) & live[0].any())]
        return [np.asarray(self.reads(site)[:, live[0]].any(axis=1))]

    def keep(self, site: Site, values: Sequence[Values], needed: Sequence[Flags]) -> Sequence[Flags]:
        """What varies has to stay, and a constant that the border changes."""
        return [needed[0] & self._loose(site, values[0])]

    def layout(self, layer: Any, ports: Mapping[str, Ids]) -> Sequence[Layout]:
        """Kernels, then the bias."""
        kernels = list(self.kernels(layer, ports))
        return [*kernels, (ports["out"],)] if self.has_bias(layer) else kernels

    def config(self, site: Site, count: Count) -> dict[str, Any]:
        return {"filters": count(site.ports["out"])}

    def fold(self, site: Site, weights: list[NDArray[Any]], folded: Sequence[Values]) -> list[NDArray[Any]]:
        """Constants go into the bias."""
        if not folded[0].any():
            return weights
        extra = folded[0] @ self.sums(site)
        if not self.has_bias(site.layer):
            return [*weights, extra.astype(weights[0].dtype)] if extra.any() else weights
        return [*weights[:-1], (weights[-1] + extra).astype(weights[-1].dtype)]

    def _loose(self, site: Site, values: Values) -> Flags:
        """Inputs that cannot be replaced by a bias."""
        loose = np.isnan(values)
        return loose | (values != 0) if self.has_border(site.layer) else loose
