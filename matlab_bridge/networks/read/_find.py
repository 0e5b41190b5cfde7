"""Finding the networks of a MAT-file, and reading one."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from matlab_bridge._errors import NetworkNotFoundError
from matlab_bridge.matfile import info, load
from matlab_bridge.networks._network import Network, Source

from ._contents import contents
from ._registry import Reader, reader_of
from ._values import numeric
from ._walk import walk

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
        Where each stands, in the order of the file: `source.variable` is what `load_network` takes to load
        it, such as `"net"`, `"models{2}.net"` or `"agent.Actor.Network"`. Empty where there is none.

    Raises:
        MatFileError: if the file cannot be read.

    Example:
        >>> [source.variable for source in mb.find_networks("agent.mat")]  # doctest: +SKIP
        ['agent.Actor.Network', 'agent.Critic.Network']
    """
    return tuple(candidate.source for candidate in _candidates(Path(path), _values(Path(path))))


def load_network(path: str | os.PathLike[str], variable: str | None = None) -> Network:
    """Load a network that MATLAB saved, without MATLAB.

    SeriesNetwork, DAGNetwork, dlnetwork, LayerGraph, arrays of layers, and the portable form are read, at the
    top level of the file or anywhere inside its structs, cells and objects.

    Where nothing is named, a file may hold several networks only if it is plain which one is meant: a trained
    one goes before untrained ones, one that is a variable goes before those inside others, and copies of one
    network count as one.

    Args:
        path: a `.mat` file of any version.
        variable: which network, as `find_networks` lists them: a variable (`"net"`), a path inside one
            (`"agent.Actor.Network"`), or the part of a path that holds one network only (`"agent"`).

    Returns:
        The network in neutral form: `network.to_keras()` makes a Keras model of it, `network.summary()` a
        table of its layers.

    Raises:
        NetworkNotFoundError: if there is none, or several; the message lists what there is.
        VariableNotFoundError: if the file has no variable of that name.
        LostObjectError: if MATLAB wrote the marker of the network, but not the network.
        InvalidNetworkError: if the layers and connections of the network do not fit together.

    Example:
        >>> net = mb.load_network("trained.mat")  # doctest: +SKIP
        >>> model = net.to_keras()  # doctest: +SKIP
    """
    path = Path(path)
    if variable is None:
        values = _values(path)
        candidates = _candidates(path, values)
        if not candidates:
            raise NetworkNotFoundError(
                f"{path.name} holds no network that can be read. It holds:\n{contents(info(path), values)}\n"
                "A SeriesNetwork, DAGNetwork, dlnetwork, LayerGraph or an array of layers is needed; "
                "in MATLAB, save the network itself: save('net.mat', 'net')."
            )
    else:
        top = re.split(r"[.({]", variable, maxsplit=1)[0]
        values = {top: load(path)[top]}
        everything = _candidates(path, values)
        candidates = [c for c in everything if c.is_at_or_inside(variable)]
        if not candidates:
            there = f" It holds:\n{_listing(everything)}" if everything else ""
            raise NetworkNotFoundError(f"{path.name} holds no network at {variable!r}.{there}")
    chosen = _preferred(candidates)
    if len(chosen) > 1:
        raise NetworkNotFoundError(
            f"{path.name} holds {len(chosen)} networks. Name the one to load:\n{_listing(chosen)}"
        )
    return chosen[0].network


@dataclass(frozen=True)
class _Candidate:
    source: Source
    value: Any
    reader: Reader

    @cached_property
    def network(self) -> Network:
        return self.reader.read(self.value, self.source)

    @property
    def is_variable(self) -> bool:
        return self.source.variable.isidentifier()

    @cached_property
    def is_trained(self) -> bool:
        learnables = [array for layer in self.network.layers for array in layer.learnables.values()]
        return bool(learnables) and all(array.size > 0 for array in learnables)

    @cached_property
    def fingerprint(self) -> str:
        """Equal for copies of one network, whatever wraps them."""
        digest = hashlib.sha256()
        for layer in self.network.layers:
            digest.update(f"{layer.name}\0{layer.class_name}\0".encode())
            for name, value in {**layer.settings, **layer.parameters}.items():
                array = numeric(value)
                digest.update(f"{name}\0{value if array is None else array.shape}\0".encode())
                digest.update(b"" if array is None else np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def is_at_or_inside(self, path: str) -> bool:
        rest = self.source.variable.removeprefix(path)
        return self.source.variable.startswith(path) and (not rest or rest[0] in ".({")


def _values(path: Path) -> dict[str, Any]:
    """The variables that may hold a network."""
    names = [variable.name for variable in info(path).variables if variable.class_name not in _DATA_CLASSES]
    file = load(path)
    return {name: file[name] for name in names}


def _candidates(path: Path, values: dict[str, Any]) -> list[_Candidate]:
    found = (item for name, value in values.items() for item in walk(value, name, reader_of))
    return [
        _Candidate(Source(path, where, reader.class_name(value)), value, reader)
        for where, value, reader in found
    ]


def _preferred(candidates: list[_Candidate]) -> list[_Candidate]:
    """Those that are left when what is plainly not meant has gone; at least one."""
    if len(candidates) == 1:
        return candidates
    trained = [candidate for candidate in candidates if candidate.is_trained] or candidates
    variables = [candidate for candidate in trained if candidate.is_variable] or trained
    different: dict[str, _Candidate] = {}
    for candidate in variables:
        different.setdefault(candidate.fingerprint, candidate)
    return list(different.values())


def _listing(candidates: Iterable[_Candidate]) -> str:
    rows = [
        (
            f"  load_network(path, {candidate.source.variable!r})",
            f"{candidate.source.class_name}, {len(candidate.network.layers)} layers"
            + ("" if candidate.is_trained else ", untrained"),
        )
        for candidate in candidates
    ]
    width = max(len(call) for call, _ in rows)
    return "\n".join(f"{call:<{width}}  {what}" for call, what in rows)
