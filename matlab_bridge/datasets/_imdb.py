"""MatConvNet's `imdb` structs: images with labels, and which of them are for training, validation and test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from matlab_bridge._errors import DatasetError, DatasetNotFoundError
from matlab_bridge.matfile._elements import numeric, texts
from matlab_bridge.network import Network

from ._dataset import Dataset
from ._expected import Expected, expected_of
from ._labels._encode import Doubt, encode, label_counts
from ._readings import arrange_inputs
from ._values import Array, size_text
from ._variables._paths import resolve

# https://www.vlfeat.org/matconvnet/training/ counts the parts so in images.set.
_PARTS = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class Imdb:
    """An image database of MatConvNet.

    Attributes:
        train: what `images.set` marks with 1; None if nothing is.
        validation: what it marks with 2.
        test: what it marks with 3.
        data_mean: float32 `(H, W, C)`, the mean that training subtracted, or will; None where none is stored.
    """

    train: Dataset | None
    validation: Dataset | None
    test: Dataset | None
    data_mean: Array | None


def load_imdb(path: str | Path, variable: str | None = None, *, network: Network | None = None) -> Imdb:
    """The parts of an `imdb` struct of MatConvNet.

    Nothing is subtracted: an imdb usually holds images whose mean is subtracted already, and `data_mean` beside
    them.

    Args:
        path: a MAT-file of any version.
        variable: the struct, such as `"imdb"`, written as in MATLAB; by default the variables `images` and
            `meta` of the file, or else its first struct with a field `images`.
        network: decides how arrays lie (its input size) and the order of the classes (its class names).

    Returns:
        Training, validation and test data.

    Raises:
        DatasetNotFoundError: if there is no such struct.
        DatasetError: if it has no `images.data` or `images.set`, or they differ in length.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from matlab_bridge import matfile
        >>> path = Path(tempfile.mkdtemp()) / "imdb.mat"
        >>> labels, sets = np.array([[1, 2, 2, 1]]), np.array([[1, 1, 1, 3]])
        >>> images = {"data": np.zeros((8, 8, 1, 4)), "labels": labels, "set": sets}
        >>> matfile.save(path, {"images": images, "meta": {"classes": ["cat", "dog"]}})
        >>> imdb = load_imdb(path)
        >>> len(imdb.train), imdb.validation, imdb.test.labels.tolist(), imdb.test.class_names
        (3, None, [0], ('cat', 'dog'))
    """
    from matlab_bridge.matfile import load

    database, name = _database(load(path, lazy=False), variable, Path(path))
    prefix = f"{name}." if name else ""
    images = database["images"]
    if not isinstance(images, Mapping) or "data" not in images:
        raise DatasetError(f"{prefix}images has no field data, which an imdb keeps its images in.")
    whole = _whole(images, _class_names(database), expected_of(network), prefix)
    members = _members(images, len(whole), prefix)
    mean = numeric(images.get("data_mean"))
    train, validation, test = (_part(whole, members, number, prefix) for number in (1, 2, 3))
    return Imdb(train, validation, test, None if mean is None or not mean.size else _image(mean))


def _database(variables: Mapping[str, Any], variable: str | None, path: Path) -> tuple[Mapping[str, Any], str]:
    if variable is not None:
        found = resolve(variables, variable)
        if isinstance(found, Mapping) and "images" in found:
            return found, variable
        raise DatasetNotFoundError(f"{variable} in {path} is no imdb: no struct with a field images.")
    if "images" in variables:
        return variables, ""
    for name, value in variables.items():
        if isinstance(value, Mapping) and "images" in value:
            return value, name
    raise DatasetNotFoundError(
        f"{path} has no imdb: no variable images, and no struct with a field images. There are: "
        f"{', '.join(variables) or 'none'}. Use load_dataset for data of another form."
    )


def _whole(images: Mapping[str, Any], classes: tuple[str, ...], expected: Expected, prefix: str) -> Dataset:
    raw = images.get("labels", images.get("label"))
    if classes and not expected.class_names and expected.outputs in {None, len(classes)}:
        expected = replace(expected, class_names=classes, outputs=len(classes))
    counts = label_counts(raw) if raw is not None else None
    data, text = arrange_inputs(images["data"], expected, f"{prefix}images.data", counts)
    if raw is None:
        return Dataset(data, None, expected.class_names, f"{text}\nThere are no labels.")
    labels = encode(raw, expected, len(data), Doubt("indices" if expected.class_names else "auto"))
    return Dataset(data, labels.data, labels.class_names, f"{text}\n{labels.note}")


def _class_names(database: Mapping[str, Any]) -> tuple[str, ...]:
    meta = database.get("meta")
    return texts(meta.get("classes")) if isinstance(meta, Mapping) else ()


def _members(images: Mapping[str, Any], count: int, prefix: str) -> Array:
    members = numeric(images.get("set"))
    if members is None:
        raise DatasetError(
            f"{prefix}images has no field set, which says what is for training (1), validation (2) and test (3). "
            f"load_dataset(path, {prefix + 'images.data'!r}, {prefix + 'images.labels'!r}) gives all images as one."
        )
    if members.size != count:
        raise DatasetError(f"{prefix}images.set is {size_text(members.shape)}, but there are {count} images.")
    return members.ravel(order="F")


def _part(whole: Dataset, members: Array, number: int, prefix: str) -> Dataset | None:
    chosen = members == number
    if not chosen.any():
        return None
    note = (
        f"Of these, the {np.count_nonzero(chosen)} that {prefix}images.set marks with {number}: {_PARTS[number - 1]}."
    )
    inputs, labels = _taken(whole.inputs, chosen), None if whole.labels is None else _taken(whole.labels, chosen)
    return replace(whole, inputs=inputs, labels=labels, description=f"{whole.description}\n{note}")


def _taken(data: Any, chosen: Array) -> Any:
    return [data[index] for index in np.flatnonzero(chosen)] if isinstance(data, list) else data[chosen]


def _image(mean: Array) -> Array:
    return np.ascontiguousarray(mean.reshape(mean.shape + (1,) * (3 - mean.ndim)), dtype=np.float32)
