"""What a model costs: parameters, bytes, multiply-adds, memory, time; each layer by itself, and all together."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import pandas as pd

from keras_prunelab._channels._graph import Call, Graph, graph_of
from keras_prunelab._errors import UnknownNameError
from keras_prunelab._util._atomic import temporary_folder
from keras_prunelab._util._notebook import paragraph, table
from keras_prunelab._util._storage import sparse_bytes, width
from keras_prunelab.layers._strip import without_wrappers

from ._latency import latency
from ._macs import uses
from ._products import UnknownCountError, products
from ._vela import TargetCost, check_target, target_cost

_MEGABYTE = 2**20


@dataclass(frozen=True)
class Metrics:
    """What a model costs.

    Attributes:
        layers: one row for each layer that is called, and each operation that multiplies tensors, in order: `layer`,
            `type`, `parameters`, `learnables`, `nonzeros`, `bytes_dense`, `bytes_compressed`, `macs`,
            `macs_effective`, `input_bytes`, `activation_bytes`. A weight that several layers hold, such as one inside a
            wrapper that is called by itself too, is in the row of each: `parameters`, `learnables`, `nonzeros` and the
            bytes add up to more than the totals then, in which it counts once.
        parameters: how many weights, statistics of normalizations among them, each once.
        nonzeros: how many of them are not zero.
        bytes_dense: what they take in memory.
        bytes_compressed: what they take with one bit a weight and the non-zero values, where that is less.
        bytes_stored: the size of the file that `model.save` writes; None unless asked for.
        macs: multiply-adds for one observation; a weight that is used at one position is one. Of layers that are
            called several times all calls count.
        macs_effective: those of them whose weight is not zero.
        activation_bytes: the most that all values take which are needed at a time, for one observation.
        latency: the median time for a batch in seconds, by the batch's size; empty unless asked for.
        uncounted: layers and operations whose multiply-adds are not known; they count as none.
        target: what the model takes on an NPU; None unless asked for.
    """

    layers: pd.DataFrame = field(repr=False)
    parameters: int
    nonzeros: int
    bytes_dense: int
    bytes_compressed: int
    bytes_stored: int | None
    macs: int
    macs_effective: int
    activation_bytes: int
    latency: dict[int, float]
    uncounted: tuple[str, ...]
    target: TargetCost | None = None

    def _repr_html_(self) -> str:
        """The totals and the layers, for notebooks."""
        totals = (
            f"{self.parameters:,} parameters, {self.nonzeros:,} of them not zero; {self.bytes_compressed:,} of "
            f"{self.bytes_dense:,} bytes; {self.macs_effective:,} of {self.macs:,} multiply-adds for one observation."
        )
        target = "" if self.target is None else paragraph(str(self.target))
        return paragraph(totals) + target + table(self.layers)

    def matlab(self) -> pd.DataFrame:
        """The layers with weights under the names of MATLAB's `estimateNetworkMetrics`.

        https://www.mathworks.com/help/deeplearning/ref/estimatenetworkmetrics.html: one row a layer with learnables;
        the parameter memory is in megabytes of 2^20 bytes in single precision, an operation is a multiplication or an
        addition, and the arithmetic intensity is operations for each byte of parameters and activations that
        are read and written.
        """
        rows = self.layers[self.layers["learnables"] > 0]
        memory = 4 * rows["learnables"]
        moved = memory + rows["activation_bytes"] + rows["input_bytes"]
        return pd.DataFrame(
            {
                "LayerName": rows["layer"],
                "LayerType": rows["type"],
                "NumberOfLearnables": rows["learnables"],
                "NumberOfOperations": 2 * rows["macs"],
                "ParameterMemory (MB)": memory / _MEGABYTE,
                "NumberOfMACs": rows["macs"],
                "ArithmeticIntensity": 2 * rows["macs"] / moved,
            }
        ).reset_index(drop=True)


def metrics(
    model: keras.Model,
    *,
    batches: tuple[int, ...] = (),
    stored: bool = False,
    target: str | None = None,
    calibration: Any = None,
    clusters: int | None = None,
) -> Metrics:
    """Count what a model costs, and measure how long it takes.

    Args:
        model: a built functional or sequential model.
        batches: measure the latency for batches of these sizes, such as `(1, 32)`.
        stored: save the model to a temporary file to see how large it is.
        target: an NPU such as `"ethos-u55-128"`: the model is converted to int8 and compiled for it, and
            `Metrics.target` has flash, SRAM, cycles and time as the compiler estimates them. Zeros pay there as they
            are, in flash, and in cycles where reading weights takes the time. Arm's Ethos-U55, U65 and U85, with the
            number of multiply-adds at a time; https://pypi.org/project/ethos-u-vela/.
        calibration: inputs on which the ranges of the int8 file are measured; by default random ones.
        clusters: of the int8 file for the target, how many different weights each kernel has beside 0; see
            `export_litert`.

    Returns:
        The figures.

    Raises:
        InvalidModelError: the model is not built, or a subclass whose `call` nobody can look into; or nothing of it
            runs on the target.
        UnknownNameError: there is no such target or number of clusters, or clusters are given without a target.
        MissingBackendError: `pip install "keras-prunelab[device]"` is missing, or Keras runs on JAX.

    Examples:
        >>> import keras
        >>> import keras_prunelab as kpl
        >>> model = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Conv2D(8, 3), keras.layers.Flatten()])
        >>> found = kpl.metrics(model)
        >>> found.parameters, found.macs
        (80, 48672)
    """
    if target is not None:
        check_target(target)
    elif clusters is not None:
        raise UnknownNameError(f"clusters={clusters!r} is of the file for target=, and there is none.")
    model = without_wrappers(model)
    graph = graph_of(model)
    known: dict[int, _Weight] = {}
    rows, uncounted = _rows(graph, known)
    table = pd.DataFrame(rows, columns=list(_COLUMNS))
    weights = known.values()
    return Metrics(
        layers=table,
        parameters=sum(each.size for each in weights),
        nonzeros=sum(each.nonzeros for each in weights),
        bytes_dense=sum(each.dense for each in weights),
        bytes_compressed=sum(each.compressed for each in weights),
        bytes_stored=_stored(model) if stored else None,
        macs=int(table["macs"].sum()),
        macs_effective=int(table["macs_effective"].sum()),
        activation_bytes=_peak(graph),
        latency={batch: latency([model], batch)[0] for batch in batches},
        uncounted=tuple(uncounted),
        target=None if target is None else target_cost(model, target, calibration, clusters),
    )


_COLUMNS = (
    "layer",
    "type",
    "parameters",
    "learnables",
    "nonzeros",
    "bytes_dense",
    "bytes_compressed",
    "macs",
    "macs_effective",
    "input_bytes",
    "activation_bytes",
)


@dataclass(frozen=True)
class _Weight:
    """What one variable costs."""

    size: int
    nonzeros: int
    dense: int
    compressed: int

    @classmethod
    def of(cls, variable: Any) -> _Weight:
        size, each = math.prod(variable.shape), width(variable.dtype)
        nonzeros = int(np.count_nonzero(keras.ops.convert_to_numpy(variable)))
        return cls(size, nonzeros, size * each, sparse_bytes(size, nonzeros, each))


def _rows(graph: Graph, known: dict[int, _Weight]) -> tuple[list[dict[str, Any]], list[str]]:
    """A row for each layer, and what could not be counted; `known` is given each variable's costs, by its id."""
    rows: dict[int, dict[str, Any]] = {}
    uncounted: list[str] = []
    for call in graph.calls:
        try:
            used, between = uses(call), products(call)
        except UnknownCountError:
            used, between = [0] * len(call.weights), 0
            uncounted += [] if call.name in uncounted else [call.name]
        if not isinstance(call.layer, keras.layers.Layer) and not between:
            continue
        for variable in call.weights:
            if id(variable) not in known:
                known[id(variable)] = _Weight.of(variable)
        weights = [known[id(variable)] for variable in call.weights]
        key = id(call.layer)
        if key not in rows:
            rows[key] = _weights_row(call, weights)
        row = rows[key]
        row["macs"] += sum(use * weight.size for use, weight in zip(used, weights, strict=True)) + between
        row["macs_effective"] += sum(use * weight.nonzeros for use, weight in zip(used, weights, strict=True)) + between
        row["input_bytes"] += sum(_bytes(tensor) for tensor in call.inputs)
        row["activation_bytes"] += sum(_bytes(tensor) for tensor in call.outputs)
    return list(rows.values()), uncounted


