"""A network that MATLAB saved is pruned by channels, compacted, fine-tuned, and written as smaller MATLAB code."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_prunelab as kpl
import matlab_bridge as mb
from matlab_bridge import matfile

from .command import run

FILES = [
    ("OlivierMor__Vision-Based-Speed-Sign-Recognition/trainedModel.mat", None),
    ("abhisargupta85__Matlab-Face-Mask-Detection/CNN.mat", "net"),
    ("KantikaAscendas__Workshop-EmbeddedAI-with-MBD/net.mat", None),
]


@pytest.mark.corpus
@pytest.mark.parametrize(("file", "variable"), FILES)
def test_smaller_networks_go_back(file: str, variable: str | None, corpus: Path, tmp_path: Path) -> None:
    with warnings.catch_warnings(action="ignore"):  # of what the network says about itself
        model = mb.load_network(corpus / file, variable).to_keras()
    last = next(item.layer for item in reversed(kpl.prunable(model)))
    pruned = kpl.prune(model, 0.5, granularity="channel", scope="layer", exclude=last)
    found = kpl.compaction(pruned)
    small = found.model
    assert found.difference < 1e-4
    assert small.count_params() < 0.75 * model.count_params()

    before = small.get_weights()
    small.compile(keras.optimizers.SGD(1e-4), "mse")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, *(length or 12 for length in small.input_shape[1:]))).astype("float32")
    small.fit(x, np.asarray(small(x)) + 0.1, epochs=1, verbose=0)
    assert any((one != other).any() for one, other in zip(before, small.get_weights(), strict=True))

    mb.export_matlab_code(tmp_path / "buildSmall.m", small)
    code = (tmp_path / "buildSmall.m").read_text(encoding="utf-8")
    for name, (_, channels) in found.channels.items():
        assert f", {channels}, 'Name', '{name}'" in code or f"({channels}, 'Name', '{name}'" in code
    written: Any = matfile.load(tmp_path / "buildSmallWeights.mat")["weights"]
    total = sum(np.size(value) for value in np.ravel(written["Value"]))
    assert total == sum(np.size(weight) for weight in small.get_weights())


SEVERAL_OPERATIONS = [  # what MATLAB has one layer for, and Keras several operations
    ("Elonisme__EAPSystem/BeijingNet.mat", "net"),  # a state that an LSTM was saved with
    ("transafeailab__nnv/examples__nn__cnn__TEST_NET__TEST_NET.mat", "net"),  # a mean of each pixel
    ("transafeailab__nnv/tests__nn__dagnn__SegNet.mat", "net"),  # unpooling
]
UNTRAINED = [
    ("Twinkle0829__Lstm-ins-gnss/layers_1.mat", "layers_1"),
    ("saurabh9994__Digit-Classification/networkLayer.mat", "layers_2"),
    ("korniarp__ML_DQN/lgraph.mat", "lgraph"),
    ("transafeailab__nnv/tests__nn__dagnn__SegNet.mat", "lgraph"),
]
SHALLOW = [
    ("AlexMolio__nn_classification/net.mat", "net.Network"),
    ("Ennio28__Detection-and-prediction-of-epilepsy/autoenc.mat", "net"),
]


@pytest.mark.corpus
@pytest.mark.parametrize(("file", "variable"), [*SEVERAL_OPERATIONS, *UNTRAINED, *SHALLOW])
def test_networks_are_written_with_the_sizes_that_are_left(
    file: str, variable: str, corpus: Path, tmp_path: Path
) -> None:
    with warnings.catch_warnings(action="ignore"):  # of what the network says about itself
        model = mb.load_network(corpus / file, variable).to_keras()
    small = kpl.remove_filters(model, 0.3)
    assert small.count_params() < model.count_params()
    mb.export_matlab_code(tmp_path / "buildSmall.m", small)
    code = (tmp_path / "buildSmall.m").read_text(encoding="utf-8")
    sized = {layer.name: getattr(layer, "units", getattr(layer, "filters", 0)) for layer in small.layers}
    for name, count in sized.items():
        if count:
            assert f", {count}, 'Name', '{name}'" in code or f"({count}, 'Name', '{name}'" in code

    mb.save_portable(tmp_path / "small.mat", small)
    read = mb.load_network(tmp_path / "small.mat").to_keras()
    rng = np.random.default_rng(0)
    shapes = [tuple(length or 12 for length in tensor.shape[1:]) for tensor in small.inputs]
    arrays = [rng.normal(size=(3, *shape)).astype("float32") for shape in shapes]
    x = arrays if len(arrays) > 1 else arrays[0]
    for ours, theirs in zip(keras.tree.flatten(read(x)), keras.tree.flatten(small(x)), strict=True):
        np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=1e-4, atol=1e-5)


def test_the_command(workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("compact", workspace, "--fraction", "0.5", "--out", tmp_path / "small.keras") == 0
    assert "parameters became" in capsys.readouterr().out
    whole = mb.load_network(workspace).to_keras()
    small = keras.saving.load_model(tmp_path / "small.keras")
    assert small.count_params() < 0.6 * whole.count_params()
    layers = [keras.Input((8, 8, 1)), keras.layers.Conv2D(8, 3, name="conv"), keras.layers.Flatten()]
    kpl.prune(keras.Sequential([*layers, keras.layers.Dense(2)]), 0.5, granularity="channel", include="conv").save(
        tmp_path / "pruned.keras"
    )
    assert run("compact", tmp_path / "pruned.keras", "--out", tmp_path / "buildSmall.m") == 0
    assert ", 4, 'Name', 'conv'" in (tmp_path / "buildSmall.m").read_text(encoding="utf-8")
    assert (tmp_path / "buildSmallWeights.mat").is_file()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("small.mat", "in small letters"),
        ("small.KERAS", "in small letters"),
        ("buildSmall.M", "in small letters"),
        ("build-small.m", "cannot be a function of MATLAB"),
        ("end.m", "cannot be a function of MATLAB"),
    ],
)
def test_files_that_cannot_be_written_are_refused_at_once(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def never(*_: Any) -> None:
        pytest.fail("the network was opened")

    monkeypatch.setattr("keras_prunelab.cli._inputs.open_model", never)
    assert run("compact", tmp_path / "net.mat", "--out", tmp_path / "out" / name) == 3
    told = capsys.readouterr().err
    assert message in told
    assert "defect" not in told
    assert list(tmp_path.iterdir()) == []


def test_channels_are_counted_from_the_network_that_was_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layers = [keras.layers.Conv2D(10, 3, name="conv"), keras.layers.Flatten(), keras.layers.Dense(2, name="scores")]
    keras.Sequential([keras.Input((6, 6, 1)), *layers]).save(tmp_path / "net.keras")
    assert run("compact", tmp_path / "net.keras", "--fraction", "0.3", "--out", tmp_path / "small.keras") == 0
    told = capsys.readouterr().out
    assert "conv: 10 channels become 7" in told
    before, after = (10 * (9 + 1) + 16 * 10 * 2 + 2), (7 * (9 + 1) + 16 * 7 * 2 + 2)
    assert f"{before} parameters became {after}" in told
    assert "100.0%" not in told
    assert "scores" not in told


NAMES = tuple("0123456789")


def test_class_names_go_from_file_to_file(workspace: Path, tmp_path: Path) -> None:
    assert run("compact", workspace, "--fraction", "0.3", "--out", tmp_path / "small.keras") == 0
    assert run("compact", tmp_path / "small.keras", "--out", tmp_path / "small2.keras") == 0
    assert run("compact", tmp_path / "small2.keras", "--fraction", "0.1", "--out", tmp_path / "small3.keras") == 0
    assert run("prune", tmp_path / "small3.keras", "--sparsity", "0.5", "--out", tmp_path / "pruned.keras") == 0
    facts = [mb.load_sidecar(tmp_path / f"{name}.keras") for name in ("small", "small2", "small3", "pruned")]
    assert facts[0].class_names == NAMES
    assert facts[0].file == workspace.name
    assert facts == facts[:1] * 4
    assert run("convert", tmp_path / "pruned.keras", tmp_path / "buildNet.m") == 0
    assert "'9'" in (tmp_path / "buildNet.m").read_text(encoding="utf-8")


def test_class_names_of_another_model_go(workspace: Path, tmp_path: Path) -> None:
    assert run("prune", workspace, "--sparsity", "0.5", "--out", tmp_path / "net.keras") == 0
    assert (tmp_path / "net.matlab.json").is_file()
    layers = [keras.Input((4,)), keras.layers.Dense(3, name="scores")]
    keras.Sequential(layers).save(tmp_path / "plain.keras")
    assert run("compact", tmp_path / "plain.keras", "--out", tmp_path / "net.keras") == 0
    assert not (tmp_path / "net.matlab.json").exists()
    assert run("convert", tmp_path / "net.keras", tmp_path / "buildNet.m") == 0
    assert "cell(0, 1)" in (tmp_path / "buildNet.m").read_text(encoding="utf-8")


def test_endings_in_capitals_are_no_defect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]).save(tmp_path / "net.keras")
    assert run("prune", tmp_path / "net.keras", "--sparsity", "0.5", "--out", tmp_path / "small.KERAS") == 3
    assert "in small letters" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["net.keras"]


def test_a_model_that_masks_is_to_be_stripped(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="a"), keras.layers.Dense(2)])
    wrapped = kpl.layers.wrap(model, 0.5)
    with pytest.raises(mb.UnsupportedLayerError, match=r"'a' \(Pruned\).* keras_prunelab\.layers\.strip\(model\)"):
        mb.export_matlab_code(tmp_path / "build.m", wrapped)
    mb.export_matlab_code(tmp_path / "build.m", kpl.layers.strip(wrapped))
