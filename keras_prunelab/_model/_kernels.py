"""Which arrays of custom layers are kernels: those that a call multiplies its input with."""

from __future__ import annotations

import contextlib
import random
import warnings
import weakref
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_prunelab._backend import Recording, record

_BATCH = 2
_LENGTHS = (16, 64, 224, 1024)  # tried for axes of free length, one after the other
_known: weakref.WeakKeyDictionary[Any, tuple[tuple[int, ...], frozenset[int] | None]] = weakref.WeakKeyDictionary()


def is_custom(layer: Any) -> bool:
    """Whether a layer's code is not Keras's own."""
    return not type(layer).__module__.startswith("keras.") or type(layer).__name__ == "TorchModuleWrapper"


def trace_kernel(variable: Any, chain: Sequence[Any]) -> bool | None:
    """Whether a call uses a variable as the weights of a product: of a matmul, an einsum or a convolution.

    Each layer is called once, symbolically on TensorFlow and JAX, and without writing to its state.

    Args:
        variable: a variable of a custom layer.
        chain: the layers that it stands in, from the outermost to its owner.

    Returns:
        Whether it does; None where no call could be traced.
    """
    for layer in chain:
        if not is_custom(layer):
            continue
        found = _trace_ids(layer)
        if found is not None:
            return id(variable) in found
    return None


def _trace_ids(layer: Any) -> frozenset[int] | None:
    """The ids of the variables of a layer that are kernels in its call; None where it could not be traced."""
    ids = tuple(map(id, layer.variables))
    known = _known.get(layer)
    if known is None or known[0] != ids:
        known = (ids, _trace(layer))
        # What fails inside another trace may work outside of it.
        if known[1] is not None or not keras.src.backend.common.stateless_scope.in_stateless_scope():
            _known[layer] = known
    return known[1]


def _trace(layer: Any) -> frozenset[int] | None:
    variables = layer.variables
    owners = {id(one): each for each in layer._flatten_layers() for one in _own(each)}
    for args, kwargs in _calls(layer):
        free = any(None in each.shape[1:] for each in keras.tree.flatten((args, kwargs)) if _is_symbol(each))
        for length in _LENGTHS if free else _LENGTHS[:1]:
            symbols = [_fixed(each, length) for each in keras.tree.flatten((args, kwargs)) if _is_symbol(each)]

            def call(given: Sequence[Any], args: Any = args, kwargs: Any = kwargs) -> Any:
                left = iter(given)
                own_args, own_kwargs = keras.tree.map_structure(
                    lambda part: next(left) if _is_symbol(part) else part, (args, kwargs)
                )
                return layer(*own_args, **own_kwargs)

            try:
                with _untouched(layer), warnings.catch_warnings(action="ignore"):
                    recording = record(call, symbols, variables)
            except Exception:  # noqa: BLE001, S112 - code of the user's, on inputs of ours: any error says that it cannot be traced
                continue
            found = kernels_of(recording, [id(owners.get(id(each))) for each in variables])
            if found is not None:
                return frozenset(id(variables[place]) for place in found)
    return None


def kernels_of(recording: Recording, owners: Sequence[Hashable]) -> set[int] | None:
    """The places of the variables that a recorded call uses as weights of products and for nothing else.

    Args:
        recording: the call.
        owners: what owns each variable.

    Returns:
        The places; None where something happens that was not recorded.
    """
    dependent: set[Hashable] = set(recording.inputs)
    # For each tensor that the input does not reach, the variables in it, and whether they were broadcast on the way.
    sources: dict[Hashable, dict[int, bool]] = {key: {place: False} for key, place in recording.variables.items()}
    weights: set[int] = set()
    others: set[int] = set()
    for each in recording.operations:
        if each.kind == "shape":
            continue
        reached = [key for key in each.inputs if key in dependent]
        carried = {key: sources[key] for key in each.inputs if key in sources and key not in dependent}
        if each.kind == "opaque" and carried:
            return None
        if reached:
            for key, own in carried.items():
                is_weight = each.kind == "product" and key not in each.added
                (weights if is_weight else others).update(own)
            dependent.update(each.outputs)
        elif carried:
            joined = _join(each.kind == "product", carried, each.sizes, each.outputs, owners)
            for key in each.outputs:
                sources[key] = joined
    return weights - others


