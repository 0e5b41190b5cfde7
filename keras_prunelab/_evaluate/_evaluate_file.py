"""What an exported file answers, measured with its interpreter: the file, not the model it came from."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keras_prunelab._backend import compile_forward
from keras_prunelab._errors import InvalidDataError, InvalidModelError
from keras_prunelab._export._file_tensor import FileTensor
from keras_prunelab._export._inputs import arrays_by_input, name_of
from keras_prunelab._export._runtimes import ExportedFile, open_file, run_batch, run_parts
from keras_prunelab._model._data import Batch, batches
from keras_prunelab._model._shapes import fits, packed
from keras_prunelab._model._source import check_ends
from keras_prunelab._model._state import begun_anew
from keras_prunelab._util._notebook import paragraph, table
from keras_prunelab.layers._strip import without_wrappers

from ._evaluate import Metrics, classes_of, listed
from ._metric import OWN_METRICS, Metric
from ._output_metrics import OutputMetrics

Array = NDArray[Any]

_BATCH = 256


@dataclass(frozen=True)
class FileEvaluation:
    """What a file answers, and how far its model agrees. Prints as a table.

    Attributes:
        path: the file.
        bytes: its size.
        kernels: those that ran it.
        observations: how many there were.
        metrics: the measures of the file, by name.
        model_metrics: those of the model, on the same observations; empty without one.
        agreement: the share of labels for which file and model give the same class; None without a model, or for
            regression.
        difference: the largest difference of an output of the file from the model's, as a share of the model's largest;
            None without a model.
        differences: for each observation, the largest difference of its outputs; None without a model.
    """

    path: Path
    bytes: int
    kernels: str
    observations: int
    metrics: dict[str, float]
    model_metrics: dict[str, float] = field(default_factory=dict)
    agreement: float | None = None
    difference: float | None = None
    differences: Array | None = field(default=None, repr=False)

    @property
    def table(self) -> pd.DataFrame:
        """A row for the file, and one for the model: what it is, its size, and each measure."""
        rows = [{"file": self.path.name, "bytes": f"{self.bytes:,}", **_texts(self.metrics)}]
        if self.model_metrics:
            rows.append({"file": "the model", "bytes": "", **_texts(self.model_metrics)})
        return pd.DataFrame(rows)

    @property
    def summary(self) -> str:
        """What the table leaves out, in a sentence or two."""
        parts = [f"{self.observations:,} observations, {self.kernels} kernels."]
        if self.agreement is not None:
            parts.append(f"File and model give the same class for {self.agreement:.2%}.")
        if self.difference is not None:
            parts.append(f"Their outputs differ by at most {self.difference:.2g} of the largest.")
        return " ".join(parts)

    def __str__(self) -> str:
        return f"{self.table.to_string(index=False)}\n{self.summary}"

    def _repr_html_(self) -> str:
        return table(self.table) + paragraph(self.summary)


def evaluate_file(
    path: str | os.PathLike[str],
    data: Any,
    *,
    model: keras.Model | None = None,
    metrics: Metrics = None,
    kernels: Literal["default", "reference", "micro"] = "default",
) -> FileEvaluation:
    """Measure an exported file with the interpreter that runs it.

    Quantized inputs and outputs are converted; a file that takes a fixed number of observations gets as many at a time.

    Args:
        path: a `.tflite` file, which `ai-edge-litert` or TensorFlow runs, or TensorFlow Lite Micro where it was written
            for it; or an `.onnx` file, which onnxruntime runs.
        data: inputs and labels in any form that `sweep` takes: `(inputs, labels)`, an object with both, a
            `tf.data.Dataset`, a `PyDataset`, or a function that returns batches. Labels are class indices from 0,
            one-hot rows, or responses. Channels come last; for a file that takes them first they are moved.
        model: the model that the file was made from: the answers of both are compared, observation by observation.
        metrics: `"accuracy"`, `"rmse"`, metrics of Keras or their names, or functions of labels and outputs. By default
            accuracy for classes, and the root-mean-square error for responses. Of several outputs each has its own,
            `accuracy_NAME`.
        kernels: `"default"`; `"reference"` for those that are written to be read: LiteRT's own, or those of the
            package onnx; `"micro"` for those of TensorFlow Lite Micro. They may differ by some steps in int8.

    Returns:
        The measures, the size, and the agreement; it prints as a table.

    Raises:
        FileNotFoundError: there is no such file.
        InvalidModelError: the file has another ending, or its interpreter cannot read it; or `model` is another one.
        InvalidDataError: inputs or labels do not fit the file or the metrics, or there are none.
        MissingBackendError: the interpreter is not installed: `pip install "keras-prunelab[litert]"`, `[onnx]` or
            `[device]`.
        UnknownNameError: there are no such kernels, or no such metric.

    Examples:
        >>> import keras, tempfile
        >>> import numpy as np
        >>> import keras_prunelab as kpl
        >>> from pathlib import Path
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(3, activation="softmax")])
        >>> x = np.random.default_rng(0).normal(size=(100, 8)).astype("float32")
        >>> y = model.predict(x, verbose=0).argmax(axis=-1)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     written = kpl.export_litert(model, Path(folder) / "net.tflite")
        ...     found = kpl.evaluate_file(written.path, (x, y), model=model)
        >>> found.metrics, found.agreement
        ({'accuracy': 1.0}, 1.0)
    """
    target = Path(path)
    file = open_file(target, kernels)
    check_ends(data)
    if model is not None and not isinstance(model, keras.Model):
        raise InvalidModelError(
            f"model= is the keras.Model that the file was made from, not {type(model).__name__}; "
            "keras.saving.load_model loads a file."
        )
    plain = None if model is None else without_wrappers(model)
    described, read = _reader(target, file, plain, data)
    ours = [OutputMetrics(described, file, listed(metrics)) for _ in range(1 if plain is None else 2)]
    forward = None if plain is None else _forward(plain)
    same: list[Array] = []
    differences: list[Array] = []
    largest = 0.0
    count = 0
    with contextlib.nullcontext() if plain is None else begun_anew(plain):
        for batch in read():
            arrays = arrays_by_input(described, batch.inputs)
            found = run_batch(file, in_order_of_file(file, described, arrays))
            ours[0].add(found, batch.labels)
            count += len(batch)
            if plain is None or forward is None:
                continue
            expected = run_parts(forward, getattr(plain, "inputs", None) or (), arrays)
            _require_same(target.name, plain, found, expected)
            expected = [each.reshape(other.shape) for each, other in zip(expected, found, strict=True)]
            ours[1].add(expected, batch.labels)
            if ours[0].is_accuracy:
                same += [(classes_of(a) == classes_of(b)).reshape(-1) for a, b in zip(found, expected, strict=True)]
            gaps = [np.abs(a - b).reshape(len(a), -1).max(axis=1) for a, b in zip(found, expected, strict=True)]
            differences.append(np.max(gaps, axis=0))
            largest = max(largest, *(float(np.abs(each).max()) for each in expected))
    gap = np.concatenate(differences) if differences else None
    return FileEvaluation(
        target,
        target.stat().st_size,
        file.kernels,
        count,
        ours[0].results(),
        ours[1].results() if plain is not None else {},
        float(np.concatenate(same).mean()) if same else None,
        None if gap is None else float(gap.max()) / (largest or 1.0),
        gap,
    )


def _forward(model: Any) -> Callable[[list[Array]], list[Array]]:
    """What gives the outputs of a model, flat, for arrays in the order of its inputs."""
    run = compile_forward(model)

    def forward(arrays: list[Array]) -> list[Array]:
        found = keras.tree.flatten(run(packed(model, arrays)))
        return [keras.ops.convert_to_numpy(keras.ops.cast(each, "float32")) for each in found]

    return forward


def _require_same(name: str, model: Any, found: Sequence[Array], expected: Sequence[Array]) -> None:
    """Make sure that a model gives as many numbers as the file.

    Raises:
        InvalidModelError: it does not.
    """
    if [each.size for each in found] != [each.size for each in expected]:
        ours, theirs = (", ".join(str(each.shape[1:]) for each in outputs) for outputs in (found, expected))
        raise InvalidModelError(
            f"{name} gives outputs of shape {ours}, and model {model.name!r} of shape {theirs}. Give the model that "
            "the file was made from."
        )


def _reader(path: Path, file: ExportedFile, model: Any, data: Any) -> tuple[Any, Any]:
    """What describes the inputs of the data, and what reads it."""
    if getattr(model, "inputs", None):  # a subclass knows none
        described = [model]
    else:
        orders = (file.inputs, tuple(map(_channels_last, file.inputs)))
        described = [_describe(path, file, tensors) for tensors in orders]
    first: InvalidDataError | None = None
    for each in described:
        try:
            batch = next(_read(data, each))
            arrays_by_input(each, batch.inputs)
        except InvalidDataError as error:
            first = first or error
        else:
            return each, lambda: _read(data, each)  # noqa: B023  # it is returned at once
    raise first or InvalidDataError("The data has no observations.")


def _read(data: Any, described: Any) -> Iterator[Batch]:
    for batch in batches(data, _BATCH, labels=True, model=described):
        batch.require_finite()
        yield batch


def _describe(path: Path, file: ExportedFile, inputs: tuple[FileTensor, ...]) -> Any:
    """A file as what reads data knows a model."""
    last = SimpleNamespace(activation=SimpleNamespace(__name__="sigmoid" if file.ends_in_sigmoid else "linear"))
    return SimpleNamespace(name=path.name, inputs=inputs, layers=[last])


def _channels_last(tensor: FileTensor) -> FileTensor:
    shape = tensor.shape
    return FileTensor(tensor.name, (shape[0], *shape[2:], shape[1]) if len(shape) > 2 else shape, tensor.dtype)


def in_order_of_file(file: ExportedFile, described: Any, arrays: list[Array]) -> list[Array]:
    """The inputs as the file has them: by their names, or by their shapes where names say nothing."""
    names = [name_of(tensor) for tensor in described.inputs]
    if len(arrays) > 1 and {tensor.name for tensor in file.inputs} == set(names):
        arrays = [arrays[names.index(tensor.name)] for tensor in file.inputs]
    elif len(arrays) > 1 and not all(map(_takes, file.inputs, arrays)):
        found = [next((array for array in arrays if _takes(tensor, array)), None) for tensor in file.inputs]
        arrays = [array for array in found if array is not None]
    if len(arrays) != len(file.inputs):
        raise InvalidDataError(f"The file has the inputs {', '.join(each.name for each in file.inputs)}; give as many.")
    return [_moved(tensor, array) for tensor, array in zip(file.inputs, arrays, strict=True)]


def _takes(tensor: FileTensor, array: Array) -> bool:
    return fits(array.shape[1:], tensor.shape[1:]) or fits(_first(array).shape[1:], tensor.shape[1:])


def _moved(tensor: FileTensor, array: Array) -> Array:
    """An array with channels where the file has them."""
    if fits(array.shape[1:], tensor.shape[1:]):
        return array
    moved = _first(array)
    if fits(moved.shape[1:], tensor.shape[1:]):
        return moved
    raise InvalidDataError(
        f"Input {tensor.name!r} of the file takes observations of shape {tensor.shape[1:]}, but the data has "
        f"{array.shape[1:]}."
    )


def _first(array: Array) -> Array:
    """An array with the last axis after that of observations."""
    return np.moveaxis(array, -1, 1) if array.ndim > 2 else array


def _texts(measures: dict[str, float]) -> dict[str, str]:
    own = OWN_METRICS.values()
    known = {name: next((each for each in own if name.startswith(each.name)), Metric(name)) for name in measures}
    return {name: known[name].text(value) for name, value in measures.items()}
