"""The inputs and labels of a call that names one of them or none: the only ones that fit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from matlab_bridge._errors import BridgeError

from ._candidates import Candidates, SeveralPairsError, list_candidates, the_pair
from ._expected import Expected
from ._find import label_numbers, leaves
from ._images._datastore import is_datastore
from ._labels._encode import label_counts
from ._labels._text import as_text
from ._names import is_output_beside_target, is_prediction, names_labels, split_of
from ._variables._paths import resolve


def complete(
    inputs: str | None,
    labels: str | None,
    found: Candidates,
    variables: Mapping[str, Any],
    expected: Expected,
    path: Path,
) -> tuple[str, str | None]:
    """The names of inputs and labels where one or both were not given.

    Returns:
        Both names; no labels where nothing could be the labels of the given inputs, or of the only ones.

    Raises:
        SeveralPairsError: if several variables could be what was not given.
        DatasetNotFoundError: if there are no inputs.
    """
    if inputs is None and labels is None:
        alone = _only_inputs(found, variables)
        return (alone, None) if alone is not None else the_pair(found, path)
    if inputs is not None:
        given, missing, offered = inputs, "labels", found.labels
        value = resolve(variables, inputs)
        if is_datastore(value):
            return inputs, None
        counts = label_numbers(value, expected)
    else:
        given, missing, offered = str(labels), "inputs", found.inputs
        counts = label_counts(resolve(variables, given))
    fitting = [c for c in offered if c.name != given and not counts.isdisjoint(c.observations)]
    alike = [candidate for candidate in fitting if split_of(candidate.name) == split_of(given)]
    best = [candidate for candidate in alike if candidate.rank == min(c.rank for c in alike)]
    best = [each for each in best if not is_output_beside_target(each.name, [other.name for other in best])]
    if len(best) == 1:
        return (given, best[0].name) if inputs is not None else (best[0].name, given)
    if inputs is not None and not fitting:
        return inputs, None
    names = [candidate.name for candidate in best or fitting]
    raise SeveralPairsError(
        f"{path}: it is not clear which {missing} belong to {given!r}; pass {missing}=.\n{list_candidates(found)}",
        [(given, name) if inputs is not None else (name, given) for name in names],
    )


def _only_inputs(found: Candidates, variables: Mapping[str, Any]) -> str | None:
    """The inputs of a file that holds nothing else: neither labels nor what was meant as such."""
    if len(found.inputs) != 1 or found.labels:
        return None
    name, size = found.inputs[0].name, found.inputs[0].size
    if len(size) == 2 and size[0] <= size[1] and found.inputs[0].class_name not in {"cell", "table"}:
        return None  # a matrix that is not higher than wide is as likely channels x time, or no observations at all
    others = [leaf for leaf in leaves(variables) if leaf[0] != name and not leaf[0].startswith(f"{name}.")]
    meant = any(names_labels(other) or (np.size(value) > 1 and _is_text(value)) for other, value in others)
    return None if meant or is_prediction(name) else name


def _is_text(value: Any) -> bool:
    try:
        return as_text(value) is not None
    except BridgeError:  # a categorical with undefined elements
        return True
