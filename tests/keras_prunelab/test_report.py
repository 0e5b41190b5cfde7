from __future__ import annotations

import base64
import dataclasses
import hashlib
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import keras_prunelab as kpl
from keras_prunelab import MaskSet
from keras_prunelab._evaluate._metric import RMSE
from keras_prunelab._report import _answers, _curves, _html, _plots
from keras_prunelab._report._findings import Findings
from keras_prunelab._result import _plot
from keras_prunelab._result._style import DARK, LIGHT, new_figure

from .results_by_hand import FALLING, MASKS, OUTLINE, SameMasks, result

UPLOT_1_6_32 = {
    "LICENSE": "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
    "uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    "uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
}


# HTML's elements without an end.
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"}


class _Tags(HTMLParser):
    """Every tag of a page with its attributes, and the tags that are open."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if dict(attrs).get("http-equiv") == "Content-Security-Policy":
            self.policy = dict(attrs)["content"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data.replace("\N{NO-BREAK SPACE}", " ")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    swept = result(FALLING, class_names=("cat & dog", "<b>bird</b>"))
    folder = tmp_path_factory.mktemp("report")
    path = kpl.report(
        swept,
        swept.choose(max_drop=0.01),
        folder / "new" / "lab.html",
        title="Lab <script>alert(1)</script>",
        network_summary=pd.DataFrame({"Name": ["conv<1>"], "Learnables": [12_345]}),
        notes=['Noise "5 %" & more'],
    )
    assert [file.name for file in path.parent.iterdir()] == ["lab.html"]
    return path.read_text(encoding="utf-8")


def test_the_page_loads_nothing_from_anywhere_and_runs_its_own_scripts_alone(page):
    tags = _Tags(page)
    assert tags.open == []
    for tag, attributes in tags.found:
        assert tag not in {"link", "iframe", "object", "embed", "base", "form"}
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        for name in {"src", "srcset", "href", "data", "action"} & attributes.keys():
            assert str(attributes[name]).startswith("#")
    assert not re.search(r"url\((?!#)|@import|https?://(?!www\.w3\.org/2000/svg)", page.replace(_UPLOT, ""))
    policy = dict(part.split(maxsplit=1) for part in unescape(tags.policy).split("; "))
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["img-src"] == "blob:"  # a figure on its way to PNG
    for kind, tag in (("script-src", "script"), ("style-src", "style")):
        contents = re.findall(rf"<{tag}(?! type=.application/json)[^>]*>(.*?)</{tag}>", page, re.DOTALL)
        digests = [base64.b64encode(hashlib.sha256(content.encode()).digest()).decode() for content in contents]
        assert policy[kind].split() == [f"'sha256-{digest}'" for digest in digests]
    assert page.count(_UPLOT) == 1


_UPLOT = (Path(_html.VENDOR) / "uPlot.iife.min.js").read_text(encoding="utf-8")


def test_what_comes_from_elsewhere_is_unchanged_and_has_its_licence():
    """The digests are those of the package on npm, uplot 1.6.32."""
    digests = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in _html.VENDOR.iterdir()
        if path.suffix != ".md"
    }
    assert digests == UPLOT_1_6_32
    assert "1.6.32" in (_html.VENDOR / "README.md").read_text(encoding="utf-8")


def test_every_text_is_escaped(page):
    assert "<script>alert" not in page
    assert "<b>bird" not in page
    text = _Tags(page).text
    for expected in (
        "Lab <script>alert(1)</script>",
        "<b>bird</b>",
        "cat & dog",
        'Noise "5 %" & more',
        "conv<1>",
        "12,345",
    ):
        assert expected in text


def test_the_page_has_the_sections_of_the_sheet_and_the_choice(page):
    text = _Tags(page).text
    places = [text.rindex(heading) for heading in (
        "Summary", "Network, data and files", "Question 1. How does the accuracy fall", "Question 2. Which trade-off",
        "Question 3. How does a second method", "Question 4. Where are the zeros?", "Question 5. Open questions",
        "What was done", "References",
    )]  # fmt: skip
    assert places == sorted(places)
    assert text.count("synflow at 91.4 % is the sparsest level whose accuracy, 98.20 %, is within 1 point") == 2
    assert "The matlab convention follows MathWorks' example" in text


def test_every_figure_stands_once_as_svg_with_an_alternative_text_and_the_colours_of_the_page(page):
    tags = _Tags(page).found
    drawings = [attributes for tag, attributes in tags if tag == "svg"]
    assert len(drawings) == [tag for tag, _ in tags].count("figure") >= 3
    assert all(drawing["role"] == "img" and len(drawing["aria-label"]) > 40 for drawing in drawings)
    identifiers = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    inside = page[page.index("<main>") : page.index("</main>")]
    assert "style=" not in inside
    assert "<style" not in inside
    fallbacks = set(re.findall(r"var\((--[\w-]+),#[0-9a-f]{6}\)", inside))
    style = page[: page.index("</style>")]
    assert {"--ink", "--curve-1"} <= fallbacks
    assert all(style.count(f"{name}: ") == 2 for name in fallbacks)  # light and dark
    assert not re.findall(r"(?<!,)#[0-9a-f]{6}\b", inside)


def test_a_sweep_that_was_stopped_says_so(tmp_path):
    swept = result({"magnitude": [(0.5, 0.99)]}, complete=False)
    text = _Tags(kpl.report(swept, swept.choose(), tmp_path / "r.html").read_text(encoding="utf-8")).text
    assert "stopped before its end, after 1 measured points" in text
    assert "Only magnitude was swept" in text


def test_a_regression_is_reported_in_its_own_units(tmp_path):
    swept = result({"magnitude": [(0.5, 2.0), (0.7, 2.1), (0.8, 9.0)]}, dense=2.0, metric=RMSE)
    text = _Tags(kpl.report(swept, swept.choose(max_drop=0.1), tmp_path / "r.html").read_text(encoding="utf-8")).text
    assert "How does the RMSE rise with sparsity?" in text
    assert "magnitude at 70.0 %" in text
    assert "accuracy of each class" not in text.lower()
    assert "right answers" not in text.lower()


def test_answers_are_computed():
    swept = result(FALLING)
    findings = Findings.of(swept, swept.choose(max_drop=0.01))
    # By hand from the masks: 7 of 9 convolution learnables and 9 of 20 weights are zero.
    assert _answers.family_sentence(findings) == (
        "Zeros by type of layer: convolutional layers 77.8 % (7 of 9), against fully connected layers 45.0 % (9 of 20)."
    )
    assert _answers.depth_trend(findings.blocks, "block") == "The early block is pruned more: conv1 77.8 %, fc2 45.0 %."
    assert _answers.filter_sentence(findings) == (
        "Removed as a whole: 1 of 3 convolution filters and 1 of 4 units of fully connected layers (one is gone "
        "when all its weights are zero, and its bias)."
    )
    assert _answers.macs_sentence(findings).startswith(
        "17.9 % of the multiply-adds have a weight that is left: 111 of 620"
    )
    # sqrt(0.982 * 0.018 / 500) = 0.0059
    assert "standard error of about 0.59 points; the loss against the dense network is 0.80 points" in " ".join(
        _answers.trade_off(findings)
    )
    assert "synflow has accuracy 98.20 % and magnitude 98.10 %; synflow is the better of the two at 3 of the 5" in (
        _answers.comparison_sentence(findings)
    )
    assert "from 91.6 %, accuracy 97.90 %, to 95.0 %, 70.00 %" in _curves.sampling(findings)


@pytest.mark.parametrize(
    ("sparsities", "expected"),
    [
        ([0.1, 0.5, 0.6, 0.9], "Early blocks are pruned less than late ones: b0 10.0 %, b3 90.0 % (+1.00)."),
        ([0.9, 0.6, 0.5, 0.1], "Early blocks are pruned more than late ones: b0 90.0 %, b3 10.0 % (−1.00)."),  # noqa: RUF001
        (
            [0.5, 0.1, 0.9, 0.4],
            "Neither early nor late blocks are pruned clearly more: b0 50.0 %, b3 40.0 % (+0.00).",
        ),
        ([0.5, 0.5, 0.5], "Every block has the same sparsity, 50.0 %."),
        ([0.5], "There is one block: b0 50.0 %."),
    ],
)
def test_the_trend_with_depth(sparsities, expected):
    table = pd.DataFrame({"block": [f"b{index}" for index in range(len(sparsities))], "sparsity": sparsities})
    numbers = re.compile(r"rank correlation of depth and sparsity (.0|.1)(\.\d\d), over \d blocks")
    assert numbers.sub(r"\1\2", _answers.depth_trend(table, "block")) == expected


def test_the_plot_has_every_point_the_dense_line_and_the_choice():
    swept = result(FALLING)
    choice = swept.choose(max_drop=0.01)
    figure, axes = new_figure()
    _plot.draw_accuracy(axes, swept, choice)
    lines = {line.get_label(): line for line in axes.get_lines()}
    for score, points in FALLING.items():
        np.testing.assert_array_equal(lines[score].get_xydata(), points)
    assert set(lines["dense network, 99.00 %"].get_ydata()) == {0.99}
    np.testing.assert_array_equal(lines["_choice"].get_xydata(), [(0.914, 0.982)])
    assert "synflow: 91.4 % sparse" in axes.texts[0].get_text()
    figure.draw_without_rendering()
    labels = [tick.get_text() for tick in axes.get_yticklabels()]
    assert "90" in labels  # percent, not fractions


def test_bars_have_the_lengths_of_the_table():
    swept = result(FALLING)
    findings = Findings.of(swept, swept.choose())
    bars = _plots.bar_figure(findings.layers, "layer").axes[0].patches
    np.testing.assert_allclose([bar.get_width() for bar in bars], [7 / 9, 9 / 20])
    stacked = _plots.filter_figure(findings.layers).axes[0].patches
    assert [bar.get_width() for bar in stacked] == [2, 3, 1, 1]


def test_plots_are_written_as_png(tmp_path):
    swept = result(FALLING)
    paths = kpl.export_plots(swept, swept.choose(), tmp_path / "plots")
    assert [path.name for path in paths] == ["accuracy.png", "layers.png", "filters.png", "blocks.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)
    assert len(list((tmp_path / "plots").iterdir())) == 4


def test_a_result_plots_itself(tmp_path):
    swept = result(FALLING)
    assert isinstance(swept.plot(), Figure)
    swept.plot(tmp_path / "curve.svg")
    assert b"<svg" in (tmp_path / "curve.svg").read_bytes()
    figure, axes = new_figure()
    assert swept.plot(axes) is figure
    assert len(axes.get_lines()) == 3


def _luminance(colour: str) -> float:
    """Relative luminance, after WCAG 2.2."""
    channels = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_words_and_curves_stand_out_from_the_background(theme):
    behind = _luminance(theme.background)
    for colour, least in [(theme.text, 7.0), *((curve, 3.0) for curve in theme.series)]:
        bright, dark = sorted([_luminance(colour), behind], reverse=True)
        assert (bright + 0.05) / (dark + 0.05) >= least


def test_an_emptied_layer_is_named_and_explained():
    swept = result({"magnitude": [(0.5, 0.99)], "synflow": [(0.5, 0.1), (0.9, 0.1)]})
    assert _answers.collapses(Findings.of(swept, swept.choose())) == []
    emptied = MaskSet({path: mask & (path != "fc2/kernel") for path, mask in MASKS.items()})
    table = swept.table.assign(sparsity_target=[0.5, 0.0, 0.9])
    swept = dataclasses.replace(
        swept, table=table, sources={**swept.sources, ("synflow", "global", "none", 0): SameMasks(emptied)}
    )
    (sentence,) = _answers.collapses(Findings.of(swept, swept.choose()))
    assert sentence.startswith("Layer collapse: synflow has emptied fc2 at 50.0 % (level 0.0 %)")
    assert "weights with a score of zero always go" in sentence


def test_the_layers_of_the_outline_are_in_a_table(page):
    text = _Tags(page).text
    assert all(layer.name in text for layer in OUTLINE.layers if layer.variables)
