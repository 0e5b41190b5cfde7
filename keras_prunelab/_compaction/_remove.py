"""Remove whole filters by their score, in one go or in rounds with training between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import keras
import numpy as np

from keras_prunelab._channels._analysis import Analysis, analyze
from keras_prunelab._channels._channels import Flags
from keras_prunelab._cost._costs import Cost, cost, remove_none
from keras_prunelab._cost._target_budget import TARGET_GOALS, TargetBudget
from keras_prunelab._errors import InvalidDataError, InvalidModelError, NothingToPruneError
from keras_prunelab._model._data import calibration_of
from keras_prunelab._model._filters import Filters
from keras_prunelab._model._numbers import real_number
from keras_prunelab._model._roles import find
from keras_prunelab._reconstruct._gram import DAMPING
from keras_prunelab._reconstruct._solver import Mode
from keras_prunelab._util._signatures import names_options
from keras_prunelab.layers._strip import without_wrappers

from ._build import cut
from ._families import Family, families
from ._fold import Fold
from ._importance import FilterScoreLike, Importance, importance
from ._ranking import Ranking, alternate, in_multiples, so_many, steps_of, together, within
from ._removal_plan import COSTS, RemovalPlan, Train

_SHARES = [share / 100 for share in range(100)]


@names_options
def remove_filters(
    model: keras.Model,
    fraction: float | None = None,
    score: FilterScoreLike = "l1",
    *,
    budget: Mapping[str, float] | None = None,
    target: str = "ethos-u55-128",
    scope: Literal["layer", "global"] | None = None,
    rounds: int | None = None,
    train: Train = None,
    evaluate: Callable[[keras.Model], float] | None = None,
    multiple_of: int = 1,
    include: Filters = None,
    exclude: Filters = None,
    calibration: Any = None,
    reconstruct: bool | Mode = False,
    damping: float = DAMPING,
    data: Any = None,
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
            `{"bytes": 0.5}`, shares in (0, 1), where layers in `metrics(model).uncounted` count no multiply-adds; or
            `{"accuracy": 0.97}`, the least that `evaluate` may return; or what it may take on `target`, as in `prune`:
            `{"flash": 60_000, "sram": 20_000, "cycles": 0.5}`, several at once, for which the smallest fraction in
            steps of 1 % is searched for.
        target: of such a budget, the NPU: `"ethos-u55-128"` and others, see `metrics`.
        scope: `"layer"`: the same share of each layer and of those coupled to it, by default for a fraction;
            `"global"`: all filters are ranked together, by their score in relation to the mean of their layer, by
            default for a budget.
        rounds: in how many steps the goal is reached, by default 1. With an accuracy as the goal, the most steps; 20 by
            default.
        train: what to do after each round: a function of the model, or the arguments of its `fit`, callbacks among
            them; by default nothing.
        evaluate: a function from the model to its accuracy, for that goal.
        multiple_of: keep so many filters of each layer and of those coupled to it, or twice as many, and so on, or all
            of them: processors are as fast with 16 channels as with 12. Heads of attention are not rounded.
        include: only filters of layers that match one of these; see `prunable`.
        exclude: no filters of layers that match one of these.
        calibration: what a score that needs data is computed on, and the weights are reconstructed on: inputs,
            `(inputs, labels)`, or batches of either.
        reconstruct: whether the weights that are left are solved anew, so that each layer's outputs come as close as
            they can to what they were before the round: what removed filters gave goes into those that stay. True or
            `"sequential"`, one layer after the other, on what the smaller layers before it give, or `"layers"`, all at
            once; see `reconstruct`. It comes before the training of a round, and needs no labels.
        damping: the pull of reconstruction towards the old weights, see `reconstruct`.
        data: another name of `calibration`.

    Returns:
        A plain Keras model. How the model was compiled is carried over; the optimizer begins anew.

    Raises:
        InvalidSparsityError: fraction or budget is none, or both are given, or rounds or multiple_of is not 1 or more.
        UnknownNameError: there is no such score, scope, goal, layer or way to reconstruct.
        InvalidDataError: the score or the reconstruction needs data, and there is none, too little, or it does not fit.
        NothingToPruneError: there is no filter that could go, or the budget cannot be reached.
        InvalidModelError: the model is not built, or a subclass whose `call` nobody can look into.
        TypeError: there is no such option; the nearest one is named.

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
    if isinstance(budget, Mapping) and set(TARGET_GOALS) & set(budget) and fraction is None:
        limits = TargetBudget.checked(budget, target)

        def at(share: float, finished: bool) -> keras.Model:
            return remove_filters(
                model,
                share,
                score,
                scope=scope or "global",
                rounds=rounds if finished else None,
                train=train if finished else None,
                evaluate=evaluate,
                multiple_of=multiple_of,
                include=include,
                exclude=exclude,
                calibration=calibration_of(calibration, data=data),
                reconstruct=reconstruct if finished else False,
                damping=damping,
            )

        return limits.search(model, _SHARES, lambda share: at(share, False), lambda share: at(share, True))
    plan = RemovalPlan.checked(
        model,
        fraction,
        budget,
        scope=scope,
        rounds=rounds,
        train=train,
        evaluate=evaluate,
        multiple_of=multiple_of,
        include=include,
        exclude=exclude,
    )
    data = calibration_of(calibration, data=data)
    small = without_wrappers(model)
    fold = Fold.checked(small, reconstruct, data, damping)
    if plan.goal == "accuracy":
        return _until(small, plan, score, data, fold)
    for share in plan.shares():
        small = _trained(_smaller(small, plan, share, score, data, fold), plan)
    return small


def _until(model: keras.Model, plan: RemovalPlan, score: FilterScoreLike, data: Any, fold: Fold | None) -> keras.Model:
    """Remove a twentieth at a time, as long as the accuracy holds."""
    _accuracy(model, plan)  # before anything is trained: whether it is a number
    analysis = analyze(model)
    best = cut(model, analysis, remove_none(analysis))
    for number in range(1, min(plan.rounds, 20) + 1):
        try:
            small = _smaller(best, plan, number / 20, score, data, fold)
        except NothingToPruneError:
            break
        if small.count_params() == best.count_params():
            continue  # a twentieth of few filters is none
        if not _accuracy(_trained(small, plan), plan) >= plan.target:  # nor if it is NaN
            break
        best = small
    return best


def _accuracy(model: keras.Model, plan: RemovalPlan) -> float:
    found: Any = plan.evaluate(model) if plan.evaluate is not None else None
    accuracy = real_number(found)
    if accuracy is None:
        raise InvalidDataError(
            f"evaluate returned {found!r} where a number was expected, such as "
            "model.evaluate(x, y, return_dict=True)['accuracy']."
        )
    return accuracy


def _trained(model: keras.Model, plan: RemovalPlan) -> keras.Model:
    train = plan.train
    if isinstance(train, Mapping):
        if not model.compiled:
            raise InvalidModelError(f"Model {model.name!r} is not compiled, so train= cannot fit it. Compile it first.")
        model.fit(**train)
    elif train is not None:
        train(model)
    return model


def _smaller(
    model: keras.Model, plan: RemovalPlan, share: float, score: FilterScoreLike, data: Any, fold: Fold | None
) -> keras.Model:
    analysis = analyze(model)
    every = families(analysis)
    if not every:  # before a score has nothing to go by
        raise _nothing_to_go(model, analysis)
    scores = importance(model, analysis, score, data)
    candidates = _candidates(model, analysis, every, plan, scores)
    if plan.goal in COSTS:
        removed = _within_budget(analysis, candidates, scores, share, plan)
    else:
        removed = _fraction(analysis, candidates, scores, share, plan)
    return cut(model, analysis, removed) if fold is None else fold.cut(model, analysis, removed)


def _candidates(
    model: keras.Model, analysis: Analysis, every: list[Family], plan: RemovalPlan, scores: Importance
) -> list[Family]:
    """The families that may lose filters, with those groups that the score speaks of."""
    allowed = {id(layer) for item in find(model)[0] if item.within in plan.allowed for layer in item.containers}
    found = [each.of(~np.isnan(scores[each.groups])) for each in every]
    found = [each for each in found if all(id(owner) in allowed for owner in each.owners)]
    # One filter that is left of several counts among those that are left.
    found = [each for each in found if each.groups.size and plan.first(each.groups.size, *each.keys) > 1]
    if not found:
        raise _nothing_to_go(model, analysis)
    return found


def _nothing_to_go(model: keras.Model, analysis: Analysis) -> NothingToPruneError:
    barriers = "; ".join(f"{barrier.layer}: {barrier.reason}" for barrier in analysis.barriers)
    return NothingToPruneError(
        f"Model {model.name!r} has no filter that could go. Those of its outputs stay, those next to a layer "
        f"without a rule ({barriers or 'there is none'}), and what include= and exclude= leave out."
    )


def _fraction(analysis: Analysis, found: list[Family], scores: Importance, share: float, plan: RemovalPlan) -> Flags:
    sizes = [(each.groups.size, plan.first(each.groups.size, *each.keys)) for each in found]
    if plan.scope == "global":
        goals = [(together(found, scores), plan.count(share, *sizes))]
    else:
        pairs = zip(found, sizes, strict=True)
        goals = [(Ranking.of(steps_of(each, scores)[:-1]), plan.count(share, size)) for each, size in pairs]
    return analysis.find_fixed_point(in_multiples(so_many(analysis, goals), found, scores, plan.multiple))


def _within_budget(
    analysis: Analysis, found: list[Family], scores: Importance, share: float, plan: RemovalPlan
) -> Flags:
    """As few filters as bring the cost below a share of what it is."""
    kind: Cost = plan.goal  # type: ignore[assignment]
    whole = plan.first(cost(analysis, remove_none(analysis), kind), kind)
    ranking = together(found, scores) if plan.scope == "global" else alternate(found, scores)

    def settle(removed: Flags) -> Flags:
        return analysis.find_fixed_point(in_multiples(removed, found, scores, plan.multiple))

    everything = remove_none(analysis)
    everything[ranking.groups] = True
    least = cost(analysis, settle(everything), kind)
    if least > plan.target * whole:  # before the first round trains for nothing
        raise NothingToPruneError(
            f"budget={{{kind!r}: {plan.target}}} cannot be reached: with all filters removed that may go, "
            f"{least / whole:.1%} of the {kind} remain. Ask for more than that."
        )
    return within(analysis, ranking, kind, share * whole, settle)
