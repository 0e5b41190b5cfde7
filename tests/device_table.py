"""Write the end of docs/corpus.md: which networks of real MATLAB files become files for devices.

Run as `python -m tests.device_table`; it takes some minutes. It needs the extra `device`.
"""

from __future__ import annotations

import re
import tempfile
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras

import keras_prunelab as kpl
from keras_prunelab._model._random_inputs import random_inputs
from matlab_bridge._atomic import replace_whole

from .conftest import CORPUS
from .corpus_table import CONVERTED, DEVICES, TARGET, rows

HEADING = """{title}

The {count} networks above that become Keras models, written for each target with ranges measured on random inputs.
Networks without learnables have random ones. `python -m tests.device_table` writes this part.

Those of free length that a target does not take get one by `fix_lengths(model, {length})`.

| Target | Networks | Beside them, with a length | In other numbers | Not |
|---|--:|--:|--:|--:|
"""
LENGTH = 50
REASONS = """
| Target | Networks | Why not, or not in int8 |
|---|--:|---|
"""


def _litert(model: keras.Model, inputs: Any, folder: Path) -> kpl.LitertExport:
    return kpl.export_litert(model, folder / "net.tflite", "int8", calibration=inputs)


def _micro(model: keras.Model, inputs: Any, folder: Path) -> kpl.LitertExport:
    return kpl.export_litert(model, folder / "micro.tflite", "int8", runtime="tflm", calibration=inputs)


def _c(model: keras.Model, inputs: Any, folder: Path) -> str:  # float32 needs no inputs
    kpl.export_c(model, folder / "net.h")
    return ""


def _c_int8(model: keras.Model, inputs: Any, folder: Path) -> str:
    kpl.export_c(model, folder / "net8.h", inputs, "int8")
    return ""


TARGETS: dict[str, Callable[[keras.Model, Any, Path], Any]] = {
    "C99, float32": _c,
    "C99, int8": _c_int8,
    "LiteRT, int8": _litert,
    "TensorFlow Lite Micro, int8": _micro,
}


def best(target: str, model: keras.Model, inputs: Any) -> str:
    """The outcome; or that with one length, where the model has none, as `"length: "` where it then is yes."""
    first = outcome(target, model, inputs)
    if first == CONVERTED or not any(None in tensor.shape[1:] for tensor in model.inputs):
        return first
    try:
        fixed = kpl.fix_lengths(model, LENGTH)
    except kpl.InvalidModelError:
        return first
    second = outcome(target, fixed, (random_inputs(fixed),))
    return "length: " if second == CONVERTED else second


def outcome(target: str, model: keras.Model, inputs: Any) -> str:
    """What a model becomes for a target: `"yes"`, `"other: REASON"` or `"no: REASON"`."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            written = TARGETS[target](model, inputs, Path(folder))
        except kpl.PruneLabError as error:
            return f"no: {error}"
    reason = getattr(written, "reason", "")
    return f"other: {reason}" if reason else CONVERTED


def outcomes(corpus: Path) -> Iterator[dict[str, str]]:
    """What each convertible network becomes, by target."""
    for row in rows(corpus):
        if row.outcome == CONVERTED:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that a network was never trained
                model = row.network.to_keras()
            inputs = (random_inputs(model),)
            yield {target: best(target, model, inputs) for target in TARGETS}
            keras.utils.clear_session()


def section(found: list[dict[str, str]]) -> str:
    """This part of the page."""
    counts, why = "", ""
    for target in TARGETS:
        each = [one[target] for one in found]
        kinds = [sum(text.partition(":")[0] == kind for text in each) for kind in (CONVERTED, "length", "other", "no")]
        counts += f"| {target} | {kinds[0]} | {kinds[1] or ''} | {kinds[2] or ''} | {kinds[3] or ''} |\n"
        alike = defaultdict(list)
        for text in each:
            if text not in (CONVERTED, "length: "):
                alike[_general(text)].append(text)
        for general, texts in sorted(alike.items(), key=lambda item: -len(item[1])):
            why += f"| {target} | {len(texts)} | {general.replace('|', chr(92) + '|')} |\n"
    return HEADING.format(title=DEVICES, count=len(found), length=LENGTH) + counts + REASONS + why


def _general(text: str) -> str:
    """A reason without what tells one network from the next, and without advice."""
    reason = re.sub(r"\s+", " ", text.partition(": ")[2])
    faults = re.findall(r"\((\w+)\): ([^;.]+)", reason)
    if faults:
        return "; ".join(dict.fromkeys(f"{kind}: {why}" for kind, why in faults))
    shortened = re.sub(r"'[^']*' of model '[^']*' has the shape \([^)]*\)", "has a free length", reason)
    return re.sub(r"\b\d[\d,]*\b", "N", shortened)


def main() -> None:
    """Write the section."""
    found = []
    for one in outcomes(CORPUS):
        found.append(one)
        print(len(found), one, flush=True)  # noqa: T201  # it takes minutes
    before = TARGET.read_text(encoding="utf-8").partition(DEVICES)[0]
    with replace_whole(TARGET) as temporary:
        temporary.write_text(before.rstrip() + "\n\n" + section(found), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
