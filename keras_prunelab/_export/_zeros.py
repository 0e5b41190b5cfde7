"""Whether the zeros of a model are zeros of a LiteRT file."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable

import keras
import numpy as np
from numpy.typing import NDArray

from keras_prunelab._backend import constant_values
from keras_prunelab._errors import InvalidModelError

Bits = NDArray[np.bool_]


def check_zeros(model: keras.Model, content: bytes, *, sparse: bool) -> int:
    """Make sure that a file has the zeros of its model.

    Args:
        model: the model.
        content: the LiteRT file.
        sparse: whether it may store zeros sparsely: their places are not looked at then.

    Returns:
        How many values of the file are not zero; constants of the graph count too.

    Raises:
        InvalidModelError: the file has more values than the model has weights that are not zero, and a few for each
            layer; or a kernel's zeros are not where they were.
    """
    weights = [np.asarray(keras.ops.convert_to_numpy(weight)) for weight in model.weights]
    constants: list[tuple[int, int]] = []
    by_size: dict[int, list[Bits]] = defaultdict(list)
    kernels = [weight == 0 for weight in weights if weight.ndim > 1 and not weight.all()]
    sizes = {kernel.size for kernel in kernels}
    for size, value in constant_values(content):
        constants.append((size, int(np.count_nonzero(value))))
        if not sparse and value.size == size and size in sizes:
            by_size[size].append((value == 0).reshape(-1))
    most = sum(int(np.count_nonzero(weight)) for weight in weights)
    # Shapes and axes are constants as well, and a normalization becomes a scale and an offset.
    allowance = 64 * (len(model._flatten_layers()) + 1)
    kept = _as_weights(constants, (weight.size for weight in weights))
    if kept > most + allowance:
        raise InvalidModelError(
            f"The LiteRT file of model {model.name!r} would hold {kept:,} values that are not zero, though the model "
            f"has {most:,} such weights. Nothing was written."
        )
    places = Counter(weight.size for weight in weights)
    for kernel in kernels:
        # Where there are fewer constants of this size, a kernel was split or joined, and only the count tells.
        found = by_size[kernel.size]
        if len(found) >= places[kernel.size] and not any(_has_zeros(bits, kernel) for bits in found):
            raise InvalidModelError(
                f"A kernel of shape {kernel.shape} of model {model.name!r} would lose some of its "
                f"{int(kernel.sum()):,} zeros in the LiteRT file. Nothing was written."
            )
    return sum(nonzeros for _, nonzeros in constants)


def _has_zeros(bits: Bits, kernel: Bits) -> bool:
    """Whether the zeros of a kernel are among those of a constant, which has the axes in any order."""
    axes = range(kernel.ndim)
    first = [(*axes[-1:], *axes[:-1]), tuple(axes)]  # of dense layers and convolutions, and of depthwise ones
    orders = dict.fromkeys(itertools.chain(first, itertools.permutations(axes)))
    return any(bits[kernel.transpose(order).reshape(-1)].all() for order in orders)


def _as_weights(constants: Iterable[tuple[int, int]], sizes: Iterable[int]) -> int:
    """How many values are not zero in those constants that may be weights.

    A causal mask, or a constant of the model's own, is no weight. A file does not say which is which, but by their
    sizes; of each size those with the fewest values are taken, as many as there are such weights.
    """
    places, total = Counter(sizes), 0
    for size, nonzeros in sorted(constants):
        if places[size]:
            places[size] -= 1
            total += nonzeros
    return total
