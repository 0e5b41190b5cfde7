"""Inference and steps, compiled on any backend, and what else differs between the backends there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ._imports import keras, of_backend


def compile_forward(model: keras.Model) -> Callable[[Any], Any]:
    """Compile a model's inference.

    Args:
        model: a built model.

    Returns:
        A function from a batch (arrays or tensors) to the model's output tensors in inference mode. It sees
        every later change of the weights, and compiles once for each shape of a batch.

    Raises:
        MissingBackendError: Keras runs on a backend other than TensorFlow, JAX and torch.
    """
    forward: Callable[[Any], Any] = of_backend().forward(model)
    return forward


def compile_step(step: Callable[..., Any], reads: Sequence[Any] = (), writes: Sequence[Any] = ()) -> Callable[..., Any]:
    """Compile a function of tensors that looks at Keras variables and assigns to some of them.

    Args:
        step: takes tensors (or lists and dictionaries of them, or None), assigns to `writes` as it likes, and returns
            tensors.
        reads: the variables that it looks at, and that change between two calls.
        writes: the variables that it assigns to; what it assigns to others is lost on JAX.

    Returns:
        A function of tensors with any number of observations along their first axes. On TensorFlow it compiles once
        for all of these numbers, on JAX once for each.

    Raises:
        MissingBackendError: Keras runs on a backend other than TensorFlow, JAX and torch.
    """
    compiled: Callable[..., Any] = of_backend().step(step, reads, writes)
    return compiled


def compiles_for_each_length() -> bool:
    """Whether a compiled step is compiled anew for each number of observations, which takes a while."""
    return bool(keras.config.backend() == "jax")


def steps_are_pure() -> bool:
    """Whether a compiled train step sees only what is given to it: the variables of the model and of its optimizer."""
    return bool(keras.config.backend() == "jax")


def pieces_at_once() -> int:
    """In how many pieces a batch may be computed faster than as a whole.

    TensorFlow does at once what does not depend on each other, so that no processor waits for the last part of each
    operation; the other backends do one operation after the other.
    """
    return 4 if keras.config.backend() == "tensorflow" else 1


def trace_once(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that a step calls several times, and that TensorFlow then need not trace as often.

    Args:
        function: takes and returns tensors, and assigns to nothing.
    """
    if keras.config.backend() != "tensorflow":
        return function
    import tensorflow as tf

    traced: Callable[..., Any] = tf.function(function, autograph=False, reduce_retracing=True)
    return traced


def attends_in_one_width() -> bool:
    """Whether attention takes keys and values of the same width only: Keras has JAX compute it, which asks for that."""
    return bool(keras.config.backend() == "jax")


def run_test_step(model: keras.Model, batch: tuple[Any, ...]) -> None:
    """Run a model's own `test_step` inside a step.

    Args:
        model: a compiled model.
        batch: inputs and targets, perhaps with weights.
    """
    if keras.config.backend() != "jax":
        model.test_step(batch)
        return
    groups = (model.trainable_variables, model.non_trainable_variables, model.metrics_variables)
    _, state = model.test_step(tuple([variable.value for variable in group] for group in groups), batch)
    for variable, value in zip(groups[2], state[2], strict=True):
        variable.assign(value)


def wait_for(tensors: Any) -> None:
    """Wait until tensors have their values: some backends compute behind one's back.

    Args:
        tensors: what a compiled function has returned.
    """
    for tensor in keras.tree.flatten(tensors):
        if hasattr(tensor, "block_until_ready"):
            tensor.block_until_ready()
        elif keras.ops.is_tensor(tensor):
            keras.ops.convert_to_numpy(tensor)


def trace_model(model: Any) -> Any:
    """A model as something to call, traced where its backend cannot run it eagerly.

    On a CPU, TensorFlow convolves images with channels first in graphs only: there they are transposed. Called eagerly,
    such a layer fails, or Keras adds its bias along the width where that is as long as the bias.

    Args:
        model: a built model.

    Returns:
        A function of inputs that gives the outputs in inference.
    """

    def call(inputs: Any) -> Any:
        return model(inputs, training=False)

    first = any(getattr(layer, "data_format", None) == "channels_first" for layer in model._flatten_layers())
    if keras.config.backend() != "tensorflow" or not first:
        return call
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        return call

    def run(inputs: Any) -> Any:
        given = keras.tree.map_structure(tf.convert_to_tensor, inputs)
        # Afresh for each call: some layers keep tensors of their weights, which the trace would hold on to.
        try:
            return tf.function(call, autograph=False)(given)
        except tf.errors.UnimplementedError:  # without oneDNN, by XLA alone
            return tf.function(call, autograph=False, jit_compile=True)(given)

    return run
