"""The layers of a model, solved anew for their masks: all at once, or one after the other."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypeVar, cast, get_args
from weakref import WeakValueDictionary

import keras
import numpy as np
from numpy.typing import NDArray

from keras_prunelab._errors import InvalidDataError, InvalidModelError, UnknownNameError
from keras_prunelab._model._numbers import real_number
from keras_prunelab._model._prunable import maskable
from keras_prunelab._util._arrays import add_to_digest

from ._gram import DAMPING
from ._layers import solve_layer, solve_levels
from ._method import BUDGET
from ._rules import flat_weights, maps_of
from ._solve import Flags
from ._solved import SolvedMap
from ._statistics import LayerStatistics, collect, find_layers, free_memory, in_call_order, matrix_bytes, twins

Mode: TypeAlias = Literal["sequential", "layers"]

T = TypeVar("T")

FEWEST = 16
"""Fewer samples than this tell nothing of a layer's inputs."""


def mode_of(reconstruct: Any) -> Mode | None:
    """What `reconstruct=` means: True is the usual way, `"sequential"`; False and None are no way.

    Raises:
        UnknownNameError: it is none of its values.
    """
    if reconstruct is None or isinstance(reconstruct, bool | np.bool_):
        return "sequential" if reconstruct else None
    if reconstruct not in get_args(Mode):
        raise UnknownNameError(
            f"reconstruct={reconstruct!r} is unknown; it is True, False, 'sequential' (one layer after the other, on "
            "what those before it give once they are pruned) or 'layers' (all at once)."
        )
    found: Mode = reconstruct
    return found


def checked_damping(damping: Any) -> float:
    """Make sure that damping is a number of at least 0.

    Raises:
        InvalidDataError: it is none.
    """
    found = real_number(damping)
    if found is None or not 0 <= found < float("inf"):
        raise InvalidDataError(f"damping={damping!r} is a number of at least 0, such as {DAMPING:g}.")
    return found


def checked_budget(budget: Any) -> float:
    """Make sure that a budget is a number of multiply-adds.

    Raises:
        InvalidDataError: it is none.
    """
    found = real_number(budget)
    if found is None or not found >= 0:
        raise InvalidDataError(
            f"budget={budget!r} is a number of multiply-adds of at least 0, such as {BUDGET:g}, or infinity."
        )
    return found


def require_plain(model: keras.Model) -> None:
    """Make sure that the weights of a model are what it computes with, and numbers.

    Raises:
        InvalidModelError: it is not built, has masks over its weights, or weights that are not finite.
    """
    for item in maskable(model):
        if item.mask is not None:
            raise InvalidModelError(
                f"Model {model.name!r} has masks over its weights; write them into the weights first: "
                "keras_prunelab.layers.strip(model)."
            )
        item.view()  # says so where it is not finite


