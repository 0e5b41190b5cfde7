"""The neutral form of a network: its layers in MATLAB's own words and layout, and how they are connected."""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ._errors import InvalidNetworkError
from ._layer import Array, Layer
from ._summary import layer_table
from ._text import visible

if TYPE_CHECKING:
    import keras

WHOLE_FILE = "*"
"""The path of a network that the variables of a file make up together."""


@dataclass(frozen=True, order=True)
class Connection:
    """From an output of one layer to an input of another; an empty port is a layer's only one."""

    source: str
    destination: str
    source_port: str = ""
    destination_port: str = ""

    @classmethod
    def parse(cls, source: str, destination: str) -> Connection:
        """A connection from MATLAB's end points, such as `"pool/indices"` and `"add/in2"`."""
        (start, _, out), (end, _, into) = source.partition("/"), destination.partition("/")
        return cls(start, end, out, into)

    def __str__(self) -> str:
        """MATLAB's way to write it."""
        start = f"{self.source}/{self.source_port}" if self.source_port else self.source
        end = f"{self.destination}/{self.destination_port}" if self.destination_port else self.destination
        return f"{start} -> {end}"


@dataclass(frozen=True)
class WeightLayer:
    """One layer of a network that a file keeps as plain matrices: which ones, and how they lie.

    The layer computes `activation(W x + b)` for a column `x`.

    Attributes:
        weights: where the matrix W stands, as in MATLAB: `"W1"`, `"W{1}"`, `"net.layers(2).W"`.
        bias: where b stands, a row or a column; empty for a layer without one.
        activation: `"linear"`, `"relu"`, `"sigmoid"`, `"tanh"`, `"softmax"`, or the name of a transfer function
            of MATLAB's (`"tansig"`, `"logsig"`, `"satlin"`, ...).
        orientation: `"outputs x inputs"`, or `"inputs x outputs"` where the file holds W transposed, for
            rows `x W + b`.
        bias_column: `"first"` or `"last"` where b is that column of W, as in `Theta1 * [1; x]`; else empty.
        name: the layer's name; by default that of its matrix.

    Raises:
        InvalidNetworkError: for words that are none of these, or a bias in two places.

    Examples:
        >>> WeightLayer("Theta1", activation="sigmoid", bias_column="first").name
        'Theta1'
    """

    weights: str
    bias: str = ""
    activation: str = "linear"
    orientation: str = "outputs x inputs"
    bias_column: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        for attribute, words in (("orientation", _ORIENTATIONS), ("bias_column", _BIAS_COLUMNS)):
            if getattr(self, attribute) not in words:
                raise InvalidNetworkError(
                    f"WeightLayer({self.weights!r}) has the {attribute} {getattr(self, attribute)!r}; "
                    f"it is one of {', '.join(map(repr, words))}."
                )
        if self.bias and self.bias_column:
            raise InvalidNetworkError(
                f"WeightLayer({self.weights!r}) has a bias {self.bias!r} and a bias_column {self.bias_column!r}; "
                "give one of the two."
            )
        if not self.name:
            object.__setattr__(self, "name", re.sub(r"\W+", "_", self.weights).strip("_"))


_ORIENTATIONS = ("outputs x inputs", "inputs x outputs")
_BIAS_COLUMNS = ("", "first", "last")


@dataclass(frozen=True)
class Source:
    """Where a network was read: a file, the path inside it (`"agent.Actor.Network"`), and the class.

    A network that several variables of the file make up together has the path `"*"`. One that was read by a
    description has it in `describe`.
    """

    path: Path
    variable: str
    class_name: str
    describe: tuple[WeightLayer, ...] = ()


