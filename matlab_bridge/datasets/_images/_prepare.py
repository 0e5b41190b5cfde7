"""Images of files as one array, brought to the size and colours that a network takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from matlab_bridge._errors import DatasetError, UnsafeArchiveError
from matlab_bridge.datasets._expected import Expected
from matlab_bridge.datasets._values import Array, as_input, size_text

from ._decode import ImageFile, decode

# rgb2gray's documentation gives these weights: https://www.mathworks.com/help/matlab/ref/rgb2gray.html
_GRAY_WEIGHTS = (0.2989, 0.5870, 0.1140)


@dataclass(frozen=True)
class Preprocessing:
    """What an augmented image datastore does to each image.

    Attributes:
        size: (H, W) of the images that it gives, or None for those of the files.
        mode: `"resize"`, `"centercrop"` or `"randcrop"`; a random crop is taken at the centre.
        color: `"none"`, `"gray2rgb"` or `"rgb2gray"`.
    """

    size: tuple[int, int] | None = None
    mode: str = "resize"
    color: str = "none"


def stack(
    files: Iterable[ImageFile], expected: Expected, preprocessing: Preprocessing, limit: int | None = None
) -> tuple[Array, str]:
    """Images of one size, one after the other.

    Args:
        files: in the order of the observations.
        expected: the network's input; gray and colour are converted where it needs that.
        preprocessing: what a datastore asks for.
        limit: the most bytes that the images of an archive may take.

    Returns:
        The images `(N, H, W, C)`, and a sentence about what was done to them.

    Raises:
        DatasetError: if the images have several sizes, or not the network's size.
        UnsafeArchiveError: if they take more than the limit.
    """
    channels = expected.size[-1] if expected.kind == "image" else None
    color = {1: "rgb2gray", 3: "gray2rgb"}.get(channels or 0, preprocessing.color)

    def prepared(file: ImageFile) -> tuple[Array, Array]:
        image = decode(file)
        return _convert_images(_resize(image, preprocessing), color), np.array(image.shape)

    images: list[Array] = []
    originals: list[tuple[int, ...]] = []
    total = 0
    with ThreadPoolExecutor() as pool:
        for image, shape in pool.map(prepared, files):
            total += image.nbytes
            if limit is not None and total > limit:
                pool.shutdown(cancel_futures=True)
                raise UnsafeArchiveError(f"Decoded, the images take more than {limit} bytes. max_bytes= allows more.")
            images.append(image)
            originals.append(tuple(int(length) for length in shape))
    _check_sizes(images, expected)
    return as_input(np.stack(images)), _what_was_done(images, originals, preprocessing)


def _convert_images(image: Array, color: str) -> Array:
    """An image with a channel dimension, gray or coloured as asked."""
    if color == "rgb2gray" and image.ndim == 3:
        return rgb2gray(image)[..., np.newaxis]
    if color == "gray2rgb" and image.ndim == 2:
        return np.repeat(image[..., np.newaxis], 3, axis=2)
    return image if image.ndim == 3 else image[..., np.newaxis]


def rgb2gray(image: Array) -> Array:
    """Luminance with the weights of `rgb2gray`'s documentation: 0.2989 R + 0.5870 G + 0.1140 B.

    Args:
        image: `(H, W, 3)`, any numeric type.

    Returns:
        `(H, W)` of the same type; integers are rounded, halves upwards.
    """
    return _as_type(image.astype(np.float64) @ np.array(_GRAY_WEIGHTS), image.dtype)


def _resize(image: Array, preprocessing: Preprocessing) -> Array:
    size = preprocessing.size
    if size is None or image.shape[:2] == size:
        return image
    if preprocessing.mode == "resize":
        return resize_bilinear(image, size)
    top, left = ((have - want) // 2 for have, want in zip(image.shape[:2], size, strict=True))
    if top < 0 or left < 0:
        raise DatasetError(f"An image of {size_text(image.shape)} is smaller than the crop of {size_text(size)}.")
    return image[top : top + size[0], left : left + size[1]]


def resize_bilinear(image: Array, size: tuple[int, int]) -> Array:
    """Bilinear interpolation without antialiasing, the way an `augmentedImageDatastore` resizes.

    Pixel centres are aligned as `imresize` does: output pixel i lies at (i + 0.5) * in / out - 0.5, and the
    border is repeated. See OutputSizeMode at
    https://www.mathworks.com/help/deeplearning/ref/augmentedimagedatastore.html

    Args:
        image: `(H, W)` or `(H, W, C)`.
        size: the new (H, W).

    Returns:
        The resized image, of the same type; integers are rounded.
    """
    result = image.astype(np.float64)
    for axis, (have, want) in enumerate(zip(image.shape[:2], size, strict=True)):
        position = np.clip((np.arange(want) + 0.5) * have / want - 0.5, 0, have - 1)
        below = np.floor(position).astype(np.intp)
        above = np.minimum(below + 1, have - 1)
        share = (position - below).reshape([-1 if a == axis else 1 for a in range(image.ndim)])
        result = result.take(below, axis) * (1 - share) + result.take(above, axis) * share
    return _as_type(result, image.dtype)


def _as_type(values: Array, dtype: np.dtype[np.generic]) -> Array:
    if dtype.kind == "b":
        return values >= 0.5
    return np.floor(values + 0.5).astype(dtype) if dtype.kind in "iu" else values.astype(dtype)


def _check_sizes(images: list[Array], expected: Expected) -> None:
    sizes = Counter(image.shape for image in images)
    wanted = expected.size if expected.kind == "image" else sizes.most_common(1)[0][0]
    if set(sizes) == {wanted}:
        return
    found = ", ".join(f"{count} of {size_text(shape)}" for shape, count in sizes.most_common(5))
    if expected.kind != "image":
        raise DatasetError(
            f"The images have several sizes: {found}. Pass network=, whose input size says which is right, "
            "or resize them."
        )
    raise DatasetError(
        f"The images are {found}, but the network takes {expected}. Resize the files; or let MATLAB do it "
        f"with augimds = augmentedImageDatastore([{wanted[0]} {wanted[1]}], imds) and save augimds; or save "
        "the images as an array."
    )


def _what_was_done(images: list[Array], originals: list[tuple[int, ...]], preprocessing: Preprocessing) -> str:
    text = f"{len(images)} images of {size_text(images[0].shape)}."
    resized = sum(before[:2] != after.shape[:2] for before, after in zip(originals, images, strict=True))
    if resized:
        how = "resized bilinearly" if preprocessing.mode == "resize" else "cropped at the centre"
        text += f" {resized} of them were {how}, as the datastore says."
    grayed = sum(len(before) == 3 and after.shape[2] == 1 for before, after in zip(originals, images, strict=True))
    if grayed:
        text += f" {grayed} of them were converted to gray (rgb2gray)."
    coloured = sum(len(before) == 2 and after.shape[2] == 3 for before, after in zip(originals, images, strict=True))
    if coloured:
        text += f" {coloured} of them were gray and are repeated in three channels."
    return text
