"""Training after pruning for a command: the data, and what a network of MATLAB's is trained by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _console

if TYPE_CHECKING:
    import keras

    from matlab_bridge import Dataset

    from ._calibration import Calibration


def training_data(calibration: Calibration | None) -> Dataset:
    """The data with labels that calibration data is, all of it.

    Raises:
        InvalidDataError: there is none, or it is what is measured.
    """
    from keras_prunelab._errors import InvalidDataError

    if calibration is None or calibration.training is None:
        what = "there is no data beside what is measured" if calibration is None else "the calibration has no labels"
        raise InvalidDataError(
            f"--finetune needs training data with labels, but {what}: name some with --calibration, or take part of "
            "the data with --calibration-split 0.5."
        )
    if calibration.is_measured:
        raise InvalidDataError(
            f"--finetune would train on the observations that are measured ({calibration.what}), so that the accuracy "
            "would mean nothing: name others with --calibration."
        )
    return calibration.training


def prepare_training(model: keras.Model, data: Dataset) -> tuple[Any, str]:
    """Compile a network that is not, and arrange data as `fit` takes it.

    Args:
        model: is compiled with Adam (Kingma and Ba 2015, a learning rate of 0.001) and the cross-entropy of classes, or
            the mean squared error of responses. A network of MATLAB's brings no such settings.
        data: with labels.

    Returns:
        Inputs and labels, and Python that compiles `model` likewise; empty where it was compiled.

    Raises:
        InvalidDataError: the observations are sequences of different lengths.
    """
    import keras

    arrays = _array(data.inputs), _array(data.labels)
    if model.compiled:
        return arrays, ""
    loss = _loss(model, data, arrays[0][:_SAMPLE])
    model.compile(keras.optimizers.Adam(), keras.losses.deserialize(loss))
    _console.say(f"Training: with Adam, by {loss['class_name']}; the file brings no settings of its own.")
    return arrays, f"\nimport keras\n\nmodel.compile(keras.optimizers.Adam(), keras.losses.deserialize({loss!r}))\n"


_SAMPLE = 32


def _loss(model: keras.Model, data: Dataset, sample: Any) -> dict[str, Any]:
    """The loss for the labels; of classes that are no probabilities it takes what goes into the softmax."""
    if not data.class_names:
        return {"class_name": "MeanSquaredError", "config": {}}
    outputs = np.asarray(model.predict(sample, verbose=0))
    if outputs.shape[-1] == 1:
        return {"class_name": "BinaryCrossentropy", "config": {"from_logits": _is_outside(outputs)}}
    is_share = not _is_outside(outputs) and np.allclose(outputs.sum(axis=-1), 1, atol=1e-3)
    return {"class_name": "SparseCategoricalCrossentropy", "config": {"from_logits": not is_share}}


def _is_outside(outputs: Any) -> bool:
    return bool((outputs < 0).any() or (outputs > 1).any())


def _array(part: Any) -> Any:
    """Sequences of one length as one array.

    Raises:
        InvalidDataError: they differ in length.
    """
    from keras_prunelab._errors import InvalidDataError

    if not isinstance(part, list):
        return part
    lengths = {np.shape(each) for each in part}
    if len(lengths) > 1:
        raise InvalidDataError(
            f"--finetune trains on sequences of one length, but these have {len(lengths)} lengths: pad them, or train "
            "with keras_prunelab.FineTune, which takes whatever `fit` does."
        )
    return np.stack(part)
