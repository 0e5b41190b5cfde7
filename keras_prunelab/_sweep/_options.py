"""The options of a sweep, each described once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, TypedDict

from keras_prunelab._conventions import Convention
from keras_prunelab._filters import Filters
from keras_prunelab._granularity import GranularityLike

from ._evaluate import MetricLike
from ._plan import FineTunes, Scopes


class PlanOptions(TypedDict, total=False):
    """How a sweep prunes, trains and measures.

    Attributes:
        convention: `"paper"` (weights only, exact counts; the default), `"matlab"`, or a `Convention`.
        scope: `"global"` (the default) ranks all weights together, `"layer"` those of each layer; `"erk"`,
            `"lamp"`, or an `Allocation`. Several make a curve each.
        granularity: what goes as a whole: `"weight"` (the default), `"2:4"`, `"4x4"`, `"kernel"`, `"channel"`.
        include: prune only what matches, as in `prunable`.
        exclude: leave alone what matches, as in `prunable`.
        score_data: what scores that need data are computed on; by default the data of the sweep.
        finetune: how the network is trained once it is pruned, a `FineTune`; None (the default) where it is not.
            Several make a curve each.
        metrics: what to measure, the first being what choices go by: `"accuracy"`, `"rmse"`, names of what the model
            was compiled with, metrics of Keras or their names, functions of labels and outputs.
    """

    convention: str | Convention
    scope: Scopes
    granularity: GranularityLike
    include: Filters
    exclude: Filters
    score_data: Any
    finetune: FineTunes
    metrics: Sequence[MetricLike] | None


class SweepOptions(PlanOptions, total=False):
    """How a sweep is carried out, too.

    Attributes:
        store: a file that finished points are kept in, so that a sweep that was stopped goes on where it was.
        workers: how many processes measure; 1 is this one. By default what `joblib.parallel_config` says, or 1.
    """

    store: str | os.PathLike[str] | None
    workers: int | None
