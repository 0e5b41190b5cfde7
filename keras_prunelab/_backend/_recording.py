"""The operations of one call of a layer, recorded on any backend without running into its state."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from ._imports import keras

Kind: TypeAlias = Literal["product", "shape", "opaque", "other"]

_TF_PRODUCTS = {
    *("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum", "Conv", "Conv2D", "Conv3D"),
    *("DepthwiseConv2dNative", "SparseTensorDenseMatMul", "XlaDot", "XlaConv", "XlaDotV2", "XlaConvV2"),
    *("Conv2DBackpropInput", "Conv3DBackpropInput", "Conv3DBackpropInputV2"),
}
_TF_SHAPES = {"Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike"}
_TF_CALLS = {"PartitionedCall", "StatefulPartitionedCall", "While", "StatelessWhile", "If", "StatelessIf", "Case"}
_JAX_PRODUCTS = {"dot_general", "conv_general_dilated", "ragged_dot"}
_TORCH_PRODUCTS = {
    *("mm", "bmm", "mv", "dot", "addmm", "baddbmm", "addmv", "addbmm", "convolution", "convolution_overrideable"),
    *("linear", "matmul", "_sparse_mm", "mkldnn_convolution", "mkldnn_linear"),
}
_TORCH_BIAS = {**dict.fromkeys(("addmm", "baddbmm", "addmv", "addbmm"), 0), "convolution": 2, "linear": 2}
_TORCH_SHAPES = {"zeros_like", "ones_like", "empty_like", "new_zeros", "new_ones", "new_empty", "full_like"}


@dataclass(frozen=True)
class Operation:
    """One operation: what it does with its operands, tensors that are known by their keys."""

    kind: Kind
    inputs: tuple[Hashable, ...]
    outputs: tuple[Hashable, ...]
    sizes: Mapping[Any, int]
    added: tuple[Hashable, ...] = ()  # operands of a product that are added to it


@dataclass(frozen=True)
class Recording:
    """The operations of a call in order, and the keys of its inputs and variables."""

    operations: tuple[Operation, ...]
    inputs: frozenset[Hashable]
    variables: Mapping[Any, int]  # the place among the variables


def record(call: Callable[[Any], Any], inputs: Any, variables: Sequence[Any]) -> Recording:
    """Record a call of Keras code; no variable is written to.

    Args:
        call: runs the code on its one argument.
        inputs: a structure of `keras.KerasTensor` without free axes, which says what the argument is.
        variables: the Keras variables that the code reads.
    """
    makers = {"tensorflow": _record_tensorflow, "jax": _record_jax, "torch": _record_torch}
    return makers[keras.config.backend()](call, inputs, variables)


def _stateless(variables: Sequence[Any], values: Sequence[Any]) -> Any:
    return keras.StatelessScope(list(zip(variables, values, strict=True)))


def _record_tensorflow(call: Callable[[Any], Any], inputs: Any, variables: Sequence[Any]) -> Recording:
    import tensorflow as tf

    graph = tf.Graph()
    with graph.as_default():
        given = keras.tree.map_structure(lambda each: tf.compat.v1.placeholder(each.dtype, each.shape), inputs)
        values = [tf.compat.v1.placeholder(each.dtype, each.shape) for each in variables]
        with _stateless(variables, values):
            call(given)
    operations = []
    for each in graph.get_operations():
        tensors = [*each.inputs, *each.outputs]
        sizes = {id(one): one.shape.num_elements() or 0 for one in tensors if one.shape.rank is not None}
        kind: Kind = "other"
        if each.type in _TF_PRODUCTS:
            kind = "product"
        elif each.type in _TF_SHAPES:
            kind = "shape"
        elif each.type in _TF_CALLS:
            kind = "opaque"
        operations.append(Operation(kind, tuple(map(id, each.inputs)), tuple(map(id, each.outputs)), sizes))
    return Recording(
        tuple(operations),
        frozenset(map(id, keras.tree.flatten(given))),
        {id(value): place for place, value in enumerate(values)},
    )


def _record_jax(call: Callable[[Any], Any], inputs: Any, variables: Sequence[Any]) -> Recording:
    import jax

    flat = [jax.ShapeDtypeStruct(each.shape, each.dtype) for each in keras.tree.flatten(inputs)]
    states = [jax.ShapeDtypeStruct(each.shape, each.dtype) for each in variables]

    def run(given: Any, values: Any) -> Any:
        with _stateless(variables, values):
            made = call(keras.tree.pack_sequence_as(inputs, given))
        return [each for each in keras.tree.flatten(made) if isinstance(each, jax.Array)]

    traced = jax.make_jaxpr(run)(flat, states).jaxpr
    operations: list[Operation] = []

    def walk(inner: Any, known: dict[Any, Hashable]) -> list[Hashable]:
        def key(one: Any) -> Hashable:
            return None if hasattr(one, "val") else known.setdefault(one, (id(known), id(one)))  # or a literal

        for equation in inner.eqns:
            given = [key(one) for one in equation.invars]
            bodies = _bodies(equation)
            if bodies:
                # What goes into a loop or a branch lies in front, or, for branches, behind the index.
                for body in bodies:
                    skipped = len(given) - len(body.invars)
                    names = dict(zip(body.invars, given[max(0, skipped) :], strict=False))
                    made = walk(body, names)
                    kept.append(names)
                    for outer, one in zip(equation.outvars, made[-len(equation.outvars) :], strict=False):
                        operations.append(Operation("other", (one,), (key(outer),), {}))
                continue
            sizes = {
                name: int(one.aval.size)
                for name, one in zip(
                    [*given, *map(key, equation.outvars)], [*equation.invars, *equation.outvars], strict=True
                )
                if hasattr(one.aval, "size")
            }
            kind: Kind = "product" if equation.primitive.name in _JAX_PRODUCTS else "other"
            operations.append(Operation(kind, tuple(given), tuple(map(key, equation.outvars)), sizes))
        return [key(one) for one in inner.outvars]

    kept: list[Any] = []
    names: dict[Any, Hashable] = {one: (0, place) for place, one in enumerate(traced.invars)}
    walk(traced, names)
    count = len(flat)
    return Recording(
        tuple(operations),
        frozenset((0, place) for place in range(count)),
        {(0, count + place): place for place in range(len(states))},
    )


def _bodies(equation: Any) -> list[Any]:
    """The programs inside an operation, such as the body of a loop."""
    found = []
    for value in equation.params.values():
        for one in value if isinstance(value, (tuple, list)) else (value,):
            inner = getattr(one, "jaxpr", one)
            if hasattr(inner, "eqns") and hasattr(inner, "invars"):
                found.append(inner)
    return found


def _record_torch(call: Callable[[Any], Any], inputs: Any, variables: Sequence[Any]) -> Recording:
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    operations: list[Operation] = []
    alive: list[Any] = []

    class Recorder(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            made = func(*args, **(kwargs or {}))
            given = [one for one in _flat((args, kwargs or {})) if isinstance(one, torch.Tensor)]
            results = [one for one in _flat(made) if isinstance(one, torch.Tensor)]
            alive.extend((*given, *results))
            name = func.overloadpacket.__name__.rstrip("_")
            kind: Kind = "other"
            if name in _TORCH_PRODUCTS:
                kind = "product"
            elif name in _TORCH_SHAPES:
                kind = "shape"
            place = _TORCH_BIAS.get(name)
            bias = args[place] if place is not None and len(args) > place else None
            added = (id(bias),) if isinstance(bias, torch.Tensor) else ()
            sizes = {id(one): one.numel() for one in (*given, *results)}
            operations.append(Operation(kind, tuple(map(id, given)), tuple(map(id, results)), sizes, added))
            return made

    def ones(each: Any) -> Any:
        whole = not keras.backend.is_float_dtype(each.dtype)
        return keras.ops.zeros(each.shape, each.dtype) if whole else keras.ops.ones(each.shape, each.dtype)

    given = keras.tree.map_structure(ones, inputs)
    # Not copies: a module of torch reads its parameters past Keras.
    values = [each.value.detach() for each in variables]
    with torch.random.fork_rng(devices=[]), torch.no_grad(), _stateless(variables, values), Recorder():
        call(given)
    places = {id(value): place for place, value in enumerate(values)}
    places |= {id(each._value): place for place, each in enumerate(variables)}
    return Recording(tuple(operations), frozenset(map(id, keras.tree.flatten(given))), places)


def torch_module(wrapper: Any, variable: Any) -> tuple[str, str]:
    """The class of torch's module that has a variable, and the parameter's name there.

    Args:
        wrapper: a `TorchModuleWrapper`.
        variable: a Keras variable of its.

    Returns:
        Both names, such as `("Conv2d", "weight")`; empty where no module has it.
    """
    for module in wrapper.module.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter is variable._value:
                # A class of the user's that is made of torch's goes as torch's.
                own = [
                    kind.__name__ for kind in type(module).__mro__ if kind.__module__.startswith("torch.nn.modules.")
                ]
                return (own[0] if own else "", name)
    return ("", "")


def _flat(tree: Any) -> list[Any]:
    if isinstance(tree, dict):
        tree = list(tree.values())
    return [leaf for part in tree for leaf in _flat(part)] if isinstance(tree, (list, tuple)) else [tree]
