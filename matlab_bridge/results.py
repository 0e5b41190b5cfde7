"""The results of a sweep as MATLAB variables, for `plotSweep.m` and `applyPrunedWeights.m`.

| variable                   | what it holds                                                         |
|----------------------------|-----------------------------------------------------------------------|
| `sweep`, `sweepTable`      | a row for each point: `Score`, `Sparsity`, `Accuracy`, ...            |
| `choice`                   | the chosen point, its reason, and its `Row` in `sweep`, from 1        |
| `quantizedChoice`          | the same by the accuracy of the exported files, such as `Int8Accuracy` |
| `masks`                    | columns `Layer`, `Parameter`, `Value` as in `net.Learnables`; false   |
|                            | where a weight is pruned                                              |
| `layerStats`, `layerTable` | a row for each layer at the choice                                    |
| `blockStats`, `blockTable` | a row for each block of layers at the choice                          |
| `groupStats`, `groupTable` | where observations are in groups, as by signal-to-noise ratio: a row  |
|                            | for each value of each variable at the choice                         |
| `about`                    | the convention, the dense network's accuracy, the class names, ...    |

What has two names is a struct of columns, which Octave and old releases read, and a MATLAB `table`, whose `Properties`
say what it holds: `Description`, and for each column `VariableUnits` and `VariableDescriptions`.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from matlab_bridge import matfile

from ._atomic import refuse_to_overwrite
from ._result_columns import about_columns

if TYPE_CHECKING:
    from .network import Network

Masks = Mapping[str, NDArray[np.bool_]]

# https://www.mathworks.com/help/matlab/ref/namelengthmax.html
_LONGEST_NAME = 63


class Choice(Protocol):
    """A point of a sweep; `keras_prunelab.Choice` is one."""

    @property
    def score(self) -> str:
        """The name of the score."""

    @property
    def sparsity(self) -> float:
        """The fraction of weights that are zero."""

    @property
    def accuracy(self) -> float:
        """The metric at this point."""

    @property
    def dense_accuracy(self) -> float:
        """The metric of the network before pruning."""

    @property
    def reason(self) -> str:
        """Why it was chosen, in words."""

    @property
    def index(self) -> int:
        """Its row in the sweep's table, from 0."""


