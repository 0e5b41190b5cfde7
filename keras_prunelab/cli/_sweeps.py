"""The sweeps that commands run: what they cost, their progress, where they keep points, and curves that collapse."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from . import _console
from ._options import names_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    import keras_prunelab as kpl
    from keras_prunelab._result._collapse import Collapse
    from matlab_bridge import Dataset

    from ._inputs import OpenedModel

    Levels = Sequence[float] | str | kpl.AutoLevels

_LONG = 5.0  # seconds from which on the cost of a trace is said


def run_sweep(
    opened: OpenedModel,
    dataset: Dataset,
    levels: Levels,
    scores: str,
    *,
    convention: str | None = None,
    **options: Any,
) -> kpl.SweepResult:
    """A sweep with its progress on the console."""
    import keras_prunelab as kpl

    with _console.progress("Sweep") as advance:
        try:
            result = kpl.sweep(
                opened.model,
                dataset,
                levels,
                tuple(names_in(scores)),
                convention=convention or opened.convention,
                progress=lambda at: advance(at.done, at.total, at.what),
                **options,
            )
        except kpl.SweepStoppedError as error:
            if error.result is None or error.result.table.empty:
                raise
            result = error.result
    if result.complete:
        return result
    if reason := result.metadata.get("stopped"):
        _console.warn(str(reason))
        return result
    if result.table.empty:
        raise KeyboardInterrupt
    _console.say(f"Stopped after {len(result.table)} points: what follows is about these.")
    return result


def run_without_collapse(
    opened: OpenedModel,
    dataset: Dataset,
    levels: Levels,
    scores: str,
    *,
    convention: str | None,
    store: Path | None = None,
    **options: Any,
) -> kpl.SweepResult:
    """A sweep; where a curve collapses at its first level, the curve of a score that does not is added."""
    result = run_sweep(opened, dataset, levels, scores, convention=convention, store=store, **options)
    collapses = tell_collapses(result) if result.complete else []
    remedies = {found.remedy for found in collapses if found.remedy is not None}
    for remedy in sorted(remedies.difference(result.scores)):
        _console.say(f"Adding the curve of {remedy}.")
        kept = store_beside(store, remedy)
        result = result.join(run_sweep(opened, dataset, levels, remedy, convention=convention, store=kept, **options))
    return result


def store_beside(store: Path | None, name: str) -> Path | None:
    """The store of a further sweep: one sweep has one."""
    return None if store is None else store.with_name(f"{store.stem}-{name}{store.suffix}")


def tell_cost(opened: OpenedModel, scores: str) -> None:
    """Say what a trace of obs costs, where there is one that takes long."""
    from keras_prunelab._reconstruct._estimate import estimate

    if "obs" not in names_in(scores):
        return
    found = estimate(opened.model)
    if found.seconds >= _LONG:
        _console.say(f"obs: {found}.")


def tell_collapses(result: kpl.SweepResult) -> list[Collapse]:
    """Say on the console which curves collapse at their first level, and why."""
    from keras_prunelab._result._collapse import find_collapses

    found = find_collapses(result)
    for collapse in found:
        _console.say(f"Warning: {collapse}")
    return found


def leave_if_stopped(result: kpl.SweepResult) -> None:
    """End with the exit code of Ctrl-C, or of a failure, once what was measured until then is written."""
    if not result.complete:
        raise typer.Exit(5 if "stopped" in result.metadata else 130)
