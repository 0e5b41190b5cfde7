"""The command line, called in this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from keras_prunelab.cli import main


def run(*arguments: str | Path) -> int:
    """Run `prunelab` with these arguments; returns its exit code."""
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return int(end.value.code or 0)
