"""Gradients, inference and steps on TensorFlow."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from ._imports import keras


def gradients(at: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The gradient of a function of values and arguments; see `_gradients.gradients`."""
    return trace_function(lambda values, arguments: _slopes(lambda: at(values, arguments), values))


def float64() -> Any:
    """A scope in which there is float64: always, here."""
    return contextlib.nullcontext()


def hessian_products(at: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Products of its Hessian with the first argument; see `_gradients.hessian_products`."""

    def products(values: Any, arguments: Any) -> Any:
        vectors, *rest = arguments

        def along() -> Any:
            slopes = _slopes(lambda: at(values, rest), values)
            return sum(keras.ops.sum(slope * vector) for slope, vector in zip(slopes, vectors, strict=True))

        return _slopes(along, values)

    return trace_function(products)


def forward(model: keras.Model) -> Callable[[Any], Any]:
    """A model's inference; see `_steps.compile_forward`."""
    return trace_function(lambda inputs: model(inputs, training=False))


def step(step: Callable[..., Any], _reads: Sequence[Any], _writes: Sequence[Any]) -> Callable[..., Any]:
    """A step, traced once for all numbers of observations."""
    return trace_function(step, any_length=True)


def trace_function(
    function: Callable[..., Any], *, jit_compile: bool = False, any_length: bool = False
) -> Callable[..., Any]:
    """Trace a function of tensors once for each set of shapes; without XLA, which makes convolutions slow on CPUs.

    With `any_length` the first axes are left out of the shapes, unless the function cannot do without them.
    """
    # Traced by hand, because TensorFlow counts the traces of one line of source and warns at the sixth,
    # though here each belongs to another model.
    known: dict[tuple[Any, ...], Any] = {}
    is_free = any_length

    def trace(tensors: Any) -> Any:
        nonlocal is_free
        structure = keras.tree.map_structure(lambda _tensor: 0, tensors)

        def on_flat(*flat: Any) -> Any:
            return function(*keras.tree.pack_sequence_as(structure, flat))

        compiled, flat = tf.function(on_flat, autograph=False, jit_compile=jit_compile), keras.tree.flatten(tensors)
        if is_free:
            try:
                return compiled.get_concrete_function(*map(_any_length, flat))
            except (TypeError, ValueError):  # a layer of somebody's own that computes with the number
                is_free = False
        return compiled.get_concrete_function(*flat)

    def key_of(flat: Sequence[Any]) -> tuple[Any, ...]:
        start = 1 if is_free else 0
        return tuple((tuple(tensor.shape)[start:], tensor.dtype) for tensor in flat)

    def call(*inputs: Any) -> Any:
        tensors = keras.tree.map_structure(tf.convert_to_tensor, inputs)
        flat = keras.tree.flatten(tensors)
        concrete = known.get(key_of(flat))
        if concrete is None:
            concrete = trace(tensors)  # which may find that lengths are not free
            known[key_of(flat)] = concrete
        return concrete(*flat)

    return call


def _slopes(result: Callable[[], Any], values: Any) -> Any:
    with tf.GradientTape() as tape:
        tape.watch(values)
        scalar = result()
    found = tape.gradient(scalar, values, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return [tf.convert_to_tensor(slope) for slope in found]  # embeddings have sparse ones


def _any_length(tensor: Any) -> Any:
    return tf.TensorSpec([None, *tensor.shape[1:]] if tensor.shape.rank else [], tensor.dtype)


def fake_quantize(values: Any, low: Any, high: Any, *, is_weight: bool) -> Any:
    """Numbers of eight bits, by the operations that the converter knows; see `_fake_quantize.fake_quantize`."""
    if len(keras.ops.shape(low)) == 1:
        per_channel = tf.quantization.fake_quant_with_min_max_vars_per_channel
        return per_channel(values, low, high, num_bits=8, narrow_range=is_weight)
    return tf.quantization.fake_quant_with_min_max_vars(values, low, high, num_bits=8, narrow_range=is_weight)
