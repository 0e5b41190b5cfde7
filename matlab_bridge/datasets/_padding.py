"""Sequences of unequal length as one array, with a mask that says which time steps are theirs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from matlab_bridge._errors import DatasetError

from ._values import Array, Sequences

Side = Literal["left", "right"]


@dataclass(frozen=True, eq=False)
class Padded:
    """Sequences filled up to one length.

    Attributes:
        inputs: `(N, T, C)`.
        mask: bool `(N, T)`, True where a time step belongs to the sequence.
        labels: one a sequence, as they were; or one a time step, `(N, T)` or `(N, T, R)`, zero where the mask
            is False; None without labels.
        sample_weight: for Keras' `fit` and `evaluate`, the mask as float32 `(N, T)`, where each time step has
            its label; else None.
    """

    inputs: Array
    mask: Array
    labels: Array | None
    sample_weight: Array | None


def pad(
    sequences: Sequences,
    labels: Array | Sequences | None,
    *,
    side: Side = "right",
    value: float = 0.0,
    length: int | None = None,
) -> Padded:
    """Sequences filled up to one length; each is copied once.

    Args:
        sequences: N arrays `(T, C)` of the same C.
        labels: as those of a `Dataset`.
        side: where the padding goes; `"right"` is behind the sequence, as MATLAB's `SequencePaddingDirection`.
        value: what it is filled with. A value that the sequences' type cannot hold makes float32 of them.
        length: T; by default that of the longest sequence.

    Raises:
        ValueError: for another side.
        DatasetError: if the sequences have not the same number of channels, or one is longer than `length`.
    """
    if side not in ("left", "right"):
        raise ValueError(f"side is {side!r}; padding goes to the 'left' or to the 'right'.")
    widths = {sequence.shape[1:] for sequence in sequences}
    if len(widths) != 1:
        raise DatasetError(
            f"The sequences have {' and '.join(str(width[0]) for width in sorted(widths)) or 'no'} channels. "
            "Only sequences with the same number of channels can lie in one array."
        )
    lengths = np.array([len(sequence) for sequence in sequences])
    steps = int(lengths.max()) if length is None else length
    if steps < lengths.max():
        raise DatasetError(f"The longest sequence has {lengths.max()} time steps, more than length={length}.")
    position = np.arange(steps)
    first = 0 if side == "right" else steps - lengths[:, np.newaxis]
    mask = (position >= first) & (position < first + lengths[:, np.newaxis])
    inputs = _fill(sequences, mask, value, _dtype(sequences, value))
    if not isinstance(labels, list):
        return Padded(inputs, mask, labels, None)
    return Padded(inputs, mask, _fill(labels, mask, 0, labels[0].dtype), mask.astype(np.float32))


def _fill(parts: Sequences, mask: Array, value: float, dtype: Any) -> Array:
    whole = np.full((*mask.shape, *parts[0].shape[1:]), value, dtype)
    for row, belongs, part in zip(whole, mask, parts, strict=True):
        start = int(belongs.argmax())
        row[start : start + len(part)] = part
    return whole


def _dtype(sequences: Sequences, value: float) -> Any:
    dtype = np.result_type(*{sequence.dtype for sequence in sequences})
    if dtype.kind not in "iu":
        return dtype
    bounds = np.iinfo(dtype)
    return dtype if float(value).is_integer() and bounds.min <= value <= bounds.max else np.dtype(np.float32)
