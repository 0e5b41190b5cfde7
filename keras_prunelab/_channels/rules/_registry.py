"""Rules by layer class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from keras_prunelab._util._class_registry import ClassRegistry

from ._base import ChannelRule

R = TypeVar("R", bound=type[ChannelRule])

_RULES = ClassRegistry[ChannelRule]()


def register_rule(*classes: type) -> Callable[[R], R]:
    """Tell `compact` and `remove_filters` what layers of some classes do to channels; a decorator of a `ChannelRule`.

    Subclasses are not covered: they may compute something else.

    Args:
        classes: layer classes. A later rule takes an earlier one's place.

    Returns:
        The decorator, which returns the rule as it is.

    Examples:
        >>> import keras
        >>> import keras_prunelab as kpl
        >>> class Half(keras.layers.Layer):
        ...     def call(self, x):
        ...         return 0.5 * x
        >>> @kpl.register_rule(Half)
        ... class HalfRule(kpl.PerChannelRule):
        ...     def value(self, site, values):
        ...         return 0.5 * values
    """
    return _RULES.register(*classes)


def rule_of(layer: Any) -> ChannelRule | None:
    """The rule for a layer; None where it has none."""
    return _RULES.of(layer)


def known_classes() -> frozenset[type]:
    """Every class that has a rule."""
    return _RULES.classes
