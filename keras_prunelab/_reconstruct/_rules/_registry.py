"""Rules by layer class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import keras

from keras_prunelab._errors import InvalidModelError
from keras_prunelab._util._class_registry import ClassRegistry

from ._base import LinearMap, NoLinearMapError, Rule

R = TypeVar("R", bound=type[Rule])

_RULES = ClassRegistry[Rule]()


def register_linear_rule(*classes: type) -> Callable[[R], R]:
    """Tell `reconstruct` how layers of some classes multiply their inputs; a decorator of a `LinearRule`.

    Subclasses are not covered: they may compute something else.

    Args:
        classes: layer classes. A later rule takes an earlier one's place.

    Returns:
        The decorator, which returns the rule as it is.

    Raises:
        InvalidModelError: one is no class of layers.
    """
    for each in classes:
        if not (isinstance(each, type) and issubclass(each, keras.layers.Layer)):
            raise InvalidModelError(f"A rule is for classes of layers, such as keras.layers.Dense, not for {each!r}.")
    return _RULES.register(*classes)


def maps_of(layer: Any) -> Sequence[LinearMap]:
    """The linear maps of a built layer.

    Raises:
        NoLinearMapError: it has no rule, or its rule refuses it, with the reason.
    """
    rule = _RULES.of(layer)
    if rule is None:
        raise NoLinearMapError(
            f"no rule says how a {type(layer).__name__} multiplies its inputs; register_linear_rule adds one"
        )
    if getattr(layer, "quantization_mode", None) is not None:
        raise NoLinearMapError(f"it is quantized ({layer.quantization_mode})")
    return rule.maps(layer)


def known_classes() -> frozenset[type]:
    """Every class that has a rule."""
    return _RULES.classes
