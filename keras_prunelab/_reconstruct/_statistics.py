"""The inputs of a model's layers as matrices, summed up while the model runs."""

from __future__ import annotations

import contextlib
import inspect
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_prunelab._errors import InvalidDataError, InvalidModelError
from keras_prunelab._model._call import call_on
from keras_prunelab._model._data import batches
from keras_prunelab._model._source import check_ends

from ._gram import Gram
from ._rules import LinearMap, NoLinearMapError, Seen, flat_weights, maps_of

_ROWS = 64 * 2**20  # bytes of rows that a layer may make of the observations that run at once
_BATCH = 512  # observations that run at once, where their rows are fewer
_UNKNOWN_MEMORY = 4 * 2**30


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
        try:
            for each, grams in zip(self.maps, self.grams, strict=True):
                if seen.reference is None:
                    for gram, rows in zip(grams, each.rows(seen), strict=True):
                        gram.add(rows)
                    continue
                weights = np.asarray(each.read(flat_weights(seen.unpruned.layer)), np.float64)
                for parts in zip(grams, each.rows(seen), each.rows(seen.reference), weights, strict=True):
                    gram, *given = parts
                    gram.add(*given)
        except InvalidDataError as error:
            raise InvalidDataError(f"Layer {self.layer.path!r}: {error}") from error


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


def in_call_order(model: keras.Model, data: Any, layers: Sequence[Any]) -> list[Any]:
    """Put layers into the order in which a model first calls them; without those that it does not call.

    Args:
        model: a built model.
        data: as for `collect`; the first observation is run.
        layers: of the model.

    Raises:
        InvalidDataError: there is no data, it has no end, or it does not fit the model.
    """
    check_ends(data)
    called: dict[int, Any] = {}
    for batch in batches(data, 1, labels=False, model=model):
        with _observe(layers, [lambda seen: called.setdefault(id(seen.layer), seen.layer)] * len(layers)):
            call_on(model, batch)
        break
    return list(called.values())


def free_memory() -> int:
    """How many bytes of memory are free, as far as the system tells."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError, IndexError):
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return _UNKNOWN_MEMORY


def matrix_bytes(layer: Any, *, sequential: bool = False) -> int:
    """The memory that the matrices of a layer take: H, and its inverse or what goes with the inputs in another model.

    Args:
        layer: one that has linear maps.
        sequential: whether its inputs in a pruned model are seen beside those in the whole one.
    """
    shapes = [each.places.shape for each in maps_of(layer)]
    return sum(8 * int(problems) * int(inputs) ** 2 for problems, inputs, _ in shapes) * (3 if sequential else 2)


def collect(
    model: keras.Model,
    data: Any,
    layers: Iterable[Any],
    *,
    pruned: keras.Model | None = None,
    limit: float | None = None,
    size: int | None = None,
) -> Iterator[LayerStatistics]:
    """Run a model and sum up the inputs of its layers; memory is that of the matrices.

    Args:
        model: the unpruned model.
        data: inputs in any of the forms that `sweep` takes; labels are ignored.
        layers: of the model, as from `find_layers`.
        pruned: a pruned copy of the model, whose layers' inputs are to be seen beside those of the model.
        limit: in bytes, by default half of the free memory: where the matrices of all layers take more, the model runs
            several times. A layer alone may take more.
        size: how many observations run at once; by default as many as their rows allow: a convolution makes one of each
            position.

    Yields:
        The layers with their matrices, a group that fits the limit after the other. Let them go before the next.

    Raises:
        InvalidDataError: there is no data, or it does not fit the model or is not finite.
        InvalidModelError: the pruned model is not a copy of the model, or a layer was not called.
    """
    limit = free_memory() / 2 if limit is None else limit
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
    model: keras.Model, data: Any, layers: Sequence[Any], pruned: keras.Model | None, size: int | None
) -> Iterator[LayerStatistics]:
    size = _fitting(model, data, layers) if size is None else size
    statistics = [LayerStatistics.of(layer) for layer in layers]
    doubles = layers if pruned is None else twins(model, layers, pruned)
    empty = True
    for batch in batches(data, size, labels=False, model=model):
        empty = False
        batch.require_finite()
        if pruned is None:
            with _observe(layers, [each.see for each in statistics]):
                call_on(model, batch)
            continue
        calls: list[list[Seen]] = [[] for _ in layers]
        with _observe(layers, [each.append for each in calls]):
            call_on(model, batch)
        counts = [len(own) for own in calls]
        with _observe(doubles, [_beside(own, each.see) for own, each in zip(calls, statistics, strict=True)]):
            call_on(pruned, batch)
        for layer, count, left in zip(layers, counts, calls, strict=True):
            if left:
                raise _called_otherwise(layer, count, count - len(left))
    if empty:
        raise InvalidDataError("There is no calibration data; give some hundred inputs without labels.")
    silent = [each.layer.path for each in statistics if not each.samples]
    if silent:
        raise InvalidModelError(f"The model does not call {', '.join(map(repr, silent))}; leave these layers out.")
    yield from statistics


def _fitting(model: keras.Model, data: Any, layers: Sequence[Any]) -> int:
    """How many observations run at once, from the rows that the first one makes."""
    bytes_of: dict[int, int] = {}

    def measure(seen: Seen) -> None:
        own = sum(8 * each.rows(seen).size for each in maps_of(seen.layer))
        bytes_of[id(seen.layer)] = bytes_of.get(id(seen.layer), 0) + own

    for batch in batches(data, 1, labels=False, model=model):
        with _observe(layers, [measure] * len(layers)):
            call_on(model, batch)
        break
    return max(1, min(_BATCH, _ROWS // max(bytes_of.values(), default=1)))


def twins(model: keras.Model, layers: Sequence[Any], pruned: keras.Model) -> list[Any]:
    """The layers of a copy that stand where some layers stand in their model."""
    ours, theirs = list(model._flatten_layers()), list(pruned._flatten_layers())
    if [(type(each), [one.shape for one in each.weights]) for each in ours] != [
        (type(each), [one.shape for one in each.weights]) for each in theirs
    ]:
        raise InvalidModelError(
            f"Model {pruned.name!r} is no copy of {model.name!r}: their layers differ. The reference is the model that "
            "was pruned, as it was before."
        )
    places = {id(layer): place for place, layer in enumerate(ours)}
    return [theirs[places[id(layer)]] for layer in layers]


def _beside(calls: list[Seen], see: Callable[[Seen], None]) -> Callable[[Seen], None]:
    """Show each call in the pruned model together with the one in the whole model, which is taken off the list."""
    total = len(calls)

    def both(seen: Seen) -> None:
        if not calls:
            raise _called_otherwise(seen.layer, total, total + 1)
        see(Seen(seen.layer, seen.inputs, seen.mask, seen.state, calls.pop(0)))

    return both


def _called_otherwise(layer: Any, count: int, other: int) -> InvalidModelError:
    return InvalidModelError(
        f"Layer {layer.path!r} is called {count} times in the unpruned model, but {other} times or more in the pruned "
        "one: they are no copies of each other. Reconstruct against the model that was pruned."
    )


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
    first = next(iter(inspect.signature(call).parameters))  # a graph may give it by its name

    def observed(*given: Any, **kwargs: Any) -> Any:
        inputs, *args = given or (kwargs[first],)
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
        return call(*given, **kwargs)

    return observed


def _numpy(value: Any) -> Any:
    found = np.asarray(keras.ops.convert_to_numpy(value))
    # NumPy's own functions do not take bfloat16, and sum up float16 in float16.
    return found.astype(np.float32) if found.dtype.itemsize < 4 and found.dtype.kind in "fV" else found
