"""Rounding a whole model to eight bits while it is trained."""

from __future__ import annotations

from collections import Counter
from typing import Any

import keras

from keras_prunelab._channels._graph import Call, Graph, Tensor, graph_of
from keras_prunelab._errors import InvalidDataError, InvalidModelError
from keras_prunelab._model._data import batches
from keras_prunelab._model._rebuild import assign_all, config_of, copy_of, keep_frozen, rebuild
from keras_prunelab._model._source import check_ends

from ._pruned import Pruned
from ._quantized import INSIDE, OUTSIDE, WEIGHTED, Quantized

L = keras.layers

# What is computed of whole numbers and gives others.
_ROUNDED = (
    *(L.Add, L.Average, L.Concatenate, L.Multiply, L.Subtract),
    *(L.AveragePooling1D, L.AveragePooling2D, L.GlobalAveragePooling1D, L.GlobalAveragePooling2D),
    *(L.LeakyReLU, L.ReLU),
)
# What gives some of the numbers that it is given.
_PASSING = (
    *(L.Cropping1D, L.Cropping2D, L.Flatten, L.Identity, L.MaxPooling1D, L.MaxPooling2D, L.Permute, L.Reshape),
    *(L.Dropout, L.GlobalMaxPooling1D, L.GlobalMaxPooling2D, L.SpatialDropout1D, L.SpatialDropout2D),
    *(L.RepeatVector, L.ZeroPadding1D, L.ZeroPadding2D),
)


def quantized(model: keras.Model, calibration: Any) -> keras.Model:
    """Make a copy of a model that computes with numbers of eight bits, to be trained on.

    Train it on, with `callbacks.Prune(masks="from_zeros")` or any other callback where it is sparse, then write it:
    `export_litert(trained, path, "int8", calibration=...)` takes the ranges that training has found, so that the file
    answers as the model does. `strip` makes a plain model of floating-point numbers again.

    Weights of `Dense`, `Conv1D`, `Conv2D` and `DepthwiseConv2D` are rounded, and so is what goes from layer to layer.
    Layers of other classes without weights compute as they are.

    Args:
        model: a built functional or sequential model, which is only read, without batch normalization:
            `keras_prunelab.fuse` takes that into the layer before it.
        calibration: some hundred observations, in any form that a sweep takes: ranges begin with their least and
            largest outputs.

    Returns:
        The copy, compiled as the model was; the optimizer begins anew.

    Raises:
        InvalidModelError: a layer with weights cannot be rounded, or is wrapped in `Pruned`; or the model is a subclass
            whose layers Keras cannot see.
        InvalidDataError: there is no calibration data, it does not fit the model, is not finite, or is all the same.

    Examples:
        >>> import keras, numpy as np
        >>> import keras_prunelab as kpl
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(2)])
        >>> model.compile("adam", "mse")
        >>> x = np.random.default_rng(0).normal(size=(100, 8)).astype("float32")
        >>> aware = kpl.layers.quantized(kpl.prune(model, 0.5), x)
        >>> keep = kpl.callbacks.Prune(0.5, masks="from_zeros")
        >>> history = aware.fit(x, np.zeros((100, 2)), verbose=0, callbacks=[keep])
        >>> kpl.sparsity(aware)
        0.5
    """
    if not isinstance(model, keras.Model) or not model.built:
        raise InvalidModelError("Only a model that is built can be quantized. Build it from keras.Input.")
    graph = graph_of(model)
    _check(graph)
    options = _options(graph)
    pairs: list[tuple[Any, Any]] = []

    def replace(layer: Any) -> Any:
        if id(layer) not in options:
            new = copy_of(layer)
            if isinstance(layer, L.Layer):
                pairs.append((layer, new))
            return new
        activation = _outside(layer)
        changes = {"activation": "linear"} if activation else {}
        inner = type(layer).from_config(config_of(layer) | changes)
        pairs.append((layer, inner))
        return Quantized(inner, activation, **options[id(layer)])

    new = rebuild(model, replace, what="quantized")
    for layer, inner in pairs:
        assign_all(inner, [keras.ops.convert_to_numpy(variable) for variable in layer.variables])
        keep_frozen(layer.variables, inner.variables)
    _observe(new, calibration)
    return new


