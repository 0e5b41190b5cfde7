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
from keras_prunelab.cli import main
from matlab_bridge import matfile

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

    mb.write_matlab_code(small, tmp_path / "buildSmall.m")
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
    mb.write_matlab_code(small, tmp_path / "buildSmall.m")
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
    with pytest.raises(SystemExit) as end:
        main(["compact", str(workspace), "--fraction", "0.5", "--out", str(tmp_path / "small.keras")])
    assert end.value.code == 0
    assert "parameters became" in capsys.readouterr().out
    whole = mb.load_network(workspace).to_keras()
    small = keras.saving.load_model(tmp_path / "small.keras")
    assert small.count_params() < 0.6 * whole.count_params()
    layers = [keras.Input((8, 8, 1)), keras.layers.Conv2D(8, 3, name="conv"), keras.layers.Flatten()]
    kpl.prune(keras.Sequential([*layers, keras.layers.Dense(2)]), 0.5, granularity="channel", include="conv").save(
        tmp_path / "pruned.keras"
    )
    with pytest.raises(SystemExit) as end:
        main(["compact", str(tmp_path / "pruned.keras"), "--out", str(tmp_path / "buildSmall.m")])
    assert end.value.code == 0
    assert ", 4, 'Name', 'conv'" in (tmp_path / "buildSmall.m").read_text(encoding="utf-8")
    assert (tmp_path / "buildSmallWeights.mat").is_file()
    with pytest.raises(SystemExit) as end:
        main(["compact", str(workspace), "--out", str(tmp_path / "small.mat")])
    assert end.value.code == 3
