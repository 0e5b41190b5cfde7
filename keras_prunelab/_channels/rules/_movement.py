"""Operations of `keras.ops` that move numbers: each is run on an array of channel numbers, to see where they go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_prunelab._channels._channels import BarrierError, Flow, Site, Trace
from keras_prunelab._channels._graph import Call, Tensor

from ._base import Count
from ._operations import operation_class
from ._registry import register_rule
from ._shape import MovementRule, number_channels, resize

ops = keras.ops
_FREE = 64  # stands for a length that is not known


@register_rule(
    *map(operation_class, (ops.transpose, ops.flip, lambda x: ops.squeeze(x[:, :1], 1))),
    operation_class(lambda x: ops.expand_dims(x, 1)),
    operation_class(lambda x: ops.swapaxes(x, 0, 1)),
    operation_class(lambda x: ops.moveaxis(x, 0, 1)),
)
class MovingOperationRule(MovementRule):
    """An operation whose arguments do not speak of how many channels there are."""

    def places(self, call: Call, flow: Flow) -> NDArray[Any]:
        """The channel that each number comes from, seen in several observations, which have to stay apart."""
        if len(call.inputs) > 1:
            raise BarrierError("takes several tensors")
        if getattr(call.layer, "axis", 0) is None:  # such as a squeeze of all lengths of 1, which a cut may make
            raise BarrierError("goes over all axes")
        shape = call.inputs[0].shape
        numbers = number_channels([length or _FREE for length in shape[1:]], flow.axis - 1)
        count = shape[0] or 2
        apart = flow.ids.size * np.arange(count, dtype=np.int32).reshape((-1,) + (1,) * numbers.ndim)
        both = ops.convert_to_tensor(numbers + apart)
        args, kwargs = keras.tree.map_structure(
            lambda each: both if isinstance(each, Tensor) else each, (call.args, dict(call.kwargs))
        )
        try:
            found = np.asarray(ops.convert_to_numpy(call.layer(*args, **kwargs)))
        except Exception as error:  # each backend has its own
            raise BarrierError(f"cannot be tried on observations of shape {shape[1:]}") from error
        if len(found) != count or count == 1 or not np.array_equal(found[1], found[0] + flow.ids.size):
            raise BarrierError("moves numbers from one observation to another")
        return np.asarray(found[0])


@register_rule(operation_class(lambda x: x[:, 0]))
class GetItemRule(MovingOperationRule):
    """Some of the steps or pixels, such as the last one, with all of their channels."""

    def flow(self, call: Call, inputs: tuple[Flow, ...], trace: Trace) -> Sequence[Flow]:
        (flow,) = super().flow(call, inputs, trace)
        if not np.array_equal(flow.ids, inputs[0].ids):
            raise BarrierError("takes some of the channels")
        return [flow]


@register_rule(operation_class(lambda x: ops.reshape(x, (-1, 1, 2))))
class ReshapeOperationRule(MovingOperationRule):
    """Other lengths for the same numbers; the channels' own follows how many there are."""

    def places(self, call: Call, flow: Flow) -> NDArray[Any]:
        """Where all lengths are known."""
        if None in (*call.inputs[0].shape[1:], *call.outputs[0].shape[1:]):
            raise BarrierError(f"reshapes {call.inputs[0].shape}, whose lengths are not all known")
        return super().places(call, flow)

    def config(self, site: Site, count: Count) -> dict[str, Any]:
        """The new length of the channel axis."""
        flow = site.outputs[0]
        return {"newshape": resize(site.layer.newshape, flow.axis, count(flow.ids))}
