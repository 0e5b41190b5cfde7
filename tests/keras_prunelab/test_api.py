from __future__ import annotations

import doctest
import importlib
import subprocess
import sys
from types import FunctionType

import pytest

import keras_prunelab as kpl


def test_all_is_the_sorted_public_surface() -> None:
    assert kpl.__all__ == sorted(kpl.__all__)
    assert set(kpl._HOMES) < set(kpl.__all__)
    for name in kpl.__all__:
        assert getattr(kpl, name) is not None
    assert dir(kpl) == kpl.__all__
    with pytest.raises(AttributeError, match="has no attribute 'prun'"):
        kpl.prun  # noqa: B018 # the access is what is tested


def test_scores_all_is_sorted() -> None:
    assert kpl.scores.__all__ == sorted(kpl.scores.__all__)
    for name in kpl.scores.__all__:
        assert getattr(kpl.scores, name) is not None


@pytest.mark.parametrize("name", ["report", "sweep"])
def test_functions_are_not_hidden_by_packages_of_their_name(name: str) -> None:
    importlib.import_module(f"keras_prunelab.{name}")
    assert isinstance(getattr(kpl, name), FunctionType)


def test_import_does_not_import_keras() -> None:
    script = (
        "import sys, keras_prunelab\n"
        "from keras_prunelab import PruneLabError\n"
        "print(sorted({'keras', 'tensorflow', 'jax', 'torch', 'pandas', 'matplotlib'} & set(sys.modules)))\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, encoding="utf-8", check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "name",
    [
        *("_backend", "_masks", "_oneshot", "_prunable", "_selection"),
        *("_scores._base", "_scores._magnitude", "_scores._synflow"),
    ],
)
def test_examples_in_docstrings_run(name: str) -> None:
    module = importlib.import_module(f"keras_prunelab.{name}")
    assert doctest.testmod(module).attempted > 0
    assert doctest.testmod(module).failed == 0
