"""Cut removed channels out of a model, and check that it computes the same."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import keras

from keras_prunelab._channels._analysis import Analysis, analyze, find_removable
from keras_prunelab._channels._channels import Barrier, Flags
from keras_prunelab._cost._costs import remove_none
from keras_prunelab._text import visible
from keras_prunelab.layers._strip import without_wrappers

from ._build import cut
from ._equivalence import check_equivalence


@dataclass(frozen=True)
class Compaction:
    """What `compact` did.

    Attributes:
        model: the smaller model.
        channels: for each layer that makes channels, by name, how many it had and has.
        parameters: how many weights the model had and has.
        barriers: the layers without a rule, whose neighbours stay as they are, with the reasons.
        constants_kept: how many constant channels had to stay for the sake of a layer, by its name: a constant that is
            not zero cannot be folded into a bias behind padding, whose border differs.
        difference: the largest difference of an output, relative to the largest output.
    """

    model: keras.Model = field(repr=False)
    channels: Mapping[str, tuple[int, int]]
    parameters: tuple[int, int]
    barriers: tuple[Barrier, ...]
    constants_kept: Mapping[str, int]
    difference: float

    def __str__(self) -> str:
        before, after = self.parameters
        summary = f"{before:,} parameters become {after:,} ({after / max(1, before):.1%}); outputs differ by at most "
        lines = [f"{summary}{self.difference:.1e} of the largest"]
        changed = {name: counts for name, counts in self.channels.items() if counts[0] != counts[1]}
        lines += [f"  {name}: {was} channels become {now}" for name, (was, now) in changed.items()]
        lines += [f"  barrier: {barrier.layer} ({barrier.kind}): {barrier.reason}" for barrier in self.barriers]
        lines += [f"  kept: {count} constant channels before {name}" for name, count in self.constants_kept.items()]
        return visible("\n".join(lines))

    @property
    def walls(self) -> tuple[Barrier, ...]:
        """Deprecated: `barriers`, by the name of version 0.1."""
        warnings.warn("Compaction.walls is called Compaction.barriers now.", DeprecationWarning, stacklevel=2)
        return self.barriers

    @property
    def held(self) -> Mapping[str, int]:
        """Deprecated: `constants_kept`, by the name of version 0.1."""
        warnings.warn("Compaction.held is called Compaction.constants_kept now.", DeprecationWarning, stacklevel=2)
        return self.constants_kept


def compact(model: keras.Model, data: Any = None) -> keras.Model:
    """Make a smaller model that computes the same, by cutting out the channels that masks have emptied.

    A channel, neuron, head or unit goes when removing it changes nothing, or only a constant that the next bias can
    take up. Every call compares both models on random inputs; `compaction` tells what was found.

    Args:
        model: a built functional or sequential model, which is only read. `Pruned` wrappers are taken off.
        data: data of your own to compare the models on as well, in any form that a sweep takes; only its inputs count.

    Returns:
        A plain Keras model with the same layers and names; its file loads without this package. How the model was
        compiled is carried over; the optimizer begins anew.

    Raises:
        InvalidModelError: the model is not built, or a subclass whose `call` nobody can look into.
        InvalidDataError: the data does not fit the model.
        NotEquivalentError: the outputs differ by more than 1e-4 of the largest output, in float32.

    Examples:
        >>> import keras
        >>> import keras_prunelab as kpl
        >>> model = keras.Sequential([
        ...     keras.Input((8, 8, 3)),
        ...     keras.layers.Conv2D(16, 3, activation="relu"),
        ...     keras.layers.Flatten(),
        ...     keras.layers.Dense(10),
        ... ])
        >>> pruned = kpl.prune(model, 0.5, granularity="channel", scope="layer", exclude=model.layers[-1])
        >>> small = kpl.compact(pruned)
        >>> small.layers[0].filters, small.count_params() < 0.51 * model.count_params()
        (8, True)
    """
    return compaction(model, data).model


def compaction(model: keras.Model, data: Any = None) -> Compaction:
    """Do what `compact` does, and tell what was found.

    Args:
        model: as for `compact`.
        data: as for `compact`.

    Returns:
        The smaller model, what became of each layer, barriers, and the largest difference of an output.

    Raises:
        InvalidModelError: as for `compact`.
        NotEquivalentError: as for `compact`.

    Examples:
        >>> import keras
        >>> import keras_prunelab as kpl
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="hidden"), keras.layers.Dense(2)])
        >>> kpl.compaction(model).channels["hidden"]
        (3, 3)
    """
    plain = without_wrappers(model)
    analysis = analyze(plain)
    found = find_removable(analysis)
    small = cut(plain, analysis, found.groups, found.values)
    return Compaction(
        model=small,
        channels=channels(analysis, found.groups),
        parameters=(plain.count_params(), small.count_params()),
        barriers=analysis.barriers,
        constants_kept=found.constants_kept,
        difference=check_equivalence(plain, small, data),
    )


def channels_of(model: keras.Model) -> dict[str, int]:
    """How many channels each layer makes that makes some; by the name of its first call."""
    analysis = analyze(without_wrappers(model))
    return {name: was for name, (was, _) in channels(analysis, remove_none(analysis)).items()}


def channels(analysis: Analysis, removed: Flags) -> dict[str, tuple[int, int]]:
    """How many channels each layer had that makes some, and has; by the name of its first call."""
    counts: dict[str, tuple[int, int]] = {}
    for _, site in analysis.layers().values():
        own = [ids for ids in site.ports.values() if analysis.makes(site, ids)]
        if own:
            counts[site.call.name] = (
                sum(ids.size for ids in own),
                sum(int((~removed[analysis.labels[ids]]).sum()) for ids in own),
            )
    return counts