def _weights_row(call: Call, weights: list[_Weight]) -> dict[str, Any]:
    learnables = call.learnables
    return dict.fromkeys(_COLUMNS, 0) | {
        "layer": call.name,
        "type": type(call.layer).__name__,
        "parameters": sum(each.size for each in weights),
        "learnables": sum(
            each.size for each, variable in zip(weights, call.weights, strict=True) if id(variable) in learnables
        ),
        "nonzeros": sum(each.nonzeros for each in weights),
        "bytes_dense": sum(each.dense for each in weights),
        "bytes_compressed": sum(each.compressed for each in weights),
    }


def _bytes(tensor: Any) -> int:
    """What a tensor takes for one observation; free lengths count as 1."""
    if tensor.dtype == "string":
        return 0
    return math.prod([int(length or 1) for length in tensor.shape[1:]]) * width(tensor.dtype)


def _peak(graph: Graph) -> int:
    """The most bytes that are needed at a time, calls being made in the graph's order."""
    last = {tensor: index for index, call in enumerate(graph.calls) for tensor in (*call.inputs, *call.masks)}
    last |= dict.fromkeys(graph.outputs, len(graph.calls))
    alive = {tensor: _bytes(tensor) for tensor in graph.inputs}
    peak = sum(alive.values())
    for index, call in enumerate(graph.calls):
        alive |= {tensor: _bytes(tensor) for tensor in call.outputs}
        peak = max(peak, sum(alive.values()))
        for tensor in [each for each in alive if last.get(each, -1) <= index]:
            del alive[tensor]
    return peak


def _stored(model: keras.Model) -> int:
    with temporary_folder() as folder:
        path = folder / "model.keras"
        model.save(path)
        return path.stat().st_size
