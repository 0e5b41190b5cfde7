"""What a rule says about a type of layer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_prunelab._channels._channels import Flags, Flow, Ids, Layout, Site, Trace, Values
from keras_prunelab._channels._graph import Call

Count = Callable[[Ids], int]


class ChannelRule(ABC):
    """What one type of layer does to channels: `flow` is the one method that every rule writes.

    The other methods speak of exactness: which channels are always the same number, which are read, and what a layer
    can do without. As they stand here, they describe a layer that mixes all channels of its input: nothing that it
    makes is constant, everything that it is given is read, and nothing can be taken away from it unnoticed.

    A rule holds nothing about a layer: one instance serves all of them. Channels are numbered; `Flow.ids` are the
    numbers along an axis of a tensor, and a layer that passes channels on gives its output the numbers of its input.
    """

    @abstractmethod
    def flow(self, call: Call, inputs: tuple[Flow, ...], trace: Trace) -> Sequence[Flow]:
        """Say which channels come out, and which of the channels inside and outside go together.

        Args:
            call: a call of the layer.
            inputs: the channels of each input.
            trace: numbers new channels, couples them, and remembers the layer's own axes.

        Returns:
            The channels of each output.

        Raises:
            BarrierError: the layer, as it is set or as it is called here, cannot be cut.
        """

    def constants(self, site: Site, values: Sequence[Values]) -> Sequence[Values]:
        """Say which channels are always the same number.

        Args:
            site: a call of the layer.
            values: for each input and position along its channel axis the number that it always is; else NaN.

        Returns:
            The same for each output.
        """
        del values
        return [np.full(flow.ids.size, np.nan) for flow in site.outputs]

    def needs(self, site: Site, values: Sequence[Values], live: Sequence[Flags]) -> Sequence[Flags]:
        """Say which positions of the inputs can change what matters of the outputs.

        Args:
            site: a call of the layer.
            values: as for `constants`.
            live: for each output the positions that vary and that somebody reads.

        Returns:
            Booleans for each input.
        """
        del values
        # Of a tensor without a channel axis, such as a vector of one number an observation, nobody knows.
        wanted = any(flags.any() or not flags.size for flags in live)
        return [np.full(flow.ids.size, wanted) for flow in site.inputs]

    def keep(self, site: Site, values: Sequence[Values], needed: Sequence[Flags]) -> Sequence[Flags]:
        """Say which positions of the inputs have to stay, so that the outputs do not change.

        Args:
            site: a call of the layer.
            values: as for `constants`.
            needed: what somebody reads, after `needs`.

        Returns:
            Booleans for each input.
        """
        del site, values
        return needed

    def keep_inside(self, site: Site, values: Sequence[Values], live: Sequence[Flags]) -> Sequence[tuple[Ids, Flags]]:
        """Say which channels inside the layer, or of its own making, have to stay.

        Args:
            site: a call of the layer.
            values: as for `constants`.
            live: as for `needs`.

        Returns:
            Pairs of elements and booleans.
        """
        del site, values, live
        return []

    def layout(self, layer: Any, ports: Mapping[str, Ids]) -> Sequence[Layout]:
        """Say which elements lie along each axis of each of `layer.weights`.

        Args:
            layer: the layer.
            ports: its named axes, as `flow` bound and made them.

        Returns:
            One tuple a weight, with elements or None for each axis.
        """
        del ports
        return [(None,) * len(weight.shape) for weight in layer.weights]

    def kept_weights(self, site: Site, layout: Sequence[Layout], kept: Flags) -> list[Flags]:
        """Say which entries of each of the layer's weights are left when elements go.

        Args:
            site: a call of the layer.
            layout: what lies along the axes of its weights.
            kept: for each element of the graph whether it stays.

        Returns:
            Booleans of each weight's shape.
        """
        found = []
        for weight, axes in zip(site.weights, layout, strict=True):
            stays = np.ones(weight.shape, np.bool_)
            for axis, ids in enumerate(axes):
                if ids is not None:
                    stays &= np.expand_dims(kept[ids], tuple(other for other in range(weight.ndim) if other != axis))
            found.append(stays)
        return found

    def restore(self, site: Site, removed: Flags) -> Ids:
        """Say which of the elements that are to go have to stay after all, so that the layer's sizes fit.

        Args:
            site: a call of the layer.
            removed: for each element of the graph whether it is to go.

        Returns:
            Elements, none where the sizes fit.
        """
        del site, removed
        return np.zeros(0, np.int64)

    def rows(self, site: Site) -> Sequence[Ids]:
        """Say from which channels as many have to go, as from the groups of a grouped convolution.

        Args:
            site: a call of the layer.

        Returns:
            Matrices of elements, of each row of which as many go, or else whole rows.
        """
        del site
        return ()

    def config(self, site: Site, count: Count) -> dict[str, Any]:
        """What changes in the layer's `get_config`.

        Args:
            site: a call of the layer.
            count: how many of some elements stay.

        Returns:
            The entries that change.
        """
        del site, count
        return {}

    def fold(self, site: Site, weights: list[NDArray[Any]], folded: Sequence[Values]) -> list[NDArray[Any]]:
        """Add to the biases what constant channels contribute that are about to go.

        Args:
            site: a call of the layer.
            weights: copies of the layer's weights, before anything is cut out of them.
            folded: for each input what its constant channels are that go; 0 elsewhere.

        Returns:
            The new weights: one more than before, the bias, where the layer has none and needs one.
        """
        del site, folded
        return weights

    def new_bias(self, layer: Any) -> dict[str, Any]:
        """What gives a layer a bias that has none, in its configuration; where `fold` may add one."""
        del layer
        return {"use_bias": True}

    def rescale(self, site: Site, weights: list[NDArray[Any]], count: Count) -> list[NDArray[Any]]:
        """Make up for factors that a layer derives from its own sizes.

        Args:
            site: a call of the layer.
            weights: the weights, cut.
            count: how many of some elements stay.

        Returns:
            The weights of the smaller layer.
        """
        del site, count
        return weights


class CarryingRule(ChannelRule):
    """A layer that hands on the channels that it is given: a channel goes with what is made of it.

    Nothing has to stay for the layer's own sake; whoever reads its outputs decides.
    """

    def keep(self, site: Site, values: Sequence[Values], needed: Sequence[Flags]) -> Sequence[Flags]:
        """Keep nothing."""
        del site, values
        return [np.zeros(flags.size, np.bool_) for flags in needed]


def is_nonzero(values: Values) -> Flags:
    """Which channels are always the same number, and not zero."""
    return np.asarray(~np.isnan(values) & (values != 0))


def ids_of(*parts: Ids) -> Ids:
    """Several runs of elements one after the other."""
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def balance(rows: Ids, removed: Flags) -> Ids:
    """Which elements have to stay, so that of each row as many go; the last of those that are to go come back."""
    if not rows.size:
        return np.zeros(0, np.int64)
    fewest = int(removed.sum(axis=1).min())
    if fewest == rows.shape[1]:
        fewest -= 1
    extra = removed & (np.cumsum(removed, axis=1) > fewest)
    return rows[extra]
