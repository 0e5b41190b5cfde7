"""Masks that hold inside the compiled train step: for weights, optimizer slots and averages, on every backend.

When the masks change, zeros are written into the weights and into all that the optimizer keeps of them. From there on
the gradients of pruned weights are taken as zero before the optimizer sees them, and so nothing of theirs ever moves;
fused into the update by the compiler this costs some hundredths of a step. Where an optimizer may move a weight
without a gradient, or a constraint of the user's may, zeros are written once more, right after each update.

The masks are held by the optimizer as variables of its own, because on JAX only a variable of the model or of the
optimizer can change between two steps without a new trace.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ._backend import at_rest, compiled_writes, creation_scope, in_one_pass, map_in_step, optimizer_class, read
from ._errors import InvalidModelError
from ._masks import MaskSet
from ._variables import Prunable, Prunables

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


def leaves(optimizer: Any) -> list[Any]:
    """The optimizers that update variables: a `LossScaleOptimizer` or `MultiOptimizer` stands for those inside."""
    if hasattr(optimizer, "inner_optimizer"):
        return leaves(optimizer.inner_optimizer)
    if hasattr(optimizer, "optimizers"):
        return [leaf for inner in optimizer.optimizers for leaf in leaves(inner)]
    return [optimizer]


def counter(optimizer: Any) -> tuple[int, int]:
    """How many batches an optimizer has seen, and how many of them make one step of it."""
    counting = getattr(optimizer, "inner_optimizer", optimizer)
    return int(read(counting._iterations)), counting.gradient_accumulation_steps or 1


def counts(optimizer: Any) -> tuple[int, ...]:
    """How many batches each optimizer inside has seen."""
    return tuple(int(read(leaf._iterations)) for leaf in leaves(optimizer))


@dataclass(frozen=True)
class _Slot:
    """A number for each weight: the weight itself, or a moment, an average, an accumulated gradient of it."""

    variable: Any
    rest: float = 0.0  # what it is for a pruned weight


@dataclass(frozen=True)
class _Guard:
    """What keeps the pruned weights of one variable at zero."""

    item: Prunable
    owner: Any  # the optimizer that updates the variable; None where it is frozen
    mask: Any  # a boolean Keras variable: one byte a weight
    slots: tuple[_Slot, ...]

    @property
    def places(self) -> tuple[_Slot, ...]:
        """The variable, and what the optimizer keeps of it."""
        return (_Slot(self.item.variable), *self.slots)

    def resting(self) -> NDArray[np.bool_]:
        """Where the variable is zero, and all its slots are at rest."""
        values = ((keras.ops.convert_to_numpy(place.variable), place.rest) for place in self.places)
        return functools.reduce(np.logical_and, (value == np.asarray(rest, value.dtype) for value, rest in values))

    def correct(self) -> None:
        """Write zeros inside a train step, right after an update, if zero gradients are not enough to keep them."""
        variable, constraint = self.item.variable, self.item.variable.constraint
        if optimizer_class(self.owner) not in _ELEMENTWISE:
            map_in_step(_masked, [slot.variable for slot in self.slots], self.mask)
        elif constraint is None:
            return
        value = _masked(variable, self.mask)
        if constraint is not None:  # of the user's: it holds for the weights that are kept
            value = _masked(constraint(value), self.mask)
        variable.assign(value)

    def set(self, mask: Any) -> None:
        """Let a mask hold from now on, and write its zeros into the variable and its slots."""
        self.mask.assign(mask)
        for place in self.places:
            place.variable.assign(at_rest(place.variable, mask, place.rest))


class Enforcement:
    """The masks of a model while it is trained.

    Nothing is changed before `attach`, and `detach` leaves the model and its optimizer as they would be without.

    Args:
        model: a built and compiled model.
        prunables: the variables that the masks are for.

    Attributes:
        masks: the masks in force.

    Raises:
        InvalidModelError: the model is not compiled.
    """

    def __init__(self, model: keras.Model, prunables: Prunables) -> None:
        self._model = model
        self._prunables = prunables
        self._optimizer = compiled_optimizer(model)
        self._guards: tuple[_Guard, ...] = ()
        self.masks = MaskSet({item.path: np.ones(item.shape, np.bool_) for item in prunables})

    def attach(self) -> None:
        """Put the masks, all of them keeping everything, into the train step."""
        optimizer = self._optimizer
        if not optimizer.built:
            optimizer.build(self._model.trainable_variables)
        owners = {id(variable): leaf for leaf in leaves(optimizer) for variable in leaf._trainable_variables}
        self._guards = tuple(_guard(item, owners.get(id(item.variable))) for item in self._prunables)
        self._write = compiled_writes(self._set, optimizer)
        for leaf in leaves(optimizer):
            leaf.apply = functools.partial(self._apply, leaf, leaf.apply)
        for part in chain(optimizer):
            for method in ("save_own_variables", "load_own_variables"):
                setattr(part, method, functools.partial(self._without_masks, getattr(part, method)))
        trace_again(self._model)

    def detach(self) -> None:
        """Take the masks out of the train step again. The weights stay as they are."""
        for guard in self._guards:
            if guard.owner is not None:
                guard.owner._untrack_variable(guard.mask)
        for part in chain(self._optimizer):
            for method in ("apply", "save_own_variables", "load_own_variables"):
                vars(part).pop(method, None)
        self._guards = ()
        trace_again(self._model)

    def set(self, masks: Mapping[str, NDArray[np.bool_]]) -> None:
        """Let masks hold from now on, and write their zeros into the weights and the optimizer's slots.

        Args:
            masks: boolean arrays by path, one for each prunable variable.
        """
        self.masks = masks if isinstance(masks, MaskSet) else MaskSet(masks)
        self._write(*(self.masks[guard.item.path] for guard in self._guards))

    def zeros(self) -> MaskSet:
        """Read the masks off weights that were pruned before: zero, and with all slots at rest.

        A weight that happens to be zero while it is trained has moments that are not.
        """
        return MaskSet({guard.item.path: ~guard.resting() for guard in self._guards})

    def _set(self, *masks: Any) -> None:
        for guard, mask in zip(self._guards, masks, strict=True):
            guard.set(mask)

    def _apply(self, leaf: Any, apply: Callable[..., Any], grads: Any, trainable_variables: Any = None) -> None:
        """An optimizer's `apply`, with the gradients of pruned weights taken as zero, and their zeros kept."""
        variables = leaf._trainable_variables if trainable_variables is None else list(trainable_variables)
        masks = {id(guard.item.variable): guard.mask for guard in self._guards}
        # An infinite gradient, which clipping makes finite, times zero would be NaN.
        without_pruned = _without if leaf.clipvalue is None else _masked

        def update(*grads: Any) -> None:
            kept = [
                without_pruned(grad, masks[id(variable)]) if grad is not None and id(variable) in masks else grad
                for grad, variable in zip(grads, variables, strict=True)
            ]
            apply(kept, variables)

        if self._is_known(leaf):
            update = in_one_pass(update, leaf, self._prunables.total)
        update(*grads)
        for guard in self._guards:
            if guard.owner is leaf:
                guard.correct()

    def _is_known(self, leaf: Any) -> bool:
        """Whether an optimizer's update holds no code but Keras's own, which can be compiled by itself."""
        rate = leaf._learning_rate
        return (
            leaf is self._optimizer
            and optimizer_class(leaf) in _ELEMENTWISE
            and not (leaf.use_ema or leaf.gradient_accumulation_steps)
            and all(variable.constraint is None for variable in leaf._trainable_variables)
            and (isinstance(rate, keras.Variable) or type(rate).__module__.startswith("keras."))
        )

    def _without_masks(self, method: Callable[[Any], None], store: Any) -> None:
        without(self._optimizer, [guard.mask for guard in self._guards], method, store)


