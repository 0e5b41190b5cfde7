"""Gradients and fast inference on whichever backend Keras runs: the only module that knows the backends."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ._errors import MissingBackendError

_BACKENDS = ("tensorflow", "jax", "torch")


def import_keras() -> Any:
    """Import Keras, which imports its backend.

    Returns:
        The module `keras`.

    Raises:
        MissingBackendError: the backend that Keras is to run on is not installed.
    """
    try:
        import keras
    except ModuleNotFoundError as error:
        if error.name not in _BACKENDS:
            raise
        raise _missing(error.name) from None
    except ValueError as error:
        if "Unable to import backend" not in str(error):
            raise
        raise _missing(os.environ.get("KERAS_BACKEND", "")) from None
    return keras


def _missing(name: str) -> MissingBackendError:
    wanted = os.environ.get("KERAS_BACKEND")
    why = ", which the environment variable KERAS_BACKEND asks for," if wanted else ""
    extra = name if name in _BACKENDS else _BACKENDS[0]
    return MissingBackendError(
        f"The backend {name!r}{why} is not installed, or cannot run gradients. Install one:\n"
        f'    pip install "keras-prunelab[{extra}]"\n'
        f"or set KERAS_BACKEND to another of {', '.join(_BACKENDS)} that is installed."
    )


if TYPE_CHECKING:
    import keras as keras  # exported: whoever takes it from here gets the error above
else:
    keras = import_keras()

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

    Examples:
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
        A function from a batch (arrays or tensors) to the model's output tensors in inference mode. It sees
        every later change of the weights, and compiles once for each shape of a batch.

    Raises:
        MissingBackendError: Keras runs on a backend other than TensorFlow, JAX and torch.
    """
    forward: Callable[[Any], Any] = _dispatch(tensorflow=_tensorflow_forward, jax=_jax_forward, torch=_torch_forward)(
        model
    )
    return forward


def creation_scope(optimizer: Any) -> contextlib.AbstractContextManager[Any]:
    """Where variables of an optimizer are to be made, so that each replica has them.

    Args:
        optimizer: a Keras optimizer.

    Returns:
        A context manager.
    """
    strategy = getattr(optimizer, "_distribution_strategy", None)  # on TensorFlow only
    return contextlib.nullcontext() if strategy is None else strategy.scope()  # type: ignore[no-any-return]


def map_in_step(function: Callable[[Any, Any], Any], variables: Sequence[Any], argument: Any) -> None:
    """Assign `function(variable, argument)` to variables inside a train step, on each replica.

    Args:
        function: takes and returns tensors.
        variables: Keras variables that only the optimizer writes.
        argument: a Keras variable.
    """
    if variables and keras.config.backend() == "tensorflow":
        import tensorflow as tf

        replica = tf.distribute.get_replica_context()
        if replica is not None and replica.strategy.num_replicas_in_sync > 1:
            # Such variables have no rule to join the values of several replicas, nor do they need one.
            def update(strategy: Any) -> None:
                for variable in variables:
                    strategy.extended.update(
                        variable.value, lambda local, other: local.assign(function(local, other)), (argument.value,)
                    )

            replica.merge_call(update)
            return
    for variable in variables:
        variable.assign(function(variable, argument))


def _dispatch(**makers: Callable[[Any], Callable[[Any], Any]]) -> Callable[[Any], Callable[[Any], Any]]:
    backend = keras.config.backend()
    if backend not in makers:
        raise _missing(backend)
    return makers[backend]


def _tensorflow_gradients(at: Callable[[Sequence[Any]], Any]) -> Callable[[Any], Any]:
    import tensorflow as tf

    def slopes(values: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(values)
            result = at(values)
        found = tape.gradient(result, values, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return [tf.convert_to_tensor(slope) for slope in found]  # embeddings have sparse ones

    return _tensorflow_traced(slopes)


def _tensorflow_traced(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Trace a function of tensors once for each set of shapes."""
    import tensorflow as tf

    # Without XLA: on CPUs it makes convolutions slower.
    compiled = tf.function(function, autograph=False, jit_compile=False)
    # Traced by hand, because TensorFlow counts the traces of one line of source and warns at the sixth,
    # though here each belongs to another model.
    traced: dict[tuple[Any, ...], Any] = {}

    def call(inputs: Any) -> Any:
        tensors = keras.tree.map_structure(tf.convert_to_tensor, inputs)
        key = tuple((tuple(tensor.shape), tensor.dtype) for tensor in keras.tree.flatten(tensors))
        if key not in traced:
            traced[key] = compiled.get_concrete_function(tensors)
        return traced[key](tensors)

    return call


def _jax_gradients(at: Callable[[Sequence[Any]], Any]) -> Callable[[Any], Any]:
    import jax

    return jax.jit(jax.grad(at))  # type: ignore[no-any-return]


def _torch_gradients(at: Callable[[Sequence[Any]], Any]) -> Callable[[Any], Any]:
    import torch

    def run(values: Sequence[Any]) -> Any:
        with torch.enable_grad():
            leaves = [value.detach().clone().requires_grad_() for value in values]
            slopes = torch.autograd.grad(at(leaves), leaves, allow_unused=True)
        return [torch.zeros_like(leaf) if slope is None else slope for leaf, slope in zip(leaves, slopes, strict=True)]

    return run


def _tensorflow_forward(model: keras.Model) -> Callable[[Any], Any]:
    return _tensorflow_traced(lambda inputs: model(inputs, training=False))


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
