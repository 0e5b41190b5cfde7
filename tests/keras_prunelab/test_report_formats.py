"""The three formats of a report: what each holds, and that they say the same."""

from __future__ import annotations

import datetime as dt
import io
import re
import sys
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import keras_prunelab as kpl
from keras_prunelab._evaluate._by_class import ByClass
from keras_prunelab._report import _report

from .office import pdf_of
from .results_by_hand import result

docx = pytest.importorskip("docx")
pypdf = pytest.importorskip("pypdf")
pytest.importorskip("typst")

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
LEVELS = [*np.arange(0, 0.8, 0.05).round(3), *np.arange(0.8, 0.981, 0.01).round(3)]
HOSTILE = 'Lab #panic("x") $a_1$ \\ <b>"5 %" & \x1b[31m @figure-1 漢字 🙂 */'
SHOWN = 'Lab #panic("x") $a_1$ \\ <b>"5 %" & \\x1b[31m @figure-1 漢字 🙂 */'
NAMES = ("cat & dog", "<b>bird</b>", "#set text(size: 99pt)")
NOTES = """\
# What I *saw*

The network is **small**.
It is one_of_many.

- first
- second
  line

```
x = 1
```
End."""


def _logistic(middle: float) -> list[tuple[float, float, float]]:
    return [(float(s), float(0.1 + 0.89 / (1 + np.exp(40 * (s - middle)))), 0.004) for s in LEVELS]


@pytest.fixture(scope="module")
def swept():
    keys = [(name, "global", "none", 0, float(level)) for name in ("magnitude", "synflow") for level in LEVELS]
    by_class = ByClass((200, 100, 200), (199, 99, 198), dict.fromkeys(keys, (190, 99, 150)))
    curves = {"magnitude": _logistic(0.9), "synflow": _logistic(0.93)}
    facts = {"keras": "3.15.1", "repeat": "import keras_prunelab as kpl\nresult = kpl.sweep(model, data, levels)"}
    return result(curves, class_names=NAMES, by_class=by_class, facts=facts)


@pytest.fixture(scope="module")
def written(swept, tmp_path_factory):
    folder = tmp_path_factory.mktemp("formats")
    (folder / "sweep.csv").write_bytes(b"x" * 1234)
    for ending in ("html", "docx", "pdf"):
        kpl.report(
            swept,
            swept.choose(max_drop=0.01),
            folder / f"lab.{ending}",
            title=HOSTILE,
            author="Ada L.",
            course="Signals 7",
            date="2026-05-31",
            notes=NOTES,
            files={str(folder / "sweep.csv"): "all points"},
            command="prunelab lab lab5.mat --scores magnitude,synflow",
        )
    return folder


@pytest.fixture(scope="module")
def word(written):
    return docx.Document(str(written / "lab.docx"))


@pytest.fixture(scope="module")
def pdf(written):
    return pypdf.PdfReader(written / "lab.pdf")


def _plain(text: str) -> str:
    """Without the ends of lines and hyphens that come from typesetting."""
    return re.sub(r"[\s\u00ad\u00a0-]+", "", text).replace("ﬁ", "fi").replace("ﬀ", "ff").replace("ﬂ", "fl")


def _word_text(word) -> str:
    return "\n".join("".join(p.itertext(f"{W}t", f"{W}br")) for p in word.element.body.iter(f"{W}p"))


def _text(path: Path) -> str:
    """What a reader sees of a report."""
    if path.suffix == ".html":
        page = path.read_text(encoding="utf-8")
        return unescape(re.sub(r"<(svg|style|nav).*?</\1>|<[^>]*>", " ", page, flags=re.DOTALL))
    if path.suffix == ".docx":
        return _word_text(docx.Document(str(path)))
    return "\n".join(page.extract_text() for page in pypdf.PdfReader(path).pages)


def _texts(written: Path) -> dict[str, str]:
    return {ending: _text(written / f"lab.{ending}") for ending in ("html", "docx", "pdf")}


