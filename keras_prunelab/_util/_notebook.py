"""What notebooks show of a value: paragraphs, tables and pictures as HTML."""

from __future__ import annotations

import base64
import html
import io
from typing import TYPE_CHECKING

import pandas as pd

from keras_prunelab._text import visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def paragraph(text: str, *, strong: str = "") -> str:
    """A text, with a few words in bold before it."""
    start = f"<strong>{html.escape(visible(strong))}</strong> " if strong else ""
    return f"<p>{start}{html.escape(visible(text))}</p>"


def progress_bar(done: int, total: int, text: str) -> str:
    """How far something is, as a bar and in words."""
    return f'<div><progress value="{done}" max="{max(total, 1)}"></progress> {html.escape(visible(text))}</div>'


def table(frame: pd.DataFrame, rows: int = 20) -> str:
    """A table: all of a short one, the first and last rows of a long one, and how many it has.

    Args:
        frame: its index is not shown.
        rows: how many are shown at most.
    """
    shown = frame.map(lambda value: visible(value) if isinstance(value, str) else value)
    half = rows // 2
    parts = [shown] if len(shown) <= rows else [shown.iloc[:half], shown.iloc[-half:]]
    found = "".join(part.to_html(index=False, border=0, na_rep="", float_format="{:.4g}".format) for part in parts)
    return found if len(parts) == 1 else found + paragraph(f"{len(frame):,} rows, of which {2 * half} are shown.")


def picture(figure: Figure, description: str) -> str:
    """A figure as a picture inside the page; an image of its own, so that its names meet no other figure's."""
    with io.BytesIO() as content:
        figure.savefig(content, format="svg")
        data = base64.b64encode(content.getvalue()).decode("ascii")
    return f'<img src="data:image/svg+xml;base64,{data}" alt="{html.escape(visible(description))}" width="640">'
