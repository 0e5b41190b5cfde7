"""LibreOffice, which lays out Word files; tests are skipped where it is not installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def pdf_of(document: Path, folder: Path) -> Path:
    """A Word file as LibreOffice prints it, written into a folder."""
    office = shutil.which("soffice")
    if office is None:
        pytest.skip("LibreOffice is not installed")
    profile = (folder / "profile").as_uri()
    command = [office, f"-env:UserInstallation={profile}", "--headless", "--convert-to", "pdf", "--outdir", folder]
    subprocess.run([*command, document], check=True, capture_output=True, timeout=300)
    return folder / f"{document.stem}.pdf"
