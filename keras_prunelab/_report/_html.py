"""A report as one HTML page that loads nothing; every text that comes in is escaped here.

The page reads without scripts. Its script, the files of the folder `page`, lets the reader explore the sweep with
uPlot, which is in the folder `vendor`.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import singledispatch
from html import escape as escape_markup
from pathlib import Path

from . import _document as doc
from ._svg import DARK_COLOURS, LIGHT_COLOURS, inline, svg

PAGE = Path(__file__).with_name("page")
VENDOR = Path(__file__).with_name("vendor")
SCRIPTS = ("numbers", "choice", "elements", "chart", "layers", "tables", "figures", "explore", "page")
"""The files of the page's script, in the order in which they are read."""
_COLOURS = {
    "--text": ("#1f2328", "#e6edf3"),
    "--soft": ("#59636e", "#9aa4af"),
    "--line": ("#d0d7de", "#3d444d"),
    "--edge": ("#838b94", "#6e7681"),
    "--page": ("#ffffff", "#0d1117"),
    "--card": ("#f6f8fa", "#161b22"),
    "--select": ("#0072b226", "#56b4e940"),
    "--accent": ("#0072b2", "#56b4e9"),
    "--alarm": ("#b3001b", "#ff7b72"),
    **{name: (LIGHT_COLOURS[name], DARK_COLOURS[name]) for name in LIGHT_COLOURS},
}
"""The colours of the page and its figures, on paper and on a dark screen."""


def write(document: doc.Document) -> bytes:
    """The whole page, as UTF-8."""
    style = _style(document)
    scripts = [] if document.exploration is None else [("", _read(VENDOR / "uPlot.iife.min.js"))]
    scripts.append((' type="module"', _script()))
    body = "\n".join(_body(document))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(style, [code for _, code in scripts])}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="author" content="{escape(document.author)}">\n'
        f"<title>{escape(document.title)}</title>\n<style>{style}</style>\n</head>\n"
        f"<body>\n{''.join(_title(document))}\n<main>\n{body}\n</main>\n{_data(document)}"
        + "".join(f"<script{kind}>{code}</script>\n" for kind, code in scripts)
        + "</body>\n</html>\n"
    ).encode()


def escape(text: str) -> str:
    """Text for HTML, between tags or quotes."""
    return escape_markup(doc.shown(text))


def _policy(style: str, scripts: Sequence[str]) -> str:
    """What a browser may do: run these scripts and show figures that they draw; whatever a name holds, nothing else."""
    hashes = " ".join(_hash(script) for script in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src {_hash(style)}; img-src blob:; base-uri 'none'; "
        "form-action 'none'"
    )


