"""Pixels in other places: between space and depth, and parts cut out of images."""

from __future__ import annotations

from typing import final

import keras

from matlab_bridge._errors import UnsupportedLayerError
from matlab_bridge._layer import Layer
from matlab_bridge.convert._rules import LayerRule, RankedRule, register_layer, register_ranks
from matlab_bridge.convert._site import Site, Tensor

from ._settings import no_single_number, numbers, own_numbers, single_numbers, sizes, text
from ._window import sizes_of

_MODES = ("dcr", "crd")
_CROPPINGS = {2: keras.layers.Cropping2D, 3: keras.layers.Cropping3D}


@register_layer("nnet.cnn.layer.DepthToSpace2DLayer")
@final
class DepthToSpace2D(LayerRule):
    """`depthToSpace2dLayer`: each pixel becomes a block of pixels with fewer channels.

    `Mode` names what runs fastest in the channels: in `"dcr"` depth, then the column and the row in the block; in
    `"crd"` the column, then the row and depth, as in ONNX' `DepthToSpace`, which MATLAB imports as this layer.

    Source: https://www.mathworks.com/help/images/ref/nnet.cnn.layer.depthtospace2dlayer.html and
        https://onnx.ai/onnx/operators/onnx__DepthToSpace.html
    """

    per_frame = True

    def objection(self, layer: Layer) -> str | None:
        mode = text(layer, "Mode", "dcr").lower()
        return None if mode in _MODES else f"its Mode is {mode!r}, which is none of {', '.join(map(repr, _MODES))}"

    def build(self, site: Site) -> Tensor:
        """The block's dimensions are split off the channels, and put beside the image's."""
        images = site.image
        (rows, columns), (height, width, channels) = sizes(site.layer, "BlockSize", 2), images.shape[1:]
        depth, rest = divmod(channels, rows * columns)
        if rest:
            raise UnsupportedLayerError(f"its blocks of {rows}x{columns} do not divide {channels} channels")
        if text(site.layer, "Mode", "dcr").lower() == "dcr":
            parts, order = (rows, columns, depth), (1, 3, 2, 4, 5)
        else:
            parts, order = (depth, rows, columns), (1, 4, 2, 5, 3)
        split = keras.layers.Reshape((height, width, *parts), name=site.helper("blocks"))(images)
        split = keras.layers.Permute(order, name=site.helper("order"))(split)
        return keras.layers.Reshape((height * rows, width * columns, depth), name=site.name)(split)


@register_layer("nnet.cnn.layer.SpaceToDepthLayer")
@final
class SpaceToDepth(LayerRule):
    """`spaceToDepthLayer`: each block of pixels becomes one pixel; `DepthToSpace2D` with `"dcr"` undoes it.

    Source: https://www.mathworks.com/help/vision/ref/nnet.cnn.layer.spacetodepthlayer.html and
        https://onnx.ai/onnx/operators/onnx__SpaceToDepth.html, which MATLAB imports as this layer
    """

    per_frame = True

    def build(self, site: Site) -> Tensor:
        """The block's dimensions are split off the image's, and put before the channels."""
        images = site.image
        (rows, columns), (height, width, depth) = sizes(site.layer, "BlockSize", 2), images.shape[1:]
        if height % rows or width % columns:
            raise UnsupportedLayerError(f"its blocks of {rows}x{columns} do not divide {height}x{width} pixels")
        shape = (height // rows, rows, width // columns, columns, depth)
        split = keras.layers.Reshape(shape, name=site.helper("blocks"))(images)
        split = keras.layers.Permute((1, 3, 2, 4, 5), name=site.helper("order"))(split)
        return keras.layers.Reshape((height // rows, width // columns, rows * columns * depth), name=site.name)(split)


@register_ranks("nnet.cnn.layer.Crop{rank}DLayer", 2, 3)
@final
class Crop(RankedRule):
    """The part of an image that is as large as a reference: from the middle, or from a pixel `[X Y Z]` on."""

    per_frame = True

    def build(self, site: Site) -> Tensor:
        if len(site.inputs) != 2:
            raise UnsupportedLayerError("it needs an image and a reference, at the ports 'in' and 'ref'")
        images, reference = (site.as_image(tensor, self.rank) for tensor in site.inputs)
        spare = [
            int(have or 0) - int(want or 0) for have, want in zip(*map(sizes_of, (images, reference)), strict=True)
        ]
        if text(site.layer, "Mode", "centercrop") == "centercrop":
            if any(number % 2 for number in spare):
                raise UnsupportedLayerError(
                    f"it crops {spare} pixels from the middle, and at which side the odd one goes is not documented"
                )
            first = [number // 2 for number in spare]
        else:
            x, y, *z = (int(number) - 1 for number in numbers(site.layer, "Location"))
            first = [y, x, *z]
        cuts = tuple((start, number - start) for start, number in zip(first, spare, strict=True))
        if min(map(min, cuts)) < 0:
            raise UnsupportedLayerError(f"its reference, of shape {reference.shape}, does not lie in its input")
        return _CROPPINGS[self.rank](cuts, name=site.name)(images)


@register_layer("nnet.keras.layer.ZeroPadding2dLayer")
@final
class ZeroPadding(LayerRule):
    """The zero padding of networks that MATLAB imported from Keras, where it is the same on all sides.

    In which order it keeps the four sides is not documented.
    """

    per_frame = True

    def objection(self, layer: Layer) -> str | None:
        """No numbers, or several."""
        amounts = {float(number) for value in own_numbers(layer).values() for number in value.ravel()}
        if len(amounts) == 1:
            return None
        return f"it pads {sorted(amounts)} pixels, and in which order it keeps its sides is not documented"

    def build(self, site: Site) -> Tensor:
        (amount, *_) = (int(value.flat[0]) for value in own_numbers(site.layer).values())
        return keras.layers.ZeroPadding2D(amount, name=site.name)(site.image)


@register_layer("nnet.shufflenet.layer.ChannelShufflingLayer")
@final
class ChannelShuffle(LayerRule):
    """The shuffle of MATLAB's pretrained ShuffleNet: of each group the first channel, then of each the second, and on.

    The name of the number of groups is not documented: it is the only number among the layer's own properties.

    Source: https://arxiv.org/abs/1707.01083, section 3.1
    """

    per_frame = True

    def objection(self, layer: Layer) -> str | None:
        """No number, or several."""
        return no_single_number(layer, "the number of groups")

    def build(self, site: Site) -> Tensor:
        """Groups x channels, transposed."""
        (groups,) = map(int, single_numbers(site.layer).values())
        height, width, channels = site.image.shape[1:]
        if groups < 1 or channels % groups:
            raise UnsupportedLayerError(f"its {groups} groups do not divide {channels} channels")
        parts = keras.layers.Reshape((height, width, groups, channels // groups), name=site.helper("groups"))
        order = keras.layers.Permute((1, 2, 4, 3), name=site.helper("order"))
        return keras.layers.Reshape((height, width, channels), name=site.name)(order(parts(site.image)))
