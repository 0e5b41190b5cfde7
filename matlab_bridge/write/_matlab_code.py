"""A network as MATLAB code: a function of layer constructors, and a file with the weights."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from matlab_bridge import matfile
from matlab_bridge._atomic import refuse_to_overwrite, replace_whole
from matlab_bridge._errors import InvalidNetworkError, UnsupportedLayerError
from matlab_bridge._input_format import dimensions
from matlab_bridge._layer import Layer
from matlab_bridge._public import public_layer
from matlab_bridge._text import one_line
from matlab_bridge._unexpected import values_expected
from matlab_bridge.network import Connection, Network

from ._constructors import Constructor, constructor_of
from ._matlab_text import call, cell, column, is_function_name, is_large, literal, literal_size, quote, settings_field
from ._model import demand_weights, network_of, path_first, sources_of, without_output_layers

if TYPE_CHECKING:
    import keras

# dlnetwork came with R2019b, but took most layers, and the normalization of inputs, in the releases after it.
_OLDEST = "R2021a"
_INPUTS = {
    "FeatureInputLayer": "",
    "Image3DInputLayer": "SSS",
    "ImageInputLayer": "SS",
    "InputLayer": "",
    "SequenceInputLayer": "",
}

_CODE = """\
function [net, classNames] = {name}(weightsFile)
%{NAME} Build a dlnetwork, with its weights.
%   NET = {NAME} builds the network with the weights of {weights}.
%   NET = {NAME}(FILE) takes them from another file.
%
%   [NET, CLASSNAMES] = {NAME} also returns the names of the classes, in the
%   order of the network's scores; an empty cell if it has none.
%
%   Example:
%      net = {name}();
{example}
%
%   Needs MATLAB {release} or newer, with {toolboxes}.
%   Of its {count:,} learnable numbers, {zeros:,} are zero.
%   Written by matlab_bridge.export_matlab_code, keras-prunelab {version}.

if nargin < 1
    weightsFile = fullfile(fileparts(mfilename('fullpath')), {weights_literal});
end
saved = load(weightsFile);
graph = layerGraph();

{graph}
net = dlnetwork({arguments});
net.Learnables = withValues(net.Learnables, saved.weights);
net.State = withValues(net.State, saved.weights);
classNames = {classes};
end


function rows = withValues(rows, weights)
% Put the values of the file into net.Learnables or net.State.
layers = cellstr(rows.Layer);
parameters = cellstr(rows.Parameter);
values = rows.Value;
sidesOf = @(array) nonzeros(size(array) - 1);
for row = 1:numel(layers)
    label = [layers{{row}} '/' parameters{{row}}];
    at = strcmp(layers{{row}}, weights.Layer) & strcmp(parameters{{row}}, weights.Parameter);
    if ~any(at) && any(strcmp(parameters{{row}}, {{'HiddenState', 'CellState'}}))
        continue    % recurrent layers start at zero
    elseif ~any(at)
        error('{name}:noValue', 'The file of weights has no value for %s.', label);
    elseif ~isequal(sidesOf(weights.Value{{at}}), sidesOf(values{{row}}))
        error('{name}:size', ...
            '%s is of size %s in the file of weights, and %s in the network.', ...
            label, mat2str(size(weights.Value{{at}})), mat2str(size(values{{row}})));
    end
    values{{row}} = dlarray(reshape(weights.Value{{at}}, size(values{{row}})));
