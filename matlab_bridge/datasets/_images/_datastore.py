"""`imageDatastore` and `augmentedImageDatastore` objects: which files, which labels, which preprocessing.

How MATLAB stores these objects is not documented. Their properties are walked by what they hold, so that
releases which name them otherwise are read as well: a compressed file set (see `_fileset.py`), or the longest
list of strings that end like image files, is `Files`; a value of the same length under a name with "label" in
it is `Labels`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from matlab_bridge._errors import DatasetError, MissingFilesError
from matlab_bridge.datasets._labels._text import as_text
from matlab_bridge.datasets._values import shorten
from matlab_bridge.matfile._elements import numeric
from matlab_bridge.matfile._values import CategoricalArray, MatlabObject

from ._decode import EXTENSIONS, ImageFile
from ._fileset import file_names, is_file_set
from ._prepare import Preprocessing

# augmentedImageSource is the name that R2017b gave to what R2018a calls augmentedImageDatastore.
_CLASSES = re.compile(r"(^|\.)(ImageDatastore|imageDatastore|augmentedImageDatastore|augmentedImageSource)$")


@dataclass(frozen=True)
class Datastore:
    """What an image datastore says.

    Attributes:
        files: full names, as the machine that saved them writes paths.
        labels: a value that `encode` of `_labels` takes, or None.
        preprocessing: size and colours, of an augmented datastore.
        notes: what a reader of the description should know.
    """

    files: tuple[str, ...]
    labels: Any
    preprocessing: Preprocessing
    notes: str = ""


def is_datastore(value: Any) -> bool:
    """Whether a value is an image datastore, augmented or not."""
    return isinstance(value, MatlabObject) and bool(_CLASSES.search(value.class_name))


def read_datastore(value: MatlabObject, name: str) -> Datastore:
    """The files, labels and preprocessing of a datastore object.

    Args:
        value: the object, as `matfile` reads it.
        name: its variable, for messages.

    Returns:
        Its contents.

    Raises:
        DatasetError: if it holds no list of image files.
    """
    parts = list(_walk(value))
    lists = [files for _, part in parts if (files := _files(part))]
    if not lists:
        raise DatasetError(
            f"{name} is a {value.class_name}, but no list of image files was found in it. Save the names "
            f"beside it in MATLAB, files = {name}.Files; labels = {name}.Labels; or pass the folder of the "
            "images."
        )
    files = max(lists, key=len)
    labels = next((part for key, part in parts if "label" in key.lower() and _length(part) == len(files)), None)
    notes = ""
    if any(key == "IsReadFcnDefault" and not bool(np.all(part)) for key, part in parts):
        notes = " It has a ReadFcn of its own, which is not run: the images are read as imread does."
    return Datastore(files, labels, _preprocessing(parts), notes + _doubt(files, labels))


def _doubt(files: tuple[str, ...], labels: Any) -> str:
    """A word of warning where labels seem to be the names of folders, but not for every file."""
    text = as_text(labels)
    folders = [re.split(r"[\\/]+", name)[-2:-1] for name in files]
    if text is None or not {(name,) for name in text.names} <= set(map(tuple, folders)):
        return ""
    strange = sum([name] != folder for name, folder in zip(text.names, folders, strict=True))
    return f" {strange} labels are not the names of their files' folders, as the others are." if strange else ""


def _walk(value: Any) -> Iterator[tuple[str, Any]]:
    """All that is inside an object, with its names, the outer values first; handles may point in circles."""
    visited: dict[int, Any] = {}
    waiting: list[tuple[str, Any]] = [("", value)]
    for name, current in waiting:
        if id(current) in visited:
            continue
        visited[id(current)] = current  # kept, since an id means nothing once its object is gone
        yield name, current
        if isinstance(current, MatlabObject):
            waiting.extend(current.fields.items())
        elif isinstance(current, Mapping):
            waiting.extend(current.items())
        elif isinstance(current, np.ndarray) and current.dtype == object:
            elements = list(current.ravel(order="F"))
            if elements and all(isinstance(element, Mapping) for element in elements):
                waiting.extend(_columns(elements))
            else:
                waiting.extend((name, element) for element in elements if not isinstance(element, str))


def _columns(elements: list[Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
    """The fields of a struct array, each as the list of its values."""
    for field in elements[0]:
        column = np.empty(len(elements), dtype=object)
        for index, element in enumerate(elements):
            column[index] = element.get(field)
        yield str(field), column


def _files(value: Any) -> tuple[str, ...]:
    """The image files that a value lists; nothing for any other value."""
    if is_file_set(value):
        return file_names(value)
    if isinstance(value, str):
        return (value,) if _is_image(value) else ()
    if isinstance(value, np.ndarray) and value.dtype.kind in "OTU" and value.size:
        names = [element.rstrip() if isinstance(element, str) else "" for element in value.ravel(order="F")]
        return tuple(names) if all(map(_is_image, names)) else ()
    return ()


def _is_image(name: str) -> bool:
    # ".png" alone is an extension, not a file.
    path = PurePosixPath(name.replace("\\", "/"))
    return path.suffix.lower() in EXTENSIONS


def _length(value: Any) -> int:
    if isinstance(value, pd.Categorical):
        return len(value)
    if isinstance(value, CategoricalArray):
        return int(np.size(value.codes))
    return int(value.size) if isinstance(value, np.ndarray) else 0


def _preprocessing(parts: list[tuple[str, Any]]) -> Preprocessing:
    named: dict[str, Any] = {}
    for key, part in parts:
        named.setdefault(key, part)
    size = numeric(named.get("OutputSize"))
    return Preprocessing(
        size=(int(size.ravel()[0]), int(size.ravel()[1])) if size is not None and size.size >= 2 else None,
        mode=str(named.get("OutputSizeMode") or "resize"),
        color=str(named.get("ColorPreprocessing") or "none"),
    )


def locate(files: Iterable[str], roots: list[Path], image_root: Path | None) -> list[ImageFile]:
    r"""The files where they are on this machine.

    A stored path that does not exist is looked for under the roots by its longest existing end: for
    `C:\\Users\\me\\digits\\3\\img.png` first `Users/me/digits/3/img.png`, then `me/digits/3/img.png`, down to
    `img.png`.

    Args:
        files: paths as Windows, Linux or macOS write them.
        roots: folders to look in, `image_root` among them.
        image_root: what the user passed, for the message.

    Returns:
        The images, in order.

    Raises:
        MissingFilesError: if some are not there; it counts them.
        DatasetError: if two of them would be the same file.
    """
    files = list(files)
    search = _Search(roots, stored_first=image_root is None)
    found = [search.find(name) for name in files]
    missing = [name for name, path in zip(files, found, strict=True) if path is None]
    if missing:
        where = (
            f"not under image_root={str(image_root)!r}" if image_root else "not where they were when MATLAB saved them"
        )
        raise MissingFilesError(
            f"{len(missing)} of {len(files)} images are missing, {where}; the first: "
            f"{shorten(missing, 3)}. Pass image_root=, the folder that holds them or the folders of their "
            "classes."
        )
    paths = [path for path in found if path is not None]
    if len(set(paths)) < len(set(files)):
        raise DatasetError(
            f"The datastore's {len(set(files))} images lead to only {len(set(paths))} files, since files of "
            "the same name lie in different folders. Pass as image_root= the folder that holds those folders."
        )
    return [ImageFile.of(path) for path in paths]


class _Search:
    """Looks for files by the end of their stored paths; what fitted one file is tried first for the next."""

    def __init__(self, roots: list[Path], *, stored_first: bool) -> None:
        self._roots = roots
        self._stored_first = stored_first
        self._last: tuple[Path, int] | None = None

    def find(self, name: str) -> Path | None:
        if self._stored_first and Path(name).is_file():
            return Path(name)
        parts = [part for part in re.split(r"[\\/]+", name) if part and not part.endswith(":")]
        if ".." in parts:
            return None
        # All files have the same folders before the part that differs, so the number of parts dropped seldom
        # changes.
        tries = [(root, drop) for drop in range(len(parts)) for root in self._roots]
        if self._last is not None and self._last[1] < len(parts):
            tries.insert(0, self._last)
        for root, drop in tries:
            path = root.joinpath(*parts[drop:])
            if path.is_file():
                self._last = (root, drop)
                return path
        return None
