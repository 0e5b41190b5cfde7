"""The files that belong to a report, with their sizes, and the notes that its author wrote."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from keras_prunelab._errors import InvalidDataError

from ._document import Block, Bullets, Code, Heading, Link, Paragraph, Text, words

Files: TypeAlias = "str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | Mapping[str, str] | None"
"""Paths, or what each is by its path."""
Notes: TypeAlias = "str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None"

_EMPHASIS = re.compile(r"(\*\*|__|(?<!\w)[*_](?=\S)|(?<=\S)[*_](?!\w)|`)")
_LINK = re.compile(
    r"(?<!!)\[([^][]+)\]\(<?([^\s()>]+(?:\([^\s()]*\)[^\s()>]*)*)>?(?:\s+[\"'][^)]*)?\)|<(\w+:[^\s<>]+)>"
)
"""Words in brackets before an address in parentheses, or an address between angles."""
_ADDRESSES = ("https://", "http://", "mailto:")
_ITEM = re.compile(r"\s*(?:[-*+]|(\d+[.)]))\s+(.*)", re.DOTALL)
_FENCED = re.compile(r"^ {0,3}(```+|~~~+)[^\n]*\n(.*?)(?:^ {0,3}\1[^\n]*$|\Z)", re.MULTILINE | re.DOTALL)
"""Code between fences; one that is not closed goes to the end."""


def one_or_several(given: Any) -> Iterable[Any]:
    """What is given, as several: nothing for None, and of one text or path that alone."""
    return () if given is None else (given,) if isinstance(given, str | os.PathLike) else given


def read_notes(notes: Notes) -> Iterator[str]:
    """Notes as texts; a path is read.

    Raises:
        FileNotFoundError: there is no such file.
        InvalidDataError: it is no text in UTF-8.
    """
    for note in one_or_several(notes):
        try:
            yield note if isinstance(note, str) else Path(note).read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise InvalidDataError(f"notes are text in UTF-8, but {os.fspath(note)!r} is none: {error}.") from error


def file_table(files: Sequence[str | os.PathLike[str]] | Mapping[str, str]) -> pd.DataFrame:
    """One row for each file: its name, what it is, and its size in bytes; of a folder that of all files in it."""
    what = files if isinstance(files, Mapping) else {os.fspath(path): "" for path in files}
    rows = [(Path(path).name or str(path), text, _size(Path(path))) for path, text in what.items()]
    table = pd.DataFrame(rows, columns=["file", "what it is", "bytes"]).astype({"bytes": "Int64"})
    return table if any(table["what it is"]) else table.drop(columns="what it is")


def named(files: Iterable[str | os.PathLike[str]], suffix: str) -> str:
    """The name of the first file with a suffix; empty where there is none."""
    return next((Path(path).name for path in files if Path(path).suffix.lower() == suffix), "")


def note_blocks(notes: Iterable[str]) -> Iterator[Block]:
    """Notes as parts of a report: Markdown's headings, paragraphs, lists, links and code; emphasis is left out.

    Args:
        notes: texts in Markdown.
    """
    for text in notes:
        pieces = _FENCED.split(text.replace("\r\n", "\n").replace("\r", "\n"))
        for prose, code in zip(pieces[::3], [*pieces[2::3], ""], strict=True):
            yield from _prose(prose)
            if code.strip():
                yield Code(code.strip("\n"))


def _prose(text: str) -> Iterator[Block]:
    apart = re.sub(r"^(#{1,6} .*)$", r"\n\1\n", text, flags=re.MULTILINE)  # headings stand alone
    for part in re.split(r"\n(?:[^\S\n]*\n)+", apart):
        part = part.strip("\n")
        if not part.strip():
            continue
        if found := re.fullmatch(r"\s*#{1,6}(?: +(.*))?\s*", part):
            heading = "".join(map(words, _parts((found[1] or "").rstrip("# "))))
            if heading:
                yield Heading(heading, 2)
        elif all(line.lstrip().startswith("|") for line in part.split("\n")):
            yield Code(part)  # a table: its columns stand below each other as they are typed
        else:
            yield from _lines(re.split(r"\n(?=[^\S\n]*(?:[-*+]|\d+[.)])\s)", part))


def _lines(lines: list[str]) -> Iterator[Block]:
    """Paragraphs and items: numbered ones keep their numbers, which the text may mention."""
    found = [_ITEM.fullmatch(line) for line in lines]
    pairs = itertools.groupby(zip(lines, found, strict=True), lambda pair: bool(pair[1] and not pair[1][1]))
    for are_bullets, group in pairs:
        if are_bullets:
            yield Bullets(tuple(_text(item[2]) for _, item in group if item))
        else:
            yield from (Paragraph(_text(f"{item[1]} {item[2]}" if item else line)) for line, item in group)


def _text(text: str) -> Text:
    parts = tuple(_parts(text))
    return parts if any(isinstance(each, Link) for each in parts) else "".join(map(words, parts))


def _parts(text: str) -> Iterator[str | Link]:
    """Text without emphasis, and what leads to pages on the web; other links stay as they are typed."""
    text, end = " ".join(text.split()), 0
    for found in _LINK.finditer(text):
        address = found[2] or found[3]
        if address.lower().startswith(_ADDRESSES):
            yield _EMPHASIS.sub("", text[end : found.start()])
            yield Link(_EMPHASIS.sub("", found[1]) if found[1] else address, address)
            end = found.end()
    yield _EMPHASIS.sub("", text[end:])


def _size(path: Path) -> int | None:
    try:
        if path.is_dir():
            return sum(one.stat().st_size for one in path.rglob("*") if one.is_file())
        return path.stat().st_size
    except OSError:
        return None
