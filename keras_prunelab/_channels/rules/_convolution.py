"""Convolutions: plain, in groups, transposed, separable and depthwise."""

# ruff: noqa: ARG002 # the methods of a rule are given what any rule may need

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_prunelab._channels._channels import BarrierError, Flags, Flow, Ids, Layout, Site, Trace, Values, channel_axis
from keras_prunelab._channels._elementwise import apply, is_elementwise
from keras_prunelab._channels._graph import Call

from ._base import CarryingRule, Count, balance, ids_of, is_nonzero
from ._registry import register_rule
from ._weighted import Weighted

L = keras.layers


class Convolving(Weighted):
    """What convolutions have in common: space in front of the channels, and a border."""

    def has_border(self, layer: Any) -> bool:
        """Where the input is padded."""
        return is_padded(layer)

    def sums(self, site: Site) -> NDArray[Any]:
        """The kernel, summed over space."""
        kernel = site.weights[0]
        return np.asarray(kernel.reshape(-1, *kernel.shape[-2:]).sum(axis=0, dtype=np.float64))

    def reads(self, site: Site) -> Flags:
        """Where the kernel is not zero at all positions."""
        kernel = site.weights[0]
        return np.asarray((kernel != 0).reshape(-1, *kernel.shape[-2:]).any(axis=0))


