"""The results of a sweep, written once and read by this package, by SciPy and by Octave."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import scipy.io

import keras_prunelab as kpl
import matlab_bridge as mb
from matlab_bridge.results import columns, matlab_name, table

from . import octave
from .networks_by_hand import branching

CHOICE = SimpleNamespace(
    score="synflow",
    sparsity=0.5,
    accuracy=0.875,
    dense_accuracy=0.9375,
    reason="synflow is the best",
    index=2,
)


def some_masks() -> dict[str, Any]:
    """Masks of the model that is made of `branching()`, in Keras' layout."""
    generator = np.random.default_rng(0)
    shapes = {"conv/kernel": (3, 3, 2, 4), "conv/bias": (4,), "fc/kernel": (48, 3)}
    return {path: generator.random(shape) < 0.5 for path, shape in shapes.items()}


@dataclass(frozen=True)
class Result:
    """What `save_results` needs of a `SweepResult`, by hand."""

    dense: float = 0.9375
    convention: str = "matlab"
    class_names: tuple[str, ...] = ("cat", "dog", "fox")
    metadata: Mapping[str, Any] = field(default_factory=lambda: {"model": "net", "seconds": 1.5, "points": 3})

    @property
    def table(self) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "score": ["magnitude", "magnitude", "synflow"],
                "sparsity_target": [0.25, 0.5, 0.5],
                "sparsity": [0.25, 0.5, 0.5],
                "accuracy": [0.875, 0.75, 0.875],
                "zeros": [10, 20, 20],
            }
        )

    def masks(self, choice: Any) -> dict[str, Any]:
        assert choice is CHOICE
        return some_masks()

    def layers(self, choice: Any) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "layer": ["conv", "fc"],
                "sparsity": [0.25, 0.5],
                "filters_removed": pd.array([1, None], dtype="Int64"),
            }
        )

    def blocks(self, choice: Any) -> pd.DataFrame:
        frame = pd.DataFrame({"block": ["conv1"], "layers": ["conv, fc"], "is_last": [True]})
        frame.attrs["rule"] = "a block ends at each pooling"
        return frame

    def groups(self, choice: Any) -> pd.DataFrame:
        return pd.DataFrame({"variable": ["SNR", "SNR"], "value": [0.0, 10.0], "accuracy": [0.5, 1.0]})


@pytest.fixture
def results(tmp_path: Path) -> Path:
    path = tmp_path / "results.mat"
    mb.save_results(path, Result(), choice=CHOICE, network=branching())
    return path


def test_tables(results: Path) -> None:
    file = mb.load(results)
    expected = pd.DataFrame(
        {
            "Score": pd.Series(["magnitude", "magnitude", "synflow"], dtype=object),
            "SparsityTarget": [0.25, 0.5, 0.5],
            "Sparsity": [0.25, 0.5, 0.5],
            "Accuracy": [0.875, 0.75, 0.875],
            "Zeros": [10.0, 20.0, 20.0],
        }
    )
    pd.testing.assert_frame_equal(file["sweepTable"], expected, check_index_type=False)
    assert file["blockTable"].iloc[0].to_dict() == {"Block": "conv1", "Layers": "conv, fc", "IsLast": True}
    np.testing.assert_array_equal(file["layerTable"]["FiltersRemoved"], [1, np.nan])


def test_tables_say_what_their_columns_are(results: Path) -> None:
    file = mb.load(results)
    about = file["sweepTable"].attrs
    assert about["description"] == "The points of a sweep, convention matlab"
    assert about["units"] == {
        "SparsityTarget": "fraction",
        "Sparsity": "fraction",
        "Accuracy": "fraction",
        "Zeros": "weights",
    }
    assert about["descriptions"]["Accuracy"] == "Share of right answers"
    assert set(about["descriptions"]) == set(file["sweepTable"])
    at = "at the choice, synflow with 50.0 % sparsity"
    assert file["layerTable"].attrs["description"] == f"The layers {at}"
    assert file["blockTable"].attrs["description"] == f"The blocks {at}; a block ends at each pooling"
    assert file["layerTable"].attrs["units"] == {"Sparsity": "fraction", "FiltersRemoved": "filters"}
    assert "IsLast" not in file["blockTable"].attrs["descriptions"]
    assert file["groupTable"].attrs["description"] == f"The groups {at}"
    assert file["groupTable"]["Value"].tolist() == [0.0, 10.0]
    assert file["groupTable"].attrs["units"] == {"Accuracy": "fraction"}


