"""`load_dataset`: data for a network from a MAT-file, a folder or a zip of images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from matlab_bridge._errors import DatasetError, DatasetNotFoundError, MissingFilesError
from matlab_bridge.network import Network

from ._archives import MAX_BYTES, open_container
from ._candidates import SeveralPairsError
from ._complete import complete
from ._dataset import Dataset
from ._expected import Expected, expected_of
from ._find import candidates_in
from ._images._datastore import Datastore, is_datastore, locate, read_datastore
from ._images._folders import Images, Skipped, folder_images, label_images, zip_images
from ._images._prepare import Preprocessing, stack
from ._labels._encode import Doubt, Labels, encode, label_counts
from ._labels._numbers import NumberLabels
from ._labels._predictions import predictions_of
from ._mat_folders import is_mat_folder, read_mat_folder
from ._readings import arrange_inputs, readings
from ._trials import known_pair
from ._values import Array, Sequences
from ._variables._paths import fields, resolve
from ._variables._read import SINGLE, is_numpy, read_variables

_BESIDE = "labels"  # what the variables of a second file are together


def load_dataset(
    path: str | Path,
    inputs: str | None = None,
    labels: str | None = None,
    *,
    network: Network | None = None,
    image_root: str | Path | None = None,
    number_labels: NumberLabels = "auto",
    max_bytes: int = MAX_BYTES,
) -> Dataset:
    """The observations and labels of a MAT-file, or of a folder or zip of images, as Keras takes them.

    What is not named is found by shape, by class names, and by the words in variable names, where validation
    goes before test and test before training. Where several pairs of inputs and labels fit, and the network agrees with
    the labels of one of them only, that one is taken. The numbers stay as they are: a network's own input layer
    normalizes them.

    Args:
        path: a MAT-file of any version; a folder, or a zip, of PNG, JPEG, BMP or TIFF images that lie in one
            folder a class; a folder of MAT-files with one observation each; a `.npz`, `.npy` or `.csv` file, of
            which the last two hold one variable, `data`.
        inputs: the variable with the observations, written as in MATLAB: `"XTest"`, `"data.XTest"`,
            `"s(2).x"`, `"c{1}"`; it may be an `imageDatastore`. Of a folder or zip: the subfolder to take,
            such as `"test"`.
        labels: the variable with the labels, or a column of a `.csv`; of another file, `"labels.mat:YTest"`, or
            `"labels.csv"` where that holds nothing else. A datastore brings its own.
        network: decides how arrays lie (its input size) and the order of the classes (its class names).
        image_root: where the images of a datastore are on this machine: their stored paths are looked for
            here by their longest existing end, whichever system wrote them.
        number_labels: whether labels that are numbers are `"names"` of classes or their `"indices"`. With
            `"auto"`, what fits is taken; where both fit, what the network agrees with on a sample.
        max_bytes: the most that a zip or an `.npz` may take, inflated, and the images of a zip, decoded.

    Returns:
        The data; `description` says how it was read.

    Raises:
        DatasetNotFoundError: if nothing fits, or several variables do between which the network does not tell; they are
            listed.
        VariableNotFoundError: if there is no variable of that name.
        LabelMismatchError: if the labels are not the network's classes; both are listed.
        MissingFilesError: if images of a datastore are not there; they are counted.
        UnsafeArchiveError: if a zip would leave its folder, or is too large.
        DatasetError: if the data do not fit the network.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from matlab_bridge import matfile
        >>> path = Path(tempfile.mkdtemp()) / "week2.mat"
        >>> letters = np.array([["b"], ["a"], ["b"]], dtype=object)
        >>> matfile.save(path, {"XTest": np.zeros((8, 8, 1, 3)), "YTest": letters})
        >>> data = load_dataset(path, "XTest", "YTest")
        >>> data.inputs.shape, data.labels.tolist(), data.class_names
        ((3, 8, 8, 1), [1, 0, 1], ('a', 'b'))
    """
    path = Path(path)
    root = Path(image_root) if image_root is not None else None
    request = _Request(path, network, expected_of(network), number_labels, root, max_bytes)
    if path.is_dir():
        images, skipped = folder_images(path)
        if not images and is_mat_folder(path):
            return _from_mat_folder(request, inputs, labels)
        return _from_images(request, images, skipped, inputs, labels)
    if path.suffix.lower() == ".zip":
        with open_container(path) as archive:
            return _from_images(request, *zip_images(archive, max_bytes), inputs, labels, max_bytes)
    return _from_file(request, inputs, labels)


@dataclass(frozen=True)
class _Request:
    """What `load_dataset` was asked for, apart from the names of variables."""

    path: Path
    network: Network | None
    expected: Expected
    number_labels: NumberLabels
    image_root: Path | None
    max_bytes: int

    def encoded(self, raw: Any, inputs: Array | Sequences) -> Labels | None:
        if raw is None:
            return None
        doubt = Doubt(self.number_labels, predictions_of(self.network, inputs))
        return encode(raw, self.expected, len(inputs), doubt)

    def dataset(self, inputs: Array | Sequences, labels: Labels | None, notes: list[str]) -> Dataset:
        if labels is None:
            return Dataset(inputs, None, self.expected.class_names, "\n".join([*notes, "There are no labels."]))
        return Dataset(inputs, labels.data, labels.class_names, "\n".join([*notes, labels.note]))


def _from_images(
    request: _Request,
    images: Images,
    skipped: Skipped,
    subfolder: str | None,
    labels: str | None,
    limit: int | None = None,
) -> Dataset:
    path, expected = request.path, request.expected
    if labels is not None:
        raise DatasetError(f"labels={labels!r} names a variable, but the folders of {path} are its labels.")
    if expected.kind not in {"image", "unknown"}:
        raise DatasetError(f"{path} holds images, but the network takes {expected}.")
    files, names, text = label_images(images, str(path), subfolder, expected.class_names, skipped)
    # The labels first: they tell of a mistake before thousands of images are read.
    found = None if names is None else encode(np.array(names, dtype=object), expected, len(names))
    pixels, done = stack(files, expected, Preprocessing(), limit)
    return request.dataset(pixels, found, [f"{path.name}: {done}", text])


def _from_mat_folder(request: _Request, inputs: str | None, labels: str | None) -> Dataset:
    path, expected = request.path, request.expected
    if labels is not None:
        raise DatasetError(f"labels={labels!r} names a variable, but the folders of {path} are its labels.")
    cell, names, text = read_mat_folder(path, inputs)
    found = None if names is None else encode(np.array(names, dtype=object), expected, len(names))
    data, how = arrange_inputs(cell, expected, path.name)
    return request.dataset(data, found, [f"{path.name}: {text}", how])


def _from_file(request: _Request, inputs: str | None, labels: str | None) -> Dataset:
    path, expected = request.path, request.expected
    variables = read_variables(path, expected, request.max_bytes)
    notes = []
    if is_numpy(path):
        notes.append("The first axis of NumPy's arrays, the observations, is taken for MATLAB's last one.")
    if path.suffix.lower() == ".csv" and labels in variables[SINGLE].columns:
        inputs, labels = inputs or SINGLE, f"{SINGLE}.{labels}"
    beside = _file_beside(path, labels)
    if beside is not None and labels is not None:
        variables, inputs, labels = _with_labels_of(beside, labels, variables, inputs, request)
        notes.append(f"The labels are those of {beside.name}.")
    if inputs is None or labels is None:
        found = candidates_in(variables, request.network, path)
        try:
            inputs, labels = complete(inputs, labels, found, variables, expected, path)
        except SeveralPairsError as several:
            pair, tried = known_pair(several, lambda x, y: _from_file(request, x, y), request.network)
            inputs, labels = pair
            notes.append(tried)
        notes.append(f"In {path.name}, the inputs are {inputs}, the labels {labels or 'absent'}.")
    value = resolve(variables, inputs)
    if is_datastore(value):
        store = read_datastore(value, inputs)
        own = labels in {None, f"{inputs}.Labels"}
        return _from_datastore(request, store, store.labels if own else resolve(variables, str(labels)), notes)
    raw = _only_variable(resolve(variables, labels)) if labels is not None else None
    value = value if readings(value, expected) else _only_variable(value)
    if isinstance(value, pd.DataFrame) and labels is not None and labels.startswith(f"{inputs}."):
        value = value.drop(columns=labels.removeprefix(f"{inputs}."))
    data, text = arrange_inputs(value, expected, inputs, label_counts(raw) if raw is not None else None)
    if raw is not None and isinstance(data, list) and len(data) == 1:
        raw = _in_a_cell(raw, len(data[0]))
    return request.dataset(data, request.encoded(raw, data), [*notes, text])


def _file_beside(path: Path, labels: str | None) -> Path | None:
    """The file that holds the labels, where they are given as `"labels.csv"` or `"labels.mat:YTest"`."""
    for name in (labels, labels.rpartition(":")[0]) if labels else ():
        if Path(name).suffix.lower() in {".mat", ".npz", ".npy", ".csv"}:
            return next((file for file in (Path(name), path.parent / name) if file.is_file()), None)
    return None


def _with_labels_of(
    beside: Path, labels: str, variables: Mapping[str, Any], inputs: str | None, request: _Request
) -> tuple[Mapping[str, Any], str, str]:
    """Variables of both files, those of the labels under one name, and the names of inputs and labels."""
    others = read_variables(beside, request.expected, request.max_bytes)
    if inputs is None:
        found = candidates_in(variables, request.network, request.path).inputs
        inputs = found[0].name if len(found) == 1 else None
    if inputs is None:
        raise DatasetNotFoundError(
            f"{request.path} does not hold one variable alone that could be inputs. Name it with inputs=."
        )
    joined = {**{name: variables[name] for name in variables if inputs.startswith(name)}, _BESIDE: dict(others)}
    end = labels.removeprefix(str(beside)).removeprefix(beside.name).removeprefix(":") if ":" in labels else ""
    if end:
        return joined, inputs, f"{_BESIDE}.{end}"
    known = [name for name in others if label_counts(others[name]) & _counts(variables, inputs, request.expected)]
    columns = [f"{name}.{column}" for name in others for column in fields(others[name])]
    if len(columns) == 1:
        known = columns
    if len(known) != 1:
        raise DatasetNotFoundError(
            f"{beside} holds {', '.join([*others, *columns]) or 'nothing'}, and it is not clear which of them are the "
            f"labels. Name them with labels='{beside.name}:NAME'."
        )
    return joined, inputs, f"{_BESIDE}.{known[0]}"


def _counts(variables: Mapping[str, Any], inputs: str, expected: Expected) -> set[int]:
    return {reading.observations for reading in readings(resolve(variables, inputs), expected)}


def _from_datastore(request: _Request, store: Datastore, raw: Any, notes: list[str]) -> Dataset:
    expected, image_root = request.expected, request.image_root
    if image_root is not None and not image_root.is_dir():
        raise MissingFilesError(f"image_root={str(image_root)!r} is no folder.")
    # The labels first: they tell of a mistake before thousands of images are read.
    if raw is not None:
        encode(raw, expected, len(store.files))
    # Without image_root, the images may have moved together with the MAT-file.
    roots = [image_root if image_root is not None else request.path.resolve().parent]
    pixels, done = stack(locate(store.files, roots, image_root), expected, store.preprocessing)
    return request.dataset(pixels, request.encoded(raw, pixels), [*notes, f"A datastore of {done}{store.notes}"])


def _only_variable(value: Any) -> Any:
    """The variable of a table that has no other; anything else as it is."""
    is_alone = isinstance(value, pd.DataFrame) and len(value.columns) == 1
    return next(iter(fields(value).values())) if is_alone else value


def _in_a_cell(value: Any, steps: int) -> Any:
    """The labels of the time steps of the only sequence, as those of several sequences are stored."""
    if isinstance(value, np.ndarray) and (value.dtype == object or value.size == 1):
        return value
    cell = np.empty((1, 1), dtype=object)
    in_columns = np.ndim(value) == 2 and value.shape[0] == steps != value.shape[1]
    cell[0, 0] = value.T if in_columns else value
    return cell