@register_rule(L.Conv1D, L.Conv2D, L.Conv3D)
class ConvRule(Convolving):
    """Convolutions, in one group or several.

    Of a convolution in groups the same number of channels goes from each group, or a group as a whole: one input
    channel a group (a depthwise convolution) means that the channel and what is made of it go together.
    """

    def flow(self, call: Call, inputs: tuple[Flow, ...], trace: Trace) -> Sequence[Flow]:
        """A group of one input channel goes with its outputs."""
        outputs = super().flow(call, inputs, trace)
        ports = trace.ports(call.layer)
        if call.layer.groups > 1 and call.layer.groups == ports["in"].size:
            trace.couple(np.repeat(ports["in"], ports["out"].size // ports["in"].size), ports["out"])
        return outputs

    def sums(self, site: Site) -> NDArray[Any]:
        """Zero between groups."""
        return _block_diagonal(super().sums(site), site.layer.groups)

    def reads(self, site: Site) -> Flags:
        """Nothing between groups."""
        return _block_diagonal(super().reads(site), site.layer.groups)

    def kernels(self, layer: Any, ports: Mapping[str, Ids]) -> Sequence[Layout]:
        """(..., in, out); the inputs of a kernel in groups are those of one group, which `rescale` cuts."""
        return [(*_space(layer), ports["in"] if layer.groups == 1 else None, ports["out"])]

    def kept_weights(self, site: Site, layout: Sequence[Layout], kept: Flags) -> list[Flags]:
        """In a grouped kernel, the filters of each group read the inputs of that group; see `Rule.kept_weights`."""
        kernel, *rest = super().kept_weights(site, layout, kept)
        groups = site.layer.groups
        if groups > 1:
            inputs = kept[site.ports["in"]].reshape(groups, -1)
            kernel &= np.repeat(inputs.T, kernel.shape[-1] // groups, axis=1)
        return [kernel, *rest]

    def rows(self, site: Site) -> Sequence[Ids]:
        """The inputs of each group, and its filters."""
        return [site.ports[name].reshape(site.layer.groups, -1) for name in ("in", "out")]

    def restore(self, site: Site, removed: Flags) -> Ids:
        """Keep the groups of one size."""
        if site.layer.groups == 1:
            return np.zeros(0, np.int64)
        inside, outside = self.rows(site)
        whole: Flags = np.asarray(removed[inside].all(axis=1) & removed[outside].all(axis=1))
        if whole.all():
            whole[0] = False
        return ids_of(*(balance(ids[~whole], removed[ids[~whole]]) for ids in (inside, outside)))

    def config(self, site: Site, count: Count) -> dict[str, Any]:
        """Fewer filters, and fewer groups where whole ones have gone."""
        changes = super().config(site, count)
        if site.layer.groups > 1:
            changes["groups"] = int(self._groups_left(site, count).sum())
        return changes

    def rescale(self, site: Site, weights: list[NDArray[Any]], count: Count) -> list[NDArray[Any]]:
        """Cut the input axis of a kernel in groups, of each group its own."""
        groups = site.layer.groups
        if groups == 1:
            return weights
        kernel, *rest = weights
        inside = site.ports["in"].reshape(groups, -1)
        kept = [np.array([count(ids[i : i + 1]) for i in range(ids.size)], np.bool_) for ids in inside]
        left = self._groups_left(site, count)
        parts = np.split(kernel, int(left.sum()), axis=-1)
        chosen = [keep for keep, stays in zip(kept, left, strict=True) if stays]
        cut = [part[..., keep, :] for part, keep in zip(parts, chosen, strict=True)]
        return [np.concatenate(cut, axis=-1), *rest]

    @staticmethod
    def _groups_left(site: Site, count: Count) -> Flags:
        return np.array([count(ids) > 0 for ids in site.ports["out"].reshape(site.layer.groups, -1)], np.bool_)


@register_rule(L.Conv1DTranspose, L.Conv2DTranspose, L.Conv3DTranspose)
class ConvTransposeRule(Convolving):
    """Transposed convolutions, whose kernels have the outputs before the inputs."""

    def has_border(self, layer: Any) -> bool:
        """Always: how many kernels reach a pixel depends on where it lies."""
        return bool(max(layer.kernel_size) > 1 or max(layer.strides) > 1)

    def sums(self, site: Site) -> NDArray[Any]:
        """The kernel, turned round."""
        return super().sums(site).T

    def reads(self, site: Site) -> Flags:
        """The kernel, turned round."""
        return super().reads(site).T

    def kernels(self, layer: Any, ports: Mapping[str, Ids]) -> Sequence[Layout]:
        """(..., out, in)."""
        return [(*_space(layer), ports["out"], ports["in"])]


@register_rule(L.SeparableConv1D, L.SeparableConv2D)
class SeparableConvRule(Convolving):
    """A depthwise convolution, and a pointwise one after it without anything between them."""

    def sums(self, site: Site) -> NDArray[Any]:
        """Through the depthwise kernel and the pointwise one."""
        depthwise, pointwise = self._kernels(site)
        return np.asarray(np.einsum("pcm,cmo->co", depthwise, pointwise, dtype=np.float64))

    def reads(self, site: Site) -> Flags:
        """Where neither kernel is zero."""
        depthwise, pointwise = self._kernels(site)
        return np.asarray(((depthwise != 0).any(axis=0)[..., None] & (pointwise != 0)).any(axis=1))

    def kernels(self, layer: Any, ports: Mapping[str, Ids]) -> Sequence[Layout]:
        """Depthwise (..., in, multiplier), pointwise (..., in x multiplier, out)."""
        between = np.repeat(ports["in"], layer.depth_multiplier)
        return [(*_space(layer), ports["in"], None), (*_space(layer), between, ports["out"])]

    @staticmethod
    def _kernels(site: Site) -> tuple[NDArray[Any], NDArray[Any]]:
        depthwise, pointwise = site.weights[:2]
        depthwise = depthwise.reshape(-1, *depthwise.shape[-2:])
        return depthwise, pointwise.reshape(*depthwise.shape[1:], pointwise.shape[-1])


@register_rule(L.DepthwiseConv1D, L.DepthwiseConv2D)
class DepthwiseConvRule(CarryingRule):
    """Each input channel makes some channels of its own, which go with it."""

    def flow(self, call: Call, inputs: tuple[Flow, ...], trace: Trace) -> Sequence[Flow]:
        """The same channels, each as often as the multiplier says."""
        axis = channel_axis(call.layer, len(call.inputs[0].shape))
        ids = trace.bind(call.layer, "in", inputs[0].at(axis))
        if not is_elementwise(call.layer.activation):
            raise BarrierError("has an activation that mixes the channels")
        return [Flow(axis, np.repeat(ids, call.layer.depth_multiplier))]

    def constants(self, site: Site, values: Sequence[Values]) -> Sequence[Values]:
        """A constant input gives a constant output; a kernel of zeros gives the bias."""
        kernel = site.weights[0]
        kernel = kernel.reshape(-1, *kernel.shape[-2:])
        given = values[0]
        if is_padded(site.layer):
            given = np.where(given == 0, given, np.nan)
        total = given[:, None] * kernel.sum(axis=0, dtype=np.float64)
        total = np.where((kernel != 0).any(axis=0), total, 0.0).reshape(-1)
        if site.layer.use_bias:
            total = total + site.weights[1]
        return [apply(site.layer.activation, total)]

    def needs(self, site: Site, values: Sequence[Values], live: Sequence[Flags]) -> Sequence[Flags]:
        """What is made of it is read."""
        return [np.asarray(live[0].reshape(-1, site.layer.depth_multiplier).any(axis=1))]

    def keep(self, site: Site, values: Sequence[Values], needed: Sequence[Flags]) -> Sequence[Flags]:
        """A constant that the border changes."""
        if is_padded(site.layer):
            return [needed[0] & is_nonzero(values[0])]
        return super().keep(site, values, needed)

    def layout(self, layer: Any, ports: Mapping[str, Ids]) -> Sequence[Layout]:
        """(..., in, multiplier), and a bias of in x multiplier."""
        kernel: Layout = (*_space(layer), ports["in"], None)
        return [kernel, (np.repeat(ports["in"], layer.depth_multiplier),)] if layer.use_bias else [kernel]


def _space(layer: Any) -> Layout:
    """The axes of a kernel in front of its channels."""
    return (None,) * len(layer.kernel_size)


def is_padded(layer: Any) -> bool:
    """Whether zeros around the input come into some outputs of a convolution."""
    return bool(layer.padding != "valid" and max(layer.kernel_size) > 1)


def _block_diagonal(matrix: NDArray[Any], groups: int) -> NDArray[Any]:
    """What a kernel in groups is without them: (inputs of one group, outputs) to (inputs, outputs)."""
    if groups == 1:
        return matrix
    inside, outside = matrix.shape
    whole = np.zeros((groups, inside, groups, outside // groups), matrix.dtype)
    index = np.arange(groups)
    whole[index, :, index] = matrix.reshape(inside, groups, -1).swapaxes(0, 1)
    return whole.reshape(groups * inside, outside)
