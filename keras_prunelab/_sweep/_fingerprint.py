"""What a sweep is a sweep of, in a few characters: weights, data and settings."""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_prunelab._backend import read
from keras_prunelab._evaluate._data import Observations
from keras_prunelab._model._rebuild import in_memory
from keras_prunelab._util._arrays import add_to_digest, as_array, bytes_of

from ._bench import Task
from ._finetune import FineTune
from ._plan import Plan
from ._refine import AutoLevels

_BATCH = 1024
_NUMBER = re.compile(r"_\d+(?=/|$)")
"""What Keras puts behind a name that it has given before."""
_new_digest = functools.partial(hashlib.blake2b, digest_size=16)


@dataclass(frozen=True)
class Fingerprint:
    """What tells two sweeps apart.

    Attributes:
        weights: a digest of all weights of the model and the classes of its layers.
        data: a digest of the observations.
        settings: everything else that the points depend on, as JSON values.
    """

    weights: str
    data: str
    settings: Mapping[str, Any]

    @classmethod
    def of(cls, task: Task, plan: Plan) -> Fingerprint:
        """Read all weights and all data once."""
        return cls(digest_of_weights(task.model), _of_data(task.data), _settings(task, plan))

    def differences(self, other: Fingerprint) -> list[str]:
        """What is not the same in another one, in words."""
        found = []
        if self.weights != other.weights:
            found.append("the weights of the model")
        if self.data != other.data:
            found.append("the data")
        for name in sorted(self.settings.keys() | other.settings.keys()):
            mine, its = self.settings.get(name), other.settings.get(name)
            if mine != its:
                found.append(f"the setting {name} ({_short(its)} there, {_short(mine)} here)")
        return found


def digest_of_weights(model: keras.Model) -> str:
    """What tells a model by its weights and the classes of its layers."""
    digest = _new_digest()
    for layer in model._flatten_layers():
        digest.update(type(layer).__name__.encode())
    for weight in model.weights:
        add_to_digest(digest, read(weight))
    return digest.hexdigest()


def _of_data(data: Observations) -> str:
    # A digest for each part, so that it does not matter how the data is cut into batches.
    digests: dict[int, Any] = {}
    layouts: dict[int, str] = {}
    for batch in data.batches(_BATCH):
        for place, part in enumerate(keras.tree.flatten(tuple(batch[:3]))):
            if part is not None:
                array = np.asarray(part)
                digest, layout = digests.setdefault(place, _new_digest()), f"{array.dtype}{array.shape[1:]}"
                if layouts.get(place) != layout:  # sequences of another length
                    digest.update(layout.encode())
                digest.update(bytes_of(array))
                layouts[place] = layout
    return _new_digest("".join(each.hexdigest() for each in digests.values()).encode()).hexdigest()


def _settings(task: Task, plan: Plan) -> dict[str, Any]:
    levels = plan.levels
    settings = {
        "convention": task.pruning.convention.name,
        "granularity": str(task.pruning.granularity),
        "variables": _of_variables(task),
        "sparsities": str(levels) + f" {levels.low}:{levels.high}" if isinstance(levels, AutoLevels) else list(levels),
        "curves": [[repr(curve.score), *curve.key] for curve in plan.curves],
        "metrics": None if task.metrics is None else [getattr(one, "name", None) or str(one) for one in task.metrics],
        "score_data": None if task.calibration is None else _of_anything(task.calibration),
        **({"damping": task.damping} if task.reconstructs else {}),
        **({"groups": _of_groups(task.data)} if task.data.groups else {}),
        "training": [_of_training(curve.finetune, task.model) for curve in plan.curves],
        "layers": _of_layers(task.model),
        **({"compiled": _of_compiled(task.model)} if task.model.compiled else {}),
    }
    return json.loads(json.dumps(settings))  # type: ignore[no-any-return]  # tuples become lists, as in the store


def _of_variables(task: Task) -> list[str]:
    """The variables that are pruned: their places, and their paths without what is another in a model built anew."""
    places = {id(weight): place for place, weight in enumerate(task.model.weights)}
    return [
        f"{places.get(id(item.variable))} {_NUMBER.sub('', item.path.removeprefix(f'{task.model.name}/'))}"
        for item in task.pruning.prunables
    ]


def _of_groups(data: Observations) -> list[list[Any]]:
    return [[group.name, list(group.values), _of_anything(group.codes)] for group in data.groups]


def _of_training(how: FineTune | None, model: keras.Model) -> list[Any] | None:
    if how is None:
        return None
    return [str(how), how.batch_size, _of_anything(how.data), _told(getattr(model, "optimizer", None), {})]


def _of_layers(model: keras.Model) -> str:
    """A digest of what the layers of a model are told, such as their activations, and of how they are connected."""
    layers = list(model._flatten_layers())
    names = {layer.name: f"layer {place}" for place, layer in enumerate(layers)}
    return _new_digest(json.dumps([_told(layer, names)[1] for layer in layers]).encode()).hexdigest()


def _of_compiled(model: keras.Model) -> Any:
    """The loss and metrics that a model is compiled with."""
    config = model._compile_config.config
    return {name: _told(config.get(name), {}) for name in ("loss", "loss_weights", "metrics", "weighted_metrics")}


def _told(part: Any, names: Mapping[str, str]) -> Any:
    """What something is made from as JSON values, the same for all that are made alike.

    Args:
        part: an object of Keras, or what stands in its configuration.
        names: what layers are called instead of their names, which count up from model to model. Other names lose the
            number that they end with.
    """
    if hasattr(part, "get_config") and not isinstance(part, type):
        try:
            with in_memory():
                return [type(part).__name__, _told(part.get_config(), names)]
        except (TypeError, ValueError, NotImplementedError, AttributeError):  # a class without a configuration
            return [type(part).__name__, None]
    if isinstance(part, Mapping):
        if part.get("class_name") == "__lambda__" or part.keys() == {"value"}:
            return "lambda"  # its code says in which line it stands, too
        own = {"name": names[part["name"]]} if part.get("name") in names else {}
        told = {str(name): _told(value, names) for name, value in {**part, **own}.items()}
        told.pop("seed", None)  # some layers draw one where none is given
        return told
    if isinstance(part, list | tuple | set):
        first, *rest = part or [None]
        if isinstance(first, str) and first in names and rest and isinstance(rest[0], int):  # whose output comes in
            part = [names[first], *rest]
        return [_told(each, names) for each in part]
    if isinstance(part, np.ndarray | np.generic):
        return part.tolist()
    if isinstance(part, str):
        return _NUMBER.sub("", part)
    if part is None or isinstance(part, int | float):
        return part
    return getattr(part, "__name__", type(part).__name__)


def _of_anything(data: Any) -> str:
    """A digest of arrays; of what only makes them, its type."""
    if hasattr(data, "inputs") and hasattr(data, "labels"):
        data = (data.inputs, data.labels)
    if isinstance(data, keras.utils.PyDataset) or not isinstance(data, list | tuple | dict | np.ndarray):
        return type(data).__name__
    digest = _new_digest()
    for part in keras.tree.flatten(data):
        if part is not None:
            add_to_digest(digest, as_array(part))
    return digest.hexdigest()


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
