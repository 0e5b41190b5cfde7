"""What a report looks at, gathered once: large networks take their time to count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from keras_prunelab._sweep._choice import Choice
    from keras_prunelab._sweep._result import SweepResult


@dataclass(frozen=True)
class Findings:
    """A sweep seen at its choice.

    Attributes:
        result: the sweep.
        choice: the chosen point.
        layers: `result.layers(choice)`.
        blocks: `result.blocks(choice)`.
        macs: `result.macs(choice)`: the multiply-adds in all, those left, and the layers not counted.
    """

    result: SweepResult
    choice: Choice
    layers: pd.DataFrame
    blocks: pd.DataFrame
    macs: tuple[int, int, tuple[str, ...]]

    @classmethod
    def of(cls, result: SweepResult, choice: Choice) -> Findings:
        """Look at a sweep at one of its points."""
        return cls(result, choice, result.layers(choice), result.blocks(choice), result.macs(choice))
