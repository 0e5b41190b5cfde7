"""A report as a Word file: styles, captions that number themselves, a table of contents, and text to be edited."""

from __future__ import annotations

import datetime as dt
import io
import itertools
from collections.abc import Iterator
from functools import singledispatch
from typing import Any

from . import _document as doc
from ._extra import extra
from ._word_xml import (
    add_address,
    add_bookmark,
    add_field,
    add_link,
    describe,
    name_table,
    repeat_heading,
    rule_table,
    set_language,
    set_up_styles,
    shade,
    size_columns,
    stay_modern,
)

_SIZES = {"a4": (210.0, 297.0), "letter": (215.9, 279.4)}
"""Width and height of a page in millimetres."""
_MARGIN = 20.0
_DPI = 200
_LONGEST_FACT = 255
"""Letters that a property of a Word file may have."""


def write(document: doc.Document) -> bytes:
    """The whole file.

    Raises:
        MissingBackendError: the package python-docx is not installed.
    """
    docx = extra(".docx")
    writer = _Writer(docx.Document(), document)
    writer.write()
    content = io.BytesIO()
    writer.word.save(content)
    return content.getvalue()


class _Writer:
    """A Word file under way.

    Args:
        word: an empty file of python-docx.
        document: what goes into it.
    """

    def __init__(self, word: Any, document: doc.Document) -> None:
        self.word, self.document = word, document
        self.numbers = itertools.count(1)
        self.sections = itertools.count(1)

    def write(self) -> None:
        """All of it, from top to bottom."""
        set_up_styles(self.word)
        set_language(self.word, "en-GB")
        stay_modern(self.word)
        self._describe()
        self._lay_out()
        document = self.document
        self.word.add_paragraph(doc.shown(document.title), style="Title")
        self.word.add_paragraph(doc.shown(document.byline), style="Subtitle")
        self.word.add_paragraph(doc.shown(document.about), style="Note")
        self._contents()
        for block in document.blocks:
            _add(block, self)

    def paragraph(self, text: doc.Text, style: str | None = None) -> Any:
        """A paragraph in which mentions of figures and tables are cross-references, and addresses lead there."""
        found = self.word.add_paragraph(style=style)
        for part in (text,) if isinstance(text, str) else text:
            if isinstance(part, str):
                found.add_run(doc.shown(part))
            elif isinstance(part, doc.Link):
                add_address(found, doc.shown(part.text), doc.typed(part.address))
            else:
                label = self.document.labels[part.key]
                add_field(found, f"REF {bookmark(label)} \\h", label)
        return found

    def caption(self, key: str, text: str, *, above: bool) -> None:
        """A caption whose number is a field, with a bookmark that cross-references name."""
        label = self.document.labels[key]
        kind, number = label.split()
        found = self.word.add_paragraph(style="Caption")
        found.paragraph_format.keep_with_next = above
        with add_bookmark(found, bookmark(label), next(self.numbers)):
            found.add_run(f"{kind} ")
            add_field(found, f"SEQ {kind} \\* ARABIC", number)
        found.add_run(f". {doc.shown(text)}")

    def heading(self, text: str, level: int) -> None:
        """A heading; those of level 1 have a bookmark that the table of contents names."""
        found = self.word.add_paragraph(style=f"Heading {level}")
        if level > 1:
            found.add_run(doc.shown(text))
            return
        with add_bookmark(found, _section(next(self.sections)), next(self.numbers)):
            found.add_run(doc.shown(text))

    def _describe(self) -> None:
        facts, document = self.word.core_properties, self.document
        texts = {
            "title": document.title,
            "author": document.author,
            "last_modified_by": document.author,
            "subject": document.course,
            "comments": document.about,
            "keywords": "pruning, sparsity, neural network",
            "language": "en-GB",
        }
        for name, text in texts.items():
            setattr(facts, name, doc.shown(text)[:_LONGEST_FACT])
        made = dt.datetime.combine(document.date, dt.time(12))
        facts.created = facts.modified = made

    def _lay_out(self) -> None:
        from docx.enum.text import WD_ALIGN_PARAGRAPH
        from docx.shared import Mm

        section = self.word.sections[0]
        section.page_width, section.page_height = (Mm(size) for size in _SIZES[self.document.paper])
        section.left_margin = section.right_margin = section.top_margin = section.bottom_margin = Mm(_MARGIN)
        section.header_distance = section.footer_distance = Mm(10)
        footer = section.footer.paragraphs[0]
        footer.alignment = WD_ALIGN_PARAGRAPH.CENTER
        add_field(footer, "PAGE", "1")
        footer.add_run(" / ")
        add_field(footer, "NUMPAGES", "1")

    def _contents(self) -> None:
        """A field with its entries written in: it needs no update to be read, and can be updated."""
        from ._word_xml import open_field

        entries = [(text, _section(number)) for number, text in enumerate(self.document.contents, start=1)]
        paragraphs = [self.word.add_paragraph(style="TOC 1") for _ in entries]
        with open_field('TOC \\o "1-1" \\n \\h \\z', paragraphs[0], paragraphs[-1]):
            for (text, target), found in zip(entries, paragraphs, strict=True):
                add_link(found, doc.shown(text), target)


