from __future__ import annotations

import doctest
import importlib
import importlib.util
import inspect
import subprocess
import sys
from pathlib import Path

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


NAMESPACES = [name for name in kpl.__all__ if inspect.ismodule(getattr(kpl, name))]


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_all_of_a_namespace_is_sorted(namespace: str) -> None:
    module = getattr(kpl, namespace)
    # Constants and acronyms first, then classes, then functions: the linter's order.
    assert module.__all__ == sorted(module.__all__, key=lambda name: (not name.isupper(), name[0].islower(), name))
    for name in module.__all__:
        assert getattr(module, name) is not None


@pytest.mark.parametrize("name", sorted(set(kpl.__all__) - set(NAMESPACES)))
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


def _modules_with_examples() -> list[str]:
    folder = Path(kpl.__file__).parent
    modules = [path for path in folder.rglob("*.py") if "        >>> " in path.read_text(encoding="utf-8")]
    return sorted(".".join(path.relative_to(folder.parent).with_suffix("").parts) for path in modules)


@pytest.mark.parametrize("name", _modules_with_examples())
def test_examples_in_docstrings_run(name: str) -> None:
    module = importlib.import_module(name)
    assert doctest.testmod(module).attempted > 0
    assert doctest.testmod(module).failed == 0
