"""A small network, its SynFlow scores and the pruning rules, in NumPy from their definitions.

Nothing here is Keras or this package: loops over kernel positions in float64, forward and backward.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Weights = Mapping[str, Array]


@dataclass(frozen=True)
class Step:
    """One layer: its kind, and the name before the slash of its variables."""

    kind: str
    name: str = ""


def convolve(x: Array, kernel: Array, bias: Array) -> Array:
    """Cross-correlation of one image (H, W, C), zero padding that keeps its size."""
    rows, columns = kernel.shape[:2]
    padded = np.pad(x, ((rows // 2, rows // 2), (columns // 2, columns // 2), (0, 0)))
    out = np.zeros((*x.shape[:2], kernel.shape[3])) + bias
    for i in range(rows):
        for j in range(columns):
            out += padded[i : i + x.shape[0], j : j + x.shape[1]] @ kernel[i, j]
    return out


def convolve_backward(x: Array, kernel: Array, slope: Array) -> tuple[Array, Array, Array]:
    """The gradients of the input, the kernel and the bias."""
    rows, columns = kernel.shape[:2]
    padded = np.pad(x, ((rows // 2, rows // 2), (columns // 2, columns // 2), (0, 0)))
    d_padded, d_kernel = np.zeros_like(padded), np.zeros_like(kernel)
    for i in range(rows):
        for j in range(columns):
            window = np.s_[i : i + x.shape[0], j : j + x.shape[1]]
            d_kernel[i, j] = np.einsum("hwc,hwf->cf", padded[window], slope)
            d_padded[window] += slope @ kernel[i, j].T
    inside = np.s_[rows // 2 : rows // 2 + x.shape[0], columns // 2 : columns // 2 + x.shape[1]]
    return d_padded[inside], d_kernel, slope.sum(axis=(0, 1))


def pool(x: Array) -> tuple[Array, NDArray[np.int64]]:
    """The maximum of each 2 x 2 window, and where the first one stands in its window."""
    height, width, channels = x.shape[0] // 2, x.shape[1] // 2, x.shape[2]
    windows = x[: 2 * height, : 2 * width].reshape(height, 2, width, 2, channels)
    windows = windows.transpose(0, 2, 4, 1, 3).reshape(height, width, channels, 4)
    return windows.max(axis=-1), windows.argmax(axis=-1)


def pool_backward(x: Array, where: NDArray[np.int64], slope: Array) -> Array:
    out = np.zeros_like(x)
    for (h, w, c), place in np.ndenumerate(where):
        out[2 * h + place // 2, 2 * w + place % 2, c] = slope[h, w, c]
    return out


def synflow(steps: Sequence[Step], weights: Weights, states: Weights, x: Array) -> dict[str, Array]:
    """|dR/d|w| * |w|| for every learnable; R is the sum of the outputs at the input x."""
    w = {path: np.abs(value) for path, value in weights.items()}
    inputs: list[Array] = []
    for step in steps:
        inputs.append(x)
        x = forward(step, w, states, x)
    slope, slopes = np.ones_like(x), {}
    for step, x in zip(reversed(steps), reversed(inputs), strict=True):
        slope, of_step = backward(step, w, states, x, slope)
        slopes |= {f"{step.name}/{name}": value for name, value in of_step.items()}
    return {path: np.abs(slopes[path] * w[path]) for path in weights}


def forward(step: Step, w: Weights, states: Weights, x: Array) -> Array:
    """The output of one layer."""
    if step.kind == "conv":
        return convolve(x, w[f"{step.name}/kernel"], w[f"{step.name}/bias"])
    if step.kind == "dense":
        return x @ w[f"{step.name}/kernel"] + w[f"{step.name}/bias"]
    if step.kind == "norm":
        return _standardized(step, states, x) * w[f"{step.name}/gamma"] + w[f"{step.name}/beta"]
    return {"relu": lambda: np.maximum(x, 0), "pool": lambda: pool(x)[0], "flatten": lambda: x.reshape(-1)}[step.kind]()


def backward(step: Step, w: Weights, states: Weights, x: Array, slope: Array) -> tuple[Array, dict[str, Array]]:
    """The gradients of a layer's input and of its variables."""
    if step.kind == "conv":
        d_x, d_kernel, d_bias = convolve_backward(x, w[f"{step.name}/kernel"], slope)
        return d_x, {"kernel": d_kernel, "bias": d_bias}
    if step.kind == "dense":
        return w[f"{step.name}/kernel"] @ slope, {"kernel": np.outer(x, slope), "bias": slope}
    if step.kind == "norm":
        d_gamma = (slope * _standardized(step, states, x)).sum(axis=(0, 1))
        d_x = slope * w[f"{step.name}/gamma"] / _deviation(step, states)
        return d_x, {"gamma": d_gamma, "beta": slope.sum(axis=(0, 1))}
    if step.kind == "relu":
        return slope * (x > 0), {}
    return (pool_backward(x, pool(x)[1], slope) if step.kind == "pool" else slope.reshape(x.shape)), {}


def _deviation(step: Step, states: Weights) -> Array:
    return np.sqrt(states[f"{step.name}/moving_variance"] + 1e-3)


def _standardized(step: Step, states: Weights, x: Array) -> Array:
    return (x - states[f"{step.name}/moving_mean"]) / _deviation(step, states)


def matlab_mask(scores: Weights, sparsity: float) -> dict[str, NDArray[np.bool_]]:
    """MATLAB's example: one sort, threshold sorted(k) or 0, keep what is above it."""
    ordered = sorted(float(score) for values in scores.values() for score in values.flat)
    k = math.floor(sparsity * len(ordered) + 0.5)
    threshold = ordered[k - 1] if k else 0.0
    return {path: values > threshold for path, values in scores.items()}


def exact_mask(scores: Weights, sparsity: float) -> dict[str, NDArray[np.bool_]]:
    """The k lowest of a stable sort go."""
    flat = np.concatenate([values.ravel() for values in scores.values()])
    kept = np.ones(flat.size, bool)
    kept[np.argsort(flat, kind="stable")[: math.floor(sparsity * flat.size + 0.5)]] = False
    parts = np.split(kept, np.cumsum([values.size for values in scores.values()])[:-1])
    return {path: part.reshape(scores[path].shape) for path, part in zip(scores, parts, strict=True)}
