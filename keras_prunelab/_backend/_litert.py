"""LiteRT files: TensorFlow writes them, and its interpreter or that of `ai-edge-litert` reads them."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import warnings
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_prunelab._errors import MissingBackendError
from keras_prunelab._util._atomic import temporary_folder

from ._litert_child import write_saved_model


def to_litert(model: keras.Model, *, sparse: bool = True) -> bytes:
    """A built model as a LiteRT file, where Keras runs on TensorFlow.

    Args:
        model: the model.
        sparse: whether zeros are stored sparsely.

    Raises:
        Exception: TensorFlow raises many where it cannot write a model, its own ConverterError among them.
    """
    import tensorflow as tf

    with contextlib.redirect_stdout(io.StringIO()), temporary_folder() as folder:  # the converter tells of its own
        if getattr(model, "inputs", None):
            # TensorFlow's own way from Keras takes the inputs of a dictionary for a list, and what then goes wrong in
            # it comes out as another error.
            write_saved_model(model, str(folder), None)
            converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
        else:
            converter = tf.lite.TFLiteConverter.from_keras_model(model)
        converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY] if sparse else []
        content: bytes = converter.convert()
    return content


def open_litert(content: bytes, kernels: str = "default") -> Any:
    """The interpreter of a LiteRT file.

    Args:
        content: the file.
        kernels: `"default"` for the fast ones, `"plain"` for the same without XNNPACK, `"reference"` for those that are
            written to be read.

    Raises:
        MissingBackendError: neither `ai-edge-litert` nor TensorFlow is installed.
        ValueError: it is no LiteRT file.
    """
    module = _interpreters()
    resolver = {
        "default": module.OpResolverType.AUTO,
        "plain": module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        "reference": module.OpResolverType.BUILTIN_REF,
    }[kernels]
    with warnings.catch_warnings():
        # TensorFlow points to a package of its own for the interpreter.
        warnings.filterwarnings("ignore", ".*tf.lite.Interpreter is deprecated", UserWarning)
        return module.Interpreter(model_content=content, experimental_op_resolver_type=resolver)


def _interpreters() -> Any:
    """The module that has `Interpreter`: of LiteRT's own package, or of TensorFlow."""
    if importlib.util.find_spec("ai_edge_litert"):
        from ai_edge_litert import interpreter

        return interpreter
    if importlib.util.find_spec("tensorflow"):
        from tensorflow.lite.python import interpreter

        return interpreter
    raise MissingBackendError(
        "LiteRT files are read by ai-edge-litert or TensorFlow, and neither is installed: run\n"
        '    pip install "keras-prunelab[litert]"'
    )


def constant_values(content: bytes) -> Iterator[tuple[int, NDArray[Any]]]:
    """The constants of a LiteRT file, one after the other.

    Returns:
        How many values each has, and the values; whole numbers are relative to the one that stands for zero. Of a
        constant that is stored sparsely, the values are those that are left.
    """
    interpreter = open_litert(content)
    for graph, index in _tensors(interpreter):
        tensor = interpreter._get_tensor_details(index, graph)  # the public method tells of the first graph alone
        if tensor["dtype"] is np.object_:
            continue  # a variable, such as the state of a recurrent layer: to ask for its value ends the process
        with contextlib.suppress(ValueError):  # raised for what is computed, which has no value yet
            value = np.asarray(interpreter.get_tensor(index, graph))
            zeros = np.asarray(tensor["quantization_parameters"]["zero_points"])
            if zeros.any():
                axis = tensor["quantization_parameters"]["quantized_dimension"]
                each = [-1 if place == axis else 1 for place in range(value.ndim)] if zeros.size > 1 else ()
                value = value.astype(np.int64) - zeros.reshape(each)
            yield int(np.prod(tensor["shape"])), value


def has_sparse_loops(content: bytes) -> bool:
    """Whether a loop or a branch of a LiteRT file, a graph of its own, has sparse weights.

    LiteRT makes those of the first graph alone dense: from others it computes NaN, or any number (seen in 2.1).
    """
    interpreter = open_litert(content)
    return any(
        graph > 0 and interpreter._get_tensor_details(index, graph)["sparsity_parameters"]
        for graph, index in _tensors(interpreter)
    )


def has_empty_sparse(content: bytes) -> bool:
    """Whether a LiteRT file has sparse weights without any value.

    LiteRT computes NaN from those of 16 or 8 bits in a dense layer (seen in 2.1).
    """
    interpreter = open_litert(content)
    for graph, index in _tensors(interpreter):
        if interpreter._get_tensor_details(index, graph)["sparsity_parameters"]:
            try:
                interpreter.get_tensor(index, graph)
            except ValueError:  # it gives no empty array
                return True
    return False


def _tensors(interpreter: Any) -> Iterator[tuple[int, int]]:
    """The graph and the index of every tensor; a loop, such as that of a recurrent layer, has graphs of its own."""
    for graph in range(interpreter.num_subgraphs()):
        yield from ((graph, index) for index in range(interpreter._interpreter.NumTensors(graph)))
