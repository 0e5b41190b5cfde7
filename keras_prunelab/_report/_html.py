"""The few pieces of HTML that a report is made of; every text that comes in is escaped here."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from html import escape as escape_markup
from typing import Any

import pandas as pd

from keras_prunelab._text import visible

STYLE = """
:root { color-scheme: light dark; --text: #1f2328; --soft: #59636e; --line: #d0d7de; --page: #ffffff;
  --card: #f6f8fa;
  --accent: #0072b2; --alarm: #b3001b; }
@media screen and (prefers-color-scheme: dark) {
  :root { --text: #e6edf3; --soft: #9aa4af; --line: #3d444d; --page: #0d1117;
    --card: #161b22; --accent: #56b4e9; --alarm: #ff7b72; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 57rem; padding: 2.5rem 1.5rem 4rem; background: var(--page);
  color: var(--text); font: 1rem/1.6 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.3rem; margin: 2.6rem 0 .6rem; padding-top: .9rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.6rem 0 .4rem; }
p, ul, dl { margin: .5rem 0; }
li { margin: .25rem 0; }
.meta, figcaption, caption { color: var(--soft); font-size: .9rem; }
.headline { background: var(--card); border-left: 4px solid var(--accent); padding: 1rem 1.2rem;
  margin: 1.4rem 0; }
.headline p { margin: .3rem 0; }
.figures { display: flex; flex-wrap: wrap; gap: .4rem 2.2rem; }
.figures div { min-width: 6.5rem; }
.figures b { display: block; font-size: 1.55rem; line-height: 1.3; color: var(--accent);
  font-variant-numeric: tabular-nums; }
.figures span { color: var(--soft); font-size: .85rem; }
.warning { border-left: 4px solid var(--alarm); padding: .5rem 1rem; background: var(--card); color: var(--alarm);
  font-weight: 600; }
figure { margin: 1.2rem 0; }
figure img { width: 100%; height: auto; display: block; }
figcaption { margin-top: .4rem; }
.scroll { overflow-x: auto; margin: .8rem 0; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .3rem; }
th, td { padding: .28rem .9rem .28rem 0; text-align: left; border-bottom: 1px solid var(--line);
  vertical-align: top; }
th { font-weight: 600; border-bottom-width: 2px; }
th.number, td.number { text-align: right; white-space: nowrap; }
code, pre { font-family: ui-monospace, "Cascadia Mono", Consolas, Menlo, monospace; font-size: .85em; }
pre { background: var(--card); padding: .8rem 1rem; overflow-x: auto; line-height: 1.45; }
summary { cursor: pointer; color: var(--accent); }
dt { font-weight: 600; margin-top: .9rem; }
dd { margin: .1rem 0 0; }
.answer { color: var(--soft); }
@page { size: A4; margin: 18mm 17mm; }
@media print {
  body { max-width: none; padding: 0; font-size: 10.5pt; }
  h2, h3 { break-after: avoid; }
  figure, tr, .headline, dt, pre { break-inside: avoid; }
  .scroll, pre { overflow: visible; }
  pre { white-space: pre-wrap; }
  thead { display: table-header-group; }
  details::details-content { content-visibility: visible; block-size: auto; }
}
"""


def page(title: str, body: Iterable[str]) -> str:
    """A whole document that loads nothing from anywhere."""
    # The policy makes a promise of it: whatever a name or a note contains, a browser fetches and runs
    # nothing.
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def escape(text: str) -> str:
    """Text for HTML, between tags or quotes; a number and its percent sign stay on one line."""
    return escape_markup(visible(text).replace(" %", "\N{NO-BREAK SPACE}%"))


def heading(text: str, level: int = 2) -> str:
    """A heading of level 1 to 3."""
    return f"<h{level}>{escape(text)}</h{level}>"


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph; `kind` is a class of the style sheet."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def bullets(texts: Iterable[str]) -> str:
    """An unordered list."""
    return "<ul>" + "".join(f"<li>{escape(text)}</li>" for text in texts) + "</ul>"


def questions(pairs: Iterable[tuple[str, str]]) -> str:
    """Questions, each with what this result says to it."""
    items = (f'<dt>{escape(asked)}</dt><dd class="answer">{escape(known)}</dd>' for asked, known in pairs)
    return "<dl>" + "".join(items) + "</dl>"


def headline(numbers: Mapping[str, str], reason: str) -> str:
    """The main numbers side by side, each over its caption, and a paragraph."""
    cells = (f"<div><b>{escape(value)}</b><span>{escape(name)}</span></div>" for name, value in numbers.items())
    return f'<div class="headline"><div class="figures">{"".join(cells)}</div>{paragraph(reason)}</div>'


def plot(light: bytes, dark: bytes, alternative: str, caption: str) -> str:
    """A plot as SVG in two themes; the screen's setting chooses, and paper gets the light one.

    Args:
        light: the SVG for light backgrounds and paper.
        dark: the SVG for dark screens.
        alternative: what the plot shows, for readers who do not see it.
        caption: the text below it.
    """
    return (
        f'<figure><picture><source srcset="{_data(dark)}" media="screen and (prefers-color-scheme: dark)">'
        f'<img src="{_data(light)}" alt="{escape(alternative)}"></picture>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def table(frame: pd.DataFrame, caption: str = "", formats: Mapping[str, Callable[[Any], str]] | None = None) -> str:
    """A table; numbers stand to the right, and missing values are a dash.

    Args:
        frame: the rows; column names are the headings, with spaces for underscores.
        caption: the text above it.
        formats: how to print the values of a column; whole numbers get thousands separators by themselves.
    """
    formats = formats or {}
    sides = {
        name: ' class="number"' if pd.api.types.is_numeric_dtype(frame[name]) or name in formats else ""
        for name in frame.columns
    }
    head = "".join(f"<th{sides[name]}>{escape(str(name).replace('_', ' '))}</th>" for name in frame.columns)
    rows = []
    for values in frame.itertuples(index=False, name=None):
        cells = (
            f"<td{sides[name]}>{escape(_cell(value, formats.get(str(name))))}</td>"
            for name, value in zip(frame.columns, values, strict=True)
        )
        rows.append("<tr>" + "".join(cells) + "</tr>")
    above = f"<caption>{escape(caption)}</caption>" if caption else ""
    return (
        f'<div class="scroll"><table>{above}<thead><tr>{head}</tr></thead>\n<tbody>'
        + "\n".join(rows)
        + "</tbody></table></div>"
    )


def preformat(text: str) -> str:
    """Text as it is, in a typewriter's face."""
    return f"<pre>{escape(text)}</pre>"


def details(summary: str, content: str) -> str:
    """Content that a click opens, and that paper shows where the browser can."""
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"


def _cell(value: Any, text: Callable[[Any], str] | None) -> str:
    if pd.isna(value):
        return "–"  # noqa: RUF001  # an en dash, the sign for nothing in a table
    if text is not None:
        return text(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if pd.api.types.is_integer(value) else str(value)


def _data(svg: bytes) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode("ascii")
