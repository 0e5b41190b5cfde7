"""The variables that could be data, why the others could not, and the pairs that fit each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matlab_bridge._errors import DatasetNotFoundError
from matlab_bridge._text import one_line

from ._names import is_output_beside_target, is_prediction, split_of
from ._values import size_text

_MOST_LISTED = 20  # of the variables that are neither inputs nor labels


@dataclass(frozen=True)
class Candidate:
    """A variable that could be inputs or labels.

    Attributes:
        name: its path, as `load_dataset` takes it.
        class_name: what it is in MATLAB's words.
        size: in MATLAB's way.
        reason: why it fits.
        observations: each number of observations, or of their labels, that it can be read as.
        rank: the lower the likelier, among candidates that fit.
        store: the datastore that they are the labels of; None for a variable.
    """

    name: str
    class_name: str
    size: tuple[int, ...]
    reason: str
    observations: tuple[int, ...]
    rank: tuple[int, ...] = ()
    store: str | None = None

    def __str__(self) -> str:
        return one_line(f"{self.name} ({size_text(self.size)} {self.class_name}): {self.reason}")


class SeveralPairsError(DatasetNotFoundError):
    """Several pairs of inputs and labels fit by their sizes, words and classes.

    Attributes:
        pairs: their names.
    """

    def __init__(self, message: str, pairs: Sequence[tuple[str, str]]) -> None:
        super().__init__(message)
        self.pairs = tuple(pairs)


@dataclass(frozen=True)
class Candidates:
    """The variables that could be inputs, those that could be labels, and of all others the reason why not."""

    inputs: tuple[Candidate, ...]
    labels: tuple[Candidate, ...]
    others: tuple[str, ...] = ()

    def pairs(self) -> list[tuple[Candidate, Candidate]]:
        """Inputs and labels that fit each other, of the best rank only."""
        fitting = [
            (x, y)
            for x in self.inputs
            for y in self.labels
            if x.name != y.name
            and not set(x.observations).isdisjoint(y.observations)
            and split_of(x.name) == split_of(y.name)
            and (y.store is None or y.store == x.name)
            and not is_prediction(y.name)  # a network always agrees with what it said itself
        ]
        if not fitting:
            return []
        best = min(_pair_rank(x, y) for x, y in fitting)
        found = [(x, y) for x, y in fitting if _pair_rank(x, y) == best]
        targets = [y.name for _, y in found]
        return [(x, y) for x, y in found if not is_output_beside_target(y.name, targets)]


def _pair_rank(x: Candidate, y: Candidate) -> tuple[Any, ...]:
    return split_of(x.name), x.rank, y.rank


def the_pair(found: Candidates, path: Path) -> tuple[str, str]:
    """The names of the only inputs and labels that fit.

    Raises:
        SeveralPairsError: if there are several; it lists them.
        DatasetNotFoundError: if there are none.
    """
    pairs = found.pairs()
    if len(pairs) == 1:
        return pairs[0][0].name, pairs[0][1].name
    if pairs:
        choices = "\n".join(f"  inputs={x.name!r}, labels={y.name!r}" for x, y in pairs)
        raise SeveralPairsError(
            f"{path} holds several pairs of inputs and labels that fit. Pass the one that is "
            f"meant:\n{choices}\n{list_candidates(found)}",
            [(x.name, y.name) for x, y in pairs],
        )
    raise DatasetNotFoundError(
        f"{path} holds no inputs with labels that fit each other and the network. Pass inputs= and labels=, "
        f"or the file, folder or zip that holds the data.\n{list_candidates(found)}"
    )


def list_candidates(found: Candidates) -> str:
    """Candidates as lines of a message."""
    lines = ["Could be inputs:", *(f"  {c}" for c in found.inputs or ("nothing",))]
    lines += ["Could be labels:", *(f"  {c}" for c in found.labels or ("nothing",))]
    if found.others:
        more = len(found.others) - _MOST_LISTED
        lines += ["Neither:", *(f"  {other}" for other in found.others[:_MOST_LISTED])]
        lines += [f"  and {more} more"] * (more > 0)
    return "\n".join(lines)
