"""Image files, decoded as MATLAB's `imread` does."""

from __future__ import annotations

import io
import re
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile as PillowFile

from matlab_bridge._errors import DatasetError
from matlab_bridge.datasets._values import Array

EXTENSIONS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})

# Pillow opens many more, some of them with other programs, such as PostScript with Ghostscript.
_FORMATS = ("PNG", "JPEG", "BMP", "TIFF")
_MOST_PIXELS = 1 << 26
# What Pillow's readers raise where bytes are not what they expect.
_DAMAGE = (
    *(OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, ArithmeticError, AttributeError),
    *(struct.error, Image.DecompressionBombError, Image.DecompressionBombWarning),
)
# Pillow's names for 16 bits a channel, of which it reads 8.
_WIDE = re.compile(r"(LA|RGB[AX]?);16[BLN]")


@dataclass(frozen=True)
class ImageFile:
    """An image that has not been decoded yet.

    Attributes:
        name: for messages, and for the order.
        read: its bytes.
    """

    name: str
    read: Callable[[], bytes]

    @classmethod
    def of(cls, path: Path) -> ImageFile:
        """An image in a file of its own."""
        return cls(str(path), path.read_bytes)


def decode(file: ImageFile) -> Array:
    """An image as `imread` returns it, except that indexed images become the colours that they show.

    Args:
        file: PNG, JPEG, BMP or TIFF; of several frames, the first.

    Returns:
        `(H, W)` or `(H, W, 3)`: uint8, uint16 for 16 bits, bool for 1-bit images, float32. Transparency
        is dropped.

    Raises:
        DatasetError: if it is no image of these formats, or one of more than 2^26 pixels (8192 x 8192).
    """
    try:
        content = file.read()
        with _open(content) as image:
            return _wide_pixels(image, content) if _is_wide(image) else _pixels(image)
    except DatasetError as error:
        raise type(error)(f"{file.name}: {error}") from error
    except UnidentifiedImageError as error:
        raise DatasetError(
            f"{file.name} cannot be read as an image: it is damaged, or of another format than {', '.join(_FORMATS)}."
        ) from error
    except _DAMAGE as error:
        raise DatasetError(f"{file.name} cannot be read as an image: {error}") from error


def _open(content: bytes) -> PillowFile:
    """An image of one of the formats, its pixels not decoded yet, and not too many."""
    image = Image.open(io.BytesIO(content), formats=_FORMATS)
    if image.width * image.height > _MOST_PIXELS:
        raise DatasetError(f"it has {image.width} x {image.height} pixels; at most 2^26 (8192 x 8192) are read.")
    return image


def _is_wide(image: Image.Image) -> bool:
    """Whether an image has 16 bits a channel and several channels, of which Pillow keeps the upper 8 bits."""
    return any(_WIDE.fullmatch(_raw_mode(tile)) for tile in getattr(image, "tile", ()))


def _raw_mode(tile: Any) -> str:
    """How the bytes of a tile lie, such as `"RGB;16B"`."""
    return str(tile[3] if isinstance(tile[3], str) else tile[3][0] if tile[3] else "")


def _wide_pixels(image: Image.Image, content: bytes) -> Array:
    """Gray or colours of 16 bits, read twice: a number with its bytes swapped has the lower one where Pillow looks."""
    mode = _raw_mode(image.tile[0])  # type: ignore[attr-defined]  # an image that comes from a file has tiles
    if mode.startswith("LA"):  # two numbers of 16 bits are as many bytes as four of 8
        four = _read_as(content, "RGBA", "RGBA").astype(np.uint16)
        return four[..., 0] << 8 | four[..., 1]
    stem, order = mode[:-1], mode[-1]
    is_big = order == "B" or (order == "N" and sys.byteorder == "big")
    upper, lower = (_read_as(content, image.mode, stem + swapped) for swapped in ("BL" if is_big else "LB"))
    return upper[..., :3].astype(np.uint16) << 8 | lower[..., :3]


def _read_as(content: bytes, mode: str, raw_mode: str) -> Array:
    """An image whose bytes are taken for others than it says."""
    with _open(content) as image:
        image._mode = mode  # Pillow has no other way to change what a file says of itself
        image.tile = [
            tile._replace(args=(raw_mode, *tile[3][1:]) if isinstance(tile[3], tuple) else raw_mode)
            for tile in image.tile
        ]
        return np.asarray(image)


def _pixels(image: Image.Image) -> Array:
    if image.mode in {"P", "PA"}:
        colours = np.asarray(image.convert("RGB"))
        gray = bool((colours == colours[..., :1]).all())
        return colours[..., 0] if gray else colours
    if image.mode == "LA":
        return np.asarray(image.convert("L"))
    if image.mode.startswith("I"):
        wide = np.asarray(image)
        return wide.astype(np.uint16) if wide.min() >= 0 and wide.max() <= 65535 else wide.astype(np.float32)
    return np.asarray(image if image.mode in {"L", "1", "F", "RGB"} else image.convert("RGB"))
