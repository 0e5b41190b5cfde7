"""The sentences of a report, each computed from the result."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

from keras_prunelab._errors import NoTradeOffError
from keras_prunelab._evaluate._metric import percent
from keras_prunelab._result._collapse import find_collapse

from ._findings import Findings

if TYPE_CHECKING:
    from keras_prunelab._result._choice import Choice
    from keras_prunelab._result._result import SweepResult

CONVENTIONS = {
    "matlab": (
        "The matlab convention follows MathWorks' example Parameter Pruning and Quantization of Image Classification "
        "Network: every learnable counts and can be pruned (weights, biases, and the scale and offset of "
        "normalizations), and those go whose score is not above one threshold, so ties and scores of zero all go and "
        "the measured sparsity can exceed the level asked for. SynFlow is computed anew at every level, on the network "
        "pruned so far."
    ),
    "paper": (
        "The paper convention counts and prunes weights (kernels) only; biases and normalizations stay. Exactly "
        "round(s N) of the N weights go at level s, ties broken by position; SynFlow runs in rounds on an exponential "
        "schedule (Tanaka et al. 2020)."
    ),
}
FAMILIES = {
    "convolution": "convolutional layers",
    "fully connected": "fully connected layers",
    "recurrent": "recurrent layers",
    "normalization": "normalization layers",
}
TREND = 0.3
"""The rank correlation from which on a trend is called one."""
SAME = 1e-12
"""Sparsities that differ by less are equal but for rounding."""


LIMITS = (0.005, 0.01, 0.02, 0.05)
"""The losses that are allowed in turn."""
NONE = "none tested"
"""What stands where no level that was measured is within an allowed loss."""


def trade_off(findings: Findings) -> list[str]:
    """How far the choice can be trusted: the size of the test set, the knee, and lost observations."""
    result, choice, metric = findings.result, findings.choice, findings.result.metric
    row = result.table.iloc[choice.index]
    samples = int(result.metadata.get("samples", 0))
    sentences = []
    if metric.is_fraction and samples:
        error = math.sqrt(choice.accuracy * (1 - choice.accuracy) / samples)
        loss = choice.dense_accuracy - choice.accuracy
        sentences.append(
            f"Measured on {samples:,} observations, the {metric.label} at the choice has a standard error of about "
            f"{100 * error:.2f} points; the loss against the dense network is {100 * loss:.2f} points."
        )
    if "lost" in row and pd.notna(row["lost"]):
        sentences.append(
            f"{int(row['lost']):,} observations that were right before pruning are wrong at the choice, and "
            f"{int(row['gained']):,} the other way round: over the same observations, the loss has a standard error of "
            f"{metric.difference(row['loss_error'])}."
        )
    if not np.isfinite(result.curves.loc[result.curves["curve"] == choice.curve, metric.name].astype(float)).any():
        return sentences
    knee = result.trade_offs.at_knee(choice.curve)
    bend = f"bends most at {percent(knee.sparsity)}, where the {metric.label} is {metric.text(knee.accuracy)}"
    return [*sentences, f"The curve of {choice.curve} {bend}."]


def alternatives(findings: Findings) -> pd.DataFrame:
    """The sparsest level of all methods for several allowed losses, and the choice, with what each costs and gains."""
    result, metric = findings.result, findings.result.metric
    points: dict[str, Choice | None] = {"the choice": findings.choice}
    for drop in LIMITS:
        points[_allowance(result, drop)] = _within(result, drop)
    rows: list[dict[str, str | None]] = []
    lost = "worse by" if metric.label == "loss" else "loss (points)" if metric.is_fraction else "loss"
    for allowed, point in points.items():
        if point is None:
            rows.append({"allowed loss": allowed, "method": NONE})
            continue
        row = result.table.iloc[point.index]
        error = row.get("loss_error", math.nan)
        loss = metric.goodness(result.dense) - metric.goodness(point.accuracy)
        rows.append(
            {
                "allowed loss": allowed,
                "method": point.curve,
                "sparsity": percent(point.sparsity),
                metric.label: metric.text(point.accuracy),
                lost: metric.difference(loss).removesuffix(" points"),
                "standard error": None if pd.isna(error) else metric.difference(error).removesuffix(" points"),
                "compression": _times(row["compression_ratio"]),
                "bytes": f"{row['bytes']:,.0f}",
                "speedup": _times(row["speedup"]),
            }
        )
    return pd.DataFrame(rows)


def comparison(findings: Findings) -> pd.DataFrame:
    """Every method at the level nearest to the choice's sparsity, and how far it goes within several losses."""
    result, metric = findings.result, findings.result.metric
    rows = []
    for score in result.scores:
        near = result.choose(sparsity=findings.choice.sparsity, score=score)
        reached = [_reach(result, drop, score) for drop in LIMITS]
        rows.append((score, percent(near.sparsity), metric.text(near.accuracy), *reached))
    limits = [f"within {_allowance(result, drop)}" for drop in LIMITS]
    return pd.DataFrame(rows, columns=["method", "nearest level", f"{metric.label} there", *limits])


