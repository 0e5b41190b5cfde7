"""Building a model anew with some of its layers replaced."""

from __future__ import annotations

import contextlib
import inspect
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
from keras.src.saving.serialization_lib import SafeModeScope

from keras_prunelab._errors import InvalidModelError, PruneLabError

from ._state import assign_values


def rebuild(
    model: keras.Model,
    replace: Callable[[Any], Any],
    *,
    what: str,
    shape_of: Callable[[Any], Any] = lambda symbol: symbol.shape,
) -> keras.Model:
    """Build a functional or sequential model anew, layer by layer.

    Names, nested models, shared layers, and how the model was compiled are carried over; the optimizer begins anew.
    Weights are for the caller to copy.

    Args:
        model: a built model.
        replace: makes a new layer from each layer that is not a functional or sequential model itself; or gives
            `nothing` or `inside`.
        what: what is being done, for the errors: `"wrapped"`.
        shape_of: the shape that a symbolic input of the model, or of a model inside it, has in the new one.

    Returns:
        The new model.

    Raises:
        InvalidModelError: the model is a subclass whose layers Keras cannot see.
    """
    refusal = (
        f"Model {model.name!r} of class {type(model).__name__} cannot be {what}: only functional and sequential models "
        "can be built anew layer by layer. "
    )
    mend = (
        "In the code of a class of your own, write keras_prunelab.layers.Pruned(layer, ...) where the layer is made, "
        "and the plain layer to go back; set_weights(pruned.layer.get_weights()) carries its weights over. Or prune it "
        "with keras_prunelab.callbacks.Prune, which needs no wrapper."
    )
    if not is_graph(model):
        raise InvalidModelError(refusal + mend)
    made: dict[int, Any] = {}  # by the old layer's id: what is shared stays shared

    def renew(part: Any) -> Any:
        if id(part) not in made:
            made[id(part)] = _clone(part, renew, shape_of) if is_graph(part) else replace(part)
            if made[id(part)] is inside:
                options = {"name": part.name, "trainable": part.trainable, "dtype": part.dtype_policy}
                made[id(part)] = keras.layers.TimeDistributed(renew(part.layer), **options)
        return made[id(part)]

    try:
        with known_objects(model), in_memory():
            new = renew(model)
    except PruneLabError:
        raise
    # NotImplementedError is what Keras raises for a class without get_config.
    except (TypeError, ValueError, NotImplementedError, AttributeError, KeyError) as error:
        raise InvalidModelError(
            f"Model {model.name!r} cannot be {what}, because building it anew failed with {type(error).__name__}. "
            f"{reason_for(model, error)} "
            "A layer, loss or metric of your own is made again from what its get_config returns, which has "
            "to be all arguments of its class."
        ) from error
    if type(new) is not type(model):
        raise InvalidModelError(refusal + "Its class would be lost. " + mend)
    carry_over(model, new)
    return new


def reason_for(model: Any, error: Exception) -> str:
    """Why a model cannot be made anew: the layer that cannot, with what Keras says of it, or what was said.

    Args:
        model: the model.
        error: what was raised.
    """
    for layer in model._flatten_layers(include_self=False):
        if is_graph(layer) or type(layer).__module__.startswith("keras."):
            continue
        try:
            with known_objects(model), in_memory():
                type(layer).from_config(layer.get_config())
        except Exception as own:  # noqa: BLE001 - code of the user's
            return f"Layer {layer.name!r} of class {type(layer).__name__}: {text_of(own)}"
    return text_of(error)


def text_of(error: Exception) -> str:
    """What an error says, on one line and without the codes of colours; the class of one that says nothing."""
    text = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", f"{error}").split()) or f"{type(error).__name__} without a message"
    return f"{text:.300}{'' if text.endswith('.') else '.'}"


def is_graph(layer: Any) -> bool:
    """Whether a layer is a functional or sequential model, whose call runs through its graph and nothing else."""
    graph = isinstance(layer, keras.Sequential) or hasattr(layer, "_run_through_graph")
    return graph and type(layer).call.__module__.startswith("keras.")


def _clone(model: Any, renew: Callable[[Any], Any], shape_of: Callable[[Any], Any]) -> Any:
    """A model of the same graph, with the layers that `renew` gives."""

    def new_input(symbol: Any) -> Any:  # or Keras would name the inputs after their tensors
        entry = symbol._keras_history.operation
        options = {"sparse": symbol.sparse, "optional": entry.optional, "name": entry.name}
        return keras.Input(batch_shape=shape_of(symbol), dtype=symbol.dtype, **options)

    if not isinstance(model, keras.Sequential):
        inputs = keras.tree.map_structure(new_input, model.input)
    elif shape_of(symbol := model.inputs[0]) != symbol.shape:
        inputs = new_input(symbol)
    else:
        inputs = None
    layers = [renew(layer) for layer in model.layers] if isinstance(model, keras.Sequential) else []
    if nothing in layers:
        new = _sequential(model, inputs, layers)
    else:
        new = keras.models.clone_model(model, input_tensors=inputs, clone_function=renew)
    if not model.trainable:
        new.trainable = False
    return new


def _sequential(model: Any, inputs: Any, layers: Sequence[Any]) -> Any:
    """A sequential model without those of its layers that are `nothing`."""
    entry = model.inputs[0] if inputs is None else inputs
    name = entry._keras_history.operation.name
    start = keras.Input(batch_shape=entry.shape, dtype=entry.dtype, name=name)
    new = keras.Sequential([start, *(layer for layer in layers if layer is not nothing)], name=model.name)
    if model.compiled:
        new.compile_from_config(model.get_compile_config())
    return new


