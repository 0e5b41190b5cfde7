"""Classes by their name, and their objects as JSON values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

from keras_prunelab._errors import UnknownNameError
from keras_prunelab._text import suggest


class Named(Protocol):
    """What a registry holds: a class with a name, whose objects can be written down."""

    name: ClassVar[str]

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal object."""

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """An object from its arguments."""


T = TypeVar("T", bound=Named)
C = TypeVar("C", bound=type[Named])


class Registry(Generic[T]):
    """Classes of one kind by their `name`.

    Attributes:
        kind: what they are called in an argument, such as `"score"`.
    """

    def __init__(self, kind: str, classes: Iterable[type[T]], otherwise: str, unnamed: str = "") -> None:
        """Begin with some classes.

        Args:
            kind: what they are called in an argument, such as `"score"`.
            classes: those of this package.
            otherwise: ends the error for an unknown name, behind the known ones.
            unnamed: ends the error for an object of a class that is not registered.
        """
        self.kind, self._otherwise, self._unnamed = kind, otherwise, unnamed
        self._classes: dict[str, type[T]] = {each.name: each for each in classes}

    def __contains__(self, name: object) -> bool:
        return name in self._classes

    def register(self, named: C) -> C:
        """Make a class known; a later one of the same name takes its place."""
        self._classes[named.name] = named  # type: ignore[assignment]
        return named

    def serialize(self, value: T) -> dict[str, Any]:
        """An object as its name and its configuration.

        Raises:
            UnknownNameError: the class is not registered, so that `deserialize` would not find it.
        """
        if self._classes.get(value.name) is not type(value):
            raise UnknownNameError(
                f"{value!r} cannot be written down: its class is not registered. Decorate it with "
                f"keras_prunelab.{self.kind}s.register{self._unnamed}."
            )
        return {"name": value.name, "config": value.get_config()}

    def deserialize(self, config: Mapping[str, Any]) -> T:
        """An object from what `serialize` returned.

        Raises:
            UnknownNameError: no class of that name is registered.
        """
        name = config.get("name")
        if name not in self._classes:
            known = ", ".join(map(repr, self._classes))
            hint = suggest(str(name), self._classes)
            raise UnknownNameError(f"{self.kind}={name!r} is unknown; it is one of {known}{self._otherwise}.{hint}")
        return self._classes[name].from_config(dict(config.get("config", {})))
