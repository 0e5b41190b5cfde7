"""Every point of a sweep, listed and checked before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

from numpy.typing import ArrayLike

from keras_prunelab._errors import InvalidScheduleError, InvalidSparsityError, UnknownNameError
from keras_prunelab._evaluate._metric import percent
from keras_prunelab._model._numbers import whole_number
from keras_prunelab._reconstruct._solver import Mode, mode_of
from keras_prunelab._select import _allocation
from keras_prunelab._select._allocation import Allocation, Scope
from keras_prunelab._select._selection import check_sparsities
from keras_prunelab.scores import Score, get
from keras_prunelab.scores._registry import ScoreLike

from ._finetune import FineTune
from ._refine import AutoLevels

Sparsities: TypeAlias = "float | ArrayLike | str | AutoLevels"
Seeds: TypeAlias = "int | Iterable[int] | None"
Scopes: TypeAlias = "Scope | Sequence[Scope]"
Reconstructs: TypeAlias = "bool | Mode | Sequence[bool | Mode | None] | None"
FineTunes: TypeAlias = "FineTune | Sequence[FineTune | None] | None"


@dataclass(frozen=True)
class Curve:
    """One curve: a score in a scope, with one seed and one way of training.

    Attributes:
        score: what decides which weights go.
        scope: among which weights they are ranked.
        seed: what random numbers start from.
        finetune: how the network is trained once it is pruned; None where it is not.
        reconstruct: how the weights that are left are solved anew, before any training; None where they are not.
    """

    score: Score = field(compare=False)
    scope: Allocation = field(compare=False)
    seed: int
    finetune: FineTune | None = field(compare=False)
    reconstruct: Mode | None = field(default=None, compare=False)
    key: tuple[str, str, str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", (self.score.name, str(self.scope), self.training, self.seed))

    @property
    def training(self) -> str:
        """How the weights that are left are solved anew and trained, in words."""
        solved = {None: [], "layers": ["reconstruction"], "sequential": ["sequential reconstruction"]}[self.reconstruct]
        return ", ".join([*solved, *([] if self.finetune is None else [str(self.finetune)])]) or "none"

    @property
    def is_seeded(self) -> bool:
        """Whether another seed gives other points."""
        return self.finetune is not None or self.score_is_seeded

    @property
    def score_is_seeded(self) -> bool:
        """Whether another seed gives other masks before any training."""
        return "seed" in self.score.get_config()

    def __str__(self) -> str:
        parts = [self.score.name, str(self.scope), f"seed {self.seed}"]
        return ", ".join(parts if self.training == "none" else [*parts, self.training])


@dataclass(frozen=True)
class Point:
    """One point of a sweep: a curve at a level."""

    curve: Curve
    level: float

    def __str__(self) -> str:
        return f"{self.curve}, {100 * self.level:g} %"


@dataclass(frozen=True)
class Plan:
    """What a sweep will measure: each curve at each level.

    Attributes:
        curves: the curves, in the order of measurement.
        levels: the sparsities, ascending, each once; or how to find them.
    """

    curves: tuple[Curve, ...]
    levels: tuple[float, ...] | AutoLevels

    @property
    def points(self) -> tuple[Point, ...]:
        """Every point, in the order of measurement; of levels that are still to be found, the first ones."""
        return tuple(Point(curve, level) for curve in self.curves for level in self.first_levels)

    @property
    def first_levels(self) -> tuple[float, ...]:
        """The levels, or those to begin with."""
        return self.levels.coarse if isinstance(self.levels, AutoLevels) else self.levels

    @property
    def measured(self) -> Mapping[Curve, Curve]:
        """For each curve the one that is measured for it: a seed that changes nothing costs nothing."""
        first: dict[tuple[str, str, str], Curve] = {}
        found = {}
        for curve in self.curves:
            found[curve] = curve if curve.is_seeded else first.setdefault(curve.key[:3], curve)
        return found

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        levels = self.first_levels
        count = len(self.points)
        yield f"{count} points: {len(self.curves)} {_plural('curve', len(self.curves))} of {len(levels)} levels each."
        if isinstance(self.levels, AutoLevels):
            yield f"More follow between these: {self.levels}."
        measured = self.measured
        for curve in self.curves:
            shared = "" if measured[curve] is curve else f" (the same as seed {measured[curve].seed}: measured once)"
            yield f"  {curve}{shared}"
        yield "Levels:"
        texts = [percent(level, 2) for level in levels]
        yield from (f"  {', '.join(texts[start : start + 10])}" for start in range(0, len(texts), 10))


def plan(
    sparsities: Sparsities,
    scores: ScoreLike | Iterable[ScoreLike],
    seeds: Seeds = None,
    scope: Scopes = "global",
    finetune: FineTunes = None,
    reconstruct: Reconstructs = False,
) -> Plan:
    """Make the plan of a sweep.

    Args:
        sparsities: fractions in [0, 1), in any order; or `"auto"`.
        scores: one or several scores, as `keras_prunelab.scores.get` takes them.
        seeds: a number of seeds, 0, 1, ..., or the seeds themselves; None leaves each score its own.
        scope: one or several scopes.
        finetune: one or several ways to train.
        reconstruct: one or several ways to solve the weights that are left anew; True is `"layers"`.

    Returns:
        The plan.

    Raises:
        InvalidSparsityError: there is no level, or one is outside [0, 1).
        UnknownNameError: there is no score, none of that name, or one twice; or a seed is no whole number from 0; or
            there is no such way to reconstruct.
        InvalidScheduleError: weights are to be reconstructed where pruning and training take turns; or what trains is
            no `FineTune`.
    """
    found = [get(score) for score in _several(scores)]
    scopes = [_allocation.get(one) for one in _sequence(scope)]
    trainings = list(_sequence(finetune))
    wrong = next((one for one in trainings if not (one is None or isinstance(one, FineTune))), None)
    if wrong is not None:
        raise InvalidScheduleError(
            f"finetune= is how each point is trained, such as FineTune((x, y), epochs=3), or several, not {wrong!r}."
        )
    # One trace and one pass over the data serve all levels where the layers are solved at once.
    modes = ["layers" if isinstance(one, bool) and one else mode_of(one) for one in _sequence(reconstruct)]
    if any(modes) and any(one is not None and one.rounds > 1 for one in trainings):
        raise InvalidScheduleError(
            "reconstruct= solves the weights that are left once, before they are trained; a FineTune beside it has one "
            "round."
        )
    seeded = _seeds(seeds)
    curves = [
        Curve(
            _with_seed(score, seed),
            share,
            seed if seed is not None else score.get_config().get("seed", 0),
            training,
            mode,
        )
        for score in found
        for share in scopes
        for mode in modes
        for training in trainings
        for seed in seeded
    ]
    if not curves:
        raise UnknownNameError("scores is empty; name at least one, such as ('magnitude', 'synflow').")
    keys = [curve.key for curve in curves]
    twice = [curve for curve in curves if keys.count(curve.key) > 1]
    if twice:
        raise UnknownNameError(
            f"Each curve is swept once, under its score's name, scope, training and seed, but {twice[0]} stands in the "
            "plan several times."
        )
    return Plan(tuple(curves), _levels(sparsities))


def _levels(sparsities: Sparsities) -> tuple[float, ...] | AutoLevels:
    if isinstance(sparsities, AutoLevels):
        return sparsities
    if isinstance(sparsities, str):
        if sparsities != "auto":
            raise InvalidSparsityError(f"sparsities is 'auto' or numbers in [0, 1), not {sparsities!r}.")
        return AutoLevels()
    # Ranges carry the noise of their sums: 0.8060000000000001 is meant as 0.806, and is not a level beside it.
    return check_sparsities([round(level, 12) for level in check_sparsities(sparsities)])


def _seeds(seeds: Seeds) -> list[int | None]:
    if seeds is None:
        return [None]
    count = whole_number(seeds)
    given = range(count) if count is not None else seeds if isinstance(seeds, Iterable) else ()
    found = [whole_number(seed) for seed in given]
    if not found or any(seed is None or seed < 0 for seed in found):
        raise UnknownNameError(f"seeds is a number of seeds from 1, or whole numbers from 0, not {seeds!r}.")
    return found


def _with_seed(score: Score, seed: int | None) -> Score:
    config = score.get_config()
    return score if seed is None or "seed" not in config else type(score).from_config({**config, "seed": seed})


def _several(scores: ScoreLike | Iterable[ScoreLike]) -> Iterable[ScoreLike]:
    if isinstance(scores, Iterable) and not isinstance(scores, str | Mapping):
        return scores
    return [cast("ScoreLike", scores)]


def _sequence(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else [value]


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"