def without(optimizer: Any, hidden: Iterable[Any], method: Callable[[Any], None], store: Any) -> None:
    """Save or load an optimizer's state as plain Keras knows it, or it would be refused as a whole.

    Args:
        optimizer: the outermost optimizer.
        hidden: variables of it that are not to be in the file.
        method: saves or loads the state.
        store: a group of a file.
    """
    ids = set(map(id, hidden))
    before = [(leaf, leaf._variables) for leaf in leaves(optimizer)]
    for leaf, variables in before:
        # Past __setattr__, which would track the list on TensorFlow.
        vars(leaf)["_variables"] = [variable for variable in variables if id(variable) not in ids]
    try:
        method(store)
    finally:
        for leaf, variables in before:
            vars(leaf)["_variables"] = variables


def trace_again(model: keras.Model) -> None:
    """Have the train step made anew: one that was made before does not know variables that came or went since."""
    if model.train_function is not None:
        model.make_train_function(force=True)


def compiled_optimizer(model: keras.Model) -> Any:
    """The optimizer of a compiled model.

    Raises:
        InvalidModelError: the model is not compiled, or its optimizer is not one of Keras.
    """
    optimizer = getattr(model, "optimizer", None)
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        raise InvalidModelError(
            f"Model {model.name!r} is not compiled, so it has no optimizer to keep masks in; call "
            "model.compile(optimizer, loss) first."
        )
    return optimizer


def chain(optimizer: Any) -> list[Any]:
    """An optimizer and all that it wraps."""
    return [optimizer, *(leaf for leaf in leaves(optimizer) if leaf is not optimizer)]


def _guard(item: Prunable, optimizer: Any) -> _Guard:
    variable = item.variable
    if optimizer is None:  # frozen: no step changes it
        mask = keras.Variable(np.ones(item.shape, np.bool_), dtype="bool", trainable=False)
        return _Guard(item, None, mask, ())
    with creation_scope(optimizer):
        mask = optimizer.add_variable(
            shape=item.shape,
            initializer="ones",
            dtype="bool",
            aggregation="only_first_replica",
            layout=getattr(variable, "_layout", None),
            name=f"{variable.path.replace('/', '_')}_mask",
        )
    return _Guard(item, optimizer, mask, _slots(optimizer, variable))


def _masked(value: Any, mask: Any) -> Any:
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
