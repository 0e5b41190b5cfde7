"""The rules in the script of a report's page, run in a browser: they are Python's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

from keras_prunelab import NoTradeOffError
from keras_prunelab._evaluate._metric import ACCURACY, RMSE, Metric, percent
from keras_prunelab._report._exploration import exploration
from keras_prunelab._report._html import PAGE

from .browser import chromium
from .results_by_hand import result

LOSSES = [0, 0.0005, 0.001, 0.005, 0.01, 0.0125, 0.015, 0.02, 0.05, 0.1, 0.25, 0.5, 0.99]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def rule(browser: Any) -> Iterator[Any]:
    """An empty page that knows the script's rule."""
    page = browser.new_page()
    for name in ("numbers", "choice"):
        page.add_script_tag(content=(PAGE / f"{name}.js").read_text(encoding="utf-8"))
    explore = (PAGE / "explore.js").read_text(encoding="utf-8")
    page.add_script_tag(content=explore)
    yield page
    page.close()


def test_numbers_are_printed_as_python_prints_them(rule: Any) -> None:
    rng = np.random.default_rng(0)
    values = [*rng.normal(size=300), *(10.0 ** rng.uniform(-12, 9, 300)), *(rng.integers(0, 8000, 400) / 800)]
    values += [0.0, 0.5, 0.125, 2.5, 12.25, 91.25, 0.9125, 0.00125, 99995.0, 9.9995, 12345.0, 1e-5, 123456.5, 0.045]
    values += [-value for value in values[-10:]]
    given = [float(value) for value in values]
    calls = ("fixed(v, 0)", "fixed(v, 1)", "fixed(v, 2)", "general(v, 2)", "general(v, 4)", "general(v, 6)")
    found = rule.evaluate(f"values => values.map(v => [{', '.join(calls)}])", given)
    for value, texts in zip(given, found, strict=True):
        assert texts == [f"{value:.0f}", f"{value:.1f}", f"{value:.2f}", f"{value:.2g}", f"{value:.4g}", f"{value:g}"]


def test_what_is_less_than_all_is_not_printed_as_all(rule: Any) -> None:
    printed = {0.9994: "99.9 %", 0.9996: "99.96 %", 0.99996: "99.996 %", 1 - 1e-15: "100.0 %", 1.0: "100.0 %"}
    assert {value: percent(value) for value in printed} == printed
    assert rule.evaluate("values => values.map(v => percent(v))", list(printed)) == list(printed.values())


def _sweep(rng: np.random.Generator, metric: Metric) -> Any:
    """Curves that fall, rise again, have equal and missing values, and errors or none."""
    curves = {}
    for name in ("magnitude", "synflow", "obs"):
        count = int(rng.integers(1, 14))
        levels = np.sort(rng.choice(np.arange(0, 1000, 25), count, replace=False)) / 1000
        middle = rng.uniform(0.3, 0.9)
        fall = 1 / (1 + np.exp(12 * (levels - middle))) + rng.normal(0, 0.04, count)
        good = np.round(np.clip(fall, 0, 1), rng.choice([2, 4, 12]))
        values = good if metric.higher_is_better else np.round(2 - 1.9 * good, 6)
        values = np.where(rng.random(count) < 0.03, np.nan, values)
        errors = np.where(rng.random(count) < 0.3, np.nan, np.round(rng.uniform(0, 0.02, count), 4))
        curves[name] = list(zip(levels.tolist(), values.tolist(), errors.tolist(), strict=True))
    dense = 0.12 if metric is RMSE else 0.97
    swept = result(curves, dense=dense, metric=metric)
    if rng.random() < 0.5:  # ties of the convention: more goes than was asked for
        measured = np.round(swept.table["sparsity"] + rng.choice([0, 0.025], len(swept.table)), 4)
        swept.table["sparsity"] = measured
    if rng.random() < 0.3:
        again = swept.table.assign(seed=1)
        again[metric.name] += np.round(rng.normal(0, 0.01, len(again)), 3)
        table = pd.concat([swept.table, again], ignore_index=True)
        swept = type(swept)(table, swept.dense, swept.outline, swept.sources, metric, metadata=swept.metadata)
    return swept


def _python(points: Any, loss: float, name: str | None) -> tuple[str | None, float | None, str]:
    try:
        choice = points.within_drop(loss, name)
    except NoTradeOffError as error:
        return None, None, str(error)
    return choice.curve, choice.sparsity_target, choice.reason


@pytest.mark.parametrize("metric", [ACCURACY, RMSE, Metric("r2_score")], ids=lambda metric: metric.name)
def test_the_choice_of_the_page_is_the_choice_of_python(rule: Any, metric: Metric) -> None:
    rng = np.random.default_rng(7)
    seen = set()
    for _ in range(20):
        swept = _sweep(rng, metric)
        data = json.loads(json.dumps(exploration(swept, None)))
        call = """([data, losses]) => {
            const curves = curvesOf(data), all = pointsOf(data, curves);
            const of = (name) => name === null ? all : all.filter((point) => point.curve === name);
            return losses.map(([loss, name]) => {
                const {point, reason} = choose(of(name), data.measures[0], loss);
                return [point && point.curve, point && point.target, reason];
            });
        }"""
        points = swept.trade_offs  # what `choose(max_drop=...)` asks
        asked = [(loss, name) for loss in LOSSES for name in (None, *swept.scores)]
        found = rule.evaluate(call, [data, asked])
        for (loss, name), (curve, target, reason) in zip(asked, found, strict=True):
            assert (curve, target, reason) == _python(points, loss, name)
            words = ("one standard error", "not monotonic", "seeds")
            seen |= {word for word in words if word in reason} if curve else {"luck" if "luck" in reason else "none"}
    assert seen >= {"luck", "none", "one standard error", "not monotonic", "seeds"}


def test_cells_are_compared_as_what_they_say(rule: Any) -> None:
    rule.add_script_tag(content=(PAGE / "tables.js").read_text(encoding="utf-8"))
    texts = [
        "1,234 of 5,000",
        "91.4\u00a0%",
        "\u22120.5 points",
        "\u2013",
        "9.1\u00d7",
        "\u221e",
        "conv10",
        "conv9",
        "1e-05",
        "2-D",
    ]
    values = rule.evaluate(
        "texts => texts.map((text) => { const v = cellValue(text); return v === Infinity ? 'oo' : v; })", texts
    )
    assert values == [1234, 91.4, -0.5, None, 9.1, "oo", "conv10", "conv9", 1e-05, "2-D"]
    ordered = "(texts) => texts.sort((a, b) => compareCells(cellValue(a), cellValue(b), 1))"
    assert rule.evaluate(ordered, ["\u2013", "conv10", "3", "conv9", "-1", "\u221e"]) == [
        "-1",
        "3",
        "\u221e",
        "conv9",
        "conv10",
        "\u2013",
    ]
    downwards = ordered.replace(", 1)", ", -1)")
    assert rule.evaluate(downwards, ["\u2013", "3", "-1"]) == ["3", "-1", "\u2013"]