def _join(
    is_product: bool,
    carried: Mapping[Hashable, Mapping[int, bool]],
    sizes: Mapping[Hashable, int],
    outputs: Sequence[Hashable],
    owners: Sequence[Hashable],
) -> dict[int, bool]:
    """The variables in what is computed of variables alone."""
    size = max((sizes.get(key, 0) for key in outputs), default=0)
    places = {
        place: grown or (not is_product and len(carried) > 1 and sizes.get(key, size) < size)
        for key, own in carried.items()
        for place, grown in own.items()
    }
    if is_product and len(carried) > 1 and len({owners[place] for place in places}) > 1:
        return {}  # a learned query, say, that goes through a layer
    if len(carried) == 1 and not is_product:
        (key,) = carried
        return {place: grown or sizes.get(key, size) < size for place, grown in places.items()}
    if not all(places.values()):  # a gain or an offset that spreads over a kernel is none itself
        return {place: grown for place, grown in places.items() if not grown}
    return places


def _calls(layer: Any) -> Iterator[tuple[Any, Any]]:
    """Arguments that a layer was called with, as symbols: of its place in a graph, or of how it was built."""
    for node in getattr(layer, "_inbound_nodes", ()):
        if any(map(_is_symbol, keras.tree.flatten((node.arguments.args, node.arguments.kwargs)))):
            yield node.arguments.args, {**node.arguments.kwargs, **_inference(layer)}
    if isinstance(layer, keras.Model) and getattr(layer, "_inputs_struct", None) is not None:
        yield (layer._inputs_struct,), _inference(layer)
    shapes = getattr(layer, "_build_shapes_dict", None)
    if shapes:
        names = list(shapes)
        first = keras.tree.map_shape_structure(_symbol, shapes[names[0]])
        rest = {name.removesuffix("_shape"): shapes[name] for name in names[1:]}
        further = {name: keras.tree.map_shape_structure(_symbol, one) for name, one in rest.items() if one is not None}
        state_size = getattr(layer, "state_size", None)
        if state_size is not None and not further:  # a cell of a recurrent layer
            several = isinstance(state_size, (list, tuple))
            states = [_symbol((None, size)) for size in (state_size if several else [state_size])]
            yield (first, states), _inference(layer)
        yield (first,), {**further, **_inference(layer)}
        whole = keras.tree.map_structure(lambda each: keras.KerasTensor(each.shape, "int32"), first)
        yield (whole,), {**further, **_inference(layer)}  # of words, say


def _inference(layer: Any) -> dict[str, bool]:
    return {"training": False} if getattr(layer, "_call_has_training_arg", False) else {}


def _symbol(shape: Any) -> Any:
    return keras.KerasTensor(tuple(shape), keras.config.floatx())


def _is_symbol(each: Any) -> bool:
    return isinstance(each, keras.KerasTensor)


def _fixed(symbol: Any, length: int) -> Any:
    batch, *rest = symbol.shape or (1,)
    if not symbol.shape:
        return keras.KerasTensor((), symbol.dtype)
    return keras.KerasTensor((batch or _BATCH, *(one or length for one in rest)), symbol.dtype)


def _own(layer: Any) -> Iterable[Any]:
    return (*layer._trainable_variables, *layer._non_trainable_variables)


@contextlib.contextmanager
def _untouched(layer: Any) -> Iterator[None]:
    """Leave the attributes of a layer, and the random numbers of Python and NumPy, as they are."""
    before = [(each, dict(vars(each))) for each in layer._flatten_layers()]
    drawn, state = random.getstate(), np.random.get_state()  # noqa: NPY002 - what a user's code may draw from
    try:
        yield
    finally:
        random.setstate(drawn)
        np.random.set_state(state)  # noqa: NPY002
        for each, attributes in before:
            vars(each).clear()
            vars(each).update(attributes)