def test_mat_io_reads_what_the_columns_are(results: Path) -> None:
    with warnings.catch_warnings(action="ignore"):  # of mat-io, on what it does not know
        import matio

        found = matio.load_from_mat(results, add_table_attrs=True)["layerTable"].attrs
    assert found["VariableUnits"] == ["", "fraction", "filters"]
    assert found["VariableDescriptions"][0] == "Name of the layer"


def test_a_sweep_has_no_column_without_a_description(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(3, "softmax")])
    for responses in (np.array([0, 1, 2, 1]), np.zeros((4, 3))):
        result = kpl.sweep(model, (np.eye(6)[:4], responses), [0.0, 0.5], scores=["magnitude"])
        choice = result.choose(sparsity=0.5)
        for frame in (result.table, result.layers(choice), result.blocks(choice)):
            assert len(table(frame).attrs["descriptions"]) == len(frame.columns)


def test_choice_and_convention(results: Path) -> None:
    file = mb.load(results)
    assert file["choice"]["Reason"] == "synflow is the best"
    assert file["choice"]["Row"].item() == 3
    assert file["about"]["Convention"] == "matlab"
    assert file["about"]["Dense"].item() == 0.9375
    assert file["about"]["ClassNames"].ravel().tolist() == ["cat", "dog", "fox"]
    assert file["about"]["Details"]["Seconds"].item() == 1.5


def test_masks_in_matlabs_layout(results: Path) -> None:
    masks = mb.load(results)["masks"]
    named = {
        (layer, parameter): mask
        for layer, parameter, mask in zip(*(masks[key].ravel() for key in ("Layer", "Parameter", "Value")), strict=True)
    }
    keras = some_masks()
    assert named.keys() == {("conv", "Weights"), ("conv", "Bias"), ("fc", "Weights")}
    assert all(mask.dtype == bool for mask in named.values())
    np.testing.assert_array_equal(named["conv", "Weights"], keras["conv/kernel"])
    np.testing.assert_array_equal(named["conv", "Bias"], keras["conv/bias"].reshape(1, 1, 4))
    # Keras counts the elements of 4x3x4 images with the channels fastest, MATLAB with the rows fastest.
    for h, w, c in np.ndindex(4, 3, 4):
        row, column = (h * 3 + w) * 4 + c, h + 4 * w + 12 * c
        np.testing.assert_array_equal(named["fc", "Weights"][:, column], keras["fc/kernel"][row])


def test_masks_of_a_keras_model_keep_their_layout(tmp_path: Path) -> None:
    mb.save_results(tmp_path / "r.mat", Result(), choice=CHOICE)
    file = mb.load(tmp_path / "r.mat")
    assert file["about"]["MaskLayout"] == "keras"
    assert file["masks"]["Layer"].ravel().tolist() == ["conv", "conv", "fc"]
    assert file["masks"]["Parameter"].ravel().tolist() == ["kernel", "bias", "kernel"]
    np.testing.assert_array_equal(file["masks"]["Value"][2, 0], some_masks()["fc/kernel"])


def test_a_sweep_without_a_choice(tmp_path: Path) -> None:
    mb.save_results(tmp_path / "r.mat", Result(class_names=()))
    assert sorted(mb.load(tmp_path / "r.mat")) == ["about", "sweep", "sweepTable"]