@dataclass(frozen=True)
class Network:
    """A network in neutral form: what MATLAB saved, before anything of Keras.

    Attributes:
        layers: in the order in which MATLAB stores them, which need not be the order of execution.
        connections: empty end points never; a series network has its implied ones written out.
        class_names: in the order of the network's outputs; empty where the network has none (a `dlnetwork`, a
            regression).
        source: the file, or None for a network that was not read from one.
        class_name: `"SeriesNetwork"`, `"DAGNetwork"`, `"dlnetwork"`, `"nnet.cnn.LayerGraph"`, `"layer array"`,
            `"network"` (a shallow one), `"simplenn"`, `"DagNN"`, `"weights"`, or the class of a trained
            model, such as `"ClassificationNeuralNetwork"`.
        output_names: the layers whose output the network returns, a second output with its port
            (`"lstm/hidden"`); empty means the layers that feed no other.
    """

    layers: tuple[Layer, ...]
    connections: tuple[Connection, ...]
    class_names: tuple[str, ...] = ()
    source: Source | None = None
    class_name: str = "dlnetwork"
    output_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [layer.name for layer in self.layers]
        double = sorted({name for name in names if names.count(name) > 1})
        if double:
            raise InvalidNetworkError(
                f"Layer names must be unique, but {', '.join(map(repr, double))} occurs more than once."
            )
        strangers = {end for c in self.connections for end in (c.source, c.destination)} - set(names)
        if strangers:
            raise InvalidNetworkError(
                f"Connections name the layers {sorted(strangers)}, which the network does not have. "
                f"Its layers are {names}."
            )
        lost = [output for output in self.output_names if end_point(output, names)[0] not in names]
        if lost:
            raise InvalidNetworkError(
                f"The outputs {lost} are of layers that the network does not have. Its layers are {names}."
            )

    def __getitem__(self, name: str) -> Layer:
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    @cached_property
    def _by_name(self) -> dict[str, Layer]:
        return {layer.name: layer for layer in self.layers}

    @cached_property
    def execution_order(self) -> tuple[Layer, ...]:
        """The layers sorted so that each comes after those that feed it; ties keep the stored order.

        Raises:
            InvalidNetworkError: if the connections form a loop.
        """
        feeds: dict[str, set[str]] = {layer.name: set() for layer in self.layers}
        for connection in self.connections:
            feeds[connection.destination].add(connection.source)
        try:
            return tuple(self._by_name[name] for name in TopologicalSorter(feeds).static_order())
        except CycleError as error:
            raise InvalidNetworkError(f"The connections form a loop: {' -> '.join(error.args[1])}.") from error

    def inputs_of(self, name: str) -> tuple[Connection, ...]:
        """The connections into a layer, sorted by port.

        That is in the order of the layer's `InputNames` where it has such a setting; else `in`, or `in1`, `in2`, ...,
        `in10`, and then the others.
        """
        names = [str(each) for each in np.ravel(self[name].settings.get("InputNames", ()))]

        def port_order(connection: Connection) -> tuple[int, bool, str, int]:
            port = connection.destination_port
            stem = port.rstrip("0123456789")
            place = names.index(port) if port in names else len(names)
            return place, stem not in ("", "in"), stem, int(port[len(stem) :] or 0)

        return tuple(sorted((c for c in self.connections if c.destination == name), key=port_order))

    def with_parameters(self, new: Mapping[tuple[str, str], Array]) -> Network:
        """A copy in which some learnables or states are others; keys are (layer, parameter)."""

        def changed(layer: Layer) -> Layer:
            def pick(old: Mapping[str, Array]) -> dict[str, Array]:
                return {name: new.get((layer.name, name), value) for name, value in old.items()}

            return replace(layer, learnables=pick(layer.learnables), state=pick(layer.state))

        return replace(self, layers=tuple(map(changed, self.layers)))

    def summary(self) -> str:
        """A table of the layers like the one that MATLAB shows."""
        where = f" {self.source.variable!r} of {self.source.path.name}" if self.source else ""
        return layer_table(self.layers, f"{self.class_name}{where}", self.class_names)

    def __repr__(self) -> str:
        classes = f", {len(self.class_names)} classes" if self.class_names else ""
        where = f", {self.source.variable!r} of {self.source.path.name!r}" if self.source else ""
        return visible(f"<Network: {self.class_name} of {len(self.layers)} layers{classes}{where}>")

    def _repr_html_(self) -> str:
        """The table of layers, for notebooks."""
        return f"<pre>{html.escape(visible(self.summary()))}</pre>"

    def to_keras(self) -> keras.Model:
        """The same network as a plain Keras model, channels last.

        Returns:
            A functional model with MATLAB's layer names. Layers without weights start with Keras' own; a
            warning names them.

        Raises:
            UnsupportedLayerError: for layers without a conversion, naming each, its class and its place.
            InvalidNetworkError: if the layers do not fit together, or there is no input layer.
        """
        from .convert._build import to_keras

        return to_keras(self)


def series(names: Iterable[str]) -> tuple[Connection, ...]:
    """The connections of layers that follow each other."""
    return tuple(Connection(a, b) for a, b in pairwise(names))


def end_point(text: str, names: Collection[str]) -> tuple[str, str]:
    """The layer and the port of an end point such as `"unpool/size"`; a layer's name may have slashes."""
    if text in names:
        return text, ""
    layer, _, port = text.rpartition("/")
    return (layer, port) if layer in names else (text, "")


def output_name(text: str, names: Collection[str]) -> str:
    """An output of a network as `Network.output_names` has it: the main output of a layer without its port."""
    layer, port = end_point(text, names)
    return layer if port in ("", "out") else text
