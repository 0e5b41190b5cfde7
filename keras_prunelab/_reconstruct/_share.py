"""How many weights each layer gives, from what its weights are worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np

from keras_prunelab._errors import InvalidDataError, InvalidSparsityError, UnknownNameError
from keras_prunelab._select._lowest import lowest, mark
from keras_prunelab._select._selection import pruned_count

from ._gram import Matrix
from ._solve import Flags

Share: TypeAlias = "Literal['global', 'layer'] | Sequence[float]"


def masks_at(costs: Sequence[Matrix], sparsity: float, share: Share = "global") -> list[Flags]:
    """Make the masks of several layers at one sparsity.

    Args:
        costs: for each layer what its weights are worth, n x m, as from `Trace.scores`; infinite where a weight never
            goes, and is not counted. Of equal costs those that stand first go.
        sparsity: s, the share of the N weights that go, in [0, 1): k = round(s N) of them.
        share: `"global"` for the k lowest of all layers; `"layer"` for round(s n) of each layer's own n; or a sparsity
            of its own for each layer.

    Returns:
        For each layer n x m booleans, True where a weight stays.

    Raises:
        InvalidSparsityError: a sparsity is not in [0, 1], or there are not as many as layers.
        InvalidDataError: a cost is NaN.
        UnknownNameError: there is no such share.

    Examples:
        >>> [mask.tolist() for mask in masks_at([np.array([[3.0], [1.0]]), np.array([[0.5, 4.0]])], 0.5)]
        [[[True], [False]], [[False, True]]]
    """
    flat = [np.ravel(each) for each in costs]
    if any(np.isnan(each).any() for each in flat):
        raise InvalidDataError("The costs of a layer hold NaN; its H or weights are not finite.")
    is_open = [np.isfinite(each) for each in flat]
    sizes = [int(np.count_nonzero(each)) for each in is_open]
    if isinstance(share, str):
        if share not in ("global", "layer"):
            raise UnknownNameError(f"share={share!r} is unknown; it is 'global', 'layer' or a sparsity for each layer.")
        own = [sparsity] * len(flat)
    else:
        own = list(share)
    if len(own) != len(flat) or not all(0 <= each <= 1 for each in own):
        raise InvalidSparsityError(f"{len(flat)} layers have a sparsity in [0, 1] each, not {own!r}.")
    if isinstance(share, str) and share == "global":
        pruned = lowest(flat, is_open, pruned_count(sparsity, sum(sizes))) if flat else []
    else:
        counts = map(pruned_count, own, sizes)
        pruned = [lowest([part], [free], count)[0] for part, free, count in zip(flat, is_open, counts, strict=True)]
    return [~mark(places, each.size).reshape(np.shape(each)) for places, each in zip(pruned, costs, strict=True)]
