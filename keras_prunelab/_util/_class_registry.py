"""A registry of rules, one for each class of objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

R = TypeVar("R")
C = TypeVar("C", bound=type)


class ClassRegistry(Generic[R]):
    """One rule a class. Subclasses are not covered: they may do something else."""

    def __init__(self) -> None:
        self._rules: dict[type, R] = {}

    def register(self, *classes: type) -> Callable[[C], C]:
        """A decorator of a class of rules, which makes one for these classes and returns the class as it is.

        Args:
            classes: what the rule is for. A later rule takes an earlier one's place.
        """

        def decorate(rule: C) -> C:
            self._rules.update(dict.fromkeys(classes, rule()))
            return rule

        return decorate

    def of(self, thing: Any) -> R | None:
        """The rule for an object; None where its class has none."""
        return self._rules.get(type(thing))

    @property
    def classes(self) -> frozenset[type]:
        """Every class that has a rule."""
        return frozenset(self._rules)