@singledispatch
def _add(block: doc.Block, writer: _Writer) -> None:
    raise NotImplementedError(f"{type(block).__name__} has no form in a Word file.")


@_add.register
def _(block: doc.Heading, writer: _Writer) -> None:
    writer.heading(block.text, block.level)


@_add.register
def _(block: doc.Paragraph, writer: _Writer) -> None:
    writer.paragraph(block.text, {"body": None, "note": "Note", "warning": "Warning"}[block.kind])


@_add.register
def _(block: doc.Bullets, writer: _Writer) -> None:
    for item in block.items:
        writer.paragraph(item, "List Bullet")


@_add.register
def _(block: doc.KeyNumbers, writer: _Writer) -> None:
    from docx.shared import Pt

    table = writer.word.add_table(rows=2, cols=len(block.numbers))
    numbers = ", ".join(f"{name}: {value}" for name, value in block.numbers.items())
    name_table(table, "The main numbers", doc.shown(numbers))
    for column, (name, value) in enumerate(block.numbers.items()):
        top, below = (table.cell(row, column) for row in (0, 1))
        for cell, text, style in ((top, value, "Key Number"), (below, name, "Note")):
            cell.paragraphs[0].style = style
            cell.paragraphs[0].add_run(doc.shown(text))
            shade(cell, "F1F5F9")
    after = writer.paragraph(block.reason)
    after.paragraph_format.space_before = Pt(6)


@_add.register
def _(block: doc.Definitions, writer: _Writer) -> None:
    for term, meaning in block.terms.items():
        found = writer.word.add_paragraph(style="Note")
        found.add_run(doc.shown(term)).bold = True
        found.add_run(f"  {doc.shown(meaning)}")


@_add.register
def _(block: doc.Question, writer: _Writer) -> None:
    writer.heading(block.asked, 2)
    writer.paragraph(block.known)
    if block.prompt:
        writer.paragraph(f"{doc.PROMPT} {block.prompt}", "Prompt")


@_add.register
def _(block: doc.Figure, writer: _Writer) -> None:
    from docx.shared import Inches

    drawing, picture = block.draw(), io.BytesIO()
    drawing.savefig(picture, format="png", dpi=_DPI)
    picture.seek(0)
    place = writer.word.add_paragraph(style="Figure")
    shape = place.add_run().add_picture(picture, width=Inches(float(drawing.get_figwidth())))
    label = writer.document.labels[block.key]
    describe(shape, label, doc.shown(block.alternative))
    writer.caption(block.key, block.caption, above=False)


@_add.register
def _(block: doc.Table, writer: _Writer) -> None:
    from docx.enum.text import WD_ALIGN_PARAGRAPH

    writer.caption(block.key, block.caption, above=True)
    table = writer.word.add_table(rows=1, cols=len(block.headings))
    name_table(table, writer.document.labels[block.key], doc.shown(block.caption))
    rows = itertools.chain([block.headings], block.rows)
    for number, cells in enumerate(rows):
        row = table.rows[0] if number == 0 else table.add_row()
        for cell, text, is_number in zip(row.cells, cells, block.are_numbers, strict=True):
            found = cell.paragraphs[0]
            found.style = "Table Heading" if number == 0 else "Table Text"
            found.add_run(doc.shown(text))
            if is_number:
                found.alignment = WD_ALIGN_PARAGRAPH.RIGHT
    repeat_heading(table)
    rule_table(table)
    size_columns(table, list(_letters(block)))
    writer.word.add_paragraph(style="After Table")


@_add.register
def _(block: doc.Code, writer: _Writer) -> None:
    if block.title:
        writer.paragraph(block.title).paragraph_format.keep_with_next = True
    found = writer.word.add_paragraph(style="Code")
    for number, line in enumerate(_lines(block.text)):
        run = found.add_run()
        if number:
            run.add_break()
        run.add_text(line)


@_add.register
def _(block: doc.Sources, writer: _Writer) -> None:
    for work in block.works:
        writer.paragraph(work, "List Bullet")


def _letters(block: doc.Table) -> Iterator[int]:
    """For each column, the letters of its longest cell, or of the longest word of its heading, which is bold."""
    cells = zip(*block.rows, strict=True) if len(block.frame) else [()] * len(block.headings)
    for heading, column in zip(block.headings, cells, strict=True):
        words = (len(word) + 1 for word in doc.shown(heading).split(" "))
        yield max([*words, *map(len, column)])


def _lines(text: str) -> Iterator[str]:
    yield from doc.typed(text).split("\n")


def bookmark(label: str) -> str:
    """The name of a bookmark for a figure or table; one that begins with `_` is hidden from the reader."""
    return f"_Ref_{label.replace(' ', '_')}"


def _section(number: int) -> str:
    return f"_Toc_{number:02d}"