def test_the_three_formats_say_the_same(swept, written):
    choice = swept.choose(max_drop=0.01)
    expected = [
        SHOWN.replace("漢字 🙂 ", ""),
        "Ada L. · Signals 7 · 31 May 2026",
        choice.reason,
        "What I saw",
        "It is one_of_many.",
        "second line",
        "x = 1",
        "sweep.csv",
        "1,234",
        "Question 1. How does the accuracy fall with sparsity?",
        "Question 2. Which trade-off, and why?",
        "Question 3. How does a second method compare?",
        "Question 4. Where are the zeros?",
        "Question 5. Open questions",
        "For you to answer:",
        "prunelab lab lab5.mat --scores magnitude,synflow",
        "result = kpl.sweep(model, data, levels)",
        "Synaptic Flow. NeurIPS 2020.",
        "All 70 points are in sweep.csv.",
        *NAMES,
    ]
    for kind, text in _texts(written).items():
        flat = _plain(re.sub("[漢字🙂]", "", text))  # a PDF has what the fonts of the machine have
        for sentence in expected:
            assert _plain(sentence) in flat, (kind, sentence)


def test_numbers_of_the_classes_are_those_of_the_result(written):
    # By hand: 199 of 200, then 190; 99 of 100 both times; 198 of 200, then 150.
    rows = ["200 99.5 % 95.0 % −4.5 points", "100 99.0 % 99.0 % +0.0 points", "200 99.0 % 75.0 % −24.0 points"]  # noqa: RUF001
    for kind, text in _texts(written).items():
        for name, row in zip(NAMES, rows, strict=True):
            assert _plain(f"{name}{row}") in _plain(text), kind


def test_word_knows_its_title_author_and_date(word):
    facts = word.core_properties
    assert (facts.author, facts.subject, facts.created.date()) == ("Ada L.", "Signals 7", dt.date(2026, 5, 31))
    assert facts.title.replace("\N{NO-BREAK SPACE}", " ") == SHOWN
    styles = [paragraph.style.name for paragraph in word.paragraphs]
    assert styles[:2] == ["Title", "Subtitle"]
    assert styles.count("Heading 1") == 9
    assert {"Heading 2", "Caption", "List Bullet", "TOC 1", "Prompt", "Code"} <= set(styles)


def test_the_contents_of_word_are_written_in_and_link_to_the_headings(word):
    entries = [paragraph for paragraph in word.paragraphs if paragraph.style.name == "TOC 1"]
    headings = [paragraph for paragraph in word.paragraphs if paragraph.style.name == "Heading 1"]
    assert ["".join(entry._p.itertext(f"{W}t")) for entry in entries] == [heading.text for heading in headings]
    targets = [entry._p.find(f"{W}hyperlink").get(f"{W}anchor") for entry in entries]
    assert targets == [heading._p.find(f"{W}bookmarkStart").get(f"{W}name") for heading in headings]
    assert word.settings.element.find(f"{W}updateFields") is None
    marks = [mark.get(f"{W}fldCharType") for mark in word.element.body.iter(f"{W}fldChar")]
    assert marks.count("begin") == marks.count("separate") == marks.count("end")
    assert not [mark for mark in word.element.body.iter(f"{W}fldChar") if mark.get(f"{W}dirty")]


def test_captions_of_word_number_themselves_and_mentions_find_them(word):
    captions = [paragraph for paragraph in word.paragraphs if paragraph.style.name == "Caption"]
    figures = [caption.text for caption in captions if caption.text.startswith("Figure")]
    tables = [caption.text for caption in captions if caption.text.startswith("Table")]
    for kind, texts in (("Figure", figures), ("Table", tables)):
        assert [re.match(r"\w+ (\d+)\. ", text)[1] for text in texts] == [str(n + 1) for n in range(len(texts))], kind
    codes = [code.text for code in word.element.body.iter(f"{W}instrText")]
    assert sum("SEQ Figure" in code for code in codes) == len(figures) >= 3
    assert sum("SEQ Table" in code for code in codes) == len(tables) >= 6
    names = {mark.get(f"{W}name") for mark in word.element.body.iter(f"{W}bookmarkStart")}
    mentioned = {code.split()[1] for code in codes if code.split()[0] == "REF"}
    assert mentioned
    assert mentioned <= names


