"""A functional or sequential model as a list of calls between tensors, nested models laid open."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras

from keras_prunelab._errors import InvalidModelError
from keras_prunelab._model._rebuild import is_graph, is_stepwise


@dataclass(frozen=True, eq=False)
class Tensor:
    """What one call hands to others.

    Attributes:
        shape: its shape; the first length is the batch's.
        dtype: its type.
    """

    shape: tuple[int | None, ...]
    dtype: str


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a layer, or of an operation such as `x + y`.

    Attributes:
        layer: what is called.
        name: where it stands, such as `"encoder/conv1"`.
        args: the positional arguments, with `Tensor` where the model has a symbolic one.
        kwargs: the named arguments, likewise.
        inputs: every tensor among the arguments, in their order, but for masks.
        masks: the tensors that say which steps count, which Keras passes from layer to layer by itself.
        outputs: what comes out, flat.
        times: how often it is called for one observation: more than once inside a model that is called at each step of
            a sequence; None where that is not known.
    """

    layer: Any
    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    masks: tuple[Tensor, ...] = ()
    times: int | None = 1

    @property
    def weights(self) -> Sequence[Any]:
        """The weights of what is called; an operation has none."""
        return getattr(self.layer, "weights", ())

    @property
    def learnables(self) -> Collection[int]:
        """The ids of those weights that training changes, also where they are frozen."""
        parts = self.layer._flatten_layers() if self.weights else ()
        return {id(variable) for part in parts for variable in part._trainable_variables}


class IntoSteps:
    """Stands for a layer where a model is called at each step of a sequence: a step without its time axis."""


class OutOfSteps:
    """Stands for a layer behind such a model: all steps again."""


@dataclass(frozen=True)
class Graph:
    """The calls of a model, each after those that it depends on.

    Attributes:
        calls: the calls.
        inputs: what the model is given.
        outputs: what it returns.
        entries: for each symbolic input of a nested model, the tensors that it was called with.
    """

    calls: tuple[Call, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    entries: Mapping[int, Sequence[Tensor]]


def step_of(call: Call) -> Call:
    """The call that a `TimeDistributed` makes of the layer inside it at one step."""
    seen = {tensor: _without_time(tensor) for tensor in (*call.inputs, *call.outputs)}
    args = tuple(seen[each] if isinstance(each, Tensor) else each for each in call.args)
    inputs, outputs = (tuple(seen[each] for each in tensors) for tensors in (call.inputs, call.outputs))
    return Call(call.layer.layer, call.name, args, {}, inputs, outputs)


def graph_of(model: Any) -> Graph:
    """Lay a model open.

    Args:
        model: a built functional or sequential model.

    Returns:
        Its graph.

    Raises:
        InvalidModelError: it is not a Keras model, not built, or a subclass whose `call` Keras cannot look into.
    """
    if not isinstance(model, keras.Model):
        raise InvalidModelError(
            f"A keras.Model was expected, not {type(model).__name__}; keras.saving.load_model loads a file."
        )
    if not model.built:
        raise InvalidModelError(f"Model {model.name!r} is not built. Give it a keras.Input, or call it once on data.")
    if not is_graph(model):
        raise InvalidModelError(
            f"Model {model.name!r} of class {type(model).__name__} is a subclass of keras.Model: what its call does is "
            "Python, in which nobody can see which channels depend on which. Build the same layers from keras.Input "
            "(keras.Model(inputs, outputs)); or keep the class and give it smaller layers by hand, after masks have "
            "shown which channels are zero. Functional models inside it can be compacted one by one."
        )
    found = _Found()
    inputs = tuple(_tensor(each) for each in _functional(model)._inputs)
    outputs = tuple(_walk(model, inputs, (), found, 1))
    return Graph(tuple(found.calls), inputs, outputs, found.entries)


@dataclass(frozen=True)
class _Found:
    calls: list[Call] = field(default_factory=list)
    entries: dict[int, list[Tensor]] = field(default_factory=dict)


def _walk(
    model: Any, entries: Sequence[Tensor], path: tuple[str, ...], found: _Found, times: int | None
) -> list[Tensor]:
    """Add the calls inside a model that is called on `entries`, so many times; returns what comes out."""
    functional = _functional(model)
    known: dict[int, Tensor] = {}
    for symbol, tensor in zip(functional._inputs, entries, strict=True):
        known[id(symbol)] = tensor
        found.entries.setdefault(id(symbol), []).append(tensor)
    for node in _nodes(functional):
        if any(id(each) not in known for each in node.input_tensors):
            continue  # it leads to no output
        args, kwargs = keras.tree.map_structure(
            lambda each: known.get(id(each), each), (node.arguments.args, node.arguments.kwargs)
        )
        given = tuple(known[id(each)] for each in node.input_tensors)
        layer = node.operation
        if is_graph(layer):
            outputs = _walk(layer, given, (*path, layer.name), found, times)
        elif is_stepwise(layer) and len(given) == 1:  # without a mask
            outputs = _steps(node, given[0], path, found, times)
        else:
            outputs = [_tensor(each) for each in node.outputs]
            named = [value for name, value in kwargs.items() if name.endswith("mask")]
            masks = tuple(each for each in given if any(each is value for value in named))
            inputs = tuple(each for each in given if each not in masks)
            name = "/".join((*path, layer.name))
            found.calls.append(Call(layer, name, args, kwargs, inputs, tuple(outputs), masks, times))
        known.update(zip(map(id, node.outputs), outputs, strict=True))
    return [known[id(each)] for each in functional._outputs]


def _steps(node: Any, entry: Tensor, path: tuple[str, ...], found: _Found, times: int | None) -> list[Tensor]:
    """Add the calls inside a model that is called at each step."""
    layer, length = node.operation, entry.shape[1]
    name, often = "/".join((*path, layer.name)), None if times is None or length is None else times * length
    step = _without_time(entry)
    found.calls.append(Call(IntoSteps(), name, (entry,), {}, (entry,), (step,)))
    made = _walk(layer.layer, [step], (*path, layer.name), found, often)
    outputs = [_tensor(each) for each in node.outputs]
    for one, whole in zip(made, outputs, strict=True):
        found.calls.append(Call(OutOfSteps(), name, (one,), {}, (one,), (whole,)))
    return outputs


def _without_time(tensor: Tensor) -> Tensor:
    return Tensor((tensor.shape[0], *tensor.shape[2:]), tensor.dtype)


def _nodes(functional: Any) -> Iterator[Any]:
    by_depth = functional._nodes_by_depth
    nodes = itertools.chain.from_iterable(by_depth[depth] for depth in sorted(by_depth, reverse=True))
    return (node for node in nodes if node.operation and not node.is_input)


def _functional(model: Any) -> Any:
    return model._functional if isinstance(model, keras.Sequential) else model


def _tensor(symbol: Any) -> Tensor:
    return Tensor(tuple(symbol.shape), symbol.dtype)
