"""Fixtures and marks that all tests share."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest
from hypothesis import settings

CORPUS = Path(__file__).resolve().parents[2] / "shared" / "corpus"

# These compare with torch, and run where Keras runs on it.
collect_ignore = [] if importlib.util.find_spec("torch") else ["keras_prunelab/test_scores_torch.py"]

# Building Keras models takes as long as the machine is busy: no deadline, and the same examples on every run.
settings.register_profile("lab", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("lab")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing_corpus = pytest.mark.skip(reason=f"the corpus of real MATLAB files is not at {CORPUS}")
    missing_octave = pytest.mark.skip(reason="GNU Octave is not on the PATH")
    for item in items:
        if "corpus" in item.keywords and not CORPUS.is_dir():
            item.add_marker(missing_corpus)
        if "octave" in item.keywords and shutil.which("octave") is None:
            item.add_marker(missing_octave)


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of real MATLAB files."""
    return CORPUS