end
rows.Value = values;
end
"""


def export_matlab_code(
    path: str | os.PathLike[str],
    network: keras.Model | Network,
    weights_path: str | os.PathLike[str] | None = None,
    *,
    class_names: Iterable[str] = (),
) -> None:
    """Write a MATLAB function that builds the network as a `dlnetwork`, and a MAT-file with its weights.

    The function calls MATLAB's documented constructors (`convolution2dLayer`, ...) with the names and settings of
    the model, connects the layers, and puts the weights in. It needs nothing of this package, and can be read and
    changed like any other. Its help says which release and toolboxes it needs. The file of weights holds `weights`, a
    struct with the columns `Layer`, `Parameter` and `Value` in MATLAB's layout, like `net.Learnables`.

    Args:
        path: the function to write, such as `"buildNet.m"`; the name of the file is the name of the function. Version
            0.1 took the network first; that order still works, with a warning.
        network: a built Keras model, pruned or compacted or not, or a network from `load_network`.
        weights_path: the MAT-file to write; by default `buildNetWeights.mat` beside the function. The function
            finds it by its place relative to its own.
        class_names: in the order of the scores; by default those that the network knows.

    Raises:
        UnsupportedLayerError: for layers that no function of MATLAB makes, naming each; nothing is written then.
        UntrainedNetworkError: if layers have no weights yet.
        InvalidNetworkError: if a name cannot be one in MATLAB, or the network has no input layer.
        OverwriteError: if the file of weights is the one that the network came from.

    Examples:
        >>> import tempfile, keras, matlab_bridge as mb
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="fc")])
        >>> path = f"{tempfile.mkdtemp()}/buildNet.m"
        >>> mb.export_matlab_code(path, model)
        >>> "fullyConnectedLayer(2, 'Name', 'fc')" in open(path, encoding="utf-8").read()
        True
    """
    path, network = path_first("export_matlab_code", path, network)
    code = Path(path)
    weights = Path(weights_path) if weights_path is not None else code.with_name(f"{code.stem}Weights.mat")
    _check_paths(code, weights)
    refuse_to_overwrite(sources_of(network), weights)
    net = network_of(network, class_names)
    with values_expected(lambda: "The network cannot be written as MATLAB code"):
        plan = _CodePlan(without_output_layers(replace(net, layers=tuple(map(public_layer, net.layers)))))
        text = plan.code(code.stem, Path(os.path.relpath(weights, code.parent)).as_posix())
    with replace_whole(code) as code_file, replace_whole(weights) as weights_file:
        code_file.write_text(text, encoding="utf-8")
        matfile.save(weights_file, plan.variables())


def _check_paths(code: Path, weights: Path) -> None:
    if code.suffix != ".m" or weights.suffix != ".mat":
        raise InvalidNetworkError(
            f"export_matlab_code writes a function (.m) and its weights (.mat), but got {code.name} and {weights.name}."
        )
    if not is_function_name(code.stem):
        raise InvalidNetworkError(
            f"{code.name} cannot be a function of MATLAB: its name is of letters, digits and underscores, begins with "
            "a letter, has at most 63 characters, and is no keyword. An example is 'buildNet.m'."
        )


class _CodePlan:
    """The network, checked: each layer beside the function that makes it."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._constructors = _constructors_of(network)
        demand_weights(network)
        self._large: dict[str, Any] = {}
        self._graph = self._graph_code()

    def code(self, name: str, weights: str) -> str:
        """The whole `.m` file."""
        learnables = [array for layer in self._network.layers for array in layer.learnables.values()]
        classes = self._network.class_names
        return _CODE.format(
            name=name,
            NAME=name.upper(),
            weights=one_line(weights),
            weights_literal=quote(weights),
            example="\n".join(self._example()),
            release=max([_OLDEST, *(constructor.since for constructor in self._constructors.values())]),
            toolboxes=" and ".join(self._toolboxes()),
            count=sum(array.size for array in learnables),
            zeros=sum(array.size - np.count_nonzero(array) for array in learnables),
            version=version("keras-prunelab"),
            graph=self._graph,
            arguments=", ".join(["graph", *self._outputs()]),
            classes=cell(classes, 4) if classes else "cell(0, 1)",
        )

    def variables(self) -> dict[str, Any]:
        """The file of weights: a column for the layers, the parameters, and the values."""
        rows = [
            (layer.name, name, np.asarray(array, dtype=np.float32))
            for layer in self._network.layers
            for name, array in layer.parameters.items()
            if array.size
        ]
        columns = zip(*rows, strict=True) if rows else ((), (), ())
        weights = {name: column(values) for name, values in zip(("Layer", "Parameter", "Value"), columns, strict=True)}
        return {"weights": weights, "settings": self._large} if self._large else {"weights": weights}

    def _graph_code(self) -> str:
        """The layers, chain by chain, and the connections between the chains."""
        chains = list(_chains(self._network))
        within = {connection for chain in chains for connection in _inside(self._network, chain)}
        blocks = [
            "\n".join(["layers = [", *(self._call(layer) for layer in chain), "    ];"])
            + "\ngraph = addLayers(graph, layers);\n"
            for chain in chains
        ]
        for connection in self._network.connections:
            if connection not in within:
                start, _, end = str(connection).partition(" -> ")
                blocks.append(f"graph = connectLayers(graph, {quote(start)}, {quote(end)});")
        return "\n".join(blocks) + ("\n" if len(chains) > 1 else "")

    def _call(self, layer: Layer) -> str:
        constructor = self._constructors[layer.name]
        arguments = [self._expression(layer, name, value) for name, value in constructor.ordered(layer)]
        arguments += ["'Name', " + quote(layer.name)]
        for name, value in constructor.given(layer):
            arguments.append(f"{quote(name)}, {self._expression(layer, name, value)}")
        return call(constructor.function, arguments, 4)

    def _expression(self, layer: Layer, setting: str, value: Any) -> str:
        if setting == "InputSize" and np.size(value) > 1:
            return literal_size(np.ravel(value))
        if not is_large(value):
            return literal(value)
        field = settings_field(layer.name, setting, self._large)
        self._large[field] = value
        return f"saved.settings.{field}"

    def _outputs(self) -> tuple[str, ...]:
        sources = {connection.source for connection in self._network.connections}
        ends = tuple(layer.name for layer in self._network.execution_order if layer.name not in sources)
        wanted = self._network.output_names
        if not wanted or wanted == ends:
            return ()
        return ("'OutputNames', {" + ", ".join(map(quote, wanted)) + "}",)

    def _toolboxes(self) -> list[str]:
        further = {constructor.toolbox for constructor in self._constructors.values()} - {""}
        return ["Deep Learning Toolbox", *sorted(further)]

    def _example(self) -> list[str]:
        """How to call `predict`: its inputs in the order of `net.InputNames`, each with its format."""
        inputs = [layer for layer in self._network.execution_order if layer.kind in _INPUTS]
        names = [f"X{number}" for number in range(1, len(inputs) + 1)] if len(inputs) > 1 else ["X"]
        lines, arrays = [], []
        for name, layer in zip(names, inputs, strict=True):
            sizes, letters = _format(layer)
            arrays.append(f"dlarray(single({name}), '{letters}')")
            lines.append(f"%      % {name} is {'-by-'.join(sizes)}, for {one_line(layer.name)}")
        return [*lines, "%" + call("scores = predict", ["net", *arrays], 6).replace("\n", "\n%") + ";"]


