"""The report of a network with 150 layers, 40 classes and two variables: sizes, pages, and nothing over anything."""

from __future__ import annotations

import io
import itertools
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.text import Annotation, Text

import keras_prunelab as kpl
from keras_prunelab._evaluate._by_class import ByClass
from keras_prunelab._evaluate._by_group import ByGroup
from keras_prunelab._report._findings import Findings
from keras_prunelab._report._groups import group_figure
from keras_prunelab._report._plots import figures
from keras_prunelab._result._by_layer import ByLayer
from keras_prunelab._result._outline import LayerOutline, Left, Outline, VariableOutline

from .browser import chromium, opened
from .office import pdf_of
from .results_by_hand import result

LAYERS = 150
LEVELS = [float(level) for level in np.linspace(0, 0.98, 40).round(4)]
A4 = (595, 842)  # points
RATIOS = tuple(float(ratio) for ratio in range(-20, 20, 2))
SPEAKERS = tuple(f"speaker number {number}" for number in range(30))


def _outline() -> Outline:
    layers = []
    for number in range(LAYERS):
        name = f"stage{1 + number // 30}_block{number // 3}_{('expand', 'depthwise', 'project')[number % 3]}"
        shape = (3, 3, 16, 8 + number)
        layers.append(LayerOutline(name, "Conv2D", (VariableOutline(f"{name}/kernel", "kernel", shape, (3,), 196),)))
    return Outline(tuple(layers))


def _swept() -> kpl.SweepResult:
    outline, places = _outline(), np.linspace(-1, 1, LAYERS)
    keys = [(name, "global", "none", 0, level) for name in ("magnitude", "synflow") for level in LEVELS]
    left = {}
    for key in keys:
        slope = 0.3 if key[0] == "magnitude" else -0.2
        shares = np.clip(key[4] * (1 + slope * places), 0, 1)
        pairs = list(zip(outline.layers, shares, strict=True))
        zeros = {layer.variables[0].path: int(share * layer.variables[0].size) for layer, share in pairs}
        left[key] = Left(zeros, tuple(int(share**3 * (8 + number)) for number, (_, share) in enumerate(pairs)))
    curves = {
        name: [(level, 0.1 + 0.85 / (1 + np.exp(30 * (level - middle))), 0.004) for level in LEVELS]
        for name, middle in (("magnitude", 0.8), ("synflow", 0.85))
    }
    by_class = ByClass((50,) * 40, (48,) * 40, dict.fromkeys(keys, tuple(range(8, 48))))
    grouped = [
        ByGroup(name, values, (100,) * len(values), (0.95,) * len(values), points)
        for name, values in (("SNR in dB", RATIOS), ("who", SPEAKERS))
        for points in [dict.fromkeys(keys, tuple(np.linspace(0.5, 0.9, len(values)).tolist()))]
    ]
    names = tuple(f"class {number}" for number in range(40))
    found = result(curves, dense=0.95, class_names=names, by_class=by_class, by_layer=ByLayer(left))
    return replace(found, outline=outline, sources={}, by_group=tuple(grouped))


@pytest.fixture(scope="module")
def swept() -> kpl.SweepResult:
    return _swept()


@pytest.fixture(scope="module")
def written(swept, tmp_path_factory):
    pytest.importorskip("docx")
    pytest.importorskip("typst")
    folder = tmp_path_factory.mktemp("large")
    choice = swept.choose(max_drop=0.01)
    for ending in ("html", "docx", "pdf"):
        kpl.report(swept, choice, folder / f"large.{ending}", title="A large network")
    return folder


def test_sizes(written):
    assert (written / "large.html").stat().st_size < 1_500_000
    assert (written / "large.docx").stat().st_size < 2_000_000
    assert (written / "large.pdf").stat().st_size < 1_500_000


def _drawn(swept):
    choice = swept.choose(max_drop=0.01)
    plots = {name: draw() for name, draw in figures(Findings.of(swept, choice)).items()}
    for name, group in swept.groups(choice).groupby("variable"):
        group = group.drop(columns="variable").rename(columns={"value": name})
        if name == "SNR in dB":
            group[name] = group[name].astype(float)
        plots[f"by {name}"] = group_figure(group, name, swept.metric, choice.curve)
    return plots


