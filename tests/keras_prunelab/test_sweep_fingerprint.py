"""What a store of finished points tells apart, and what it takes for the same sweep: through `sweep(store=...)`."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import keras_prunelab as kpl
from keras_prunelab import StoreMismatchError
from keras_prunelab._evaluate import _streams

LEVELS = (0.0, 0.5)
X = np.random.default_rng(0).normal(size=(1030, 4)).astype("float32")  # more than are read at once
Y = np.arange(1030) % 2
WEIGHTS = np.linspace(0.5, 1, 1030).astype("float32")
FEW = (X[:40], Y[:40])


def model(
    shift: float = 0.0,
    hidden: Any = None,
    rate: float = 0.1,
    loss: str = "sparse_categorical_crossentropy",
    **more: Any,
) -> keras.Model:
    middle = hidden or layers.ReLU()
    made = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3, name="one"), middle, layers.Dense(2, "softmax", name="two")], name="net"
    )
    values = np.random.default_rng(1)
    made.set_weights([values.normal(size=weight.shape) + shift * (weight.ndim > 1) for weight in made.get_weights()])
    made.compile(keras.optimizers.SGD(rate), loss, **more)
    return made


def sweep(store: Path, **changed: Any) -> kpl.SweepResult:
    given: dict[str, Any] = {"model": model(), "data": (X, Y), "sparsities": LEVELS, "scores": "magnitude"}
    return kpl.sweep(**(given | changed), store=store)


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A store of a sweep with some options, made once."""
    made: dict[str, Path] = {}

    def store(kind: str) -> Path:
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp("stores") / "sweep.db"
            sweep(made[kind], **OPTIONS[kind]())
        return made[kind]

    return store


OPTIONS: dict[str, Callable[[], dict[str, Any]]] = {
    "plain": dict,
    "weighted": lambda: {"model": compiled(), "data": (X, Y, WEIGHTS)},
    "calibrated": lambda: {"scores": "snip", "calibration": FEW},
    "trained": lambda: {"finetune": kpl.FineTune(FEW, epochs=1)},
    "found": lambda: {"sparsities": kpl.AutoLevels(0.0, 0.5, step=0.25)},
    "metrics": lambda: {"metrics": ["accuracy", "loss"]},
    "sequences": lambda: {"model": recurrent(), "data": (SEQUENCES, [0, 1, 0])},
    "random": lambda: {"model": model(hidden=layers.Dropout(0.5, seed=2))},
    "shifted": lambda: {"model": model(0.25)},
    "images": lambda: images((2, 2), model=convolution((1, 2))),
}
SEQUENCES = [np.ones((3, 2), "float32"), np.ones((2, 2), "float32"), np.zeros((3, 2), "float32")]


def compiled() -> keras.Model:
    made = model()
    made.compile("sgd", "sparse_categorical_crossentropy", weighted_metrics=["accuracy"])
    return made


def recurrent() -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [keras.Input((None, 2)), layers.GRU(2, name="one"), layers.Dense(2, "softmax", name="two")], name="net"
    )


def convolution(kernel: tuple[int, int]) -> keras.Model:
    keras.utils.set_random_seed(0)
    middle = [layers.Conv2D(2, kernel, padding="same", name="one"), layers.GlobalAveragePooling2D()]
    made = keras.Sequential([keras.Input((None, None, 1)), *middle, layers.Dense(2, "softmax", name="two")], name="net")
    made.layers[0].set_weights([np.arange(4, dtype="float32").reshape(*kernel, 1, 2), np.zeros(2)])
    made.compile("sgd", "sparse_categorical_crossentropy")
    return made


def images(size: tuple[int, int], calibration: tuple[int, int] = (2, 2), **more: Any) -> dict[str, Any]:
    """The same numbers as images of any height and width."""
    of_score = FEW[0].reshape(-1, *calibration, 1), FEW[1]
    return {"data": (X.reshape(-1, *size, 1), Y), "scores": "snip", "calibration": of_score, **more}


class Renamed(layers.ReLU):
    """Another class, which may compute something else."""


def moved(array: np.ndarray, place: int) -> np.ndarray:
    changed = array.copy()
    changed[place] += 1
    return changed


