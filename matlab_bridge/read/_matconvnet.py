"""MatConvNet's networks: `simplenn`, a cell of layers, and `DagNN`, layers that name what they take and give.

Both become the blocks of MatConvNet's `dagnn` classes, with the settings of MATLAB's layers of the same
meaning, so that `layers/matconvnet.py` converts them.

Source: the help of vl_simplenn, vl_simplenn_tidy and dagnn.DagNN, https://www.vlfeat.org/matconvnet/functions/
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from matlab_bridge._errors import InvalidNetworkError
from matlab_bridge._layer import Array, Layer, Part
from matlab_bridge.matfile._elements import numeric, texts
from matlab_bridge.network import Connection, Network, Source, series

from ._image_size import smallest_classified

Fields = Mapping[str, Any]

_SIMPLENN_BLOCKS = {
    "bnorm": "dagnn.BatchNorm",
    "concat": "dagnn.Concat",
    "conv": "dagnn.Conv",
    "convt": "dagnn.ConvTranspose",
    "dropout": "dagnn.DropOut",
    "lrn": "dagnn.LRN",
    "normalize": "dagnn.LRN",
    "pool": "dagnn.Pooling",
    "relu": "dagnn.ReLU",
    "sigmoid": "dagnn.Sigmoid",
    "softmax": "dagnn.SoftMax",
    # At prediction the loss is left out, and its softmax stays.
    "softmaxloss": "dagnn.SoftMax",
}
_LOSSES = frozenset({"loss", "pdist"})


def is_simplenn(value: Any) -> bool:
    """Whether a value is a `simplenn` struct: a cell `layers` of structs that each have a `type`."""
    if not isinstance(value, Mapping) or {"vars", "params"} <= value.keys():
        return False
    layers = _structs(value.get("layers"))
    return bool(layers) and all(isinstance(layer.get("type"), str) for layer in layers)


def is_dagnn(value: Any) -> bool:
    """Whether a value is what `net.saveobj()` gives of a `dagnn.DagNN`, or the variables of a file are."""
    return isinstance(value, Mapping) and {"layers", "vars", "params"} <= value.keys()


def read_simplenn(value: Any, source: Source) -> Network:
    """Read a `simplenn` struct of any version.

    Args:
        value: the struct.
        source: where it stands.

    Returns:
        The network, a softmax in place of a loss at its end.
    """
    blocks = []
    for number, fields in enumerate(_structs(value["layers"]), start=1):
        kind = str(fields["type"])
        if kind not in _LOSSES:
            name = fields["name"] if isinstance(fields.get("name"), str) and fields["name"] else f"{kind}_{number}"
            blocks.append(_block(name, _SIMPLENN_BLOCKS.get(kind, f"simplenn.{kind}"), fields, _weights(fields)))
    blocks = _with_unique_names(blocks)
    # Until 2015 the facts beside the layers were fields of the network itself.
    meta = value["meta"] if isinstance(value.get("meta"), Mapping) else value
    is_classifier = any(fields["type"] == "softmaxloss" for fields in _structs(value["layers"]))
    connections = series(block.name for block in blocks)
    entry = _entry(blocks, connections, meta, classifies=is_classifier)
    return Network(
        (entry, *blocks),
        (Connection(entry.name, blocks[0].name), *connections),
        class_names=_class_names(meta),
        source=source,
        class_name="simplenn",
    )


def read_dagnn(value: Any, source: Source) -> Network:
    """Read a `DagNN`.

    Args:
        value: the struct, or the variables of a file by name.
        source: where it stands.

    Returns:
        The network without its losses, a softmax in place of one that computes it.

    Raises:
        InvalidNetworkError: if a layer takes a variable or a parameter that is not there.
    """
    parameters = {str(each["name"]): each.get("value") for each in _structs(value["params"])}
    blocks: list[Layer] = []
    taken: dict[str, tuple[str, ...]] = {}
    givers: dict[str, str] = {}
    for fields in _structs(value["layers"]):
        kind, name, inputs = str(fields["type"]), str(fields["name"]), texts(fields.get("inputs"))
        settings = fields["block"] if isinstance(fields.get("block"), Mapping) else {}
        if kind == "dagnn.Loss":
            if texts(settings.get("loss", "softmaxlog")) != ("softmaxlog",):
                continue
            # The loss takes the labels too; the softmax in its place does not.
            kind, inputs = "dagnn.SoftMax", inputs[:1]
        lost = [parameter for parameter in texts(fields.get("params")) if parameter not in parameters]
        if lost:
            raise InvalidNetworkError(
                f"The layer {name!r} of {source.variable!r} has the parameters {', '.join(lost)}, which the network "
                f"does not; it has {', '.join(parameters) or 'none'}."
            )
        arrays = [_array(parameters[parameter]) for parameter in texts(fields.get("params"))]
        blocks.append(_block(name, kind, settings, arrays))
        taken[name] = inputs
        givers.update(dict.fromkeys(texts(fields.get("outputs")), name))
    given = list(dict.fromkeys(variable for inputs in taken.values() for variable in inputs if variable not in givers))
    if len(given) != 1:
        raise InvalidNetworkError(
            f"The network {source.variable!r} takes {len(given)} inputs ({', '.join(given)}); one was expected."
        )
    # Variables and layers may have the same names; here both are layers.
    givers[given[0]] = entry_name = f"{given[0]}_input" if given[0] in taken else given[0]
    connections = tuple(
        Connection(givers[variable], name, "", f"in{place}" if len(inputs) > 1 else "")
        for name, inputs in taken.items()
        for place, variable in enumerate(inputs, start=1)
    )
    meta = value["meta"] if isinstance(value.get("meta"), Mapping) else {}
    is_classifier = any(block.class_name == "dagnn.SoftMax" for block in blocks)
    entry = _entry(blocks, connections, meta, classifies=is_classifier, name=entry_name)
    return Network((entry, *blocks), connections, class_names=_class_names(meta), source=source, class_name="DagNN")


def _block(name: str, kind: str, fields: Fields, arrays: list[Array]) -> Layer:
    settings = _SETTINGS.get(kind, dict)(fields)
    state: dict[str, Array] = {}
    parts: dict[str, Part] = {}
    names = ("Scale", "Offset") if kind == "dagnn.BatchNorm" else ("Weights", "Bias")
    # MatConvNet writes [] for biases that there are none of.
    learnables = {key: array for key, array in zip(names, arrays, strict=False) if array.size}
    if kind == "dagnn.BatchNorm":
        moments = arrays[2] if len(arrays) > 2 and arrays[2].size else np.zeros((0, 2), dtype=np.float32)
        parts = {
            "Mean": Part("moments", moments, (slice(None), 0)),
            "Sigma": Part("moments", moments, (slice(None), 1)),
        }
        state = {key: moments[part.index] for key, part in parts.items()}
    return Layer(name, kind, settings, learnables, state, parts)


def _weights(fields: Fields) -> list[Array]:
    """The weights of a `simplenn` layer; until 2015 they were fields of their own."""
    if "weights" in fields:
        return [_array(array) for array in np.ravel(fields["weights"], order="F")]
    return [_array(fields[name]) for name in ("filters", "biases") if name in fields]


def _array(value: Any) -> Array:
    array = numeric(value)
    return np.zeros((0, 0)) if array is None else array


def _row(*numbers: float) -> Array:
    return np.array([numbers], dtype=float)


def _number(fields: Fields, name: str, default: float) -> Array:
    value = numeric(fields.get(name))
    return _row(default) if value is None or value.size == 0 else value.astype(float).reshape(1, -1)


def _conv(fields: Fields) -> dict[str, Any]:
    return {
        "Stride": _number(fields, "stride", 1),
        "PaddingSize": _number(fields, "pad", 0),
        "DilationFactor": _number(fields, "dilate", 1),
    }


def _conv_transpose(fields: Fields) -> dict[str, Any]:
    return {
        "Stride": _number(fields, "upsample", 1),
        "CroppingSize": _number(fields, "crop", 0),
        "NumGroups": _number(fields, "numGroups", 1),
    }


def _pooling(fields: Fields) -> dict[str, Any]:
    return {
        "Method": str(fields.get("method", "max")),
        "PoolSize": _number(fields, "pool" if "pool" in fields else "poolSize", 1),
        "Stride": _number(fields, "stride", 1),
        "PaddingSize": _number(fields, "pad", 0),
    }


def _lrn(fields: Fields) -> dict[str, Any]:
    stored = numeric(fields.get("param"))
    return {"Param": _row(5, 1, 0.0001 / 5, 0.75) if stored is None else stored.astype(float).reshape(1, -1)}


_SETTINGS: dict[str, Callable[[Fields], dict[str, Any]]] = {
    "dagnn.BatchNorm": lambda fields: {"Epsilon": _number(fields, "epsilon", 1e-4)},
    "dagnn.Concat": lambda _: {},
    "dagnn.Conv": _conv,
    "dagnn.ConvTranspose": _conv_transpose,
    "dagnn.DropOut": lambda fields: {"Probability": _number(fields, "rate", 0.5)},
    "dagnn.LRN": _lrn,
    "dagnn.Pooling": _pooling,
    "dagnn.ReLU": lambda fields: {"Scale": _number(fields, "leak", 0)},
    "dagnn.Sigmoid": lambda _: {},
    "dagnn.SoftMax": lambda _: {},
    "dagnn.Sum": lambda _: {},
}


def _with_unique_names(blocks: list[Layer]) -> list[Layer]:
    names = [block.name for block in blocks]
    return [
        block if names.count(block.name) == 1 else replace(block, name=f"{block.name}_{number}")
        for number, block in enumerate(blocks, start=1)
    ]


def _entry(
    blocks: Sequence[Layer],
    connections: Sequence[Connection],
    meta: Fields,
    *,
    classifies: bool,
    name: str = "input",
) -> Layer:
    """The input, as large as `meta` says, or as the smallest image that a classifier makes one pixel of."""
    channels = next((_channels(block) for block in blocks if block.class_name == "dagnn.Conv"), 1)
    normalization = meta["normalization"] if isinstance(meta.get("normalization"), Mapping) else {}
    size = _image_size(meta, normalization, channels)
    if not size and classifies:
        side = smallest_classified(blocks, connections)
        size = (side, side, channels) if side else ()
    if not size:
        return Layer(name, "dagnn.AnySizeInputLayer", {"NumChannels": _row(channels)})
    settings = {"InputSize": _row(*size), "Normalization": _average(normalization, size)}
    return Layer(name, "nnet.cnn.layer.ImageInputLayer", settings)


def _channels(block: Layer) -> int:
    shape = block.learnables["Weights"].shape if "Weights" in block.learnables else ()
    return int(shape[2]) if len(shape) > 2 else 1


def _image_size(meta: Fields, normalization: Fields, channels: int) -> tuple[int, ...]:
    for stored in (normalization.get("imageSize"), meta.get("inputSize")):
        size = numeric(stored)
        if size is not None and size.size >= 2:
            height, width, *depth = (int(number) for number in size.ravel()[:3])
            return height, width, depth[0] if depth else channels
    return ()


def _average(normalization: Fields, size: tuple[int, ...]) -> Any:
    """What is subtracted from the images, as MATLAB's own input layer keeps it."""
    average = numeric(normalization.get("averageImage"))
    if average is None or average.size == 0 or not np.any(average):
        return np.zeros((0, 0))
    if average.size in (1, size[2]):
        average = average.reshape(1, 1, -1)
    if average.shape not in {size, size[:2], (1, 1, size[2]), (1, 1, 1)}:
        warnings.warn(
            f"The average image of the network is {'x'.join(map(str, average.shape))}, and its images are "
            f"{'x'.join(map(str, size))}: it is left out. Subtract it from the images yourself.",
            stacklevel=2,
        )
        return np.zeros((0, 0))
    return {"Type": "zerocenter", "AverageImage": average}


def _class_names(meta: Fields) -> tuple[str, ...]:
    """The classes; ImageNet's have a short `name` and a `description` in words."""
    classes = meta.get("classes")
    if isinstance(classes, Mapping):
        return next((found for key in ("description", "name") if (found := texts(classes.get(key)))), ())
    return texts(classes)


def _structs(value: Any) -> list[Fields]:
    """The structs of a cell or a struct array, or one alone; empty where there is anything else among them."""
    if isinstance(value, Mapping):
        return [value]
    elements = list(np.ravel(value, order="F")) if isinstance(value, np.ndarray) and value.dtype == object else []
    return elements if all(isinstance(element, Mapping) for element in elements) else []