def nothing(tensor: Any, **_: Any) -> Any:
    """What `replace` gives for a layer that is to be left out of the graph."""
    return tensor


def inside(tensor: Any, **_: Any) -> Any:
    """What `replace` gives for a model that is called at each step of a sequence, to have its layers replaced."""
    return tensor


def is_stepwise(layer: Any) -> bool:
    """Whether a layer calls a functional or sequential model at each step of a sequence."""
    return type(layer) is keras.layers.TimeDistributed and is_graph(layer.layer)


def copy_of(layer: Any) -> Any:
    """A new layer of the same class and arguments, with weights of its own, and what it has learned beside weights."""
    if type(layer) is keras.layers.Lambda:  # from_config takes no Python lambda, which may come out of a file
        config = {"name": layer.name, "dtype": layer.dtype_policy, "trainable": layer.trainable}
        return keras.layers.Lambda(layer.function, layer._output_shape, layer.mask, layer.arguments, **config)
    config = config_of(layer)
    # Its from_config takes no functions, which are among its arguments.
    is_text = isinstance(layer, keras.layers.TextVectorization)
    new = type(layer)(**config) if is_text else type(layer).from_config(config)
    if hasattr(layer, "set_vocabulary") and config.get("vocabulary") is None:
        _carry_vocabulary(layer, new)
    return new


def _carry_vocabulary(layer: Any, new: Any) -> None:
    """Give a layer the words that another one has learned: they are neither weights nor arguments."""
    words = layer.get_vocabulary(include_special_tokens=False)
    if len(words):
        table = getattr(layer, "_lookup_layer", layer)
        weights = {}
        if table.output_mode == "tf_idf":
            weights["idf_weights"] = np.asarray(table.idf_weights)[table._token_start_index() :]
        new.set_vocabulary(words, **weights)


def config_of(layer: Any) -> dict[str, Any]:
    """The arguments that make a layer again; functions as they are, and not as what could be read from a file."""
    config: dict[str, Any] = layer.get_config()
    live = {name: getattr(layer, name, None) for name in config}
    return config | {name: value for name, value in live.items() if inspect.isfunction(value)}


def carry_over(model: keras.Model, new: keras.Model) -> None:
    """Give a new model the functions that the old one is compiled with, and what its maker hung on it."""
    if new.compiled:
        # A lambda that comes out of a configuration has lost the names that it refers to.
        config = keras.tree.map_structure(_fresh, {**model._compile_config.config, "optimizer": None})
        new.compile(**{**config, "optimizer": new.optimizer})
    for name, value in vars(model).items():
        if not name.startswith("_") and name not in vars(new) and not isinstance(value, keras.layers.Layer):
            setattr(new, name, value)


def _fresh(part: Any) -> Any:
    """A loss or metric of its own for another model; functions and settings as they are."""
    return type(part).from_config(part.get_config()) if isinstance(part, (keras.Loss, keras.Metric)) else part


def assign_all(layer: Any, values: Sequence[Any]) -> None:
    """Write arrays into the variables of a layer that was made anew, one for one.

    Raises:
        InvalidModelError: their numbers or shapes differ.
    """
    if [tuple(variable.shape) for variable in layer.variables] != [value.shape for value in values]:
        raise InvalidModelError(
            f"The copy of layer {layer.name!r} of class {type(layer).__name__} has other variables than the layer "
            "itself: its from_config does not make the layer that its get_config describes."
        )
    assign_values(layer.variables, values)
    for each in layer._flatten_layers():
        if isinstance(each, keras.layers.Normalization):
            each.finalize_state()  # it computes with tensors that it makes of its weights


def keep_frozen(old: Sequence[Any], new: Sequence[Any]) -> None:
    """Freeze those variables that are frozen where they come from; behind them there may be more."""
    for one, other in zip(old, new, strict=False):
        other.trainable = other.trainable and one.trainable


def custom_objects(model: keras.Model, *others: Any) -> dict[str, Any]:
    """The classes and functions that a model, and others beside it, are made of and that are not of Keras, by name."""
    layers = [*model._flatten_layers(), *others]
    parts = [*layers, *(value for layer in layers for value in vars(layer).values())]
    if model.compiled:
        parts += keras.tree.flatten(list(model._compile_config.config.values()))
    objects = [part if inspect.isfunction(part) or inspect.isclass(part) else type(part) for part in parts]
    return {one.__name__: one for one in objects if not one.__module__.startswith(("keras.", "builtins"))}


@contextlib.contextmanager
def in_memory() -> Iterator[None]:
    """Save and load models without Keras's checks and warnings of what matters in files only."""
    with warnings.catch_warnings(), SafeModeScope(False):
        # An optimizer that was never run has fewer variables in the original than in the copy.
        warnings.filterwarnings("ignore", message="Skipping variable loading for optimizer")
        # Unsafe in a file that anybody may have written, not in the memory of one process.
        warnings.filterwarnings("ignore", message="The object being serialized includes a `lambda`")
        yield


@contextlib.contextmanager
def known_objects(model: keras.Model) -> Iterator[None]:
    """Let Keras find the classes and functions that a model is made of, registered or not."""
    with keras.saving.custom_object_scope(custom_objects(model)):
        yield
