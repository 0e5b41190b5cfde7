"""The shallow `network` object: feedforwardnet, patternnet, fitnet, cascadeforwardnet, layrecnet, ...

MATLAB stores connections as logical matrices and weights as cells: `IW{i,j}` from input j to layer i,
`LW{i,k}` from layer k to layer i, `b{i}`. Each weight becomes a layer here, named by its weight function;
the transfer functions, and what is done to inputs and outputs, become further ones.

Source: https://www.mathworks.com/help/deeplearning/ug/neural-network-object-properties.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

import numpy as np

from matlab_bridge._errors import InvalidNetworkError, UnsupportedLayerError, UntrainedNetworkError
from matlab_bridge._layer import Array, Layer
from matlab_bridge.matfile._elements import texts
from matlab_bridge.matfile._values import MatlabObject
from matlab_bridge.network import Connection, Network, Source

_PROPERTIES = frozenset({"IW", "LW", "b", "inputConnect", "layerConnect", "outputConnect", "layers", "inputs"})
# Functions that leave the data alone when they found nothing to do.
_IDLE = frozenset({"removeconstantrows", "removerows", "fixunknowns"})


def is_shallow(value: Any) -> bool:
    """Whether a value is a `network` object, or the struct that `struct(net)` and GNU Octave make of one."""
    fields = value.fields if isinstance(value, MatlabObject) and value.class_name == "network" else value
    return isinstance(fields, Mapping) and fields.keys() >= _PROPERTIES


def read_shallow(value: Any, source: Source) -> Network:
    """Read a shallow network.

    Args:
        value: the object, or the struct of one.
        source: where it stands.

    Returns:
        The network; its class name is `"network"`. With delays anywhere, it takes sequences.

    Raises:
        UntrainedNetworkError: if it was never configured for its data, and has no sizes.
        UnsupportedLayerError: if layers feed each other in a loop.
    """
    return _Reader(value.fields if isinstance(value, MatlabObject) else value, source).network()


class _Reader:
    """Collects the layers and the connections of one network."""

    def __init__(self, fields: Mapping[str, Any], source: Source) -> None:
        self._fields = fields
        self._source = source
        self._inputs = self._structs("inputs")
        self._layers = self._structs("layers")
        self._outputs = self._structs("outputs")
        self._from_inputs = self._matrix("inputConnect", len(self._layers), len(self._inputs))
        self._from_layers = self._matrix("layerConnect", len(self._layers), len(self._layers))
        self._history = [self._longest_delay("inputWeights", j) for j in range(len(self._inputs))]
        self._taken: set[str] = set()
        self._found: list[Layer] = []
        self._connections: list[Connection] = []

    def network(self) -> Network:
        self._refuse_loops()
        self._input_ends = [self._input(j) for j in range(len(self._inputs))]
        stems = [self._unique(struct.get("name"), f"Layer {i}") for i, struct in enumerate(self._layers, start=1)]
        transfers = [text if isinstance(text := each.get("transferFcn"), str) else "purelin" for each in self._layers]
        self._layer_ends = [f"{stem}_{transfer}" for stem, transfer in zip(stems, transfers, strict=True)]
        self._taken |= set(self._layer_ends)
        for i, stem in enumerate(stems):
            self._layer(i, stem, transfers[i])
        connected = np.ravel(self._fields["outputConnect"]).astype(bool)
        outputs = tuple(self._output(i) for i in range(len(self._layers)) if connected[i])
        return Network(
            tuple(self._found),
            tuple(self._connections),
            source=self._source,
            class_name="network",
            output_names=outputs,
        )

    @property
    def _is_dynamic(self) -> bool:
        return any(
            np.any(weights.get("delays", 0))
            for name in ("inputWeights", "layerWeights")
            for weights in self._structs(name)
        )

    def _input(self, j: int) -> str:
        """The input, the states before its first step, and its processing; returns the last of them."""
        struct = self._inputs[j]
        size = int(np.sum(struct.get("size", 0)))
        if size == 0:
            raise UntrainedNetworkError(
                f"The network {self._source.variable!r} has inputs of no size: it was saved before it met any data. "
                "In MATLAB, configure(net, X, T) or train(net, X, T), and save it again."
            )
        kind = "SequenceInputLayer" if self._is_dynamic else "FeatureInputLayer"
        stem = self._unique(struct.get("name"), f"Input {j + 1}")
        settings = {"InputSize": np.array([[size]], dtype=float), "Normalization": np.zeros((0, 0))}
        end = self._add(Layer(stem, f"nnet.cnn.layer.{kind}", settings))
        if self._history[j]:
            end = self._add(Layer(f"{stem}_states", "inputstates", {"Delays": self._history[j]}), end)
        for function, stored in self._processing(struct):
            end = self._add(Layer(self._unique(f"{stem}_{function}"), function, stored), end)
        return end

    def _output(self, i: int) -> str:
        """What is done to the outputs is undone, the last thing first."""
        end, struct = self._layer_ends[i], self._outputs[i]
        for function, stored in reversed(list(self._processing(struct))):
            name = self._unique(f"{self._text(struct, 'name', 'Output')}_{function}")
            end = self._add(Layer(name, function, {**stored, "Reverse": np.array([[True]])}), end)
        return end

    def _processing(self, struct: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        functions = texts(struct.get("processFcns"))
        stored = list(np.ravel(_cells(struct.get("processSettings")), order="F"))
        for function, settings in zip(functions, stored, strict=False):
            if isinstance(settings, Mapping) and not (function in _IDLE and _same_size(settings)):
                yield function, {name: value for name, value in settings.items() if name != "name"}
        if len(stored) < len(functions):
            raise UntrainedNetworkError(
                f"The network {self._source.variable!r} processes its data by {', '.join(functions)}, and has "
                f"settings for {len(stored)} of these: it was saved before it met any data."
            )

    def _layer(self, i: int, stem: str, transfer: str) -> None:
        """The weights of a layer, their sum or product, the feedback if there is any, and the transfer function."""
        struct = self._layers[i]
        net_input = self._text(struct, "netInputFcn", "netsum")
        bias = {"Bias": self._parameter("b", i, 0)} if self._flag("biasConnect", i) else {}
        sources = self._sources(i)
        if not sources:
            raise InvalidNetworkError(f"Nothing feeds the layer {stem!r} of {self._source.variable!r}.")
        sums = net_input == "netsum"
        ends = []
        for number, (origin, function, settings, weights) in enumerate(sources):
            name = stem if len(sources) == 1 else self._unique(f"{stem}_from_{origin}")
            # A sum takes the bias wherever it is added: a dense layer has one.
            has_bias = bias and sums and number == 0 and function == "dotprod"
            learnables = {"Weights": weights, **(bias if has_bias else {})}
            ends.append(self._add(Layer(name, function, settings, learnables), origin))
        bias_is_left = bias and not any("Bias" in self._named(end).learnables for end in ends)
        if len(ends) > 1 or bias_is_left:
            if bias_is_left and sums:
                raise UnsupportedLayerError(
                    f"The layer {stem!r} of {self._source.variable!r} adds its bias to a weight function other "
                    f"than dotprod ({', '.join(function for _, function, _, _ in sources)}), which has no conversion."
                )
            joined = Layer(
                self._unique(f"{stem}_{net_input}"), net_input, {"Bias": bias["Bias"]} if bias_is_left else {}
            )
            ends = [self._add(joined, *ends)]
        if self._from_layers[i, i]:
            delays = self._delays("layerWeights", i, i)
            settings = {"Delays": delays, "TransferFcn": transfer}
            learnables = {"Weights": self._parameter("LW", i, i)}
            self._add(Layer(self._layer_ends[i], "feedback", settings, learnables), *ends)
        else:
            self._add(Layer(self._layer_ends[i], transfer), *ends)

    def _sources(self, i: int) -> list[tuple[str, str, dict[str, Any], Array]]:
        """What feeds a layer: the end of the source, the weight function, its settings, the weights."""
        found = []
        for cell, weights, ends, connected in (
            ("IW", "inputWeights", self._input_ends, self._from_inputs),
            ("LW", "layerWeights", self._layer_ends, self._from_layers),
        ):
            for j in np.flatnonzero(connected[i]).tolist():
                if cell == "LW" and i == j:
                    continue
                settings: dict[str, Any] = {"Delays": self._delays(weights, i, j)}
                if cell == "IW" and self._history[j]:
                    settings["History"] = self._history[j]
                function = self._text(self._element(weights, i, j), "weightFcn", "dotprod")
                found.append((ends[j], function, settings, self._parameter(cell, i, j)))
        return found

    def _refuse_loops(self) -> None:
        feeds = {i: set(np.flatnonzero(row).tolist()) - {i} for i, row in enumerate(self._from_layers)}
        try:
            TopologicalSorter(feeds).prepare()
        except CycleError as error:
            loop = " -> ".join(str(i + 1) for i in reversed(error.args[1]))
            raise UnsupportedLayerError(
                f"The layers {loop} of {self._source.variable!r} feed each other in a loop, as in a narxnet that "
                "was closed. In MATLAB, openloop(net), and save it again: its targets become a second input."
            ) from error

    def _add(self, layer: Layer, *sources: str) -> str:
        self._taken.add(layer.name)
        self._found.append(layer)
        ports = [f"in{number}" for number in range(1, len(sources) + 1)] if len(sources) > 1 else [""]
        self._connections += [Connection(a, layer.name, "", port) for a, port in zip(sources, ports, strict=False)]
        return layer.name

    def _named(self, name: str) -> Layer:
        return next(layer for layer in self._found if layer.name == name)

    def _unique(self, wanted: Any, default: str = "") -> str:
        """A name of letters, digits and underscores that no layer has yet."""
        stem = re.sub(r"\W+", "_", wanted if isinstance(wanted, str) and wanted else default).strip("_")
        name, count = stem, 1
        while name in self._taken:
            count += 1
            name = f"{stem}_{count}"
        self._taken.add(name)
        return name

    # The properties of the object, of which the first versions lack some.

    def _structs(self, name: str) -> list[Mapping[str, Any]]:
        elements = np.ravel(_cells(self._fields.get(name)), order="F")
        return [_struct(element) for element in elements]

    def _element(self, name: str, i: int, j: int) -> Mapping[str, Any]:
        cells = _cells(self._fields.get(name))
        return _struct(cells[i, j]) if cells.ndim == 2 and cells.size else {}

    def _matrix(self, name: str, rows: int, columns: int) -> Array:
        matrix = np.asarray(self._fields[name])
        if matrix.size != rows * columns:
            raise InvalidNetworkError(
                f"{name} of the network {self._source.variable!r} is {'x'.join(map(str, matrix.shape))}, and "
                f"{rows}x{columns} was expected."
            )
        return matrix.astype(bool).reshape((rows, columns), order="F")

    def _flag(self, name: str, i: int) -> bool:
        flags = np.ravel(self._fields.get(name, ()))
        return bool(i < flags.size and flags[i])

    def _parameter(self, name: str, i: int, j: int) -> Array:
        cells = _cells(self._fields[name])
        array = np.asarray(cells.reshape(len(self._layers), -1)[i, j])
        if array.size == 0:
            raise UntrainedNetworkError(
                f"{name}{{{i + 1},{j + 1}}} of the network {self._source.variable!r} is empty: it was saved before "
                "it met any data. In MATLAB, configure(net, X, T) or train(net, X, T), and save it again."
            )
        return array

    def _delays(self, weights: str, i: int, j: int) -> Array:
        return np.asarray(self._element(weights, i, j).get("delays", np.zeros((1, 1))), dtype=float)

    def _longest_delay(self, weights: str, j: int) -> int:
        rows = np.flatnonzero(self._from_inputs[:, j]).tolist()
        return max((int(np.max(self._delays(weights, i, j), initial=0)) for i in rows), default=0)

    @staticmethod
    def _text(struct: Mapping[str, Any], name: str, default: str) -> str:
        value = struct.get(name)
        return value if isinstance(value, str) and value else default


def _cells(value: Any) -> Array:
    """A cell; an element that stands alone is a cell of one."""
    if isinstance(value, np.ndarray) and value.dtype == object:
        return value
    if value is None or np.size(value) == 0:
        return np.empty((0, 0), dtype=object)
    cells = np.empty((1, 1), dtype=object)
    cells[0, 0] = value
    return cells


def _struct(value: Any) -> Mapping[str, Any]:
    if isinstance(value, MatlabObject):
        return value.fields
    return value if isinstance(value, Mapping) else {}


def _same_size(settings: Mapping[str, Any]) -> bool:
    return np.array_equal(np.ravel(settings.get("xrows", ())), np.ravel(settings.get("yrows", (-1,))))
