"""What a sweep is a sweep of, in a few characters: weights, data and settings."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_prunelab._backend import read
from keras_prunelab._evaluate._data import Observations
from keras_prunelab._util._arrays import add_to_digest, as_array, bytes_of

from ._bench import Task
from ._finetune import FineTune
from ._plan import Plan
from ._refine import AutoLevels

_BATCH = 1024
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
        return cls(_of_weights(task.model), _of_data(task.data), _settings(task, plan))

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


def _of_weights(model: keras.Model) -> str:
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
        "variables": [item.path for item in task.pruning.prunables],
        "sparsities": str(levels) + f" {levels.low}:{levels.high}" if isinstance(levels, AutoLevels) else list(levels),
        "curves": [[repr(curve.score), *curve.key] for curve in plan.curves],
        "metrics": None if task.metrics is None else [getattr(one, "name", None) or str(one) for one in task.metrics],
        "score_data": None if task.calibration is None else _of_anything(task.calibration),
        **({"damping": task.damping} if task.reconstructs else {}),
        **({"groups": _of_groups(task.data)} if task.data.groups else {}),
        "training": [_of_training(curve.finetune) for curve in plan.curves],
    }
    return json.loads(json.dumps(settings))  # type: ignore[no-any-return]  # tuples become lists, as in the store


def _of_groups(data: Observations) -> list[list[Any]]:
    return [[group.name, list(group.values), _of_anything(group.codes)] for group in data.groups]


def _of_training(how: FineTune | None) -> list[Any] | None:
    return None if how is None else [str(how), how.batch_size, _of_anything(how.data)]


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
