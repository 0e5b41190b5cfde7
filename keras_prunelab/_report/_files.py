"""The files that belong to a report, with their sizes, and the notes that its author wrote."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import pandas as pd

from ._document import Block, Bullets, Code, Heading, Paragraph

Files: TypeAlias = "Sequence[str | os.PathLike[str]] | Mapping[str, str]"
"""Paths, or what each is by its path."""
Notes: TypeAlias = "str | Sequence[str]"

_EMPHASIS = re.compile(r"(\*\*|__|(?<!\w)[*_](?=\S)|(?<=\S)[*_](?!\w)|`)")
_ITEM = re.compile(r"\s*(?:[-*+]|\d+[.)])\s+(.*)", re.DOTALL)


def file_table(files: Files) -> pd.DataFrame:
    """One row for each file: its name, what it is, and its size in bytes; of a folder that of all files in it."""
    what = files if isinstance(files, Mapping) else {os.fspath(path): "" for path in files}
    rows = [(Path(path).name or str(path), text, _size(Path(path))) for path, text in what.items()]
    table = pd.DataFrame(rows, columns=["file", "what it is", "bytes"]).astype({"bytes": "Int64"})
    return table if any(table["what it is"]) else table.drop(columns="what it is")


def named(files: Files, suffix: str) -> str:
    """The name of the first file with a suffix; empty where there is none."""
    return next((Path(path).name for path in files if Path(path).suffix.lower() == suffix), "")


def note_blocks(notes: Notes) -> Iterator[Block]:
    """Notes as parts of a report: Markdown's headings, paragraphs, lists and code; emphasis is left out.

    Args:
        notes: Markdown, one text or several.
    """
    for text in [notes] if isinstance(notes, str) else notes:
        pieces = re.split(r"^```[^\n]*\n(.*?)^```[^\n]*$", text, flags=re.MULTILINE | re.DOTALL)
        for number, piece in enumerate(pieces):
            if number % 2:
                yield Code(piece.rstrip("\n"))
            else:
                yield from _prose(piece)


def _prose(text: str) -> Iterator[Block]:
    apart = re.sub(r"^(#{1,6} .*)$", r"\n\1\n", text, flags=re.MULTILINE)  # headings stand alone
    for part in re.split(r"\n(?:[^\S\n]*\n)+", apart):
        part = part.strip("\n")
        if not part.strip():
            continue
        if found := re.match(r"\s*#{1,6} +(.*)", part):
            yield Heading(_plain(found[1].rstrip("# ")), 2)
            continue
        lines = re.split(r"\n(?=[^\S\n]*(?:[-*+]|\d+[.)])\s)", part)
        if _ITEM.fullmatch(lines[0]):
            yield Bullets(tuple(_plain(found[1]) for line in lines if (found := _ITEM.fullmatch(line))))
            continue
        yield Paragraph(_plain(lines[0]))
        if len(lines) > 1:
            yield Bullets(tuple(_plain(found[1]) for line in lines[1:] if (found := _ITEM.fullmatch(line))))


def _plain(text: str) -> str:
    return _EMPHASIS.sub("", " ".join(text.split()))


def _size(path: Path) -> int | None:
    try:
        if path.is_dir():
            return sum(one.stat().st_size for one in path.rglob("*") if one.is_file())
        return path.stat().st_size
    except OSError:
        return None
