"""Values of a callback in the logs of each epoch, for every callback of the list, wherever it stands.

`fit` collects the logs of an epoch from the model, and gives one dictionary to the callbacks in turn. What a callback
puts into it, those before it do not see. So the values go in where `fit` collects the logs.
"""

from __future__ import annotations

import sys
from typing import Any, Protocol

import keras

_METHOD = "_get_metrics_result_or_logs"  # of a model: what `fit` and `evaluate` call for their logs


class Contributor(Protocol):
    """A callback with values of its own."""

    def add_to_logs(self, logs: dict[str, Any]) -> None:
        """Put the values into the logs of an epoch that is done."""


def contribute(model: keras.Model, contributor: Contributor) -> None:
    """Have values put into the logs of each epoch of the `fit` that begins.

    Args:
        model: the model that is trained.
        contributor: puts the values in.
    """
    collector = vars(model).get(_METHOD)
    if not isinstance(collector, _Collector) or not collector.is_of_this_fit():
        withdraw(model)
        collector = _Collector(model)
        vars(model)[_METHOD] = collector  # past __setattr__, so that nothing tracks it
    collector.contributors.append(contributor)


def withdraw(model: keras.Model, contributor: Contributor | None = None) -> None:
    """Have no more values put in: those of one contributor, or of all of a `fit` that was interrupted.

    Args:
        model: the model.
        contributor: what `contribute` was given; nothing is done where it is not there.
    """
    collector = vars(model).get(_METHOD)
    if not isinstance(collector, _Collector):
        return
    kept = [] if contributor is None else [each for each in collector.contributors if each is not contributor]
    collector.contributors = kept
    if not kept:
        del vars(model)[_METHOD]
        if collector.own is not None:
            vars(model)[_METHOD] = collector.own


def contributors(model: keras.Model) -> list[Contributor]:
    """Who puts values into the logs of the `fit` that runs."""
    collector = vars(model).get(_METHOD)
    return list(collector.contributors) if isinstance(collector, _Collector) else []


class _Collector:
    """Stands for the model's method while `fit` runs."""

    def __init__(self, model: keras.Model) -> None:
        self.contributors: list[Contributor] = []
        self.own = vars(model).get(_METHOD)
        self._method = getattr(model, _METHOD)
        self._model = model
        self._history = getattr(model, "history", None)

    def is_of_this_fit(self) -> bool:
        """Whether the `fit` that runs is the one that this was made in: each has a history of its own."""
        return getattr(self._model, "history", None) is self._history

    def __call__(self, logs: Any) -> Any:
        found = self._method(logs)
        # A callback may evaluate the model within an epoch. Its logs go to whoever called `evaluate`, as a list even,
        # and nothing but the caller tells them from those of the epoch.
        if sys._getframe(1).f_code.co_name != "fit" or not isinstance(found, dict):
            return found
        if not self.is_of_this_fit():
            withdraw(self._model)
            return found
        values = dict(found)
        for contributor in self.contributors:
            contributor.add_to_logs(values)
        return values
