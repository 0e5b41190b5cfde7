"""Which variables are the data of a network: found by shape, class names and the words in their names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from matlab_bridge._errors import BridgeError, LabelMismatchError
from matlab_bridge.matfile._elements import numeric
from matlab_bridge.matfile._values import MatlabObject, StructArray
from matlab_bridge.network import Network

from ._arrays import numbers_of
from ._candidates import Candidate, Candidates
from ._expected import Expected, expected_of
from ._images._datastore import is_datastore, read_datastore
from ._labels._encode import encode, label_counts
from ._labels._text import as_text
from ._names import (
    is_prediction,
    is_training_record,
    names_inputs,
    names_labels,
    notes_a_training,
)
from ._readings import readings
from ._responses import response_of, without_response
from ._values import matlab_class, matlab_size, size_text
from ._variables._pairs import column, is_pairs
from ._variables._paths import field_of_all, fields

_MOST_ELEMENTS = 50  # of a struct array or cell that are looked into


def candidates(path: str | Path, network: Network | None = None) -> Candidates:
    """What in a MAT-file could be the data of a network.

    Args:
        path: a MAT-file of any version.
        network: decides what fits; the network's own variable is never a candidate.

    Returns:
        Inputs and labels, each with the reason.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from matlab_bridge import matfile
        >>> path = Path(tempfile.mkdtemp()) / "week2.mat"
        >>> matfile.save(path, {"XTest": np.zeros((8, 8, 1, 5)), "YTest": np.array([[1.0, 2, 1, 2, 2]])})
        >>> print(*candidates(path).inputs)
        XTest (8 x 8 x 1 x 5 double): height x width x channels x observations
    """
    from matlab_bridge.matfile import load

    return candidates_in(load(path, lazy=False), network, Path(path))


def candidates_in(variables: Mapping[str, Any], network: Network | None, path: Path) -> Candidates:
    """As `candidates`, of variables that are open already."""
    expected = expected_of(network)
    source = network.source if network is not None else None
    same_file = source is not None and Path(source.path).resolve() == Path(path).resolve()
    skipped = source.variable if source is not None and same_file else None
    everything = [leaf for leaf in leaves(variables) if leaf[0] != skipped]
    usable = [(name, value) for name, value in everything if not _is_noted(name, value)]
    stores = [pair for name, value in usable if is_datastore(value) for pair in _datastores(name, value, expected)]
    arrays = [leaf for leaf in usable if not is_datastore(leaf[1])]
    inputs = [c for name, value in arrays for c in _input_candidates(name, value, expected)]
    inputs += [candidate for candidate, _ in stores]
    counts = {count for candidate in inputs for count in candidate.observations}
    responses = {f"{name}.{column}" for name, value in arrays if (column := response_of(value, expected)) is not None}
    tables = {name.rpartition(".")[0] for name in responses}
    labels = [
        candidate
        for name, value in arrays
        # Of the numbers of a table that has a response, no others are labels.
        if name in responses or name.rpartition(".")[0] not in tables or numeric(value) is None
        for candidate in _label_candidates(name, value, expected, counts, is_response=name in responses)
    ]
    for candidate, own in stores:
        found = _label_candidates(f"{candidate.name}.Labels", own, expected, set(candidate.observations))
        labels += [replace(each, store=candidate.name) for each in found]
    taken = {candidate.name for candidate in (*inputs, *labels)}
    others = [f"{name}: {_reason(name, value, expected, counts)}" for name, value in everything if name not in taken]
    return Candidates(tuple(inputs), tuple(labels), tuple(others))


def _is_noted(name: str, value: Any) -> bool:
    """Whether a value is a record of a training, or a part of one."""
    named = value.fields if isinstance(value, StructArray) else fields(value)
    return notes_a_training(name) or (not isinstance(value, MatlabObject) and is_training_record(named))


def _reason(name: str, value: Any, expected: Expected, counts: set[int]) -> str:
    """Why a value is neither inputs nor labels."""
    if _is_noted(name, value):
        return "notes how a training went"
    if _is_scalar(value) or isinstance(value, str):
        return "a single value"
    if np.size(value) == 0:
        return "empty"
    size = f"{size_text(matlab_size(value))} {matlab_class(value)}"
    for count in label_counts(value) & counts:
        try:
            encode(value, expected, count)
        except LabelMismatchError as error:
            return f"{size}, which is no {expected}, and as labels: {error}"
        except BridgeError:
            continue  # no labels of any kind
    return f"{size}, which is no {expected}, and no labels for what could be inputs"


def leaves(variables: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The values that could be data, with their paths: variables, and what structs and tables hold."""
    for name in variables:
        try:
            value = variables[name]
        except BridgeError:
            continue  # a variable that cannot be read is no candidate, and keeps nobody from the others
        yield from _inside(name, value)


