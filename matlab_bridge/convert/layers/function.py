"""`functionLayer`: an anonymous function of the user's, where its text is arithmetic that Keras has too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

import keras
import numpy as np

from matlab_bridge._errors import UnsupportedLayerError
from matlab_bridge._layer import Array, Layer
from matlab_bridge.convert._expressions import (
    ExpressionError,
    Function,
    Matrix,
    Name,
    Node,
    Number,
    Operation,
    parse_function,
)
from matlab_bridge.convert._rules import LayerRule, register_layer
from matlab_bridge.convert._site import Site, Tensor, is_sequence
from matlab_bridge.matfile._values import FunctionHandle

from ._elementwise import BINARY, ELEMENTWISE, LOGICAL
from ._settings import integer, text

_REDUCTIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    name: (getattr(keras.ops, name), getattr(np, name)) for name in ("sum", "mean", "max", "min", "prod", "cumsum")
}
_CONSTANTS = {"pi": np.pi, "eps": float(np.finfo(float).eps), "Inf": np.inf, "inf": np.inf}


@dataclass(frozen=True, slots=True)
class _Value:
    """What a part of the expression is: a tensor of Keras', or numbers in MATLAB's dimensions, at least two."""

    tensor: Tensor = None
    numbers: Array | None = None

    @property
    def is_scalar(self) -> bool:
        return self.numbers is not None and self.numbers.size == 1


def _number(value: Any) -> _Value:
    return _Value(numbers=np.atleast_2d(np.asarray(value, dtype=float)))


@register_layer("nnet.cnn.layer.FunctionLayer")
@final
class FunctionLayer(LayerRule):
    """`functionLayer` whose function is arithmetic on one line; the text is parsed, and nothing is run.

    The functions see MATLAB's dimensions: rows, columns, channels and batch of images, channels and batch of
    vectors, channels, batch and time of sequences. Numbers that the function took along from where it was made
    are part of the file, and become constants. What mixes observations has no counterpart.
    """

    def objection(self, layer: Layer) -> str | None:
        """Text that is no arithmetic, or more than one output."""
        try:
            _function(layer)
        except ExpressionError as error:
            return f"its function {_text(layer)!r} is no plain arithmetic: {error}"
        if _count(layer, "Output") > 1:
            return "its function has several outputs"
        return None

    def build(self, site: Site) -> Tensor:
        """The operations of Keras that the text means."""
        try:
            result = _Arithmetic(site).result()
        except ExpressionError as error:
            raise UnsupportedLayerError(f"its function {_text(site.layer)!r}: {error}") from error
        return keras.layers.Identity(name=site.name)(result)


def _text(layer: Layer) -> str:
    handle = layer.settings.get("PredictFcn")
    return handle.text if isinstance(handle, FunctionHandle) else text(layer, "PredictFcn")


def _count(layer: Layer, ends: str) -> int:
    """How many inputs or outputs the layer has: a number in the portable form, names in MATLAB's files."""
    return integer(layer, f"Num{ends}s", max(1, np.size(layer.settings.get(f"{ends}Names", ()))))


def _function(layer: Layer) -> Function:
    return parse_function(_text(layer), _count(layer, "Input"))


def _axes(tensor: Tensor) -> tuple[int, ...]:
    """The axis of a Keras tensor for each of MATLAB's dimensions: space, channel, batch, time."""
    rank, has_time = len(tensor.shape), is_sequence(tensor)
    return (*range(1 + has_time, rank - 1), rank - 1, 0, *((1,) if has_time else ()))


