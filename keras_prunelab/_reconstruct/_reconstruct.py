"""`reconstruct`: solve the weights that a pruned model has left anew."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import numpy as np

from keras_prunelab._errors import InvalidModelError, UnknownNameError
from keras_prunelab._model._copy import copy_model
from keras_prunelab._model._data import calibration_of
from keras_prunelab._model._variables import Prunable
from keras_prunelab._select import _conventions
from keras_prunelab._select._conventions import Convention
from keras_prunelab._select._masks import MaskSet
from keras_prunelab._util._signatures import names_options

from ._gram import DAMPING
from ._method import BUDGET
from ._rules import flat_weights, maps_of
from ._solve import Flags
from ._solved import Reconstruction, SolvedMap
from ._solver import Mode, Solver, mode_of, require_plain, write_flat
from ._statistics import find_layers, twins

OnLayer = Callable[[int, int], None]
"""Called with the number of solved layers, and of all."""


@names_options
def reconstruct(
    model: keras.Model,
    reference: keras.Model,
    calibration: Any = None,
    *,
    mode: Mode = "sequential",
    damping: float = DAMPING,
    convention: str | Convention = "paper",
    budget: float = BUDGET,
    on_layer: OnLayer | None = None,
    on_done: Callable[[Reconstruction], None] | None = None,
    data: Any = None,
) -> keras.Model:
    """Solve the weights that a pruned model has left anew, so that each layer's outputs stay what they were.

    Layer by layer, the weights that are not zero are those of the least squares problem ||X' W' - X W||^2 over
    calibration data: X are the layer's inputs and W its weights in the unpruned model, X' its inputs in the pruned one.
    No labels and no training are needed. What is zero stays zero, whatever pruned it: any score, granularity or scope,
    or another tool. Dong et al., Learning to prune deep neural networks via layer-wise optimal brain surgeon, NeurIPS
    2017, https://arxiv.org/abs/1705.07565.

    Layers solved: fully connected ones, `EinsumDense`, convolutions of all kinds, `LSTM`, `GRU`, `SimpleRNN`, and the
    projections of attention, also inside wrappers and nested models; others can be registered with
    `register_linear_rule`. What has no rule keeps its masked weights: `on_done` is told of it.

    Args:
        model: the pruned model, which is only read: a copy of `reference` with zeros in it.
        reference: the model that it was before, which is only read.
        calibration: inputs in any of the forms that `sweep` takes; labels are ignored. Some hundred to a thousand
            observations, others than those that the accuracy is measured on.
        mode: `"sequential"` solves one layer after the other, on what the layers before it give once they are solved,
            which keeps more at high sparsity; `"layers"` solves each on its inputs in `reference`: X' = X, faster.
        damping: the pull of each weight towards its old value, as a share of the mean square of the layer's inputs, at
            least 0, usually 0.001 to 0.01. Weights of inputs that are always zero stay what they were.
        convention: `"paper"`, where biases are solved with the others, or `"matlab"`, where they count as weights, so
            that those that are zero stay zero.
        budget: how many multiply-adds a layer may take to be solved exactly; beyond it SparseGPT's pass and conjugate
            gradients come close to it. The default is some minutes.
        on_layer: called as `on_layer(done, total)` when a layer is done.
        on_done: called with what was solved, how, and what it gained; and what was left out, and why. `on_done=print`
            shows it.
        data: another name of `calibration`.

    Returns:
        A copy of `model` with new weights, and zeros where `model` has them.

    Raises:
        InvalidModelError: `reference` has other layers or more zeros, a model is not built, has masks of `layers.wrap`
            or weights that are not finite, or cannot be copied.
        InvalidDataError: there is no data, too little, or it does not fit the model or is not finite; or `damping` or
            `budget` is negative.
        UnknownNameError: there is no such mode or convention.

    Examples:
        >>> import keras
        >>> import numpy as np
        >>> import keras_prunelab as kpl
        >>> keras.utils.set_random_seed(0)
        >>> x = np.random.normal(size=(200, 8)) @ np.random.normal(size=(8, 8))
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(10, "relu"), keras.layers.Dense(3)])
        >>> pruned = kpl.prune(model, 0.5)
        >>> done = []
        >>> better = kpl.reconstruct(pruned, model, x, on_done=done.append)
        >>> [each.method for each in done[0].solved], all(each.after < each.before for each in done[0].solved)
        (['exact', 'exact'], True)
        >>> error = lambda other: float(np.square(other.predict(x, verbose=0) - model.predict(x, verbose=0)).mean())
        >>> kpl.sparsity(better), error(better) < 0.5 * error(pruned)
        (0.5, True)
    """
    begun = time.monotonic()
    way = mode_of(mode)
    if way is None:
        raise UnknownNameError(f"mode={mode!r}; it is 'sequential' or 'layers'.")
    counts_biases = _conventions.get(convention).learnables == "all"
    _check(model, reference)
    solver = Solver(reference, calibration_of(calibration, data=data), damping, budget)
    pruned = twins(reference, solver.layers, model)
    masks = [_from_zeros(*both, counts_biases=counts_biases) for both in zip(solver.layers, pruned, strict=True)]
    result = copy_model(model)
    solved = solve_into(result, solver, masks, way, on_layer)
    skipped = _skipped(solver, model)
    if on_done is not None:
        seconds = time.monotonic() - begun
        on_done(Reconstruction(result, way, solver.damping, tuple(solved), skipped, seconds))
    return result


def solve_into(
    pruned: keras.Model, solver: Solver, masks: Sequence[Flags], mode: Mode, on_layer: OnLayer | None = None
) -> list[SolvedMap]:
    """Write new weights into a pruned copy of a solver's model.

    Args:
        pruned: the copy, with the masks on it.
        solver: of the unpruned model.
        masks: for each of the solver's layers what stays of its weights, flat.
        mode: one after the other, or all at once.
        on_layer: told of each layer.
    """
    solved: list[SolvedMap] = []

    def tell(done: int) -> None:
        if on_layer is not None:
            on_layer(done, len(solver.layers))

    if mode == "sequential":
        for done, lines in enumerate(solver.in_sequence(masks, pruned), 1):
            solved += lines
            tell(done)
        return solved
    own = dict(zip(map(id, solver.layers), twins(solver.model, solver.layers, pruned), strict=True))
    for done, (layer, new, lines) in enumerate(solver.at_once(masks), 1):
        write_flat(own[id(layer)], new)
        solved += lines
        tell(done)
    return solved


def masks_of(layers: Sequence[Any], items: Iterable[Prunable], masks: MaskSet) -> list[Flags]:
    """What masks keep of each layer's weights, flat; what has no mask stays.

    Args:
        layers: of a model.
        items: the variables of the model, under the paths that the masks have.
        masks: by path.
    """
    by_variable = {id(item.variable): masks[item.path] for item in items if item.path in masks}
    found = []
    for layer in layers:
        parts = [np.ravel(by_variable.get(id(each), np.ones(each.shape, np.bool_))) for each in layer.weights]
        found.append(np.concatenate(parts))
    return found


def _from_zeros(layer: Any, pruned: Any, *, counts_biases: bool) -> Flags:
    """Which weights of a pruned layer stay: those that are not zero, and biases that were zero before."""
    old, new = flat_weights(layer), flat_weights(pruned)
    kept: Flags = np.asarray(new != 0)
    if not counts_biases:
        for each in maps_of(layer):
            if each.has_bias:  # one of an output that has no weight left stays: its channel is to be gone
                places, has_weights = each.places[:, -1], each.read(kept)[:, :-1].any(axis=1)
                kept[places] |= (old[places] == 0) & has_weights
    return kept


def _check(model: keras.Model, reference: keras.Model) -> None:
    for each in (model, reference):
        require_plain(each)
    twins(reference, find_layers(reference)[0], model)
    ours, theirs = (sum(map(_zeros, each._flatten_layers())) for each in (model, reference))
    if ours < theirs:
        raise InvalidModelError(
            f"The reference {reference.name!r} has more zeros ({theirs:,}) than the model {model.name!r} ({ours:,}): "
            "they seem to be in the wrong order. The pruned model comes first, then the one that it was before: "
            "reconstruct(pruned, model, x)."
        )


def _skipped(solver: Solver, model: keras.Model) -> dict[str, str]:
    """The layers without a rule that have lost weights."""
    ours = [layer for layer in solver.model._flatten_layers() if layer.path in solver.skipped]
    pairs = zip(ours, twins(solver.model, ours, model), strict=True)
    lost = [layer for layer, other in pairs if _zeros(other) > _zeros(layer)]
    return {layer.path: solver.skipped[layer.path] for layer in lost}


def _zeros(layer: Any) -> int:
    own = [*layer._trainable_variables, *layer._non_trainable_variables]
    return sum(int(np.count_nonzero(keras.ops.convert_to_numpy(each) == 0)) for each in own)
