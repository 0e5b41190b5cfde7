"""Every convertible network of the real files, pruned in Keras and written back into a copy of its file."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

import matlab_bridge as mb
from matlab_bridge.convert._parameters import variable_paths

from .test_mat5_walker import elements_of
from .test_read_corpus import DEEP, OTHER_NETWORKS, catalogue

pytestmark = pytest.mark.corpus


def halved(array: np.ndarray, of: np.ndarray | None = None) -> np.ndarray:
    """The array without the smaller half of its numbers, or of those of another; the same in whatever order."""
    # Keras' numbers are single, and so must be the one in the middle that they are compared with.
    magnitudes = np.sort(np.abs(array if of is None else of.astype(array.dtype)), axis=None)
    return np.where(np.abs(array) > magnitudes[(magnitudes.size - 1) // 2], array, 0)


def storage(array: np.ndarray) -> np.dtype[Any]:
    """The type in which MATLAB stores an array: the smallest integer type for whole numbers."""
    types = [np.dtype(code) for code in ("u1", "i1", "u2", "i2", "i4")]
    return next((t for t in types if (array == array.astype("i8").astype(t)).all()), array.dtype)


def changed_bytes(old: np.ndarray, new: np.ndarray) -> int:
    first, second = (array.astype(storage(old)).reshape(-1, 1).view("u1") for array in (old, new))
    return int((first != second).sum())


def assert_only_numbers_differ_in_mat5(source: Path, copy: Path, expected: int) -> None:
    """The inflated contents differ in as many bytes as the numbers do, so in no other byte."""
    old, new = source.read_bytes(), copy.read_bytes()
    assert old[:116] == new[:116]
    assert old[124:128] == new[124:128]
    pairs = zip(elements_of(old), elements_of(new), strict=True)
    assert sum((np.frombuffer(a, "u1") != np.frombuffer(b, "u1")).sum() for a, b in pairs) == expected


def assert_only_numbers_differ_in_hdf5(source: Path, copy: Path, expected: int) -> None:
    differing = 0
    with h5py.File(source) as old, h5py.File(copy) as new:
        names: list[str] = []
        old.visit(names.append)
        listed: list[str] = []
        new.visit(listed.append)
        assert names == listed
        for name in names:
            assert old[name].attrs.keys() == new[name].attrs.keys()
            if isinstance(old[name], h5py.Dataset):
                assert old[name].dtype == new[name].dtype
                if old[name].dtype.kind != "O":  # references point at objects of their own file
                    differing += int((np.ravel(old[name][()]) != np.ravel(new[name][()])).sum())
    assert differing == expected


def pruned_in_keras(network: mb.Network) -> keras.Model:
    with warnings.catch_warnings(action="ignore"):  # of layers that were saved before they were trained
        model = network.to_keras()
    parameters = variable_paths(network)
    for variable in model.trainable_variables:
        # One parameter may be several variables, as both directions of a BiLSTM, or part of one, as a GRU's bias.
        layer, name = parameters[variable.path]
        stored = network[layer].learnables[name]
        if stored.size:
            variable.assign(halved(np.asarray(variable), of=stored))
    return model


def pruned_in_place(network: mb.Network) -> dict[tuple[str, str], np.ndarray]:
    return {
        (layer.name, name): halved(array)
        for layer in network.layers
        for name, array in layer.learnables.items()
        if array.size
    }


@pytest.mark.parametrize("entry", catalogue(DEEP | OTHER_NETWORKS))
def test_a_pruned_network_goes_back_and_nothing_else_changes(
    corpus: Path, tmp_path: Path, entry: dict[str, Any]
) -> None:
    source, copy = corpus / entry["file"], tmp_path / "pruned.mat"
    before = hashlib.sha256(source.read_bytes()).digest()
    for found in mb.find_networks(source):
        network = mb.load_network(source, found.variable)
        try:
            pruned: Any = pruned_in_keras(network)
        except mb.UnsupportedLayerError:
            pruned = pruned_in_place(network)
        else:
            if any(array.size == 0 for layer in network.layers for array in layer.learnables.values()):
                with pytest.raises(mb.NetworkMismatchError, match="not trained when the file was saved"):
                    mb.save_network(copy, pruned, like=source, variable=found.variable)
                continue
        mb.save_network(copy, pruned, like=source, variable=found.variable)

        written = mb.load_network(copy, found.variable)
        differing_bytes = differing_numbers = 0
        for layer in network.layers:
            for name, array in layer.parameters.items():
                expected = halved(array) if name in layer.learnables and array.size else array
                result = written[layer.name].parameters[name]
                assert (result.dtype, result.shape) == (array.dtype, array.shape)
                np.testing.assert_array_equal(result, expected, err_msg=f"{layer.name} {name}")
                differing_bytes += changed_bytes(array, expected)
                differing_numbers += int((array != expected).sum())
        if entry["mat_version"] == "v7.3 (HDF5)":
            assert_only_numbers_differ_in_hdf5(source, copy, differing_numbers)
        else:
            assert_only_numbers_differ_in_mat5(source, copy, differing_bytes)
    assert hashlib.sha256(source.read_bytes()).digest() == before


@pytest.mark.parametrize(
    "file",
    [
        "Suhani92__Defuse-Simulink/net.mat",
        "pac48__latent-control-idea/TFNet__TFNetPretrained.mat",
        "rogon666__CNN_to_SNN/snn.mat",
        "transafeailab__nnv/tests__nn__dagnn__SegNet.mat",
    ],
)
def test_biases_that_are_all_zero_take_any_numbers(corpus: Path, tmp_path: Path, file: str) -> None:
    network = mb.load_network(corpus / file)
    random = np.random.default_rng(0)
    new = {
        (layer.name, name): random.normal(size=array.shape).astype(array.dtype)
        for layer in network.layers
        for name, array in layer.learnables.items()
        if not array.any()
    }
    assert len(new) > 2
    mb.save_network(tmp_path / "out.mat", network.with_parameters(new), like=corpus / file)
    assert network.source is not None
    written = mb.load_network(tmp_path / "out.mat", network.source.variable)
    for layer in network.layers:
        for name, array in layer.parameters.items():
            expected = new.get((layer.name, name), array)
            np.testing.assert_array_equal(written[layer.name].parameters[name], expected)
