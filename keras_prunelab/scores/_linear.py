"""A model as SynFlow's theory has it: linear along every path from an input to an output."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import keras

from keras_prunelab._model._rebuild import is_graph

from ._linear_ops import apply_linear, gain_of, is_nonlinear, rescale
from ._logits import all_ones

_Call: TypeAlias = Callable[..., Any]
_IDENTITIES = ("Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax")
_NORMALIZATIONS = ("LayerNormalization", "GroupNormalization", "RMSNormalization", "UnitNormalization")
# What multiplies activations with each other inside is laid open, as layers of users' own are.
_PRODUCTS = (
    "Attention",
    "AdditiveAttention",
    "MultiHeadAttention",
    "GroupedQueryAttention",
    "LSTMCell",
    "GRUCell",
    "ConvLSTMCell",
)
_ACTIVATIONS = ("activation", "recurrent_activation")


def linear_flow(model: keras.Model, data: Any = None) -> Callable[[Any], Any]:
    """Prepare R, the sum of all outputs of the linear network on an all-ones input, in float64.

    Args:
        model: a built model. It is left as it is.
        data: inputs to take the shapes from where the model, being subclassed, does not tell them.

    Returns:
        A function that computes R, a scalar tensor, times a number that it is given, on an input of that number
        instead of ones.

    Raises:
        InvalidModelError: the input shape is unknown.
    """
    ones = all_ones(model, data)

    def total(size: Any) -> Any:
        wide = keras.tree.map_structure(lambda leaf: _fit_size(_float64(leaf), size), ones)
        with _linear(model):
            outputs = model(wide, training=False)
        return sum(keras.ops.sum(_fit_size(output, size)) for output in keras.tree.flatten(outputs))

    return total


@contextlib.contextmanager
def _linear(model: Any) -> Iterator[None]:
    """Let everything in a model compute linearly, in float64, for the time of one forward pass."""
    changed: list[tuple[Any, str, bool, Any]] = []

    def put(owner: Any, name: str, value: Any) -> None:
        changed.append((owner, name, name in vars(owner), vars(owner).get(name)))
        object.__setattr__(owner, name, value)  # past Keras, which would track it

    policy = keras.dtype_policies.DTypePolicy("float64")
    try:
        for part in _parts(model):
            if hasattr(part, "_dtype_policy") and keras.backend.is_float_dtype(part.compute_dtype):
                put(part, "_dtype_policy", policy)
                if isinstance(part, keras.layers.InputLayer):
                    put(part, "_dtype", "float64")  # a Sequential rounds its inputs to this type
            if hasattr(part, "use_cudnn"):
                put(part, "use_cudnn", False)  # a fused loop over time would not ask the cell
            for name in _ACTIVATIONS:
                activation = vars(part).get(name)
                if callable(activation) and not isinstance(activation, keras.layers.Layer):
                    put(part, name, _linear_activation(activation))
            call = _call_of(part)
            if call is not None:
                put(part, "call", call)
        yield
    finally:
        for owner, name, was_own, value in reversed(changed):
            if was_own:
                object.__setattr__(owner, name, value)
            else:
                object.__delattr__(owner, name)


def _parts(model: Any) -> list[Any]:
    """All layers of a model, and the bare operations of its graphs, each once."""
    found: dict[int, Any] = {}
    for layer in model._flatten_layers():
        graphs = [layer] if is_graph(layer) else []
        graphs += [layer._functional] if getattr(layer, "_functional", None) is not None else []
        for part in (layer, *graphs, *(operation for graph in graphs for operation in _operations(graph))):
            found[id(part)] = part
    return list(found.values())


def _operations(graph: Any) -> list[Any]:
    return list(getattr(graph, "operations", ()))


def _linear_activation(activation: _Call) -> _Call:
    def linear(x: Any, *args: Any, **kwargs: Any) -> Any:
        if getattr(activation, "__name__", "") == "glu":
            axis = kwargs.get("axis", args[0] if args else -1)
            value, gate = keras.ops.split(x, 2, axis=axis)
            return rescale(value) * rescale(gate)
        outputs = activation(x, *args, **kwargs)
        # A user's activation may change the shape, as maxout does: then it is more than an activation.
        return x if tuple(outputs.shape) == tuple(x.shape) else outputs

    return linear


def _call_of(part: Any) -> _Call | None:
    """What a layer or operation computes instead of its `call`; None where that is linear."""
    kind, is_kerass = type(part).__name__, type(part).__module__.startswith("keras.")
    if not isinstance(part, keras.layers.Layer):
        return (lambda *args, **kwargs: apply_linear(part, _plain(part), args, kwargs)) if is_nonlinear(part) else None
    if is_graph(part):
        return _run_graph(part)
    if type(part).call is keras.layers.BatchNormalization.call:  # also of a class of one's own
        return _batch_normalization(part)
    if not is_kerass:
        return _trace(part) if type(part).call is not keras.layers.Layer.call else None
    if kind in _IDENTITIES:
        return lambda inputs, *_args, **_kwargs: inputs
    if kind in _NORMALIZATIONS:
        return lambda inputs, *_args, **_kwargs: _scale(part, rescale(inputs))
    if kind in _PRODUCTS or kind == "Lambda":
        return _trace(part)
    return _RULES.get(kind, lambda _layer: None)(part)


def _plain(part: Any) -> _Call:
    """The `call` of a class, past what is put on the object."""
    return lambda *args, **kwargs: type(part).call(part, *args, **kwargs)


def _run_graph(graph: Any) -> _Call:
    # Past a functional model's own call, which would cast to the type of its inputs.
    target = graph if hasattr(graph, "_run_through_graph") else graph._functional
    return lambda inputs, *_args, **_kwargs: target._run_through_graph(inputs)


def _scale(layer: Any, x: Any) -> Any:
    """Apply the gamma and beta of a normalization, along the axes that it normalizes with."""
    shape = _along(layer, x)
    for name, apply in (("gamma", keras.ops.multiply), ("scale", keras.ops.multiply), ("beta", keras.ops.add)):
        weight = getattr(layer, name, None)
        if isinstance(weight, keras.Variable):
            x = apply(x, keras.ops.reshape(weight.value, shape))
    return x


def _along(layer: Any, x: Any) -> list[int]:
    axes = getattr(layer, "axis", -1)
    axes = [axis % x.ndim for axis in (axes if isinstance(axes, (list, tuple)) else [axes])]
    return [length if axis in axes else 1 for axis, length in enumerate(x.shape)]


def _rescaling(layer: Any) -> _Call:
    def call(inputs: Any, *_args: Any, **_kwargs: Any) -> Any:
        scale = keras.ops.abs(keras.ops.cast(keras.ops.convert_to_tensor(layer.scale), "float64"))
        return _float64(inputs) * scale

    return call


def _normalization(layer: Any) -> _Call:
    def call(inputs: Any, *_args: Any, **_kwargs: Any) -> Any:
        deviation = keras.ops.sqrt(keras.ops.cast(layer.variance, "float64"))
        # An array, because a Python number would be float32 and Keras would narrow the result to that.
        deviation = keras.ops.maximum(deviation, keras.ops.full_like(deviation, 1e-7))
        x = _float64(inputs)
        return x * deviation if layer.invert else x / deviation

    return call


def _batch_normalization(layer: Any) -> _Call:
    # On JAX and torch the layer itself computes in float32.
    def call(inputs: Any, *_args: Any, **_kwargs: Any) -> Any:
        variance = _float64(layer.moving_variance.value)
        gain = keras.ops.rsqrt(keras.ops.add(variance, keras.ops.full_like(variance, layer.epsilon)))
        return _scale(layer, _float64(inputs) * keras.ops.reshape(gain, _along(layer, inputs)))

    return call


def _product(_layer: Any) -> _Call:
    def call(inputs: Any, *_args: Any, **_kwargs: Any) -> Any:
        result = rescale(inputs[0])
        for factor in inputs[1:]:
            result = result * rescale(factor)
        return result

    return call


def _dot(layer: Any) -> _Call:
    plain = _plain(layer)
    return lambda inputs, *args, **kwargs: plain([rescale(factor) for factor in inputs], *args, **kwargs)


_RULES: Mapping[str, Callable[[Any], _Call | None]] = {
    "Rescaling": _rescaling,
    "Normalization": _normalization,
    "Multiply": _product,
    "Dot": _dot,
    "Subtract": lambda _layer: lambda inputs, *_args, **_kwargs: inputs[0] + inputs[1],
}


def _trace(layer: Any) -> _Call:
    """Lay a layer's computation open, and run it by the rules of its single operations."""
    plain = _plain(layer)

    def call(*args: Any, **kwargs: Any) -> Any:
        tensors: list[Any] = []
        symbols: list[Any] = []

        def symbol(leaf: Any) -> Any:
            if not keras.ops.is_tensor(leaf):
                return leaf
            tensors.append(leaf)
            symbols.append(keras.KerasTensor(tuple(leaf.shape), keras.backend.standardize_dtype(leaf.dtype)))
            return symbols[-1]

        symbolic_args, symbolic_kwargs = keras.tree.map_structure(symbol, (list(args), kwargs))
        try:
            graph = keras.Function(symbols, plain(*symbolic_args, **symbolic_kwargs))
        except Exception:  # noqa: BLE001 - whatever cannot be traced, such as a backend's own operations, stays
            return plain(*args, **kwargs)
        # A softmax at the end is an activation; any other one weighs things, as that of attention does.
        last = {id(tensor._keras_history.operation) for tensor in graph.outputs}
        return graph._run_through_graph(tensors, operation_fn=lambda part: _by_rule(part, id(part) in last))

    return call


def _by_rule(operation: Any, is_last: bool) -> _Call:
    if is_last and type(operation).__name__ in ("Softmax", "LogSoftmax"):
        return lambda inputs, *_args, **_kwargs: inputs
    if isinstance(operation, keras.layers.Softmax):
        return lambda inputs, mask=None, **_kwargs: gain_of(inputs, operation.axis, mask)
    if isinstance(operation, keras.layers.Layer) or not is_nonlinear(operation):
        return operation  # type: ignore[no-any-return]
    return lambda *args, **kwargs: apply_linear(operation, operation.call, args, kwargs)


def _fit_size(x: Any, size: Any) -> Any:
    is_float = keras.backend.is_float_dtype(keras.backend.standardize_dtype(x.dtype))
    return x * keras.ops.cast(size, x.dtype) if is_float else x  # the numbers of words are no sizes


def _float64(x: Any) -> Any:
    x = keras.ops.convert_to_tensor(x)
    return keras.ops.cast(x, "float64") if keras.backend.is_float_dtype(keras.backend.standardize_dtype(x.dtype)) else x
