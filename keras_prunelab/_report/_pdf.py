"""A report as a tagged PDF (PDF/UA-1) with bookmarks and vector figures, typeset by Typst."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator
from functools import singledispatch
from pathlib import Path

import matplotlib as mpl

from . import _document as doc
from ._extra import extra
from ._svg import svg

_PAPERS = {"a4": "a4", "letter": "us-letter"}
_ONE_PAGE = 20
"""Rows up to which a table stays on one page."""

PREAMBLE = Path(__file__).with_name("preamble.typ")
"""The look of a report. Of its fonts one comes with Typst, and one with Matplotlib; what these lack, the system's may
have."""


def write(document: doc.Document) -> bytes:
    """The whole file.

    Raises:
        MissingBackendError: the package typst is not installed.
    """
    typst = extra(".pdf")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for block in document.blocks:
            if isinstance(block, doc.Figure):
                (folder / f"{_label(document, block.key)}.svg").write_text(svg(block.draw()), encoding="utf-8")
        source = folder / "report.typ"
        fonts = [str(Path(mpl.get_data_path()) / "fonts" / "ttf")]
        for text, standards in _attempts("\n".join(_lines(document))):
            source.write_text(text, encoding="utf-8")
            try:
                return bytes(typst.compile(str(source), root=name, font_paths=fonts, pdf_standards=standards))
            except typst.TypstError as error:
                if standards == [] or _NO_FONT not in str(error):
                    raise
    raise AssertionError("the last attempt returns or raises")


_NO_FONT = "could not be displayed with font"
_JOINERS = dict.fromkeys((0x200C, 0x200D, 0x20E3, 0xFE0E, 0xFE0F))


def _attempts(source: str) -> Iterator[tuple[str, list[str]]]:
    """What is typeset in turn, where no font of this machine has all of a character.

    Emoji that are joined of several may stand apart. PDF/UA forbids what has no form at all, so the last attempt does
    not claim to follow it.
    """
    yield source, ["ua-1"]
    yield source.translate(_JOINERS), ["ua-1"]
    yield source, []


def _lines(document: doc.Document) -> Iterator[str]:
    date = document.date
    yield f"#let paper = {_string(_PAPERS[document.paper])}"
    yield PREAMBLE.read_text(encoding="utf-8")
    author = f"({_fact(document.author)},)" if document.author else "()"
    day = f"datetime(year: {date.year}, month: {date.month}, day: {date.day})"
    facts = f"title: {_fact(document.title)}, author: {author}, description: {_fact(document.about)}, date: {day}"
    yield f"#set document({facts})"
    yield f"#title({_string(document.title)})"
    yield f"#block(below: 0.7em, text(size: 10.5pt, {_string(document.byline)}))"
    yield f"#block(below: 1.2em, note({_string(document.about)}))"
    rows = -(-len(document.contents) // 2)
    yield f"#block(height: {1.5 * rows}em, columns(2, outline(title: none, depth: 1, indent: 0pt)))"
    for block in document.blocks:
        yield _element(block, document)


@singledispatch
def _element(block: doc.Block, document: doc.Document) -> str:
    raise NotImplementedError(f"{type(block).__name__} has no form in a PDF.")


@_element.register
def _(block: doc.Heading, document: doc.Document) -> str:  # noqa: ARG001  # one signature for all blocks
    return f"#heading(level: {block.level}, {_string(block.text)})"


@_element.register
def _(block: doc.Paragraph, document: doc.Document) -> str:
    text = _content(block.text, document)
    return f"{text}\n" if block.kind == "body" else f"#{block.kind}[{text}]\n"


@_element.register
def _(block: doc.Bullets, document: doc.Document) -> str:
    return f"#list({', '.join(f'[{_content(item, document)}]' for item in block.items)})"


@_element.register
def _(block: doc.KeyNumbers, document: doc.Document) -> str:  # noqa: ARG001
    numbers = _array(f"({_string(name)}, {_string(value)})" for name, value in block.numbers.items())
    return f"#headline({numbers}, {_string(block.reason)})"


@_element.register
def _(block: doc.Definitions, document: doc.Document) -> str:  # noqa: ARG001
    items = (f"terms.item({_string(term)}, {_string(meaning)})" for term, meaning in block.terms.items())
    return f"#note(terms(hanging-indent: 1em, spacing: 0.55em, {', '.join(items)}))"


@_element.register
def _(block: doc.Question, document: doc.Document) -> str:  # noqa: ARG001
    prompt = f"\n#prompt({_string(f'{doc.PROMPT} {block.prompt}')})" if block.prompt else ""
    return f"#heading(level: 2, {_string(block.asked)})\n#{_string(block.known)}\n{prompt}"


@_element.register
def _(block: doc.Figure, document: doc.Document) -> str:
    label = _label(document, block.key)
    image = f'image("{label}.svg", alt: {_fact(block.alternative)})'
    return f"#figure({image}, caption: {_string(block.caption)}) <{label}>"


@_element.register
def _(block: doc.Table, document: doc.Document) -> str:
    sides = _array("right" if is_number else "left" for is_number in block.are_numbers)
    rows = (_string(cell) for cells in block.rows for cell in cells)
    head = _array(map(_string, block.headings))
    # Columns of text share what is left, so that long names break into lines.
    texts = sum(not is_number for is_number in block.are_numbers)
    wide = texts == len(block.headings)
    widths = _array(
        "auto" if is_number or not wide or at == 0 else "1fr" for at, is_number in enumerate(block.are_numbers)
    )
    body = f"cells({widths}, {sides}, {head}, {_array(rows)})"
    is_long = len(block.frame) > _ONE_PAGE
    return (
        f"#[#show figure: set block(breakable: {'true' if is_long else 'false'})\n"
        f"#figure({body}, kind: table, caption: {_string(block.caption)}) <{_label(document, block.key)}>]"
    )


@_element.register
def _(block: doc.Code, document: doc.Document) -> str:  # noqa: ARG001
    title = f"#block(sticky: true, {_string(block.title)})\n" if block.title else ""
    return f"{title}#code({_quoted(doc.typed(block.text))})"


@_element.register
def _(block: doc.Sources, document: doc.Document) -> str:  # noqa: ARG001
    return f"#text(size: 9pt, list({', '.join(map(_string, block.works))}))"


def _label(document: doc.Document, key: str) -> str:
    return document.labels[key].lower().replace(" ", "-")


def _content(text: doc.Text, document: doc.Document) -> str:
    """Text with mentions, as markup: each part a string in an expression, so that nothing in it is markup."""
    return "".join(_inline(part, document) for part in ((text,) if isinstance(text, str) else text))


def _inline(part: doc.Inline, document: doc.Document) -> str:
    if isinstance(part, str):
        return f"#{_string(part)};"
    if isinstance(part, doc.Link):
        return f"#link({_quoted(doc.typed(part.address))}, {_string(part.text)});"
    return f"@{_label(document, part.key)}"


def _array(items: Iterable[str]) -> str:
    return f"({''.join(f'{item}, ' for item in items)})"


def _fact(text: str) -> str:
    """Text for readers that is not printed, as a string of Typst."""
    return _quoted(doc.shown(text))


def _string(text: str) -> str:
    """Text for readers as a string of Typst; long names may go on in the next line, which Typst alone forbids."""
    return _quoted(_LONG.sub(lambda name: doc.breakable(name[0], "\N{ZERO WIDTH SPACE}"), doc.shown(text)))


_LONG = re.compile(r"\S{25,}")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'