def _check(graph: Graph) -> None:
    for call in graph.calls:
        layer = call.layer
        if isinstance(layer, Pruned):
            raise InvalidModelError(
                f"Layer {layer.name!r} is wrapped in Pruned. Quantize first, and wrap then: "
                "wrap(quantized(strip(model), calibration), ...)."
            )
        if isinstance(layer, L.BatchNormalization):
            raise InvalidModelError(
                f"Layer {layer.name!r} is a batch normalization, which a device computes as part of the layer before "
                "it. Quantize keras_prunelab.fuse(model)."
            )
        if call.learnables and type(layer) not in (*WEIGHTED, Quantized):
            raise InvalidModelError(
                f"Layer {layer.name!r} of class {type(layer).__name__} has weights that cannot be rounded; those of "
                f"{', '.join(kind.__name__ for kind in WEIGHTED)} can. export_litert and export_c quantize it after "
                "training."
            )


def _options(graph: Graph) -> dict[int, dict[str, bool]]:
    """The arguments of `Quantized` for each layer that is wrapped, by the layer's id."""
    readers: Counter[Tensor] = Counter([*graph.outputs, *(tensor for call in graph.calls for tensor in call.inputs)])
    reader = {tensor: call for call in graph.calls for tensor in call.inputs}
    raw = set(graph.inputs)
    options: dict[int, dict[str, bool]] = {}
    for call in graph.calls:
        reads_raw = not raw.isdisjoint(call.inputs)
        if isinstance(call.layer, (*WEIGHTED, *_ROUNDED)) or _relu(call):
            (output,) = call.outputs
            joined = readers[output] == 1 and output in reader and _relu(reader[output]) and not _outside(call.layer)
            before = options.get(id(call.layer), {"round_inputs": False, "round_outputs": False})
            options[id(call.layer)] = {
                "round_inputs": before["round_inputs"] or (reads_raw and not _relu(call)),
                "round_outputs": before["round_outputs"] or not joined,
            }
        elif reads_raw or not isinstance(call.layer, _PASSING):
            raw.update(call.outputs)
    return options


def _relu(call: Call) -> bool:
    """Whether a layer is a rectifier, which is one operation with the layer before it."""
    layer = call.layer
    if isinstance(layer, L.Activation):
        return _name_of(layer.activation) in ("relu", "relu6")
    is_plain = isinstance(layer, L.ReLU) and not layer.negative_slope and not layer.threshold
    return is_plain and layer.max_value in (None, 6)


def _outside(layer: Any) -> str | None:
    """The activation of a layer that is computed of rounded numbers; None where it has none, or a rectifier.

    Raises:
        InvalidModelError: its activation is another one.
    """
    if not isinstance(layer, WEIGHTED):
        return None
    name = _name_of(layer.activation)
    if name not in INSIDE + OUTSIDE:
        raise InvalidModelError(
            f"Layer {layer.name!r} has the activation {name}, for which there is no rounding; there is one for "
            f"{', '.join(INSIDE + OUTSIDE)}. A layer of its own behind it, keras.layers.Activation({name!r}), stays as "
            "it is."
        )
    return name if name in OUTSIDE else None


def _name_of(activation: Any) -> str:
    return str(getattr(activation, "__name__", activation))


def _observe(model: keras.Model, calibration: Any) -> None:
    """Begin all ranges with what calibration data gives."""
    if calibration is None:
        raise InvalidDataError("Quantizing needs calibration data: some hundred inputs such as those in use.")
    check_ends(calibration)
    layers = [layer for layer in model._flatten_layers() if isinstance(layer, Quantized)]
    ends: list[tuple[float, float]] = []
    for layer in layers:
        layer.is_observing = True
    try:
        for batch in batches(calibration, 64, labels=False, model=model):
            batch.require_finite()
            arrays = [keras.ops.convert_to_numpy(each) for each in keras.tree.flatten(batch.inputs)]
            ends += [(float(each.min()), float(each.max())) for each in arrays]
            model(batch.inputs, training=False)
    finally:
        for layer in layers:
            layer.is_observing = False
    if len({end for pair in ends for end in pair}) == 1:
        raise InvalidDataError(
            f"All calibration numbers are {ends[0][0]:g}, so they have no range to divide into 256 steps. Give inputs "
            "such as those in use."
        )
