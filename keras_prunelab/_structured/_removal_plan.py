"""What `remove_filters` is asked for, checked before anything is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, TypedDict

import keras

from keras_prunelab._errors import InvalidSparsityError, UnknownNameError
from keras_prunelab._filters import Filters, matcher
from keras_prunelab._numbers import real_number, whole_number
from keras_prunelab._roles import find
from keras_prunelab._selection import pruned_count

COSTS = ("parameters", "macs", "bytes")


class RemovalOptions(TypedDict, total=False):
    """What `remove_filters` takes beside the model, the goal, the score and its data.

    Attributes:
        scope: `"layer"`: the same share of each layer and of those coupled to it; `"global"`: all filters are ranked
            together, by their score in relation to the mean of their layer.
        rounds: in how many steps the goal is reached. With an accuracy as the goal, the most steps; 20 by default.
        train: what to do after each round: a function of the model, or the arguments of its `fit`, callbacks among
            them.
        evaluate: a function from the model to its accuracy, for that goal.
        multiple_of: keep so many filters of each layer and of those coupled to it, or twice as many, and so on, or all
            of them: processors are as fast with 16 channels as with 12. Heads of attention are not rounded.
        include: only filters of layers that match one of these; see `prunable`.
        exclude: no filters of layers that match one of these.
    """

    scope: Literal["layer", "global"]
    rounds: int
    train: Callable[[keras.Model], Any] | Mapping[str, Any]
    evaluate: Callable[[keras.Model], float]
    multiple_of: int
    include: Filters
    exclude: Filters


class Plan:
    """What is asked for.

    Attributes:
        goal: `"fraction"`, `"accuracy"` or a cost.
        target: the share to remove, the least accuracy, or the share of the cost that may remain.
        rounds: in how many rounds.
        scope: `"layer"` or `"global"`.
        multiple: of how many filters a multiple is kept.
        allowed: where the layers stand whose filters may go.
        options: as they were given.
    """

    def __init__(self, model: keras.Model, goal: str, target: float, options: RemovalOptions) -> None:
        self.goal, self.target, self.options = goal, target, options
        self.rounds = options.get("rounds", 20 if goal == "accuracy" else 1)
        self.scope = options.get("scope", "layer" if goal == "fraction" else "global")
        self.multiple = options.get("multiple_of", 1)
        # By name: a filter may be a layer of this very model, and each round makes a new one.
        self.allowed = _allowed(model, options.get("include"), options.get("exclude"))
        # What there was before the first round, which all rounds count from: shares of what is left would be rounded
        # anew each time, small ones to nothing.
        self._sizes: dict[str, int] = {}

    @classmethod
    def checked(cls, model: keras.Model, fraction: Any, budget: Any, options: RemovalOptions) -> Plan:
        """Check what is asked for.

        Raises:
            InvalidSparsityError, UnknownNameError, TypeError: as `remove_filters` says.
        """
        if unknown := set(options) - set(RemovalOptions.__annotations__):
            known = ", ".join(RemovalOptions.__annotations__)
            raise TypeError(f"remove_filters has no option {min(unknown)!r}; its options are {known}.")
        one = isinstance(budget, Mapping) and len(budget) == 1
        if (fraction is None) == (budget is None) or (budget is not None and not one):
            raise InvalidSparsityError(
                f"fraction={fraction!r} and budget={budget!r}: give one of them, such as fraction=0.5 or "
                "budget={'macs': 0.5}."
            )
        goal, target = ("fraction", fraction) if budget is None else next(iter(budget.items()))
        if goal not in ("fraction", "accuracy", *COSTS):
            raise UnknownNameError(f"budget={budget!r}: a goal is 'parameters', 'macs', 'bytes' or 'accuracy'.")
        share = real_number(target)
        if share is None or not _is_share(goal, share):
            bounds = {"fraction": "[0, 1)", "accuracy": "[0, 1]"}.get(goal, "(0, 1)")
            raise InvalidSparsityError(f"{goal}={target!r} is to be a number in {bounds}; write 0.5 for 50 %.")
        if goal == "accuracy" and "evaluate" not in options:
            raise UnknownNameError("budget={'accuracy': ...} needs evaluate=, a function from a model to its accuracy.")
        train: Any = options.get("train")
        if train is not None and not callable(train) and not isinstance(train, Mapping):
            raise TypeError(f"train={train!r} is to be a function of the model, or the arguments of its fit.")
        plan = cls(model, goal, share, options)
        if plan.scope not in ("layer", "global"):
            raise UnknownNameError(f"scope={plan.scope!r} is unknown; it is 'layer' or 'global'.")
        plan.rounds, plan.multiple = _count("rounds", plan.rounds), _count("multiple_of", plan.multiple)
        return plan

    def shares(self) -> Iterator[float]:
        """What is to be removed by the end of each round, or may remain after it, of what there was at first."""
        for number in range(1, self.rounds + 1):
            done = number / self.rounds
            yield self.target * done if self.goal == "fraction" else self.target**done

    def first(self, size: int, *keys: str) -> int:
        """The size of something before the first round; of several names one that is known tells it."""
        whole = max((self._sizes[key] for key in keys if key in self._sizes), default=size)
        self._sizes |= dict.fromkeys(keys, whole)
        return whole

    def count(self, share: float, *sizes: tuple[int, int]) -> int:
        """How many of the filters that are left go, if a share of all that there were is to be gone.

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
