"""Scores: how much each weight matters. The lowest go first."""

from __future__ import annotations

from ._base import Score, ScoreContext
from ._magnitude import Magnitude
from ._random import Random
from ._registry import deserialize, get, register, serialize
from ._synflow import SynFlow

__all__ = [
    "Magnitude",
    "Random",
    "Score",
    "ScoreContext",
    "SynFlow",
    "deserialize",
    "get",
    "register",
    "serialize",
]
