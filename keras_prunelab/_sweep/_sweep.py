"""`sweep`: measure a network at many sparsities."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras

from keras_prunelab._evaluate._evaluate import Metrics
from keras_prunelab._model._data import calibration_of
from keras_prunelab._model._filters import Filters
from keras_prunelab._reconstruct._gram import DAMPING
from keras_prunelab._result._files import keep_in_store
from keras_prunelab._result._result import SweepResult
from keras_prunelab._select._conventions import Convention
from keras_prunelab._select._granularity import GranularityLike
from keras_prunelab._util._progress import is_watched, show_progress
from keras_prunelab._util._signatures import names_options
from keras_prunelab.scores._registry import ScoreLike

from ._parallel import wanted_workers
from ._plan import FineTunes, Reconstructs, Scopes, Seeds, Sparsities
from ._planned import EXAMPLE_LEVELS, plan_sweep
from ._run import Tell


@dataclass(frozen=True)
class Progress:
    """How far a sweep is.

    Attributes:
        done: the number of measured points.
        total: the number of points of the whole sweep; of levels that are still being found, those known so far.
        what: what happens now, in a few words.
    """

    done: int
    total: int
    what: str


ProgressLike = Callable[[Progress], None] | bool | None


@names_options
def sweep(
    model: keras.Model,
    data: Any,
    sparsities: Sparsities = EXAMPLE_LEVELS,
    scores: ScoreLike | Iterable[ScoreLike] = ("magnitude",),
    seeds: Seeds = None,
    *,
    convention: str | Convention = "paper",
    scope: Scopes = "global",
    granularity: GranularityLike = "weight",
    include: Filters = None,
    exclude: Filters = None,
    calibration: Any = None,
    finetune: FineTunes = None,
    reconstruct: Reconstructs = False,
    damping: float = DAMPING,
    metrics: Metrics = None,
    groups: Mapping[str, Any] | None = None,
    batch_size: int | None = None,
    store: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    progress: ProgressLike = None,
    score_data: Any = None,
) -> SweepResult:
    """Measure a network at many sparsities, with several scores and seeds, as it is or trained after pruning.

    The model is as it was when the sweep is over, also after an error or Ctrl-C. Ctrl-C ends the sweep and
    keeps the points measured so far: the result then has `complete=False`.

    Args:
        model: a built model. With several inputs or outputs it must be compiled.
        data: (inputs, labels), perhaps with sample weights as a third, or an object with `inputs`, `labels` and
            perhaps `class_names`. Inputs have the observations along their first axis; sequences of different
            lengths are a list. Labels are class indices from 0 (integers; -1 is no class, and never right) or one-hot
            rows, for which the sweep measures accuracy, the share of observations whose largest output is their
            class; or floating-point responses of the output's shape, for which it measures the root-mean-square error
            over all of them. Of a compiled model it also measures what `model.evaluate` reports. Batches of these, a
            `tf.data.Dataset`, a `keras.utils.PyDataset` or a function that returns an iterable, are held in memory up
            to 2 GiB, and read anew for each point beyond.
        sparsities: fractions of the weights to prune, each in [0, 1), in any order; by default those of
            MathWorks' example, 0 to 0.9 in steps of 0.1. `"auto"`, or an `AutoLevels`, finds them: few where the curve
            is flat, many where it bends.
        scores: one or several scores: names such as `"magnitude"`, `"synflow"`, `"random"`, or what else
            `scores.get` takes.
        seeds: a number of seeds, 0, 1, ..., or the seeds themselves, for scores with random numbers and for training.
            Each makes a curve; what does not depend on it is measured once. By default each score has its own.
        convention: `"paper"` (weights only, exact counts), `"matlab"`, or a `Convention`.
        scope: `"global"` ranks all weights together, `"layer"` those of each layer; `"erk"`, `"lamp"`, or an
            `Allocation`. Several make a curve each.
        granularity: what goes as a whole: `"weight"`, `"2:4"`, `"4x4"`, `"kernel"`, `"channel"`.
        include: prune only what matches (layers, names, patterns), as in `prunable`.
        exclude: leave alone what matches, as in `prunable`.
        calibration: what scores that need data are computed on, and weights reconstructed on; by default the data of
            the sweep, which flatters what is reconstructed, and the result says so.
        finetune: how the network is trained once it is pruned, a `FineTune`; None where it is not. Several make a
            curve each.
        reconstruct: whether the weights that are left are solved anew at each level, before any training: True or
            `"layers"`, all layers at once, for which one pass over the data serves every level; or `"sequential"`, one
            layer after the other, with new passes at each level; see `reconstruct`. Several, such as `[False, True]`,
            make a curve each.
        damping: the pull of reconstruction towards the old weights.
        metrics: what to measure, one or several, the first being what choices go by: `"accuracy"`, `"rmse"`, `"loss"`,
            names of what the model was compiled with, metrics of Keras, functions of labels and outputs; and, of the
            LiteRT file that the network becomes at each level, `"int8_accuracy"`, `"int8_weights_accuracy"`,
            `"float16_accuracy"` (or `"int8_rmse"` and so on), `"litert_bytes"`, and `"flash_bytes"` with TensorFlow
            Lite Micro. Ranges are measured on 200 to 400 observations of `calibration`. Of a network that takes
            sequences or images of any size, the files take those of the data, where all have one:
            `metadata["file_lengths"]`. What cannot be measured at a level is NaN, and `metadata["files_left_out"]`
            says why.
        groups: variables that put each observation into a group, such as `{"SNR": ratios}`: by the name of each, one
            number or text for each observation, in the order of the data; up to 100 different values. The metric is
            then measured for each value, too, and `SweepResult.groups` compares it with the dense network's.
        batch_size: how many observations are computed at once, from 1; by default as many as is quickest.
        store: a file for finished points, from which a sweep that was stopped goes on, and for the result, which
            `SweepResult.load` reads from it.
        workers: how many processes measure, -1 for all processors; by default what `joblib.parallel_config` says,
            or 1.
        progress: True shows a bar, or lines without a terminal; a function is called before the first point and after
            every one. By default a bar is shown on a terminal and in a notebook, and nothing elsewhere.
        score_data: another name of `calibration`.

    Returns:
        The points, one row of `.table` each, with the masks behind them.

    Raises:
        InvalidDataError: the data does not fit the model.
        InvalidModelError: the model is not built, weights are not finite, or it cannot be copied where that is needed;
            or no such file can be written of it.
        MissingBackendError: files are to be measured and Keras runs on JAX, or a package for them is not installed.
        InvalidSparsityError: a sparsity is outside [0, 1), or scope or granularity do not allow it.
        NothingToPruneError: no variable is left to prune.
        StoreMismatchError: the store belongs to a sweep of other weights, data or settings, or is damaged.
        SweepStoppedError: a worker process was ended, memory ran out, or the disk of the store is full; its `result`
            has the points that were measured until then.
        UnknownNameError: there is no such score, scope, convention or metric.
        TypeError: there is no such option; the nearest one is named.

    Examples:
        >>> import keras, numpy as np
        >>> import keras_prunelab as kpl
        >>> keras.utils.set_random_seed(0)
        >>> x, y = np.random.normal(size=(60, 8)), np.arange(60) % 3
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(3, name="fc")])
        >>> result = kpl.sweep(model, (x, y), [0.0, 0.5, 0.75])
        >>> result.table[["score", "sparsity", "zeros", "total"]].values.tolist()
        [['magnitude', 0.0, 0, 24], ['magnitude', 0.5, 12, 24], ['magnitude', 0.75, 18, 24]]
    """
    begun = time.monotonic()
    prepared = plan_sweep(
        model,
        data,
        sparsities,
        scores,
        seeds,
        convention=convention,
        scope=scope,
        granularity=granularity,
        include=include,
        exclude=exclude,
        calibration=calibration_of(calibration, score_data=score_data),
        finetune=finetune,
        reconstruct=reconstruct,
        damping=damping,
        metrics=metrics,
        groups=groups,
        batch_size=batch_size,
    )
    with _telling(progress) as tell:
        run = prepared.execute(tell, store, wanted_workers(workers))
    result = prepared.result(run, time.monotonic() - begun, store)
    if run.failure is not None:
        run.failure.result = result
        raise run.failure
    if store is not None:
        keep_in_store(result, store)
    return result


@contextmanager
def _telling(progress: ProgressLike) -> Iterator[Tell]:
    if progress is True or (progress is None and is_watched()):
        with show_progress("Sweep") as advance:
            yield advance
    elif callable(progress):
        told = progress
        yield lambda done, total, what: told(Progress(done, total, what))
    else:
        yield lambda *_: None
