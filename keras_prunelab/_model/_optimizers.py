"""The optimizers that train a model: which they are, what they wrap, and how many steps they have made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import keras

from keras_prunelab._backend import read
from keras_prunelab._errors import InvalidModelError

Optimizers: TypeAlias = "keras.optimizers.Optimizer | Sequence[keras.optimizers.Optimizer] | None"


def leaves(optimizer: Any) -> list[Any]:
    """The optimizers that update variables: a `LossScaleOptimizer` or `MultiOptimizer` stands for those inside."""
    if hasattr(optimizer, "inner_optimizer"):
        return leaves(optimizer.inner_optimizer)
    if hasattr(optimizer, "optimizers"):
        return leaves_of(optimizer.optimizers)
    return [optimizer]


def leaves_of(optimizers: Iterable[Any]) -> list[Any]:
    """The optimizers inside some others that update variables."""
    return [leaf for optimizer in optimizers for leaf in leaves(optimizer)]


def chain(optimizer: Any) -> list[Any]:
    """An optimizer and all that it wraps."""
    return [optimizer, *(leaf for leaf in leaves(optimizer) if leaf is not optimizer)]


def counter(optimizer: Any) -> tuple[int, int]:
    """How many batches an optimizer has seen, and how many of them make one step of it."""
    counting = getattr(optimizer, "inner_optimizer", optimizer)
    return int(read(counting._iterations)), counting.gradient_accumulation_steps or 1


def counts(optimizer: Any) -> tuple[int, ...]:
    """How many batches each optimizer inside has seen."""
    return tuple(int(read(leaf._iterations)) for leaf in leaves(optimizer))


def find_updating(variable: Any, optimizers: Iterable[Any]) -> list[Any]:
    """The optimizers, of some that have none inside, that update a variable; unbuilt ones update nothing yet."""
    return [leaf for leaf in optimizers if any(each is variable for each in leaf._trainable_variables)]


def compile_optimizer(model: keras.Model) -> Any:
    """The optimizer of a compiled model.

    Raises:
        InvalidModelError: the model is not compiled, or its optimizer is not one of Keras.
    """
    optimizer = getattr(model, "optimizer", None)
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        raise InvalidModelError(
            f"Model {model.name!r} is not compiled, so it has no optimizer to keep masks in; call "
            "model.compile(optimizer, loss) first. In a training loop of your own, name the optimizer of the loop: "
            "optimizers=my_optimizer."
        )
    return optimizer


def optimizers_of(model: keras.Model, given: Optimizers = None) -> tuple[Any, ...]:
    """The optimizers whose updates masks have to survive.

    Args:
        model: the model that they train.
        given: the optimizers, where the user names them. Otherwise they are the one that the model is compiled with,
            and all that are attributes of the model or of a model inside it, such as the two of a GAN.

    Returns:
        The optimizers, each once: the one whose steps count by default is the first.

    Raises:
        InvalidModelError: there is none, or something else was given.
    """
    if given is not None:
        named = list(given) if isinstance(given, (list, tuple)) else [given]
        wrong = [each for each in named if not isinstance(each, keras.optimizers.Optimizer)]
        if wrong or not named:
            raise InvalidModelError(
                f"optimizers={given!r}; it is a Keras optimizer, or a list of those that train the model. Other "
                "optimizers, such as those of torch.optim, do not keep masks: wrap the model with "
                "keras_prunelab.layers.wrap, whose masks hold whatever trains it."
            )
        return tuple(_once(named))
    return held_optimizers(model) or (compile_optimizer(model),)


def held_optimizers(model: keras.Model) -> tuple[Any, ...]:
    """The optimizers that a model holds, each once: the one that it is compiled with is the first."""
    compiled = getattr(model, "optimizer", None)
    found = [compiled] if isinstance(compiled, keras.optimizers.Optimizer) else []
    return tuple(_once([*found, *_attributes(model)]))


class StepCount:
    """The steps that training has made, whichever of several optimizers makes them.

    A model may hold an optimizer that never moves, as `compile` makes one for a GAN that brings two of its own; and
    the optimizers of a GAN may take turns. So the count goes on from where it begins by the steps of the optimizer that
    has made the most of them since.

    Args:
        optimizers: the optimizers.
    """

    def __init__(self, optimizers: Sequence[Any]) -> None:
        self._optimizers = tuple(optimizers)
        self._begun = self.each()

    @property
    def accumulated(self) -> int:
        """How many batches the first optimizer takes for one step."""
        return counter(self._optimizers[0])[1]

    def each(self) -> tuple[int, ...]:
        """How many batches each optimizer has seen."""
        return tuple(counter(optimizer)[0] for optimizer in self._optimizers)

    def batches(self) -> int:
        """How many batches training has seen."""
        moved = max(now - then for now, then in zip(self.each(), self._begun, strict=True))
        return max(self._begun) + moved

    def begin(self) -> int:
        """Count from now on, as where a checkpoint was loaded.

        Returns:
            How many batches training has seen: those of the optimizer that has seen the most.
        """
        self._begun = self.each()
        return max(self._begun)


def _attributes(model: keras.Model) -> Iterator[Any]:
    models = [each for each in model._flatten_layers() if isinstance(each, keras.Model)]
    for each in models:
        for value in list(vars(each).values()):
            yield from (part for part in _parts(value) if isinstance(part, keras.optimizers.Optimizer))


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, (list, tuple)) else (value,)


def _once(values: Iterable[Any]) -> Iterator[Any]:
    return iter({id(value): value for value in values}.values())