def test_scipy_reads_the_structs(results: Path) -> None:
    names = ["sweep", "choice", "masks", "about"]
    file = scipy.io.loadmat(results, variable_names=names, simplify_cells=True)
    assert file["sweep"]["Score"].tolist() == ["magnitude", "magnitude", "synflow"]
    assert file["sweep"]["Accuracy"].tolist() == [0.875, 0.75, 0.875]
    assert file["choice"]["Score"] == "synflow"
    np.testing.assert_array_equal(file["masks"]["Value"][0], some_masks()["conv/kernel"])
    assert file["about"]["MaskLayout"] == "matlab"


@pytest.mark.octave
def test_octave_reads_the_structs(results: Path) -> None:
    printed = octave.run(
        "r = load('results.mat', 'sweep', 'choice', 'masks', 'layerStats', 'blockStats', 'about');"
        "printf('%s %g\\n', r.sweep.Score{r.choice.Row}, r.sweep.Accuracy(r.choice.Row));"
        "printf('%s %d\\n', class(r.masks.Value{1}), sum(r.masks.Value{3}(:)));"
        "printf('%d %s\\n', isnan(r.layerStats.FiltersRemoved(2)), r.blockStats.Layers{1});"
        "printf('%d %d\\n', iscolumn(r.sweep.Sparsity), iscolumn(r.masks.Layer));",
        results.parent,
    )
    assert printed.splitlines() == [
        "synflow 0.875",
        f"logical {some_masks()['fc/kernel'].sum()}",
        "1 conv, fc",
        "1 1",
    ]


@pytest.mark.octave
def test_the_toolbox_reads_the_file(results: Path) -> None:
    """`plotSweep` and `applyPrunedWeights`; nothing is drawn, and a struct stands in for the network."""
    functions = dict.fromkeys(("figure", "hold", "grid", "box", "xlabel", "ylabel", "title"), "(varargin)")
    functions["plot"] = "(x, y, varargin)\nprintf('%s\\n', mat2str([x(:) y(:)]));"
    functions["legend"] = "(names, varargin)\nprintf('%s\\n', names{:});"
    for name, code in functions.items():
        (results.parent / f"{name}.m").write_text(f"function {name}{code}\nend\n", encoding="utf-8")
    printed = octave.run(
        "plotSweep('results.mat');"
        "net.Learnables.Layer = {'fc'}; net.Learnables.Parameter = {'Weights'};"
        "net.Learnables.Value = {ones(3, 48)};"
        "net.State.Layer = {}; net.State.Parameter = {}; net.State.Value = {};"
        "[net, report] = applyPrunedWeights(net, 'results.mat');"
        "printf('%d of %d\\n', report.NumZeros, report.NumElements);",
        results.parent,
    )
    assert printed.splitlines() == [
        "[25 87.5;50 75]",
        "[50 87.5]",
        "[25 93.75;50 93.75]",
        "[50 87.5]",
        *("magnitude", "synflow", "dense network, 93.75 %", "choice: synflow at 50.0 %, 87.50 %"),
        f"{np.sum(~some_masks()['fc/kernel'])} of 144",
    ]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("sparsity_target", "SparsityTarget"),
        ("Sparsity (%)", "Sparsity"),
        ("2nd", "X2nd"),
        ("größe", "GrE"),
        ("", "X"),
        ("a" * 80, "A" + "a" * 62),
    ],
)
def test_names(text: str, name: str) -> None:
    assert matlab_name(text) == name


def test_missing_text_is_empty() -> None:
    assert columns(pd.DataFrame({"a": ["x", None]}))["A"].tolist() == ["x", ""]


def test_names_that_matlab_writes_alike_stay_apart() -> None:
    frame = pd.DataFrame({"top 5": [1.0], "top_5": [2.0], "точность": [3.0], "потери": [4.0], "loss": [5.0]})
    found = {name: values.tolist() for name, values in mb.results.columns(frame).items()}
    assert found == {"Top5": [1.0], "Top5_2": [2.0], "X": [3.0], "X_2": [4.0], "Loss": [5.0]}
    assert mb.results.table(frame).attrs["descriptions"] == {"Loss": "Loss that the network was compiled with"}
