"""What `export_litert` refuses before any work."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import keras

from keras_prunelab._errors import InvalidModelError, MissingBackendError, UnknownNameError
from keras_prunelab._model._rebuild import is_graph
from keras_prunelab._util._atomic import check_folder

from ._inputs import name_of
from ._litert_conversion import DENSE_SCALES, DenseScales, Runtime
from ._tflm._graph import check_format
from ._tflm._micro import check_installed
from ._weights import require_finite_weights

_QUANTIZE = ("int8", "int8-weights", "float16")
_RUNTIMES = {"litert": (None, *_QUANTIZE), "tflm": (None, "int8")}
_MICRO_INPUTS = ("float32", "int8", "int16", "int32", "int64", "bool")
_TYPES = ("int8", "uint8", "float32")
_SCALES = ("channel", "tensor")


def check_convertible(model: keras.Model, quantize: Any) -> None:
    """Refuse models that no LiteRT file can be written of here, before any work.

    Args:
        model: the model.
        quantize: the numbers of the file, as `export_litert` takes them.

    Raises:
        MissingBackendError: Keras runs on JAX, or TensorFlow is not installed.
        InvalidModelError: the model is not built, a subclass, or quantized by Keras, or a weight is not finite.
    """
    if keras.config.backend() not in ("tensorflow", "torch"):
        raise MissingBackendError(
            f"LiteRT files are written on TensorFlow or torch, and Keras runs on {keras.config.backend()}. Set "
            "KERAS_BACKEND=tensorflow or KERAS_BACKEND=torch and load the model there."
        )
    if not importlib.util.find_spec("tensorflow"):
        raise MissingBackendError(
            "LiteRT files are converted by TensorFlow, on torch too, and it is not installed: run\n"
            '    pip install "keras-prunelab[tensorflow]"'
        )
    if not isinstance(model, keras.Model):
        raise InvalidModelError(
            f"A keras.Model was expected, not {type(model).__name__}; keras.saving.load_model loads a file."
        )
    if not model.built:
        raise InvalidModelError(f"Model {model.name!r} is not built. Give it a keras.Input, or call it once on data.")
    if not is_graph(model) and (quantize is not None or keras.config.backend() == "torch"):
        raise InvalidModelError(
            f"Model {model.name!r} is a subclass of keras.Model whose inputs nobody knows, so that it cannot be "
            "quantized. Build the same layers with keras.Model(inputs, outputs), and give them these weights."
        )
    require_finite_weights(model)
    for layer in model._flatten_layers():
        _check_state(layer)
        mode = getattr(layer, "quantization_mode", None)
        if mode is not None:
            raise InvalidModelError(
                f"Layer {layer.name!r} was quantized by Keras ({mode}): it makes whole numbers of its inputs anew at "
                "each call, for which LiteRT has no operator. Export the model as it was before "
                "model.quantize(...), with export_litert(model, path, 'int8', calibration=...)."
            )


def _check_state(layer: Any) -> None:
    """Refuse recurrent layers that keep the states of several observations."""
    if not getattr(layer, "stateful", False):
        return
    for state in keras.tree.flatten(getattr(layer, "states", None)):
        if state is not None and state.shape[0] != 1:
            raise InvalidModelError(
                f"Layer {layer.name!r} is stateful for {state.shape[0]} observations at a time, and LiteRT files with "
                "recurrent layers take one. Build the model with keras.Input(batch_shape=(1, ...)) and give it these "
                "weights."
            )


def check_options(target: Path, quantize: Any, types: dict[str, Any], runtime: Any) -> None:
    """Refuse what is not known, before any work.

    Raises:
        UnknownNameError: there is no such option.
        InvalidModelError: the ending of the file is another one.
        FileNotFoundError: there is no such folder.
    """
    _check_path(target, runtime)
    if quantize is not None and quantize not in _QUANTIZE:
        raise UnknownNameError(f"quantize={quantize!r}; it is None or one of {', '.join(map(repr, _QUANTIZE))}.")
    for name, value in types.items():
        if value is not None and value not in _TYPES:
            raise UnknownNameError(f"{name}={value!r}; it is one of {', '.join(map(repr, _TYPES))}.")
        if value not in (None, "float32") and quantize != "int8":
            raise UnknownNameError(
                f"{name}={value!r} goes with quantize='int8' alone; the inputs and outputs of other files are float32."
            )


def scales_of(given: Any, quantize: Any, runtime: Runtime) -> DenseScales:
    """The scales of dense layers: those that are asked for, or those of the runtime.

    Raises:
        UnknownNameError: there are no such scales, or the weights are not int8.
    """
    if given is None:
        return DENSE_SCALES[runtime]
    if given not in _SCALES:
        raise UnknownNameError(f"dense_scales={given!r}; it is one of {', '.join(map(repr, _SCALES))}.")
    if quantize != "int8":
        raise UnknownNameError(f"dense_scales={given!r} goes with quantize='int8' alone.")
    found: DenseScales = given
    return found


def _check_path(target: Path, runtime: Any) -> None:
    if runtime not in _RUNTIMES:
        raise UnknownNameError(f"runtime={runtime!r}; it is one of {', '.join(map(repr, _RUNTIMES))}.")
    if target.suffix == ".tflite":
        check_folder(target)
    if target.suffix not in ([".tflite"] if runtime == "litert" else [".tflite", ""]):
        raise InvalidModelError(
            f"{target} should end in .tflite{' or, for a folder, in nothing' if runtime == 'tflm' else ''}."
        )


def check_micro(model: keras.Model, quantize: Any) -> None:
    """Refuse what TensorFlow Lite Micro cannot run, before any work.

    Raises:
        MissingBackendError: `ai-edge-litert` or `tflite-micro` is not installed.
        UnknownNameError: it has no such numbers.
        InvalidModelError: an input has a free length, or numbers of a type that it does not convert.
    """
    check_format()
    check_installed()
    if quantize not in _RUNTIMES["tflm"]:
        raise UnknownNameError(
            f"TensorFlow Lite Micro has no kernels for quantize={quantize!r}; it runs None (float32) and 'int8'."
        )
    require_fixed_lengths(model, "TensorFlow Lite Micro")
    for tensor in model.inputs:
        if tensor.dtype not in _MICRO_INPUTS:
            raise InvalidModelError(
                f"Input {name_of(tensor)!r} of model {model.name!r} is {tensor.dtype}, which TensorFlow Lite Micro "
                "does not convert. Build the model with keras.Input(..., dtype='float32') and give it these weights; "
                "an int8 file then takes whole numbers as input_type= says."
            )


def require_fixed_lengths(model: keras.Model, what: str) -> None:
    """Refuse inputs of free length.

    Args:
        model: a built model.
        what: takes fixed lengths alone.

    Raises:
        InvalidModelError: an input has one.
    """
    for tensor in model.inputs:
        if None in tensor.shape[1:]:
            raise InvalidModelError(
                f"Input {name_of(tensor)!r} of model {model.name!r} has the shape {tensor.shape}, and {what} takes "
                "fixed lengths alone. Give it the one in use: keras_prunelab.fix_lengths(model, 100), or convert "
                "--length 100."
            )