def _hash(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _style(document: doc.Document) -> str:
    light = " ".join(f"{name}: {pair[0]};" for name, pair in _COLOURS.items())
    both = " ".join(f"{name}: light-dark({', '.join(pair)});" for name, pair in _COLOURS.items())
    plot = "" if document.exploration is None else _read(VENDOR / "uPlot.min.css")
    return (
        f":root {{ color-scheme: light dark; {light} }}\n"
        f"@supports (color: light-dark(#000, #fff)) {{ :root {{ {both} }} }}\n"
        ":root[data-theme=light] { color-scheme: light; }\n:root[data-theme=dark] { color-scheme: dark; }\n"
        "@media print { :root:root { color-scheme: light; } }\n"
        f"@page {{ size: {document.paper.replace('a4', 'A4')}; margin: 20mm; }}\n{plot}\n{_read(PAGE / 'page.css')}"
    )


def _script() -> str:
    return "\n" + "\n".join(_read(PAGE / f"{name}.js") for name in SCRIPTS)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _data(document: doc.Document) -> str:
    """What the script explores, in which no text can end the element."""
    if document.exploration is None:
        return ""
    text = json.dumps(document.exploration, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return f'<script type="application/json" id="data">{text.replace("<", chr(92) + "u003c")}</script>\n'


def _title(document: doc.Document) -> Iterator[str]:
    yield f"<header>\n<h1>{escape(document.title)}</h1>"
    yield f'<p class="meta">{escape(document.byline)}</p>\n<p class="meta">{escape(document.about)}</p>'
    yield "</header>\n"
    links = (f'<li><a href="#section-{n}">{escape(text)}</a></li>' for n, text in enumerate(document.contents, start=1))
    yield f'<nav aria-label="Contents">\n<ol>{"".join(links)}</ol>\n</nav>'


def _body(document: doc.Document) -> Iterator[str]:
    section = 0
    for block in document.blocks:
        if isinstance(block, doc.Heading) and block.level == 1:
            section += 1
            if section == 2 and document.exploration is not None:
                yield '<section id="exploration" aria-labelledby="explore" hidden></section>'
            yield f'<h2 id="section-{section}">{escape(block.text)}</h2>'
        else:
            yield _element(block, document)


@singledispatch
def _element(block: doc.Block, document: doc.Document) -> str:
    raise NotImplementedError(f"{type(block).__name__} has no form in HTML.")


@_element.register
def _(block: doc.Heading, document: doc.Document) -> str:  # noqa: ARG001  # one signature for all blocks
    return f"<h{block.level + 1}>{escape(block.text)}</h{block.level + 1}>"


@_element.register
def _(block: doc.Paragraph, document: doc.Document) -> str:
    kind = "" if block.kind == "body" else f' class="{block.kind}"'
    return f"<p{kind}>{_text(block.text, document)}</p>"


@_element.register
def _(block: doc.Bullets, document: doc.Document) -> str:
    return "<ul>" + "".join(f"<li>{_text(item, document)}</li>" for item in block.items) + "</ul>"


@_element.register
def _(block: doc.KeyNumbers, document: doc.Document) -> str:  # noqa: ARG001
    cells = (f"<div><b>{escape(value)}</b><span>{escape(name)}</span></div>" for name, value in block.numbers.items())
    return f'<div class="headline"><div class="figures">{"".join(cells)}</div><p>{escape(block.reason)}</p></div>'


@_element.register
def _(block: doc.Definitions, document: doc.Document) -> str:  # noqa: ARG001
    items = (f"<dt>{escape(term)}</dt><dd>{escape(meaning)}</dd>" for term, meaning in block.terms.items())
    return f'<dl class="terms">{"".join(items)}</dl>'


@_element.register
def _(block: doc.Question, document: doc.Document) -> str:  # noqa: ARG001
    prompt = f'<p class="prompt">{escape(doc.PROMPT)} {escape(block.prompt)}</p>' if block.prompt else ""
    return f"<h3>{escape(block.asked)}</h3><p>{escape(block.known)}</p>{prompt}"


@_element.register
def _(block: doc.Figure, document: doc.Document) -> str:
    label = document.labels[block.key]
    name = _identifier(label)
    drawing = inline(svg(block.draw()), name).replace(
        "<svg ", f'<svg role="img" aria-label="{escape(block.alternative)}" ', 1
    )
    return f'<figure id="{name}">{drawing}\n<figcaption>{escape(label)}. {escape(block.caption)}</figcaption></figure>'


@_element.register
def _(block: doc.Table, document: doc.Document) -> str:
    label = document.labels[block.key]
    sides = [' class="number"' if is_number else "" for is_number in block.are_numbers]
    head = "".join(
        f'<th scope="col"{side}>{escape(name)}</th>' for name, side in zip(block.headings, sides, strict=True)
    )
    rows = "\n".join(f"<tr>{_cells(cells, sides)}</tr>" for cells in block.rows)
    return (
        f'<div class="scroll" id="{_identifier(label)}" tabindex="0" role="region" aria-label="{escape(label)}"><table>'
        f"<caption>{escape(label)}. {escape(block.caption)}</caption><thead><tr>{head}</tr></thead>\n"
        f"<tbody>{rows}</tbody></table></div>"
    )


@_element.register
def _(block: doc.Code, document: doc.Document) -> str:  # noqa: ARG001
    title = f'<p class="lead">{escape(block.title)}</p>' if block.title else ""
    return f'{title}<pre tabindex="0"><code>{escape_markup(doc.typed(block.text))}</code></pre>'


@_element.register
def _(block: doc.Sources, document: doc.Document) -> str:  # noqa: ARG001
    return '<ul class="sources">' + "".join(f"<li>{escape(work)}</li>" for work in block.works) + "</ul>"


def _cells(cells: Iterable[str], sides: Iterable[str]) -> str:
    return "".join(
        f"<td{side}>{escape(cell) if side else _breakable(cell)}</td>" for cell, side in zip(cells, sides, strict=True)
    )


def _breakable(text: str) -> str:
    return doc.breakable(escape(text), "<wbr>")


def _text(text: doc.Text, document: doc.Document) -> str:
    return "".join(_inline(part, document.labels) for part in ((text,) if isinstance(text, str) else text))


def _inline(part: doc.Inline, labels: Mapping[str, str]) -> str:
    if isinstance(part, str):
        return escape(part)
    if isinstance(part, doc.Link):
        return f'<a href="{escape_markup(doc.typed(part.address))}">{escape(part.text)}</a>'
    return f'<a href="#{_identifier(labels[part.key])}">{escape(labels[part.key])}</a>'


def _identifier(label: str) -> str:
    return label.lower().replace(" ", "-")
