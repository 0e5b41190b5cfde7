"""Image files as imread returns them; resizing and colours against arithmetic written out here."""

from __future__ import annotations

import contextlib
import io
import struct
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from matlab_bridge import DatasetError
from matlab_bridge.datasets._expected import Expected
from matlab_bridge.datasets._images._decode import ImageFile, decode
from matlab_bridge.datasets._images._prepare import Preprocessing, resize_bilinear, rgb2gray, stack
from tests.matlab_bridge.datasets_by_hand import pixels

GRAY, COLOUR = pixels(0, 6, 5), pixels(1, 6, 5, 3)
NOTHING = Preprocessing()


def file(image, format_="PNG", **options):
    """An image in memory."""
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    stream = io.BytesIO()
    image.save(stream, format_, **options)
    return ImageFile("an image", stream.getvalue)


@pytest.mark.parametrize("format_", ["PNG", "BMP", "TIFF"])
@pytest.mark.parametrize("image", [GRAY, COLOUR], ids=["gray", "colour"])
def test_lossless_formats(format_, image):
    assert (decode(file(image, format_)) == image).all()


def test_jpeg_has_the_right_size_and_about_the_right_values():
    smooth = np.add.outer(np.arange(16), np.arange(24)).astype(np.uint8) * 5
    assert np.abs(decode(file(smooth, "JPEG", quality=95)).astype(int) - smooth).max() <= 3


def test_sixteen_bits_are_kept():
    image = np.array([[0, 1, 256], [65535, 300, 7]], dtype=np.uint16)
    got = decode(file(image))
    assert got.dtype == np.uint16
    assert (got == image).all()


def test_one_bit_images_are_logical():
    image = np.array([[True, False], [False, True]])
    got = decode(file(image))
    assert got.dtype == bool
    assert (got == image).all()


def test_indexed_images_become_the_colours_they_show():
    colours = np.array([[255, 0, 0], [0, 0, 255], [1, 2, 3]], dtype=np.uint8)
    indexed = Image.fromarray(np.array([[0, 1], [2, 0]], dtype=np.uint8), "P")
    indexed.putpalette(colours.tobytes())
    assert (decode(file(indexed)) == colours[[[0, 1], [2, 0]]]).all()
    indexed.putpalette(np.repeat([10, 20, 30], 3).astype(np.uint8).tobytes())
    assert decode(file(indexed)).tolist() == [[10, 20], [30, 10]]


def test_transparency_is_dropped():
    alpha = pixels(2, 6, 5, 1)
    assert (decode(file(np.concatenate([COLOUR, alpha], axis=2))) == COLOUR).all()
    both = Image.merge("LA", [Image.fromarray(GRAY), Image.fromarray(alpha[..., 0])])
    assert (decode(file(both)) == GRAY).all()


def test_of_several_frames_the_first():
    assert (decode(file(GRAY, "TIFF", save_all=True, append_images=[Image.fromarray(GRAY + 1)])) == GRAY).all()


@pytest.mark.parametrize("data", [b"", b"not an image", file(COLOUR).read()[:60]])
def test_what_is_no_image(data):
    with pytest.raises(DatasetError, match="a file cannot be read as an image"):
        decode(ImageFile("a file", lambda: data))


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"


@pytest.mark.parametrize(
    "data", [EPS, b"P5 2 2 255 abcd", *(file(COLOUR, kind).read() for kind in ("GIF", "ICO", "TGA"))]
)
def test_other_formats_are_not_opened_whatever_their_ending_says(data, monkeypatch):
    from PIL import EpsImagePlugin

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_, **__: pytest.fail("Ghostscript was started"))
    with pytest.raises(DatasetError, match="of another format than PNG, JPEG, BMP, TIFF"):
        decode(ImageFile("a.png", lambda: data))


def test_an_image_of_more_pixels_than_a_network_takes():
    header = file(COLOUR, "BMP").read()
    for width, height in ((8193, 8192), (2**16, 2**16), (2**31 - 1, 2**31 - 1)):
        large = header[:18] + struct.pack("<2i", width, height) + header[26:]
        with pytest.raises(DatasetError, match=r"a\.bmp"):
            decode(ImageFile("a.bmp", lambda large=large: large))


def test_every_damage_of_an_image_is_an_error_of_ours():
    chance = np.random.default_rng(0)
    for kind in ("PNG", "JPEG", "BMP", "TIFF"):
        raw = file(COLOUR, kind).read()
        for _ in range(400):
            data = bytearray(raw)
            for at in chance.integers(len(raw), size=chance.integers(1, 4)):
                data[at] = chance.choice([0, 1, 0x7F, 0xFF, data[at] ^ 1 << int(chance.integers(8))])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of Pillow, about the damage
                with contextlib.suppress(DatasetError):
                    decode(ImageFile("an image", lambda data=data: bytes(data)))


