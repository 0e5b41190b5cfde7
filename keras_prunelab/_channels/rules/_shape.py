"""Layers that rearrange numbers: an array of channel numbers is rearranged with them, to see where each goes."""

# ruff: noqa: ARG002 # the methods of a rule are given what any rule may need

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_prunelab._channels._channels import BarrierError, Flow, Ids, Site, Trace, Values
from keras_prunelab._channels._graph import Call

from ._base import Count
from ._per_channel import PerChannelRule
from ._registry import register_rule

L = keras.layers


class MovementRule(PerChannelRule):
    """What moves numbers without changing them.

    Channels that end up along one axis stay what they are. Those that are spread out, such as units that become an
    image, go together where they have the same place along the axis that is read.
    """

    @abstractmethod
    def places(self, call: Call, flow: Flow) -> NDArray[Any]:
        """The channel that each number of an observation comes from."""

    def flow(self, call: Call, inputs: tuple[Flow, ...], trace: Trace) -> Sequence[Flow]:
        """See where each channel's number ends up."""
        ids = inputs[0].at(inputs[0].axis)
        numbers = self.places(call, inputs[0])
        if not numbers.ndim:
            raise BarrierError("leaves one number of an observation")
        if not numbers.size:
            raise BarrierError("leaves nothing")
        axis = _own_axis(numbers)
        if axis is None:
            axis = trace.axes.get(call.outputs[0], numbers.ndim) - 1
        rows = _along(numbers, axis)
        for row in rows[1:]:
            trace.couple(ids[rows[0]], ids[row])
        return [Flow(axis + 1, self.out(call, ids[rows[0]], trace))]

    def out(self, call: Call, ids: Ids, trace: Trace) -> Ids:
        """What comes out: where the layer's arguments speak of how many, as many at each call."""
        del call, trace
        return ids

    def constants(self, site: Site, values: Sequence[Values]) -> Sequence[Values]:
        found = values[0][self._rows(site)]
        return [np.where((found == found[0]).all(axis=0), found[0], np.nan)]

    def needs(self, site: Site, values: Any, live: Any) -> Any:
        """A channel is read where any of its places is."""
        needed = np.zeros(site.inputs[0].ids.size, np.bool_)
        rows = self._rows(site)
        np.logical_or.at(needed, rows, np.broadcast_to(live[0], rows.shape))
        return [needed]

    def _rows(self, site: Site) -> Ids:
        return _along(self.places(site.call, site.inputs[0]), site.outputs[0].axis - 1)


class RearrangingRule(MovementRule):
    """A layer that does to an array of one observation what NumPy can do."""

    @abstractmethod
    def rearrange(self, layer: Any, numbers: NDArray[Any]) -> NDArray[Any]:
        """Do with an array of one observation what the layer does."""

    def places(self, call: Call, flow: Flow) -> NDArray[Any]:
        """What becomes of an array that says of each number which channel it is in."""
        shape = [length for length in call.inputs[0].shape[1:] if length is not None]
        if len(shape) < len(call.inputs[0].shape) - 1:
            raise BarrierError(f"reshapes {call.inputs[0].shape}, whose lengths are not all known")
        return self.rearrange(call.layer, number_channels(shape, flow.axis - 1))


@register_rule(L.Flatten)
class FlattenRule(RearrangingRule):
    """All numbers in a row."""

    def rearrange(self, layer: Any, numbers: NDArray[Any]) -> NDArray[Any]:
        """Channels last, whatever the data format."""
        if layer.data_format == "channels_first" and numbers.ndim > 1:
            numbers = np.moveaxis(numbers, 0, -1)
        return numbers.reshape(-1)


@register_rule(L.Reshape)
class ReshapeRule(RearrangingRule):
    """Other lengths for the same numbers."""

    def rearrange(self, layer: Any, numbers: NDArray[Any]) -> NDArray[Any]:
        return numbers.reshape(layer.target_shape)

    def out(self, call: Call, ids: Ids, trace: Trace) -> Ids:
        """The channels have the same length at each call of the layer."""
        return trace.bind(call.layer, "out", ids)

    def config(self, site: Site, count: Count) -> dict[str, Any]:
        """The new length of the channel axis."""
        flow = site.outputs[0]
        return {"target_shape": resize(site.layer.target_shape, flow.axis - 1, count(flow.ids))}


class AxesRule(PerChannelRule):
    """What gives the axes other places."""

    @abstractmethod
    def axis(self, layer: Any, axis: int) -> int:
        """Where an axis goes."""

    def flow(self, call: Call, inputs: tuple[Flow, ...], trace: Trace) -> Sequence[Flow]:
        """The same channels along another axis."""
        return [Flow(self.axis(call.layer, inputs[0].axis), inputs[0].ids)]

    def value(self, site: Site, values: Values) -> Values:
        return values


@register_rule(L.Permute)
class PermuteRule(AxesRule):
    """Axes in another order."""

    def axis(self, layer: Any, axis: int) -> int:
        return int(layer.dims.index(axis)) + 1


@register_rule(L.RepeatVector)
class RepeatVectorRule(AxesRule):
    """The same vector at each step of a sequence."""

    def axis(self, layer: Any, axis: int) -> int:
        """The channels move behind the new axis."""
        return axis + 1


def _along(numbers: NDArray[Any], axis: int) -> Ids:
    """What stands along an axis, a row for each place of the others; one row where all are the same."""
    rows = np.moveaxis(numbers, axis, -1).reshape(-1, numbers.shape[axis])
    return (rows[:1] if (rows == rows[0]).all() else rows).astype(np.int64)


def _own_axis(numbers: NDArray[Any]) -> int | None:
    """The axis along which channel numbers change, and along none other; None where there is no such axis."""
    return next((axis for axis in reversed(range(numbers.ndim)) if len(_along(numbers, axis)) == 1), None)


def resize(shape: Sequence[int], axis: int, length: int) -> tuple[int, ...]:
    """A target shape with another length along an axis, unless it follows from the others (-1)."""
    return tuple(length if index == axis and one != -1 else one for index, one in enumerate(shape))


def number_channels(shape: Sequence[int], axis: int) -> NDArray[np.int32]:
    """An array of one observation that says at each position which channel it is in.

    Raises:
        BarrierError: it would be too large.
    """
    if math.prod(shape) > 2**28:
        raise BarrierError("reshapes more numbers than can be looked at")
    lengths = [1] * len(shape)
    lengths[axis] = shape[axis]
    return np.broadcast_to(np.arange(shape[axis], dtype=np.int32).reshape(lengths), shape)
