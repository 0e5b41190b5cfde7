"""Windows over arrays of any number of dimensions (A, B, ..., C), element by element, as MATLAB documents them.

Source: https://www.mathworks.com/help/deeplearning/ref/nnet.cnn.layer.convolution1dlayer.html and the pages of the
other convolutions and poolings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Array = np.ndarray
Sides = Sequence[tuple[int, int]]


def same_sides(size: Sequence[int], extent: Sequence[int], stride: Sequence[int]) -> Sides:
    """Outputs are ceil(size / stride) long; an odd element of padding stands at the end."""
    total = [max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(size, extent, stride, strict=True)]
    return [(each // 2, each - each // 2) for each in total]


def padded(image: Array, sides: Sides, value: float = 0.0) -> Array:
    return np.pad(image, (*sides, (0, 0)), constant_values=value)


def convolve(image: Array, weights: Array, bias: Array, stride: Sequence[int], dilation: Sequence[int]) -> Array:
    """y(i, k) = sum over a, c of x(i s + a d, c) w(a, c, k), plus the bias of k."""
    rank = image.ndim - 1
    window = weights.shape[:rank]
    size = [(n - (k - 1) * d - 1) // s + 1 for n, k, s, d in zip(image.shape, window, stride, dilation, strict=False)]
    out = np.zeros((*size, weights.shape[-1]))
    for place in np.ndindex(*size):
        for tap in np.ndindex(*window):
            at = tuple(p * s + t * d for p, s, t, d in zip(place, stride, tap, dilation, strict=True))
            out[place] += image[at] @ weights[tap]
    return out + bias


def transposed(image: Array, weights: Array, bias: Array, stride: Sequence[int], crop: Sides) -> Array:
    """Every element sends its filters, (taps, K, C), to the outputs from its place times the stride on."""
    rank = image.ndim - 1
    window = weights.shape[:rank]
    size = [(n - 1) * s + k for n, s, k in zip(image.shape, stride, window, strict=False)]
    out = np.zeros((*size, weights.shape[rank]))
    for place in np.ndindex(*image.shape[:rank]):
        for tap in np.ndindex(*window):
            at = tuple(p * s + t for p, s, t in zip(place, stride, tap, strict=True))
            out[at] += weights[tap] @ image[place]
    return (out + bias)[tuple(slice(a, n - b) for (a, b), n in zip(crop, size, strict=True))]


def pool(image: Array, window: Sequence[int], stride: Sequence[int], reduce: Callable[..., Array]) -> Array:
    """The reduction of what each window sees, channel by channel."""
    size = [(n - k) // s + 1 for n, k, s in zip(image.shape, window, stride, strict=False)]
    out = np.zeros((*size, image.shape[-1]))
    for place in np.ndindex(*size):
        seen = image[tuple(slice(p * s, p * s + k) for p, s, k in zip(place, stride, window, strict=True))]
        out[place] = reduce(seen.reshape(-1, seen.shape[-1]), axis=0)
    return out