def test_rgb2gray_has_the_documented_weights():
    wanted = 0.2989 * COLOUR[..., 0] + 0.5870 * COLOUR[..., 1] + 0.1140 * COLOUR[..., 2]
    got = rgb2gray(COLOUR)
    assert got.dtype == np.uint8
    assert np.abs(got - wanted).max() <= 0.5
    assert rgb2gray(np.full((2, 2, 3), 0.25, np.float32)) == pytest.approx(0.25 * 0.9999)


def bilinear_by_definition(image, height, width):
    """One pixel at a time: the four neighbours of the point that the centre of an output pixel falls on."""
    out = np.empty((height, width))
    for y, x in np.ndindex(height, width):
        v = (y + 0.5) * image.shape[0] / height - 0.5
        u = (x + 0.5) * image.shape[1] / width - 0.5
        total = 0.0
        for i in (int(np.floor(v)), int(np.floor(v)) + 1):
            for j in (int(np.floor(u)), int(np.floor(u)) + 1):
                inside = image[min(max(i, 0), image.shape[0] - 1), min(max(j, 0), image.shape[1] - 1)]
                total += (1 - abs(v - i)) * (1 - abs(u - j)) * inside
        out[y, x] = total
    return out


@given(have=st.tuples(st.integers(1, 7), st.integers(1, 7)), want=st.tuples(st.integers(1, 9), st.integers(1, 9)))
def test_bilinear_resizing(have, want):
    image = np.random.default_rng(0).normal(size=have)
    assert resize_bilinear(image, want) == pytest.approx(bilinear_by_definition(image, *want), abs=1e-12)


def test_resizing_rounds_integers():
    got = resize_bilinear(COLOUR, (4, 9))
    assert got.dtype == np.uint8
    for channel in range(3):
        assert np.abs(got[..., channel] - bilinear_by_definition(COLOUR[..., channel], 4, 9)).max() <= 0.5 + 1e-9


def test_gray_and_colour_become_what_the_network_takes():
    files = [file(GRAY), file(COLOUR)]
    gray, text = stack(files, Expected("image", (6, 5, 1)), NOTHING)
    assert gray.shape == (2, 6, 5, 1)
    assert (gray[0, ..., 0] == GRAY).all()
    assert (gray[1, ..., 0] == rgb2gray(COLOUR)).all()
    assert "1 of them were converted to gray" in text
    colour, text = stack(files, Expected("image", (6, 5, 3)), NOTHING)
    assert (colour[0] == GRAY[..., np.newaxis]).all()
    assert (colour[1] == COLOUR).all()
    assert "1 of them were gray and are repeated" in text


@pytest.mark.parametrize(("color", "channels"), [("rgb2gray", 1), ("gray2rgb", 3)])
def test_without_a_network_the_datastore_says_which_colours(color, channels):
    images, _ = stack([file(GRAY), file(COLOUR)], Expected(), Preprocessing(color=color))
    assert images.shape == (2, 6, 5, channels)


def test_images_are_resized_where_the_datastore_says_so():
    files = [file(GRAY), file(pixels(3, 9, 9))]
    images, text = stack(files, Expected("image", (6, 5, 1)), Preprocessing((6, 5)))
    assert (images[0, ..., 0] == GRAY).all()
    assert (images[1, ..., 0] == resize_bilinear(pixels(3, 9, 9), (6, 5))).all()
    assert "1 of them were resized bilinearly" in text


def test_images_are_cropped_at_the_centre():
    images, text = stack([file(GRAY)], Expected(), Preprocessing((2, 3), "centercrop"))
    assert (images[0, ..., 0] == GRAY[2:4, 1:4]).all()
    assert "cropped at the centre" in text
    with pytest.raises(DatasetError, match="6 x 5 is smaller than the crop of 7 x 3"):
        stack([file(GRAY)], Expected(), Preprocessing((7, 3), "centercrop"))


def test_images_of_another_size_are_counted_in_the_error():
    files = [file(GRAY), file(GRAY), file(pixels(3, 9, 9))]
    with pytest.raises(DatasetError, match=r"2 of 6 x 5 x 1, 1 of 9 x 9 x 1.*28 x 28 x 1.*augmentedImageDatastore"):
        stack(files, Expected("image", (28, 28, 1)), NOTHING)
    with pytest.raises(DatasetError, match=r"several sizes: 2 of 6 x 5 x 1, 1 of 9 x 9 x 1. Pass network="):
        stack(files, Expected(), NOTHING)


def test_the_order_of_the_files_is_kept():
    images = [pixels(n, 6, 5) for n in range(40)]
    got, _ = stack([file(image) for image in images], Expected(), NOTHING)
    assert (got[..., 0] == np.stack(images)).all()