class Sweep(Protocol):
    """What is needed of a sweep's result; `keras_prunelab.SweepResult` is one."""

    @property
    def table(self) -> pd.DataFrame:
        """A row for each point, with `score`, `sparsity`, and `accuracy` or `rmse` among its columns."""

    @property
    def dense(self) -> float:
        """The metric of the network before pruning."""

    @property
    def convention(self) -> str:
        """How sparsity was counted and weights were chosen."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes in the order of the scores; empty in a regression."""

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Further facts: text and numbers by name."""

    def masks(self, choice: Any) -> Masks:
        """The masks at a point, True where a weight is kept."""

    def layers(self, choice: Any) -> pd.DataFrame:
        """A row for each layer at a point."""

    def blocks(self, choice: Any) -> pd.DataFrame:
        """A row for each block of layers at a point."""

    def groups(self, choice: Any) -> pd.DataFrame:
        """A row for each value of each variable that puts observations into groups; without rows where none does."""


def save_results(
    path: str | os.PathLike[str],
    result: Sweep,
    *,
    choice: Choice | None = None,
    quantized_choice: Choice | None = None,
    network: Network | None = None,
) -> None:
    """Write the results of a sweep into a new MAT-file of version 7.

    Args:
        path: the file; one that exists is replaced.
        result: a `keras_prunelab.SweepResult`, or anything that has its `table`, `dense`, `masks`, ...
        choice: a point of the sweep, from `result.choose`: it, its masks and its tables are written too.
        quantized_choice: the choice by the accuracy of exported files, where they were measured.
        network: the MATLAB network that the model was made of. With it the masks have MATLAB's names and
            layout; without it they have those of Keras, and `about.MaskLayout` says so.

    Raises:
        OverwriteError: if `path` is the file that the network came from.

    Examples:
        >>> mb.save_results("results.mat", result, choice=choice, network=net)  # doctest: +SKIP
    """
    if network is not None and network.source is not None:
        refuse_to_overwrite([network.source.path], path)
    variables: dict[str, Any] = {
        "sweep": columns(result.table),
        "sweepTable": table(result.table, f"The points of a sweep, convention {result.convention}"),
    }
    if choice is not None:
        variables["choice"] = _choice(choice)
        variables["masks"] = _masks(result.masks(choice), network)
        at = f"at the choice, {choice.score} with {100 * choice.sparsity:.1f} % sparsity"
        frames = {"layer": result.layers(choice), "block": result.blocks(choice)}
        groups = result.groups(choice)
        for name, frame in (frames if groups.empty else frames | {"group": groups}).items():
            rule = f"; {frame.attrs['rule']}" if "rule" in frame.attrs else ""
            variables |= {f"{name}Stats": columns(frame), f"{name}Table": table(frame, f"The {name}s {at}{rule}")}
    if quantized_choice is not None:
        variables["quantizedChoice"] = _choice(quantized_choice)
    variables["about"] = _about(result, network)
    matfile.save(path, variables)


def columns(frame: pd.DataFrame) -> dict[str, Any]:
    """A table as a struct of columns: doubles, logicals, cells of text; what is missing is NaN or empty."""
    return dict(_matlab_columns(frame))


def table(frame: pd.DataFrame, description: str = "") -> pd.DataFrame:
    """A table with MATLAB's names and types, which `matfile.save` writes as a MATLAB `table`.

    Args:
        frame: a table of a sweep.
        description: what it holds. It goes into `attrs`, with the units and descriptions of the columns.
    """
    # Text stays of type object, which becomes a cell of text: releases before R2016b have no other.
    found = pd.DataFrame({name: pd.Series(values, dtype=values.dtype) for name, values in _matlab_columns(frame)})
    units, descriptions = about_columns(map(str, frame))
    names = dict(zip(map(str, frame), found, strict=True))
    for key, texts in (("units", units), ("descriptions", descriptions)):
        found.attrs[key] = {names[name]: text for name, text in texts.items()}
    found.attrs["description"] = description
    return found


def matlab_name(text: str) -> str:
    """A name for a MATLAB variable or field.

    Args:
        text: any text.

    Returns:
        The words of the text, each with a capital: letters and digits, a letter first, 63 at most.

    Examples:
        >>> matlab_name("sparsity_target"), matlab_name("2nd score (%)")
        ('SparsityTarget', 'X2ndScore')
    """
    words = re.findall(r"[A-Za-z0-9]+", text)
    name = "".join(word[0].upper() + word[1:] for word in words)
    return (name if name[:1].isalpha() else f"X{name}")[:_LONGEST_NAME]


def _matlab_columns(frame: pd.DataFrame) -> Iterable[tuple[str, NDArray[Any]]]:
    columns = (_column(values) for _, values in frame.items())
    return zip(_distinct(matlab_name(str(name)) for name in frame), columns, strict=True)


def _distinct(names: Iterable[str]) -> Iterator[str]:
    """Names that differ: those that MATLAB's letters leave the same have numbers."""
    seen: Counter[str] = Counter()
    for name in names:
        seen[name] += 1
        yield name if seen[name] == 1 else f"{name[: _LONGEST_NAME - 5]}_{seen[name]}"


def _column(values: pd.Series) -> NDArray[Any]:
    if pd.api.types.is_bool_dtype(values):
        return values.to_numpy(dtype=bool)
    if pd.api.types.is_numeric_dtype(values):
        return values.to_numpy(dtype=float, na_value=np.nan)
    return np.array(["" if pd.isna(value) else str(value) for value in values], dtype=object)


def _choice(choice: Choice) -> dict[str, Any]:
    return {
        "Score": choice.score,
        "Sparsity": choice.sparsity,
        "Accuracy": choice.accuracy,
        "DenseAccuracy": choice.dense_accuracy,
        "Reason": choice.reason,
        "Row": float(choice.index + 1),
    }


def _masks(masks: Masks, network: Network | None) -> dict[str, Any]:
    if network is None:
        named = {path.rpartition("/")[::2]: mask for path, mask in masks.items()}
    else:
        from ._public import public_parameter
        from .convert._parameters import to_matlab

        named = {
            (layer, parameter): public_parameter(network[layer], parameter, mask)
            for (layer, parameter), mask in to_matlab(network, masks).items()
        }
    return {
        "Layer": [layer for layer, _ in named],
        "Parameter": [parameter for _, parameter in named],
        "Value": [np.asarray(mask, dtype=bool) for mask in named.values()],
    }


def _about(result: Sweep, network: Network | None) -> dict[str, Any]:
    source = network.source if network else None
    return {
        "Convention": result.convention,
        "Dense": float(result.dense),
        "ClassNames": list(result.class_names),
        "MaskLayout": "keras" if network is None else "matlab",
        "NetworkFile": source.path.name if source else "",
        "NetworkVariable": source.variable if source else "",
        "Details": {matlab_name(key): value for key, value in result.metadata.items()},
    }
