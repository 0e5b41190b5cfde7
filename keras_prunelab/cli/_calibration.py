"""Calibration data for a command: named, found beside what is measured, or split off it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _console
from ._trials import fit_inputs

if TYPE_CHECKING:
    from matlab_bridge import Dataset

    from ._inputs import OpenedModel

MOST = 2000
"""More observations than this tell little more of a layer's inputs, and take their time."""
_CHOOSE = f"""
import numpy as np

places = np.unique(np.linspace(0, len(train) - 1, min(len(train), {MOST})).astype(int))
inputs = train.inputs
calibration = [inputs[place] for place in places] if isinstance(inputs, list) else inputs[places]
"""
_SPLIT = """
import dataclasses

import numpy as np


def rows(part, places):
    return [part[place] for place in places] if isinstance(part, list) else part[places]


order = np.random.default_rng(0).permutation(len(data))
chosen, rest = np.sort(order[:{count}]), np.sort(order[{count}:])
train, data = (
    dataclasses.replace(data, inputs=rows(data.inputs, places), labels=rows(data.labels, places))
    for places in (chosen, rest)
)
"""
_FOLDERS = ("train", "training", "Train", "Training", "TRAIN")


@dataclass(frozen=True)
class Calibration:
    """What weights are solved on.

    Attributes:
        inputs: the observations.
        what: what they are, in words for the console and the report.
        code: Python that makes them of `net` and `data`, under the names `train`, with labels, and `calibration`.
        training: the same with labels, all of them, for training; None where there are none.
        is_measured: whether they are also what is measured.
    """

    inputs: Any
    what: str
    code: str
    training: Dataset | None = None
    is_measured: bool = False

    @property
    def fact(self) -> str:
        """What the metadata of a sweep say of it."""
        from keras_prunelab._result._doubts import SAME_DATA

        return f"{SAME_DATA}: {self.what}" if self.is_measured else self.what


def open_calibration(
    opened: OpenedModel, measured: Dataset | None, path: Path, named: Path | None, image_root: Path | None
) -> Calibration | None:
    """The data that is named, or else what lies beside the measured data; None where there is nothing.

    Args:
        opened: the network.
        measured: what it is measured on; None where nothing is.
        path: where that comes from.
        named: a file or folder of calibration data, or None.
        image_root: where the images of a datastore are.

    Raises:
        DatasetNotFoundError: the named file holds no inputs for the network.
    """
    if named is not None:
        data = next(_readings(opened, named, [None], image_root, quiet=False))
        found = _taken(opened, data, str(named), _loading(named, None, image_root))
        return replace(found, is_measured=_are_measured(data, found, measured))
    for name, data in _beside(opened, path, image_root):
        if measured is not None and _overlap(data, measured):
            continue  # before anything is tried on it, and told of
        found = _taken(opened, data, f"{name} of {path.name}", _loading(path, name, image_root))
        if not _are_measured(data, found, measured):
            return found
    return None


def calibrated(
    opened: OpenedModel,
    dataset: Dataset,
    path: Path,
    named: Path | None,
    split: float | None,
    image_root: Path | None,
) -> tuple[Dataset, Calibration | None]:
    """What is measured, and what calibrates; None for the same, of which the console warns."""
    from keras_prunelab._errors import InvalidDataError

    if named is not None and split is not None:
        raise InvalidDataError("--calibration and --calibration-split both say what calibrates: give one of them.")
    if split is not None:
        dataset, given = split_off(dataset, split)
    else:
        found = open_calibration(opened, dataset, path, named, image_root)
        if found is None:
            _console.warn(
                "There is no data beside what is measured, so weights are solved on the same observations, which "
                "flatters the result. --calibration names others; --calibration-split 0.5 calibrates on one half and "
                "measures on the other."
            )
            return dataset, None
        given = found
    tell(given)
    return dataset, given


def split_off(data: Dataset, share: float) -> tuple[Dataset, Calibration]:
    """Cut data into what is measured and what calibrates, at random, the same on every run.

    Args:
        data: the observations.
        share: the part that calibrates, between 0 and 1.

    Raises:
        InvalidDataError: the share leaves either without observations.
    """
    chosen, rest = split_places(len(data), share)
    count = len(chosen)
    training = _rows(data, chosen)
    what = f"{count} of the {len(data)} observations; the other {len(rest)} measure"
    code = _SPLIT.format(count=count) + _CHOOSE
    return _rows(data, rest), Calibration(_few(training.inputs), what, code, training)


