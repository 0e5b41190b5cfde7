"""Max unpooling: the maxima of a pooling, put back where it found them, with zeros everywhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import keras
import numpy as np

from matlab_bridge._errors import InvalidNetworkError
from matlab_bridge.convert._rules import LayerRule, register_layer
from matlab_bridge.convert._site import Site, Tensor

from ._elementwise import add_inputs
from ._window import Margins, Window, pad


def with_places(site: Site, images: Tensor, pooled: Tensor, window: Window, margins: Margins) -> Mapping[str, Tensor]:
    """The ports of a max pooling with `HasUnpoolingOutputs`.

    Args:
        site: of the pooling.
        images: (N, H, W, C), as they reach the layer.
        pooled: (N, H', W', C), the maxima.
        window: the pooling's; its windows do not overlap.
        margins: the pooling's padding.

    Returns:
        `out`, the maxima; `indices`, int32 (N, H', W', C), the number of each maximum's pixel when the rows of
        its image are counted one after the other, of equal maxima of a window that which comes first in
        MATLAB's order, down the columns; `size`, the images themselves, which have it.
    """
    (top, _), (left, _) = margins.pairs
    (height, width), (down, right) = window.size, window.stride
    rows, columns = pooled.shape[1:3]
    around = pad(site, images, margins, -np.inf)
    seen = [
        around[:, i : i + down * (rows - 1) + 1 : down, j : j + right * (columns - 1) + 1 : right]
        for j in range(width)
        for i in range(height)
    ]
    chosen = keras.ops.cast(keras.ops.argmax(keras.ops.stack(seen, axis=-1), axis=-1), "int32")
    offsets = np.array([i * images.shape[2] + j for j in range(width) for i in range(height)], dtype="int32")
    starts = (np.arange(rows) * down - top)[:, None] * images.shape[2] + np.arange(columns) * right - left
    places = add_inputs(keras.ops.take(offsets, chosen), starts.astype("int32")[None, :, :, None])
    return {"out": pooled, "indices": places, "size": images}


@register_layer("nnet.cnn.layer.MaxUnpooling2DLayer")
@final
class MaxUnpooling2D(LayerRule):
    """`maxUnpooling2dLayer`: three inputs, the values and the two further outputs of a max pooling."""

    def build(self, site: Site) -> Tensor:
        """The values written into an image of zeros."""
        indices, images = site.at("indices"), site.at("size")
        if indices is None or images is None:
            raise InvalidNetworkError(
                f"The layer {site.layer.name!r} (MaxUnpooling2DLayer) needs the indices and the size that a max "
                f"pooling with HasUnpoolingOutputs gives; connected are {', '.join(site.ports) or 'none'}."
            )
        height, width, channels = images.shape[1:]
        ones = keras.ops.ones_like(indices)
        observations = keras.ops.cumsum(ones, axis=0) - 1
        addresses = [observations, indices, ones * np.arange(channels, dtype="int32")]
        flat = keras.ops.reshape(keras.ops.zeros_like(images), (-1, height * width, channels))
        filled = keras.ops.scatter_update(
            flat,
            keras.ops.reshape(keras.ops.stack(addresses, axis=-1), (-1, 3)),
            keras.ops.reshape(site.input, (-1,)),
        )
        return keras.layers.Reshape((height, width, channels), name=site.name)(filled)
