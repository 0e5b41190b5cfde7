"""Channels as numbered elements: which positions of which tensors and weights come and go together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import keras
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ._graph import Call, Tensor

Ids: TypeAlias = NDArray[np.int64]
"""The element that stands at each position along an axis. One element may stand at several positions."""
Values: TypeAlias = NDArray[np.float64]
"""What each position always is; NaN where it varies with the data."""
Flags: TypeAlias = NDArray[np.bool_]
Layout: TypeAlias = tuple["Ids | None", ...]
"""For each axis of a weight, the elements along it; None for an axis that is never cut, such as a kernel's height."""


class BarrierError(Exception):
    """Why channels next to a layer have to stay as they are."""


@dataclass(frozen=True, eq=False)
class Flow:
    """The channels of a tensor.

    Attributes:
        axis: the axis that counts them.
        ids: the elements along that axis; none where its length is not known.
    """

    axis: int
    ids: Ids

    def at(self, axis: int) -> Ids:
        """The elements along an axis.

        Raises:
            BarrierError: the channels lie along another axis.
        """
        if axis != self.axis or not self.ids.size:
            raise BarrierError(f"reads along axis {axis} of its input, whose channels lie along axis {self.axis}")
        return self.ids


@dataclass(frozen=True, eq=False)
class Site:
    """One call of a layer, with the channels around and inside it.

    Attributes:
        call: the call.
        inputs: the channels of each input tensor.
        outputs: the channels of each output tensor.
        ports: named axes of the layer itself, the same for all of its calls.
        weights: the values of `call.layer.weights`, in their order.
    """

    call: Call
    inputs: tuple[Flow, ...]
    outputs: tuple[Flow, ...]
    ports: Mapping[str, Ids]
    weights: Sequence[NDArray[Any]]

    @property
    def layer(self) -> Any:
        """What is called."""
        return self.call.layer


@dataclass(frozen=True)
class Barrier:
    """A layer that stays as it is, and so do the channels next to it.

    Attributes:
        layer: its name, behind those of the models that it stands in.
        kind: its class.
        reason: why.
    """

    layer: str
    kind: str
    reason: str


@dataclass
class Trace:
    """Numbers channels, and notes what rules say about them.

    Attributes:
        axes: the axis along which a tensor is read; the last one where there is none.
        flows: the channels of each tensor seen so far.
        makers: for each element, the layer that makes it; None for the model's inputs and behind barriers.
    """

    axes: Mapping[Tensor, int] = field(default_factory=dict)
    flows: dict[Tensor, Flow] = field(default_factory=dict)
    makers: list[Any] = field(default_factory=list)
    _edges: list[NDArray[np.int64]] = field(default_factory=list)
    _pinned: list[Ids] = field(default_factory=list)
    _ports: dict[int, dict[str, Ids]] = field(default_factory=dict)

    def new(self, count: int, maker: Any = None) -> Ids:
        """Number so many elements that have not been there before."""
        start = len(self.makers)
        self.makers += [maker] * count
        return np.arange(start, start + count, dtype=np.int64)

    def couple(self, one: Ids, other: Ids) -> None:
        """Say that elements go together: the first with the first, and so on.

        Raises:
            BarrierError: there are not as many of the one as of the other.
        """
        if one.shape != other.shape:
            raise BarrierError(f"joins {one.size} channels with {other.size}")
        self._edges.append(np.stack([one, other]))

    def pin(self, ids: Ids) -> None:
        """Say that elements have to stay."""
        self._pinned.append(ids)

    def bind(self, layer: Any, port: str, ids: Ids) -> Ids:
        """Say that elements lie along an axis of a layer: coupled with those that another call of it brought."""
        known = self.ports(layer).setdefault(port, ids)
        if known is not ids:
            self.couple(known, ids)
        return known

    def make(self, layer: Any, port: str, count: int) -> Ids:
        """The elements that a layer makes itself, numbered at its first call."""
        ports = self.ports(layer)
        if port not in ports:
            ports[port] = self.new(count, layer)
        return ports[port]

    def ports(self, layer: Any) -> dict[str, Ids]:
        """The named axes of a layer."""
        return self._ports.setdefault(id(layer), {})

    def fixed(self, tensor: Tensor) -> Flow:
        """New channels of a tensor, along the axis that is read, that have to stay."""
        axis = self.axes.get(tensor, len(tensor.shape) - 1)
        ids = self.new(tensor.shape[axis] or 0 if axis > 0 else 0)
        self.pin(ids)
        return Flow(axis, ids)

    def groups(self) -> tuple[NDArray[np.int64], Flags]:
        """What comes and goes together.

        Returns:
            The number of the group that each element is in, and for each group whether it has to stay.
        """
        count = len(self.makers)
        first, second = np.concatenate(self._edges, axis=1) if self._edges else np.zeros((2, 0), np.int64)
        joined = coo_array((np.ones(first.size, np.bool_), (first, second)), shape=(count, count))
        number, labels = connected_components(joined, directed=False)
        stays = np.zeros(number, np.bool_)
        for ids in self._pinned:
            stays[labels[ids]] = True
        return labels.astype(np.int64), stays


def is_made(makers: Sequence[Any], flow: Flow) -> bool:
    """Whether a layer makes some of the channels; else they are the model's inputs, or come out of a barrier."""
    return any(makers[index] is not None for index in flow.ids.tolist())


def channel_axis(layer: Any, rank: int) -> int:
    """The axis that counts channels, as a layer's `data_format` has it."""
    return 1 if getattr(layer, "data_format", None) == "channels_first" else rank - 1


def weights_of(layer: Any) -> list[NDArray[Any]]:
    """The values of a layer's weights, in their order; none of an operation."""
    return [np.asarray(keras.ops.convert_to_numpy(weight)) for weight in getattr(layer, "weights", ())]
