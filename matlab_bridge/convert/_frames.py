"""Sequences among the tensors of a converted network, and the images in them one by one.

| MATLAB's data format | Keras' shape       |
|----------------------|--------------------|
| `CB`                 | `(N, C)`           |
| `SSCB`               | `(N, H, W, C)`     |
| `CBT`                | `(N, T, C)`        |
| `SSCBT`              | `(N, T, H, W, C)`  |

The length T of a sequence is open, and every other size is known: an axis after the batch without a size is
the time.
"""

from __future__ import annotations

import keras

from ._site import Tensor, is_sequence, spatial_size


def has_frames(tensor: Tensor) -> bool:
    """Whether a tensor holds sequences of images, of one dimension or more."""
    return is_sequence(tensor) and bool(spatial_size(tensor))


def fold(tensor: Tensor) -> Tensor:
    """Sequences of images (N, T, H, W, C) as a batch of images (N T, H, W, C)."""
    return keras.ops.reshape(tensor, (-1, *tensor.shape[2:]))


def unfold(frames: Tensor, sequences: Tensor) -> Tensor:
    """A batch of images, or of what was made of each, as sequences again.

    Args:
        frames: (N T, ...).
        sequences: the tensor that was folded; N and T are its.

    Returns:
        (N, T, ...). A reshape would have to know T, so the frames are taken by their numbers.
    """
    ones = keras.ops.ones_like(sequences[(slice(None), slice(None), *(0,) * (len(sequences.shape) - 2))], dtype="int32")
    length = keras.ops.sum(ones, axis=1, keepdims=True)
    numbers = (keras.ops.cumsum(ones, axis=0) - 1) * length + keras.ops.cumsum(ones, axis=1) - 1
    return keras.ops.take(frames, numbers, axis=0)
