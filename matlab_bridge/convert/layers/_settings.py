"""Reading the settings of a layer, which MATLAB stores as (1, 1) and (1, n) doubles, chars and logicals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from matlab_bridge._errors import InvalidNetworkError
from matlab_bridge._layer import Array, Layer

_MOST = 2**26
"""Units, filters, words, pixels of one axis: a layer without weights may state any number, and would be built."""


# Each layer class that is written in MATLAB has them.
_OF_ANY_LAYER = frozenset({"NumInputs", "NumOutputs"})


def is_given(layer: Layer, name: str) -> bool:
    """Whether the layer has the setting, and not as MATLAB's empty array."""
    value = layer.settings.get(name)
    return value is not None and np.size(value) > 0


def numbers(layer: Layer, name: str, default: tuple[float, ...] | None = None) -> tuple[float, ...]:
    """All elements of a numeric setting.

    Raises:
        InvalidNetworkError: if it is missing or empty and has no default, or holds no numbers.
    """
    if is_given(layer, name):
        try:
            return tuple(float(value) for value in np.ravel(layer.settings[name]))
        except (TypeError, ValueError) as error:
            raise InvalidNetworkError(
                f"Layer {layer.name!r} ({layer.kind}) has {layer.settings[name]!r:.80} for {name}; it is no number."
            ) from error
    if default is None:
        raise InvalidNetworkError(
            f"Layer {layer.name!r} ({layer.kind}) has no setting {name!r}; it has {sorted(layer.settings)}."
        )
    return default


def expanded(layer: Layer, name: str, default: float, spatial: Sequence[int | None]) -> Array:
    """A constant that MATLAB spreads over the input by implicit expansion.

    Args:
        layer: the layer, which has it as a setting, or as a `dlarray` among its learnables.
        name: what it is called.
        default: its value where it is missing.
        spatial: the size of the images that it meets, such as `(H, W)`; empty for vectors and sequences.

    Returns:
        A number, `()`; one for each channel, `(C,)`; or an array that follows the images, `(H, W, C)` or 1 in place of
        any of them.

    Raises:
        InvalidNetworkError: if it holds no numbers.
    """
    found = layer if is_given(layer, name) else replace(layer, settings=layer.learnables)
    values = np.array(numbers(found, name, (default,)))
    if values.size == 1:
        return values.reshape(())
    shape = np.shape(found.settings[name])
    shape += (1,) * (len(spatial) + 1 - len(shape))
    follows = len(shape) == len(spatial) + 1 and all(
        have in (1, want) for have, want in zip(shape[:-1], spatial, strict=True)
    )
    # MATLAB drops channels of which there is one, and networks hold vectors as images of one pixel.
    return values.reshape(shape) if follows and max(shape[:-1], default=1) > 1 else values


def number(layer: Layer, name: str, default: float | None = None) -> float:
    """A numeric setting with one element."""
    return numbers(layer, name, None if default is None else (default,))[0]


def integer(layer: Layer, name: str, default: int | None = None) -> int:
    """A numeric setting that is a whole number."""
    return whole(layer, name, number(layer, name, default))


def sizes(layer: Layer, name: str, rank: int, default: int | None = None) -> tuple[int, ...]:
    """A setting with a whole number for each of `rank` dimensions; one number stands for all.

    Raises:
        InvalidNetworkError: if it has another number of elements, or one is not finite.
    """
    found = tuple(whole(layer, name, value) for value in numbers(layer, name, None if default is None else (default,)))
    if len(found) not in (1, rank):
        raise InvalidNetworkError(
            f"Layer {layer.name!r} ({layer.kind}) has {len(found)} numbers for {name}; {rank} or one was expected."
        )
    return found * rank if len(found) == 1 else found


def whole(layer: Layer, name: str, value: float) -> int:
    """A number of a setting as the whole number that it is to be.

    Raises:
        InvalidNetworkError: it is not finite, or larger than what any layer has.
    """
    if not np.isfinite(value):
        raise InvalidNetworkError(
            f"Layer {layer.name!r} ({layer.kind}) has {value} for {name}; a whole number was expected."
        )
    if abs(value) > _MOST:
        raise InvalidNetworkError(
            f"Layer {layer.name!r} ({layer.kind}) has {value:.0f} for {name}, more than any layer has. Is the file "
            "damaged?"
        )
    return int(value)


def text(layer: Layer, name: str, default: str = "") -> str:
    """A setting that is a word; the default where it is missing or a number."""
    first = np.ravel(np.asarray(layer.settings[name], dtype=object))[0] if is_given(layer, name) else default
    return first if isinstance(first, str) else default


def flag(layer: Layer, name: str) -> bool:
    """A logical setting; false where it is missing."""
    return bool(number(layer, name, 0))


def own_numbers(layer: Layer) -> dict[str, Array]:
    """The settings that are numbers, without those that any layer has."""
    return {
        name: value
        for name, value in layer.settings.items()
        if isinstance(value, np.ndarray) and value.size and value.dtype.kind in "fiu" and name not in _OF_ANY_LAYER
    }


def single_numbers(layer: Layer) -> dict[str, float]:
    """The settings of `own_numbers` that are single numbers."""
    return {name: float(value.item()) for name, value in own_numbers(layer).items() if value.size == 1}


def no_single_number(layer: Layer, what: str) -> str | None:
    """What to say of a layer without exactly one number, whose name is not documented; None where there is one."""
    found = single_numbers(layer)
    names = ", ".join(found) or "none"
    if len(found) == 1:
        return None
    return f"one number among its properties was expected, {what}, and there are {len(found)}: {names}"
