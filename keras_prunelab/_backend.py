"""Gradients and fast inference on whichever backend Keras runs: the only module that knows the backends."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ._errors import MissingBackendError

_BACKENDS = ("tensorflow", "jax", "torch")


def _missing(name: str) -> NoReturn:
    wanted = os.environ.get("KERAS_BACKEND")
    extra = name if name in _BACKENDS else "tensorflow"
    why = f" (the environment variable KERAS_BACKEND asks for {wanted!r})" if wanted else ""
    raise MissingBackendError(
        f"Keras cannot run on the backend {name!r}{why}. Install it:\n"
        f'    pip install "keras-prunelab[{extra}]"\n'
        f"or set KERAS_BACKEND to one of {', '.join(_BACKENDS)} that is installed."
    ) from None


try:
    import keras
except ModuleNotFoundError as _error:
    if _error.name not in _BACKENDS:
        raise
    _missing(_error.name)
except ValueError as _error:
    if "backend" not in str(_error):
        raise
    _missing(os.environ.get("KERAS_BACKEND", "tensorflow"))

Gradients = Callable[[Sequence[NDArray[Any]]], list[NDArray[Any]]]


def gradients(objective: Callable[[], Any], variables: Sequence[Any]) -> Gradients:
    """Compile the gradient of a scalar with respect to Keras variables, at values given from outside.

    The variables themselves are never written: inside the objective they stand for the given values.

    Args:
        objective: computes a scalar tensor from the variables, with Keras operations.
        variables: the Keras variables; what the scalar does not depend on gets a gradient of zero.

    Returns:
        A function from one value a variable to one gradient a variable, NumPy arrays both. It compiles at its
        first call only.

    Raises:
        MissingBackendError: Keras runs on a backend without gradients.

    Example:
        >>> import keras, numpy as np
        >>> x = keras.Variable(np.float32([1.0, 2.0]))
        >>> slope = gradients(lambda: keras.ops.sum(x * x), [x])
        >>> slope([np.float32([3.0, 4.0])])[0].tolist()
        [6.0, 8.0]
    """

    def at(values: Sequence[Any]) -> Any:
        with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
            return objective()

    compiled = _dispatch(tensorflow=_tensorflow_gradients, jax=_jax_gradients, torch=_torch_gradients)(at)

    def call(values: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        tensors = [
            keras.ops.convert_to_tensor(value, dtype=variable.dtype)
            for variable, value in zip(variables, values, strict=True)
        ]
        return [np.asarray(keras.ops.convert_to_numpy(gradient)) for gradient in compiled(tensors)]

    return call


def compiled_forward(model: keras.Model) -> Callable[[Any], Any]:
    """Compile a model's inference.

    Args:
        model: a built model.

    Returns:
        A function from a batch (arrays or tensors) to the model's output tensors in inference mode. It sees every
        later change of the weights, and compiles once for each shape of a batch.

    Raises:
        MissingBackendError: Keras runs on a backend other than TensorFlow, JAX and torch.
    """
    forward: Callable[[Any], Any] = _dispatch(
        tensorflow=_tensorflow_forward, jax=_jax_forward, torch=_torch_forward
    )(model)
    return forward


def _dispatch(**makers: Callable[[Any], Callable[[Any], Any]]) -> Callable[[Any], Callable[[Any], Any]]:
    backend = keras.config.backend()
    return makers[backend] if backend in makers else _missing(backend)


def _tensorflow_gradients(at: Callable[[Sequence[Any]], Any]) -> Callable[[Any], Any]:
    import tensorflow as tf

    # Without XLA: on CPUs it makes convolutions slower.
    @tf.function(autograph=False, jit_compile=False)  # type: ignore[untyped-decorator]
    def compiled(values: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(values)
            result = at(values)
        slopes = tape.gradient(result, values, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return [tf.convert_to_tensor(slope) for slope in slopes]  # embeddings have sparse ones

    return compiled  # type: ignore[no-any-return]


def _jax_gradients(at: Callable[[Sequence[Any]], Any]) -> Callable[[Any], Any]:
    import jax

    return jax.jit(jax.grad(at))  # type: ignore[no-any-return]


def _torch_gradients(at: Callable[[Sequence[Any]], Any]) -> Callable[[Any], Any]:
    import torch

    def run(values: Sequence[Any]) -> Any:
        with torch.enable_grad():
            leaves = [value.detach().clone().requires_grad_() for value in values]
            slopes = torch.autograd.grad(at(leaves), leaves, allow_unused=True)
        return [
            torch.zeros_like(leaf) if slope is None else slope
            for leaf, slope in zip(leaves, slopes, strict=True)
        ]

    return run


def _tensorflow_forward(model: keras.Model) -> Callable[[Any], Any]:
    import tensorflow as tf

    @tf.function(autograph=False, jit_compile=False)  # type: ignore[untyped-decorator]
    def forward(inputs: Any) -> Any:
        return model(inputs, training=False)

    return forward  # type: ignore[no-any-return]


def _jax_forward(model: keras.Model) -> Callable[[Any], Any]:
    import jax

    @jax.jit  # type: ignore[untyped-decorator]
    def pure(trained: Any, other: Any, inputs: Any) -> Any:
        outputs, _ = model.stateless_call(trained, other, inputs, training=False)
        return outputs

    def forward(inputs: Any) -> Any:
        # Passed as arguments, because jit would freeze what it closes over.
        trained = [variable.value for variable in model.trainable_variables]
        other = [variable.value for variable in model.non_trainable_variables]
        return pure(trained, other, inputs)

    return forward


def _torch_forward(model: keras.Model) -> Callable[[Any], Any]:
    import torch

    def forward(inputs: Any) -> Any:
        with torch.no_grad():
            return model(inputs, training=False)

    return forward
