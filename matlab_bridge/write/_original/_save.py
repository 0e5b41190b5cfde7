"""A network back into the file that it came from: a copy of that file with other numbers in some arrays."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from matlab_bridge._atomic import refuse_to_overwrite, replace_whole
from matlab_bridge._errors import NetworkError, NetworkMismatchError, NetworkNotFoundError, VariableNotFoundError
from matlab_bridge._layer import Array, column_major
from matlab_bridge.matfile._header import read_header
from matlab_bridge.network import Network, WeightLayer
from matlab_bridge.read import load_network

from ._array_file import ArrayFile, Place, Vector
from ._level4 import Level4Arrays
from ._level5 import Level5Arrays
from ._level73 import Level73Arrays
from ._locate import Parameter, locate, stored_arrays
from ._note import units_of

if TYPE_CHECKING:
    import keras

Model: TypeAlias = "keras.Model | Network | Mapping[Parameter, Array]"


def save_network(
    path: str | os.PathLike[str],
    model: Model,
    *,
    like: str | os.PathLike[str],
    variable: str | None = None,
    describe: Sequence[WeightLayer] = (),
    note: str | None = None,
) -> None:
    """Write a copy of a MAT-file in which a network has other weights.

    Only the numbers of the arrays that differ are replaced; every other byte that MATLAB stored stays:
    classes, settings, connections, the other variables. MATLAB's `load` gives the same objects with the new
    numbers. A weight that equals the file's at the model's precision stays as the file has it. The copy is
    read again and compared with the model before it appears under its name; the source is only read.

    Args:
        path: the `.mat` file to write, other than `like`.
        model: the network with its new weights: a Keras model that `Network.to_keras` made (or one loaded
            from its `.keras` file), a `Network`, or arrays in MATLAB's layout by (layer, parameter), such as
            `("conv1", "Weights")`.
        like: the `.mat` file, of any version, from which the network was loaded.
        variable: which network of the file, as for `load_network`; by default the one that the model came
            from, else the only one.
        describe: for plain matrices the description that `load_network` was given; a model in memory has it.
        note: a line of text for whoever opens the file, such as how the network was pruned and on which data its
            weights were solved: a char row `prunelab_note` beside the network, the only variable that is added.

    Raises:
        NetworkMismatchError: if the model is not the network of the file: names or shapes differ.
        NetworkNotFoundError: if the file holds no network, or several and it is not known which.
        OverwriteError: if `path` is `like`, by whatever path or link.
        NetworkError: if the file does not store a parameter as an array of its own.
        MatFileError: if the file cannot be read.

    Examples:
        >>> model = mb.load_network("trained.mat").to_keras()  # doctest: +SKIP
        >>> pruned = kpl.prune(model, sparsity=0.5)  # doctest: +SKIP
        >>> mb.save_network("pruned.mat", pruned, like="trained.mat")  # doctest: +SKIP
    """
    target, source = Path(path), Path(like)
    refuse_to_overwrite([source], target)
    network = _network_of(source, model, variable, describe)
    described = network.source.describe if network.source else ()
    changes = _changes(network, _parameters_of(model, network))

    def read(copy: Path) -> Network:
        if described:
            return load_network(copy, describe=described)
        return load_network(copy, network.source.variable if network.source else variable)

    file = _arrays_of(source)
    arrays = _assemble(network, changes)
    before = stored_arrays(network)
    places = locate(file, {parameter: before[parameter] for parameter in arrays}, read)
    vectors = _by_place(arrays, places)
    with replace_whole(target) as temporary:
        file.write(temporary, vectors, None if note is None else units_of(note))
        _verify(read(temporary), network.with_parameters(changes))


def _arrays_of(source: Path) -> ArrayFile:
    header = read_header(source)
    if header.version == "v7.3":
        return Level73Arrays(source)
    return Level4Arrays(source, header) if header.version == "v4" else Level5Arrays(source, header)


def _network_of(source: Path, model: Model, variable: str | None, describe: Sequence[WeightLayer]) -> Network:
    """The network that is meant: the named one, that of the model's own source, or the only one."""
    if described := describe or (_description_of(model) if variable is None else ()):
        return load_network(source, variable, describe=described)
    if variable is None:
        home = _variable_of(model)
        if home:
            with contextlib.suppress(NetworkNotFoundError, VariableNotFoundError):
                return load_network(source, home)
    return load_network(source, variable)


def _variable_of(model: Model) -> str:
    if isinstance(model, Network):
        return model.source.variable if model.source else ""
    if isinstance(model, Mapping):
        return ""
    from matlab_bridge.convert._sidecar import sidecar

    return sidecar(model).variable


def _description_of(model: Model) -> tuple[WeightLayer, ...]:
    network = model if isinstance(model, Network) else None
    if not isinstance(model, Network | Mapping):
        from matlab_bridge.convert._sidecar import origin

        network = origin(model)
    return network.source.describe if network and network.source else ()


