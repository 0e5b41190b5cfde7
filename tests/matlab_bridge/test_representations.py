"""What a terminal and a notebook show of networks and datasets, and names of version 0.1."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

import matlab_bridge as mb


def network() -> mb.Network:
    model = keras.Sequential([keras.Input((4,), name="in"), keras.layers.Dense(3, name="fc")])
    return mb.from_keras(model, class_names=["cat", "<i>dog</i>", "fox"])


def test_a_network_says_what_it_is(tmp_path: Path) -> None:
    assert repr(network()) == "<Network: dlnetwork of 2 layers, 3 classes>"
    mb.save_portable(tmp_path / "net.mat", network())
    assert repr(mb.load_network(tmp_path / "net.mat")).endswith(", 3 classes, 'net' of 'net.mat'>")


def test_a_notebook_shows_the_layers() -> None:
    page = network()._repr_html_()
    assert page.startswith("<pre>")
    assert "fc" in page
    assert "<i>" not in page


def test_a_dataset_says_what_it_holds() -> None:
    images = np.zeros((5, 4, 4, 1), np.uint8)
    data = mb.Dataset(images, np.array([0, 1, 1, 1, -1]), ("cat", "<i>dog</i>"), "read by hand")
    assert repr(data) == "<Dataset: inputs 5 x 4 x 4 x 1 uint8, 2 classes: 'cat', '<i>dog</i>'>"
    page = data._repr_html_()
    assert "<tr><td>cat</td><td>1</td></tr><tr><td>&lt;i&gt;dog&lt;/i&gt;</td><td>3</td></tr>" in page
    assert "read by hand" in page
    sequences = mb.Dataset([np.zeros((2, 1)), np.zeros((3, 1))], np.zeros((2, 1)), (), "")
    assert repr(sequences) == "<Dataset: 2 sequences of 2 to 3 time steps, responses>"
    assert repr(mb.Dataset(images, None, (), "")).endswith(", no labels>")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("write_matlab_code", "export_matlab_code"),
        ("write_sidecar", "save_sidecar"),
        ("read_sidecar", "load_sidecar"),
    ],
)
def test_old_names_work_with_a_warning(old: str, new: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"{old} is called {new} now"):
        assert getattr(mb, old) is getattr(mb, new)


def test_the_old_order_works_with_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    for export, name in ((mb.export_matlab_code, "build.m"), (mb.export_onnx, "net.onnx")):
        with pytest.warns(DeprecationWarning, match="takes the path first"):
            export(network(), tmp_path / name)  # type: ignore[operator]
        assert (tmp_path / name).exists()
