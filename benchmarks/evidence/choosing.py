"""The method chooser: what to use for which purpose, each row with its figures from the tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from .methods import BIASES_TOO, RECONSTRUCTED


@dataclass(frozen=True)
class Advice:
    """A row of the chooser.

    Attributes:
        have: what the reader has.
        want: what the reader wants.
        use: the call.
        study: whose table has the figures.
        method: what is advised, by its name there.
        other: what it is compared with, by its name there.
        level: where both are compared; None for the highest level within one point of dense.
    """

    have: str
    want: str
    use: str
    study: str
    method: str
    other: str
    level: float | None


ADVICE = (
    Advice(
        "a trained network, 1,000 inputs, no time to train",
        "as few weights as possible",
        '`prune(model, s, "obs", calibration=x, reconstruct=True)`',
        "oneshot",
        "obs" + RECONSTRUCTED,
        "magnitude",
        None,
    ),
    Advice(
        "a trained network, and no data at all",
        "8 times fewer parameters",
        '`prune(model, s, "synflow")`',
        "oneshot",
        "SynFlow",
        "magnitude",
        8,
    ),
    Advice(
        "a trained network, its data, two epochs",
        "50 times fewer parameters",
        '`sweep(..., scores="obs", finetune=FineTune(data, 2))`',
        "finetune",
        "obs",
        "magnitude",
        50,
    ),
    Advice(
        "a network to train, as long as a dense one takes",
        "50 times fewer parameters",
        '`fit(..., callbacks=[Prune(Polynomial(0.0, s, end_step=...), "obd")])`',
        "train",
        "gradual OBD",
        "gradual magnitude",
        50,
    ),
    Advice(
        "a network to train, as long as a dense one takes",
        "200 times fewer parameters: biases count by then",
        '`fit(..., callbacks=[Prune(Polynomial(0.0, s, end_step=...), "obd", learnables="all")])`',
        "train",
        BIASES_TOO,
        "gradual OBD",
        200,
    ),
    Advice(
        "a network to train, sparse from the first step on",
        "50 times fewer parameters at any time",
        "`fit(..., callbacks=[RigL(s, data=data)])`",
        "train",
        "RigL",
        "SET",
        50,
    ),
    Advice(
        "a trained network, 1,000 inputs, no time to train",
        "half of its neurons, faster on every machine",
        "`remove_filters(model, 0.5, calibration=x, reconstruct=True)`",
        "filters",
        "Li (l1)" + RECONSTRUCTED,
        "Li (l1)",
        0.5,
    ),
    Advice(
        "a trained network, its data, two epochs",
        "half of its neurons, faster on every machine",
        '`remove_filters(model, 0.5, "group")`, then `fit`',
        "filters",
        "group + fine-tuning",
        "group",
        0.5,
    ),
)


def within_a_point(rows: pd.DataFrame) -> float | None:
    """The highest level whose error, and that of all levels below it, is at most one point above the dense network's.

    Args:
        rows: those of one network and method.

    Returns:
        The level, of the means over seeds, or None where the lowest is already worse.
    """
    means = rows.groupby("level")[["error", "error_dense"]].mean().sort_index()
    near = means["error"] <= means["error_dense"] + 0.01
    return float(near[near.cummin()].index.max()) if near.iloc[0] else None


def choices(tables: Mapping[str, pd.DataFrame]) -> Iterator[tuple[str, str, str, str]]:
    """The rows whose figures are there: what one has, wants, uses, and what was measured."""
    for each in ADVICE:
        if each.study not in tables:
            continue
        rows = tables[each.study]
        figures = [
            figure
            for network, its in rows.groupby("network", sort=False)
            if (figure := _compare(str(network), its, each)) is not None
        ]
        if figures:
            yield each.have, each.want, each.use, "; ".join(figures)


def _compare(network: str, rows: pd.DataFrame, each: Advice) -> str | None:
    ours, theirs = (rows[rows["method"] == name] for name in (each.method, each.other))
    if each.level is not None:
        ours, theirs = (its[its["level"] == each.level] for its in (ours, theirs))
    seeds = set(ours["seed"]) & set(theirs["seed"])
    if not seeds:
        return None
    ours, theirs = (its[its["seed"].isin(seeds)] for its in (ours, theirs))
    network = f"{network}, {len(seeds)} seed{'s' if len(seeds) > 1 else ''}"
    if each.level is None:
        reached, others = (within_a_point(its) for its in (ours, theirs))
        return f"{network}: within one point of dense up to {_times(reached)}, {each.other} {_times(others)}"
    errors = [100 * its["error"].mean() for its in (ours, theirs)]
    dense = 100 * ours["error_dense"].mean()
    return f"{network}: {errors[0]:.2f} % wrong, {each.other} {errors[1]:.2f} %, dense {dense:.2f} %"


def _times(level: float | None) -> str:
    return "nowhere" if level is None else f"{level:g}x"
