"""Writing a network back into the file that it came from."""

from __future__ import annotations

import hashlib
import shutil
import struct
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io

import matlab_bridge as mb
from matlab_bridge import matfile
from matlab_bridge.matfile import MatlabObject
from matlab_bridge.write import portable_struct
from matlab_bridge.write._original import _save as writing

from . import octave
from .mat5_by_hand import Mat5
from .object_files import write_objects
from .objects_by_hand import EMPTY, connections, fully_connected, layer, layer_graph, learnable, row, series_network

VERSIONS = pytest.mark.parametrize("version", ["v7", "v7.3"])


def weights(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, columns)).astype("f4")


def classifier(seed: int = 0) -> MatlabObject:
    """Two fully connected layers of one size; all biases are zero, so their values do not tell them apart."""
    return series_network(
        layer("FeatureInputLayer", "in", InputSize=row(4), Normalization=EMPTY),
        fully_connected("fc1", weights(4, 4, seed), np.zeros((4, 1))),
        layer("ReLULayer", "relu"),
        fully_connected("fc2", weights(4, 4, seed + 1), np.zeros((4, 1))),
        layer("SoftmaxLayer", "softmax"),
    )


@pytest.fixture(params=["v7", "v7.3"])
def trained(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "trained.mat"
    write_objects(path, {"net": classifier(), "note": np.arange(12.0).reshape(3, 4)}, request.param)
    return path


def parameters(network: mb.Network) -> dict[tuple[str, str], np.ndarray]:
    return {(layer.name, name): array for layer in network.layers for name, array in layer.parameters.items()}


def pruned(network: mb.Network, fraction: float = 0.5) -> dict[tuple[str, str], np.ndarray]:
    """The learnables with the smallest of each array at zero."""
    new = {}
    for part in network.layers:
        for name, array in part.learnables.items():
            smallest = np.argsort(np.abs(array), axis=None)[: int(fraction * array.size)]
            new[part.name, name] = array.copy()
            new[part.name, name].flat[smallest] = 0
    return new


def assert_same_parameters(network: mb.Network, expected: dict[tuple[str, str], np.ndarray]) -> None:
    found = parameters(network)
    assert found.keys() == expected.keys()
    for parameter, array in expected.items():
        assert (found[parameter].dtype, found[parameter].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(found[parameter], array, err_msg=str(parameter))


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_pruned_network_comes_back_in_an_object_of_the_same_class(trained: Path, tmp_path: Path) -> None:
    before, network = digest(trained), mb.load_network(trained)
    new = pruned(network)
    mb.save_network(tmp_path / "pruned.mat", new, like=trained)

    written = mb.load_network(tmp_path / "pruned.mat")
    assert_same_parameters(written, parameters(network) | new)
    assert (written.class_name, written.connections) == (network.class_name, network.connections)
    assert sum(np.count_nonzero(array == 0) for array in parameters(written).values()) == 8 + 8 + 8
    np.testing.assert_array_equal(mb.load(tmp_path / "pruned.mat")["note"], mb.load(trained)["note"])
    assert digest(trained) == before


def test_equal_arrays_are_told_apart(trained: Path, tmp_path: Path) -> None:
    biases = {("fc1", "Bias"): weights(4, 1, 8), ("fc2", "Bias"): weights(4, 1, 9)}
    mb.save_network(tmp_path / "biased.mat", biases, like=trained)
    written = mb.load_network(tmp_path / "biased.mat")
    assert_same_parameters(written, parameters(mb.load_network(trained)) | biases)


@VERSIONS
def test_of_two_equal_networks_only_the_one_that_is_meant_changes(version: str, tmp_path: Path) -> None:
    source = tmp_path / "two.mat"
    write_objects(source, {"net": classifier(), "copy": classifier()}, version)
    old = mb.load_network(source, "net")
    new = pruned(old)
    mb.save_network(tmp_path / "out.mat", new, like=source, variable="copy")
    assert_same_parameters(mb.load_network(tmp_path / "out.mat", "net"), parameters(old))
    assert_same_parameters(mb.load_network(tmp_path / "out.mat", "copy"), parameters(old) | new)


@VERSIONS
def test_an_object_that_two_variables_share_changes_in_both(version: str, tmp_path: Path) -> None:
    graph = layer_graph(
        fully_connected("a", weights(3, 3)),
        fully_connected("b", weights(3, 3, 1)),
        table=connections(("a", "b")),
    )
    network = MatlabObject("dlnetwork", {"any": {"LayerGraph": graph, "OutputNames": EMPTY}})
    write_objects(tmp_path / "shared.mat", {"net": network, "lgraph": graph}, version)
    new = pruned(mb.load_network(tmp_path / "shared.mat", "net"))
    mb.save_network(tmp_path / "out.mat", new, like=tmp_path / "shared.mat", variable="net")
    for variable in ("net", "lgraph"):
        found = parameters(mb.load_network(tmp_path / "out.mat", variable))
        np.testing.assert_array_equal(found["a", "Weights"], new["a", "Weights"])


@VERSIONS
def test_learnables_kept_as_plain_arrays_go_back(version: str, tmp_path: Path) -> None:
    """Some classes keep the numbers alone, without a struct of value and learning rate around them."""
    rates = {"WeightLearnRateFactor": row(1), "BiasLearnRateFactor": row(1)}
    sizes = {"OutputSize": row(3), "MaxPosition": row(8), "PositionDimension": "auto"}
    own = MatlabObject("my.gainLayer", {"Name": "gain", "Alpha": weights(3, 1, 4)})
    net = series_network(
        layer("SequenceInputLayer", "in", InputSize=row(3), Normalization=EMPTY),
        layer("PositionEmbeddingLayer", "positions", **sizes, Weights=weights(3, 8), **rates),
        layer("FullyConnectedLayer", "fc", OutputSize=row(3), Weights=weights(3, 3, 2), Bias=weights(3, 1, 3), **rates),
    )
    write_objects(tmp_path / "trained.mat", {"net": net, "copy": weights(3, 8)}, version)
    old = mb.load_network(tmp_path / "trained.mat")
    assert set(parameters(old)) == {("positions", "Weights"), ("fc", "Weights"), ("fc", "Bias")}
    model = old.to_keras()
    model.set_weights([np.where(np.abs(kernel) < 0.5, 0, kernel) for kernel in model.get_weights()])
    mb.save_network(tmp_path / "out.mat", model, like=tmp_path / "trained.mat")
    new = {name: np.where(np.abs(array) < 0.5, 0, array) for name, array in parameters(old).items()}
    assert_same_parameters(mb.load_network(tmp_path / "out.mat"), new)
    np.testing.assert_array_equal(matfile.load(tmp_path / "out.mat")["copy"], weights(3, 8))
    write_objects(tmp_path / "own.mat", {"net": series_network(own)}, version)
    new = pruned(mb.load_network(tmp_path / "own.mat"))
    assert new.keys() == {("gain", "Alpha")}
    mb.save_network(tmp_path / "out.mat", new, like=tmp_path / "own.mat")
    assert_same_parameters(mb.load_network(tmp_path / "out.mat"), new)


def test_a_keras_model_goes_back(trained: Path, tmp_path: Path) -> None:
    model = mb.load_network(trained).to_keras()
    kernel = model.get_layer("fc2").kernel
    kept = np.abs(np.asarray(kernel)) > 0.5
    kernel.assign(np.asarray(kernel) * kept)
    mb.save_network(tmp_path / "pruned.mat", model, like=trained)

    old, new = mb.load_network(trained), mb.load_network(tmp_path / "pruned.mat")
    assert_same_parameters(new, parameters(old) | {("fc2", "Weights"): old["fc2"].learnables["Weights"] * kept.T})
    x = weights(6, 4, 5)
    np.testing.assert_array_equal(new.to_keras().predict(x, verbose=0), model.predict(x, verbose=0))


def test_a_model_loaded_from_a_keras_file_goes_back(trained: Path, tmp_path: Path) -> None:
    import keras

    model = mb.load_network(trained).to_keras()
    model.get_layer("fc1").bias.assign(np.arange(4.0))
    model.save(tmp_path / "model.keras")
    mb.save_network(tmp_path / "out.mat", keras.models.load_model(tmp_path / "model.keras"), like=trained)
    bias = mb.load_network(tmp_path / "out.mat")["fc1"].learnables["Bias"]
    np.testing.assert_array_equal(bias, [[0], [1], [2], [3]])


def test_a_network_goes_back_to_the_variable_that_it_came_from(tmp_path: Path) -> None:
    source = tmp_path / "two.mat"
    write_objects(source, {"first": classifier(0), "second": classifier(7)}, "v7")
    network = mb.load_network(source, "second")
    mb.save_network(tmp_path / "out.mat", network.with_parameters(pruned(network)), like=source)
    assert_same_parameters(mb.load_network(tmp_path / "out.mat", "second"), parameters(network) | pruned(network))
    with pytest.raises(mb.NetworkNotFoundError, match="holds 2 networks"):
        mb.save_network(tmp_path / "out.mat", pruned(network), like=source)


def test_a_network_as_it_was_gives_the_same_file(trained: Path, tmp_path: Path) -> None:
    mb.save_network(tmp_path / "same.mat", mb.load_network(trained), like=trained)
    assert (tmp_path / "same.mat").read_bytes() == trained.read_bytes()


def test_the_subsystem_is_found_again_where_a_variable_before_it_has_another_length(tmp_path: Path) -> None:
    write_objects(tmp_path / "object.mat", {"net": classifier()}, "v7")
    source = tmp_path / "both.mat"
    portable = portable_struct(mb.load_network(tmp_path / "object.mat"))
    write_objects(source, {"net": portable, "object": classifier(3)}, "v7")
    new = {("fc1", "Bias"): weights(4, 1, 8), ("fc2", "Bias"): weights(4, 1, 9)}
    mb.save_network(tmp_path / "out.mat", new, like=source, variable="net")

    offsets = [struct.unpack_from("<Q", (tmp_path / name).read_bytes(), 116)[0] for name in ("both.mat", "out.mat")]
    assert offsets[1] > offsets[0]  # random numbers deflate to more bytes than zeros
    assert_same_parameters(
        mb.load_network(tmp_path / "out.mat", "object"), parameters(mb.load_network(source, "object"))
    )
    assert_same_parameters(
        mb.load_network(tmp_path / "out.mat", "net"), parameters(mb.load_network(source, "net")) | new
    )


def by_hand(path: Path, order: str, dtype: str = "f4", bias: float = 0.0) -> None:
    """A portable network of one layer as MATLAB stores it: whole numbers in the smallest integer type."""
    network = mb.Network(
        layers=(
            mb.Layer("in", "nnet.cnn.layer.FeatureInputLayer", {"InputSize": row(1)}),
            mb.Layer(
                "fc",
                "nnet.cnn.layer.FullyConnectedLayer",
                {"InputSize": row(1), "OutputSize": row(1)},
                {"Weights": np.array([[0.1]], dtype), "Bias": np.array([[bias]], dtype)},
            ),
        ),
        connections=(mb.Connection("in", "fc"),),
    )
    writer = Mat5(order)
    path.write_bytes(writer.file(writer.matrix(portable_struct(network), "net"), compress=True))


@pytest.mark.parametrize("order", ["<", ">"])
def test_compact_storage_grows_where_the_new_numbers_need_it(order: str, tmp_path: Path) -> None:
    by_hand(tmp_path / "compact.mat", order)
    new = {("fc", "Bias"): np.array([[0.625]], "f4")}
    mb.save_network(tmp_path / "out.mat", new, like=tmp_path / "compact.mat")
    # SciPy reads the layer without this package.
    stored = scipy.io.loadmat(tmp_path / "out.mat", simplify_cells=True)["net"]["Layers"][1]
    assert stored["Learnables"]["Bias"] == np.float32(0.625)
    assert stored["Learnables"]["Weights"] == np.float32(0.1)


def test_a_setting_with_the_value_of_a_parameter_is_not_taken_for_it(tmp_path: Path) -> None:
    # FormatVersion is the double 1 as well, and no network can be read where it is another number.
    by_hand(tmp_path / "ones.mat", "<", dtype="f8", bias=1.0)
    mb.save_network(tmp_path / "out.mat", {("fc", "Bias"): np.array([[7.0]])}, like=tmp_path / "ones.mat")
    assert mb.load_network(tmp_path / "out.mat")["fc"].learnables["Bias"] == 7
    assert mb.load(tmp_path / "out.mat")["net"]["FormatVersion"] == 1


def test_doubles_that_a_single_precision_model_did_not_change_stay_exact(tmp_path: Path) -> None:
    by_hand(tmp_path / "double.mat", "<", dtype="f8", bias=0.3)
    model = mb.load_network(tmp_path / "double.mat").to_keras()
    model.get_layer("fc").bias.assign([0.5])
    mb.save_network(tmp_path / "out.mat", model, like=tmp_path / "double.mat")
    learnables = mb.load_network(tmp_path / "out.mat")["fc"].learnables
    assert (learnables["Weights"].item(), learnables["Bias"].item()) == (0.1, 0.5)


def test_one_array_for_two_parameters_cannot_hold_two_values(tmp_path: Path) -> None:
    source = tmp_path / "linked.mat"
    write_objects(source, {"net": classifier()}, "v7.3")
    with h5py.File(source, "r+") as file:
        biases: list[str] = []
        file.visititems(
            lambda name, node: biases.append(name) if name.endswith("Bias/Value") and node.size == 4 else None
        )
        first, second = biases
        del file[second]
        file[second] = file[first]
    one, two = np.ones((4, 1), "f4"), np.full((4, 1), 2, "f4")
    with pytest.raises(mb.NetworkError, match="one array for"):
        mb.save_network(tmp_path / "o.mat", {("fc1", "Bias"): one, ("fc2", "Bias"): two}, like=source)
    with pytest.raises(mb.NetworkError, match="other numbers in"):
        mb.save_network(tmp_path / "o.mat", {("fc1", "Bias"): one}, like=source)
    mb.save_network(tmp_path / "o.mat", {("fc1", "Bias"): one, ("fc2", "Bias"): one}, like=source)
    assert mb.load_network(tmp_path / "o.mat")["fc2"].learnables["Bias"].tolist() == one.tolist()


def test_the_source_is_never_written(trained: Path, tmp_path: Path) -> None:
    before = digest(trained)
    (tmp_path / "folder").mkdir()
    for path in (trained, tmp_path / "folder" / ".." / trained.name):
        with pytest.raises(mb.NetworkError, match=r"never written.*trained_pruned\.mat"):
            mb.save_network(path, mb.load_network(trained), like=trained)
    assert digest(trained) == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({("fc3", "Weights"): np.zeros((4, 4))}, r"no parameter \('fc3', 'Weights'\).*\('fc1', 'Weights'\)"),
        ({("fc1", "Scale"): np.zeros((4, 4))}, r"no parameter \('fc1', 'Scale'\)"),
        (
            {("fc1", "Weights"): np.zeros((4, 5))},
            r"\('fc1', 'Weights'\) is float32 of shape \(4, 4\).*\(4, 5\)",
        ),
        ({("fc1", "Bias"): np.zeros((1, 4))}, r"shape \(4, 1\) in the file, and float64 of shape \(1, 4\)"),
        ({("fc1", "Bias"): np.zeros((4, 1), complex)}, "complex128"),
    ],
)
def test_arrays_that_are_not_the_networks_are_refused(
    changes: dict[Any, np.ndarray], message: str, trained: Path, tmp_path: Path
) -> None:
    with pytest.raises(mb.NetworkMismatchError, match=message):
        mb.save_network(tmp_path / "out.mat", changes, like=trained)
    assert list(tmp_path.iterdir()) == [trained]


