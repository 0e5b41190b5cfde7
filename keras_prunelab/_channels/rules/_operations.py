"""Operations of `keras.ops` between symbolic tensors, such as `x + y`, `2 * x` or `keras.ops.relu(x)`."""

# ruff: noqa: ARG002 # the methods of a rule are given what any rule may need

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from keras_prunelab._channels._channels import BarrierError, Flow, Site, Trace, Values
from keras_prunelab._channels._elementwise import apply
from keras_prunelab._channels._graph import Call, Tensor

from ._activation import ActivationRule
from ._merge import (
    ConcatenateRule,
    DifferenceRule,
    ElementwiseMergeRule,
    MaximumRule,
    MinimumRule,
    ProductRule,
    SumRule,
)
from ._per_channel import PerChannelRule
from ._registry import register_rule

ops = keras.ops


def operation_class(make: Callable[[Any], Any]) -> type:
    """The class behind a function of `keras.ops`, which Keras does not export."""
    return type(make(keras.KerasTensor((2, 2)))._keras_history.operation)


class _ArithmeticRule(ElementwiseMergeRule):
    """An operator between tensors, or a tensor and a number."""

    between: ElementwiseMergeRule | None = None

    def flow(self, call: Call, inputs: tuple[Flow, ...], trace: Trace) -> Sequence[Flow]:
        """Between tensors as a merge, with a number channel by channel."""
        return super().flow(call, inputs, trace)

    def constants(self, site: Site, values: Sequence[Values]) -> Sequence[Values]:
        """The constants after the operator."""
        if len(site.inputs) > 1:
            return super().constants(site, values)

        def function(tensor: Any) -> Any:
            args, kwargs = keras.tree.map_structure(
                lambda each: tensor if isinstance(each, Tensor) else each, (site.call.args, dict(site.call.kwargs))
            )
            return site.layer(*args, **kwargs)

        return [apply(function, values[0])]

    def join(self, layer: Any, values: Sequence[Values]) -> Values:
        """Constants are joined by the merge of that kind; other operators are applied to them."""
        return apply(layer, *values) if self.between is None else self.between.join(layer, values)


def _arithmetic(merge: type[ElementwiseMergeRule] | None, *functions: Callable[[Any], Any]) -> None:
    rule = type("ArithmeticRule", (_ArithmeticRule,), {"between": merge() if merge else None})
    register_rule(*map(operation_class, functions))(rule)


_arithmetic(SumRule, lambda x: x + x)
_arithmetic(DifferenceRule, lambda x: x - x)
_arithmetic(ProductRule, lambda x: x * x)
_arithmetic(MaximumRule, lambda x: ops.maximum(x, x))
_arithmetic(MinimumRule, lambda x: ops.minimum(x, x))
_arithmetic(None, lambda x: x / x, lambda x: x**x, lambda x: ops.divide(x, x), lambda x: ops.divide_no_nan(x, x))

register_rule(
    *map(
        operation_class,
        (
            ops.relu,
            ops.relu6,
            ops.sigmoid,
            ops.tanh,
            ops.softplus,
            ops.softsign,
            ops.silu,
            ops.gelu,
            ops.elu,
            ops.selu,
            ops.celu,
            ops.leaky_relu,
            ops.hard_sigmoid,
            ops.hard_silu,
            ops.hard_tanh,
            ops.log_sigmoid,
            ops.exp,
            ops.square,
            ops.abs,
            ops.negative,
            ops.sin,
            ops.cos,
            ops.softmax,
            ops.log_softmax,
            ops.sqrt,
            ops.rsqrt,
            ops.log,
            ops.log1p,
            ops.expm1,
            ops.sign,
            ops.round,
            ops.stop_gradient,
            lambda x: ops.clip(x, 0, 1),
            lambda x: ops.cast(x, "float16"),
        ),
    )
)(ActivationRule)
register_rule(operation_class(lambda x: ops.concatenate([x, x])))(ConcatenateRule)


@register_rule(
    *map(operation_class, (ops.mean, ops.max, ops.min)),
)
class ReductionRule(PerChannelRule):
    """A mean or an extreme over other axes than that of the channels."""

    def flow(self, call: Call, inputs: tuple[Flow, ...], trace: Trace) -> Sequence[Flow]:
        """The same channels, further to the front where axes in front of them are gone."""
        (flow,) = super().flow(call, inputs, trace)
        axes, rank = call.layer.axis, len(call.inputs[0].shape)
        if axes is None:
            raise BarrierError("goes over all axes")
        reduced = [axis % rank for axis in ((axes,) if isinstance(axes, int) else axes)]
        if flow.axis in reduced:
            raise BarrierError("goes over the channels")
        if getattr(call.layer, "initial", None) is not None:
            raise BarrierError("begins with a number of its own (initial=)")
        return [flow if call.layer.keepdims else Flow(flow.axis - sum(axis < flow.axis for axis in reduced), flow.ids)]

    def value(self, site: Site, values: Values) -> Values:
        return values


@register_rule(operation_class(ops.sum))
class SumOperationRule(ReductionRule):
    """A sum over other axes than that of the channels."""

    def value(self, site: Site, values: Values) -> Values:
        """A constant times the number of summed elements; where that is not known, zero stays zero."""
        axes, shape = site.layer.axis, site.call.inputs[0].shape
        lengths = [shape[axis] for axis in ((axes,) if isinstance(axes, int) else axes)]
        if None in lengths:
            return np.where(values == 0, 0.0, np.nan)
        return values * math.prod(length for length in lengths if length is not None)
