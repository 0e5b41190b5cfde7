"""Scores by name: the trio `serialize`, `deserialize`, `get`, and `register` for scores of one's own."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeAlias, TypeVar, final

from numpy.typing import NDArray

from keras_prunelab._errors import UnknownNameError
from keras_prunelab._util._registry import Registry

from ._base import Score, ScoreContext
from ._fisher import Fisher
from ._grasp import GraSP
from ._lamp import LAMP
from ._magnitude import Magnitude
from ._movement import Movement
from ._obd import OBD
from ._random import Random
from ._snip import SNIP
from ._synflow import LinearSynFlow, SynFlow
from ._taylor import Taylor
from ._wanda import Wanda

ScoreFunction: TypeAlias = Callable[[ScoreContext], dict[str, NDArray[Any]]]
ScoreLike: TypeAlias = "str | Score | type[Score] | ScoreFunction | Mapping[str, Any]"
S = TypeVar("S", bound=type[Score])

_SCORES: Registry[Score] = Registry(
    "score",
    (Magnitude, Random, SynFlow, LinearSynFlow, SNIP, GraSP, Taylor, Fisher, Movement, Wanda, LAMP, OBD),
    otherwise=", a Score, or a function of a ScoreContext",
    unnamed="; a plain function has no name to find it by",
)


# Scores that are made of what lies above this package; importing the module registers them.
_ELSEWHERE = {"obs": "keras_prunelab._reconstruct._score"}


def register(score: S) -> S:
    """Make a `Score` class known by its `name`; usable as a decorator.

    Args:
        score: the class. A later one of the same name takes its place.

    Returns:
        The class.
    """
    return _SCORES.register(score)


def serialize(score: Score) -> dict[str, Any]:
    """Turn a score into JSON values.

    Args:
        score: a score of a registered class.

    Returns:
        `{"name": ..., "config": ...}`.

    Raises:
        UnknownNameError: the class is not registered, so that `deserialize` would not find it.
    """
    return _SCORES.serialize(score)


def deserialize(config: Mapping[str, Any]) -> Score:
    """Make a score from what `serialize` returned.

    Args:
        config: `{"name": ..., "config": ...}`.

    Returns:
        The score.

    Raises:
        UnknownNameError: no score of that name is registered.
    """
    if config.get("name") not in _SCORES:
        for home in _ELSEWHERE.values():
            importlib.import_module(home)
    return _SCORES.deserialize(config)


def get(score: ScoreLike) -> Score:
    """Find or make a score.

    Args:
        score: a registered name, a `Score` or a class of them, what `serialize` returned, or a function
            that takes a `ScoreContext` and returns an array a path.

    Returns:
        The score.

    Raises:
        UnknownNameError: it is none of these.
    """
    if isinstance(score, Score):
        return score
    if isinstance(score, str):
        return deserialize({"name": score})
    if isinstance(score, Mapping):
        return deserialize(score)
    if isinstance(score, type) and issubclass(score, Score):
        return score()
    if callable(score) and not isinstance(score, type):
        return _FunctionScore(score)
    raise UnknownNameError(
        f"score={score!r} of type {type(score).__name__} is no score; give a name such as 'magnitude', a "
        "Score, or a function of a ScoreContext."
    )


@final
class _FunctionScore(Score):
    """A user's function, computed once on the dense network."""

    name: ClassVar[str] = "function"

    def __init__(self, function: ScoreFunction) -> None:
        self.function = function
        # Results show the function's own name.
        self.name = getattr(function, "__name__", type(function).__name__)  # type: ignore[misc]

    def __call__(self, context: ScoreContext) -> dict[str, NDArray[Any]]:
        return self.function(context)

    def get_config(self) -> dict[str, Any]:
        return {"function": self.function}