@dataclass(eq=False)
class Solver:
    """Solves the layers of a model anew, as often as there are masks.

    Args:
        model: the unpruned model, which is only read.
        data: inputs in any of the forms that `sweep` takes; labels are ignored.
        damping: the pull towards the old weights, as a share of the mean of H's diagonal.
        budget: in multiply-adds, for each matrix.
        limit: in bytes, for the statistics; by default half of the free memory.

    Attributes:
        layers: those that have linear maps, in the order of their calls.
        skipped: why other layers with weights have none, by their paths.

    Raises:
        InvalidDataError: there is no data, or it does not fit the model; or the damping or the budget is negative.
        InvalidModelError: as `require_plain` does.
    """

    model: keras.Model
    data: Any = field(repr=False)
    damping: float = DAMPING
    budget: float = BUDGET
    limit: float | None = None
    layers: Sequence[Any] = field(init=False, repr=False)
    skipped: Mapping[str, str] = field(init=False, repr=False)
    _statistics: list[LayerStatistics] | None = field(default=None, init=False, repr=False)
    _kept: dict[Any, Any] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def of(cls, model: keras.Model, data: Any, damping: float = DAMPING) -> Solver:
        """One that is in use for this model, as it is now, and this data; or else a new one.

        So scores, reconstruction and one sweep after another collect statistics once. Nobody keeps a solver but those
        who use it.

        Raises:
            InvalidDataError: as the class does.
            InvalidModelError: as the class does.
        """
        key = (id(model), id(data), float(checked_damping(damping)), digest(model.weights), digest(data))
        found = _IN_USE.get(key)
        if found is None:
            found = _IN_USE[key] = cls(model, data, damping)
        return found

    def once(self, key: Any, make: Callable[[], T]) -> T:
        """Make something from the statistics at its first use, and give it again at every later."""
        if key not in self._kept:
            self._kept[key] = make()
        return cast("T", self._kept[key])

    def __post_init__(self) -> None:
        self.damping, self.budget = checked_damping(self.damping), checked_budget(self.budget)
        if self.data is None:
            raise InvalidDataError(
                "Reconstruction needs calibration data: give calibration=x, some hundred inputs without labels, others "
                "than those that the accuracy is measured on."
            )
        require_plain(self.model)
        found, reasons = find_layers(self.model)
        self.layers = in_call_order(self.model, self.data, found)
        called = set(map(id, self.layers))
        silent = {layer.path: "the model does not call it" for layer in found if id(layer) not in called}
        self.skipped = {**reasons, **silent}

    def statistics(self) -> Iterator[LayerStatistics]:
        """The inputs of all layers in the unpruned model; they are kept where all of them fit the limit.

        Raises:
            InvalidDataError: the data is not finite, or there is too little of it.
        """
        if self._statistics is not None:
            yield from self._statistics
            return
        limit = free_memory() / 2 if self.limit is None else self.limit
        found = map(_enough, collect(self.model, self.data, self.layers, limit=limit))
        if sum(map(matrix_bytes, self.layers)) > limit:
            yield from found
            return
        self._statistics = list(found)
        yield from self._statistics

    def at_once(self, masks: Sequence[Flags]) -> Iterator[tuple[Any, NDArray[Any], list[SolvedMap]]]:
        """Solve all layers on the inputs that they have in the unpruned model.

        Args:
            masks: for each of `layers` what stays of its weights, flat.

        Yields:
            Each layer of the unpruned model, its new weights, flat, and how they were solved.
        """
        own = {id(layer): mask for layer, mask in zip(self.layers, masks, strict=True)}
        for statistics in self.statistics():
            mask = own[id(statistics.layer)]
            new, solutions = solve_layer(statistics, mask, damping=self.damping, budget=self.budget)
            yield statistics.layer, new, SolvedMap.all_of(statistics, mask, solutions)

    def at_levels(self, levels: Sequence[Sequence[Flags]]) -> Iterator[tuple[Any, list[NDArray[Any]]]]:
        """Solve all layers on the inputs that they have in the unpruned model, for several masks together.

        Args:
            levels: as for `at_once`, for each level; the fullest first.

        Yields:
            Each layer of the unpruned model, and its new weights at each level, flat.
        """
        own = dict(zip(map(id, self.layers), zip(*levels, strict=True), strict=True))
        for statistics in self.statistics():
            masks = own[id(statistics.layer)]
            yield statistics.layer, solve_levels(statistics, masks, damping=self.damping, budget=self.budget)

    def in_sequence(self, masks: Sequence[Flags], pruned: keras.Model) -> Iterator[list[SolvedMap]]:
        """Solve one layer after the other, on what those before it give once they are solved.

        Args:
            masks: as for `at_once`.
            pruned: a copy of the model with the masks on it, whose weights are written.

        Yields:
            How each layer was solved.

        Raises:
            InvalidModelError: it is no copy of the model.
        """
        for layer, twin, mask in zip(self.layers, twins(self.model, self.layers, pruned), masks, strict=True):
            solved: list[SolvedMap] = []
            for follows in (False, True) if any(each.follows for each in maps_of(layer)) else (None,):
                (statistics,) = collect(self.model, self.data, [layer], pruned=pruned, limit=self.limit)
                new, solutions = solve_layer(
                    _enough(statistics), mask, follows=follows, damping=self.damping, budget=self.budget
                )
                flat = flat_weights(twin)
                for each in statistics.maps:
                    if follows is None or each.follows == follows:
                        flat[each.places] = new[each.places]
                write_flat(twin, flat)
                solved += SolvedMap.all_of(statistics, mask, solutions, follows)
            yield solved


_IN_USE: WeakValueDictionary[tuple[Any, ...], Solver] = WeakValueDictionary()


def digest(values: Any) -> bytes:
    """What tells arrays and variables from others; nothing of what is neither, such as a stream of batches."""
    found = hashlib.blake2b(digest_size=16)
    for each in keras.tree.flatten(values) if isinstance(values, list | tuple | dict | np.ndarray) else ():
        if isinstance(each, keras.Variable) or (isinstance(each, np.ndarray) and each.dtype != object):
            add_to_digest(found, keras.ops.convert_to_numpy(each) if isinstance(each, keras.Variable) else each)
    return found.digest()


def write_flat(layer: Any, flat: NDArray[Any]) -> None:
    """Write weights, flat, into a layer's variables; those that do not change are left alone."""
    start = 0
    for variable in layer.weights:
        stop = start + int(np.prod(variable.shape))
        part = flat[start:stop].reshape(variable.shape)
        if not np.array_equal(part, keras.ops.convert_to_numpy(variable)):
            variable.assign(part)
        start = stop


def _enough(statistics: LayerStatistics) -> LayerStatistics:
    if statistics.samples < FEWEST:
        raise InvalidDataError(
            f"The calibration data makes {statistics.samples} samples for layer {statistics.layer.path!r}, too few to "
            f"solve its weights by: give at least {FEWEST} observations, better some hundred."
        )
    return statistics
