"""Gradients, inference and steps on torch."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ._imports import keras


def gradients(at: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The gradient of a function of values and arguments; see `_gradients.gradients`."""

    def run(values: Sequence[Any], arguments: Any) -> Any:
        leaves = _leaves(values)
        return _slopes(lambda: at(leaves, arguments), leaves)

    return run


def float64() -> Any:
    """A scope in which there is float64: always, here."""
    return contextlib.nullcontext()


def hessian_products(at: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Products of its Hessian with the first argument; see `_gradients.hessian_products`."""

    def run(values: Sequence[Any], arguments: Any) -> Any:
        vectors, *rest = arguments
        leaves = _leaves(values)

        def along() -> Any:
            slopes = _slopes(lambda: at(leaves, rest), leaves, create_graph=True)
            return sum((slope * vector).sum() for slope, vector in zip(slopes, vectors, strict=True))

        return _slopes(along, leaves)

    return run


def forward(model: keras.Model) -> Callable[[Any], Any]:
    """A model's inference; see `_steps.compile_forward`."""

    def forward(inputs: Any) -> Any:
        with torch.no_grad():
            return model(inputs, training=False)

    return forward


def step(step: Callable[..., Any], _reads: Sequence[Any], _writes: Sequence[Any]) -> Callable[..., Any]:
    """A step; see `_steps.compile_step`."""

    def call(*inputs: Any) -> Any:
        with torch.no_grad():
            return step(*inputs)

    return call


def _leaves(values: Sequence[Any]) -> list[Any]:
    return [value.detach().clone().requires_grad_() for value in values]


def _slopes(result: Callable[[], Any], leaves: Sequence[Any], *, create_graph: bool = False) -> Any:
    with torch.enable_grad():
        slopes = torch.autograd.grad(result(), leaves, create_graph=create_graph, allow_unused=True)
    return [torch.zeros_like(leaf) if slope is None else slope for leaf, slope in zip(leaves, slopes, strict=True)]
