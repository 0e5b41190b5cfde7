"""Scores: how much each weight matters. The lowest go first."""

from __future__ import annotations

from ._base import Score, ScoreContext
from ._magnitude import Magnitude
from ._random import Random
from ._registry import ScoreLike, deserialize, get, register, serialize
from ._synflow import SynFlow

__all__ = [
    "Magnitude",
    "Random",
    "Score",
    "ScoreContext",
    "ScoreLike",
    "SynFlow",
    "deserialize",
    "get",
    "register",
    "serialize",
]
