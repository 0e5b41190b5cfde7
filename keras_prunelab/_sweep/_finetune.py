"""Training after pruning, the same for every point: from the same weights, with a seed of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import keras
import numpy as np

from keras_prunelab._errors import InvalidScheduleError, UnknownNameError
from keras_prunelab._model._data import Batch, batches, check_batch_size
from keras_prunelab._model._numbers import whole_number
from keras_prunelab._model._optimizers import compile_optimizer
from keras_prunelab._model._rebuild import in_memory, known_objects
from keras_prunelab._model._source import source
from keras_prunelab._model._state import assign_values, copy_values
from keras_prunelab._model._variables import Prunables
from keras_prunelab._select._masks import Masks, MaskSet
from keras_prunelab._select._selection import sparsities_of_rounds
from keras_prunelab._training._enforcement import Enforcement

Rewinding = Literal["learning_rate", "weights"]
NextMasks = Callable[[Masks, float], Masks]
"""From the masks so far and a sparsity to the masks of that sparsity, for the weights as they are now."""


@dataclass(frozen=True)
class FineTune:
    """How each point of a sweep is trained once it is pruned.

    With one round the dense network is pruned to the point's sparsity and trained: one-shot pruning, as far as
    pruning goes. With several it is pruned in steps that keep the same share of weights each, and trained after each of
    them: iterative pruning, Han et al., NeurIPS 2015, https://arxiv.org/abs/1506.02626.

    The model must be compiled: its loss and a new optimizer of its kind train it. Every point starts from the weights
    that the model has when the sweep begins, and from a new optimizer, so that all have the same budget: Blalock et
    al., What is the state of neural network pruning?, MLSys 2020, https://arxiv.org/abs/2003.03033.

    Args:
        data: what to train on: `(inputs, labels)`, with sample weights as a third, where sequences of different lengths
            are a list, or whatever else `fit` takes; or a function that returns a new generator, or a list of batches,
            for each epoch.
        epochs: how many epochs to train, in each round.
        rounds: in how many rounds to prune.
        rewind: what goes back before every round but the first. None: nothing, the optimizer goes on;
            `"learning_rate"`: the optimizer begins anew, and its schedule of the learning rate with it, Renda et al.,
            ICLR 2020, https://arxiv.org/abs/2003.02389; `"weights"`: the weights that are kept too, Frankle and
            Carbin, ICLR 2019, https://arxiv.org/abs/1803.03635.
        batch_size: the size of the batches of arrays.
        callbacks: a function that returns the callbacks of one `fit`.

    Raises:
        InvalidScheduleError: there is no epoch or no round, or `callbacks` is no function.
        UnknownNameError: `rewind` is none of these.
        InvalidDataError: the data has no end, or can be read only once.

    Examples:
        >>> import numpy as np
        >>> import keras_prunelab as kpl
        >>> x, y = np.zeros((8, 4)), np.zeros(8, int)
        >>> print(kpl.FineTune((x, y), epochs=2, rounds=3, rewind="learning_rate"))
        3 rounds of 2 epochs, learning rate rewound
    """

    data: Any = field(repr=False)
    epochs: int = 1
    rounds: int = 1
    rewind: Rewinding | None = None
    batch_size: int = 32
    callbacks: Callable[[], Iterable[keras.callbacks.Callback]] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        epochs, rounds = whole_number(self.epochs), whole_number(self.rounds)
        if epochs is None or rounds is None or epochs < 1 or rounds < 1:
            raise InvalidScheduleError(
                f"There is at least one round and one epoch, not {self.rounds!r} and {self.epochs!r}; to leave out the "
                "training, leave out finetune=."
            )
        numbers = {"epochs": epochs, "rounds": rounds, "batch_size": check_batch_size(self.batch_size)}
        for name, number in numbers.items():
            object.__setattr__(self, name, number)
        if self.rewind is not None and self.rewind not in get_args(Rewinding):
            raise UnknownNameError(f"rewind={self.rewind!r}; it is None, 'learning_rate' or 'weights'.")

        source(self.data)  # data that has no end, or can be read only once, trains no second point
        if self.callbacks is not None and not callable(self.callbacks):
            raise InvalidScheduleError(
                f"callbacks={self.callbacks!r}; it is a function that makes new ones for each fit, because they keep "
                "what they have seen, such as lambda: [keras.callbacks.EarlyStopping('loss')]."
            )

    def sparsities(self, sparsity: float) -> tuple[float, ...]:
        """The sparsity after each round: each keeps the same share of what the one before kept."""
        return sparsities_of_rounds(sparsity, self.rounds)

    def __str__(self) -> str:
        epochs = f"{self.epochs} epoch{'s' if self.epochs > 1 else ''}"
        if self.rounds == 1:
            return epochs
        rewound = f", {self.rewind.replace('_', ' ')} rewound" if self.rewind else ""
        return f"{self.rounds} rounds of {epochs}{rewound}"


class Trainer:
    """Trains a model again and again from the same state.

    Args:
        model: a compiled model that is nobody else's: it is left as the last training made it.
        prunables: the variables that masks are for.

    Raises:
        InvalidModelError: the model is not compiled.
    """

    def __init__(self, model: keras.Model, prunables: Prunables) -> None:
        self._model = model
        optimizer = compile_optimizer(model)
        with known_objects(model), in_memory():
            optimizer = type(optimizer).from_config(optimizer.get_config())  # a new one of the same kind
        # With the loss and metrics themselves: a lambda that is written down loses the names that it refers to.
        keras.Model.compile(model, **{**model._compile_config.config, "optimizer": optimizer})
        self._enforcement = Enforcement(model, prunables)
        self._steps: dict[int, int] = {}
        optimizer = model.optimizer  # which may scale the loss for it
        if not optimizer.built:
            optimizer.build(model.trainable_variables)
        self._variables = [*model.trainable_variables, *model.non_trainable_variables]
        self._slots = list(optimizer.variables)  # without the masks, which are attached to some optimizers
        self._values, self._slot_values = copy_values(self._variables), copy_values(self._slots)
        self._enforcement.attach()

    def restore(self) -> None:
        """Put back the weights and the optimizer that every training starts from."""
        assign_values(self._variables, self._values)
        assign_values(self._slots, self._slot_values)

    def train(
        self,
        how: FineTune,
        sparsity: float,
        seed: int,
        next_masks: NextMasks,
        prepare: Callable[[MaskSet], None] | None = None,
    ) -> MaskSet:
        """Prune and train.

        Args:
            how: the rounds and epochs.
            sparsity: the share of weights that are zero at the end.
            seed: what the shuffling of the data and dropout start from.
            next_masks: the masks of a round.
            prepare: is called with them before training, and may write other weights where they keep some.

        Returns:
            The masks of the last round, which the model is left with.
        """
        self.restore()
        self._seed(seed)
        masks = MaskSet({path: np.ones(mask.shape, np.bool_) for path, mask in self._enforcement.masks.items()})
        for number, target in enumerate(how.sparsities(sparsity)):
            masks = MaskSet(next_masks(masks, target))
            if number and how.rewind is not None:
                assign_values(self._slots, self._slot_values)
                if how.rewind == "weights":
                    assign_values(self._variables, self._values)
            self._enforcement.set(masks)
            if prepare is not None:
                prepare(masks)
            self._fit(how, None if number else seed)
            self._enforcement.set(masks)  # averages may have been written over the weights
        return masks

    def _steps_of(self, how: FineTune) -> int:
        """How many batches one pass over the data has that a function returns, counted once."""
        if id(how) not in self._steps:
            self._steps[id(how)] = sum(1 for _ in _read(how.data))
        return self._steps[id(how)]

    def _seed(self, seed: int) -> None:
        keras.utils.set_random_seed(seed)
        for variable, value in zip(self._variables, self._values, strict=True):
            if variable.name == "seed_generator_state":
                variable.assign(value + np.asarray([seed, 0], value.dtype))

    def _fit(self, how: FineTune, seed: int | None) -> None:
        # The first `fit` of a model may draw an order of the data to build the metrics with, before it trains: what is
        # drawn is the same for every point only if the seed is set after that.
        first = [] if seed is None else [keras.callbacks.LambdaCallback(on_train_begin=lambda _logs: self._seed(seed))]

        def fit(*data: Any, **options: Any) -> None:
            callbacks = [*first, *(how.callbacks() if how.callbacks is not None else ())]
            self._model.fit(*data, verbose=0, callbacks=callbacks, **options)
            first.clear()

        data = how.data
        if hasattr(data, "inputs") and hasattr(data, "labels"):
            data = (data.inputs, data.labels)
        if isinstance(data, list | tuple) and _is_ragged(data[0]):
            data = _Batches(list(batches(tuple(data), how.batch_size, labels=True, model=self._model)))
        if isinstance(data, list | tuple):
            weights = {"sample_weight": data[2]} if len(data) > 2 else {}
            fit(*map(_arrays, data[:2]), batch_size=how.batch_size, epochs=how.epochs, **weights)
        elif callable(data) and not isinstance(data, keras.utils.PyDataset):
            steps = self._steps_of(how)  # one `fit` of known length: callbacks see all epochs
            passes = (batch for _ in range(how.epochs) for batch in _read(data))
            fit(passes, steps_per_epoch=steps, epochs=how.epochs, shuffle=False)
        else:
            fit(data, epochs=how.epochs, shuffle=_can_shuffle(data))


def _read(data: Any) -> Iterator[tuple[Any, ...]]:
    """One pass over the batches that a function returns, in whatever form."""
    found = source(data)
    for batch in () if found is None else found.read():
        yield tuple(batch) if isinstance(batch, list) else batch


class _Batches(keras.utils.PyDataset):
    """Batches of sequences, each of one length, in another order in each epoch."""

    def __init__(self, batches: Sequence[Batch]) -> None:
        super().__init__()
        self._batches = batches

    @property
    def num_batches(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        batch = self._batches[index]
        return tuple(part for part in (batch.inputs, batch.labels, batch.weights) if part is not None)


def _is_ragged(inputs: Any) -> bool:
    """Whether inputs are sequences of different lengths, of which `fit` makes no array."""
    shapes = {np.shape(each) for each in inputs} if isinstance(inputs, list) else set()
    return len(shapes) > 1 == len({shape[1:] for shape in shapes})


def _can_shuffle(data: Any) -> bool:
    """Whether `fit` can put data in another order; it warns where it is to, and cannot."""
    return isinstance(data, keras.utils.PyDataset) or source(data) is None


def _arrays(value: Any) -> Any:
    """Plain lists of numbers as arrays, which is what `fit` takes."""
    return np.asarray(value) if isinstance(value, list) and value and np.isscalar(value[0]) else value