def comparison_sentence(findings: Findings) -> str:
    """Which score is better near the chosen sparsity, and over how many of the common levels."""
    result, choice, metric = findings.result, findings.choice, findings.result.metric
    if len(result.scores) < 2:
        return (
            f"Only {choice.curve} was swept. Sweep two scores, such as magnitude and synflow, to compare "
            "them under the same conditions."
        )
    near = [result.choose(sparsity=choice.sparsity, score=score) for score in result.scores]
    best, second = sorted(near, key=lambda point: np.nan_to_num(metric.goodness(point.accuracy), nan=-np.inf))[:-3:-1]
    wide = result.curves.pivot_table(index="sparsity_target", columns="curve", values=metric.name)
    both = wide.reindex(columns=[best.curve, second.curve]).dropna().map(metric.goodness)
    ahead = int((both[best.curve] > both[second.curve]).sum())
    return (
        f"Near {percent(choice.sparsity)}, {best.curve} has {metric.label} {metric.text(best.accuracy)} and "
        f"{second.curve} {metric.text(second.accuracy)}; {best.curve} is the better of the two at {ahead} of "
        f"the {len(both)} levels at which both were measured."
    )


def difference_sentence(compared: pd.DataFrame, what: str) -> str:
    """Where the methods differ most, and how much on the whole.

    Args:
        compared: `Findings.compared`.
        what: `"layer"` or `"block"`, the column with the names.
    """
    values = compared.drop(columns=what)
    spread = (values.max(axis=1) - values.min(axis=1)).to_numpy(dtype=float)
    at = int(np.nanargmax(spread))
    if spread[at] < SAME:
        return f"All methods prune every {what} equally."
    row = values.iloc[at].sort_values(ascending=False)
    return (
        f"The methods differ most in {compared[what].iloc[at]}, which is {percent(row.iloc[0])} sparse by "
        f"{row.index[0]} and {percent(row.iloc[-1])} by {row.index[-1]}; on average over the {what}s, they are "
        f"{100 * float(np.nanmean(spread)):.1f} points apart."
    )


def collapses(findings: Findings) -> list[str]:
    """The scores that leave a layer without any weight: why a curve is low, or falls at once."""
    found = (_collapse(findings, score) for score in findings.result.scores)
    return [sentence for sentence in found if sentence]


def depth_trend(groups: pd.DataFrame, name: str) -> str:
    """Whether early or late layers (or blocks) are pruned more, by Spearman's rank correlation.

    Args:
        groups: a per-layer or per-block table, early to late.
        name: `"layer"` or `"block"`, the column with the names.
    """
    sparsity = groups["sparsity"].to_numpy(dtype=float)
    first, last = (f"{row[name]} {percent(row['sparsity'])}" for _, row in groups.iloc[[0, -1]].iterrows())
    if len(groups) == 1:
        return f"There is one {name}: {first}."
    if np.ptp(sparsity) < SAME:
        return f"Every {name} has the same sparsity, {percent(sparsity[0])}."
    if len(groups) == 2:
        return f"The early {name} is pruned {'less' if sparsity[0] < sparsity[1] else 'more'}: {first}, {last}."
    rho = float(stats.spearmanr(np.arange(len(sparsity)), sparsity).statistic)
    signed = f"{rho:+.2f}".replace("-", "\N{MINUS SIGN}")
    numbers = f"{first}, {last} (rank correlation of depth and sparsity {signed}, over {len(groups)} {name}s)"
    if abs(rho) < TREND:
        return f"Neither early nor late {name}s are pruned clearly more: {numbers}."
    return f"Early {name}s are pruned {'less' if rho > 0 else 'more'} than late ones: {numbers}."


