"""The score `obs`: Optimal Brain Surgeon, layer by layer, comparable over the whole network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import keras
import numpy as np
from numpy.typing import NDArray

from keras_prunelab._errors import InvalidModelError
from keras_prunelab._model._variables import Prunable
from keras_prunelab._select import _granularity
from keras_prunelab._select._granularity import Granularity
from keras_prunelab.scores import Score, ScoreContext, register

from ._estimate import Estimate
from ._gram import DAMPING, Matrix
from ._layers import output_energy, rank_layer
from ._method import TRACE_BUDGET, Method, Removals
from ._rules import flat_weights
from ._sensitivity import sensitivity_of, squared_gradients
from ._solver import Solver, checked_budget, checked_damping, digest
from ._statistics import LayerStatistics

_AIM = 0.9  # the sparsity that a pass aims at where nobody says which is wanted


@register
@final
class OBS(Score):
    """What the outputs of a weight's layer lose with it, once the weights that are left make up for it.

    Each layer's weights are removed one by one, always the one that costs least while the others are solved anew
    (ExactOBS, Frantar and Alistarh, Optimal brain compression, NeurIPS 2022, https://arxiv.org/abs/2208.11580): one run
    gives the order and the losses of all removals, so that it serves every sparsity. Where a layer is too large for
    that, SparseGPT's pass (ICML 2023, https://arxiv.org/abs/2301.00774) to the wanted sparsity stands for it; `methods`
    tells which it was. The losses of different outputs are comparable: each is weighted by how much the network's loss
    feels the output, the mean squared gradient with the network's own predictions as labels. So it needs inputs, and no
    labels.

    The score chooses masks; weights change only with `reconstruct=`, which it is made for. With N:M, blocks or kernels
    the trace removes these as a whole, where they divide the layer evenly; a channel is worth the mean square of its
    output.

    Args:
        damping: the pull towards the old weights, as for `reconstruct`.
        budget: how many multiply-adds a layer may take for its trace. The default is some minutes.

    Attributes:
        methods: after a call, `"exact"` or `"blocked"` for each layer, by its path.

    Raises:
        InvalidModelError: at the call: a kernel's layer has no rule.
        InvalidDataError: at the call: the data does not fit, is not finite, or there is too little.
    """

    name = "obs"
    needs_data = True

    def __init__(self, damping: float = DAMPING, budget: float = TRACE_BUDGET) -> None:
        self.damping, self.budget = checked_damping(damping), checked_budget(budget)
        self.methods: dict[str, Method] = {}

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this score again."""
        return {"damping": self.damping, "budget": self.budget}

    def __call__(self, context: ScoreContext) -> dict[str, NDArray[Any]]:
        """Score the weights; see `Score.__call__`."""
        solver = Solver.of(context.model, context.data, self.damping)
        aim = float(np.median(context.sparsities)) if context.sparsities else _AIM
        weights = digest([np.asarray(value) for value in context.values.values()])
        paths = tuple(item.path for item in context.prunables)
        # By what a pass has aimed at; traces serve every level, under None.
        known: dict[float | None, tuple[dict[str, Matrix], dict[str, Method]]] = solver.once(
            (self.name, self.budget, context.granularity, paths, weights), dict
        )
        found = known.get(None) or known.get(aim)
        if found is None:
            found = self._costs(context, solver, aim), self.methods
            known[None if set(self.methods.values()) <= {"exact"} else aim] = found
        costs, self.methods = found
        return _finite(context, costs)

    def _costs(self, context: ScoreContext, solver: Solver, aim: float) -> dict[str, Matrix]:
        """What each weight is worth, by path; notes the methods."""
        items = {id(item.variable): item for item in context.prunables}
        wanted = [layer for layer in solver.layers if any(id(each) in items for each in layer.weights)]
        _check_rules(context, solver, {id(each) for layer in wanted for each in layer.weights})
        weights = (each for layer in wanted for each in layer.weights)
        variables = {id(each): each for each in weights if keras.backend.is_float_dtype(each.dtype)}
        context.tell(str(Estimate.of(wanted, self.budget)))
        squares = squared_gradients(context.model, list(variables.values()), context.data)
        self.methods = {}
        costs: dict[str, Matrix] = {}
        for statistics in solver.statistics():
            if statistics.layer not in wanted:
                continue
            flat = self._ranked(context, items, statistics, sensitivity_of(statistics, squares), aim)
            start = 0
            for variable in statistics.layer.weights:
                stop = start + int(np.prod(variable.shape))
                if id(variable) in items:
                    costs[items[id(variable)].path] = flat[start:stop].reshape(variable.shape)
                start = stop
        return costs

    def _ranked(
        self,
        context: ScoreContext,
        items: Mapping[int, Prunable],
        statistics: LayerStatistics,
        felt: NDArray[np.float64],
        aim: float,
    ) -> Matrix:
        """The costs of a layer's weights, flat."""
        layer, grain = statistics.layer, _granularity.get(context.granularity)
        own = [items.get(id(each)) for each in layer.weights]
        weights, free = flat_weights(layer), np.zeros(felt.shape, np.bool_)
        start = 0
        for item, variable in zip(own, layer.weights, strict=True):
            stop = start + int(np.prod(variable.shape))
            if item is not None:
                weights[start:stop] = np.ravel(context.values[item.path])
                free[start:stop] = True
            start = stop
        if not felt.any():  # a loss that feels nothing at all, as where a softmax is as sure as numbers can be
            felt = np.ones_like(felt)
        if grain.kind == "channel":
            self.methods[layer.path] = "exact"
            return np.asarray(output_energy(statistics, weights, free) * np.maximum(felt, np.finfo(float).tiny))
        costs, removals = rank_layer(
            statistics,
            aim,
            weights=weights,
            free=free,
            units=_units(layer, own, grain),
            sensitivity=felt,
            damping=self.damping,
            budget=self.budget,
            n_of_m=grain.pair if grain.kind == "n:m" else None,
            on_part=lambda done, total: context.tell(f"{layer.path}, {done} of {total} parts"),
        )
        self.methods[layer.path] = _method(removals)
        return _dead_by_size(costs, weights)


def _method(removals: list[Removals]) -> Method:
    return "exact" if all(each.method == "exact" for each in removals) else "blocked"


def _units(layer: Any, items: list[Prunable | None], grain: Granularity) -> NDArray[np.int64] | None:
    """The unit of each of a layer's weights, flat; of N:M the group of M."""
    if grain.kind == "weight":
        return None
    shape = Granularity("block", (grain.pair[1], 1)) if grain.kind == "n:m" else grain
    parts, count = [], 0
    for item, variable in zip(items, layer.weights, strict=True):
        size = int(np.prod(variable.shape))
        numbers = None if item is None else shape.units(item)
        parts.append(count + (np.arange(size) if numbers is None else np.ravel(numbers)))
        count = int(parts[-1].max(initial=count)) + 1
    return np.concatenate(parts)


def _dead_by_size(costs: Matrix, weights: NDArray[Any]) -> Matrix:
    """Let weights that cost nothing, as their input is always zero, go by their size: other data may wake the input."""
    free = np.isfinite(costs)
    alive = costs[free & (costs > 0)]
    dead = free & (costs <= 0)
    sizes = np.abs(np.asarray(weights[dead], np.float64))
    if sizes.size and sizes.max() > 0:
        least = float(alive.min()) if alive.size else 1.0
        costs[dead] = least * 0.5 * sizes / sizes.max()
    return costs


def _check_rules(context: ScoreContext, solver: Solver, covered: set[int]) -> None:
    """Make sure that every kernel has its costs.

    Raises:
        InvalidModelError: one has none.
    """
    without = [item for item in context.prunables if item.role == "kernel" and id(item.variable) not in covered]
    if without:
        reasons = "; ".join(
            f"{item.path!r} ({solver.skipped.get(item.owner.path, 'its layer has no linear map')})" for item in without
        )
        raise InvalidModelError(
            f"The score 'obs' cannot rank {reasons}. Leave them out: exclude={[item.path for item in without]!r}, or "
            "tell what their layers multiply with keras_prunelab.register_linear_rule."
        )


def _finite(context: ScoreContext, costs: dict[str, Matrix]) -> dict[str, NDArray[Any]]:
    """All costs as numbers: what no trace removes, such as the scale of a normalization, goes last."""
    highest = max((float(each[np.isfinite(each)].max(initial=0.0)) for each in costs.values()), default=0.0)
    last = 2 * highest or 1.0
    return {
        path: np.where(np.isfinite(found), found, last)
        if (found := costs.get(path)) is not None
        else np.full(np.shape(value), last)
        for path, value in context.values.items()
    }
