"""The metric of groups of observations, dense against chosen: a sentence, a figure and a table for each variable."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Drawing

from keras_prunelab._result._placement import place_legend
from keras_prunelab._result._style import (
    FONT,
    LIGHT,
    MARKERS,
    NO_TEX,
    Theme,
    line_style,
    new_figure,
    percent_axis,
    plain,
    plain_names,
)

from ._document import Block, Figure, Paragraph, See, Table

if TYPE_CHECKING:
    from keras_prunelab._evaluate._metric import Metric

    from ._findings import Findings

MAX_ROWS = 24
"""Values up to which each has a row of the table; of more, those that change most for the worse."""
MAX_NAMES = 20
"""Texts up to which each has a line of the figure; of more, likewise."""


def group_blocks(findings: Findings) -> Iterator[Block]:
    """What a report says of each variable that puts observations into groups; nothing where there is none."""
    metric, choice = findings.result.metric, findings.choice
    groups = findings.result.groups(choice)
    for number, (name, group) in enumerate(groups.groupby("variable", sort=False), start=1):
        group = group.drop(columns="variable")
        name = f"{name} (of the data)" if name in group else str(name)  # the other columns have names as well
        group = group.rename(columns={"value": name})
        figure, table = f"group{number}", f"groups{number}"
        yield Paragraph((See(figure), " and ", See(table), f" {_sentence(group, name, metric)}"))
        caption = f"{metric.label} by {name}, before pruning and at the choice."
        values = "; ".join(
            f"{value(row[0])}: {metric.text(row[2])} and {metric.text(row[3])}"
            for row in group.itertuples(index=False, name=None)
        )
        yield Figure(
            figure,
            partial(group_figure, group, name, metric, choice.curve),
            caption[:1].upper() + caption[1:],
            f"Line plot of {metric.label} against {name}, dense and at the choice: {values}.",
        )
        caption = f"The {metric.label} of each value of {name}."
        if len(group) > MAX_ROWS:
            caption = f"The {MAX_ROWS} of {len(group)} values of {name} whose {metric.label} suffers most."
            worst = group["change"].map(metric.goodness).sort_values(kind="stable").index[:MAX_ROWS]
            group = group.loc[sorted(worst)]
        formats: dict[str, Callable[[Any], str]] = {"change": partial(_change, metric)}
        if pd.api.types.is_numeric_dtype(group[name]):  # texts stand to the left
            formats[name] = value
        formats |= {"dense": metric.text, metric.name: metric.text}
        yield Table(table, group, caption, formats)


@NO_TEX
def group_figure(group: pd.DataFrame, name: str, metric: Metric, curve: str, theme: Theme = LIGHT) -> Drawing:
    """The metric against a variable, before pruning and at the choice.

    Args:
        group: one row for each value: the column `name`, `dense`, and the metric.
        name: the name of the variable.
        metric: what was measured.
        curve: the curve of the choice.
        theme: the colours.
    """
    values = {"dense": group["dense"], metric.name: group[metric.name]}
    labels = {"dense": "dense network", metric.name: f"{curve}, at the choice"}
    colours = {"dense": theme.text, metric.name: theme.series[0]}
    label = f"{metric.label} (%)" if metric.is_fraction else plain(metric.label)
    if pd.api.types.is_numeric_dtype(group[name]):
        figure, axes = new_figure(theme)
        for number, (key, points) in enumerate(values.items()):
            axes.plot(
                group[name],
                points,
                color=colours[key],
                marker=MARKERS[number],
                markersize=4.5,
                linewidth=1.6,
                linestyle=line_style(1 - number),
                label=plain(labels[key]),
            )
        axes.set(xlabel=plain(name), ylabel=label)
    else:  # texts need room, and nothing lies between two of them
        shown = np.sort(np.argsort(group["change"].map(metric.goodness).to_numpy(), kind="stable")[:MAX_NAMES])
        figure, axes = new_figure(theme, 1.2 + 0.2 * len(shown))
        for number, (key, points) in enumerate(values.items()):
            axes.plot(
                points.iloc[shown],
                range(len(shown)),
                color=colours[key],
                marker=MARKERS[number],
                fillstyle="full" if number else "none",
                linestyle="none",
                label=plain(labels[key]),
            )
        axes.set_yticks(range(len(shown)), plain_names(group[name].iloc[shown]))
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.set(xlabel=label, ylabel=plain(name))
    if metric.is_fraction:
        percent_axis(axes, "y" if pd.api.types.is_numeric_dtype(group[name]) else "x")
    place_legend(axes, fontsize=FONT - 1, labelcolor=theme.text, facecolor=theme.background, edgecolor=theme.faint)
    return figure


def value(given: object) -> str:
    """A value of a variable as it is printed."""
    return f"{given:g}" if isinstance(given, float) else str(given)


def _sentence(group: pd.DataFrame, name: str, metric: Metric) -> str:
    goodness = group["change"].map(metric.goodness).to_numpy(dtype=float)
    if len(group) == 1 or np.isnan(goodness).all():
        return f"have the {metric.label} of each {name}."
    worst, best = (group.iloc[int(pick(goodness))] for pick in (np.nanargmin, np.nanargmax))
    return (
        f"have the {metric.label} by {name}. Pruning changes most for the worse where {name} is {value(worst[name])}, "
        f"by {_change(metric, worst['change'])} to {metric.text(worst[metric.name])} (dense "
        f"{metric.text(worst['dense'])}); where it is {value(best[name])} it changes by "
        f"{_change(metric, best['change'])}."
    )


def _change(metric: Metric, change: float) -> str:
    text = f"{100 * change:+.1f} points" if metric.is_fraction else f"{change:+.3g}"
    return text.replace("-", "\N{MINUS SIGN}")
