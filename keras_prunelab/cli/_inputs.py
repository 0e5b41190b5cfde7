"""The networks and the data that the commands work on: found by the bridge or by Keras, described in a line each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_prunelab._errors import InvalidModelError

from . import _console, _model_files

if TYPE_CHECKING:
    import keras

    from matlab_bridge import Dataset, Network


@dataclass(frozen=True)
class OpenedModel:
    """A Keras model, the file it came from, and the MATLAB network it was, if it was one.

    Attributes:
        path: the file.
        built: the model; None for a MATLAB network that is not converted before it is needed, since Keras takes
            seconds to load.
        network: the MATLAB network.
        class_names: those of its outputs.
    """

    path: Path
    built: keras.Model | None = None
    network: Network | None = None
    class_names: tuple[str, ...] = ()

    @cached_property
    def model(self) -> keras.Model:
        """The model."""
        if self.built is not None:
            return self.built
        assert self.network is not None, "an opened file has a model or a network"  # noqa: S101
        with _console.native_messages_hidden():
            return self.network.to_keras()

    @property
    def convention(self) -> str:
        """MATLAB's convention for a network of MATLAB's, the papers' for a Keras model."""
        return "paper" if self.network is None else "matlab"

    @property
    def variable(self) -> str | None:
        """The path of the network inside its file; None for matrices, of which the model has the description."""
        source = self.network.source if self.network else None
        return source.variable if source and not source.describe else None


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
    if is_keras:
        import matlab_bridge.convert.keras_objects  # what models that were MATLAB's may need
        from matlab_bridge.convert._sidecar import attach

        model = _model_files.load(path)
        facts = bridge.load_sidecar(path)
        attach(model, facts)
        opened = OpenedModel(path, model, class_names=facts.class_names)
    else:
        network = bridge.load_network(path, **find_named_network(variable))
        opened = OpenedModel(path, None, network, network.class_names)
        _console.say(f"Network: {_what(network)}, {_count_learnables(network):,} learnables.")
    return opened


def check_inputs(network: Path, *data: Path | None, image_root: Path | None = None) -> None:
    """Make sure that the files of a command are there and of a kind that is read, before any of them is opened.

    Raises:
        FileNotFoundError: one is not there.
        InvalidModelError: the network is of another kind.
        InvalidDataError: data is of another kind, or the folder of images is none.
    """
    from keras_prunelab._errors import InvalidDataError

    if not network.exists():
        raise FileNotFoundError(f"There is no file {str(network)!r}.")
    if not network.is_dir() and network.suffix.lower() not in {".mat", *_model_files.ENDINGS}:
        raise InvalidModelError(f"A network is a .mat, a .keras or an .h5 file, but got {str(network)!r}.")
    for path in filter(None, data):
        if not path.exists():
            raise FileNotFoundError(f"There is no file or folder {str(path)!r}.")
        if not path.is_dir() and path.suffix.lower() not in DATA_ENDINGS:
            raise InvalidDataError(
                f"Data is a folder, or a file that ends in {', '.join(DATA_ENDINGS)}, but got {str(path)!r}."
            )
    if image_root is not None and not image_root.is_dir():
        raise InvalidDataError(f"--image-root is a folder, but {str(image_root)!r} is none.")


def source_of_data(network: Path, data: Path | None) -> Path:
    """Where the data is: in the file that was named, else in the network's, since a workspace of MATLAB holds both.

    Raises:
        InvalidDataError: none was named, and the network's is a file of Keras, which holds no data.
    """
    from keras_prunelab._errors import InvalidDataError

    if data is None and network.suffix.lower() in _model_files.ENDINGS:
        raise InvalidDataError(
            f"{str(network)!r} holds a network and no data. Name what to measure on with --data: a folder of images, "
            f"or a file that ends in {', '.join(DATA_ENDINGS)}."
        )
    return data or network


DATA_ENDINGS = (".mat", ".npz", ".npy", ".csv", ".zip")
"""The endings of files of data."""


