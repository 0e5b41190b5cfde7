"""What python-docx has no words for: fields, bookmarks, links, and the styles of a report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

_TWIPS = 56.7  # of a millimetre
_FONT, _MONO, _ACCENT, _SOFT, _ALARM = "Calibri", "Consolas", "0072B2", "59636E", "B3001B"

_TEXT_WIDTH, _LETTER, _PADDING, _LONG = 168.0, 1.55, 1.0, 60
"""Millimetres between the margins of the page, of a letter in a table, and beside a cell's text; and letters after
which a cell breaks its line."""


def _element(tag: str, **attributes: str) -> Any:
    """An element of the namespace `w`, with attributes of it."""
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    found = OxmlElement(f"w:{tag}")
    for name, value in attributes.items():
        found.set(qn(f"w:{name}"), value)
    return found


def _mark(kind: str) -> Any:
    run = _element("r")
    run.append(_element("fldChar", fldCharType=kind))
    return run


def _instruction(code: str) -> Any:
    run, text = _element("r"), _element("instrText")
    text.set("{http://www.w3.org/XML/1998/namespace}space", "preserve")
    text.text = f" {code} "
    run.append(text)
    return run


def add_field(paragraph: Any, code: str, shown: str) -> None:
    """A field at the end of a paragraph, with its result written in."""
    for part in (_mark("begin"), _instruction(code), _mark("separate")):
        paragraph._p.append(part)
    paragraph.add_run(shown)
    paragraph._p.append(_mark("end"))


@contextmanager
def open_field(code: str, first: Any, last: Any) -> Iterator[None]:
    """A field from the beginning of one paragraph to the end of another; the body fills them."""
    for part in (_mark("begin"), _instruction(code), _mark("separate")):
        first._p.append(part)
    yield
    last._p.append(_mark("end"))


@contextmanager
def add_bookmark(paragraph: Any, name: str, number: int) -> Iterator[None]:
    """A bookmark around what the body adds to a paragraph."""
    paragraph._p.append(_element("bookmarkStart", id=str(number), name=name))
    yield
    paragraph._p.append(_element("bookmarkEnd", id=str(number)))


def add_link(paragraph: Any, text: str, target: str) -> None:
    """A link to a bookmark."""
    link = _element("hyperlink", anchor=target, history="1")
    run = paragraph.add_run(text)
    link.append(run._r)
    paragraph._p.append(link)


def add_address(paragraph: Any, text: str, address: str) -> None:
    """A link to a page on the web."""
    from docx.opc.constants import RELATIONSHIP_TYPE
    from docx.oxml.ns import qn
    from docx.shared import RGBColor

    link, run = _element("hyperlink", history="1"), paragraph.add_run(text)
    link.set(qn("r:id"), paragraph.part.relate_to(address, RELATIONSHIP_TYPE.HYPERLINK, is_external=True))
    run.font.underline, run.font.color.rgb = True, RGBColor.from_string(_ACCENT)
    link.append(run._r)
    paragraph._p.append(link)


def describe(shape: Any, name: str, text: str) -> None:
    """The name of a picture, and what it shows for readers who do not see it."""
    properties = shape._inline.docPr
    properties.set("name", name)
    properties.set("descr", text)


def name_table(table: Any, title: str, text: str) -> None:
    """The title and description of a table, for readers who do not see it."""
    table._tbl.tblPr.append(_element("tblCaption", val=title))
    table._tbl.tblPr.append(_element("tblDescription", val=text))


def repeat_heading(table: Any) -> None:
    """The first row again on each page, and no row on two pages; a short table on one page."""
    rows = table.rows
    rows[0]._tr.get_or_add_trPr().append(_element("tblHeader"))
    count = len(rows)
    for number, row in enumerate(rows):
        row._tr.get_or_add_trPr().insert(0, _element("cantSplit"))
        if count <= 15 and number < count - 1:
            for cell in row.cells:
                cell.paragraphs[0].paragraph_format.keep_with_next = True


def rule_table(table: Any) -> None:
    """Lines above, below the headings, and below."""
    borders = _element("tblBorders")
    for side, size in (("top", "8"), ("bottom", "8"), ("insideH", "2")):
        borders.append(_element(side, val="single", sz=size, space="0", color="808080"))
    properties = table._tbl.tblPr
    margins = _element("tblCellMar")
    for side in ("left", "right"):
        margins.append(_element(side, w=f"{_PADDING * _TWIPS:.0f}", type="dxa"))
    for part in (borders, margins):
        properties.insert(list(properties).index(properties.find(_element("tblLook").tag)), part)


def size_columns(table: Any, letters: Sequence[int]) -> None:
    """Widths for the longest texts of the columns; where these are wider than the page, the widest ones get less.

    Args:
        table: one of python-docx.
        letters: the length of each column's longest text.
    """
    from docx.shared import Mm

    needed = [min(count, _LONG) * _LETTER + 2 * _PADDING + 0.6 for count in letters]
    widths, left = list(needed), _TEXT_WIDTH
    for rank, place in enumerate(sorted(range(len(needed)), key=needed.__getitem__)):
        widths[place] = min(needed[place], left / (len(needed) - rank))
        left -= widths[place]
    table.autofit = False
    for column, width in zip(table.columns, widths, strict=True):
        column.width = Mm(width)
    for row in table._tbl.tr_lst:  # the cells of python-docx are looked up one by one
        for cell, width in zip(row.tc_lst, widths, strict=True):
            cell.width = Mm(width)


def shade(cell: Any, colour: str) -> None:
    """A colour behind a cell."""
    cell._tc.get_or_add_tcPr().append(_element("shd", val="clear", color="auto", fill=colour))


def set_language(word: Any, language: str) -> None:
    """The language of the text, by which Word checks its spelling."""
    from docx.oxml.ns import qn

    defaults = word.styles.element.find(f"{qn('w:docDefaults')}/{qn('w:rPrDefault')}/{qn('w:rPr')}")
    for old in defaults.findall(qn("w:lang")):
        defaults.remove(old)
    defaults.append(_element("lang", val=language, eastAsia=language))


def stay_modern(word: Any) -> None:
    """Word's mode of 2013 and later: without this, files open in a mode for older versions, and say so."""
    from docx.oxml.ns import qn

    settings = word.settings.element
    found = settings.find(qn("w:compat"))
    if found is None:
        found = _element("compat")
        settings.append(found)
    for old in found.findall(qn("w:compatSetting")):
        found.remove(old)
    office = "http://schemas.microsoft.com/office/word"
    found.append(_element("compatSetting", name="compatibilityMode", uri=office, val="15"))