def _inside(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        if is_training_record(value):
            yield name, value
        elif not _is_network(value):
            for field, child in value.items():
                yield from _inside(f"{name}.{field}", child)
    elif isinstance(value, np.ndarray) and value.dtype == object and _holds_structs(value):
        if isinstance(value, StructArray) and is_training_record(value.fields):
            yield name, value
            return
        if isinstance(value, StructArray):
            yield from ((f"{name}.{field}", field_of_all(value, field)) for field in value.fields)
        for number, element in enumerate(value.ravel(order="F")[:_MOST_ELEMENTS], start=1):
            yield from _inside(f"{name}({number})", element)
    elif is_pairs(value):
        yield from ((f"{name}(:,{number})", column(value, number)) for number in (1, 2))
    else:
        yield name, value
        if isinstance(value, pd.DataFrame) and not is_training_record(fields(value)):
            yield from ((f"{name}.{column}", child) for column, child in fields(value).items())


def _is_network(value: Mapping[str, Any]) -> bool:
    # A struct of weights and biases, a cell of either with an element a layer, is a network as well.
    return any(str(field).lower() == "layers" for field in value) or {"W", "b"} <= set(value)


def _holds_structs(value: Any) -> bool:
    return bool(value.size) and all(isinstance(element, Mapping) for element in value.ravel())


def _datastores(name: str, value: MatlabObject, expected: Expected) -> Iterator[tuple[Candidate, Any]]:
    """A datastore whose images could be inputs, with its labels."""
    if expected.kind not in {"image", "unknown"}:
        return
    try:
        store = read_datastore(value, name)
    except BridgeError:
        return
    size = store.preprocessing.size
    if size is not None and expected.kind == "image" and size != expected.size[:2]:
        return
    reason = f"{len(store.files)} image files" + (f", resized to {size_text(size)}" if size else "")
    # A datastore that brings images to the network's size is the one that the network was given.
    yield _candidate(name, value, reason, (len(store.files),), (0, 0, 0 if size else 1)), store.labels


def _input_candidates(name: str, value: Any, expected: Expected) -> Iterator[Candidate]:
    if (isinstance(value, MatlabObject) and numeric(value) is None) or _is_scalar(value):
        return
    is_vector = max(np.shape(value), default=0) == np.size(value)
    if expected.kind == "unknown" and is_vector and numbers_of(value) is not None:
        return  # without a network, a vector is more likely to be labels
    found = readings(without_response(value, expected), expected)
    if found:
        reason = " or ".join(reading.text for reading in found)
        # A matrix fits each network for sequences of one channel; sequences by themselves go before it.
        is_matrix = expected.kind == "sequence" and any(reading.text.endswith("of sequences") for reading in found)
        if is_matrix and names_labels(name):
            return
        rank = (int(is_prediction(name)), int(is_matrix), 0 if names_inputs(name) else 1)
        yield _candidate(name, value, reason, tuple(sorted(label_numbers(value, expected))), rank)


def label_numbers(value: Any, expected: Expected) -> set[int]:
    """How many labels inputs can have: one an observation, or one a time step of a single sequence."""
    counts = {reading.observations for reading in readings(without_response(value, expected), expected)}
    array = numbers_of(without_response(value, expected))
    # The steps of a single sequence; a matrix of several has rows and columns.
    if counts == {1} and expected.kind == "sequence" and array is not None and array.ndim == 2:
        counts.add(array.size // expected.size[0])
    return counts


def _is_scalar(value: Any) -> bool:
    array = numeric(value)
    return array is not None and array.size == 1


def _label_candidates(
    name: str, value: Any, expected: Expected, counts: set[int], *, is_response: bool = False
) -> Iterator[Candidate]:
    """Labels must have as many elements, rows or columns as some inputs have observations."""
    if _is_scalar(value):
        return
    fitting = sorted(label_counts(value) & counts)
    for count in fitting:
        try:
            labels = encode(value, expected, count)
            names = as_text(value) is not None
        except BridgeError:
            continue
        # Without a network the name must say that numbers are responses; a table may have a column Y of positions.
        is_named = is_response or (names_labels(name) and np.ndim(value) == 2 and len(fitting) == 1)
        if not labels.class_names and not _are_responses(labels.data, expected, is_named=is_named):
            continue
        kind = 0 if names else 1 if labels.class_names else 2
        yield _candidate(name, value, labels.note, (count,), (kind, 0 if names_labels(name) else 1))
        return


def _are_responses(data: Any, expected: Expected, *, is_named: bool) -> bool:
    """Whether an observation has as many numbers as the network gives; without a network, the name decides."""
    if expected.kind == "unknown":
        return is_named
    widths = {np.shape(element)[-1] for element in (data if isinstance(data, list) else [data])}
    return expected.outputs in {None, *widths}


def _candidate(name: str, value: Any, reason: str, observations: tuple[int, ...], rank: tuple[int, ...]) -> Candidate:
    # A whole goes before one element of it.
    rank = (*rank, int(name.count("(")))
    return Candidate(name, matlab_class(value), matlab_size(value), reason, observations, rank)
