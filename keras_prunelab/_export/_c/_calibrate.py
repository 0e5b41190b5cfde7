"""What the values of a network are on data, and the 8-bit scales for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from keras_prunelab._errors import InvalidDataError

from ._network import Network
from ._operation import Array
from ._scale import Range, Scale, scale_of


@dataclass(frozen=True)
class Calibration:
    """What 8-bit numbers stand for.

    Attributes:
        scales: of each value, by its name.
        internals: the ranges inside each operation, by its name.
    """

    scales: Mapping[str, Scale]
    internals: Mapping[str, Mapping[str, Range]]


def computed(network: Network, inputs: Iterable[Array]) -> dict[str, Array]:
    """All values of a network for a batch, by their names, in NumPy."""
    known = {value.name: np.asarray(array, np.float32) for value, array in zip(network.inputs, inputs, strict=True)}
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused with a sentence
        for operation in network.operations:
            known[operation.output.name] = operation.compute(*(known[value.name] for value in operation.inputs))
    return known


def calibrated(network: Network, data: Iterable[list[Array]]) -> Calibration:
    """Find the scales of a network.

    Args:
        network: the network.
        data: batches, each an array for each input.

    Raises:
        InvalidDataError: an input or an output is the same in all observations.
    """
    ranges: dict[str, Range] = {}
    internals: dict[str, dict[str, Range]] = {}
    for batch in data:
        known = computed(network, batch)
        for name, array in known.items():
            ranges[name] = _wider(ranges.get(name), (float(array.min()), float(array.max())))
        for operation in network.operations:
            inside = internals.setdefault(operation.name, {})
            for name, found in operation.internals(*(known[value.name] for value in operation.inputs)).items():
                inside[name] = _wider(inside.get(name), found)
    for name, found in ranges.items():
        if not np.isfinite(found).all():
            raise InvalidDataError(
                f"The values of {name!r} are NaN or infinite on the calibration data: no range, no 8-bit scale. Give "
                "data=, some hundred observations as the device will see them; or the weights are too large: train the "
                "model again."
            )
    for what, values in (("input", network.inputs), ("output", network.outputs)):
        for value in values:
            low, high = ranges[value.name]
            if low == high:
                raise InvalidDataError(
                    f"The {what} {value.name!r} is {low:g} everywhere in the calibration data: no range, no 8-bit "
                    "scale. Give data=, some hundred observations as the device will see them."
                )
    scales = {value.name: scale_of(ranges[value.name]) for value in network.inputs}
    for operation in network.operations:
        found = _wider(internals[operation.name].get("hidden"), ranges[operation.output.name])
        given = [scales[value.name] for value in operation.inputs]
        scales[operation.output.name] = operation.scale(found, given)
    return Calibration(scales, internals)


def _wider(one: Range | None, other: Range) -> Range:
    return other if one is None else (min(one[0], other[0]), max(one[1], other[1]))
