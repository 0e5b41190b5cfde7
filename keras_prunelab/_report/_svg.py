"""A drawing as SVG that may stand inside a page: no styles of its own, no identifiers of others, colours by name."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from matplotlib import rc_context

from keras_prunelab._result._style import DARK, LIGHT, NO_TEX, Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLE = re.compile(r' style="([^"]*)"')
_COLOUR = re.compile(r"#[0-9a-f]{6}\b")
_IDENTIFIER = re.compile(r'(\bid="|href="#|url\(#)')
_ROOT = re.compile(r'<svg [^>]*?width="([\d.]+)pt" height="([\d.]+)pt"[^>]*>')
_UNUSED = re.compile(r"<metadata>.*?</metadata>|<style .*?</style>|<!--.*?-->|<title>.*?</title>", re.DOTALL)
_EMPTY = re.compile(r"<defs>\s*</defs>|\s*\n\s*")
_BARE = frozenset(("font", "text-anchor", "white-space"))


def variables(theme: Theme) -> dict[str, str]:
    """The colours of a theme by the names of their CSS variables."""
    named = {"--figure": theme.background, "--ink": theme.text, "--faint": theme.faint}
    return named | {f"--curve-{number}": colour for number, colour in enumerate(theme.series, start=1)}


LIGHT_COLOURS, DARK_COLOURS = variables(LIGHT), variables(DARK)


@NO_TEX
def svg(figure: Figure) -> str:
    """The figure as SVG with its letters as outlines, so that it looks the same everywhere.

    Args:
        figure: in the colours of the light theme.

    Returns:
        One `<svg>` element, in points, without styles: a page that allows none, and other drawings, are left alone.
    """
    content = io.StringIO()
    with rc_context({"svg.hashsalt": "keras-prunelab"}):  # the same identifiers each time
        figure.savefig(content, format="svg", metadata={"Date": None})
    text = content.getvalue()
    text = _UNUSED.sub("", text[text.index("<svg") :])
    text = _STYLE.sub(_attributes, text)
    text = _ROOT.sub(
        r'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        r'width="\1pt" height="\2pt" viewBox="0 0 \1 \2" stroke-linejoin="round" stroke-linecap="butt">',
        text,
        count=1,
    )
    return _EMPTY.sub("\n", text).strip()


def inline(text: str, name: str) -> str:
    """SVG to stand in an HTML page: its identifiers begin with `name`, its colours are CSS variables.

    Each variable has the light colour as its fallback, so that the element looks the same outside the page.
    """
    names: Mapping[str, str] = {colour: variable for variable, colour in reversed(LIGHT_COLOURS.items())}
    text = _IDENTIFIER.sub(lambda found: f"{found[1]}{name}-", text)
    text = text.replace('xlink:href="', 'href="').replace(' xmlns:xlink="http://www.w3.org/1999/xlink"', "")
    return _COLOUR.sub(lambda found: f"var({names[found[0]]},{found[0]})" if found[0] in names else found[0], text)


def _attributes(found: re.Match[str]) -> str:
    """A `style` attribute as presentation attributes, which a policy against inline styles lets pass."""
    pairs = (part.partition(":") for part in found[1].split(";") if ":" in part)
    return "".join(f' {name.strip()}="{value.strip()}"' for name, _, value in pairs if name.strip() not in _BARE)