def test_figures_of_word_have_200_dots_per_inch_and_alternative_texts(word):
    texts = []
    for shape in word.inline_shapes:
        part = word.part.related_parts[shape._inline.graphic.graphicData.pic.blipFill.blip.embed]
        picture = Image.open(io.BytesIO(part.blob))
        assert picture.width / shape.width.inches == pytest.approx(200, abs=1)
        assert picture.height / shape.height.inches == pytest.approx(200, abs=1)
        texts.append(shape._inline.docPr.get("descr"))
    assert len(texts) >= 3
    assert all(len(text) > 40 for text in texts)
    section = word.sections[0]
    room = section.page_width - section.left_margin - section.right_margin
    assert all(shape.width <= room for shape in word.inline_shapes)


def test_tables_of_word_repeat_their_headings_and_fit_the_page(word):
    section = word.sections[0]
    room = section.page_width - section.left_margin - section.right_margin
    for table in word.tables[1:]:
        assert table.rows[0]._tr.trPr.find(f"{W}tblHeader") is not None
        assert sum(column.width for column in table.columns) <= room
        assert table._tbl.tblPr.find(f"{W}tblCaption") is not None


@pytest.mark.parametrize(("paper", "size"), [("a4", (210, 297)), ("letter", (215.9, 279.4))])
def test_paper(swept, tmp_path, paper, size):
    choice = swept.choose(max_drop=0.01)
    section = docx.Document(str(kpl.report(swept, choice, tmp_path / "r.docx", paper=paper))).sections[0]
    assert (section.page_width.mm, section.page_height.mm) == pytest.approx(size, abs=0.1)
    box = pypdf.PdfReader(kpl.report(swept, choice, tmp_path / "r.pdf", paper=paper)).pages[0].mediabox
    assert (float(box.width) / 72 * 25.4, float(box.height) / 72 * 25.4) == pytest.approx(size, abs=0.1)
    assert f"size: {'A4' if paper == 'a4' else 'letter'};" in kpl.report(
        swept, choice, tmp_path / "r.html", paper=paper
    ).read_text(encoding="utf-8")


def test_the_pdf_is_tagged_has_bookmarks_and_says_what_its_figures_show(pdf):
    root = pdf.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"]
    assert root["/Lang"] == "en-GB"
    assert root["/ViewerPreferences"]["/DisplayDocTitle"]
    assert "pdfuaid:part" in root["/Metadata"].get_object().get_data().decode()
    assert (pdf.metadata.author, pdf.metadata.creation_date.date()) == ("Ada L.", dt.date(2026, 5, 31))
    assert [entry.title for entry in pdf.outline if not isinstance(entry, list)][:3] == [
        "Summary",
        "Network, data and files",
        "Question 1. How does the accuracy fall with sparsity?",
    ]
    kinds, texts = [], []

    def walk(node):
        node = node.get_object()
        if isinstance(node, list):
            for child in node:
                walk(child)
        elif isinstance(node, dict):
            kinds.append(node.get("/S"))
            if node.get("/S") == "/Figure":
                texts.append(node.get("/Alt"))
            if "/K" in node:
                walk(node["/K"])

    walk(root["/StructTreeRoot"]["/K"])
    assert {"/H1", "/H2", "/Table", "/TH", "/TD", "/Figure", "/Caption", "/L", "/TOC"} <= set(kinds)
    assert len(texts) >= 3
    assert all(len(text) > 40 for text in texts)


def test_the_pdf_has_embedded_fonts_no_pixels_and_no_small_letters(pdf):
    sizes = set()
    for page in pdf.pages:
        resources = page["/Resources"].get_object()
        for font in resources.get("/Font", {}).values():
            below = font.get_object()["/DescendantFonts"][0].get_object()["/FontDescriptor"].get_object()
            assert {"/FontFile2", "/FontFile3"} & set(below)
        drawn = resources.get("/XObject", {}).values()
        assert not [x for x in drawn if x.get_object()["/Subtype"] == "/Image"]

        def note(text, _, matrix, __, size):
            if text.strip():
                sizes.add(round(abs(size * matrix[3]), 2))

        page.extract_text(visitor_text=note)
    assert min(sizes) >= 8
    assert len(pdf.pages) <= 6


