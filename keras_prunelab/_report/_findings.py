"""What a report looks at, gathered once: large networks take their time to count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import pandas as pd

from keras_prunelab._result._outline import Left

from ._degradation import degradation

if TYPE_CHECKING:
    from keras_prunelab._result._choice import Choice
    from keras_prunelab._result._result import SweepResult

MAX_CURVES = 4
"""Curves up to which the methods are compared layer by layer; of more, the choice's and the first ones."""


@dataclass(frozen=True)
class Beside:
    """One curve at the level nearest to the sparsity of the choice.

    Attributes:
        point: the point, as a choice.
        layers: `result.layers(point)`.
        blocks: `result.blocks(point)`.
    """

    point: Choice
    layers: pd.DataFrame
    blocks: pd.DataFrame


@dataclass(frozen=True)
class Findings:
    """A sweep seen at its choice.

    Attributes:
        result: the sweep.
        choice: the chosen point.
        layers: `result.layers(choice)`.
        blocks: `result.blocks(choice)`.
        macs: `result.macs(choice)`: the multiply-adds in all, those left, and the layers not counted.
        beside: the curves that are compared layer by layer, each near the sparsity of the choice, by name.
        beyond: the same where the curve of the choice has fallen half its way; empty where it does not fall.
    """

    result: SweepResult
    choice: Choice
    layers: pd.DataFrame
    blocks: pd.DataFrame
    macs: tuple[int, int, tuple[str, ...]]
    beside: Mapping[str, Beside] = field(default_factory=dict)
    beyond: Mapping[str, Beside] = field(default_factory=dict)

    @classmethod
    def of(cls, result: SweepResult, choice: Choice) -> Findings:
        """Look at a sweep at one of its points; where a file does not say what is in layers, their tables are empty."""
        others = [curve for curve in result.scores if curve != choice.curve][: MAX_CURVES - 1]
        curves = [curve for curve in result.scores if curve in {choice.curve, *others}]
        beside = {
            curve: _look(result, choice if curve == choice.curve else _nearest(result, choice.sparsity, curve))
            for curve in curves
        }
        fall = degradation(result, choice.curve)
        beyond = {}
        if fall is not None and fall.middle > choice.sparsity and len(curves) > 1:
            beyond = {curve: _look(result, _nearest(result, fall.middle, curve)) for curve in curves}
        own = beside[choice.curve]
        macs = result.macs(choice) if result.has_layers(choice) else (0, 0, ())
        return cls(result, choice, own.layers, own.blocks, macs, beside, beyond)

    @property
    def has_layers(self) -> bool:
        """Whether it is known what is left of each layer, at each point that is looked at."""
        looked = (*self.beside.values(), *self.beyond.values())
        return all(self.result.has_layers(one.point) for one in looked)

    @property
    def unit(self) -> Literal["block", "layer"]:
        """By what the network is seen: by blocks where there are several, fewer than layers."""
        return "block" if 1 < len(self.blocks) < len(self.layers) else "layer"

    @property
    def units(self) -> pd.DataFrame:
        """The table of blocks, or of layers, whichever `unit` is."""
        return self.blocks if self.unit == "block" else self.layers

    def compared(self, what: Literal["block", "layer"], among: Mapping[str, Beside] | None = None) -> pd.DataFrame:
        """The sparsity of each layer or block by each curve.

        Args:
            what: `"layer"` or `"block"`.
            among: the curves; None for `beside`.

        Returns:
            One row for each, early to late: its name, and a column for each curve.
        """
        tables = {
            name: (one.layers if what == "layer" else one.blocks).set_index(what)["sparsity"]
            for name, one in (self.beside if among is None else among).items()
        }
        names = pd.Index((self.layers if what == "layer" else self.blocks)[what], name=what)
        return pd.DataFrame({name: table.reindex(names) for name, table in tables.items()}).reset_index()


def _nearest(result: SweepResult, sparsity: float, curve: str) -> Choice:
    return result.choose(sparsity=sparsity, score=curve)


def _look(result: SweepResult, point: Choice) -> Beside:
    if not result.has_layers(point):
        nothing = result.outline.table(Left({}, (None,) * len(result.outline.layers)))
        return Beside(point, nothing, nothing.rename(columns={"layer": "block"}))
    return Beside(point, result.layers(point), result.blocks(point))
