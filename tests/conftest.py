"""Fixtures and marks that all tests share."""

from __future__ import annotations

import gc
import importlib.util
import os
import shutil
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")
if "PYTEST_XDIST_WORKER" in os.environ:  # there are as many workers as processors, and torch's threads wait busily
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import settings

CORPUS = Path(__file__).resolve().parents[2] / "shared" / "corpus"

# These compare with torch, and run where Keras runs on it.
collect_ignore = [] if importlib.util.find_spec("torch") else ["keras_prunelab/test_scores_torch.py"]

# Building Keras models takes as long as the machine is busy: no deadline, and the same examples on every run.
settings.register_profile("lab", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("lab")


# Models are many objects that stay: Python would look at all of them every few seconds.
gc.set_threshold(10_000)


def pytest_configure(config: pytest.Config) -> None:
    """Let JAX compile each program once a run: many tests train the same small networks.

    A folder for each process of pytest, because JAX writes into it without a lock; what a test starts uses it too.
    """
    folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    config.add_cleanup(folder.cleanup)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = folder.name
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # A file runs on one worker: those of long tests go first, so that none of them is left for the end.
    long = {item.path for item in items if "slow" in item.keywords}
    items.sort(key=lambda item: item.path not in long)
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
