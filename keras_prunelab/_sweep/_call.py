"""The call that makes a sweep again, as Python to be pasted, given the model and the data."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from keras_prunelab._errors import UnknownNameError
from keras_prunelab._model._variables import Prunables
from keras_prunelab._select import _conventions
from keras_prunelab.scores import Score, get, serialize

from ._finetune import FineTune
from ._plan import Plan
from ._refine import AutoLevels

_WIDTH = 88


class _Names:
    """Names for what cannot be spelled, such as data and functions: the same thing has the same name."""

    def __init__(self) -> None:
        self._given: list[tuple[Any, str]] = []

    def of(self, thing: Any, name: str) -> str:
        """The name of a thing: `name`, or with a number where another thing has it."""
        for other, known in self._given:
            if other is thing:
                return known
        taken = [known for _, known in self._given if known.rstrip("_0123456789") == name]
        found = f"{name}_{len(taken) + 1}" if taken else name
        self._given.append((thing, found))
        return found

    @property
    def all(self) -> list[str]:
        """All names."""
        return [name for _, name in self._given]


def spell(plan: Plan, prunables: Prunables, seeds: Any, given: Mapping[str, Any]) -> str:
    """Spell the call of a sweep.

    Args:
        plan: the points.
        prunables: the variables that are pruned.
        seeds: as they were given.
        given: the options that were given: `convention`, `granularity`, `include`, `exclude`, `calibration`,
            `metrics`, `groups`, `batch_size`, `damping`.

    Returns:
        Python that makes `result`; a comment names what a reader must provide.
    """
    names = _Names()
    arguments = {
        "scores": _several(_score(curve.score, names, is_seeded=seeds is not None) for curve in plan.curves),
        "seeds": None if seeds is None else _several(str(curve.seed) for curve in plan.curves),
        "scope": _one_or_several(_scope(curve.scope) for curve in plan.curves),
        "finetune": _one_or_several(_training(curve.finetune, names) for curve in plan.curves),
        "reconstruct": _one_or_several(repr(curve.reconstruct) for curve in plan.curves),
        "damping": None if given.get("damping") is None else repr(given["damping"]),
        "convention": _convention(given.get("convention", "paper"), names),
        "granularity": repr(str(given["granularity"])),
        **_filters(given, prunables),
        "calibration": None if given.get("calibration") is None else names.of(given["calibration"], "calibration"),
        "metrics": _metrics(given.get("metrics"), names),
        "groups": None if given.get("groups") is None else names.of(given["groups"], "groups"),
        "batch_size": None if given.get("batch_size") is None else str(given["batch_size"]),
    }
    defaults = {
        "scope": "'global'",
        "finetune": "None",
        "reconstruct": "None",
        "convention": "'paper'",
        "granularity": "'weight'",
    }
    kept = {name: text for name, text in arguments.items() if text is not None and text != defaults.get(name)}
    if isinstance(plan.levels, AutoLevels):
        levels = f"kpl.{plan.levels!r}"
    else:
        numbers = textwrap.fill(", ".join(map(repr, plan.levels)), _WIDTH - 4)
        levels = f"[\n{textwrap.indent(numbers, '    ')},\n]"
    needed = ", ".join(["model", "data", *names.all])
    lines = "".join(f"    {name}={text},\n" for name, text in kept.items())
    return (
        f"import keras_prunelab as kpl\n\n# Provide {needed}, as they were for this sweep.\n"
        f"levels = {levels}\nresult = kpl.sweep(\n    model,\n    data,\n    levels,\n{lines})"
    )


def _several(texts: Iterable[str]) -> str:
    return f"[{', '.join(dict.fromkeys(texts))}]"


def _one_or_several(texts: Iterable[str]) -> str:
    found = list(dict.fromkeys(texts))
    return found[0] if len(found) == 1 else _several(found)


def _score(score: Score, names: _Names, *, is_seeded: bool) -> str:
    """A registered score as its name, with its options where these are not the usual ones.

    Args:
        score: the score.
        names: names it if it is the reader's own.
        is_seeded: whether `seeds` stands in the call, and says what the score's seed is.
    """
    try:
        plain = get(score.name)
    except UnknownNameError:
        plain = None
    if type(score) is not type(plain):
        return names.of(getattr(score, "function", score), score.name if score.name.isidentifier() else "score")
    config, usual = ({**each.get_config()} for each in (score, plain))
    if is_seeded:
        config.pop("seed", None)
        usual.pop("seed", None)
    return repr(score.name) if config == usual else repr(serialize(score) | {"config": config})


def _scope(scope: Any) -> str:
    return f"kpl.{scope!r}" if scope.is_limited else repr(scope.rule)


def _training(how: FineTune | None, names: _Names) -> str:
    if how is None:
        return "None"
    options = {"epochs": how.epochs, "rounds": how.rounds, "rewind": how.rewind, "batch_size": how.batch_size}
    texts = [names.of(how.data, "train"), *(f"{name}={value!r}" for name, value in options.items())]
    if how.callbacks is not None:
        texts.append(f"callbacks={names.of(how.callbacks, 'make_callbacks')}")
    return f"kpl.FineTune({', '.join(texts)})"


def _convention(convention: Any, names: _Names) -> str:
    rules = _conventions.get(convention)
    try:
        known = _conventions.get(rules.name) == rules
    except UnknownNameError:
        known = False
    return repr(rules.name) if known else names.of(rules, "convention")


def _filters(given: Mapping[str, Any], prunables: Prunables) -> dict[str, str]:
    """The filters as they were, or where these are no names, the variables that they left."""
    found = {name: given[name] for name in ("include", "exclude") if given.get(name) is not None}
    several = {name: [value] if isinstance(value, str) else value for name, value in found.items()}
    if all(isinstance(value, list | tuple) and all(isinstance(v, str) for v in value) for value in several.values()):
        return {name: repr(list(value)) for name, value in several.items()}
    # A model without a name of its own has another one each time it is built, and paths begin with it.
    return {
        "include": repr([f"*/{item.path.partition('/')[2]}" if "/" in item.path else item.path for item in prunables])
    }


def _metrics(metrics: Any, names: _Names) -> str | None:
    if metrics is None:
        return None
    return f"[{', '.join(repr(one) if isinstance(one, str) else names.of(one, _name(one)) for one in metrics)}]"


def _name(metric: Any) -> str:
    """What a metric is called; `metric` where that is no name in Python, as of a lambda."""
    found = str(getattr(metric, "name", None) or getattr(metric, "__name__", ""))
    return found if found.isidentifier() else "metric"
