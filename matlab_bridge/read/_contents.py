"""Saying what a file holds when no network in it can be read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from matlab_bridge.matfile._info import FileInfo
from matlab_bridge.matfile._values import MatlabObject

from ._walk import walk

# The names that people give to the weights of a network they keep as plain matrices.
_WEIGHT_NAME = re.compile(r"(w|b|theta|weights?|bias(es)?|kernels?|filters?)_?\d*", re.IGNORECASE)


def contents(file: FileInfo, values: Mapping[str, Any]) -> str:
    """List the variables of a file, with a word on those that have to do with networks.

    Args:
        file: what the headers say.
        values: the variables that were looked into, by name.

    Returns:
        A line a variable, such as `"  lab: 1x1 struct, lab.net is a shallow network"`, and one for them all
        where they make up a network together.
    """
    lines = []
    for variable in file.variables:
        found = walk(values.get(variable.name), variable.name, _hint)
        hints = (hint if path == variable.name else f"{path} is {hint}" for path, _, hint in found)
        lines.append(", ".join([f"  {variable}", *hints]))
    together = _struct_hint({variable.name: values.get(variable.name) for variable in file.variables})
    return "\n".join([*lines, f"Together they are {together}."] if together else lines)


def _hint(value: Any) -> str | None:
    """What a value is, if it has to do with a network that this package does not read as one."""
    if isinstance(value, MatlabObject):
        return _object_hint(value)
    if isinstance(value, Mapping):
        return _struct_hint(value)
    return None


def _object_hint(value: MatlabObject) -> str | None:
    if value.class_name.startswith("nnet.cnn.layer."):
        return f"a single layer ({value.class_name}), not a network"
    if value.class_name.startswith("nnet.cnn.TrainingOptions"):
        return "training options, not a network"
    return None


def _struct_hint(value: Mapping[str, Any]) -> str | None:
    weights = [name for name in value if _WEIGHT_NAME.fullmatch(str(name))]
    if len(weights) > 1:
        return f"weights by their names ({', '.join(weights)}), of which the layers are not known"
    return None
