"""Inputs that fit a network's size but not its training: other scales and layouts, tried on a sample with labels.

A network that has learned something agrees with its labels. Where it does not, on inputs as they were read, the usual
mistakes are undone one after the other, and the reading with which it agrees is taken, if there is one.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _console

if TYPE_CHECKING:
    import keras

    from matlab_bridge import Dataset

_SAMPLE = 500
_SURE = 0.001
"""A reading is taken where luck alone makes any of them agree that much more with at most this probability."""


@dataclass(frozen=True)
class Change:
    """Something that is done to inputs.

    Attributes:
        text: what, in words.
        code: the same in Python, of an array `x`; empty where nothing is done.
        apply: does it.
    """

    text: str = ""
    code: str = ""
    apply: Callable[[Any], Any] = lambda x: x


_NOTHING = Change()


def fit_inputs(model: keras.Model, data: Dataset) -> tuple[Dataset, str]:
    """The data as the network was trained on it, as far as the labels tell.

    Args:
        model: with one input, that tells classes apart.
        data: as it was read.

    Returns:
        The data, its inputs changed where a change makes the network agree with the labels, and Python that changes
        `data` so; empty where nothing was changed. What was tried is said on the console.
    """
    if isinstance(data.inputs, list) or isinstance(data.labels, list) or data.labels is None:
        return data, ""
    if data.labels.ndim != 1 or not data.class_names or data.inputs.dtype.kind == "c":
        return data, ""
    places = np.unique(np.linspace(0, len(data.inputs) - 1, min(_SAMPLE, len(data.inputs))).astype(np.intp))
    sample, labels = data.inputs[places].astype(np.float32), np.asarray(data.labels)[places]
    most = labels == np.bincount(labels[labels >= 0], minlength=1).argmax()
    as_read = _answers(model, sample) == labels
    if as_read.mean() >= (1 + most.mean()) / 2:  # halfway from naming one class to all right: nothing is amiss
        return data, ""
    others = list(readings(sample))[1:]
    found: list[tuple[Any, tuple[Change, ...]]] = [(as_read, ())]
    found += [(_answers(model, apply_changes(sample, changes)) == labels, changes) for changes in others]
    right, changes = max(found, key=lambda each: each[0].mean())
    tried = "; ".join(f"{_words(its)} {each.mean():.1%}" for each, its in found)
    _console.say(
        f"Data: The network agrees with {as_read.mean():.1%} of the labels; the most frequent class with "
        f"{most.mean():.1%}. Tried on {len(labels)} observations: {tried}."
    )
    if not all(_beats(right, other, _SURE / max(1, len(others))) for other in (as_read, most)):
        _console.say(
            "Data: No other scale or layout of the inputs makes it agree clearly more; they are taken as they are."
        )
        return data, ""
    _console.say(f"Data: The inputs are taken {_words(changes)}, with which the network agrees in {right.mean():.1%}.")
    lines = "".join(f"\nx = {change.code}" for change in changes if change.code)
    imports = "\nimport dataclasses\nimport numpy as np\n\n"
    code = f"{imports}x = data.inputs{lines}\ndata = dataclasses.replace(data, inputs=x)"
    note = f"{data.description}\nThe inputs are taken {_words(changes)}."
    return replace(data, inputs=apply_changes(data.inputs, changes), description=note), code


def readings(sample: Any) -> Iterator[tuple[Change, ...]]:
    """Every combination of a scale and a layout that fits, inputs as they are first."""
    least, most = float(sample.min()), float(sample.max())
    scales, layouts, channels = [_NOTHING], [_NOTHING], [_NOTHING]
    if least >= 0 and most > 2:
        scales.append(Change("divided by 255", "x / np.float32(255)", lambda x: x / np.float32(255)))
        scales.append(Change("scaled to -1 to 1", "x / np.float32(127.5) - 1", lambda x: x / np.float32(127.5) - 1))
    elif least >= 0:
        scales.append(Change("times 255", "x * np.float32(255)", lambda x: x * np.float32(255)))
        scales.append(Change("scaled to -1 to 1", "x * np.float32(2) - 1", lambda x: x * np.float32(2) - 1))
    elif least >= -1 and most <= 1:
        scales.append(Change("scaled to 0 to 1", "(x + 1) / np.float32(2)", lambda x: (x + 1) / np.float32(2)))
        scales.append(
            Change("scaled to 0 to 255", "(x + 1) * np.float32(127.5)", lambda x: (x + 1) * np.float32(127.5))
        )
    if sample.ndim == 4 and sample.shape[1] == sample.shape[2]:
        layouts.append(Change("with rows and columns exchanged", "x.swapaxes(1, 2)", lambda x: x.swapaxes(1, 2)))
    if sample.ndim == 4 and sample.shape[-1] == 3:
        channels.append(Change("with channels in reverse order (BGR)", "x[..., ::-1]", lambda x: x[..., ::-1]))
    yield from itertools.product(scales, layouts, channels)


def apply_changes(inputs: Any, changes: tuple[Change, ...]) -> Any:
    """Inputs after several changes."""
    for change in changes:
        inputs = change.apply(inputs)
    return np.ascontiguousarray(inputs)


def _beats(right: Any, other: Any, probability: float) -> bool:
    """Whether one answering is right more often than another on the same observations, by McNemar's exact test."""
    from scipy.stats import binomtest

    gained, lost = int((right & ~other).sum()), int((other & ~right).sum())
    return gained > lost and float(binomtest(gained, gained + lost, alternative="greater").pvalue) <= probability


def _words(changes: tuple[Change, ...]) -> str:
    return " and ".join(change.text for change in changes if change.text) or "as read"


def _answers(model: keras.Model, inputs: Any) -> Any:
    scores = np.asarray(model.predict(inputs, verbose=0)).reshape(len(inputs), -1)
    return scores.argmax(axis=1) if scores.shape[1] > 1 else (scores[:, 0] > 0.5).astype(int)
