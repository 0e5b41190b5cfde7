"""What `matlab_bridge` offers, and that offering it costs nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

import matlab_bridge as mb


def test_the_public_names_are_sorted_and_exist() -> None:
    assert mb.__all__ == sorted(mb.__all__)
    assert len(set(mb.__all__)) == len(mb.__all__)
    for name in mb.__all__:
        assert getattr(mb, name).__doc__
    assert set(mb.__all__) <= set(dir(mb))


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError) as caught:
        mb.load_netwerk  # noqa: B018
    assert str(caught.value) == "module 'matlab_bridge' has no attribute 'load_netwerk'"


def test_importing_and_reading_imports_no_deep_learning_framework() -> None:
    program = (
        "import sys, matlab_bridge as mb; mb.load; mb.find_networks; mb.load_dataset; "
        "print(sorted({'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
