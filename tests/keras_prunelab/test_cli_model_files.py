"""The files of models that the command line reads, and what it says of those that it cannot."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_prunelab as kpl
import matlab_bridge as mb
from keras_prunelab.cli import main
from keras_prunelab.cli._inputs import open_model

L = keras.layers


def make_model(*, compiled: bool = True) -> keras.Model:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((60,)), L.Dense(80, "relu", name="a"), L.Dense(2, "softmax", name="b")])
    if compiled:
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def ran(*arguments: object) -> int:
    with pytest.raises(SystemExit) as left:
        main([str(argument) for argument in arguments])
    return int(left.value.code or 0)


def prune(source: Path, out: Path, sparsity: str = "0.75") -> int:
    return ran("prune", source, "--sparsity", sparsity, "--out", out)


def half() -> keras.Model:
    return kpl.prune(make_model(), 0.5)


def save(model: keras.Model, path: Path) -> None:
    if path.name == "sparse.keras":
        kpl.save_sparse(model, path)
    elif path.name == "wrapped.keras":
        wrapped = kpl.layers.wrap(model, 0.5)
        wrapped.compile("adam", "sparse_categorical_crossentropy")
        x = np.ones((4, 60), np.float32)
        wrapped.fit(x, np.zeros(4), verbose=0, callbacks=[kpl.callbacks.UpdateMasks()])
        wrapped.save(path)
    else:
        model.save(path)


NAMES = ["plain.keras", "sparse.keras", "wrapped.keras", "old.h5", "OLD.H5", "old.hdf5"]


@pytest.mark.filterwarnings("ignore:.*HDF5.*legacy")  # Keras', of the format that is tested
@pytest.mark.parametrize("name", NAMES)
def test_every_file_of_a_model_is_read(name: str, tmp_path: Path) -> None:
    model = make_model() if name == "wrapped.keras" else half()
    path = tmp_path / name
    if name == "OLD.H5":
        model.save(tmp_path / "lower.h5")
        (tmp_path / "lower.h5").rename(path)
    else:
        save(model, path)
    opened = open_model(path).model
    assert [type(layer).__name__ for layer in opened.layers] == ["Dense", "Dense"]
    assert kpl.sparsity(opened) == pytest.approx(0.5, abs=0.002)
    if name != "wrapped.keras":  # that one was trained
        x = np.random.default_rng(0).normal(size=(3, 60)).astype(np.float32)
        np.testing.assert_array_equal(opened.predict(x, verbose=0), model.predict(x, verbose=0))
    assert prune(path, tmp_path / "out.keras") == 0
    assert kpl.sparsity(keras.saving.load_model(tmp_path / "out.keras")) == pytest.approx(0.75, abs=0.002)
    assert ran("compact", path, "--fraction", "0.5", "--out", tmp_path / "small.keras") == 0


def test_the_portable_form_is_read(tmp_path: Path) -> None:
    model = half()
    mb.save_portable(tmp_path / "net.mat", model)
    x = np.random.default_rng(0).normal(size=(3, 60)).astype(np.float32)
    read = open_model(tmp_path / "net.mat").model
    np.testing.assert_allclose(read.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-6)


def test_an_older_file_that_is_named_as_a_newer_one_is_read(tmp_path: Path) -> None:
    make_model(compiled=False).save(tmp_path / "old.h5")
    (tmp_path / "old.h5").rename(tmp_path / "net.keras")
    assert open_model(tmp_path / "net.keras").model.count_params() == make_model().count_params()


@keras.saving.register_keras_serializable(package="test_cli")
class Mine(L.Dense):
    """A layer whose code the command line does not have, once it is unregistered."""


@keras.saving.register_keras_serializable(package="test_cli")
def my_loss(target: Any, output: Any) -> Any:
    return keras.ops.mean(keras.ops.square(target - output))


def forget(*names: str) -> dict[str, Any]:
    known = keras.saving.get_custom_objects()
    return {name: known.pop(name) for name in list(known) if name.removeprefix("test_cli>") in names}


def corrupted(path: Path) -> None:
    """Change one byte of the weights, in the middle of the archive's largest member."""
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda member: member.compress_size)
        middle = largest.header_offset + 100 + largest.compress_size // 2
    raw = bytearray(path.read_bytes())
    raw[middle] ^= 0xFF
    path.write_bytes(bytes(raw))