DIFFERENT: list[tuple[str, Callable[[], dict[str, Any]], str]] = [
    ("plain", lambda: {"model": model(0.25)}, "in the weights of the model. Give"),
    ("plain", lambda: {"model": model(hidden=Renamed())}, "in the weights of the model; the setting layers ("),
    ("plain", lambda: {"data": (X, moved(Y, 3) % 2)}, "in the data. Give"),
    ("plain", lambda: {"data": (X, moved(Y, -1) % 2)}, "in the data. Give"),
    ("plain", lambda: {"data": (moved(X, -1), Y)}, "in the data. Give"),
    ("plain", lambda: {"data": (X[::-1], Y)}, "in the data. Give"),
    ("plain", lambda: {"data": (X[:-2], Y[:-2])}, "in the data. Give"),
    ("plain", lambda: {"data": (moved(X, 1), Y), "model": model(0.25)}, "in the weights of the model; the data. Give"),
    ("weighted", lambda: {"data": (X, Y, moved(WEIGHTS, 5))}, "in the data. Give"),
    ("sequences", lambda: {"data": (SEQUENCES, [0, 1, 1])}, "in the data. Give"),
    ("shifted", lambda: {"model": model()}, "in the weights of the model. Give"),
    ("images", lambda: {"model": convolution((2, 1))}, "in the weights of the model; the setting layers ("),
    ("plain", lambda: {"model": model(hidden=layers.ReLU(max_value=1.0))}, 'in the setting layers ("'),
    ("plain", lambda: {"model": model(loss="mse")}, 'in the setting compiled ({"loss": "sparse_categorical_crossent'),
    ("plain", lambda: {"model": model(metrics=["accuracy"])}, "in the setting compiled ("),
    ("trained", lambda: OPTIONS["trained"]() | {"model": model(rate=0.2)}, "in the setting training ("),
    ("images", lambda: images((1, 4)), "in the data. Give"),
    ("images", lambda: images((2, 2), calibration=(4, 1)), "in the setting score_data"),
    (
        "plain",
        lambda: {"convention": "matlab"},
        'in the setting convention ("paper" there, "matlab" here); the setting',
    ),
    ("plain", lambda: {"granularity": "channel"}, 'in the setting granularity ("weight" there, "channel" here). Give'),
    (
        "plain",
        lambda: {"exclude": "two"},
        'in the setting variables (["0 one/kernel", "2 two/kernel"] there, ["0 one/kernel"] here). Give',
    ),
    (
        "plain",
        lambda: {"sparsities": (0.0, 0.25)},
        "in the setting sparsities ([0.0, 0.5] there, [0.0, 0.25] here). Give",
    ),
    ("plain", lambda: {"sparsities": kpl.AutoLevels(0.0, 0.5)}, "in the setting sparsities ([0.0, 0.5] there"),
    ("plain", lambda: {"scores": kpl.scores.Random(3)}, "in the setting curves"),
    ("plain", lambda: {"scope": "layer"}, "in the setting curves"),
    ("plain", lambda: {"metrics": ["accuracy"]}, 'in the setting metrics (null there, ["accuracy"] here). Give'),
    ("plain", lambda: {"calibration": FEW}, "in the setting score_data (null there"),
    ("plain", lambda: {"finetune": kpl.FineTune(FEW)}, "; the setting training ([null] there, [["),
    ("calibrated", lambda: {"calibration": (FEW[0], FEW[1][::-1])}, "in the setting score_data"),
    ("calibrated", lambda: {"calibration": (FEW[0][:39], FEW[1][:39])}, "in the setting score_data"),
    ("calibrated", lambda: {"calibration": (FEW[0].reshape(20, 8)[:, :4], FEW[1][:20])}, "in the setting score_data"),
    ("trained", lambda: {"finetune": kpl.FineTune(FEW, epochs=2)}, "; the setting training"),
    ("trained", lambda: {"finetune": kpl.FineTune(FEW, batch_size=20)}, "in the setting training"),
    ("trained", lambda: {"finetune": kpl.FineTune((FEW[0], FEW[1][::-1]))}, "in the setting training"),
    ("found", lambda: {"sparsities": kpl.AutoLevels(0.25, 0.5, step=0.25)}, "in the setting sparsities"),
    ("found", lambda: {"sparsities": kpl.AutoLevels(0.0, 0.75, step=0.25)}, "in the setting sparsities"),
    ("metrics", lambda: {"metrics": ["loss", "accuracy"]}, 'in the setting metrics (["accuracy", "loss"] there'),
]


@pytest.mark.parametrize(("kind", "change", "says"), DIFFERENT)
def test_another_sweep_is_refused_with_what_differs(
    kinds: Callable[..., Path], kind: str, change: Callable[[], dict[str, Any]], says: str
) -> None:
    store = kinds(kind)
    before = store.read_bytes()
    with pytest.raises(StoreMismatchError) as refused:
        sweep(store, **(OPTIONS[kind]() | change()))
    assert "belongs to another sweep, which differs in " in str(refused.value)
    assert says in str(refused.value)
    assert store.read_bytes() == before


def batches(size: int) -> Callable[[], Any]:
    return lambda: ((X[start : start + size], Y[start : start + size]) for start in range(0, len(X), size))


class Named:
    """As `matlab_bridge.Dataset` holds data."""

    def __init__(self, inputs: Any, labels: Any) -> None:
        self.inputs, self.labels = inputs, labels