def _parameters_of(model: Model, network: Network) -> dict[Parameter, Array]:
    """The numbers of a model in MATLAB's layout."""
    if isinstance(model, Network):
        _demand_same_names({layer.name for layer in network.layers}, {layer.name for layer in model.layers}, "layers")
        return {(layer.name, name): array for layer in model.layers for name, array in layer.parameters.items()}
    if isinstance(model, Mapping):
        return dict(model)
    import keras

    from matlab_bridge.convert._parameters import model_values, to_matlab, variable_paths, with_known_paths

    if not isinstance(model, keras.Model):
        raise TypeError(
            "Expected a Keras model, a Network, or a mapping of (layer, parameter) to arrays, "
            f"got {type(model).__name__}."
        )
    values, paths = with_known_paths(network, model_values(model)), variable_paths(network)
    # Variables that are not trained - seeds, the statistics of an input - need no counterpart in MATLAB.
    trained = with_known_paths(network, {variable.path: variable for variable in model.trainable_variables})
    own = trained.keys() | (paths.keys() & values.keys())
    _demand_same_names(paths.keys(), own, "variables")
    return to_matlab(network, values)


def _demand_same_names(expected: Set[str], given: Set[str], what: str) -> None:
    lacking, strange = sorted(expected - given), sorted(given - expected)
    if lacking or strange:
        raise NetworkMismatchError(
            f"The model is not the network of the file. {what.capitalize()} of the file that it lacks: "
            f"{_listed(lacking)}; {what} of its own that the file lacks: {_listed(strange)}. Give the model "
            "that to_keras() made of this file's network, its layers unchanged, or name another network of "
            "the file by `variable`."
        )


def _listed(names: list[str]) -> str:
    return ", ".join(map(repr, names)) or "none"


def _stored(network: Network, parameter: Parameter) -> Array:
    layer, name = parameter
    if layer not in network or name not in network[layer].parameters:
        known = [(known.name, parameter) for known in network.layers for parameter in known.parameters]
        raise NetworkMismatchError(
            f"The network of the file has no parameter {parameter}. Its (layer, parameter) are {known}."
        )
    return network[layer].parameters[name]


def _changes(network: Network, parameters: Mapping[Parameter, Array]) -> dict[Parameter, Array]:
    """The parameters that differ from the file's, in the file's shape and dtype."""
    changes = {}
    for parameter, value in parameters.items():
        old, new = _stored(network, parameter), np.asarray(value)
        if old.size == 0 and parameter[1] in network[parameter[0]].state and _is_initial(parameter[1], new):
            continue
        if _without_trailing_ones(new.shape) != _without_trailing_ones(old.shape) or new.dtype.kind not in "fiub":
            raise NetworkMismatchError(
                f"{parameter} is {old.dtype} of shape {old.shape} in the file, and {new.dtype} of shape "
                f"{new.shape} was given. An array of a file keeps its shape; save a network whose layers "
                "have become smaller, or that was not trained when the file was saved, with save_portable."
            )
        new = new.reshape(old.shape).astype(new.dtype if new.dtype.kind == "f" else old.dtype)
        # A double of the file stays what it is where the model is equal to it in single precision.
        merged = np.where(new == old.astype(new.dtype), old, new).astype(old.dtype)
        if not np.array_equal(merged, old, equal_nan=True):
            changes[parameter] = merged
    return changes


def _is_initial(name: str, state: Array) -> bool:
    """Whether statistics are those that Keras begins with, as in a model of a checkpoint, which has none of its own."""
    return bool(np.all(state == (1 if name == "TrainedVariance" else 0)))


def _assemble(network: Network, changes: Mapping[Parameter, Array]) -> dict[Parameter, Array]:
    """The changed parameters as the arrays of the file, of which some hold several parameters."""
    arrays: dict[Parameter, Array] = {}
    for (layer, name), array in changes.items():
        part = network[layer].parts.get(name)
        if part is None:
            arrays[layer, name] = array
        else:
            whole = arrays.setdefault((layer, part.whole), part.array.copy())
            whole[part.index] = array
    return arrays


def _without_trailing_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    while shape and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _by_place(changes: Mapping[Parameter, Array], places: Mapping[Parameter, Place]) -> dict[Place, Vector]:
    lost = [parameter for parameter in changes if parameter not in places]
    if lost:
        raise NetworkError(
            f"The file does not hold {lost} as arrays of their own, so they cannot be replaced in it. "
            "Save the network with save_portable instead."
        )
    vectors: dict[Place, Vector] = {}
    for parameter, array in changes.items():
        vector = column_major(array)
        if not np.array_equal(vectors.setdefault(places[parameter], vector), vector, equal_nan=True):
            shared = [other for other in changes if places[other] == places[parameter]]
            raise NetworkError(
                f"The file holds one array for {shared}, and the model has different numbers for them. "
                "Make them equal, or save the network with save_portable."
            )
    return vectors


def _verify(written: Network, expected: Network) -> None:
    wrong = [
        (layer.name, name)
        for layer in expected.layers
        for name, array in layer.parameters.items()
        if not np.array_equal(_stored(written, (layer.name, name)), array, equal_nan=array.dtype.kind in "fc")
    ]
    if wrong:
        raise NetworkError(
            f"Read back, the copy has other numbers in {wrong} than the model, so it was not kept. "
            "Save the network with save_portable, and report the class of these layers."
        )