def test_another_model_is_refused_by_its_names(trained: Path, tmp_path: Path) -> None:
    import keras

    start = keras.Input((4,))
    hidden = keras.layers.Dense(4, name="fc1")(start)
    other = keras.Model(start, keras.layers.Dense(4, name="x")(hidden))
    with pytest.raises(mb.NetworkMismatchError, match=r"it lacks: 'fc2/bias', 'fc2/kernel'; .*'x/bias', 'x/kernel'\."):
        mb.save_network(tmp_path / "out.mat", other, like=trained)
    network = mb.load_network(trained)
    fewer = mb.Network(network.layers[:-1], network.connections[:-1])
    with pytest.raises(mb.NetworkMismatchError, match="it lacks: 'softmax'"):
        mb.save_network(tmp_path / "out.mat", fewer, like=trained)
    with pytest.raises(TypeError, match="got list"):
        mb.save_network(tmp_path / "out.mat", [1, 2], like=trained)


def test_a_parameter_that_the_file_does_not_store_is_refused(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def computed(path: Path, variable: str | None = None) -> mb.Network:
        network = mb.load_network(path, variable)
        return network.with_parameters({("fc1", "Weights"): network["fc1"].learnables["Weights"] * 2})

    monkeypatch.setattr(writing, "load_network", computed)
    with pytest.raises(mb.NetworkError, match=r"does not hold \[\('fc1', 'Weights'\)\] as arrays"):
        mb.save_network(tmp_path / "out.mat", {("fc1", "Weights"): np.zeros((4, 4))}, like=trained)


def test_a_copy_that_reads_back_otherwise_is_not_kept(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out.mat"
    shutil.copy(trained, target)
    before = digest(target)
    monkeypatch.setattr(writing, "load_network", lambda path, variable=None: mb.load_network(trained, variable))
    with pytest.raises(mb.NetworkError, match=r"other numbers in \[\('fc1', 'Weights'\)\]"):
        mb.save_network(target, {("fc1", "Weights"): np.zeros((4, 4))}, like=trained)
    assert digest(target) == before
    assert sorted(tmp_path.iterdir()) == [target, trained]


NOTE = "Pruned to 93 %; weights solved anew on 1,000 observations of \u00bbXTrain\u00ab"


def test_a_note_stands_beside_the_network(trained: Path, tmp_path: Path) -> None:
    network = mb.load_network(trained)
    plain, noted, again = tmp_path / "plain.mat", tmp_path / "noted.mat", tmp_path / "again.mat"
    mb.save_network(plain, pruned(network), like=trained)
    mb.save_network(noted, pruned(network), like=trained, note=f"  {NOTE}\n")
    assert matfile.load(noted)["prunelab_note"] == NOTE
    assert_same_parameters(mb.load_network(noted), parameters(mb.load_network(plain)))
    np.testing.assert_array_equal(matfile.load(noted)["note"], np.arange(12.0).reshape(3, 4))
    assert list(matfile.load(noted)) == [*matfile.load(trained), "prunelab_note"]
    mb.save_network(again, mb.load_network(noted), like=noted, note="another")
    assert matfile.load(again)["prunelab_note"] == "another"
    assert_same_parameters(mb.load_network(again), parameters(mb.load_network(plain)))


def test_all_else_is_as_without_a_note(tmp_path: Path) -> None:
    path, plain, noted = (tmp_path / f"{name}.mat" for name in ("trained", "plain", "noted"))
    write_objects(path, {"net": classifier(), "note": np.arange(12.0).reshape(3, 4)}, "v7")
    network = mb.load_network(path)
    mb.save_network(plain, pruned(network), like=path)
    mb.save_network(noted, pruned(network), like=path, note=NOTE)
    shorter, longer = plain.read_bytes(), noted.read_bytes()
    subsystem, moved = (struct.unpack_from("<Q", data, 116)[0] for data in (shorter, longer))
    assert longer[128:].startswith(shorter[128:subsystem])
    assert longer[moved:] == shorter[subsystem:]
    assert NOTE[:10].encode("utf-16-le") in longer[subsystem:moved]


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_note_in_either_byte_order(order: str, tmp_path: Path) -> None:
    path, noted = tmp_path / "net.mat", tmp_path / "noted.mat"
    by_hand(path, order)
    mb.save_network(noted, pruned(mb.load_network(path)), like=path, note=NOTE)
    assert matfile.load(noted)["prunelab_note"] == NOTE


@pytest.mark.parametrize("version", ["4", "5"])
def test_scipy_and_octave_read_a_note_beside_matrices(version: str, tmp_path: Path) -> None:
    path, noted, again = (tmp_path / f"{name}.mat" for name in ("net", "noted", "again"))
    numbers = weights(3, 4).astype("f8")
    scipy.io.savemat(path, {"W": numbers, "X": np.eye(2)}, format=version)
    how: Any = {"describe": [mb.WeightLayer("W")], "note": "solved on 1,000 digits"}
    mb.save_network(noted, {("W", "Weights"): 2 * numbers}, like=path, **how)
    mb.save_network(again, {("W", "Weights"): 2 * numbers}, like=noted, **how)
    for written in (noted, again):
        found = scipy.io.loadmat(written)
        np.testing.assert_array_equal(found["W"], 2 * numbers)
        assert found["prunelab_note"].tolist() == ["solved on 1,000 digits"]
    assert noted.read_bytes()[128:] == again.read_bytes()[128:]
    shown = octave.run("load noted.mat; disp(prunelab_note); disp(size(X)); whos", tmp_path)
    assert shown.startswith("solved on 1,000 digits\n")


def test_a_note_in_a_file_of_version_7_3_is_text_for_matlab(tmp_path: Path) -> None:
    path, noted = tmp_path / "net.mat", tmp_path / "noted.mat"
    mb.save(path, {"W": weights(3, 4)}, version="v7.3")
    new = {("W", "Weights"): weights(3, 4, 1)}
    mb.save_network(noted, new, like=path, describe=[mb.WeightLayer("W")], note="solved")
    with h5py.File(noted) as file:
        assert bytes(file["prunelab_note"][:].astype("u1").ravel()) == b"solved"
        assert file["prunelab_note"].attrs["MATLAB_class"] == b"char"
    assert matfile.load(noted)["prunelab_note"] == "solved"


@VERSIONS
def test_a_checkpoint_stays_one(version: str, tmp_path: Path) -> None:
    """Before training ends, MATLAB stores empty statistics of a batch normalization."""
    empty = {"TrainedMean": EMPTY, "TrainedVariance": EMPTY}
    learned = {"Offset": learnable(np.ones((1, 4))), "Scale": learnable(np.full((1, 4), 2.0))}
    start = layer("FeatureInputLayer", "in", InputSize=row(4), Normalization=EMPTY)
    norm = layer("BatchNormalizationLayer", "norm", NumChannels=row(4), Epsilon=row(1e-5), **learned, **empty)
    dense = fully_connected("fc", weights(4, 4), np.zeros((4, 1)))
    write_objects(tmp_path / "checkpoint.mat", {"net": series_network(start, dense, norm)}, version)
    with pytest.warns(UserWarning, match="before its training ended"):
        model = mb.load_network(tmp_path / "checkpoint.mat").to_keras()
    model.get_layer("fc").kernel.assign(np.eye(4))
    mb.save_network(tmp_path / "pruned.mat", model, like=tmp_path / "checkpoint.mat")
    back = mb.load_network(tmp_path / "pruned.mat")
    np.testing.assert_array_equal(back["fc"].learnables["Weights"], np.eye(4))
    assert back["norm"].state["TrainedMean"].size == back["norm"].state["TrainedVariance"].size == 0
    model.get_layer("norm").moving_mean.assign(np.ones(4))
    with pytest.raises(mb.NetworkMismatchError, match="TrainedMean"):
        mb.save_network(tmp_path / "measured.mat", model, like=tmp_path / "checkpoint.mat")