SAME: list[tuple[str, Callable[[], dict[str, Any]]]] = [
    ("plain", lambda: {"data": batches(100)}),
    ("plain", lambda: {"data": batches(1030)}),
    ("plain", lambda: {"data": Named(X, Y)}),
    ("plain", lambda: {"data": (X.copy(order="F"), Y), "batch_size": 7}),
    ("plain", lambda: {"sparsities": [0.5, 0.0]}),
    ("calibrated", lambda: {"calibration": Named(*FEW)}),
    ("calibrated", lambda: {"calibration": [FEW[0], FEW[1]]}),
    ("calibrated", lambda: {"calibration": (FEW[0].astype("float64"), FEW[1])}),
    ("calibrated", lambda: {"calibration": tuple(map(keras.ops.convert_to_tensor, FEW))}),
    ("trained", lambda: {"finetune": kpl.FineTune((FEW[0].copy(), FEW[1]), batch_size=32)}),
    ("plain", lambda: {"model": model(rate=0.2)}),  # nothing is trained
    ("random", lambda: {"model": model(hidden=layers.Dropout(0.5, seed=1))}),
    ("trained", dict),
    ("found", dict),
    ("sequences", dict),
    ("images", dict),
    ("weighted", dict),
]


@pytest.mark.parametrize(("kind", "change"), SAME)
def test_the_same_sweep_said_otherwise_measures_nothing_again(
    kinds: Callable[..., Path], tmp_path: Path, kind: str, change: Callable[[], dict[str, Any]]
) -> None:
    store = Path(shutil.copy(kinds(kind), tmp_path / "sweep.db"))
    with closing(sqlite3.connect(store)) as connection:  # what was measured is told apart from what is
        for curve, level, measures in list(connection.execute("SELECT curve, level, measures FROM points")):
            marked = json.dumps(json.loads(measures) | {"accuracy": 0.125})
            connection.execute("UPDATE points SET measures = ? WHERE curve = ? AND level = ?", (marked, curve, level))
        connection.commit()
    again = sweep(store, **(OPTIONS[kind]() | change()))
    assert set(again.table["accuracy"]) == {0.125}


def test_a_model_that_is_built_anew_or_loaded_is_the_same(tmp_path: Path) -> None:
    """Keras counts on with the names that it gives; a loaded model has other paths."""

    def unnamed(activation: str = "relu") -> keras.Model:
        keras.utils.set_random_seed(0)
        inputs = keras.Input((4,))
        both = layers.Dense(3, activation)(inputs) + layers.Dense(3, "tanh")(inputs)
        middle = [keras.Model(inputs, both), layers.Activation("elu"), layers.Softmax()]
        return keras.Sequential([keras.Input((4,)), *middle, layers.Dense(2, "softmax")])

    keras.utils.clear_session()  # so that the first layers are called activation and softmax, as settings are
    first = unnamed()
    assert sweep(tmp_path / "sweep.db", model=first, data=FEW).complete
    first.save(tmp_path / "net.keras")
    for other in (unnamed(), keras.saving.load_model(tmp_path / "net.keras")):
        assert sweep(tmp_path / "sweep.db", model=other, data=FEW).complete
    with pytest.raises(StoreMismatchError, match="differs in the setting layers"):
        sweep(tmp_path / "sweep.db", model=unnamed("gelu"), data=FEW)


@pytest.mark.parametrize("size", [100, 1030])
def test_data_that_is_read_anew_for_each_point_is_the_same_data(
    kinds: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """However it is cut into batches, and whether or not it is held in memory."""
    monkeypatch.setattr(_streams, "HELD_BYTES", 1000)
    store = Path(shutil.copy(kinds("plain"), tmp_path / "sweep.db"))
    assert sweep(store, data=batches(size)).complete
    with pytest.raises(StoreMismatchError, match="differs in the data"):
        sweep(store, data=lambda: ((x, 1 - y) for x, y in batches(size)()))


class Stream(keras.utils.PyDataset):
    """Batches, with an attribute that an object of arrays would have as well."""

    inputs = X

    @property
    def num_batches(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Any:
        return X[20 * index : 20 * (index + 1)], Y[20 * index : 20 * (index + 1)]


def test_what_only_makes_data_is_told_by_its_class(tmp_path: Path) -> None:
    given = {"scores": "snip", "calibration": Stream()}
    assert sweep(tmp_path / "sweep.db", **given).complete
    assert sweep(tmp_path / "sweep.db", **(given | {"calibration": Stream()})).complete
    with pytest.raises(StoreMismatchError, match=r'in the setting score_data \("Stream" there, "[0-9a-f]{32}" here'):
        sweep(tmp_path / "sweep.db", **(given | {"calibration": FEW}))


def test_long_settings_are_cut(kinds: Callable[..., Path]) -> None:
    with pytest.raises(StoreMismatchError) as refused:
        sweep(kinds("plain"), sparsities=np.arange(40) / 100)
    shown = str(refused.value).partition("there, ")[2].partition(" here")[0]
    assert shown.startswith("[0.0, 0.01, 0.02,")
    assert shown.endswith("...")
    assert len(shown) == 60