def family_sentence(findings: Findings) -> str:
    """The sparsity of each type of layer, the most pruned first."""
    family = {layer.name: layer.family for layer in findings.result.outline.layers}
    sums = findings.layers.groupby(findings.layers["layer"].map(family))[["zeros", "parameters"]].sum()
    sums = sums.assign(sparsity=sums["zeros"] / sums["parameters"]).sort_values("sparsity", ascending=False)
    parts = [
        f"{FAMILIES.get(str(kind), 'other layers')} {percent(row['sparsity'])} "
        f"({int(row['zeros']):,} of {int(row['parameters']):,})"
        for kind, row in sums.iterrows()
    ]
    against = f", against {', '.join(parts[1:])}." if len(parts) > 1 else "; there is no other type."
    return f"Zeros by type of layer: {parts[0]}{against}"


def extremes_sentence(layers: pd.DataFrame) -> str:
    """The most and the least pruned layer, and the one that holds most of the zeros."""
    zeros = int(layers["zeros"].sum())
    if zeros == 0:
        return "No layer has zeros."
    by_share = layers.iloc[layers["sparsity"].argsort()]
    least, most = by_share.iloc[0], by_share.iloc[-1]
    largest = layers.iloc[layers["zeros"].argmax()]
    return (
        f"Sparsest is {most['layer']} with {percent(most['sparsity'])}, densest {least['layer']} with "
        f"{percent(least['sparsity'])}; {largest['layer']} holds {percent(largest['zeros'] / zeros)} of "
        "all zeros."
    )


def filter_sentence(findings: Findings) -> str:
    """How many whole filters and units are gone."""
    counted = findings.layers[findings.layers["filters"].notna()]
    dense = counted["type"].isin(["Dense", "EinsumDense"])
    groups = {"convolution filters": counted[~dense], "units of fully connected layers": counted[dense]}
    parts = [
        f"{int(rows['filters_removed'].sum()):,} of {int(rows['filters'].sum()):,} {what}"
        for what, rows in groups.items()
        if len(rows)
    ]
    if not parts:
        return "No layer has filters or units to count."
    gone = "all its weights are zero" + ("" if findings.result.convention == "paper" else ", and its bias")
    return f"Removed as a whole: {' and '.join(parts)} (one is gone when {gone})."


def macs_sentence(findings: Findings) -> str:
    """The share of multiply-adds that is left, and what that means for time."""
    total, kept, unknown = findings.macs
    if not total:
        return "Multiply-adds could not be counted for this model."
    left_out = f" Not counted: {', '.join(unknown)}." if unknown else ""
    return (
        f"{percent(kept / total)} of the multiply-adds have a weight that is left: {kept:,} of {total:,} for "
        "one observation, counting one for each kernel weight at each position where it is used, without "
        f"biases and normalization.{left_out} Scattered zeros save this work only with sparse arithmetic; in "
        "dense arithmetic only whole filters that are cut out save time (Li et al. 2017, Pruning Filters for "
        "Efficient ConvNets)."
    )


def _collapse(findings: Findings, curve: str) -> str:
    """The layers that a curve empties at its lowest level, or else at the chosen sparsity."""
    found = (find_collapse(findings.result, curve, where) for where in (None, findings.choice.sparsity))
    return next((str(collapse) for collapse in found if collapse is not None), "")


def _allowance(result: SweepResult, drop: float) -> str:
    if not result.metric.higher_is_better:
        return percent(drop)
    return f"{100 * drop:g} {'point' if drop == 0.01 else 'points'}"


def _times(ratio: float) -> str | None:
    return None if pd.isna(ratio) else "∞" if math.isinf(ratio) else f"{ratio:.3g}\N{MULTIPLICATION SIGN}"


def _reach(result: SweepResult, drop: float, score: str) -> str:
    """How sparse a score gets within an allowed loss."""
    point = _within(result, drop, score)
    return NONE if point is None else percent(point.sparsity)


def _within(result: SweepResult, drop: float, score: str | None = None) -> Choice | None:
    """The sparsest level within an allowed loss, if there is one."""
    try:
        return result.choose(max_drop=drop, score=score)
    except NoTradeOffError:
        return None
