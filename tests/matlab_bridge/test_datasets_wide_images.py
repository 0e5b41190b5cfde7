"""Images of 16 bits a channel, written by hand after the specifications of PNG and TIFF: all bits are read."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matlab_bridge.datasets._images._decode import ImageFile, decode

CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}  # of PNG's colour types


def pixels(channels, height=5, width=7):
    return np.random.default_rng(channels).integers(0, 2**16, (height, width, channels), dtype=np.uint16)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(image, colour, *, row_filter=0):
    """A PNG of 16 bits, each row filtered by 0 (None), 1 (Sub) or 2 (Up): section 9 of the specification."""
    height, width, channels = image.shape
    rows = image.astype(">u2").reshape(height, -1).view(np.uint8).reshape(height, -1)
    step = 2 * channels
    before = np.zeros_like(rows)
    if row_filter == 1:
        before[:, step:] = rows[:, :-step]
    elif row_filter == 2:
        before[1:] = rows[:-1]
    lines = b"".join(bytes([row_filter]) + row.tobytes() for row in rows - before)
    header = struct.pack(">2I5B", width, height, 16, colour, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return ImageFile("a PNG", lambda: b"\x89PNG\r\n\x1a\n" + data)


def tiff(image, order):
    """An uncompressed TIFF of one strip; its first tags are those that the specification asks of RGB images."""
    height, width, channels = image.shape
    data = image.astype(f"{order}u2").tobytes()
    bits = 8 + len(data)
    tags = [(256, 4, width), (257, 4, height), (258, 3, None), (259, 3, 1), (262, 3, 2), (273, 4, 8)]
    tags += [(277, 3, channels), (278, 4, height), (279, 4, len(data))]
    entries = b""
    for tag, kind, value in tags:
        if value is None:
            entries += struct.pack(f"{order}2H2I", tag, kind, channels, bits)
        else:
            entries += struct.pack(f"{order}2HI", tag, kind, 1) + struct.pack(
                order + ("I" if kind == 4 else "H2x"), value
            )
    mark = b"II" if order == "<" else b"MM"
    directory = bits + 2 * channels
    head = mark + struct.pack(f"{order}HI", 42, directory) + data + struct.pack(f"{order}{channels}H", *[16] * channels)
    return ImageFile("a TIFF", lambda: head + struct.pack(f"{order}H", len(tags)) + entries + b"\0" * 4)


@pytest.mark.parametrize("row_filter", [0, 1, 2])
@pytest.mark.parametrize("colour", CHANNELS)
def test_png_of_16_bits(colour, row_filter):
    image = pixels(CHANNELS[colour])
    expected = image[..., 0] if colour in (0, 4) else image[..., :3]  # imread drops transparency
    found = decode(png(image, colour, row_filter=row_filter))
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, expected)


@given(st.lists(st.integers(0, 2**16 - 1), min_size=3, max_size=3))
def test_every_number_of_a_pixel(values):
    image = np.array(values, np.uint16).reshape(1, 1, 3)
    assert decode(png(image, 2)).tolist() == [[values]]


@pytest.mark.parametrize("order", ["<", ">"])
def test_tiff_of_16_bits(order):
    image = pixels(3)
    found = decode(tiff(image, order))
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, image)
