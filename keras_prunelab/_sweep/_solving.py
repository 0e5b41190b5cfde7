"""The weights that a mask leaves, solved anew for the points of a sweep."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import keras
from numpy.typing import NDArray

from keras_prunelab._model._copy import copy_model
from keras_prunelab._model._prunable import maskable
from keras_prunelab._reconstruct._reconstruct import masks_of, solve_into
from keras_prunelab._reconstruct._rules import flat_weights
from keras_prunelab._reconstruct._solver import Mode, Solver, write_flat
from keras_prunelab._reconstruct._statistics import twins
from keras_prunelab._select._masks import MaskSet

from ._finetune import Trainer
from ._plan import Curve
from ._pruning import Pruning

_TOGETHER = 2**25  # weights that are solved before they are measured


@dataclass(frozen=True)
class Solved:
    """What is to be written for one level.

    Attributes:
        weights: the layers that are solved, each with new weights, flat.
        others: the masks of the other layers.
    """

    weights: list[tuple[Any, NDArray[Any]]]
    others: MaskSet


@dataclass
class Reconstructor:
    """Solves the weights of a model anew for masks.

    Args:
        solver: of the dense network, whose model has its dense weights whenever anything is solved.
        pruning: how it is pruned, with the names that masks have.
        target: the model that is given the weights: that of the solver, or a copy.
    """

    solver: Solver
    pruning: Pruning
    target: keras.Model
    _before: list[tuple[Any, NDArray[Any]]] = field(default_factory=list, init=False, repr=False)

    def solved(self, levels: Sequence[MaskSet], mode: Mode) -> list[Solved]:
        """The target's layers solved anew for the completed masks of some levels, the fullest first."""
        model, layers = self.solver.model, self.solver.layers
        found = [Solved([], self._others(masks)) for masks in levels]
        if mode == "layers":
            touched = self.pruning.touched(model, model)
            targets = dict(zip(map(id, layers), self._targets, strict=True))
            for layer, weights in self.solver.at_levels([masks_of(layers, touched, masks) for masks in levels]):
                for each, flat in zip(found, weights, strict=True):
                    each.weights.append((targets[id(layer)], flat))
            return found
        for each, masks in zip(found, levels, strict=True):
            double = solved_copy(model, self.pruning, masks, mode, lambda: self.solver)
            flats = map(flat_weights, twins(model, layers, double))
            each.weights.extend(zip(self._targets, flats, strict=True))
        return found

    @cached_property
    def _targets(self) -> list[Any]:
        """The target's layers that are solved."""
        return twins(self.solver.model, self.solver.layers, self.target)

    @cached_property
    def _other_paths(self) -> list[str]:
        """The names of the masks of all other layers."""
        own = {id(each) for layer in self._targets for each in layer.weights}
        touched = self.pruning.touched(self.solver.model, self.target)
        return [item.path for item in touched if id(item.variable) not in own]

    def _others(self, masks: MaskSet) -> MaskSet:
        return MaskSet({path: masks[path] for path in self._other_paths if path in masks})

    @property
    def is_written(self) -> bool:
        """Whether the target has weights that were solved."""
        return bool(self._before)

    def write(self, solved: Solved) -> None:
        """Give the target weights that were solved; it has its dense ones, or those of another level."""
        if not self._before:  # noted first: an interrupted assignment is put back as well
            self._before = [(layer, flat_weights(layer)) for layer in self._targets]
        for layer, flat in solved.weights:
            write_flat(layer, flat)

    def before_training(self, mode: Mode) -> Callable[[MaskSet], None]:
        """What is done to the weights of the target between masks and training, to stay."""

        def prepare(masks: MaskSet) -> None:
            (found,) = self.solved([self.pruning.completed(self.solver.model, masks)], mode)
            for layer, flat in found.weights:
                write_flat(layer, flat)

        return prepare

    def restore(self) -> None:
        """Take them back, to what the weights were before."""
        while self._before:
            write_flat(*self._before.pop())


@dataclass
class SolvedLevels:
    """The levels of one curve, with those that were solved together until they are measured.

    Args:
        reconstructor: solves them.
        mode: how.
    """

    reconstructor: Reconstructor
    mode: Mode
    _known: dict[float, Solved] = field(default_factory=dict, init=False, repr=False)

    def __contains__(self, level: float) -> bool:
        return level in self._known

    def solved(self, level: float, levels: Iterable[float], masks: Callable[[float], MaskSet]) -> Solved:
        """A level. If it is not known, it is solved with all layers at once together with as many others as fit.

        Args:
            level: which; where it is not known, the model has its dense weights.
            levels: those that are measured soon, or were.
            masks: gives the completed masks of a level.
        """
        if level not in self._known:
            coming = sorted({level, *(other for other in levels if other > level)})[: self._room()]
            found = self.reconstructor.solved([masks(other) for other in coming], self.mode)
            self._known = dict(zip(coming, found, strict=True))
        return self._known[level]

    def _room(self) -> int:
        if self.mode == "sequential":
            return 1
        weights = sum(math.prod(each.shape) for layer in self.reconstructor.solver.layers for each in layer.weights)
        return int(max(1, _TOGETHER // max(1, weights)))


def solved_copy(
    model: keras.Model, pruning: Pruning, masks: MaskSet, mode: Mode | None, solver_of: Callable[[], Solver] | None
) -> keras.Model:
    """A pruned copy of a model.

    Args:
        model: the dense network.
        pruning: how it is pruned.
        masks: completed masks.
        mode: how the weights that are left are solved anew; None where they stay.
        solver_of: gives what solves them.
    """
    copy = copy_model(model)
    apply(masks, pruning, model, copy)
    if mode is not None and solver_of is not None:
        solver = solver_of()
        solve_into(copy, solver, masks_of(solver.layers, pruning.touched(model, model), masks), mode)
    return copy


def trained_copy(
    model: keras.Model,
    pruning: Pruning,
    curve: Curve,
    level: float,
    masks: MaskSet,
    solver_of: Callable[[], Solver] | None,
) -> keras.Model:
    """A copy of a model that is pruned, solved anew and trained in one round.

    Args:
        model: the dense network.
        pruning: how it is pruned.
        curve: how it is solved anew and trained.
        level: the sparsity that was asked for.
        masks: those of the level.
        solver_of: gives what solves weights.
    """
    student, result = copy_model(model), copy_model(model)
    prepare = None
    if curve.reconstruct is not None and solver_of is not None:
        prepare = Reconstructor(solver_of(), pruning, student).before_training(curve.reconstruct)
    if curve.finetune is not None:
        trainer = Trainer(student, pruning.of_copy(model, student).prunables)
        trainer.train(curve.finetune, level, curve.seed, lambda _kept, _sparsity: masks, prepare)
    result.set_weights(student.get_weights())  # without what keeps the masks while it is trained
    return result


def apply(masks: MaskSet, pruning: Pruning, model: keras.Model, copy: keras.Model) -> None:
    """Write zeros into a copy of a model, whatever the paths of its variables are."""
    paths = {id(item.variable): item.path for item in pruning.touched(model, model)}
    pairs = [
        (paths.get(id(item.variable), item.path), its)
        for item, its in zip(maskable(model), maskable(copy), strict=True)
    ]
    MaskSet({its.path: masks[path] for path, its in pairs if path in masks}).apply(copy)
