"""Masks that hold inside the compiled train step: for weights, optimizer slots and averages, on every backend.

When the masks change, zeros are written into the weights and into all that the optimizer keeps of them. From there on
the gradients of pruned weights are taken as zero before the optimizer sees them, and so nothing of theirs ever moves;
fused into the update by the compiler this costs some hundredths of a step. Where an optimizer may move a weight
without a gradient, or a constraint of the user's may, zeros are written once more, right after each update.

The masks are variables that the train step reads, so that they can change between two steps without a new trace.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_prunelab._backend import at_rest, compile_writes, creation_scope, in_one_pass, map_in_step, optimizer_class
from keras_prunelab._model._optimizers import compile_optimizer, find_updating, leaves_of
from keras_prunelab._model._variables import Prunable, Prunables
from keras_prunelab._select._masks import Masks, MaskSet

from ._alteration import Alteration, alter, kept, restore

_NO_SLOTS = ("_variables", "_trainable_variables")
_ELEMENTWISE = (
    keras.optimizers.Adadelta,
    keras.optimizers.Adagrad,
    keras.optimizers.Adam,
    keras.optimizers.AdamW,
    keras.optimizers.Adamax,
    keras.optimizers.Ftrl,
    keras.optimizers.Lamb,
    keras.optimizers.Lion,
    keras.optimizers.Nadam,
    keras.optimizers.RMSprop,
    keras.optimizers.SGD,
)
"""With these a weight of zero, with slots at rest, stays where it is as long as its gradient is zero. Others mix the
elements, as Muon does, or are not known."""


@dataclass(frozen=True)
class _Slot:
    """A number for each weight: the weight itself, or a moment, an average, an accumulated gradient of it."""

    variable: Any
    rest: float = 0.0  # what it is for a pruned weight


@dataclass(frozen=True)
class _Guard:
    """What keeps the pruned weights of one variable at zero."""

    item: Prunable
    mask: Any  # a boolean Keras variable: one byte a weight

    def places(self, optimizers: Sequence[Any]) -> list[_Slot]:
        """The variable, and what its optimizers keep of it."""
        variable = self.item.variable
        return [
            _Slot(variable),
            *(slot for leaf in find_updating(variable, optimizers) for slot in _slots(leaf, variable)),
        ]

    def correct(self, leaf: Any) -> None:
        """Write zeros inside a train step, right after an update, if zero gradients are not enough to keep them."""
        variable, constraint = self.item.variable, self.item.variable.constraint
        if optimizer_class(leaf) not in _ELEMENTWISE:
            map_in_step(_mask, [slot.variable for slot in _slots(leaf, variable)], self.mask)
        elif constraint is None:
            return
        value = _mask(variable, self.mask)
        if constraint is not None:  # of the user's: it holds for the weights that are kept
            value = _mask(constraint(value), self.mask)
        variable.assign(value)


class Enforcement:
    """The masks of a model while it is trained.

    Nothing is changed before `attach`, and `detach` leaves the model and its optimizers as they would be without.

    Args:
        model: a built model.
        prunables: the variables that the masks are for.
        optimizers: the optimizers that train it; by default the one that it is compiled with.

    Attributes:
        masks: the masks in force.

    Raises:
        InvalidModelError: the model is not compiled, and no optimizer is given.
    """

    def __init__(self, model: keras.Model, prunables: Prunables, optimizers: Sequence[Any] = ()) -> None:
        self._model = model
        self._prunables = prunables
        self._optimizers = tuple(optimizers) or (compile_optimizer(model),)
        self.masks = MaskSet({item.path: np.ones(item.shape, np.bool_) for item in prunables})

    def attach(self) -> None:
        """Put the masks, all of them keeping everything, into the train step."""
        first: Any = self._optimizers[0]
        is_compiled = first is getattr(self._model, "optimizer", None)
        if is_compiled and not first.built:
            first.build(self._model.trainable_variables)
        variables = tuple(item.variable for item in self._prunables)
        key = ("masks", *map(id, variables), *map(id, self._optimizers))
        self._guarded: _Guarded = kept(self._model, key, lambda: _Guarded(self._prunables, self._optimizers))
        for guard in self._guarded.guards:
            guard.mask.assign(np.ones(guard.item.shape, np.bool_))
        alter(self._model, self._guarded.alteration)

    def detach(self) -> None:
        """Take the masks out of the train step again. The weights stay as they are."""
        restore(self._model, self._guarded.alteration)

    def set(self, masks: Masks) -> None:
        """Let masks hold from now on, and write their zeros into the weights and the optimizers' slots.

        Args:
            masks: boolean arrays by path, one for each prunable variable.
        """
        self.masks = masks if isinstance(masks, MaskSet) else MaskSet(masks)
        self._guarded.write([self.masks[item.path] for item in self._prunables])

    def zeros(self) -> MaskSet:
        """Read the masks off weights that were pruned before: zero, and with all slots at rest.

        A weight that happens to be zero while it is trained has moments that are not.
        """
        resting = self._guarded.resting()
        return MaskSet({item.path: ~zeros for item, zeros in zip(self._prunables, resting, strict=True)})


class _Guarded:
    """The guards of some variables, and what they change in the optimizers: kept from one `fit` to the next."""

    def __init__(self, prunables: Prunables, optimizers: Sequence[Any]) -> None:
        self._total = prunables.total
        self._optimizers = tuple(optimizers)
        self.leaves = leaves_of(optimizers)
        owners = {id(variable): leaf for leaf in self.leaves for variable in leaf._trainable_variables}
        found = [(item, owners.get(id(item.variable))) for item in prunables]
        self.guards = tuple(_Guard(item, _mask_of(item, leaf or self.leaves[0])) for item, leaf in found)
        self._masks = {id(guard.item.variable): guard.mask for guard in self.guards}
        self._built: tuple[int, ...] | None = None
        self.alteration = Alteration(
            self._optimizers,
            [(leaf, "apply", functools.partial(self._apply, leaf)) for leaf in self.leaves],
            [(leaf, guard.mask) for guard, (_, leaf) in zip(self.guards, found, strict=True) if leaf is not None],
        )

    def write(self, masks: Sequence[NDArray[np.bool_]]) -> None:
        """Let masks hold from now on, and write their zeros."""
        built = tuple(len(leaf._trainable_variables) for leaf in self.leaves)
        if built != self._built:  # a train step of the user's own may build an optimizer
            places = [guard.places(self.leaves) for guard in self.guards]
            written = [guard.mask for guard in self.guards] + [place.variable for each in places for place in each]
            self._write = compile_writes(functools.partial(self._set, places), written, self._optimizers[0])
            self._built = built
        self._write(*masks)

    def resting(self) -> list[NDArray[np.bool_]]:
        """Where each variable is zero, and all its slots are at rest."""
        return [_resting(guard.places(self.leaves)) for guard in self.guards]

    def _set(self, places: Sequence[Sequence[_Slot]], *masks: Any) -> None:
        for guard, slots, mask in zip(self.guards, places, masks, strict=True):
            guard.mask.assign(mask)
            for place in slots:
                place.variable.assign(at_rest(place.variable, mask, place.rest))

    def _apply(self, leaf: Any, apply: Callable[..., Any], grads: Any, trainable_variables: Any = None) -> None:
        """An optimizer's `apply`, with the gradients of pruned weights taken as zero, and their zeros kept."""
        variables = leaf._trainable_variables if trainable_variables is None else list(trainable_variables)
        masks = self._masks
        # An infinite gradient, which clipping makes finite, times zero would be NaN.
        without_pruned = _without if leaf.clipvalue is None else _mask

        def update(*grads: Any) -> None:
            without = [
                without_pruned(grad, masks[id(variable)]) if grad is not None and id(variable) in masks else grad
                for grad, variable in zip(grads, variables, strict=True)
            ]
            apply(without, variables)

        if self._is_known(leaf):
            update = in_one_pass(update, leaf, self._total)
        update(*grads)
        updated = set(map(id, leaf._trainable_variables))
        for guard in self.guards:
            if id(guard.item.variable) in updated:
                guard.correct(leaf)

    def _is_known(self, leaf: Any) -> bool:
        """Whether an optimizer's update holds no code but Keras's own, which can be compiled by itself."""
        rate = leaf._learning_rate
        return (
            leaf.built
            and any(leaf is optimizer for optimizer in self._optimizers)
            and optimizer_class(leaf) in _ELEMENTWISE
            and not (leaf.use_ema or leaf.gradient_accumulation_steps)
            and all(variable.constraint is None for variable in leaf._trainable_variables)
            and (isinstance(rate, keras.Variable) or type(rate).__module__.startswith("keras."))
        )


