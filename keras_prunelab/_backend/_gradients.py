"""First and second derivatives, by the automatic differentiation of the backend."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._imports import keras, of_backend

Gradients = Callable[..., list[NDArray[Any]]]


def gradients(
    objective: Callable[..., Any], variables: Sequence[Any], states: Sequence[Any] = (), *, float64: bool = False
) -> Gradients:
    """Compile the gradient of a scalar with respect to Keras variables, at values given from outside.

    The variables themselves are never written: inside the objective they stand for the given values.

    Args:
        objective: computes a scalar tensor from the variables, and from arguments if there are any, with Keras
            operations.
        variables: the Keras variables; what the scalar does not depend on gets a gradient of zero.
        states: other Keras variables that it depends on and that change between two calls: each call sees their
            values of then. Without this, JAX would see those of the first call ever after.
        float64: whether the variables and states are float64 in the objective, whatever their own type.

    Returns:
        A function from one value a variable, and the objective's arguments, to one gradient a variable, NumPy
        arrays all. It compiles once for each set of shapes.

    Raises:
        MissingBackendError: Keras runs on a backend without gradients.

    Examples:
        >>> import keras, numpy as np
        >>> x = keras.Variable(np.float32([1.0, 2.0]))
        >>> slope = gradients(lambda: keras.ops.sum(x * x), [x])
        >>> slope([np.float32([3.0, 4.0])])[0].tolist()
        [6.0, 8.0]
    """
    compiled = of_backend().gradients(_at(objective, variables, states))
    if not float64:
        return _on_arrays(compiled, variables, states)
    wide = _on_arrays(compiled, variables, states, "float64")

    def call(values: Iterable[NDArray[Any]], *arguments: Any) -> list[NDArray[Any]]:
        with of_backend().float64(), _promotes_to_float64():
            return wide(values, *arguments)

    return call


def hessian_products(
    objective: Callable[..., Any], variables: Sequence[Any], states: Sequence[Any] = ()
) -> Callable[..., list[NDArray[Any]]]:
    """Compile products of a scalar's Hessian with vectors, without the Hessian itself.

    Pearlmutter, Fast exact multiplication by the Hessian, Neural Computation 6(1), 1994.

    Args:
        objective: as for `gradients`.
        variables: as for `gradients`.
        states: as for `gradients`.

    Returns:
        A function from one value a variable, one array of the same shape for each, and the objective's arguments,
        to one array a variable: the Hessian at the values times the vector that the arrays make together.

    Raises:
        MissingBackendError: Keras runs on a backend without gradients.

    Examples:
        >>> import keras, numpy as np
        >>> x = keras.Variable(np.float32([1.0, 2.0]))
        >>> product = hessian_products(lambda: keras.ops.sum(x**3), [x])
        >>> product([np.float32([1.0, 2.0])], [np.float32([1.0, 10.0])])[0].tolist()
        [6.0, 120.0]
    """
    compiled = _on_arrays(of_backend().hessian_products(_at(objective, variables, states)), variables, states)

    def call(values: Sequence[NDArray[Any]], vectors: Sequence[NDArray[Any]], *arguments: Any) -> list[NDArray[Any]]:
        return compiled(values, _tensors(vectors, variables), *arguments)

    return call


def _at(objective: Callable[..., Any], variables: Sequence[Any], states: Sequence[Any]) -> Callable[[Any, Any], Any]:
    """The objective as a function of values for the variables, and of its arguments and the states' values."""

    def at(values: Sequence[Any], arguments: Sequence[Any]) -> Any:
        *given, current = arguments
        with keras.StatelessScope(collect_losses=True) as scope:
            # By updates, because a mapping would be cast to the variables' own types.
            for update in (*zip(variables, values, strict=True), *zip(states, current, strict=True)):
                scope.add_update(update)
            return objective(*given)

    return at


def _on_arrays(
    compiled: Callable[[Any, Any], Any], variables: Sequence[Any], states: Sequence[Any], dtype: str | None = None
) -> Gradients:
    def call(values: Iterable[NDArray[Any]], *arguments: Any) -> list[NDArray[Any]]:
        current = [keras.ops.cast(state.value, dtype) if _is_cast(state, dtype) else state.value for state in states]
        given = keras.tree.map_structure(keras.ops.convert_to_tensor, (*arguments, current))
        if dtype is not None:  # Keras takes a number alone as one of its own precision
            given = (*(keras.ops.convert_to_tensor(each, dtype=dtype) for each in arguments), given[-1])
        results = list(compiled(_tensors(values, variables, dtype), given))[::-1]
        arrays = []
        while results:  # one tensor is freed before the next becomes an array: all together may be gigabytes
            arrays.append(np.asarray(keras.ops.convert_to_numpy(results.pop())))
        return arrays

    return call


@contextlib.contextmanager
def _promotes_to_float64() -> Iterator[None]:
    """Let Keras combine float64 with float32 to float64: but on TensorFlow it narrows the result, as JAX does."""
    from keras.src.backend.common import dtypes  # here: `_imports` says first what to do where there is no backend

    table = dtypes.BIT64_TO_BIT32_DTYPE
    before = table["float64"]
    table["float64"] = "float64"
    try:
        yield
    finally:
        table["float64"] = before


def _is_cast(state: Any, dtype: str | None) -> bool:
    return dtype is not None and keras.backend.is_float_dtype(state.dtype)


def _tensors(values: Iterable[NDArray[Any]], variables: Sequence[Any], dtype: str | None = None) -> list[Any]:
    return [
        keras.ops.convert_to_tensor(value, dtype=dtype or variable.dtype)
        for variable, value in zip(variables, values, strict=True)
    ]
