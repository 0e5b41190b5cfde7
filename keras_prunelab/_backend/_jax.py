"""Gradients, inference and steps on JAX."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.experimental

from ._imports import keras


def gradients(at: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The gradient of a function of values and arguments; see `_gradients.gradients`."""
    return jax.jit(jax.grad(at))  # type: ignore[no-any-return]


def float64() -> Any:
    """A scope in which JAX has float64, which it takes for float32 by default."""
    return jax.enable_x64(True) if hasattr(jax, "enable_x64") else jax.experimental.enable_x64()


def hessian_products(at: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Products of its Hessian with the first argument; see `_gradients.hessian_products`."""

    @jax.jit  # type: ignore[untyped-decorator]
    def products(values: Any, arguments: Any) -> Any:
        vectors, *rest = arguments
        return jax.jvp(lambda given: jax.grad(at)(given, rest), (values,), (list(vectors),))[1]

    return products  # type: ignore[no-any-return]


def forward(model: keras.Model) -> Callable[[Any], Any]:
    """A model's inference; see `_steps.compile_forward`."""

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


def step(step: Callable[..., Any], reads: Sequence[Any], writes: Sequence[Any]) -> Callable[..., Any]:
    """A step; see `_steps.compile_step`."""
    variables = [*reads, *writes]

    @jax.jit  # type: ignore[untyped-decorator]
    def pure(current: Any, inputs: Any) -> Any:
        mapping = list(zip(variables, current, strict=True))
        with keras.StatelessScope(state_mapping=mapping, collect_losses=True) as scope:
            outputs = step(*inputs)
        found = (scope.get_current_value(variable) for variable in writes)
        kept = current[len(reads) :]
        return outputs, [old if new is None else new for old, new in zip(kept, found, strict=True)]

    def call(*inputs: Any) -> Any:
        # Passed as arguments, because jit would freeze what it closes over.
        outputs, written = pure([variable.value for variable in variables], inputs)
        for variable, value in zip(writes, written, strict=True):
            variable.assign(value)
        return outputs

    return call
