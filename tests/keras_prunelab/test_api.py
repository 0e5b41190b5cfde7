from __future__ import annotations

import doctest
import importlib
import importlib.util
import subprocess
import sys

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


@pytest.mark.parametrize("name", kpl.__all__)
def test_no_module_hides_a_public_name(name: str) -> None:
    assert importlib.util.find_spec(f"keras_prunelab.{name}") is None


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
