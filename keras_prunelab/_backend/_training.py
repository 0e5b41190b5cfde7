"""Values written on any backend while a model is trained: inside a train step, and between two of them."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

from ._imports import keras

_WORTH_COMPILING = 1 << 16
"""Weights from which on an optimizer's update is compiled by itself."""


def optimizer_class(optimizer: Any) -> type:
    """The class of `keras.optimizers` that an optimizer is of; a user's own class stands for itself.

    Args:
        optimizer: a Keras optimizer, or None.

    Returns:
        The class. On torch Keras makes objects of subclasses of its own, which do the same.
    """
    found = type(optimizer)
    if not found.__module__.startswith("keras.src.backend.torch"):
        return found
    known: type = next(base for base in found.__mro__ if getattr(keras.optimizers, base.__name__, None) is base)
    return known


def creation_scope(optimizer: Any) -> contextlib.AbstractContextManager[Any]:
    """Where variables of an optimizer are to be made, so that each replica has them.

    Args:
        optimizer: a Keras optimizer.

    Returns:
        A context manager.
    """
    strategy = getattr(optimizer, "_distribution_strategy", None)  # on TensorFlow only
    return contextlib.nullcontext() if strategy is None else strategy.scope()


def at_rest(value: Any, mask: Any, rest: float) -> Any:
    """Put a number where a mask is False, whatever stands there, for use outside of a train step.

    Args:
        value: a Keras variable of floating-point numbers.
        mask: booleans of its shape.
        rest: the number.

    Returns:
        A tensor; for zeros +0.0, also for NaN and negative numbers.
    """
    value, mask = keras.ops.convert_to_tensor(value), keras.ops.convert_to_tensor(mask)
    if keras.config.backend() != "tensorflow" or rest:
        return keras.ops.where(mask, value, keras.ops.full_like(value, rest))
    import tensorflow as tf

    tensor = tf.convert_to_tensor(value)
    # By bits, because `where` takes XLA half as long again; in a train step, though, it would not be fused.
    bits = tf.dtypes.as_dtype(f"int{8 * tensor.dtype.size}")
    return tf.bitcast(tf.bitwise.bitwise_and(tf.bitcast(tensor, bits), -tf.cast(mask, bits)), tensor.dtype)


def compile_writes(write: Callable[..., None], variables: Sequence[Any], optimizer: Any) -> Callable[..., None]:
    """Compile a function that assigns to variables of a model and its optimizer, for use between two train steps.

    Args:
        write: assigns tensors made of its arguments to Keras variables.
        variables: the variables that it looks at and assigns to, each once.
        optimizer: the optimizer.

    Returns:
        A function of arrays that does the same.
    """
    backend = keras.config.backend()
    if backend == "jax":
        from ._jax import step

        return step(write, (), variables)
    # Variables with a copy for each replica are written from outside the replicas, without a graph.
    if backend != "tensorflow" or _has_replicas(optimizer):
        return write
    from ._tensorflow import trace_function

    # XLA joins all of it into one pass over memory; on macOS it does not know graphics cards.
    return trace_function(write, jit_compile=sys.platform != "darwin")


def in_one_pass(update: Callable[..., None], optimizer: Any, size: int) -> Callable[..., None]:
    """Compile an optimizer's update inside a train step, so that it goes over memory once.

    Without XLA, which makes convolutions slow on CPUs and is off by default there, TensorFlow goes over gradients,
    moments and weights once for each operation of the update, and masks would make it once more.

    Args:
        update: takes the gradients, and assigns to variables of the model and the optimizer; of Keras's own code.
        optimizer: the optimizer.
        size: how many weights are updated.

    Returns:
        A function of gradients that does the same; `update` itself where compiling does not pay, or is not possible.
    """
    if keras.config.backend() != "tensorflow" or size < _WORTH_COMPILING or _has_replicas(optimizer):
        return update
    import tensorflow as tf

    if tf.executing_eagerly() or tf.config.list_logical_devices("GPU"):
        return update
    compiled = tf.function(update, jit_compile=True, autograph=False)

    def run(*grads: Any) -> None:
        # Embeddings have sparse gradients, and a variable that is not used has none.
        (compiled if all(isinstance(grad, tf.Tensor) for grad in grads) else update)(*grads)

    return run


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


def _has_replicas(optimizer: Any) -> bool:
    strategy = getattr(optimizer, "_distribution_strategy", None)
    return strategy is not None and strategy.num_replicas_in_sync > 1
