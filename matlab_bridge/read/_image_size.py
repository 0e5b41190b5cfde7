"""The size of images that a convolutional classifier was made for, where nothing in the file says it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from matlab_bridge._layer import Layer
from matlab_bridge.network import Connection

# No classifier of images this large goes without a record of their size.
_LARGEST = 1024


def smallest_classified(blocks: Sequence[Layer], connections: Sequence[Connection]) -> int:
    """The side of the smallest square image of which a network without padding makes one pixel.

    Args:
        blocks: MatConvNet's blocks without the input, in the order of execution.
        connections: between them.

    Returns:
        The side; 0 where even a single pixel becomes one, as in networks for images of any size, or where no
        image does.
    """
    sides = (side for side in range(1, _LARGEST + 1) if _output_side(blocks, connections, side) == 1)
    side = next(sides, 0)
    return side if side > 1 else 0


def _output_side(blocks: Sequence[Layer], connections: Sequence[Connection], side: int) -> int:
    """The side of the last block's output; 0 if the image is too small."""
    sides: dict[str, int] = {}
    sources = {connection.destination: connection.source for connection in connections}
    for block in blocks:
        side_in = sides.get(sources.get(block.name, ""), side)
        sides[block.name] = _side(block, side_in) if side_in > 0 else 0
    return sides[blocks[-1].name]


def _side(block: Layer, side: int) -> int:
    """The height of a block's output for that of its input."""
    if block.class_name == "dagnn.Conv":
        window = block.learnables["Weights"].shape[0]
    elif block.class_name == "dagnn.Pooling":
        window = int(np.ravel(block.settings["PoolSize"])[0])
    elif block.class_name == "dagnn.ConvTranspose":
        crop, step = np.ravel(block.settings["CroppingSize"]), int(np.ravel(block.settings["Stride"])[0])
        return (side - 1) * step + int(block.learnables["Weights"].shape[0]) - _both_edges(crop)
    else:
        return side
    dilation = int(np.ravel(block.settings.get("DilationFactor", 1))[0])
    padded = side + _both_edges(np.ravel(block.settings["PaddingSize"]))
    extent = (window - 1) * dilation + 1
    return (padded - extent) // int(np.ravel(block.settings["Stride"])[0]) + 1 if padded >= extent else 0


def _both_edges(margins: np.ndarray) -> int:
    """What is added above and below, of margins `[top bottom left right]` or of one number for every edge."""
    return int(margins[0] + margins[1]) if margins.size > 1 else 2 * int(margins[0])
