"""What a terminal and a notebook show of results."""

from __future__ import annotations

import base64
import re
import warnings
from html.parser import HTMLParser

import keras
import numpy as np
import pytest

import keras_prunelab as kpl


class _Balanced(HTMLParser):
    """Counts tags that are open, and keeps the text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(page: str) -> str:
    """The text of a piece of HTML whose tags are closed in order."""
    parser = _Balanced()
    parser.feed(page)
    assert not parser.open
    return " ".join(parser.text)


@pytest.fixture(scope="module")
def result() -> kpl.SweepResult:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3)])
    inputs = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    labels = model.predict(inputs, verbose=0).argmax(1)
    return kpl.sweep(model, (inputs, labels), [0.2, 0.5], scores=["magnitude", "random"])


def test_a_result_says_what_it_holds(result: kpl.SweepResult) -> None:
    assert repr(result) == ("<SweepResult of 4 points: magnitude, random at 20.0 % to 50.0 %; dense accuracy 100.00 %>")


def test_a_notebook_shows_plot_and_curves(result: kpl.SweepResult) -> None:
    page = result._repr_html_()
    text = read(page)
    for value in result.table["accuracy"]:
        assert f"{100 * value:.2f} %" in text
    assert [text.index(level) for level in ("20.0 %", "50.0 %")] == sorted(
        text.index(level) for level in ("20.0 %", "50.0 %")
    )
    (picture,) = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)" alt="accuracy by sparsity"', page)
    drawing = base64.b64decode(picture).decode("utf-8")
    assert drawing.count("<svg") == drawing.count("</svg>") == 1


def test_a_choice_names_its_metric(result: kpl.SweepResult) -> None:
    choice = result.choose(sparsity=0.5, score="magnitude")
    assert choice.metric == choice.accuracy == result.table["accuracy"][choice.index]
    assert choice.dense_metric == choice.dense_accuracy == 1.0
    assert choice.metric_name == "accuracy"
    assert repr(choice).startswith("<Choice: magnitude at sparsity 0.5, accuracy ")
    assert choice.reason in read(choice._repr_html_())


def test_a_choice_of_a_regression_names_the_error() -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(1)])
    inputs = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    found = kpl.sweep(model, (inputs, model.predict(inputs, verbose=0)), [0.5])
    choice = found.choose(sparsity=0.5)
    assert choice.metric_name == "rmse"
    assert choice.metric == found.table["rmse"][0]


def test_costs_are_shown_as_a_table() -> None:
    model = keras.Sequential([keras.Input((4,), name="in"), keras.layers.Dense(3, name="<b>first")])
    page = kpl.metrics(model)._repr_html_()
    assert "<b>" not in page
    assert "<b>first" in read(page)  # escaped, and shown as it is called
    assert "15 parameters" in read(page)


def test_old_names_work_with_a_warning() -> None:
    with pytest.warns(DeprecationWarning, match="save_plots is called export_plots now"):
        assert kpl.save_plots is kpl.export_plots
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    found = kpl.compaction(model)
    with pytest.warns(DeprecationWarning, match="barriers"):
        assert found.walls == found.barriers
    with pytest.warns(DeprecationWarning, match="constants_kept now"):
        assert found.held == found.constants_kept
    with warnings.catch_warnings(action="error"):
        assert kpl.export_plots
