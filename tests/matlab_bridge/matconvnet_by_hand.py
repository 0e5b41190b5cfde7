"""What MatConvNet computes, written from its manual for one image (H, W, C) in double precision.

https://www.vlfeat.org/matconvnet/matconvnet-manual.pdf, chapter 4
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

Array = np.ndarray
Fields = Mapping[str, Any]


def margins(fields: Fields, name: str) -> list[int]:
    """`[top bottom left right]`; one number stands for every edge."""
    numbers = [int(number) for number in np.ravel(fields.get(name, 0))]
    return numbers * 4 if len(numbers) == 1 else numbers


def steps(fields: Fields, name: str) -> tuple[int, int]:
    numbers = [int(number) for number in np.ravel(fields.get(name, 1))]
    return numbers[0], numbers[-1]


def padded(x: Array, fields: Fields, value: float) -> Array:
    top, bottom, left, right = margins(fields, "pad")
    return np.pad(x, ((top, bottom), (left, right), (0, 0)), constant_values=value)


def weights_of(fields: Fields) -> list[Array]:
    stored = fields["weights"].ravel() if "weights" in fields else [fields["filters"], fields["biases"]]
    return [np.asarray(array, dtype=float) for array in stored]


def conv(fields: Fields, x: Array) -> Array:
    filters, *rest = weights_of(fields)
    filters = filters.reshape(*filters.shape, *(1,) * (4 - filters.ndim))
    (down, across), (dy, dx) = steps(fields, "stride"), steps(fields, "dilate")
    x = padded(x, fields, 0)
    height, width, channels, count = filters.shape
    rows = (x.shape[0] - ((height - 1) * dy + 1)) // down + 1
    columns = (x.shape[1] - ((width - 1) * dx + 1)) // across + 1
    groups = x.shape[2] // channels
    y = np.zeros((rows, columns, count))
    for k in range(count):
        first = k // (count // groups) * channels
        for i, j in np.ndindex(rows, columns):
            at = x[i * down : i * down + height * dy : dy, j * across : j * across + width * dx : dx]
            y[i, j, k] = (at[:height, :width, first : first + channels] * filters[..., k]).sum()
    return y + (rest[0].ravel() if rest and rest[0].size else 0)


def convt(fields: Fields, x: Array) -> Array:
    filters, *rest = weights_of(fields)  # FH x FW x K x C
    down, across = steps(fields, "upsample")
    height, width, count = filters.shape[:3]
    y = np.zeros(((x.shape[0] - 1) * down + height, (x.shape[1] - 1) * across + width, count))
    for i, j in np.ndindex(*x.shape[:2]):
        y[i * down : i * down + height, j * across : j * across + width] += filters @ x[i, j]
    top, bottom, left, right = margins(fields, "crop")
    y = y[top : y.shape[0] - bottom, left : y.shape[1] - right]
    return y + (rest[0].ravel() if rest and rest[0].size else 0)


def pool(fields: Fields, x: Array) -> Array:
    height, width = steps(fields, "pool")
    down, across = steps(fields, "stride")
    missing = padded(x, fields, np.nan)
    rows, columns = (missing.shape[0] - height) // down + 1, (missing.shape[1] - width) // across + 1
    pooled = np.nanmax if fields.get("method", "max") == "max" else np.nanmean
    y = np.zeros((rows, columns, x.shape[2]))
    for i, j in np.ndindex(rows, columns):
        y[i, j] = pooled(missing[i * down : i * down + height, j * across : j * across + width], axis=(0, 1))
    return y


def normalize(fields: Fields, x: Array) -> Array:
    size, kappa, alpha, beta = np.ravel(fields["param"])
    y = np.zeros_like(x)
    for k in range(x.shape[2]):
        first, last = k - int(np.floor((size - 1) / 2)), k + int(np.ceil((size - 1) / 2))
        total = (x[..., max(first, 0) : last + 1] ** 2).sum(axis=-1)
        y[..., k] = x[..., k] / (kappa + alpha * total) ** beta
    return y


def bnorm(fields: Fields, x: Array) -> Array:
    scale, offset, moments = weights_of(fields)
    return scale.ravel() * (x - moments[:, 0]) / moments[:, 1] + offset.ravel()


def softmax(fields: Fields, x: Array) -> Array:
    exponentials = np.exp(x - x.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def relu(fields: Fields, x: Array) -> Array:
    return np.where(x > 0, x, float(np.ravel(fields.get("leak", 0))[0]) * x)


COMPUTE = {
    "bnorm": bnorm,
    "conv": conv,
    "convt": convt,
    "dropout": lambda fields, x: x,
    "lrn": normalize,
    "normalize": normalize,
    "pool": pool,
    "relu": relu,
    "sigmoid": lambda fields, x: 1 / (1 + np.exp(-x)),
    "softmax": softmax,
    "softmaxloss": softmax,
}


def simplenn(net: Fields, image: Array) -> Array:
    """vl_simplenn in test mode; a softmaxloss gives its softmax."""
    for fields in net["layers"].ravel():
        image = COMPUTE[fields["type"]](fields, image)
    return image
