"""Remove whole filters by their score, in one go or in rounds with training between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal, TypedDict, Unpack

import keras
import numpy as np
from numpy.typing import NDArray

from keras_prunelab._errors import InvalidModelError, InvalidSparsityError, NothingToPruneError, UnknownNameError
from keras_prunelab._filters import Filters
from keras_prunelab._prunable import prunable
from keras_prunelab._selection import pruned_count

from ._analysis import Analysis, analysed
from ._build import cut
from ._channels import Flags
from ._compact import without_wrappers
from ._costs import Cost, cost, none_gone
from ._families import Family, families
from ._importance import FilterScoreLike, Importance, importance

_COSTS = ("parameters", "macs", "bytes")


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


def remove_filters(
    model: keras.Model,
    fraction: float | None = None,
    score: FilterScoreLike = "l1",
    *,
    budget: Mapping[str, float] | None = None,
    data: Any = None,
    **options: Unpack[RemovalOptions],
) -> keras.Model:
    """Make a smaller model by removing the filters, neurons, heads or units that matter least.

    Filters that are coupled, such as those of all layers that add up to one residual stream, go together. Unlike
    `compact`, this changes what the model computes: fine-tune it afterwards, or let it be trained between rounds,
    as the loop around MATLAB's `taylorPrunableNetwork` does.

    Args:
        model: a built functional or sequential model, which is only read.
        fraction: the share of the filters to remove, in [0, 1).
        score: which go first: `"l1"` and `"l2"`, small filters (Li et al., Pruning filters for efficient ConvNets,
            2017); `"taylor"` (Molchanov et al., 2019), `"snip"` and others of `scores`, which need data; `"fpgm"`, near
            the geometric median (He et al., 2019); `"bn_scale"`, small scales of batch normalizations (Liu et al.,
            Network slimming, 2017); `"group"`, small norms over all coupled weights, also those that read the filter
            (Fang et al., DepGraph, 2023); `"random"`; a `Score` or a function, whose scores of single weights are
            summed.
        budget: instead of a fraction, what may remain of the model: `{"parameters": 0.5}`, `{"macs": 0.5}` or
            `{"bytes": 0.5}`, shares in (0, 1); or `{"accuracy": 0.97}`, the least that `evaluate` may return.
        data: what a score that needs data is computed on: inputs, `(inputs, labels)`, or batches of either.
        **options: scope, rounds, training between rounds, multiples to keep, and filters of layers; see
            `RemovalOptions`.

    Returns:
        A plain Keras model. How the model was compiled is carried over; the optimizer begins anew.

    Raises:
        InvalidSparsityError: fraction or budget is none, or both are given, or rounds or multiple_of is not 1 or more.
        UnknownNameError: there is no such score, scope, goal or layer.
        InvalidDataError: the score needs data, and there is none or it does not fit.
        NothingToPruneError: there is no filter that could go, or the budget cannot be reached.
        InvalidModelError: the model is not built, or a subclass whose `call` nobody can look into.
        TypeError: there is no such option.

    Examples:
        >>> import keras
        >>> import keras_prunelab as kpl
        >>> model = keras.Sequential([
        ...     keras.Input((8, 8, 3)), keras.layers.Conv2D(16, 3), keras.layers.Flatten(), keras.layers.Dense(10)
        ... ])
        >>> kpl.remove_filters(model, 0.25).layers[0].filters
        12
        >>> kpl.metrics(kpl.remove_filters(model, budget={"macs": 0.5})).macs / kpl.metrics(model).macs <= 0.5
        True
    """
    plan = _Plan.checked(fraction, budget, options)
    small = without_wrappers(model)
    if plan.goal == "accuracy":
        return _until(small, plan, score, data)
    for share in plan.shares():
        small = _trained(_smaller(small, plan, share, score, data), options)
    return small


class _Plan:
    """What is asked for, checked."""

    def __init__(self, goal: str, target: float, options: RemovalOptions) -> None:
        self.goal, self.target, self.options = goal, target, options
        self.rounds = options.get("rounds", 20 if goal == "accuracy" else 1)
        self.scope = options.get("scope", "layer" if goal == "fraction" else "global")
        self.multiple = options.get("multiple_of", 1)
        # What there was before the first round, which all rounds count from: shares of what is left would be rounded
        # anew each time, small ones to nothing.
        self._sizes: dict[str, int] = {}

    @classmethod
    def checked(cls, fraction: float | None, budget: Mapping[str, float] | None, options: RemovalOptions) -> _Plan:
        if unknown := set(options) - set(RemovalOptions.__annotations__):
            known = ", ".join(RemovalOptions.__annotations__)
            raise TypeError(f"remove_filters has no option {min(unknown)!r}; its options are {known}.")
        if (fraction is None) == (budget is None) or (budget is not None and len(budget) != 1):
            raise InvalidSparsityError(
                f"fraction={fraction!r} and budget={budget!r}: give one of them, such as fraction=0.5 or "
                "budget={'macs': 0.5}."
            )
        goal, target = ("fraction", fraction) if budget is None else next(iter(budget.items()))
        if goal not in ("fraction", "accuracy", *_COSTS):
            raise UnknownNameError(f"budget={budget!r}: a goal is 'parameters', 'macs', 'bytes' or 'accuracy'.")
        if target is None or not (0 <= target < 1 or (goal == "accuracy" and target == 1)):
            raise InvalidSparsityError(f"{goal}={target!r} is to be in [0, 1); write 0.5 for 50 %.")
        if goal == "accuracy" and "evaluate" not in options:
            raise UnknownNameError("budget={'accuracy': ...} needs evaluate=, a function from a model to its accuracy.")
        plan = cls(goal, float(target), options)
        if plan.scope not in ("layer", "global"):
            raise UnknownNameError(f"scope={plan.scope!r} is unknown; it is 'layer' or 'global'.")
        for name, value in (("rounds", plan.rounds), ("multiple_of", plan.multiple)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InvalidSparsityError(f"{name}={value!r} is to be a whole number from 1.")
        return plan

    def shares(self) -> Iterator[float]:
        """What is to be removed by the end of each round, or may remain after it, of what there was at first."""
        for number in range(1, self.rounds + 1):
            done = number / self.rounds
            yield self.target * done if self.goal == "fraction" else self.target**done

    def first(self, name: str, size: int) -> int:
        """The size of something before the first round."""
        return self._sizes.setdefault(name, size)

    def count(self, share: float, name: str, size: int) -> int:
        """How many of the filters that are left of a family go, if a share of all that it had is to be gone."""
        whole = self.first(name, size)
        return max(0, size - (whole - pruned_count(share, whole)))


def _until(model: keras.Model, plan: _Plan, score: FilterScoreLike, data: Any) -> keras.Model:
    """Remove a twentieth at a time, as long as the accuracy holds."""
    best, evaluate = model, plan.options["evaluate"]
    for number in range(1, min(plan.rounds, 20) + 1):
        try:
            small = _smaller(best, plan, number / 20, score, data)
        except NothingToPruneError:
            break
        if small.count_params() == best.count_params():
            continue  # a twentieth of few filters is none
        if evaluate(_trained(small, plan.options)) < plan.target:
            break
        best = small
    return best


def _trained(model: keras.Model, options: RemovalOptions) -> keras.Model:
    train = options.get("train")
    if isinstance(train, Mapping):
        if not model.compiled:
            raise InvalidModelError(f"Model {model.name!r} is not compiled, so train= cannot fit it. Compile it first.")
        model.fit(**train)
    elif train is not None:
        train(model)
    return model


def _smaller(model: keras.Model, plan: _Plan, share: float, score: FilterScoreLike, data: Any) -> keras.Model:
    analysis = analysed(model)
    scores = importance(model, analysis, score, data)
    candidates = _candidates(model, analysis, plan, scores)
    if plan.goal in _COSTS:
        gone = _within(analysis, candidates, scores, share, plan)
    else:
        gone = _fraction(analysis, candidates, scores, share, plan)
    return cut(model, analysis, gone)


def _candidates(model: keras.Model, analysis: Analysis, plan: _Plan, scores: Importance) -> list[Family]:
    """The families that may lose filters, with those groups that the score speaks of, each under a name of its own."""
    found: list[Family] = []
    seen: Counter[str] = Counter()
    for each in families(analysis):
        seen[each.name] += 1  # a layer can make several, such as the heads of attention and its outputs
        groups = each.groups[~np.isnan(scores[each.groups])]
        found.append(replace(each, name=f"{each.name} {seen[each.name]}", groups=groups))
    include, exclude = plan.options.get("include"), plan.options.get("exclude")
    if include is not None or exclude is not None:
        allowed = {id(layer) for item in prunable(model, include, exclude) for layer in item.containers}
        found = [each for each in found if all(id(owner) in allowed for owner in each.owners)]
    # One filter that is left of several counts among those that are left.
    found = [each for each in found if plan.first(each.name, each.groups.size) > 1 and each.groups.size]
    if not found:
        walls = "; ".join(f"{wall.layer}: {wall.reason}" for wall in analysis.walls)
        raise NothingToPruneError(
            f"Model {model.name!r} has no filter that could go. Those of its outputs stay, those next to a layer "
            f"without a rule ({walls or 'there is none'}), and what include= and exclude= leave out."
        )
    return found


def _fraction(analysis: Analysis, found: list[Family], scores: Importance, share: float, plan: _Plan) -> Flags:
    gone = none_gone(analysis)
    if plan.scope == "global":
        size = sum(family.groups.size for family in found)
        gone[_order(found, scores)[: plan.count(share, "", size)]] = True
    else:
        for family in found:
            order = _ranked(family, scores)
            gone[order[: min(plan.count(share, family.name, order.size), order.size - 1)]] = True
    return analysis.settled(_in_multiples(gone, found, scores, plan.multiple))


def _in_multiples(gone: Flags, found: list[Family], scores: Importance, multiple: int) -> Flags:
    """Take back the best of what is to go, until of each family a multiple stays, or all."""
    for family in found:
        if multiple > 1 and not family.are_heads:
            order = _ranked(family, scores)
            going = order[gone[order]]
            kept = order.size - going.size
            wanted = min(-(-kept // multiple) * multiple, order.size)
            gone[going[order.size - wanted :]] = False
    return gone


def _within(analysis: Analysis, found: list[Family], scores: Importance, share: float, plan: _Plan) -> Flags:
    """As few filters as bring the cost below a share of what it is."""
    kind: Cost = plan.goal  # type: ignore[assignment]
    whole = plan.first("", cost(analysis, none_gone(analysis), kind))
    most = share * whole
    order = _order(found, scores) if plan.scope == "global" else _alternating(found, scores)

    def after(count: int) -> Flags:
        gone = none_gone(analysis)
        gone[order[:count]] = True
        return analysis.settled(_in_multiples(gone, found, scores, plan.multiple))

    least = cost(analysis, after(order.size), kind)
    if least > plan.target * whole:  # before the first round trains for nothing
        raise NothingToPruneError(
            f"budget={{{kind!r}: {plan.target}}} cannot be reached: with all filters gone that may go, "
            f"{least / whole:.1%} of the {kind} remain. Ask for more than that."
        )
    low, high = 0, order.size
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if cost(analysis, after(middle), kind) <= most else (middle + 1, high)
    return after(low)


def _order(found: list[Family], scores: Importance) -> NDArray[np.int64]:
    """All groups but the last of each family, those first that matter least in relation to the family's mean."""
    ranked = [_ranked(family, scores) for family in found]
    means = [scores[family.groups].mean() or 1.0 for family in found]
    relative = np.concatenate([scores[groups[:-1]] / mean for groups, mean in zip(ranked, means, strict=True)])
    return np.concatenate([groups[:-1] for groups in ranked])[np.argsort(relative, kind="stable")]


def _alternating(found: list[Family], scores: Importance) -> NDArray[np.int64]:
    """All groups but the last of each family, in an order in which each loses the same share at any point."""
    ranked = [_ranked(family, scores) for family in found]
    places = [(np.arange(each.size - 1) + 1) / each.size for each in ranked]
    order = np.argsort(np.concatenate(places), kind="stable")
    return np.concatenate([groups[:-1] for groups in ranked])[order]


def _ranked(family: Family, scores: Importance) -> NDArray[np.int64]:
    """The groups of a family, those first that matter least."""
    return family.groups[np.argsort(scores[family.groups], kind="stable")]
