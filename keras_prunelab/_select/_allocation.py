"""How much of each layer goes: what the ranking says, or a rule, between limits."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from keras_prunelab._errors import InvalidSparsityError, UnknownNameError
from keras_prunelab._model._numbers import real_number
from keras_prunelab._model._variables import Prunable, Prunables
from keras_prunelab.scores._lamp import lamp_scores

AllocationRule: TypeAlias = Literal["global", "layer", "erk", "lamp"]
Limits: TypeAlias = "float | Mapping[str, float] | None"
Scope: TypeAlias = "AllocationRule | Allocation"
Group: TypeAlias = tuple[Prunable, ...]

_RULES = ("global", "layer", "erk", "lamp")
_ENDS = ("first", "last")


@dataclass(frozen=True)
class Allocation:
    """How a sparsity is shared out among the layers.

    Exactly round(s N) weights go, where N counts all prunable weights, those of protected layers too.

    Args:
        rule: `"global"` ranks all weights together. `"layer"` prunes the same share of each layer. `"erk"` keeps
            of each variable a share in proportion to the sum of its lengths divided by their product, at most all
            of it: Evci et al., Rigging the lottery, ICML 2020, https://arxiv.org/abs/1911.11134. `"lamp"` takes as
            much of each variable as the LAMP scores of its weights say: Lee et al., Layer-adaptive sparsity for
            the magnitude-based pruning, ICLR 2021, https://arxiv.org/abs/2010.07611. Inside, the score ranks.
        min_sparsity: how much of a layer goes in any case: one share for all, or shares by layer name, variable
            path or pattern, such as `{"conv*": 0.2}`.
        max_sparsity: how much of a layer goes at most, likewise.
        protect: `"first"`, `"last"` or both: the first or last prunable layer stays dense.

    Raises:
        UnknownNameError: there is no such rule, or no such end to protect.
        InvalidSparsityError: a limit is not in [0, 1].

    Examples:
        >>> import keras
        >>> import keras_prunelab as kpl
        >>> layers = [keras.layers.Dense(16, name=name) for name in ("one", "two", "three")]
        >>> model = keras.Sequential([keras.Input((16,)), *layers])
        >>> pruned = kpl.prune(model, 0.5, scope=kpl.Allocation("global", protect="first"))
        >>> kpl.sparsity(pruned), kpl.sparsity(pruned, include="one")
        (0.5, 0.0)
    """

    rule: AllocationRule = "global"
    min_sparsity: Limits = None
    max_sparsity: Limits = None
    protect: str | tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.rule not in _RULES:
            raise UnknownNameError(
                f"scope={self.rule!r} is unknown; it is one of {', '.join(map(repr, _RULES))}, or an Allocation."
            )
        for end in self._protected():
            if end not in _ENDS:
                raise UnknownNameError(f"protect={self.protect!r}; it is 'first', 'last' or both.")
        for name in ("min_sparsity", "max_sparsity"):
            limits = getattr(self, name)
            if limits is None:
                continue
            by_layer = limits if isinstance(limits, Mapping) else {"": limits}
            found = {layer: real_number(limit) for layer, limit in by_layer.items()}
            if not all(limit is not None and 0 <= limit <= 1 for limit in found.values()):
                raise InvalidSparsityError(f"{name}={limits!r}; a share of a layer's weights is in [0, 1].")
            object.__setattr__(self, name, found if isinstance(limits, Mapping) else found[""])

    def __str__(self) -> str:
        limits = {name: getattr(self, name) for name in ("min_sparsity", "max_sparsity", "protect")}
        return ", ".join([self.rule, *(f"{name}={limit}" for name, limit in limits.items() if limit not in (None, ()))])

    @property
    def is_limited(self) -> bool:
        """Whether there are limits beside the rule."""
        return self.min_sparsity is not None or self.max_sparsity is not None or bool(self.protect)

    def groups(self, prunables: Prunables, *, in_channels: bool = False) -> list[Group]:
        """The variables that the rule sees as one: those of a layer, or each for itself.

        Args:
            prunables: the variables.
            in_channels: whether channels go as a whole. Those of two kernels of a layer are of different sizes, and
                ranked together all channels of the small one, such as the depthwise one of a separable convolution,
                would go first.
        """
        by_layer = self.rule == "global" or (self.rule == "layer" and not in_channels)
        by_key: dict[Any, list[Prunable]] = {}
        for item in prunables:
            by_key.setdefault(item.within if by_layer else item.path, []).append(item)
        return [tuple(group) for group in by_key.values()]

    def limits(self, groups: Sequence[Group]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """How many weights of each group go at least and at most.

        Raises:
            UnknownNameError: a name or pattern matches no prunable layer.
            InvalidSparsityError: a floor is above its ceiling.
        """
        sizes = np.array([sum(item.size for item in group) for group in groups])
        if not self.is_limited:
            return np.zeros_like(sizes), sizes
        low = np.ceil(_shares(self.min_sparsity, groups, 0.0, "min_sparsity") * sizes - _EPSILON).astype(np.int64)
        high = np.floor(_shares(self.max_sparsity, groups, 1.0, "max_sparsity") * sizes + _EPSILON).astype(np.int64)
        layers = list(dict.fromkeys(group[0].within for group in groups))
        for end in self._protected():
            layer = layers[0 if end == "first" else -1]
            for index, group in enumerate(groups):
                if group[0].within == layer:
                    low[index] = high[index] = 0
        for index, group in enumerate(groups):
            if low[index] > high[index]:
                raise InvalidSparsityError(
                    f"Of {group[0].layer!r} at least {low[index]} weights would go and at most {high[index]}; lower "
                    "min_sparsity or raise max_sparsity."
                )
        return low, high

    def targets(self, groups: Sequence[Group], total: int) -> NDArray[np.float64]:
        """How many weights of each group the rule would take, before limits and rounding."""
        sizes = np.array([sum(item.size for item in group) for group in groups], np.float64)
        if self.rule == "erk":
            return sizes * (1 - _erk_densities([group[0].shape for group in groups], 1 - total / sizes.sum()))
        if self.rule == "lamp":
            return _lamp_counts([group[0].value() for group in groups], total)
        rounded: NDArray[np.float64] = np.floor(np.round(total / sizes.sum() * sizes, 6) + 0.5)
        return rounded

    def _protected(self) -> tuple[str, ...]:
        return (self.protect,) if isinstance(self.protect, str) else tuple(self.protect)


_EPSILON = 1e-6  # 0.29 of 100 is 28.999999999999996


def get(scope: Scope) -> Allocation:
    """Find an allocation: one that is given, or that of a rule's name.

    Raises:
        UnknownNameError: there is no such rule.
    """
    return scope if isinstance(scope, Allocation) else Allocation(scope)


def fill(
    targets: NDArray[np.float64], low: NDArray[np.int64], high: NDArray[np.int64], total: int
) -> NDArray[np.int64]:
    """Round targets to whole numbers between limits, with a given sum.

    What the limits add or take is taken from or given to the others, in proportion to the room they have.

    Args:
        targets: what each should get.
        low: the least that each can get.
        high: the most.
        total: the sum, between those of `low` and `high`.

    Returns:
        Whole numbers with that sum.
    """
    exact = np.clip(targets, low, high)
    excess = total - exact.sum()
    room = high - exact if excess > 0 else exact - low
    if room.sum() > 0:
        exact = np.clip(exact + excess * room / room.sum(), low, high)
    counts = np.floor(exact + _EPSILON).astype(np.int64)
    # The largest remainders are rounded up first; of equal ones those that stand first.
    order = np.argsort(-(exact - counts), kind="stable")
    while (missing := total - int(counts.sum())) != 0:
        able = order[counts[order] < high[order]] if missing > 0 else order[counts[order] > low[order]][::-1]
        counts[able[: abs(missing)]] += np.sign(missing)
    return counts


def _shares(limits: Limits, groups: Sequence[Group], default: float, name: str) -> NDArray[np.float64]:
    if not isinstance(limits, Mapping):
        return np.full(len(groups), default if limits is None else limits)
    shares = np.full(len(groups), default)
    for pattern, share in limits.items():
        found = [index for index, group in enumerate(groups) if any(_matches(item, pattern) for item in group)]
        if not found:
            names = ", ".join(dict.fromkeys(group[0].layer for group in groups))
            raise UnknownNameError(f"{name} names {pattern!r}, which matches no prunable layer; there are: {names}.")
        shares[found] = share
    return shares


def _matches(item: Prunable, pattern: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for name in (item.path, *item.within))


def _erk_densities(shapes: Sequence[tuple[int, ...]], density: float) -> NDArray[np.float64]:
    sizes = np.array([np.prod(shape) for shape in shapes], np.float64)
    raw = np.array([np.sum(shape) for shape in shapes]) / sizes
    dense = np.zeros(len(sizes), np.bool_)
    while True:  # what would be more than dense is dense, and the others share the rest
        scale = max(0.0, density * sizes.sum() - sizes[dense].sum()) / max(1.0, (raw * sizes)[~dense].sum())
        over = ~dense & (scale * raw > 1)
        if not over.any():
            return np.where(dense, 1.0, scale * raw)
        dense |= over


def _lamp_counts(values: Sequence[NDArray[Any]], total: int) -> NDArray[np.float64]:
    scores = [lamp_scores(value).reshape(-1) for value in values]
    order = np.argsort(np.concatenate(scores), kind="stable")[:total]
    ends = np.cumsum([score.size for score in scores])
    return np.bincount(np.searchsorted(ends, order, side="right"), minlength=len(scores)).astype(np.float64)