def set_up_styles(word: Any) -> None:
    """The styles of a report: those that Word knows by name, made compact, and a few of its own."""
    styles = word.styles
    _style(styles["Normal"], size=10.5, after=5, line=1.06)
    _style(styles["Title"], size=22, after=2, colour="1F2328", bold=True, border=False)
    _style(styles["Subtitle"], size=11, after=2, colour="1F2328")
    _style(styles["Heading 1"], size=14, before=12, after=4, colour="1F2328", bold=True)
    _style(styles["Heading 2"], size=11, before=7, after=2, colour="1F2328", bold=True)
    _style(styles["Heading 3"], size=10.5, before=6, after=2, colour="1F2328", bold=True)
    _style(styles["Caption"], size=9, before=2, after=6, colour=_SOFT, bold=False)
    _style(styles["List Bullet"], size=10.5, after=2)
    _style(_new(styles, "TOC 1"), size=10, after=0)
    _style(_new(styles, "Note"), size=9, after=3, colour=_SOFT)
    _style(_new(styles, "Warning"), size=10.5, after=5, colour=_ALARM, bold=True)
    _style(_new(styles, "Prompt"), size=10.5, after=5, colour=_ACCENT, italic=True, indent=14)
    _style(_new(styles, "Code"), size=8.5, before=2, after=6, font=_MONO, fill="F3F5F7")
    _style(_new(styles, "Key Number"), size=17, after=0, colour=_ACCENT)
    _style(_new(styles, "Table Text"), size=8.5, before=1, after=1)
    _style(_new(styles, "Table Heading"), size=8.5, before=1, after=1, bold=True)
    _style(_new(styles, "After Table"), size=4, after=2)
    figure = _new(styles, "Figure")
    _style(figure, size=10.5, before=4, after=2)
    figure.paragraph_format.keep_with_next = True


def _new(styles: Any, name: str) -> Any:
    from docx.enum.style import WD_STYLE_TYPE

    found = styles.add_style(name, WD_STYLE_TYPE.PARAGRAPH, builtin=name.startswith("TOC"))
    found.base_style = styles["Normal"]
    return found


def _style(
    style: Any,
    *,
    size: float,
    before: float = 0,
    after: float = 0,
    line: float | None = None,
    colour: str | None = None,
    bold: bool | None = None,
    italic: bool | None = None,
    font: str = _FONT,
    indent: float = 0,
    fill: str = "",
    border: bool = True,
) -> None:
    from docx.oxml.ns import qn
    from docx.shared import Pt, RGBColor

    style.font.name, style.font.size = font, Pt(size)
    fonts = style.element.get_or_add_rPr().get_or_add_rFonts()
    for theme in ("asciiTheme", "hAnsiTheme", "eastAsiaTheme", "cstheme"):  # the theme's fonts would win
        fonts.attrib.pop(qn(f"w:{theme}"), None)
    for side in ("ascii", "hAnsi", "cs"):
        fonts.set(qn(f"w:{side}"), font)
    style.font.italic, style.font.bold = italic, bold
    if colour is not None:
        style.font.color.rgb = RGBColor.from_string(colour)
    paragraph = style.paragraph_format
    paragraph.space_before, paragraph.space_after = Pt(before), Pt(after)
    if line is not None:
        paragraph.line_spacing = line
    if indent:
        paragraph.left_indent = Pt(indent)
    properties = style.element.get_or_add_pPr()
    if not border and (old := properties.find(qn("w:pBdr"))) is not None:
        properties.remove(old)
    if fill:
        properties.insert_element_before(
            _element("shd", val="clear", color="auto", fill=fill),
            "w:tabs",
            "w:spacing",
            "w:ind",
            "w:jc",
            "w:outlineLvl",
        )