def split_places(observations: int, share: float) -> tuple[Any, Any]:
    """Which observations calibrate, and which are measured; as `split_off`."""
    from keras_prunelab._errors import InvalidDataError

    count = round(share * observations) if 0 < share < 1 else 0
    if not 0 < count < observations:
        raise InvalidDataError(
            f"--calibration-split is the part of the observations that calibrates, between 0 and 1, not {share:g}."
        )
    order = np.random.default_rng(0).permutation(observations)
    return np.sort(order[:count]), np.sort(order[count:])


def _beside(opened: OpenedModel, path: Path, image_root: Path | None) -> Iterator[tuple[str, Dataset]]:
    """The data sets of a file or folder that may be for training, those whose names say so first."""
    import matlab_bridge as bridge
    from matlab_bridge.datasets import candidates
    from matlab_bridge.datasets._names import SPLITS, split_of

    from ._inputs import describe

    if path.is_dir() or path.suffix.lower() == ".zip":
        names: list[str] = list(_FOLDERS)
    elif path.suffix.lower() == ".mat":
        try:
            found = candidates(path, describe(opened)).inputs
        except bridge.BridgeError:
            return
        # A variable whose name does not say that it is data for training or testing may be anything of that size.
        named = [each.name for each in found if SPLITS[split_of(each.name)]]
        names = sorted(named, key=lambda name: SPLITS[split_of(name)] != "training")
    else:
        return
    for name in names:
        try:
            yield name, next(_readings(opened, path, [name], image_root, quiet=True))
        except StopIteration:
            continue


def _readings(
    opened: OpenedModel, path: Path, names: list[str | None], image_root: Path | None, *, quiet: bool
) -> Iterator[Dataset]:
    import matlab_bridge as bridge

    from ._inputs import describe

    for name in names:
        try:
            yield bridge.load_dataset(path, name, None, network=describe(opened), image_root=image_root)
        except (bridge.BridgeError, FileNotFoundError):
            if not quiet:
                raise


def _taken(opened: OpenedModel, data: Dataset, what: str, code: str) -> Calibration:
    fitted, change = fit_inputs(opened.model, data)
    inputs = _few(fitted.inputs)
    some = f"{len(inputs)} of {len(fitted)}" if len(inputs) < len(fitted) else f"{len(fitted)}"
    code += re.sub(r"\bdata\b", "train", change) + _CHOOSE
    training = fitted if fitted.labels is not None else None
    return Calibration(inputs, f"{some} observations, {what}", code, training)


def _loading(path: Path, name: str | None, image_root: Path | None) -> str:
    given = {"inputs": name, "image_root": None if image_root is None else str(image_root)}
    options = "".join(f", {key}={value!r}" for key, value in given.items() if value is not None)
    return f"\ntrain = mb.load_dataset({str(path)!r}{options}, network=net)"


def _are_measured(data: Dataset, found: Calibration, measured: Dataset | None) -> bool:
    """Whether most observations are among those that are measured, as they were read or as they were scaled since."""
    if measured is None:
        return False
    return _overlap(data, measured) or _overlap(replace(data, inputs=found.inputs), measured)


def _few(inputs: Any) -> Any:
    """At most so many, spread over all."""
    if len(inputs) <= MOST:
        return inputs
    places = np.unique(np.linspace(0, len(inputs) - 1, MOST).astype(np.intp))
    return [inputs[place] for place in places] if isinstance(inputs, list) else inputs[places]


def _rows(data: Dataset, places: Any) -> Dataset:
    def chosen(part: Any) -> Any:
        if part is None:
            return None
        return [part[place] for place in places] if isinstance(part, list) else part[places]

    return replace(data, inputs=chosen(data.inputs), labels=chosen(data.labels))


def _overlap(one: Dataset, other: Dataset) -> bool:
    """Whether most of fifty observations of the one are among those of the other; a few, such as blank ones, may be."""
    places = np.unique(np.linspace(0, len(one) - 1, 50).astype(np.intp))
    known = {_content(each) for each in other.inputs}
    return sum(_content(one.inputs[place]) in known for place in places) > len(places) / 2


def _content(observation: Any) -> tuple[tuple[int, ...], bytes]:
    """What tells an observation from others, whatever type its numbers were read as."""
    array = np.ascontiguousarray(observation)
    wide = array.astype(np.complex64 if array.dtype.kind == "c" else np.float32)
    return wide.shape, hashlib.blake2b(wide.tobytes(), digest_size=16).digest()


def tell(calibration: Calibration) -> None:
    """Say what weights are solved on."""
    _console.say(f"Calibration: {calibration.what}.")
    if calibration.is_measured:
        _console.warn("Most of these observations are measured too, which flatters the result: name others.")
