"""What a report looks at, gathered once: large networks take their time to count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from keras_prunelab._sweep._choice import Choice
    from keras_prunelab._sweep._result import SweepResult

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
    """

    result: SweepResult
    choice: Choice
    layers: pd.DataFrame
    blocks: pd.DataFrame
    macs: tuple[int, int, tuple[str, ...]]
    beside: Mapping[str, Beside] = field(default_factory=dict)

    @classmethod
    def of(cls, result: SweepResult, choice: Choice) -> Findings:
        """Look at a sweep at one of its points."""
        layers, blocks = result.layers(choice), result.blocks(choice)
        own = {choice.curve: Beside(choice, layers, blocks)}
        others = [curve for curve in result.scores if curve != choice.curve][: MAX_CURVES - 1]
        near = {curve: result.choose(sparsity=choice.sparsity, score=curve) for curve in others}
        found = own | {name: Beside(at, result.layers(at), result.blocks(at)) for name, at in near.items()}
        beside = {curve: found[curve] for curve in result.scores if curve in found}
        return cls(result, choice, layers, blocks, result.macs(choice), beside)

    @property
    def are_blocks_layers(self) -> bool:
        """Whether each block is a single layer, so that tables of both would say the same."""
        return len(self.blocks) == len(self.layers)

    def compared(self, what: str) -> pd.DataFrame:
        """The sparsity of each layer or block by each curve.

        Args:
            what: `"layer"` or `"block"`.

        Returns:
            One row for each, early to late: its name, and a column for each curve.
        """
        tables = {
            name: (one.layers if what == "layer" else one.blocks).set_index(what)["sparsity"]
            for name, one in self.beside.items()
        }
        names = pd.Index((self.layers if what == "layer" else self.blocks)[what], name=what)
        return pd.DataFrame({name: table.reindex(names) for name, table in tables.items()}).reset_index()
