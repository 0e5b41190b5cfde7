"""Scores: how much each weight matters. The lowest go first."""

from __future__ import annotations

from typing import Any

from ._base import Score, ScoreContext
from ._base import check_data as check_data  # for the package, not for its users
from ._base import check_scores as check_scores
from ._fisher import Fisher
from ._grasp import GraSP
from ._lamp import LAMP
from ._magnitude import Magnitude
from ._movement import Movement
from ._obd import OBD
from ._random import Random
from ._registry import ScoreLike, deserialize, get, register, serialize
from ._snip import SNIP
from ._synflow import LinearSynFlow, SynFlow
from ._taylor import Taylor
from ._wanda import Wanda

__all__ = [
    "LAMP",
    "OBD",
    "OBS",
    "SNIP",
    "Fisher",
    "GraSP",
    "LinearSynFlow",
    "Magnitude",
    "Movement",
    "Random",
    "Score",
    "ScoreContext",
    "ScoreLike",
    "SynFlow",
    "Taylor",
    "Wanda",
    "deserialize",
    "get",
    "register",
    "serialize",
]


def __getattr__(name: str) -> Any:
    if name == "OBS":  # it is made of what lies above this package
        return type(get("obs"))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
