"""Layers that move numbers about: the new place of each is found by moving the channels' own numbers."""

# ruff: noqa: ARG002 # the methods of a rule are given what any rule may need

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_prunelab._structured._channels import Flow, Ids, Site, Trace, Values, WallError
from keras_prunelab._structured._graph import Call

from ._base import Count
from ._per_channel import PerChannelRule
from ._registry import register_rule

L = keras.layers


class MovementRule(PerChannelRule):
    """What moves numbers without changing them: the channels end up along one axis, or nothing can be cut."""

    @abstractmethod
    def moved(self, layer: Any, numbers: NDArray[Any]) -> NDArray[Any]:
        """Do with an array of one observation what the layer does."""

    def flow(self, call: Call, inputs: tuple[Flow, ...], trace: Trace) -> Sequence[Flow]:
        """See where each channel's number ends up; see `Rule.flow`."""
        ids = inputs[0].at(inputs[0].axis)
        axis, positions = self.moves(call, inputs[0])
        moved = trace.bind(call.layer, "out", ids[positions])
        return [Flow(axis + 1, moved)]

    def constants(self, site: Site, values: Sequence[Values]) -> Sequence[Values]:
        """Constants move along; see `Rule.constants`."""
        _, positions = self.moves(site.call, site.inputs[0])
        return [values[0][positions]]

    def needs(self, site: Site, values: Any, live: Any) -> Any:
        """A channel is read where any of its places is; see `Rule.needs`."""
        _, positions = self.moves(site.call, site.inputs[0])
        needed = np.zeros(site.inputs[0].ids.size, np.bool_)
        np.logical_or.at(needed, positions, live[0])
        return [needed]

    def moves(self, call: Call, flow: Flow) -> tuple[int, Ids]:
        """Where the channels end up: an axis of an observation, and the channel at each position along it."""
        shape = [length for length in call.inputs[0].shape[1:] if length is not None]
        if len(shape) < len(call.inputs[0].shape) - 1:
            raise WallError(f"reshapes {call.inputs[0].shape}, whose lengths are not all known")
        return channels_along(self.moved(call.layer, numbered(shape, flow.axis - 1)))


@register_rule(L.Flatten)
class FlattenRule(MovementRule):
    """All numbers in a row."""

    def moved(self, layer: Any, numbers: NDArray[Any]) -> NDArray[Any]:
        """Channels last, whatever the data format."""
        if layer.data_format == "channels_first" and numbers.ndim > 1:
            numbers = np.moveaxis(numbers, 0, -1)
        return numbers.reshape(-1)


@register_rule(L.Reshape)
class ReshapeRule(MovementRule):
    """Other lengths for the same numbers."""

    def moved(self, layer: Any, numbers: NDArray[Any]) -> NDArray[Any]:
        """NumPy's own."""
        return numbers.reshape(layer.target_shape)

    def config(self, site: Site, count: Count) -> dict[str, Any]:
        """The new length of the channel axis."""
        flow = site.outputs[0]
        target = list(site.call.outputs[0].shape[1:])
        target[flow.axis - 1] = count(flow.ids)
        return {"target_shape": tuple(target)}


class AxesRule(PerChannelRule):
    """What gives the axes other places."""

    @abstractmethod
    def axis(self, layer: Any, axis: int) -> int:
        """Where an axis goes."""

    def flow(self, call: Call, inputs: tuple[Flow, ...], trace: Trace) -> Sequence[Flow]:
        """The same channels along another axis; see `Rule.flow`."""
        return [Flow(self.axis(call.layer, inputs[0].axis), inputs[0].ids)]

    def value(self, site: Site, values: Values) -> Values:
        """The same."""
        return values


@register_rule(L.Permute)
class PermuteRule(AxesRule):
    """Axes in another order."""

    def axis(self, layer: Any, axis: int) -> int:
        """Where it went."""
        return int(layer.dims.index(axis)) + 1


@register_rule(L.RepeatVector)
class RepeatVectorRule(AxesRule):
    """The same vector at each step of a sequence."""

    def axis(self, layer: Any, axis: int) -> int:
        """Behind the new axis."""
        return axis + 1


def channels_along(moved: NDArray[Any]) -> tuple[int, Ids]:
    """Find the axis along which channel numbers change, and none other.

    Args:
        moved: the number of the channel that each position of an observation comes from.

    Returns:
        The axis, and the numbers along it.

    Raises:
        WallError: there is no such axis.
    """
    for axis in reversed(range(moved.ndim)):
        along = np.moveaxis(moved, axis, -1)
        first = along.reshape(-1, moved.shape[axis])[0]
        if (along == first).all():
            return axis, first.astype(np.int64)
    raise WallError("spreads channels over several axes")


def numbered(shape: Sequence[int], axis: int) -> NDArray[np.int32]:
    """An array of one observation that says at each position which channel it is in.

    Raises:
        WallError: it would be too large.
    """
    if math.prod(shape) > 2**28:
        raise WallError("reshapes more numbers than can be looked at")
    lengths = [1] * len(shape)
    lengths[axis] = shape[axis]
    return np.broadcast_to(np.arange(shape[axis], dtype=np.int32).reshape(lengths), shape)
