"""What a score is, and what it is told."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self, TypeVar, cast

import keras
import numpy as np
from numpy.typing import NDArray

from keras_prunelab._errors import InvalidDataError, InvalidModelError
from keras_prunelab._model._source import check_ends
from keras_prunelab._model._variables import Prunables
from keras_prunelab._util._arrays import all_finite

T = TypeVar("T")


@dataclass(frozen=True)
class ScoreContext:
    """What a score may look at.

    Attributes:
        model: the model. A score does not change it.
        prunables: the variables to score.
        values: their weights by path, with zeros where the masks have already pruned some.
        data: what the score's caller gave: inputs, or (inputs, labels), or nothing.
        flow: which network SynFlow measures the flow through, as the convention says: the `"linear"` one of the
            paper's theory, or the one `"as built"`, with its offsets, means and activations.
        granularity: what goes as a whole, in words: `"weight"`, `"2:4"`, `"4x4"`, `"kernel"`, `"channel"`.
        sparsities: the levels that the scores are for, as far as the caller knows them.
        optimizers: those that train the model, where the user names them; by default those that it holds.
        tell: called with what a score that takes long is at, in words.
    """

    model: keras.Model
    prunables: Prunables
    values: Mapping[str, NDArray[Any]]
    data: Any = None
    flow: Literal["linear", "as built"] = "linear"
    granularity: str = "weight"
    sparsities: tuple[float, ...] = ()
    optimizers: tuple[Any, ...] = field(default=(), repr=False, compare=False)
    tell: Callable[[str], None] = field(default=lambda _: None, repr=False, compare=False)
    _kept: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def at(self, values: Mapping[str, NDArray[Any]]) -> ScoreContext:
        """The same context with other weights; what `once` keeps is shared."""
        return dataclasses.replace(self, values=values)

    def once(self, key: str, make: Callable[[], T]) -> T:
        """Make something at its first use, such as a compiled function, and give it again at every later."""
        if key not in self._kept:
            self._kept[key] = make()
        return cast("T", self._kept[key])


class Score(ABC):
    """How much each weight matters: a class with one method to write, `__call__`.

    Attributes:
        name: what results call it, and what `get` finds it by once it is registered.
        needs_data: whether the context must have inputs.
        needs_labels: whether the context must have labels too.
        follows_masks: whether the scores change as weights go, so that they are computed anew as the
            `Convention` says. Scores that do not are computed once, on the dense network.
        group_norm: how the scores of the weights of a block or channel are joined: 1 for their sum, 2 for the
            Euclidean norm.
        rounds: in how many rounds a score that follows the masks goes to a sparsity, where the convention
            computes it in rounds.

    Examples:
        >>> import numpy as np
        >>> from keras_prunelab import scores
        >>> class Squared(scores.Score):
        ...     name = "squared"
        ...     def __call__(self, context):
        ...         return {path: np.square(value) for path, value in context.values.items()}
    """

    name: ClassVar[str]
    needs_data: ClassVar[bool] = False
    needs_labels: ClassVar[bool] = False
    follows_masks: ClassVar[bool] = False
    group_norm: int = 1
    rounds: int = 1

    @abstractmethod
    def __call__(self, context: ScoreContext) -> dict[str, NDArray[Any]]:
        """Score the weights.

        Args:
            context: the model, its prunable variables and their weights.

        Returns:
            One finite array a path of `context.values`, of the variable's shape. Low scores go first.
        """

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this score again, all JSON values."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Make a score from what `get_config` returned."""
        return cls(**config)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Score) and type(self) is type(other) and self.get_config() == other.get_config()

    def __hash__(self) -> int:
        return hash((type(self), repr(sorted(self.get_config().items()))))

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.get_config().items())
        return f"{type(self).__name__}({arguments})"


def check_data(score: Score, data: Any) -> None:
    """Make sure that a score has the data that it needs.

    Raises:
        InvalidDataError: there is none, it has no end, or it can be read only once.
    """
    if data is None and (score.needs_data or score.needs_labels):
        wanted = "(inputs, labels)" if score.needs_labels else "inputs"
        raise InvalidDataError(f"The score {score.name!r} needs data; give data={wanted}.")
    if score.needs_data or score.needs_labels:
        check_ends(data)


def check_scores(score: Score, context: ScoreContext) -> dict[str, NDArray[Any]]:
    """Score weights, and make sure that the scores can be ranked.

    Raises:
        InvalidDataError: an array is missing, or of another shape than its variable.
        InvalidModelError: a score is not finite.
    """
    scores = score(context)
    expected = {path: value.shape for path, value in context.values.items()}
    given = {path: np.shape(values) for path, values in scores.items()}
    if given != expected:
        path = min(path for path in given.keys() | expected.keys() if given.get(path) != expected.get(path))
        raise InvalidDataError(
            f"The score {score.name!r} must return one array a path, of the variable's shape; for {path!r} it returned "
            f"{given.get(path, 'nothing')}, where {expected.get(path, 'nothing')} was expected."
        )
    for path, values in scores.items():
        if not all_finite(values):
            raise InvalidModelError(
                f"The score {score.name!r} gave NaN or infinite scores for {path!r}, which cannot be ranked."
            )
    return scores