def test_libreoffice_opens_the_word_file(written, tmp_path):
    pages = pypdf.PdfReader(pdf_of(written / "lab.docx", tmp_path)).pages
    text = _plain("\n".join(page.extract_text() for page in pages))
    for sentence in ("Question 5. Open questions", "Figure 1. Accuracy against sparsity", "References"):
        assert _plain(sentence) in text
    assert "Error" not in text  # what a broken reference shows
    assert len(pages) <= 7
    assert all(len(page.extract_text()) > 40 for page in pages)  # no empty page


@pytest.mark.parametrize(("ending", "module"), [(".docx", "docx"), (".pdf", "typst")])
def test_a_missing_package_is_named_with_its_extra(swept, tmp_path, monkeypatch, ending, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(kpl.MissingBackendError, match=r'pip install "keras-prunelab\[report\]"'):
        kpl.report(swept, None, tmp_path / f"r{ending}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", [".html", ".docx", ".pdf"])
def test_a_report_is_written_whole_or_not_at_all(swept, tmp_path, monkeypatch, ending):
    target = tmp_path / f"r{ending}"
    target.write_bytes(b"before")

    def fail(_):
        raise RuntimeError("half-way")

    monkeypatch.setitem(_report.WRITERS, ending, fail)
    with pytest.raises(RuntimeError, match="half-way"):
        kpl.report(swept, None, target)
    assert target.read_bytes() == b"before"
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("lab.doc", {}, r"A report is a \.html, \.docx, \.pdf file, but got '.*lab\.doc'"),
        ("lab", {}, r"A report is a \.html"),
        ("lab.pdf", {"paper": "A5"}, "paper is 'a4' or 'letter', but got 'A5'"),
        ("lab.pdf", {"date": "31.5.2026"}, "date is a date, or text such as '2026-05-31', but got '31.5.2026'"),
    ],
)
def test_what_is_no_report_is_refused(swept, tmp_path, name, options, message):
    with pytest.raises(kpl.UnknownNameError, match=message):
        kpl.report(swept, None, tmp_path / name, **options)


@pytest.mark.parametrize("ending", ["html", "docx", "pdf"])
def test_a_report_without_a_choice_has_the_graph(swept, tmp_path, ending):
    path = kpl.report(swept, None, tmp_path / f"r.{ending}", notes="No level is good enough.")
    text = _text(path)
    for sentence in ("No level is good enough.", "No level is chosen", "Figure 1"):
        assert _plain(sentence) in _plain(text)


def test_an_older_result_says_that_it_kept_no_classes(tmp_path):
    old = result({"magnitude": _logistic(0.9)})
    path = kpl.report(old, old.choose(max_drop=0.01), tmp_path / "r.html")
    assert "How many observations of each class are right was not kept in this result." in path.read_text("utf-8")


@pytest.mark.parametrize("ending", ["html", "docx", "pdf"])
def test_links_in_notes_lead_there(swept, tmp_path, ending):
    notes = "See [the **paper** (2020)](https://a.org/x_(y)_z?a=1&b=2).\n\n"
    notes += "- <https://b.org/a_b_c>\n- x[0](1), [no](javascript:x)"
    path = kpl.report(swept, None, tmp_path / f"r.{ending}", notes=notes)
    if ending == "html":
        page = path.read_text("utf-8")
        found = {unescape(address) for address in re.findall(r'<a href="(\w+:[^"]*)"', page)}
    elif ending == "docx":
        links = docx.Document(str(path)).part.rels.values()
        found = {link.target_ref for link in links if link.is_external}
    else:
        marks = [mark.get_object() for page in pypdf.PdfReader(path).pages for mark in page.get("/Annots", [])]
        found = {mark["/A"]["/URI"] for mark in marks if "/URI" in mark.get("/A", {})}
    assert {"https://a.org/x_(y)_z?a=1&b=2", "https://b.org/a_b_c"} <= found
    assert not any(address.startswith("javascript") for address in found)
    shown = _plain(_text(path).replace("\u200b", ""))
    for said in ("See the paper (2020).", "https://b.org/a_b_c", "x[0](1), [no](javascript:x)"):
        assert _plain(said) in shown
