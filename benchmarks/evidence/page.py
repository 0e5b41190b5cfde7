"""stub"""
from pathlib import Path
from .data import ROOT
PAGE = ROOT / "docs" / "evidence.md"
def write_page(results: Path, page: Path) -> None: ...