def open_data(
    opened: OpenedModel,
    path: Path,
    inputs: str | None,
    labels: str | None,
    image_root: Path | None,
    *,
    needs_labels: bool = True,
) -> Dataset:
    """The inputs and labels for a model, in the order of its classes."""
    import matlab_bridge as bridge

    data = open_inputs(opened, path, inputs, labels, image_root)
    if data.labels is None and needs_labels:
        raise bridge.DatasetNotFoundError(
            f"{path} holds inputs but no labels, and without labels there is no accuracy. "
            "Name the variable with --labels; one of another file is --labels FILE:NAME."
        )
    return data


def open_inputs(
    opened: OpenedModel, path: Path, inputs: str | None, labels: str | None = None, image_root: Path | None = None
) -> Dataset:
    """The inputs for a model, and the labels where there are any."""
    import matlab_bridge as bridge

    data = bridge.load_dataset(path, inputs, labels, network=describe(opened), image_root=image_root)
    for line in data.description.splitlines():
        _console.say(f"Data: {line}")
    return data


def write_loading_code(opened: OpenedModel, data: Path, options: dict[str, Path | str | None]) -> str:
    """Python that opens a network and its data as a command did, and calls them `model` and `data`."""
    given = "".join(f", {name}={str(value)!r}" for name, value in options.items() if value is not None)
    path = str(opened.path)
    if opened.network is not None:
        imports = ["import matlab_bridge as mb"]
        source = opened.network.source
        named = f", {opened.variable!r}" if opened.variable else ""
        if source is not None and source.describe:
            imports.append("from matlab_bridge import WeightLayer")
            named = f", describe={list(source.describe)!r}"
        lines = [f"net = mb.load_network({path!r}{named})", "model = net.to_keras()"]
    else:
        imports = ["import dataclasses", "", "import keras_prunelab as kpl", "import matlab_bridge as mb"]
        if any(type(layer).__module__.startswith("matlab_bridge") for layer in opened.model._flatten_layers()):
            imports.append("import matlab_bridge.convert.keras_objects")
        lines = [f"model = kpl.load_sparse({path!r})", "net = None"]
        if describe(opened) is not None:
            lines[-1] = f"net = dataclasses.replace(mb.from_keras(model), class_names={opened.class_names!r})"
    return "\n".join([*imports, "", *lines, f"data = mb.load_dataset({str(data)!r}{given}, network=net)"])


def find_named_network(variable: str | None) -> dict[str, Any]:
    """What `load_network` is told by --network: a variable, or, with blanks in it, the layers that matrices are.

    A layer is the path of its weights (with `'` where they are transposed), of its bias (or `first` or `last`, the
    column of the weights that is the bias), and its activation; layers are apart by semicolons.
    """
    if variable is None or " " not in variable.strip():
        return {"variable": variable}
    import matlab_bridge as bridge

    layers = []
    for each in filter(None, map(str.split, variable.split(";"))):
        weights, *others = each
        bias = others[0] if len(others) > 1 else ""
        layers.append(
            bridge.WeightLayer(
                weights.removesuffix("'"),
                "" if bias in {"first", "last"} else bias,
                activation=others[-1] if others else "linear",
                orientation="inputs x outputs" if weights.endswith("'") else "outputs x inputs",
                bias_column=bias if bias in {"first", "last"} else "",
            )
        )
        if len(others) > 2:
            raise InvalidModelError(
                f"--network has {' '.join(each)!r}; a layer is its weights, its bias and its activation: 'W1 b1 tanh'."
            )
    return {"describe": layers}


def describe(opened: OpenedModel) -> Network | None:
    """The network whose input size and class names tell which variable is what."""
    import matlab_bridge as bridge

    if opened.network is not None:
        return opened.network
    try:
        return replace(bridge.from_keras(opened.model), class_names=opened.class_names)
    except bridge.UnsupportedLayerError:  # a Keras model that MATLAB has no words for: the data must be named
        return None


def _count_learnables(network: Network) -> int:
    return sum(array.size for layer in network.layers for array in layer.learnables.values())


def _what(network: Network) -> str:
    source = network.source
    name = f"{source.variable} of {source.path.name}, a " if source else "a "
    return f"{name}{network.class_name} with {len(network.layers)} layers"
