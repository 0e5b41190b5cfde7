"""The networks and the data that the commands work on: found by the bridge or by Keras, described in a line each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from keras_prunelab._errors import InvalidModelError

from . import _console, _model_files

if TYPE_CHECKING:
    import keras

    from matlab_bridge import Dataset, Network


@dataclass(frozen=True)
class OpenedModel:
    """A Keras model, the file it came from, and the MATLAB network it was, if it was one."""

    model: keras.Model
    path: Path
    network: Network | None = None
    class_names: tuple[str, ...] = ()

    @property
    def convention(self) -> str:
        """MATLAB's convention for a network of MATLAB's, the papers' for a Keras model."""
        return "paper" if self.network is None else "matlab"

    @property
    def variable(self) -> str | None:
        """The path of the network inside its file."""
        return self.network.source.variable if self.network and self.network.source else None


def open_model(path: Path, variable: str | None = None) -> OpenedModel:
    """The network of a `.mat` file, converted, or the model of a file of Keras.

    Raises:
        FileNotFoundError: if there is no such file.
        InvalidModelError: if the file is neither, is damaged, or holds no whole model.
    """
    import matlab_bridge as bridge

    is_keras = path.is_dir() or path.suffix.lower() in _model_files.ENDINGS
    if not is_keras and path.suffix.lower() != ".mat":
        raise InvalidModelError(f"A network is a .mat, a .keras or an .h5 file, but got {str(path)!r}.")
    if not path.exists():
        raise FileNotFoundError(f"There is no file {str(path)!r}.")
    with _console.native_messages_hidden():
        pass  # takes seconds, so only once the file is there
    if is_keras:
        import matlab_bridge.networks.keras_objects  # what models that were MATLAB's may need
        from matlab_bridge.networks._sidecar import attach

        model = _model_files.load(path)
        facts = bridge.read_sidecar(path)
        attach(model, facts)
        opened = OpenedModel(model, path, class_names=facts.class_names)
    else:
        network = bridge.load_network(path, variable)
        opened = OpenedModel(network.to_keras(), path, network, network.class_names)
        _console.say(f"Network: {_what(network)}, {opened.model.count_params():,} parameters.")
    return opened


def open_data(
    opened: OpenedModel, path: Path, inputs: str | None, labels: str | None, image_root: Path | None
) -> Dataset:
    """The inputs and labels for a model, in the order of its classes."""
    import matlab_bridge as bridge

    data = bridge.load_dataset(path, inputs, labels, network=_described(opened), image_root=image_root)
    for line in data.description.splitlines():
        _console.say(f"Data: {line}")
    if data.labels is None:
        raise bridge.DatasetNotFoundError(
            f"{path} holds inputs but no labels, and without labels there is no accuracy. "
            "Name the variable with --labels."
        )
    return data


def _described(opened: OpenedModel) -> Network | None:
    """The network whose input size and class names tell which variable is what."""
    import matlab_bridge as bridge

    if opened.network is not None:
        return opened.network
    try:
        return replace(bridge.from_keras(opened.model), class_names=opened.class_names)
    except bridge.UnsupportedLayerError:  # a Keras model that MATLAB has no words for: the data must be named
        return None


def _what(network: Network) -> str:
    source = network.source
    name = f"{source.variable} of {source.path.name}, a " if source else "a "
    return f"{name}{network.class_name} with {len(network.layers)} layers"
