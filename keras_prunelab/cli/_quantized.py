"""The networks of a lab as quantized files: their curve, and the choice by it."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from . import _console
from ._levels import parse_levels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import keras_prunelab as kpl

    from ._curves import Lab

Numbers = Literal["int8", "int8-weights", "float16"]

_EVERY = 10
_AROUND = 1


@dataclass(frozen=True)
class Quantization:
    """What is asked for.

    Attributes:
        numbers: what the files hold.
        levels: where they are measured, of all that are tested: None for every tenth, those beside the choice, and the
            choice; `"all"`; or sparsities, for which the nearest are taken.
    """

    numbers: Numbers
    levels: Literal["all"] | tuple[float, ...] | None

    @classmethod
    def of(cls, numbers: Numbers | None, levels: str | None) -> Quantization | None:
        """Check what is asked for, before any work.

        Raises:
            InvalidSparsityError: the levels are none.
            InvalidDataError: there are levels, and no numbers.
        """
        from keras_prunelab._errors import InvalidDataError

        if numbers is None:
            if levels is not None:
                raise InvalidDataError("--quantize-levels goes with --quantize alone.")
            return None
        if levels is None or levels.strip() == "all":
            return cls(numbers, None if levels is None else "all")
        return cls(numbers, parse_levels(levels))

    def check(self, model: Any) -> None:
        """Refuse networks of which no file can be written, before any work.

        Raises:
            MissingBackendError: Keras runs on JAX, or TensorFlow is not installed.
            InvalidModelError: the model cannot be written.
        """
        from keras_prunelab._export._litert_checks import check_convertible

        check_convertible(model, self.numbers)

    def chosen(self, tested: Sequence[float], choice: float | None) -> list[float]:
        """The levels at which files are measured.

        Args:
            tested: all levels, ascending.
            choice: that of the choice.
        """
        if self.levels == "all":
            return list(tested)
        if self.levels is not None:
            found = {min(tested, key=lambda level: abs(level - wanted)) for wanted in self.levels}
        else:
            found = set(tested[::_EVERY])
            if choice is not None:
                place = tested.index(choice)
                found |= set(tested[max(0, place - _AROUND) : place + _AROUND + 1])
        return sorted(found | ({choice} if choice is not None else set()))


def add_quantized(
    lab: Lab, how: Quantization, result: kpl.SweepResult, choice: kpl.Choice | None, training: kpl.FineTune | None
) -> tuple[kpl.SweepResult, kpl.Choice | None]:
    """Measure the networks of the chosen curve as files.

    Args:
        lab: the network and its data.
        how: what files, and at which levels.
        result: the sweep.
        choice: its choice; without one, the first curve is measured.
        training: how networks were trained.

    Returns:
        The sweep with the measures, and the choice by them.
    """
    curve = result.curves.iloc[0] if choice is None else result.table.iloc[choice.index]
    tested = sorted(set(_of_curve(result, curve)["sparsity_target"]))
    levels = how.chosen(tested, None if choice is None else choice.sparsity_target)
    measured, numbers = _measure(lab, how.numbers, result, curve, levels, training)
    if measured is None:
        return result, None
    lengths = measured.metadata.get("file_lengths")
    taken = f"; the files take inputs of length {lengths}, as the data has it" if lengths else ""
    note = f"{numbers}, measured at {len(levels)} levels of {curve['score']}{_ranges(lab, numbers)}{taken}"
    result = result.add_measures(measured)
    result = replace(result, metadata={**result.metadata, "quantized": note})
    return _with_choice(lab, result)


def _measure(
    lab: Lab,
    numbers: Numbers,
    result: kpl.SweepResult,
    curve: Any,
    levels: list[float],
    training: kpl.FineTune | None,
) -> tuple[kpl.SweepResult | None, Numbers]:
    """The sweep of the files; in float16 where the network cannot be int8."""
    import keras_prunelab as kpl
    from keras_prunelab._evaluate._file_metrics._answers import name_of_answers

    trained = str(curve["training"])
    how: dict[str, Any] = {"scope": str(curve["scope"])}
    if "reconstruction" in trained:
        how["reconstruct"] = "sequential" if trained.startswith("sequential") else "layers"
    if training is not None and str(training) in trained:
        how["finetune"] = training
    metrics = [result.metric.name, name_of_answers(numbers, result.metric), "litert_bytes"]
    if numbers == "int8" and importlib.util.find_spec("tflite_micro"):
        metrics.append("flash_bytes")
    try:
        return lab.measure_more(numbers, levels, str(curve["score"]), result, metrics=metrics, **how), numbers
    except (kpl.InvalidModelError, kpl.UnknownNameError) as error:
        if numbers != "int8" or isinstance(error, kpl.UnknownNameError):
            _console.warn(f"Quantization was not measured. {error}")
            return None, numbers
        _console.warn(f"{error} In float16 instead.")
        return _measure(lab, "float16", result, curve, levels, training)


def _with_choice(lab: Lab, result: kpl.SweepResult) -> tuple[kpl.SweepResult, kpl.Choice | None]:
    """The choice by the files, said on the console."""
    from keras_prunelab._errors import NoTradeOffError

    if reason := result.metadata.get("files_left_out"):
        _console.warn(f"Some files could not be measured: {reason}")
    try:
        choice = _choose(result, lab.condition)
    except NoTradeOffError as error:
        text = str(error)
        _console.warn(f"Quantized: {text}")
        return replace(result, metadata={**result.metadata, "quantized_choice": text}), None
    row = result.table.iloc[choice.index]
    sizes = ", ".join(f"{name.replace('_', ' ')} {row[name]:,.0f}" for name in _sizes(result))
    _console.say(f"Quantized: {choice.reason} Sizes there: {sizes}.")
    return replace(result, metadata={**result.metadata, "quantized_choice": choice.reason}), choice


def _choose(result: kpl.SweepResult, condition: Mapping[str, Any]) -> kpl.Choice:
    """The choice by what the files of one curve answer, against the file of the network before pruning.

    Raises:
        NoTradeOffError: no file meets the condition, or none could be measured.
    """
    from keras_prunelab._errors import NoTradeOffError
    from keras_prunelab._result._quantized import Quantized

    found = Quantized.of(result)
    if found is None or found.points.empty:
        raise NoTradeOffError("no file could be measured, so none is chosen.")
    rows = result.table[result.table[found.metric.name].notna()]
    measured = replace(result, table=rows.reset_index(drop=True), metric=found.metric, dense=found.dense)
    choice = measured.choose(**condition)
    return replace(choice, index=int(rows.index[choice.index]), curve=str(found.points["curve"].iloc[0]))


def _sizes(result: kpl.SweepResult) -> list[str]:
    from keras_prunelab._result._quantized import SIZES

    return [name for name in SIZES if name in result.table]


def _of_curve(result: kpl.SweepResult, curve: Any) -> Any:
    same = ["score", "scope", "training"]
    return result.table[(result.table[same] == curve[same].tolist()).all(axis=1)]


def _ranges(lab: Lab, numbers: Numbers) -> str:
    """What ranges were measured on, in words."""
    if numbers != "int8":
        return ""
    if lab.calibration is None:
        return "; the ranges of values were measured on the same observations"
    return f"; the ranges of values were measured on {lab.calibration.what}"
