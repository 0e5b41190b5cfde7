"""Wrapping the layers of a model."""

from __future__ import annotations

from typing import Any

import keras

from keras_prunelab import schedules, scores
from keras_prunelab._errors import InvalidModelError
from keras_prunelab._model._filters import Filters
from keras_prunelab._model._prunable import prunable, reason_to_skip
from keras_prunelab._model._rebuild import assign_all, copy_of, keep_frozen, rebuild
from keras_prunelab._select._granularity import GranularityLike

from ._pruned import Gradients, Pruned, inside


def wrap(
    model: keras.Model,
    schedule: schedules.ScheduleLike,
    *,
    score: scores.ScoreLike = "magnitude",
    granularity: GranularityLike = "weight",
    gradients: Gradients = "masked",
    include: Filters = None,
    exclude: Filters = None,
) -> keras.Model:
    """Make a copy of a model whose layers keep their masks with them.

    The model itself is only read. Every layer with kernels that the filters leave is wrapped in `Pruned`; nested
    functional and sequential models are gone through, and any other layer with layers inside it, such as
    `Bidirectional` or `TimeDistributed`, is wrapped as a whole. Names, weights, shared layers, and how the model was
    compiled are carried over; the optimizer begins anew, at step 0.

    To give layers settings of their own, wrap again: layers that are wrapped already stay as they are.

    Args:
        model: a built functional or sequential model.
        schedule: which sparsity each of the layers has at which optimizer step; a number holds from the beginning.
        score: what decides which weights go first.
        granularity: what goes as a whole.
        gradients: `"masked"`, or `"dense"` for weights that can come back; see `Pruned`.
        include: only what matches one of these; see `keras_prunelab.prunable`.
        exclude: nothing that matches one of these.

    Returns:
        The wrapped copy. Its masks keep everything until `keras_prunelab.callbacks.UpdateMasks` changes them.

    Raises:
        InvalidModelError: the model is not built, a filter names a layer that is wrapped already, or the model is a
            subclass whose layers Keras cannot see.
        NothingToPruneError: no kernel is left to wrap.
        UnknownNameError: there is no such schedule, score or granularity, or a filter names nothing of the model.
        InvalidSparsityError: the granularity does not fit a layer.

    Examples:
        >>> import keras
        >>> import keras_prunelab as kpl
        >>> layers = [keras.layers.Dense(16, "relu", name="hidden"), keras.layers.Dense(2, name="out")]
        >>> model = keras.Sequential([keras.Input((8,)), *layers])
        >>> wrapped = kpl.layers.wrap(model, kpl.schedules.Polynomial(0.0, 0.9, end_step=2000), exclude="out")
        >>> wrapped = kpl.layers.wrap(wrapped, 0.5, score="random")
        >>> [(layer.name, layer.score) for layer in wrapped.layers]
        [('hidden', Magnitude(norm=1)), ('out', Random(seed=0))]
    """
    found = prunable(model, include, exclude)
    chosen = {id(item.variable) for item in found if item.mask is None}
    if not chosen:
        raise InvalidModelError(
            f"In model {model.name!r} all of {', '.join(item.path for item in found)} is wrapped already. To change "
            "its settings, strip(model) and wrap again."
        )
    pairs: list[tuple[Any, Any]] = []  # a layer, and the new one that takes its weights

    def replace(layer: Any) -> Any:
        if not isinstance(layer, keras.layers.Layer):  # an operation, such as an addition, has no weights
            return copy_of(layer)
        if isinstance(layer, Pruned):
            pairs.append((layer, layer.around(copy_of(layer.layer))))
            return pairs[-1][1]
        pairs.append((layer, copy_of(layer)))
        candidates = inside(layer)
        mine = [name for name, item in candidates.items() if id(item.variable) in chosen]
        if not mine:
            return pairs[-1][1]
        kernels = [name for name, item in candidates.items() if reason_to_skip(item, "weights") is None]
        # By name only where the filters leave some of a layer: then its arguments can change.
        names = None if mine == kernels else mine
        return Pruned(pairs[-1][1], schedule, score, granularity=granularity, gradients=gradients, variables=names)

    wrapped = rebuild(model, replace, what="wrapped")
    for layer, new in pairs:
        assign_all(new, [keras.ops.convert_to_numpy(variable) for variable in layer.variables])
        keep_frozen(layer.variables, new.variables)
    return wrapped
