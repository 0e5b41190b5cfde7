"""What TensorBoard's own reader finds in the folder of a `PruningSummary`."""

from __future__ import annotations

import copy
import itertools
import sys
from pathlib import Path
from typing import Any

import keras
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import keras_prunelab as kpl
from keras_prunelab.callbacks import Prune, PruningSummary

from .test_epoch_logs import STEP, fit
from .training import compiled, dense

pytestmark = [pytest.mark.backends]


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Steps and values by name."""
    found = EventAccumulator(str(folder)).Reload()
    return {tag: [(each.step, each.value) for each in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


@pytest.mark.parametrize("order", list(itertools.permutations(range(2))))
def test_tensorboard_reads_the_sparsity_of_each_epoch(order: tuple[int, ...], tmp_path: Path) -> None:
    callbacks = [Prune(STEP), PruningSummary(verbose=0, log_dir=tmp_path / "logs")]
    history = fit(compiled(dense()), *(callbacks[place] for place in order), epochs=3)
    found = scalars(tmp_path / "logs")
    assert found["sparsity"] == [(0, 0), (1, 0.75), (2, 0.75)]
    assert found.keys() == {"sparsity", "sparsity/hidden", "sparsity/out"}
    for name, values in found.items():
        assert [value for _, value in values] == pytest.approx(history[name], abs=1e-7), "of single precision"


def test_it_is_there_while_training_goes_on(tmp_path: Path) -> None:
    seen: list[Any] = []
    look = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: seen.append(scalars(tmp_path)))
    fit(compiled(dense()), PruningSummary(verbose=0, log_dir=str(tmp_path)), look, epochs=2)
    assert seen[0] == {}
    assert seen[1]["sparsity"] == [(0, 0)]


def test_another_fit_goes_on_in_a_file_of_its_own(tmp_path: Path) -> None:
    model, summary = compiled(dense()), PruningSummary(verbose=0, log_dir=tmp_path)
    for first in range(2):
        fit(model, Prune(0.5), summary, initial_epoch=first, epochs=first + 1)
    fit(model, Prune(0.5), copy.deepcopy(summary), initial_epoch=2, epochs=3)
    assert len(list(tmp_path.iterdir())) == 3
    assert scalars(tmp_path)["sparsity"] == [(0, 0.5), (1, 0.5), (2, 0.5)]


def test_in_a_loop_of_ones_own_without_logs(tmp_path: Path) -> None:
    summary = PruningSummary(verbose=0, log_dir=tmp_path)
    summary.set_model(kpl.prune(compiled(dense()), 0.5))
    summary.on_epoch_end(4)
    assert scalars(tmp_path)["sparsity"] == [(4, 0.5)]


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="Keras' own callback writes with TensorFlow")
@pytest.mark.parametrize("is_first", [True, False])
def test_the_callback_of_keras_writes_it_too(is_first: bool, tmp_path: Path) -> None:
    import tensorflow as tf

    callbacks = [Prune(0.5), keras.callbacks.TensorBoard(str(tmp_path))]
    fit(compiled(dense()), *(callbacks if is_first else callbacks[::-1]))
    found = EventAccumulator(str(tmp_path / "train")).Reload()
    values = [float(tf.make_ndarray(each.tensor_proto)) for each in found.Tensors("epoch_sparsity")]
    assert values == [0.5, 0.5]


def test_without_tensorboard_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "tensorboard"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(kpl.MissingBackendError, match=r"pip install \"keras-prunelab\[tensorboard\]\""):
        PruningSummary(log_dir="logs")
    PruningSummary()
