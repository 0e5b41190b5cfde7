"""The weights that a mask leaves, solved anew for the points of a sweep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_prunelab._model._copy import copy_model
from keras_prunelab._model._prunable import maskable
from keras_prunelab._reconstruct._reconstruct import masks_of, solve_into
from keras_prunelab._reconstruct._solver import Mode, Solver, write_flat
from keras_prunelab._reconstruct._statistics import twins
from keras_prunelab._select._masks import MaskSet

from ._finetune import Trainer
from ._plan import Curve
from ._pruning import Pruning


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

    def solved(self, masks: MaskSet, mode: Mode) -> list[tuple[Any, NDArray[Any]]]:
        """The layers of the target with new weights, flat, for completed masks."""
        model, layers = self.solver.model, self.solver.layers
        own = masks_of(layers, self.pruning.touched(model, model), masks)
        theirs = dict(zip(map(id, layers), twins(model, layers, self.target), strict=True))
        if mode == "layers":
            return [(theirs[id(layer)], new) for layer, new, _ in self.solver.at_once(own)]
        double = solved_copy(model, self.pruning, masks, mode, lambda: self.solver)
        return [
            (theirs[id(layer)], _flat(twin)) for layer, twin in zip(layers, twins(model, layers, double), strict=True)
        ]

    def write(self, solved: list[tuple[Any, NDArray[Any]]]) -> None:
        """Give the target weights that were solved."""
        for layer, flat in solved:
            self._before.append((layer, _flat(layer)))  # noted first: an interrupted assignment is put back as well
            write_flat(layer, flat)

    def before_training(self, mode: Mode) -> Callable[[MaskSet], None]:
        """What is done to the weights of the target between masks and training, to stay."""

        def prepare(masks: MaskSet) -> None:
            for layer, flat in self.solved(self.pruning.completed(self.solver.model, masks), mode):
                write_flat(layer, flat)

        return prepare

    def restore(self) -> None:
        """Take them back, to what the weights were before."""
        while self._before:
            write_flat(*self._before.pop())


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


def _flat(layer: Any) -> NDArray[Any]:
    parts = [np.ravel(np.array(keras.ops.convert_to_numpy(each))) for each in layer.weights]
    return np.concatenate(parts)
