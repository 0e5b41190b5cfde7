"""Results of sweeps that nobody measured, for what chooses, plots and reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from keras_prunelab import MaskSet, SweepResult
from keras_prunelab._evaluate._metric import ACCURACY, Metric
from keras_prunelab._result._outline import LayerOutline, Outline, VariableOutline

OUTLINE = Outline(
    (
        LayerOutline("input", "InputLayer"),
        LayerOutline(
            "conv1_1",
            "Conv2D",
            (
                VariableOutline("conv1_1/kernel", "kernel", (1, 2, 1, 3), (3,), 100),
                VariableOutline("conv1_1/bias", "bias", (3,), (0,), 0),
            ),
        ),
        LayerOutline("pool1", "MaxPooling2D"),
        LayerOutline("fc2", "Dense", (VariableOutline("fc2/kernel", "kernel", (5, 4), (1,), 1),)),
    )
)
MASKS = MaskSet(
    {
        # Filter 0 has no weight and no bias left, filter 1 its bias only, filter 2 one weight.
        "conv1_1/kernel": np.array([[[[0, 0, 1]], [[0, 0, 0]]]], dtype=bool),
        "conv1_1/bias": np.array([0, 1, 0], dtype=bool),
        "fc2/kernel": np.array([[1, 0, 1, 1]] + [[0, 0, 1, 1]] * 4, dtype=bool),
    }
)


class SameMasks:
    """The same masks at every level."""

    def __init__(self, masks: MaskSet = MASKS) -> None:
        self._masks = masks

    def masks(self, level: float, /) -> MaskSet:
        return self._masks


def result(
    curves: Mapping[str, Sequence[tuple[float, ...]]],
    dense: float = 0.99,
    metric: Metric = ACCURACY,
    facts: Mapping[str, float] | None = None,
    **more: object,
) -> SweepResult:
    """A result with (sparsity, value) points for each score, or (sparsity, value, standard error of the loss)."""
    rows = [
        {
            "score": score,
            "convention": "matlab",
            "scope": "global",
            "granularity": "weight",
            "training": "none",
            "seed": 0,
            "sparsity_target": sparsity,
            "sparsity": sparsity,
            metric.name: value,
            "zeros": round(1000 * sparsity),
            "kept": 1000 - round(1000 * sparsity),
            "total": 1000,
            "compression_ratio": 1 / (1 - sparsity),
            "speedup": 1.0,
            "bytes": 4000,
            **({"loss_error": error[0]} if error else {}),
        }
        for score, points in curves.items()
        for sparsity, value, *error in points
    ]
    metadata = {"model": "by hand", "convention": "matlab", "scope": "global", "samples": 500, **(facts or {})}
    return SweepResult(
        pd.DataFrame(
            rows,
            columns=list(rows[0])
            if rows
            else ["score", "scope", "training", "seed", "sparsity_target", "sparsity", metric.name, "bytes"],
        ),
        dense,
        OUTLINE,
        {(score, "global", "none", 0): SameMasks() for score in curves},
        metric,
        metadata=metadata,
        **more,  # type: ignore[arg-type]
    )


FALLING = {
    "magnitude": [(0.5, 0.99), (0.9, 0.985), (0.914, 0.981), (0.916, 0.97), (0.95, 0.4)],
    "synflow": [(0.5, 0.988), (0.9, 0.984), (0.914, 0.982), (0.916, 0.979), (0.95, 0.7)],
}
