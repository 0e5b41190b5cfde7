"""The inputs of a model's layers as matrices, summed up while the model runs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_prunelab._errors import InvalidDataError, InvalidModelError
from keras_prunelab._model._data import batches

from ._gram import Gram
from ._rules import LinearMap, NoLinearMapError, Seen, maps_of

_BATCH = 32  # observations that run at once: a convolution makes a row of each position


@dataclass(frozen=True)
class LayerStatistics:
    """A layer, and H of each of its linear maps.

    Attributes:
        layer: of the unpruned model.
        maps: its linear maps.
        grams: for each map one H for each of its matrices.
    """

    layer: Any
    maps: Sequence[LinearMap]
    grams: Sequence[Sequence[Gram]]

    @classmethod
    def of(cls, layer: Any) -> LayerStatistics:
        """Nothing seen so far.

        Raises:
            NoLinearMapError: the layer has no linear map.
        """
        maps = maps_of(layer)
        return cls(layer, maps, [[Gram(each.places.shape[1]) for _ in each.places] for each in maps])

    @property
    def samples(self) -> int:
        """The rows of its first map."""
        return self.grams[0][0].samples

    def see(self, seen: Seen) -> None:
        """Add a call.

        Raises:
            InvalidDataError: an input is NaN or infinite.
        """
        for each, grams in zip(self.maps, self.grams, strict=True):
            rows = each.rows(seen)
            reference = rows if seen.reference is None else each.rows(seen.reference)
            for gram, own, whole in zip(grams, rows, reference, strict=True):
                gram.add(own, None if seen.reference is None else whole)


def find_layers(model: keras.Model) -> tuple[list[Any], dict[str, str]]:
    """Find the layers of a model that have linear maps, in the order in which they were made.

    Args:
        model: a built model; nested models, wrappers and attention are searched too.

    Returns:
        The layers, each once; and by their path the layers with weights that have none, with the reason.
    """
    found, reasons, covered = [], {}, set[int]()
    for layer in model._flatten_layers():
        own = {id(each) for each in (*layer._trainable_variables, *layer._non_trainable_variables)}
        try:
            maps_of(layer)
        except NoLinearMapError as error:
            if own:
                reasons[id(layer)] = (layer, own, str(error))
            continue
        found.append(layer)
        covered |= {id(each) for each in layer.weights}
    return found, {layer.path: reason for layer, own, reason in reasons.values() if own - covered}


def matrix_bytes(layer: Any, *, sequential: bool = False) -> int:
    """The memory that the matrices of a layer take.

    Args:
        layer: one that has linear maps.
        sequential: whether its inputs in a pruned model are seen beside those in the whole one.
    """
    shapes = [each.places.shape for each in maps_of(layer)]
    return sum(8 * int(problems) * int(inputs) ** 2 for problems, inputs, _ in shapes) * (2 if sequential else 1)


def collect(
    model: keras.Model,
    data: Any,
    layers: Iterable[Any],
    *,
    pruned: keras.Model | None = None,
    limit: float = float("inf"),
    size: int = _BATCH,
) -> Iterator[LayerStatistics]:
    """Run a model and sum up the inputs of its layers; memory is that of the matrices.

    Args:
        model: the unpruned model.
        data: inputs in any of the forms that `sweep` takes; labels are ignored.
        layers: of the model, as from `find_layers`.
        pruned: a pruned copy of the model, whose layers' inputs are to be seen beside those of the model.
        limit: in bytes: where the matrices of all layers take more, the model runs several times. A layer alone may
            take more.
        size: how many observations run at once.

    Yields:
        The layers with their matrices, a group that fits the limit after the other. Let them go before the next.

    Raises:
        InvalidDataError: there is no data, or it does not fit the model or is not finite.
        InvalidModelError: the pruned model is not a copy of the model, or a layer was not called.
    """
    group: list[Any] = []
    taken = 0.0
    for layer in layers:
        need = matrix_bytes(layer, sequential=pruned is not None)
        if group and taken + need > limit:
            yield from _collect_group(model, data, group, pruned, size)
            group, taken = [], 0.0
        group.append(layer)
        taken += need
    if group:
        yield from _collect_group(model, data, group, pruned, size)


def _collect_group(
    model: keras.Model, data: Any, layers: Sequence[Any], pruned: keras.Model | None, size: int
) -> Iterator[LayerStatistics]:
    statistics = [LayerStatistics.of(layer) for layer in layers]
    twins = layers if pruned is None else _twins(model, layers, pruned)
    empty = True
    for batch in batches(data, size, labels=False, model=model):
        empty = False
        batch.require_finite()
        if pruned is None:
            with _observe(layers, [each.see for each in statistics]):
                model(batch.inputs, training=False)
            continue
        calls: list[list[Seen]] = [[] for _ in layers]
        with _observe(layers, [each.append for each in calls]):
            model(batch.inputs, training=False)
        with _observe(twins, [_beside(own, each.see) for own, each in zip(calls, statistics, strict=True)]):
            pruned(batch.inputs, training=False)
    if empty:
        raise InvalidDataError("There is no calibration data; give some hundred inputs without labels.")
    silent = [each.layer.path for each in statistics if not each.samples]
    if silent:
        raise InvalidModelError(f"The model does not call {', '.join(map(repr, silent))}; leave these layers out.")
    yield from statistics


def _twins(model: keras.Model, layers: Sequence[Any], pruned: keras.Model) -> list[Any]:
    """The layers of a copy that stand where some layers stand in their model."""
    ours, theirs = list(model._flatten_layers()), list(pruned._flatten_layers())
    if [(type(each), [one.shape for one in each.weights]) for each in ours] != [
        (type(each), [one.shape for one in each.weights]) for each in theirs
    ]:
        raise InvalidModelError(
            f"Model {pruned.name!r} is no copy of {model.name!r}: their layers differ. Reconstruct against the model "
            "that was pruned."
        )
    places = {id(layer): place for place, layer in enumerate(ours)}
    return [theirs[places[id(layer)]] for layer in layers]


def _beside(calls: list[Seen], see: Callable[[Seen], None]) -> Callable[[Seen], None]:
    """Show each call in the pruned model together with the one in the whole model."""
    left = iter(calls)

    def both(seen: Seen) -> None:
        see(Seen(seen.layer, seen.inputs, seen.mask, seen.state, next(left)))

    return both


@contextlib.contextmanager
def _observe(layers: Sequence[Any], sees: Sequence[Callable[[Seen], None]]) -> Iterator[None]:
    """Let layers show what they are called with."""
    try:
        for layer, see in zip(layers, sees, strict=True):
            vars(layer)["call"] = _observer(layer, layer.call, see)
        yield
    finally:
        for layer in layers:
            vars(layer).pop("call", None)


def _observer(layer: Any, call: Callable[..., Any], see: Callable[[Seen], None]) -> Callable[..., Any]:
    def observed(inputs: Any, *args: Any, **kwargs: Any) -> Any:
        # Of Keras's layers those of a recurrent kind alone take a state, as the second argument, and heed a mask.
        state = args[0] if args else kwargs.get("initial_state")
        mask = args[1] if len(args) > 1 else kwargs.get("mask")
        see(
            Seen(
                layer,
                _numpy(inputs),
                None if mask is None else _numpy(mask).astype(np.bool_),
                None if state is None else tuple(map(_numpy, keras.tree.flatten(state))),
            )
        )
        return call(inputs, *args, **kwargs)

    return observed


def _numpy(value: Any) -> Any:
    return np.asarray(keras.ops.convert_to_numpy(value))
