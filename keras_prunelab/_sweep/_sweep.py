"""`sweep`: measure a network at many sparsities."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Unpack

import keras

from keras_prunelab._progress import shown
from keras_prunelab.scores._registry import ScoreLike

from ._options import SweepOptions
from ._parallel import wanted_workers
from ._plan import Seeds, Sparsities
from ._planned import EXAMPLE_LEVELS, plan_sweep
from ._result import SweepResult
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


def sweep(
    model: keras.Model,
    data: Any,
    sparsities: Sparsities = EXAMPLE_LEVELS,
    scores: ScoreLike | Iterable[ScoreLike] = ("magnitude",),
    seeds: Seeds = None,
    *,
    progress: ProgressLike = None,
    **options: Unpack[SweepOptions],
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
        progress: called before the first point and after every one; True shows a bar, or lines without a terminal.
        **options: how to prune: `convention` (`"paper"` or `"matlab"`); `scope` (`"global"`, `"layer"`, `"erk"`,
            `"lamp"`, an `Allocation`, or several of these); `granularity` (`"weight"`, `"2:4"`, `"4x4"`, `"kernel"`,
            `"channel"`); `include` and `exclude` (layers, names, patterns, as in `prunable`); `score_data` for
            scores that need data, by default the data of the sweep. How to train: `finetune`, a `FineTune` or
            several. What to measure: `metrics`, a list of `"accuracy"`, `"rmse"`, `"loss"`, names of the compiled
            metrics, metrics of Keras or functions, the first being what choices go by. How to go about it: `store`,
            a file for finished points, from which a sweep that was stopped goes on; `workers`, the number of
            processes, by default what `joblib.parallel_config` says, or 1.

    Returns:
        The points, one row of `.table` each, with the masks behind them.

    Raises:
        InvalidDataError: the data does not fit the model.
        InvalidModelError: the model is not built, weights are not finite, or it cannot be copied where that is needed.
        InvalidSparsityError: a sparsity is outside [0, 1), or scope or granularity do not allow it.
        NothingToPruneError: no variable is left to prune.
        StoreMismatchError: the store belongs to a sweep of other weights, data or settings, or is damaged.
        SweepStoppedError: a worker process was ended, memory ran out, or the disk of the store is full; its `result`
            has the points that were measured until then.
        UnknownNameError: there is no such score, scope, convention or metric.

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
    store, workers = options.pop("store", None), options.pop("workers", None)
    prepared = plan_sweep(model, data, sparsities, scores, seeds, **options)  # type: ignore[misc]  # the rest
    with _telling(progress) as tell:
        run = prepared.execute(tell, store, wanted_workers(workers))
    result = prepared.result(run, time.monotonic() - begun)
    if run.failure is not None:
        run.failure.result = result
        raise run.failure
    return result


@contextmanager
def _telling(progress: ProgressLike) -> Iterator[Tell]:
    if progress is True:
        with shown("Sweep") as advance:
            yield advance
    elif callable(progress):
        told = progress
        yield lambda done, total, what: told(Progress(done, total, what))
    else:
        yield lambda *_: None
