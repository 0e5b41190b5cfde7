"""What the examples share: where they write."""

from __future__ import annotations

import argparse
from pathlib import Path


def output_folder(script: str, about: str | None) -> Path:
    """Read `--out` from the command line, and make that folder: by default `build/gallery/` and the script's name."""
    parser = argparse.ArgumentParser(description=(about or "").split("\n", 1)[0])
    parser.add_argument(
        "--out", type=Path, default=Path("build/gallery") / Path(script).stem, help="a folder for pictures and files"
    )
    folder: Path = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    return folder
