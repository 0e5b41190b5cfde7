"""The small whole files that the fuzzer damages, by the function that is to read them."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import scipy.io
import scipy.sparse
from PIL import Image

from matlab_bridge import UnwritableValueError, matfile


def values(folder: Path) -> list[bytes]:
    """MAT-files of v4, v5, v6, v7 and v7.3, with values of many types, and objects."""
    sparse = scipy.sparse.csc_array(np.eye(3))
    plain = {
        "text": "héllo",
        "numbers": np.arange(40, dtype=np.float32).reshape(5, 8),
        "complex": np.array([[1 + 2j, 3]]),
        "flags": np.array([[True, False]]),
        "cell": ["a", [1.0, "b"], None, np.eye(3), np.arange(4, dtype=np.int8)],
        "struct": [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}],
        "sparse": sparse,
        "large": np.arange(9000.0).reshape(90, 100),
    }
    objects = {
        "table": pd.DataFrame({"x": [1.0, 2.0], "c": pd.Categorical(["u", None])}),
        "strings": np.array(["one", "two"], dtype=np.dtypes.StringDType()),
        "times": pd.DataFrame({"y": [1.0, 2.0]}, index=pd.to_datetime(["2020-01-01", "2020-01-02"])),
    }
    found = []
    path = folder / "seed.mat"
    scipy.io.savemat(path, {"x": np.eye(3), "s": "hello", "p": sparse}, format="4")
    found.append(path.read_bytes())
    for variables in (plain, objects, plain | objects):
        found += _of_all_versions(path, variables)
    with h5py.File(path, "r+") as file:  # a cell that holds itself
        loop = file["cell"]
        loop[0, 0] = loop.ref
    found.append(path.read_bytes())
    return found


def datasets(folder: Path) -> list[bytes]:
    """MAT-files with inputs and labels of several kinds."""
    images, path = np.arange(6 * 6 * 4, dtype=np.uint8).reshape(6, 6, 1, 4), folder / "seed.mat"
    labels = pd.Categorical(["a", "b", "a", "b"])
    kinds = [
        {"XTest": images, "YTest": labels},
        {"X": [np.ones((3, n)) for n in (4, 5, 6, 7)], "Y": labels},
        {"data": pd.DataFrame({"x": np.arange(4.0), "z": np.arange(4.0), "label": labels})},
        {"images": {"data": images, "labels": np.array([1.0, 2, 1, 2]), "set": np.array([1.0, 1, 3, 3])}},
    ]
    return [seed for variables in kinds for seed in _of_all_versions(path, variables)]


def networks(folder: Path) -> list[bytes]:
    """Networks of every kind that is read."""
    from matlab_bridge import save_portable

    from .matlab_bridge.test_save_sources import FILES

    path = folder / "seed.mat"
    found = []
    for model, names in zip(_models(), (("a", "b", "c"), ()), strict=True):
        save_portable(path, model, class_names=names)
        found.append(path.read_bytes())
    return [written(variables, version) for variables in (*FILES.values(), *_objects()) for version in VERSIONS] + found


def _models() -> list[Any]:
    """Of images with a branch, and of sequences."""
    import keras
    from keras import layers

    x = keras.Input((6, 6, 2), name="in")
    y = layers.Conv2D(2, 3, padding="same", activation="relu", name="conv")(x)
    y = layers.Add(name="add")([layers.BatchNormalization(name="norm")(y), x])
    y = layers.Dense(3, name="fc")(layers.GlobalAveragePooling2D(name="pool")(layers.MaxPooling2D(2, name="max")(y)))
    graph = keras.Model(x, layers.Softmax(name="soft")(y))
    rows = keras.Sequential([keras.Input((None, 3)), layers.LSTM(4, name="lstm"), layers.Dense(2, name="fc")])
    return [graph, rows]


def _objects() -> list[dict[str, Any]]:
    """Of MATLAB's classes."""
    from .matlab_bridge.objects_by_hand import connections, dlnetwork, fully_connected, layer, row, small_network

    images = layer("ImageInputLayer", "in", InputSize=row(4, 4, 1), Normalization="none")
    graph = dlnetwork(
        *(images, layer("ReLULayer", "relu"), layer("AdditionLayer", "add", NumInputs=row(2))),
        fully_connected("fc", np.ones((2, 16)), np.zeros((2, 1))),
        table=connections(("in", "relu"), ("relu", "add/in1"), ("in", "add/in2"), ("add", "fc")),
    )
    return [{"net": small_network()}, {"net": graph}]


def written(variables: dict[str, Any], version: str) -> bytes:
    """A file of variables, of which some may be objects."""
    from .matlab_bridge.object_files import write_objects

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.mat"
        try:
            matfile.save(path, variables, version=version)  # type: ignore[arg-type]
        except UnwritableValueError:  # the others write objects
            write_objects(path, variables, version)
        return path.read_bytes()


VERSIONS = ("v7", "v7.3")


def archives(folder: Path) -> list[bytes]:
    """Zips of images of all formats."""
    found = []
    for kind in ("PNG", "JPEG", "BMP", "TIFF"):
        members = {}
        for label in "ab":
            content = io.BytesIO()
            Image.fromarray(np.random.default_rng(ord(label)).integers(256, size=(6, 5, 3), dtype=np.uint8)).save(
                content, kind
            )
            members[f"{label}/1.{kind.lower()}"] = content.getvalue()
        found.append(zipped(members))
    return found


def zipped(members: dict[str, bytes]) -> bytes:
    """A zip archive of these files."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return content.getvalue()


def sparse_models(folder: Path) -> list[bytes]:
    """What `save_sparse` writes."""
    import keras

    import keras_prunelab as kpl

    path = folder / "seed.keras"
    kpl.save_sparse(kpl.prune(keras.Sequential([keras.Input((50,)), keras.layers.Dense(200, name="d")]), 0.95), path)
    return [path.read_bytes()]


def sweep() -> object:
    """The sweep whose store is damaged, checked and not begun."""
    import keras

    import keras_prunelab as kpl

    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3, name="fc")], name="net")
    return kpl.plan_sweep(model, (np.eye(6, dtype=np.float32), np.arange(6) % 3), [0.0, 0.5])


def stores(folder: Path) -> list[bytes]:
    """A store of two points."""
    path = folder / "seed.db"
    sweep().execute(lambda *_: None, path, 1)  # type: ignore[attr-defined]
    return [path.read_bytes()]


def _of_all_versions(path: Path, variables: dict[str, object]) -> list[bytes]:
    found = []
    for version, compress in (("v7", False), ("v7", True), ("v7.3", False), ("v7.3", True)):
        matfile.save(path, variables, version=version, compress=compress)  # type: ignore[arg-type]
        found.append(path.read_bytes())
    return found


SEEDS: dict[str, Callable[[Path], list[bytes]]] = {
    "load": values,
    "dataset": datasets,
    "network": networks,
    "zip": archives,
    "sparse": sparse_models,
    "store": stores,
}
"""What makes the files of each target."""