def _mask_of(item: Prunable, optimizer: Any) -> Any:
    with creation_scope(optimizer):
        return keras.Variable(
            initializer="ones",
            shape=item.shape,
            dtype="bool",
            trainable=False,
            aggregation="only_first_replica",
            layout=getattr(item.variable, "_layout", None),
            name=f"{item.variable.path.replace('/', '_')}_mask",
        )


def _resting(places: Sequence[_Slot]) -> NDArray[np.bool_]:
    values = ((keras.ops.convert_to_numpy(place.variable), place.rest) for place in places)
    return functools.reduce(np.logical_and, (value == np.asarray(rest, value.dtype) for value, rest in values))


def _mask(value: Any, mask: Any) -> Any:
    mask, value = keras.ops.convert_to_tensor(mask), keras.ops.convert_to_tensor(value)
    # Not a product: it would keep NaN, and make -0.0 of negative numbers.
    return keras.ops.where(mask, value, keras.ops.zeros_like(value))


def _without(grad: Any, mask: Any) -> Any:
    grad = keras.ops.convert_to_tensor(grad)
    # A product, because XLA makes slower code of `where`. Only a gradient that is not finite survives it, and without
    # clipping of values one such gradient is the end of any training.
    return grad * keras.ops.cast(keras.ops.convert_to_tensor(mask), grad.dtype)


def _slots(optimizer: Any, variable: Any) -> tuple[_Slot, ...]:
    """What an optimizer keeps of a variable: its lists run along its trainable variables."""
    trainable = optimizer._trainable_variables
    index = next(position for position, other in enumerate(trainable) if other is variable)
    lists = {
        name: value
        for name, value in vars(optimizer).items()
        if isinstance(value, (list, tuple)) and len(value) == len(trainable) and name not in _NO_SLOTS
    }
    return tuple(
        _Slot(values[index], _rest(optimizer, name))
        for name, values in lists.items()
        if isinstance(values[index], keras.Variable) and tuple(values[index].shape) == tuple(variable.shape)
    )


def _rest(optimizer: Any, name: str) -> float:
    if isinstance(optimizer, keras.optimizers.Ftrl) and name == "_accumulators":
        # Ftrl divides by it: with a zero here, a weight without a gradient would become 0 / 0.
        return float(optimizer.initial_accumulator_value or keras.config.epsilon())
    return 0.0
