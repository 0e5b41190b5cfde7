"""Networks that expect data, image files, and stored lists of files, made for the tests of datasets."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from matlab_bridge import Connection, Layer, Network
from tests.matlab_bridge.networks_by_hand import NNET, row


def network(
    kind: str, *size: int, outputs: int = 3, class_names: Sequence[str] = (), regression: bool = False
) -> Network:
    """An input layer and a fully connected layer: each output is one of the first inputs."""
    weights = np.eye(outputs, int(np.prod(size)), dtype=np.float32)
    end = f"{NNET}RegressionOutputLayer" if regression else f"{NNET}SoftmaxLayer"
    return Network(
        (
            Layer("in", f"{NNET}{kind}InputLayer", {"InputSize": row(*size)}),
            Layer(
                "fc",
                f"{NNET}FullyConnectedLayer",
                {"InputSize": row(int(np.prod(size))), "OutputSize": row(outputs)},
                {"Weights": weights, "Bias": np.zeros((outputs, 1), np.float32)},
            ),
            Layer("end", end),
        ),
        (Connection("in", "fc"), Connection("fc", "end")),
        class_names=tuple(class_names),
    )


def cell(*elements: Any, as_row: bool = False) -> np.ndarray[Any, Any]:
    """A MATLAB cell, a column unless it is to be a row."""
    array = np.empty((len(elements), 1), dtype=object)
    for index, element in enumerate(elements):
        array[index, 0] = element
    return array.T if as_row else array


def pixels(seed: int, *shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def image_file(path: Path, image: np.ndarray[Any, Any]) -> Path:
    """An image written by Pillow."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    return path


def digit_folders(root: Path, classes: Sequence[str] = ("0", "1", "2"), each: int = 2) -> dict[str, Any]:
    """A folder a class with gray 6 x 5 images; the images by path inside the root."""
    images = {
        f"{name}/image{number}.png": pixels(10 * index + number, 6, 5)
        for index, name in enumerate(classes)
        for number in range(each)
    }
    for name, image in images.items():
        image_file(root / name, image)
    return images


def stored_files(
    folder: Sequence[str],
    files: Sequence[tuple[str, str]],
    *,
    separator: str = "/",
    shuffled: Sequence[int] = (),
) -> dict[str, Any]:
    """The struct in which MATLAB keeps the files of an image datastore.

    Args:
        folder: the folders above, from the root, such as `("/", "home", "me")`.
        files: (class folder, file name) in the order of the tree; a change of the folder begins a run.
        separator: of the machine that wrote them.
        shuffled: 1-based order of the datastore.
    """
    classes = list(dict.fromkeys(name for name, _ in files))
    shape, names = [1] * (len(folder) - 1) + [1], list(folder)
    for position, name in enumerate(classes):
        inside = [file for owner, file in files if owner == name]
        shape.append(1 if position == len(classes) - 1 else 3)
        names.append(name)
        shape += [2] * (len(inside) - 1) + [0]
        names += inside
    runs: list[list[int]] = []  # [where it ends, class, first file in it]
    seen = dict.fromkeys(classes, 0)
    for end, (name, _) in enumerate(files, start=1):
        if not runs or runs[-1][1] != classes.index(name):
            runs.append([end, classes.index(name), seen[name]])
        runs[-1][0] = end
        seen[name] += 1
    prefix = [0] * len(folder)
    starts = [[*prefix, index] if first == 0 else [*prefix, index, first] for _, index, first in runs]

    characters = "".join(dict.fromkeys("".join(names)))
    codes, tree = _prefix_code(characters)
    body = _counted(_bits(tree)) + struct.pack("<Q", len(shape)) + bytes(shape)
    body += struct.pack("<QB", len(names), 0)
    for name in names:
        field = _bits([bit for character in name for bit in codes[character]])
        body += bytes([len(field)]) + field
    body += struct.pack("<BBBB", 1, 1, 0, len(runs)) + struct.pack(f"<{len(runs)}H", *(run[0] for run in runs))
    body += struct.pack("<QBB", len(starts), 0, 0)
    for start in starts:
        body += bytes([len(start), *start])
    data = struct.pack("<Q", len(body)) + zlib.compress(body)
    return {
        "OriginalFileSep": separator,
        "NumFiles": np.array([[float(len(files))]]),
        "ShuffledIndices": np.array([shuffled], dtype=float) if shuffled else np.empty((0, 0)),
        "StringTree": characters,
        "PathTree": np.frombuffer(data, np.uint8)[:, np.newaxis],
    }


def _prefix_code(characters: str) -> tuple[dict[str, list[int]], list[int]]:
    """A code in which no character's bits begin another's, and the shape of its tree in preorder."""
    if len(characters) == 1:
        return {characters: []}, [1]
    # Unequal halves, so that the lengths of the codes differ as those of a Huffman code do.
    cut = max(1, len(characters) // 3)
    codes: dict[str, list[int]] = {}
    tree = [0]
    for bit, half in enumerate((characters[:cut], characters[cut:])):
        inner, shape = _prefix_code(half)
        codes |= {character: [bit, *code] for character, code in inner.items()}
        tree += shape
    return codes, tree


def _bits(bits: Sequence[int]) -> bytes:
    if not bits:
        return b""
    full, rest = divmod(len(bits), 8)
    data = bytearray(full + bool(rest))
    for position, bit in enumerate(bits):
        data[position // 8] |= bit << (position % 8)
    return bytes(data) + bytes([rest or 8])


def _counted(data: bytes) -> bytes:
    return struct.pack("<Q", len(data)) + data
