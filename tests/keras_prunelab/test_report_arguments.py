"""Reports of what people really have: other choices, notes as files, long names, joined emoji, own settings."""

from __future__ import annotations

import dataclasses
import itertools
import re
from html import unescape
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import scipy.io

import keras_prunelab as kpl
from keras_prunelab._evaluate._by_class import ByClass
from keras_prunelab._evaluate._by_group import ByGroup
from keras_prunelab._evaluate._metric import RMSE, Metric
from keras_prunelab._report._files import note_blocks
from keras_prunelab._result._plot import accuracy_figure
from keras_prunelab._result._style import plain_names

from .results_by_hand import FALLING, SameMasks, result

NAN = float("nan")


def _text(path: Path) -> str:
    page = re.sub(r"<(svg|style|script).*?</\1>|<[^>]*>", " ", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    return " ".join(unescape(page).split())


@pytest.mark.parametrize(
    "use",
    [
        lambda swept, choice, folder: kpl.report(swept, choice, folder / "r.html"),
        lambda swept, choice, folder: kpl.export_plots(swept, choice, folder / "plots"),
        lambda swept, choice, folder: swept.plot(folder / "r.png", choice),
        lambda swept, choice, folder: swept.to_json(folder / "r.json", choice),
        lambda swept, choice, _: swept.masks(choice),
        lambda swept, choice, _: swept.layers(choice),
    ],
)
def test_a_choice_of_another_sweep_is_refused_before_anything_is_written(use, tmp_path):
    swept = result(FALLING)
    with pytest.raises(kpl.UnknownNameError, match=r"is no point of .* Choose again"):
        use(swept, result({"random": [(0.5, 0.99)]}).choose(), tmp_path)
    with pytest.raises(kpl.UnknownNameError, match="is no point of"):  # the same level, measured otherwise
        use(swept, result({"magnitude": [(0.9, 0.9851)]}).choose(sparsity=0.9), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_choice_finds_its_row_in_a_table_that_was_sorted(tmp_path):
    swept = result(FALLING)
    choice = swept.choose(sparsity=0.95, score="synflow")
    turned = dataclasses.replace(swept, table=swept.table.sort_values("sparsity", ascending=False))
    text = _text(kpl.report(turned, choice, tmp_path / "r.html"))
    assert "20 times fewer weights" in text  # 1 / (1 - 0.95)


def test_a_choice_goes_on_when_another_sweep_is_joined(tmp_path):
    swept = result(FALLING, facts={"seconds": 10.0})
    more = result({"magnitude": FALLING["synflow"]}, facts={"seconds": 32.0})
    sources = {("magnitude", "layer", "none", 0): SameMasks()}
    more = dataclasses.replace(more, table=more.table.assign(scope="layer"), sources=sources)
    joined, choice = swept.join(more), swept.choose()
    assert joined.metadata["seconds"] == 42
    text = _text(kpl.report(joined, choice, tmp_path / "r.html"))
    assert "scope global, layer" in text
    assert "sparsity, by synflow, global" in text


def test_one_file_and_one_path_of_notes_are_one(tmp_path):
    notes = tmp_path / "nötes.md"
    notes.write_bytes("# Grüße\r\n\r\nSeen.\r\n".encode("utf-8-sig"))
    swept = result(FALLING)
    text = _text(kpl.report(swept, swept.choose(), tmp_path / "r.html", notes=notes, files=str(notes)))
    assert "Grüße Seen." in text
    assert f"nötes. md {notes.stat().st_size}" in text  # a line may break after the point
    notes.write_bytes("Grüße".encode("latin-1"))
    with pytest.raises(kpl.InvalidDataError, match=r"UTF-8, but .*nötes\.md"):
        kpl.report(swept, swept.choose(), tmp_path / "r.html", notes=[notes])


@pytest.mark.parametrize("ending", ["html", "docx", "pdf"])
def test_nothing_is_as_good_as_empty(ending, tmp_path):
    pytest.importorskip({"html": "html", "docx": "docx", "pdf": "typst"}[ending])
    swept, given = (
        result(FALLING),
        {"title": None, "author": None, "course": None, "notes": "#\n\n## \n", "files": None},
    )
    empty = kpl.report(swept, swept.choose(), tmp_path / f"a.{ending}", date="2026-05-31", **given)
    plain = kpl.report(swept, swept.choose(), tmp_path / f"b.{ending}", date=np.datetime64("2026-05-31"), title=" ")
    assert abs(empty.stat().st_size - plain.stat().st_size) < 50


def test_an_author_is_text(tmp_path):
    swept = result(FALLING)
    with pytest.raises(kpl.UnknownNameError, match=r"author is text, but got \['A', 'B'\]"):
        kpl.report(swept, swept.choose(), tmp_path / "r.html", author=["A", "B"])


def test_notes_keep_numbers_and_code_that_ends_with_them():
    notes = "1. one\n2. two\n- dot\n\n| a | b |\n|---|---|\n\n~~~\nx = 1\r\ny = 2\n~~~\ntext\n```py\nrest"
    found = [getattr(block, "text", getattr(block, "items", None)) for block in note_blocks([notes])]
    assert found == ["1. one", "2. two", ("dot",), "| a | b |\n|---|---|", "x = 1\ny = 2", "text", "rest"]


def test_long_names_and_joined_emoji_fit_the_pdf(tmp_path):
    pypdf = pytest.importorskip("pypdf")
    pytest.importorskip("typst")
    names = ("x" * 300, "tf_bert/encoder/" * 12, "\N{CAT FACE}\N{ZERO WIDTH JOINER}\N{BUST IN SILHOUETTE}")
    swept = result(FALLING)
    keys = [(row.score, "global", "none", 0, row.sparsity_target) for row in swept.table.itertuples()]
    by_class = ByClass((50, 50, 50), (49, 49, 49), dict.fromkeys(keys, (40, 45, 49)))
    swept = dataclasses.replace(swept, class_names=names, by_class=by_class)
    path = kpl.report(swept, swept.choose(), tmp_path / "r.pdf", title="P" * 200, command="w" * 200)
    pages = [page.extract_text() for page in pypdf.PdfReader(path).pages]
    assert max(len(line) for page in pages for line in page.splitlines()) < 160  # letters have 3 points or more
    assert pypdf.PdfReader(path).metadata.title == "P" * 200


def test_narrow_columns_of_word_keep_their_width_beside_wide_ones(tmp_path):
    docx = pytest.importorskip("docx")
    columns = {"layer": ["conv1_1"], "a": ["x" * 90], "b": ["y" * 90], "c": ["z" * 90], "d": ["w" * 90]}
    swept = result(FALLING)
    path = kpl.report(swept, None, tmp_path / "r.docx", network_summary=pd.DataFrame(columns))
    table = next(each for each in docx.Document(str(path)).tables if len(each.columns) == 5)
    widths = [column.width.mm for column in table.columns]
    assert widths[0] > 7 * 8.5 * 0.5 * 25.4 / 72  # seven letters of 8.5 points, half as wide as high
    assert sum(widths) < 210 - 2 * 20  # of A4, between the margins


def test_settings_of_matplotlib_change_no_report(tmp_path):
    swept = result(FALLING)
    settings = {
        "svg.fonttype": "none",
        "savefig.bbox": "tight",
        "font.size": 24,
        "axes.xmargin": 0.5,
        "path.sketch": (1, 100, 2),
    }
    plain = kpl.report(swept, swept.choose(), tmp_path / "a.html").read_bytes()
    with mpl.rc_context(settings):
        assert kpl.report(swept, swept.choose(), tmp_path / "b.html").read_bytes() == plain
        assert mpl.rcParams["font.size"] == 24


def test_levels_without_a_number_are_named_and_never_chosen(tmp_path):
    points = [(0.1, 1.0), (0.5, 1.02), (0.7, 1.5), (0.9, NAN), (0.95, float("inf"))]
    swept = result({"magnitude": points, "random": [(s, NAN) for s, _ in points]}, dense=1.0, metric=RMSE)
    assert swept.choose(knee=True, score="magnitude").sparsity in (0.5, 0.7)
    assert swept.choose(max_bytes=4000).sparsity == 0.1
    with pytest.raises(kpl.NoTradeOffError, match="of no tested level is a number"):
        swept.choose(knee=True, score="random")
    text = _text(kpl.report(swept, swept.choose(max_drop=0.05), tmp_path / "r.html"))
    assert "At 2 of the 5 levels of magnitude, the first of them 90.0 %, the RMSE is no finite number" in text
    _ = kpl.report(swept, swept.choose(sparsity=0.5, score="random"), tmp_path / "r.html")


def test_the_loss_and_what_is_lost_of_it_are_two_columns(tmp_path):
    swept = result({"magnitude": [(0.5, 2.0), (0.9, 2.01), (0.95, 3.0)]}, dense=2.0, metric=Metric("loss", False))
    path = kpl.report(swept, swept.choose(max_drop=0.01), tmp_path / "r.html")
    table = next(each for each in pd.read_html(path) if "allowed loss" in each)
    assert table.loc[0, ["loss", "worse by"]].tolist() == [2.01, 0.01]


def test_twelve_curves_are_told_apart():
    figure = accuracy_figure(result({f"score {number}": [(0.5, 0.9), (0.9, 0.8)] for number in range(12)}))
    looks = [(line.get_color(), line.get_linestyle()) for line in figure.axes[0].get_lines()[:12]]
    assert all(one != other for one, other in itertools.combinations(looks, 2))


def test_names_with_the_same_ends_stay_apart():
    names = [f"tf_bert_model/bert/encoder/layer_._{number}/attention/self/query" for number in (9, 10, 11)]
    assert plain_names(["conv1", "fc"]) == ["conv1", "fc"]
    assert plain_names([*names, "⋮"]) == [*(f"…{number}/attention/self/query" for number in (9, 10, 11)), "⋮"]


def test_a_variable_may_be_called_as_a_column_is(tmp_path):
    swept = result(FALLING)
    keys = [(row.score, "global", "none", 0, row.sparsity_target) for row in swept.table.itertuples()]
    group = ByGroup("dense", (1.0, 2.0), (250, 250), (0.99, 0.99), dict.fromkeys(keys, (0.98, 0.5)))
    text = _text(kpl.report(dataclasses.replace(swept, by_group=(group,)), swept.choose(), tmp_path / "r.html"))
    assert "where dense (of the data) is 2, by −49.0 points to 50.00 %" in text  # noqa: RUF001  # a minus sign


def test_measures_that_matlab_names_alike_are_all_written(tmp_path):
    swept = result(FALLING)
    swept.table.insert(7, "точность", 0.25)
    swept.table.insert(7, "потери", 0.75)
    written = scipy.io.loadmat(str(swept.to_mat(tmp_path / "r.mat")), simplify_cells=True)["sweep"]
    assert {written["X"][0], written["X_2"][0]} == {0.25, 0.75}


@pytest.mark.parametrize("target", ["plot", "plot.xyz", kpl.Choice("random", 0.5, 0.5, 0.9, 0.9, "", 0)])
def test_what_is_no_plot_is_refused(target, tmp_path):
    target = tmp_path / target if isinstance(target, str) else target
    with pytest.raises(kpl.UnknownNameError, match=r"^(A plot is a file of .*png|plot takes a file or axes)"):
        result(FALLING).plot(target)
    assert list(tmp_path.iterdir()) == []