def without_config(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", "{}")


DAMAGE: dict[str, tuple[Any, str]] = {
    "cut.keras": (lambda path: path.write_bytes(path.read_bytes()[:-500]), "is damaged: its end is missing"),
    "bits.keras": (corrupted, "damaged"),
    "text.keras": (lambda path: path.write_text("hello, I am no model"), r"is no \.keras file"),
    "empty.keras": (lambda path: path.write_bytes(b""), "is empty"),
    "other.keras": (without_config, r"there is no config\.json in it"),
    "cut.h5": (lambda path: path.write_bytes(path.read_bytes()[:-5000]), "it is damaged: its end is missing"),
    "text.h5": (lambda path: path.write_text("hello, I am no model"), "damaged, or no file of Keras"),
    "empty.h5": (lambda path: path.write_bytes(b""), "is empty"),
}


@pytest.mark.filterwarnings("ignore:.*HDF5.*legacy")
@pytest.mark.parametrize("name", DAMAGE)
def test_the_reason_for_damage_is_named(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damage, message = DAMAGE[name]
    path = tmp_path / name
    make_model(compiled=False).save(path)
    damage(path)
    with pytest.raises(kpl.InvalidModelError, match=message):
        open_model(path)
    assert prune(path, tmp_path / "out.keras") == 3
    assert "Error: " in capsys.readouterr().err
    assert not (tmp_path / "out.keras").exists()


def test_what_holds_no_whole_model_is_named(tmp_path: Path) -> None:
    model = make_model()
    model.save_weights(tmp_path / "net.weights.h5")
    with pytest.raises(kpl.InvalidModelError, match="holds weights alone"):
        open_model(tmp_path / "net.weights.h5")
    (tmp_path / "net.weights.h5").rename(tmp_path / "net.h5")
    with pytest.raises(kpl.InvalidModelError, match="holds weights alone"):
        open_model(tmp_path / "net.h5")
    (tmp_path / "exported").mkdir()
    (tmp_path / "exported" / "saved_model.pb").touch()
    with pytest.raises(kpl.InvalidModelError, match="an exported SavedModel: a graph to run"):
        open_model(tmp_path / "exported")
    with pytest.raises(kpl.InvalidModelError, match="is a folder"):
        open_model(tmp_path)
    with pytest.raises(FileNotFoundError, match="no file"):
        open_model(tmp_path / "nowhere.h5")
    with pytest.raises(kpl.InvalidModelError, match=r"a \.mat, a \.keras or an \.h5 file"):
        open_model(tmp_path / "net.onnx")


@pytest.mark.filterwarnings("ignore:.*HDF5.*legacy")
@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_code_that_is_not_there_is_named(ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keras.Sequential([keras.Input((3,)), Mine(2)]).save(tmp_path / f"mine{ending}")
    lossy = keras.Sequential([keras.Input((3,)), L.Dense(2)])
    lossy.compile("sgd", my_loss)
    lossy.save(tmp_path / f"lossy{ending}")
    known = forget("Mine", "my_loss")
    try:
        with pytest.raises(kpl.InvalidModelError, match=r"needs the \w+ 'Mine', code that is neither part of Keras"):
            open_model(tmp_path / f"mine{ending}")
        np.testing.assert_array_equal(
            open_model(tmp_path / f"lossy{ending}").model.get_weights()[0], lossy.get_weights()[0]
        )
        assert "Loaded without its loss and metrics" in capsys.readouterr().out
    finally:
        keras.saving.get_custom_objects().update(known)


def test_a_lambda_is_not_run(tmp_path: Path) -> None:
    keras.Sequential([keras.Input((3,)), L.Lambda(lambda x: 2 * x), L.Dense(2)]).save(tmp_path / "net.keras")
    with pytest.raises(kpl.InvalidModelError, match=r"a Lambda layer.*safe_mode=False"):
        open_model(tmp_path / "net.keras")


@pytest.mark.parametrize(
    ("text", "message"),
    [("90%", "write one like 0.9"), ("0,9", "write one like 0.9"), ("x", "0.9")],
)
def test_a_sparsity_that_is_none(text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prune(tmp_path / "never read.keras", tmp_path / "out.keras", text) == 2
    assert message in " ".join(capsys.readouterr().err.replace("│", " ").split())


@pytest.mark.parametrize("command", [("lab",), ("sweep",), ("evaluate", "net.tflite", "--model")])
def test_a_file_of_keras_holds_no_data(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    make_model().save("net.keras")
    assert ran(*command, "net.keras") == 3
    assert "'net.keras' holds a network and no data. Name what to measure on with --data" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["net.keras"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--epochs", "3"], "--epochs say how to train after pruning, but nothing is trained"),
        (["--rounds", "2", "--rewind", "weights"], "--rounds and --rewind say how to train after pruning"),
        (["--out", "table.parquet"], "Parquet files need pyarrow"),
        (["--out", "net.keras/table.csv"], "Results go into a folder"),
    ],
)
def test_what_a_sweep_could_not_do_is_said_before_it_begins(
    options: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("keras_prunelab.cli._sweep.find_spec", lambda _: None)
    Path("net.keras").touch()
    assert ran("sweep", "net.keras", "--data", "none.npz", *options) == 3
    assert message in " ".join(capsys.readouterr().err.split())
