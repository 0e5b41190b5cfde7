"""Which variables of a model can be pruned, and why the others are not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, cast

import keras

from keras_prunelab._errors import InvalidModelError, NothingToPruneError, UnknownNameError

from ._filters import Filters, matcher
from ._roles import find
from ._variables import Learnables, Prunable, Prunables, Skipped, quantized_kernel

_FROZEN = "frozen, and fit leaves it alone unless include= names it"


def prunable(
    model: keras.Model,
    include: Filters = None,
    exclude: Filters = None,
    *,
    learnables: Learnables = "weights",
) -> Prunables:
    """Find the variables of a model that can be pruned.

    The search goes by variable, not by layer class: kernels inside attention, recurrent cells, wrappers,
    nested models and custom layers are found too, each once, however often its layer is shared. Frozen layers
    count like any other.

    Biases, normalizations and embedding tables are left alone. A table is prunable where `include` names its own layer,
    by name, pattern, class or object, or the table itself: a layer around it is not enough.

    Of a custom layer, those arrays are kernels whose name ends in `kernel`, and those that its call uses as the weights
    of a matmul, an einsum or a convolution and for nothing else; the call is traced once. Class tokens, position
    tables, codebooks and the like are skipped, and each is prunable where `include` names the array, by its path.

    A filter is a layer, a variable, a layer class, a function of a `Prunable` that returns a bool, a string,
    or a list of these. A string is a layer's name, a variable's path, or a pattern of either (`"conv*"`). A
    layer stands for all variables inside it.

    Args:
        model: a built model.
        include: only what matches one of these.
        exclude: nothing that matches one of these.
        learnables: `"weights"` for kernels only; `"all"` for every trainable variable: kernels, biases, the
            gamma and beta of normalizations, embeddings. These are MATLAB's `Learnables`.

    Returns:
        The prunable variables, with those that were skipped and why.

    Raises:
        InvalidModelError: `model` is not a Keras model, or not built.
        UnknownNameError: a name, layer or variable of a filter is not in the model.
        NothingToPruneError: no variable is left.

    Examples:
        >>> import keras
        >>> import keras_prunelab as kpl
        >>> hidden, out = keras.layers.Dense(3, name="hidden"), keras.layers.Dense(2, name="out")
        >>> model = keras.Sequential([keras.Input((4,)), hidden, out], name="net")
        >>> found = kpl.prunable(model, exclude="out")
        >>> [(item.path, item.shape) for item in found]
        [('net/hidden/kernel', (4, 3))]
        >>> found.skipped[0].reason
        "a bias; learnables='all' prunes it too"
    """
    if learnables not in ("weights", "all"):
        raise UnknownNameError(f"learnables={learnables!r} is unknown; it is 'weights' or 'all'.")
    candidates, untrained = find(_check(model))
    included = matcher(include, candidates, "include")
    excluded = matcher(exclude, candidates, "exclude")
    items: list[Prunable] = []
    skipped: list[Skipped] = []
    for item in candidates:
        reason = reason_to_skip(item, learnables)
        if item.role == "embedding" and include is not None and included(replace(item, containers=(item.owner,))):
            reason = reason_to_skip(item, "all")
        if item.role == "table" and include is not None and included(replace(item, containers=())):
            reason = reason_to_skip(item, "all")
        if reason is None and include is not None and not included(item):
            reason = "not among what include= names"
        if reason is None and excluded(item):
            reason = "matches exclude="
        if reason is None:
            items.append(item)
        else:
            skipped.append(Skipped(item.path, item.layer, reason))
    for item in untrained:
        is_quantized = quantized_kernel(item) is not None
        reason = reason_to_skip(item, learnables) if is_quantized else "a state of its layer, not trained"
        skipped.append(Skipped(item.path, item.layer, str(reason)))
    if not items:
        reasons = "; ".join(f"{skip.path}: {skip.reason}" for skip in skipped[:8])
        raise NothingToPruneError(
            f"Model {model.name!r} has no weight to prune with learnables={learnables!r}, "
            f"include={include!r}, exclude={exclude!r}. "
            f"Skipped: {reasons or 'nothing; the model has no variables'}."
        )
    return Prunables(tuple(items), tuple(skipped), learnables)


def trainable_in_fit(found: Prunables, include: Filters) -> Prunables:
    """Leave out what is frozen, and what `include` does not name: `fit` would prune what it does not train.

    Args:
        found: prunable variables.
        include: the filters that they were found with; names, layers and variables among them name what they match.

    Raises:
        NothingToPruneError: all of them are frozen.
    """
    if all(item.variable.trainable for item in found):
        return found
    several = isinstance(include, Iterable) and not isinstance(include, (str, keras.Variable))
    filters: list[Any] = [] if include is None else list(cast("Iterable[Any]", include)) if several else [include]
    names = [each for each in filters if isinstance(each, (str, keras.layers.Layer, keras.Variable))]
    named = matcher(names, found, "include", known=False)
    items = tuple(item for item in found if item.variable.trainable or named(item))
    frozen = [Skipped(item.path, item.layer, _FROZEN) for item in found if item not in items]
    if not items:
        raise NothingToPruneError(
            f"All prunable weights are frozen: {', '.join(item.path for item in found)}. Set trainable = True on what "
            "is to be trained and pruned, or name frozen layers with include=."
        )
    return Prunables(items, (*found.skipped, *frozen), found.learnables)


def weights_counted(
    model: keras.Model, include: Filters = None, exclude: Filters = None, *, learnables: Learnables = "weights"
) -> tuple[Prunable, ...]:
    """Find the variables that a sparsity is counted in: what `prunable` finds, and kernels that are quantized.

    Args:
        model: as for `prunable`.
        include: as for `prunable`.
        exclude: as for `prunable`.
        learnables: as for `prunable`.

    Raises:
        InvalidModelError: as for `prunable`.
        UnknownNameError: as for `prunable`.
        NothingToPruneError: there is none of either.
    """
    trained, states = find(_check(model))
    quantized = [whole for item in (*trained, *states) if (whole := quantized_kernel(item)) is not None]
    if not quantized:
        return prunable(model, include, exclude, learnables=learnables).items
    every = [item for item in trained if reason_to_skip(item, learnables) is None] + quantized
    included, excluded = matcher(include, every, "include"), matcher(exclude, every, "exclude")
    items = tuple(item for item in every if (include is None or included(item)) and not excluded(item))
    if not items:
        raise NothingToPruneError(
            f"Model {model.name!r} has no weight to count with include={include!r}, exclude={exclude!r}."
        )
    return items


def share_of_zeros(items: Iterable[Prunable]) -> float:
    """How many of the weights of some variables are zero, as a share in [0, 1]."""
    counts = [(item.zeros(), item.size) for item in items]
    return sum(zeros for zeros, _ in counts) / sum(size for _, size in counts)


def maskable(model: keras.Model) -> list[Prunable]:
    """Find the variables of a model that a mask can be for: the trained ones, and the means of batch normalizations.

    Args:
        model: a built model.

    Returns:
        The variables, in the same order for every copy of the model.

    Raises:
        InvalidModelError: `model` is not a Keras model, or not built.
    """
    trained, states = find(_check(model))
    every = [*trained, *(item for item in states if item.role == "mean")]
    return [item for item in every if reason_to_skip(item, "all") is None]


def _check(model: Any) -> Any:
    if not isinstance(model, keras.Model):
        raise InvalidModelError(
            f"A keras.Model was expected, not {type(model).__name__}; keras.saving.load_model loads a file."
        )
    if not model.built:
        raise InvalidModelError(
            f"Model {model.name!r} is not built, so it has no weights yet. Call it once on data, call its "
            "build(input_shape), or give it a keras.Input first."
        )
    refuse_lora(model)
    return model


def refuse_lora(model: Any) -> None:
    """Refuse a model whose layers add low-rank matrices (LoRA) to kernels, whose zeros are then none.

    Raises:
        InvalidModelError: it has such layers.
    """
    names = [layer.name for layer in model._flatten_layers() if getattr(layer, "lora_enabled", False)]
    if names:
        raise InvalidModelError(
            f"Layers {', '.join(map(repr, names))} of model {model.name!r} have LoRA: they multiply with the kernel "
            "and a dense product together, so that zeros in the kernel are none. Merge it first: "
            "keras_prunelab.layers.merge_lora(model), then compile the model again."
        )


def reason_to_skip(item: Prunable, learnables: Learnables) -> str | None:
    """Why a trainable variable is left alone; None where it is not."""
    if not keras.backend.is_float_dtype(item.variable.dtype):
        return f"its values are {item.variable.dtype}; prune before quantizing"
    if learnables == "all" or item.role == "kernel":
        return None
    if item.role == "embedding":
        return "an embedding table, which is pruned where include= names its layer"
    if item.role == "table":
        return f"nothing that its layer multiplies its input with; include={item.path!r} prunes it"
    kind = {
        "bias": "a bias",
        "gamma": "the scale of a normalization",
        "beta": "the offset of a normalization",
        "mean": "the mean of a normalization",
        "other": "neither a kernel nor of a known role",
    }[item.role]
    return f"{kind}; learnables='all' prunes it too"
