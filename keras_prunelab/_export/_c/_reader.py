"""Models of Keras as networks: each call of a layer by the function that is registered for its class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import keras
import numpy as np

from keras_prunelab._channels._channels import weights_of
from keras_prunelab._channels._graph import Call, Tensor, graph_of
from keras_prunelab._errors import InvalidModelError

from ._activations import activation_of, is_linear
from ._names import Names
from ._network import Network
from ._operation import Array, Operation
from ._value import Value
from .operations._elementwise import Elementwise, Softmax
from .operations._shape import Copy

Read = Callable[["Reader", Call, Any], Value]
Function = TypeVar("Function", bound=Read)

_READ: dict[type, Read] = {}
_MOST_LISTED = 20

FREE_LENGTH = "a length of its inputs is free. keras_prunelab.fix_lengths(model, 100) gives it one, or --length 100"
"""Why a layer has no form in C that takes one length alone."""


class UnsupportedError(Exception):
    """A layer, or a setting of one, that has no form in C; the message says what."""


def reads(*classes: type) -> Callable[[Function], Function]:
    """Register a function that adds the operations of a layer, and returns what comes out.

    It is given the `Reader`, the call, and the layer. It raises `UnsupportedError` for settings that it does not know.
    """

    def register(function: Function) -> Function:
        _READ.update(dict.fromkeys(classes, function))
        return function

    return register


class Reader:
    """Operations while a model is read."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.operations: list[Operation] = []
        self._names = Names()
        self._known: dict[Tensor, Value] = {}

    def value(self, tensor: Tensor) -> Value:
        """What a tensor of the model has become."""
        return self._known[tensor]

    def name(self, text: str) -> str:
        """A new identifier."""
        return self._names.new(text)

    def add(self, kind: type[Operation], call: Call, inputs: tuple[Value, ...], shape: Any, **fields: Any) -> Value:
        """Add an operation; returns its output.

        Args:
            kind: its class.
            call: the call that it is part of.
            inputs: what it reads.
            shape: of its output, for one observation.
            **fields: what its class has beside these.
        """
        name = self.name(fields.pop("name", call.name))
        output = Value(name, tuple(shape))
        label = fields.pop("label", type(call.layer).__name__)
        self.operations.append(kind(name=name, kind=label, inputs=inputs, output=output, **fields))
        return output

    def activated(self, call: Call, value: Value, function: Any) -> Value:
        """Add the activation of a layer behind it.

        Raises:
            UnsupportedError: there is none such in C.
        """
        if is_linear(function):
            return value
        if function is keras.activations.softmax:
            return self.add(Softmax, call, (value,), value.shape, name=f"{call.name}_softmax", label="softmax")
        found = activation_of(function)
        if found is None:
            raise UnsupportedError(f"the activation {getattr(function, '__name__', function)!r}")
        name = f"{call.name}_{found.name}"
        return self.add(Elementwise, call, (value,), value.shape, name=name, label=found.name, activation=found)

    def read(self, model: Any) -> Network:
        """The network of a model.

        Raises:
            InvalidModelError: it is none, or has layers that are not supported.
        """
        graph = graph_of(model)
        names = [tensor.name for tensor in model.inputs]
        for tensor, name in zip(graph.inputs, names, strict=True):
            self._known[tensor] = Value(self.name(name), tensor.shape[1:])
        inputs = tuple(self._known[tensor] for tensor in graph.inputs)
        unsupported = {}
        for call in graph.calls:
            try:
                outputs: tuple[Value, ...] = (self._read(call),)
            except UnsupportedError as error:
                unsupported[call.name] = f"{call.name!r} ({type(call.layer).__name__}): {error}"
                outputs = tuple(Value(self.name("unsupported"), tensor.shape[1:]) for tensor in call.outputs)
            self._known.update(zip(call.outputs, outputs, strict=True))
        if unsupported:
            raise InvalidModelError(_about(model, list(unsupported.values())))
        outputs = tuple(self._output(value, tensor) for value, tensor in self._once(graph.outputs, inputs))
        return Network(tuple(self.operations), inputs, outputs)

    def read_as(self, call: Call, layer: Any) -> Value:
        """Add the operations of a layer in the place of the one that is called, such as the layer inside it."""
        return _READ[type(layer)](self, call, layer)

    def _read(self, call: Call) -> Value:
        read = _READ.get(type(call.layer))  # a subclass may compute anything
        if read is None:
            raise UnsupportedError("this class has no form in C")
        if call.masks:
            raise UnsupportedError("it is given a mask of steps")
        if len(call.outputs) != 1:
            raise UnsupportedError("it has several outputs")
        return read(self, call, call.layer)

    def _once(self, tensors: tuple[Tensor, ...], inputs: tuple[Value, ...]) -> list[tuple[Value, bool]]:
        """The values of the model's outputs, and whether each is an input or the same as one before."""
        found: list[tuple[Value, bool]] = []
        views = _sources(self.operations)
        seen = {value.name for value in inputs}
        taken: set[str] = set()
        for tensor in tensors:
            value = self._known[tensor]
            source = views.get(value.name, value.name)
            found.append((value, source in taken or value.name in seen))
            taken.add(source)
        return found

    def _output(self, value: Value, is_taken: bool) -> Value:
        if not is_taken:
            return value
        name = self.name(f"{value.name}_copy")
        self.operations.append(Copy(name=name, kind="copy", inputs=(value,), output=Value(name, value.shape)))
        return self.operations[-1].output


def _sources(operations: list[Operation]) -> Mapping[str, str]:
    """The value that each view shows, by their names."""
    found: dict[str, str] = {}
    for operation in operations:
        if operation.is_view:
            source = operation.inputs[0].name
            found[operation.output.name] = found.get(source, source)
    return found


def _about(model: Any, unsupported: list[str]) -> str:
    more = f"; and {len(unsupported) - _MOST_LISTED} more" if len(unsupported) > _MOST_LISTED else ""
    return (
        f"Model {model.name!r} has {len(unsupported)} layer{'s' if len(unsupported) > 1 else ''} that export_c cannot "
        f"write: {'; '.join(unsupported[:_MOST_LISTED])}{more}. Build the model from layers that have a form in C "
        "(docs/c.md lists them), cut it before them with keras.Model(model.inputs, layer.output), or write it with "
        "export_litert or matlab_bridge.export_onnx. Nothing was written."
    )


def numbers_of(layer: Any) -> list[Array]:
    """The weights of a layer, in float32."""
    return [np.asarray(each, np.float32) for each in weights_of(layer)]