class _Arithmetic:
    """The evaluation of one function on the tensors of a site, by Keras' symbolic operations."""

    def __init__(self, site: Site) -> None:
        self._function = _function(site.layer)
        parameters = self._function.parameters
        if len(parameters) != len(site.inputs):
            raise ExpressionError(f"it has {len(parameters)} parameters, and {len(site.inputs)} inputs reach it")
        if len({_axes(tensor) for tensor in site.inputs}) > 1:
            raise ExpressionError("its inputs have different dimensions")
        self._dims = _axes(site.input)
        handle = site.layer.settings.get("PredictFcn")
        captured: Mapping[str, Any] = handle.variables if isinstance(handle, FunctionHandle) else {}
        self._names = {
            **{name: _number(value) for name, value in _CONSTANTS.items()},
            **{name: _number(value) for name, value in captured.items() if _is_numeric(value)},
            **{name: _Value(tensor) for name, tensor in zip(parameters, site.inputs, strict=True)},
        }

    def result(self) -> Tensor:
        value = self._value(self._function.body)
        if value.tensor is None:
            raise ExpressionError("its output does not depend on its input")
        return value.tensor

    def _value(self, node: Node) -> _Value:
        match node:
            case Number(value):
                return _number(value)
            case Name(name):
                if name not in self._names:
                    raise ExpressionError(f"{name!r} is none of its parameters, and no number that it took along")
                return self._names[name]
            case Matrix(rows):
                return self._matrix([[self._value(element) for element in row] for row in rows])
        return self._call(node) if node.is_call else self._operator(node.name, [*map(self._value, node.operands)])

    def _operator(self, mark: str, operands: list[_Value]) -> _Value:
        if mark in ("'", ".'"):
            return self._transposed(operands[0])
        if mark == "~":
            return self._compared("==", operands[0], _number(0))
        if len(operands) == 1:
            return operands[0] if mark == "+" else self._binary("-", _number(0), operands[0])
        left, right = operands
        if mark in LOGICAL:
            return self._compared(mark, left, right)
        if mark == "*" and not (left.is_scalar or right.is_scalar):
            return self._product(left, right)
        if mark == "/" and not right.is_scalar:
            raise ExpressionError("it divides by a matrix; ./ divides element by element")
        if mark == "^" and not (left.is_scalar and right.is_scalar):
            raise ExpressionError("it has a power of a matrix; .^ takes powers of elements")
        return self._binary(mark if mark[0] in ".+-" else f".{mark}", left, right)

    def _call(self, node: Operation) -> _Value:
        name, operands = node.name, [*map(self._value, node.operands)]
        if name in self._names:
            raise ExpressionError(f"it takes elements of {name!r}")
        if name in ELEMENTWISE and len(operands) == 1:
            ours, theirs = ELEMENTWISE[name]
            (operand,) = operands
            return _number(theirs(operand.numbers)) if operand.tensor is None else _Value(ours(operand.tensor))
        if name == "leakyrelu" and len(operands) == 1:
            operands.append(_number(0.01))
        if name in BINARY and len(operands) == 2:
            if name == "mod" and (operands[1].numbers is None or np.any(operands[1].numbers % 1)):
                raise ExpressionError("'mod' by anything but whole numbers depends on how they are rounded")
            return self._binary(name, *operands)
        if name in _REDUCTIONS and operands:
            return self._reduced(name, operands)
        if name == "cat" and len(operands) > 1 and operands[0].is_scalar:
            return self._joined(self._dimension(operands[0]), operands[1:])
        if name in ("vertcat", "horzcat") and operands:
            return self._joined(1 if name == "vertcat" else 2, operands)
        raise ExpressionError(f"{name!r} with {len(operands)} arguments is none of the functions that convert")

    # The operations.

    def _binary(self, name: str, left: _Value, right: _Value) -> _Value:
        ours, theirs = BINARY[name]
        if left.tensor is None and right.tensor is None:
            return _number(theirs(_numbers(left), _numbers(right)))
        return _Value(ours(self._for_keras(left), self._for_keras(right)))

    def _compared(self, mark: str, left: _Value, right: _Value) -> _Value:
        function = LOGICAL[mark]
        if left.tensor is None and right.tensor is None:
            return _number(function(_numbers(left), _numbers(right)))
        answer = getattr(keras.ops, function.__name__)(self._for_keras(left), self._for_keras(right))
        return _Value(keras.ops.cast(answer, keras.config.floatx()))

    def _product(self, left: _Value, right: _Value) -> _Value:
        """A matrix of numbers times vectors (N, C), each of which is a column in MATLAB."""
        if left.tensor is None and right.tensor is None:
            return _number(_numbers(left) @ _numbers(right))
        if right.tensor is None or left.numbers is None or len(self._dims) != 2 or left.numbers.ndim > 2:
            raise ExpressionError("it has a product of matrices other than one of numbers with vectors; .* multiplies")
        return _Value(keras.ops.matmul(right.tensor, left.numbers.T.astype(keras.config.floatx())))

    def _transposed(self, value: _Value) -> _Value:
        if value.numbers is None:
            raise ExpressionError("it transposes its input, and with it the batch")
        return _number(value.numbers.T)

    def _reduced(self, name: str, operands: list[_Value]) -> _Value:
        value, *rest = operands
        if name in ("max", "min") and len(rest) == 2 and rest[0].numbers is not None and rest[0].numbers.size == 0:
            rest = rest[1:]
        if len(rest) > 1:
            raise ExpressionError(f"{name!r} has arguments that are not understood")
        dims = self._dimensions(rest[0]) if rest else (self._first_long(value),)
        if name == "cumsum" and len(dims) > 1:
            raise ExpressionError("'cumsum' goes along one dimension")
        if value.numbers is not None:
            axes = tuple(dim - 1 for dim in dims if dim <= value.numbers.ndim)
        else:
            axes = tuple(self._axis(dim) for dim in dims if dim <= len(self._dims))
        if not axes:
            return value
        ours, theirs = _REDUCTIONS[name]
        options = {"axis": axes[0]} if name == "cumsum" else {"axis": axes, "keepdims": True}
        if value.numbers is not None:
            return _number(theirs(value.numbers, **options))
        return _Value(ours(value.tensor, **options))

    def _matrix(self, rows: list[list[_Value]]) -> _Value:
        if not rows:
            return _Value(numbers=np.zeros((0, 0)))
        return self._joined(1, [self._joined(2, row) for row in rows])

    def _joined(self, dim: int, parts: list[_Value]) -> _Value:
        if len(parts) == 1:
            return parts[0]
        if all(part.tensor is None for part in parts):
            return _number(np.concatenate([_numbers(part) for part in parts], axis=dim - 1))
        if any(part.tensor is None for part in parts):
            raise ExpressionError("it joins its input and numbers")
        return _Value(keras.ops.concatenate([part.tensor for part in parts], axis=self._axis(dim)))

    # Dimensions.

    def _dimension(self, value: _Value) -> int:
        return int(_numbers(value).item())

    def _dimensions(self, value: _Value) -> tuple[int, ...]:
        given = _numbers(value).ravel().tolist()
        if not given or not all(dim >= 1 and dim.is_integer() for dim in given) or len(set(given)) < len(given):
            raise ExpressionError(f"{given} are no dimensions")
        return tuple(map(int, given))

    def _axis(self, dim: int) -> int:
        if not 1 <= dim <= len(self._dims):
            raise ExpressionError(f"its input has no dimension {dim} here")
        if self._dims[dim - 1] == 0:
            raise ExpressionError(f"along dimension {dim}, the batch, it mixes observations")
        return self._dims[dim - 1]

    def _first_long(self, value: _Value) -> int:
        """The dimension that MATLAB takes where none is named: the first that is not 1 long."""
        if value.numbers is not None:
            return next((dim for dim, size in enumerate(value.numbers.shape, start=1) if size != 1), 1)
        return next(dim for dim, axis in enumerate(self._dims, start=1) if value.tensor.shape[axis] != 1)

    def _for_keras(self, value: _Value) -> Any:
        """Numbers in the dimensions of the tensors, so that they broadcast as in MATLAB."""
        if value.numbers is None:
            return value.tensor
        if value.is_scalar:
            return value.numbers.item()
        numbers, dims = value.numbers, self._dims
        if numbers.ndim > len(dims) or (numbers.ndim > (batch := dims.index(0)) and numbers.shape[batch] != 1):
            raise ExpressionError(f"its numbers of size {numbers.shape} do not fit one observation")
        full = numbers.reshape(numbers.shape + (1,) * (len(dims) - numbers.ndim))
        return np.transpose(full, np.argsort(dims)).astype(keras.config.floatx())


def _numbers(value: _Value) -> Array:
    if value.numbers is None:
        raise ExpressionError("it has its input where numbers were expected")
    return value.numbers


def _is_numeric(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "fiub"
