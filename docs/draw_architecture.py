"""Draws docs/images/architecture.svg from the layer contracts in pyproject.toml: `python docs/draw_architecture.py`."""

from __future__ import annotations

import tomllib
from html import escape
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "images" / "architecture.svg"

_WIDTH, _HEIGHT, _GAP = 430, 26, 8
_MARGIN, _TITLE = 16, 34
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1f2933}.title{font-weight:600;font-size:15px}"
    ".box{fill:#e8eef4;stroke:#7b8fa3}.page{fill:#ffffff}"
)


def layers(contract: dict[str, Any]) -> list[list[str]]:
    """The rows of a contract, top to bottom; modules of one row know nothing of each other."""
    return [[name.strip().partition(".")[2] for name in row.split(":")] for row in contract["layers"]]


def draw(contracts: list[dict[str, Any]]) -> str:
    """The layers of each package as a column of boxes; each imports from those under it alone.

    Args:
        contracts: those of `[tool.importlinter]`.

    Returns:
        The picture as SVG.
    """
    columns = [
        (contract["layers"][0].partition(".")[0], layers(contract))
        for contract in contracts
        if contract["type"] == "layers"
    ]
    rows = max(len(found) for _, found in columns)
    width = _MARGIN + len(columns) * (_WIDTH + _MARGIN)
    height = _MARGIN + _TITLE + rows * (_HEIGHT + _GAP) + _MARGIN
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        "<title>The packages, top to bottom: each imports from those under it alone</title>",
        f"<style>{_STYLE}</style>",
        f'<rect class="page" width="{width}" height="{height}"/>',
    ]
    for number, (package, found) in enumerate(columns):
        left = _MARGIN + number * (_WIDTH + _MARGIN)
        parts.append(f'<text class="title" x="{left}" y="{_MARGIN + 16}">{escape(package)}</text>')
        for place, names in enumerate(found):
            parts += _row(names, left, _MARGIN + _TITLE + place * (_HEIGHT + _GAP))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _row(names: list[str], left: int, top: int) -> list[str]:
    each = (_WIDTH - (len(names) - 1) * _GAP) / len(names)
    found = []
    for number, name in enumerate(names):
        start = left + number * (each + _GAP)
        found.append(f'<rect class="box" x="{start:.1f}" y="{top}" width="{each:.1f}" height="{_HEIGHT}" rx="4"/>')
        found.append(f'<text x="{start + 8:.1f}" y="{top + 18}">{escape(name)}</text>')
    return found


def picture() -> str:
    """The picture as the contracts are now."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return draw(settings["tool"]["importlinter"]["contracts"])


if __name__ == "__main__":
    TARGET.write_text(picture(), encoding="utf-8", newline="\n")
