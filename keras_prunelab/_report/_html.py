"""A report as one HTML page that loads nothing; every text that comes in is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import singledispatch
from html import escape as escape_markup

from . import _document as doc
from ._svg import DARK_COLOURS, LIGHT_COLOURS, inline, svg

STYLE = """
:root { color-scheme: light dark; --text: #1f2328; --soft: #59636e; --line: #d0d7de; --page: #ffffff;
  --card: #f6f8fa;
  --accent: #0072b2; --alarm: #b3001b; LIGHT }
@media screen and (prefers-color-scheme: dark) {
  :root { --text: #e6edf3; --soft: #9aa4af; --line: #3d444d; --page: #0d1117;
    --card: #161b22; --accent: #56b4e9; --alarm: #ff7b72; DARK } }
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
figure svg { width: 100%; max-width: 6.5in; height: auto; display: block; }
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
.meta { margin: 0; }
nav { font-size: .92rem; margin: 1rem 0; }
nav ol { list-style: none; padding: 0; margin: 0; columns: 2; }
nav a { color: var(--accent); }
.note, .terms { font-size: .88rem; color: var(--soft); }
.terms dt { float: left; font-weight: 600; margin-right: .5em; color: var(--text); }
.terms dd { margin: 0 0 .15rem; }
h4 { font-size: 1rem; margin: .9rem 0 .1rem; }
.prompt { border-left: 3px solid var(--accent); padding-left: .8rem; font-style: italic; }
.sources li { margin: .15rem 0; }
@page { size: PAPER; margin: 20mm; }
@media print {
  body { max-width: none; padding: 0; font-size: 9.5pt; line-height: 1.38; }
  h1 { font-size: 1.6rem; }
  h2 { margin: 1rem 0 .3rem; padding-top: .4rem; }
  h2, h3, h4, caption, .lead { break-after: avoid; }
  p, ul, dl, .scroll { margin: .3rem 0; }
  figure { margin: .5rem 0; }
  th, td { padding: .12rem .7rem .12rem 0; }
  figure, tr, .headline, dt, .prompt { break-inside: avoid; }
  .scroll, pre { overflow: visible; }
  pre { white-space: pre-wrap; }
  thead { display: table-header-group; }
}
"""


def write(document: doc.Document) -> bytes:
    """The whole page, as UTF-8."""
    # The policy makes a promise of it: whatever a name or a note contains, a browser fetches and runs nothing.
    style = STYLE.replace("PAPER", document.paper.replace("a4", "A4"))
    for name, colours in (("LIGHT", LIGHT_COLOURS), ("DARK", DARK_COLOURS)):
        style = style.replace(f" {name} ", " " + " ".join(f"{key}: {value};" for key, value in colours.items()) + " ")
    body = "\n".join([*_title(document), *_body(document)])
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="author" content="{escape(document.author)}">\n'
        f"<title>{escape(document.title)}</title>\n<style>{style}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    ).encode()


def escape(text: str) -> str:
    """Text for HTML, between tags or quotes."""
    return escape_markup(doc.shown(text))


def _title(document: doc.Document) -> Iterator[str]:
    yield f"<header>\n<h1>{escape(document.title)}</h1>"
    yield f'<p class="meta">{escape(document.byline)}</p>\n<p class="meta">{escape(document.about)}</p>'
    yield "</header>"
    links = (f'<li><a href="#section-{n}">{escape(text)}</a></li>' for n, text in enumerate(document.contents, start=1))
    yield f'<nav aria-label="Contents">\n<ol>{"".join(links)}</ol>\n</nav>'


def _body(document: doc.Document) -> Iterator[str]:
    section = 0
    for block in document.blocks:
        if isinstance(block, doc.Heading) and block.level == 1:
            section += 1
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
    return "".join(f"<td{side}>{escape(cell)}</td>" for cell, side in zip(cells, sides, strict=True))


def _text(text: doc.Text, document: doc.Document) -> str:
    labels: Mapping[str, str] = document.labels
    parts = (text,) if isinstance(text, str) else text
    return "".join(
        escape(part)
        if isinstance(part, str)
        else f'<a href="#{_identifier(labels[part.key])}">{escape(labels[part.key])}</a>'
        for part in parts
    )


def _identifier(label: str) -> str:
    return label.lower().replace(" ", "-")