def test_no_words_are_small_cut_or_over_others_and_no_legend_is_over_a_curve(swept):
    drawn = _drawn(swept)
    assert set(drawn) == {"accuracy", "break", "layers", "filters", "blocks", "by SNR in dB", "by who"}
    for name, figure in drawn.items():
        figure.draw_without_rendering()
        axes, scale = figure.axes[0], 72 / figure.dpi
        assert figure.get_figheight() * 72 < 0.7 * A4[1], name
        ticks = [
            tick.label1
            for axis in (axes.xaxis, axes.yaxis)
            for tick in axis.get_major_ticks()
            if min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
        ]
        legend = axes.get_legend()
        words = [*ticks, *axes.texts, axes.xaxis.label, axes.yaxis.label, *(legend.get_texts() if legend else ())]
        words = [word for word in words if word.get_text()]
        assert min(word.get_fontsize() for word in words) >= 8, name
        boxes = [
            Text.get_window_extent(word) if isinstance(word, Annotation) else word.get_window_extent() for word in words
        ]
        for word, box in zip(words, boxes, strict=True):
            inside = figure.bbox.padded(1).contains(box.x0, box.y0) and figure.bbox.padded(1).contains(box.x1, box.y1)
            assert inside, (name, word.get_text())
        for (one, first), (two, second) in itertools.combinations(zip(words, boxes, strict=True), 2):
            assert not first.padded(-1 / scale).overlaps(second.padded(-1 / scale)), (
                name,
                one.get_text(),
                two.get_text(),
            )
        if legend is not None:
            frame = legend.get_window_extent()
            for line in axes.get_lines():
                points = line.get_transform().transform(line.get_xydata())
                if len(points) > 1:
                    points = np.concatenate([np.linspace(a, b, 100) for a, b in itertools.pairwise(points)])
                hidden = (points > (frame.x0, frame.y0)) & (points < (frame.x1, frame.y1))
                assert not hidden.all(axis=1).any(), name


def _check_pages(path, most):
    pypdf = pytest.importorskip("pypdf")
    pages = pypdf.PdfReader(path).pages
    assert len(pages) <= most
    assert all((round(float(page.mediabox.width)), round(float(page.mediabox.height))) == A4 for page in pages)
    assert all(len(page.extract_text()) > 200 for page in pages)  # none is nearly empty
    text = " ".join(" ".join(page.extract_text() for page in pages).split())
    assert all(f"stage5_block{number}_project" in text.replace(" ", "") for number in (40, 49))
    return text


def test_pages_of_the_pdf(written):
    text = _check_pages(written / "large.pdf", 14)
    assert "the 7 most and least pruned" in text
    assert "The 24 of 30 values of who whose accuracy suffers most." in text


def test_pages_of_word_as_libreoffice_lays_them_out(written, tmp_path):
    _check_pages(pdf_of(written / "large.docx", tmp_path), 16)


@pytest.mark.parametrize("width", [400, 1280])
def test_the_page_fits_its_window(written, width):
    with chromium() as browser, opened(browser, written / "large.html", width=width) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        small = page.evaluate(
            """() => [...document.querySelectorAll("figure svg text")]
                .filter((each) => parseFloat(getComputedStyle(each).fontSize) < 8).length"""
        )
        assert small == 0


def test_printed_from_the_browser_no_letter_is_small(written):
    """A table wider than the paper would make the browser print everything smaller."""
    pypdf = pytest.importorskip("pypdf")
    sizes = []

    def note(text, matrix, text_matrix, _font, size):
        if text.strip():
            sizes.append(abs(size * text_matrix[3] * matrix[3]))

    with chromium() as browser, opened(browser, written / "large.html") as page:
        printed = pypdf.PdfReader(io.BytesIO(page.pdf(prefer_css_page_size=True)))
    lines = [line for each in printed.pages for line in each.extract_text(visitor_text=note).splitlines()]
    assert min(sizes) >= 8
    # Names go on in the next line after `_` alone, and words of headings and cells stay whole.
    assert {"parameters", "sparsity", "compression", "magnitude"} <= {word for line in lines for word in line.split()}
    assert not [line for line in lines if len(line.strip()) == 1 and line.strip().islower()]  # the end of a cut word
    assert len(printed.pages) <= 14
