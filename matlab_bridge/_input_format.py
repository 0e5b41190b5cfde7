"""The format of an `inputLayer`: which of its sizes counts what."""

from __future__ import annotations

import numpy as np

from matlab_bridge._errors import UnsupportedLayerError
from matlab_bridge._layer import Layer


def dimensions(layer: Layer) -> tuple[tuple[str, int | None], ...]:
    """The letters of the layer's `InputFormat` with its sizes, in MATLAB's order S, C, B, T.

    Args:
        layer: an `inputLayer`: `InputFormat` is text such as `"SSCB"` (spatial, channel, batch, time).

    Returns:
        Pairs of a letter and a size; None where the size is free (NaN).

    Raises:
        UnsupportedLayerError: there are not as many letters as sizes.

    Examples:
        >>> dimensions(Layer("in", "nnet.cnn.layer.InputLayer", {"InputFormat": "BC", "InputSize": [np.nan, 4]}))
        (('C', 4), ('B', None))
    """
    letters = str(np.ravel(layer.settings.get("InputFormat", ""))[0])
    sizes = np.ravel(np.asarray(layer.settings.get("InputSize", ()), dtype=float))
    if len(letters) != sizes.size:
        raise UnsupportedLayerError(
            f"its InputFormat {letters!r} and its InputSize {sizes.tolist()} do not have as many elements"
        )
    pairs = [(letter, None if np.isnan(size) else int(size)) for letter, size in zip(letters, sizes, strict=True)]
    return tuple(sorted(pairs, key=lambda pair: "SCBT".find(pair[0])))


def observation(layer: Layer) -> tuple[str, tuple[int | None, ...]]:
    """The letters and the sizes of one observation: those of `dimensions` without the batch.

    Examples:
        >>> observation(Layer("in", "nnet.cnn.layer.InputLayer", {"InputFormat": "BC", "InputSize": [np.nan, 4]}))
        ('C', (4,))
    """
    pairs = [pair for pair in dimensions(layer) if pair[0] != "B"]
    return "".join(letter for letter, _ in pairs), tuple(size for _, size in pairs)
