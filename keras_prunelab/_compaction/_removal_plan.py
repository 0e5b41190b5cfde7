"""What `remove_filters` is asked for, checked before anything is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import keras

from keras_prunelab._errors import InvalidSparsityError, UnknownNameError
from keras_prunelab._model._filters import Filters, matcher
from keras_prunelab._model._numbers import real_number, whole_number
from keras_prunelab._model._roles import find
from keras_prunelab._select._selection import pruned_count

COSTS = ("parameters", "macs", "bytes")
Train: TypeAlias = "Callable[[keras.Model], Any] | Mapping[str, Any] | None"


@dataclass(frozen=True)
class RemovalPlan:
    """What is asked for.

    Attributes:
        goal: `"fraction"`, `"accuracy"` or a cost.
        target: the share to remove, the least accuracy, or the share of the cost that may remain.
        scope: `"layer"` or `"global"`.
        rounds: in how many rounds.
        multiple: of how many filters a multiple is kept.
        train: what to do after each round: a function of the model, or the arguments of its `fit`; None for nothing.
        evaluate: a function from a model to its accuracy, for that goal.
        allowed: where the layers stand whose filters may go. By name: a filter may be a layer of this very model, and
            each round makes a new one.
    """

    goal: str
    target: float
    scope: str
    rounds: int
    multiple: int
    train: Train
    evaluate: Callable[[keras.Model], float] | None
    allowed: frozenset[tuple[str, ...]]
    # What there was before the first round, which all rounds count from: shares of what is left would be rounded anew
    # each time, small ones to nothing.
    _sizes: dict[str, int] = field(default_factory=dict)

    @classmethod
    def checked(
        cls,
        model: keras.Model,
        fraction: Any,
        budget: Any,
        *,
        scope: str | None,
        rounds: int | None,
        train: Train,
        evaluate: Callable[[keras.Model], float] | None,
        multiple_of: int,
        include: Filters,
        exclude: Filters,
    ) -> RemovalPlan:
        """Check what is asked for; see `remove_filters`.

        Raises:
            InvalidSparsityError, UnknownNameError, TypeError: as `remove_filters` says.
        """
        one = isinstance(budget, Mapping) and len(budget) == 1
        if (fraction is None) == (budget is None) or (budget is not None and not one):
            raise InvalidSparsityError(
                f"fraction={fraction!r} and budget={budget!r}: give one of them, such as fraction=0.5 or "
                "budget={'macs': 0.5}."
            )
        goal, target = ("fraction", fraction) if budget is None else next(iter(budget.items()))
        if goal not in ("fraction", "accuracy", *COSTS):
            raise UnknownNameError(
                f"budget={budget!r}: a goal is 'parameters', 'macs', 'bytes' or 'accuracy', or several of 'flash', "
                "'sram' and 'cycles'."
            )
        share = real_number(target)
        if share is None or not _is_share(goal, share):
            bounds = {"fraction": "[0, 1)", "accuracy": "[0, 1]"}.get(goal, "(0, 1)")
            raise InvalidSparsityError(f"{goal}={target!r} is to be a number in {bounds}; write 0.5 for 50 %.")
        if goal == "accuracy" and evaluate is None:
            raise UnknownNameError("budget={'accuracy': ...} needs evaluate=, a function from a model to its accuracy.")
        if train is not None and not callable(train) and not isinstance(train, Mapping):
            raise TypeError(f"train={train!r} is to be a function of the model, or the arguments of its fit.")
        if scope not in (None, "layer", "global"):
            raise UnknownNameError(f"scope={scope!r} is unknown; it is 'layer' or 'global'.")
        if rounds is None:
            rounds = 20 if goal == "accuracy" else 1
        return cls(
            goal=goal,
            target=share,
            scope=scope or ("layer" if goal == "fraction" else "global"),
            rounds=_count("rounds", rounds),
            multiple=_count("multiple_of", multiple_of),
            train=train,
            evaluate=evaluate,
            allowed=frozenset(_allowed(model, include, exclude)),
        )

    def shares(self) -> Iterator[float]:
        """What is to be removed by the end of each round, or may remain after it, of what there was at first."""
        for number in range(1, self.rounds + 1):
            done = number / self.rounds
            yield self.target * done if self.goal == "fraction" else self.target**done

    def first(self, size: int, *keys: str) -> int:
        """The size of something before the first round; of several names one that is known tells it."""
        whole = max((self._sizes[key] for key in keys if key in self._sizes), default=size)
        self._sizes.update(dict.fromkeys(keys, whole))
        return whole

    def count(self, share: float, *sizes: tuple[int, int]) -> int:
        """How many of the filters that are left go, if a share of all that there were is to be removed.

        Args:
            share: of all that there were.
            sizes: of each family how many are left, and how many there were.
        """
        left, whole = sum(now for now, _ in sizes), sum(before for _, before in sizes)
        return max(0, pruned_count(share, whole) - (whole - left))


def _allowed(model: keras.Model, include: Filters, exclude: Filters) -> set[tuple[str, ...]]:
    candidates = [item for item in find(model)[0] if item.role in ("kernel", "embedding")]
    included, excluded = matcher(include, candidates, "include"), matcher(exclude, candidates, "exclude")
    return {item.within for item in candidates if (include is None or included(item)) and not excluded(item)}


def _count(name: str, value: Any) -> int:
    found = whole_number(value)
    if found is None or found < 1:
        raise InvalidSparsityError(f"{name}={value!r} is to be a whole number from 1.")
    return found


def _is_share(goal: str, target: float) -> bool:
    return {"fraction": 0 <= target < 1, "accuracy": 0 <= target <= 1}.get(goal, 0 < target < 1)
