"""Finding the networks of a MAT-file, and reading one."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from matlab_bridge._errors import MatFileError, NetworkError, NetworkNotFoundError
from matlab_bridge._layer import Layer
from matlab_bridge._named_step import name_at
from matlab_bridge._unexpected import values_expected
from matlab_bridge.matfile import MatFile, load
from matlab_bridge.matfile._elements import numeric
from matlab_bridge.matfile._info import FileInfo
from matlab_bridge.matfile._values import MatlabObject
from matlab_bridge.network import WHOLE_FILE, Network, Source, WeightLayer

from ._objects import NETWORK_CLASSES
from ._registry import Reader, reader_of, reader_of_file
from ._walk import walk
from ._weights import read_described

# Variables of these classes hold no network, and may be large: they are left unread.
_DATA_CLASSES = {
    *("double", "single", "logical", "char", "string", "categorical", "datetime", "duration"),
    *("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "function_handle"),
}


def find_networks(path: str | os.PathLike[str]) -> tuple[Source, ...]:
    """Find every network in a MAT-file, also those inside structs, cells, agents and detectors.

    Args:
        path: a `.mat` file.

    Returns:
        Where each stands, variables that are networks first: `source.variable` is what `load_network` takes
        to load it, such as `"net"`, `"models{2}.net"` or `"agent.Actor.Network"`; `"*"` for one that the
        variables of the file make up together, such as `Theta1` and `Theta2`. Empty where there is none.

    Raises:
        MatFileError: if the file cannot be read.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import matlab_bridge as mb
        >>> net = mb.Network((mb.Layer("relu", "nnet.cnn.layer.ReLULayer"),), ())
        >>> path = Path(tempfile.mkdtemp()) / "lab.mat"
        >>> mb.save_portable(path, net, name="trained")
        >>> [source.variable for source in mb.find_networks(path)]
        ['trained']
    """
    return tuple(candidate.source for candidate in _everywhere(Path(path), load(path, lazy=False)))


def load_network(
    path: str | os.PathLike[str],
    variable: str | None = None,
    *,
    describe: Sequence[WeightLayer] = (),
) -> Network:
    """Load a network that MATLAB saved, without MATLAB.

    SeriesNetwork, DAGNetwork, dlnetwork, LayerGraph, arrays of layers, the portable form, the shallow
    `network`, MatConvNet's simplenn and DagNN, the neural networks of fitcnet and fitrnet, and well-known
    structs of weights are read, at the top level of the file or anywhere inside its structs, cells and objects.

    Where nothing is named, a file may hold several networks only if it is plain which one is meant: a trained
    one goes before untrained ones, one that is a variable goes before those inside others, and copies of one
    network count as one.

    Args:
        path: a `.mat` file of any version.
        variable: which network, as `find_networks` lists them: a variable (`"net"`), a path inside one
            (`"agent.Actor.Network"`), or the part of a path that holds one network only (`"agent"`).
        describe: the layers of a network that the file keeps as plain matrices, the first one first.

    Returns:
        The network in neutral form: `network.to_keras()` makes a Keras model of it, `network.summary()` a
        table of its layers.

    Raises:
        NetworkNotFoundError: if there is none, or several; the message lists what there is.
        VariableNotFoundError: if the file has no variable of that name.
        LostObjectError: if MATLAB wrote the marker of the network, but not the network.
        InvalidNetworkError: if the layers and connections of the network do not fit together.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import matlab_bridge as mb
        >>> net = mb.Network((mb.Layer("relu", "nnet.cnn.layer.ReLULayer"),), ())
        >>> path = Path(tempfile.mkdtemp()) / "lab.mat"
        >>> mb.save_portable(path, net)
        >>> mb.load_network(path).layers
        (Layer(name='relu', class_name='nnet.cnn.layer.ReLULayer'),)
    """
    path = Path(path)
    file = load(path, lazy=False)
    if describe:
        if variable not in (None, WHOLE_FILE):
            raise NetworkError(
                f"load_network was given the variable {variable!r} and a description; the paths of a description "
                "start at the variables of the file, so give it alone."
            )
        return read_described(file, describe, Source(path, WHOLE_FILE, "weights", tuple(describe)))
    candidates = _everywhere(path, file) if variable is None else _those_at(path, file, variable)
    if not candidates:
        values = {name: file[name] for name in _search(file)}
        raise NetworkNotFoundError(
            f"{path.name} holds no network that can be read. It holds:\n{_contents(file.info, values)}\n"
            "A network object, an array of layers, a MatConvNet network or a portable network is needed: in "
            "MATLAB, save('net.mat', 'net') where net is one. Plain matrices of weights need a description: "
            "load_network(path, describe=[WeightLayer('W1', 'b1', 'tanh'), WeightLayer('W2', 'b2')])."
        )
    chosen = _prefer(candidates)
    if len(chosen) > 1:
        raise NetworkNotFoundError(
            f"{path.name} holds {len(chosen)} networks. Name the one to load:\n{_listing(chosen)}"
        )
    network = chosen[0].network
    if isinstance(network, NetworkError):
        raise network
    return network


@dataclass(frozen=True)
class _Candidate:
    """A network of the file: as it was read, or the reason why it cannot be."""

    source: Source
    network: Network | NetworkError

    @property
    def layers(self) -> tuple[Layer, ...]:
        return self.network.layers if isinstance(self.network, Network) else ()

    @property
    def is_variable(self) -> bool:
        return self.source.variable.isidentifier() or self.source.variable == WHOLE_FILE

    @property
    def is_trained(self) -> bool:
        learnables = [array for layer in self.layers for array in layer.learnables.values()]
        return bool(learnables) and all(array.size > 0 for array in learnables)

    @property
    def description(self) -> str:
        if isinstance(self.network, NetworkError):
            return f"{self.source.class_name}, damaged"
        state = "" if self.is_trained else ", untrained"
        return f"{self.source.class_name}, {len(self.layers)} layers{state}"

    @property
    def fingerprint(self) -> str:
        """Equal for copies of one network, whatever wraps them."""
        digest = hashlib.sha256()
        for layer in self.layers:
            digest.update(f"{layer.name}\0{layer.class_name}\0".encode())
            for name, value in {**layer.settings, **layer.parameters}.items():
                array = numeric(value)
                digest.update(f"{name}\0{value if array is None else array.shape}\0".encode())
                digest.update(b"" if array is None else np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def is_at_or_inside(self, path: str) -> bool:
        rest = self.source.variable.removeprefix(path)
        return self.source.variable.startswith(path) and (not rest or rest[0] in ".({")


def _search(file: MatFile) -> list[str]:
    """The names of the variables that may hold a network."""
    variables = [variable for variable in file.info.variables if variable.class_name not in _DATA_CLASSES]
    # Those that are networks come first, so that it is their damage which is told of.
    variables.sort(key=lambda variable: variable.class_name not in NETWORK_CLASSES)
    return [variable.name for variable in variables]


def _everywhere(path: Path, file: MatFile) -> list[_Candidate]:
    """All networks of a file; damage to a variable is raised only if none is found in the others."""
    values: dict[str, Any] = {}
    damage: list[MatFileError] = []
    for name in _search(file):
        try:
            values[name] = file[name]
        except MatFileError as error:
            damage.append(error)
    candidates = [*_candidates(path, values), *_together(path, file)]
    if damage and not candidates:
        raise damage[0]
    return candidates


def _together(path: Path, file: MatFile) -> list[_Candidate]:
    """The network that the variables of a file are together, if they are one."""
    try:
        reader = reader_of_file(file)
    except MatFileError:  # damage to a variable, of which the search inside them tells
        return []
    return [] if reader is None else [_candidate(file, Source(path, WHOLE_FILE, reader.kind), reader)]


def _those_at(path: Path, file: MatFile, variable: str) -> list[_Candidate]:
    if variable == WHOLE_FILE:
        if not (found := _together(path, file)):
            raise NetworkNotFoundError(f"The variables of {path.name} are no network together.\n{file.info}")
        return found
    top = name_at(variable, 0, file) or re.split(r"[.({]", variable, maxsplit=1)[0]
    values = {top: file[top]}
    everything = _candidates(path, values)
    candidates = [candidate for candidate in everything if candidate.is_at_or_inside(variable)]
    if not candidates:
        there = _listing(everything) if everything else _contents(file.info, values)
        raise NetworkNotFoundError(f"{path.name} holds no network at {variable!r}. It holds:\n{there}")
    return candidates


def _candidates(path: Path, values: dict[str, Any]) -> list[_Candidate]:
    candidates = []
    for name, value in values.items():
        for where, found, reader in walk(value, name, reader_of):
            candidates.append(_candidate(found, Source(path, where, reader.class_name(found)), reader))
    return candidates


def _candidate(value: Any, source: Source, reader: Reader) -> _Candidate:
    try:
        with values_expected(lambda: f"{source.variable!r} of {source.path.name} is no {reader.kind} that can be read"):
            return _Candidate(source, reader.read(value, source))
    except NetworkError as error:
        return _Candidate(source, error)


def _prefer(candidates: list[_Candidate]) -> list[_Candidate]:
    """The candidates without those that are plainly not meant; at least one is left."""
    if len(candidates) == 1:
        return candidates
    trained = [candidate for candidate in candidates if candidate.is_trained] or candidates
    variables = [candidate for candidate in trained if candidate.is_variable] or trained
    different: dict[str, _Candidate] = {}
    for candidate in variables:
        different.setdefault(candidate.fingerprint, candidate)
    return list(different.values())


def _listing(candidates: list[_Candidate]) -> str:
    calls = [f"  load_network(path, {candidate.source.variable!r})" for candidate in candidates]
    width = max(map(len, calls))
    return "\n".join(
        f"{call:<{width}}  {candidate.description}" for call, candidate in zip(calls, candidates, strict=True)
    )


# The names that people give to the weights of a network they keep as plain matrices.
_WEIGHT_NAME = re.compile(r"(w|b|theta|weights?|bias(es)?|kernels?|filters?)_?\d*", re.IGNORECASE)


def _contents(file: FileInfo, values: Mapping[str, Any]) -> str:
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
