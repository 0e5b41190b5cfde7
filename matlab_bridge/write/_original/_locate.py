"""Where in a MAT-file the arrays of a network stand.

An array is sought by its value. Where several arrays hold that value - biases that are all zero, a second
network with the same weights - each of them gets a number of its own in a scratch copy, its stamp; the
network that is read from the copy shows which array became which parameter. So nothing has to be known of how
a class stores its objects.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np

from matlab_bridge._atomic import temporary_folder
from matlab_bridge._errors import BridgeError
from matlab_bridge._layer import Array, column_major
from matlab_bridge.network import Network

from ._array_file import ArrayFile, Place

Parameter: TypeAlias = tuple[str, str]
"""The name of a layer, and of one of its learnables or states, or of an array that holds several of them."""

Reader: TypeAlias = Callable[[Path], Network]


def stored_arrays(network: Network) -> dict[Parameter, Array]:
    """The arrays in which a file keeps the parameters of a network: mostly one each.

    Args:
        network: as it was read.

    Returns:
        By layer and name; parameters that share an array are replaced by it.
    """
    arrays: dict[Parameter, Array] = {}
    for layer in network.layers:
        for name, array in layer.parameters.items():
            part = layer.parts.get(name)
            arrays[layer.name, part.whole if part else name] = part.array if part else array
    return arrays


# Whole numbers from here to 2**24 are exact in single precision, and no weight has such a value.
_FIRST_STAMP = 2**20


def locate(file: ArrayFile, parameters: Mapping[Parameter, Array], read: Reader) -> dict[Parameter, Place]:
    """Find the arrays of the file that are these arrays of the network in it.

    Args:
        file: the file of the network.
        parameters: the values that the network has there, from `stored_arrays`.
        read: reads the same network from a copy of the file.

    Returns:
        The place of each parameter that stands in the file as one array; parameters for which MATLAB stored
        one array together have the same place. A parameter that was computed from others is left out.
    """
    if not parameters:
        return {}
    candidates = _candidates(file, parameters)
    certain = {parameter: places[0] for parameter, places in candidates.items() if len(places) == 1}
    doubtful = {parameter for parameter, places in candidates.items() if len(places) > 1}
    # Arrays of equal value come as one list for every parameter that has this value.
    templates = {place: parameters[parameter] for parameter in doubtful for place in candidates[parameter]}
    return certain | _by_stamps(file, templates, doubtful, read)


def _candidates(file: ArrayFile, parameters: Mapping[Parameter, Array]) -> dict[Parameter, list[Place]]:
    """For each parameter the places of all arrays that hold its value."""
    wanted = {_fingerprint(column_major(array)) for array in parameters.values()}
    holders: defaultdict[tuple[str, bytes], list[Place]] = defaultdict(list)
    for place, values in file.arrays({array.size for array in parameters.values()}):
        fingerprint = _fingerprint(values)
        if fingerprint in wanted:
            holders[fingerprint].append(place)
    return {parameter: holders[_fingerprint(column_major(array))] for parameter, array in parameters.items()}


def _fingerprint(values: Array) -> tuple[str, bytes]:
    return values.dtype.str, values.tobytes()


def _by_stamps(
    file: ArrayFile, templates: Mapping[Place, Array], parameters: Collection[Parameter], read: Reader
) -> dict[Parameter, Place]:
    """Stamp the arrays at all these places, and see which of the parameters carry which stamp."""
    if not templates:
        return {}
    stamps: dict[float, Place] = dict(enumerate(templates, start=_FIRST_STAMP))
    try:
        stored = stored_arrays(_read_stamped(file, stamps, templates, read))
        carried = {parameter: _constant(stored[parameter]) for parameter in parameters}
    except (BridgeError, ValueError, TypeError, LookupError, ArithmeticError):
        # One of the places is a setting without whose value no network can be read: halving finds it.
        if len(templates) == 1:
            return {}
        places = list(templates)
        halves = places[: len(places) // 2], places[len(places) // 2 :]
        first, second = ({place: templates[place] for place in half} for half in halves)
        return _by_stamps(file, first, parameters, read) | _by_stamps(file, second, parameters, read)
    return {parameter: stamps[value] for parameter, value in carried.items() if value in stamps}


def _read_stamped(
    file: ArrayFile, stamps: Mapping[float, Place], templates: Mapping[Place, Array], read: Reader
) -> Network:
    """The network in a scratch copy of the file, in which these arrays are constant."""
    with temporary_folder() as folder:
        scratch = folder / file.path.name
        constants = {
            place: np.full(templates[place].size, stamp, templates[place].dtype) for stamp, place in stamps.items()
        }
        file.write(scratch, constants)
        return read(scratch)


def _constant(array: Array) -> float | None:
    """The value of all elements, if they have only one."""
    first = array.flat[0]
    return float(first) if np.all(array == first) else None
