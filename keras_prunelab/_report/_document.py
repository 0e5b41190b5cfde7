"""What a report consists of, as values: one composer fills a document, and each format has a writer that spells it."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import pandas as pd

from keras_prunelab._text import visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

Paper = Literal["a4", "letter"]
PROMPT = "For you to answer:"
"""What marks a question that the data leaves to the author of the report."""


@dataclass(frozen=True)
class See:
    """A mention of a figure or a table: its number stands in its place.

    Attributes:
        key: that of the figure or table.
    """

    key: str


@dataclass(frozen=True)
class Link:
    """Words that lead somewhere.

    Attributes:
        text: the words.
        address: of a page on the web, or of mail.
    """

    text: str
    address: str


Inline: TypeAlias = "str | See | Link"
Text: TypeAlias = "str | tuple[Inline, ...]"
"""A sentence or a few; a tuple where they mention figures or tables, or lead to pages on the web."""


@dataclass(frozen=True)
class Heading:
    """A heading of level 1 to 3; those of level 1 make the table of contents."""

    text: str
    level: int = 1


@dataclass(frozen=True)
class Paragraph:
    """A paragraph; a note is set smaller, a warning stands out."""

    text: Text
    kind: Literal["body", "note", "warning"] = "body"


@dataclass(frozen=True)
class Bullets:
    """An unordered list."""

    items: tuple[Text, ...]


@dataclass(frozen=True)
class KeyNumbers:
    """The main numbers side by side, each with what it is, over the sentence that gives their reason."""

    numbers: Mapping[str, str]
    reason: str


@dataclass(frozen=True)
class Definitions:
    """Terms, each with what it means here."""

    terms: Mapping[str, str]


@dataclass(frozen=True)
class Question:
    """An open question with what the data says to it, and what it leaves to the reader.

    Attributes:
        asked: the question.
        known: the answer, as far as the data goes.
        prompt: what is left for the author of the report; empty where the answer is whole.
    """

    asked: str
    known: str
    prompt: str = ""


@dataclass(frozen=True)
class Figure:
    """A numbered figure.

    Attributes:
        key: the name by which `See` mentions it.
        draw: makes it, in light colours and at the size in which it is printed.
        caption: the text below it.
        alternative: what it shows, for readers who do not see it.
    """

    key: str
    draw: Callable[[], Drawing]
    caption: str
    alternative: str


@dataclass(frozen=True)
class Table:
    """A numbered table.

    Attributes:
        key: the name by which `See` mentions it.
        frame: the rows; the names of the columns are the headings.
        caption: the text above it.
        formats: how to print the values of a column; whole numbers get thousands separators by themselves.
    """

    key: str
    frame: pd.DataFrame
    caption: str
    formats: Mapping[str, Callable[[Any], str]] = field(default_factory=dict)

    @property
    def headings(self) -> list[str]:
        """The headings of the columns."""
        return [str(name).replace("_", " ") for name in self.frame.columns]

    @property
    def are_numbers(self) -> list[bool]:
        """For each column, whether it holds numbers, which are aligned to the right."""
        return [pd.api.types.is_numeric_dtype(self.frame[name]) or name in self.formats for name in self.frame.columns]

    @property
    def rows(self) -> Iterator[list[str]]:
        """The cells as they are printed, row by row; what is missing is a dash."""
        formats = [self.formats.get(str(name)) for name in self.frame.columns]
        for values in self.frame.itertuples(index=False, name=None):
            yield [_cell(value, text) for value, text in zip(values, formats, strict=True)]


@dataclass(frozen=True)
class Code:
    """Lines of code or of a command line, as they are typed, and what stands above them."""

    text: str
    title: str = ""


@dataclass(frozen=True)
class Sources:
    """The works that the report draws on."""

    works: tuple[str, ...]


Block: TypeAlias = Heading | Paragraph | Bullets | KeyNumbers | Definitions | Question | Figure | Table | Code | Sources


@dataclass(frozen=True)
class Document:
    """A report.

    Attributes:
        title: the heading of it all.
        author: who hands it in; empty where nobody says.
        course: what for; empty likewise.
        date: when.
        about: the network and data in a few words, for the title block.
        paper: the format of the pages.
        blocks: what stands in it, from top to bottom.
        exploration: the sweep as JSON values, for a page that lets its reader explore it; None where there is none.
    """

    title: str
    author: str
    course: str
    date: dt.date
    about: str
    paper: Paper
    blocks: tuple[Block, ...]
    exploration: Mapping[str, Any] | None = None

    @property
    def labels(self) -> dict[str, str]:
        """What figures and tables are called, by their keys: "Figure 1"."""
        figures = [block.key for block in self.blocks if isinstance(block, Figure)]
        tables = [block.key for block in self.blocks if isinstance(block, Table)]
        return {
            key: f"{kind} {number}"
            for kind, keys in (("Figure", figures), ("Table", tables))
            for number, key in enumerate(keys, start=1)
        }

    @property
    def contents(self) -> list[str]:
        """The headings of the table of contents."""
        return [block.text for block in self.blocks if isinstance(block, Heading) and block.level == 1]

    @property
    def byline(self) -> str:
        """Author, course and date, on one line."""
        return " · ".join(text for text in (self.author, self.course, long_date(self.date)) if text)

    def plain(self, text: Text) -> str:
        """A text with the numbers of what it mentions."""
        labels = self.labels
        parts = (text,) if isinstance(text, str) else text
        return "".join(labels[part.key] if isinstance(part, See) else words(part) for part in parts)


def words(part: str | Link) -> str:
    """What a reader sees of a part of a text."""
    return part if isinstance(part, str) else part.text


def long_date(date: dt.date) -> str:
    """A date as people write it, whatever the language of the machine: "3 May 2026"."""
    return f"{date.day} {_MONTHS[date.month - 1]} {date.year}"


def typed(text: str) -> str:
    """Code as it is typed, but for control characters, which are spelled out, as XML asks for."""
    return visible(text).translate(_NO_CHARACTERS)


def shown(text: str) -> str:
    """Text for readers: as `typed`, and a number and its unit stay on one line."""
    return typed(text).replace(" %", "\N{NO-BREAK SPACE}%").replace(" points", "\N{NO-BREAK SPACE}points")


def breakable(text: str, mark: str) -> str:
    """Text with a mark wherever a long name may go on in the next line: after `_`, `/` and the like, or where it must.

    Args:
        text: as it is shown.
        mark: what says so.
    """
    return _PLACES.sub(rf"\g<0>{mark}", text)


_PLACES = re.compile(r"[_/\\.-](?=\w)|[A-Za-z0-9]{32}(?=[A-Za-z0-9])")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_NO_CHARACTERS = dict.fromkeys((0xFFFE, 0xFFFF), "\N{REPLACEMENT CHARACTER}")


def _cell(value: Any, text: Callable[[Any], str] | None) -> str:
    if pd.isna(value):
        return "–"  # noqa: RUF001  # an en dash, the sign for nothing in a table
    if text is not None:
        return text(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if pd.api.types.is_integer(value) else str(value)