def _format(layer: Layer) -> tuple[list[str], str]:
    """How large the data of an input layer are, and the letters of their dimensions."""
    if layer.kind == "InputLayer":
        free = {"B": "numObservations", "T": "numSteps", "S": "anySize"}
        pairs = dimensions(layer)
        sizes = [free[letter] if letter in "BT" or size is None else str(size) for letter, size in pairs]
        return sizes, "".join(letter for letter, _ in pairs)
    sizes = [str(int(size)) for size in np.ravel(layer.settings["InputSize"])]
    letters = _INPUTS[layer.kind] or "S" * (len(sizes) - 1)
    if len(sizes) <= len(letters):  # an image of one channel may be written as its height and width
        sizes.append("1")
    if layer.kind == "SequenceInputLayer":
        return [*sizes, "numSteps", "numObservations"], f"{letters}CTB"
    return [*sizes, "numObservations"], f"{letters}CB"


def _constructors_of(network: Network) -> dict[str, Constructor]:
    """The function of each layer; all layers without one are named in one error."""
    found: dict[str, Constructor] = {}
    objections: dict[str, str] = {}
    for layer in network.layers:
        constructor = constructor_of(layer)
        objection = "no function that makes it is known" if constructor is None else constructor.objection(layer)
        if constructor is not None and objection is None:
            found[layer.name] = constructor
        else:
            objections[layer.name] = objection or ""
    if objections:
        lines = [f"  {name!r} ({network[name].class_name}): {reason}" for name, reason in objections.items()]
        raise UnsupportedLayerError(
            "\n".join([f"{len(lines)} of {len(network.layers)} layers have no MATLAB code:", *lines])
            + "\nNothing was written. A network that came from a .mat file is written back with save_network, if it "
            "has all its filters."
        )
    if not any(layer.kind in _INPUTS for layer in network.layers):
        raise InvalidNetworkError(
            "The network has no input layer, and without one MATLAB cannot initialize it. "
            "Add an imageInputLayer, a featureInputLayer or a sequenceInputLayer."
        )
    return found


def _chains(network: Network) -> Iterator[tuple[Layer, ...]]:
    """The layers in order of execution, cut where one does not simply follow the one before it."""
    chain: list[Layer] = []
    for layer in network.execution_order:
        if chain and not _follows(network, chain[-1], layer):
            yield tuple(chain)
            chain = []
        chain.append(layer)
    yield tuple(chain)


def _follows(network: Network, before: Layer, layer: Layer) -> bool:
    inputs = network.inputs_of(layer.name)
    return (
        len(inputs) == 1
        and inputs[0].source == before.name
        and inputs[0].source_port in ("", "out")
        and inputs[0].destination_port in ("", "in", "in1")
    )


def _inside(network: Network, chain: Sequence[Layer]) -> Iterator[Connection]:
    for layer in chain[1:]:
        yield from network.inputs_of(layer.name)
