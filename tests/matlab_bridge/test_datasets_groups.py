"""Variables that put observations into groups, of each kind of file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.io

import matlab_bridge as mb

SNR = [-6.0, 0.0, 12.5]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "w.mat"
    content = {
        "SNR": np.array([SNR]),
        "info": {"snr": np.array(SNR)[:, None], "who": np.array(["a", "b", "a"], dtype=object)},
        "isClean": np.array([[True], [False], [True]]),
        "matrix": np.eye(3),
        "trials": pd.DataFrame({"speaker": pd.Categorical(["b", "a", "b"]), "SNR": SNR}),
    }
    mb.save(file, content)
    return file


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("SNR", SNR),
        ("info.snr", SNR),
        ("info.who", ["a", "b", "a"]),
        ("isClean", [True, False, True]),
        ("trials.speaker", ["b", "a", "b"]),
        ("trials.SNR", SNR),
    ],
)
def test_by_the_path_that_one_writes_in_matlab(path: Path, name: str, expected: list[object]) -> None:
    assert mb.load_groups(path, name)[name].tolist() == expected
    assert list(mb.load_groups(path, ["SNR", name])) == list(dict.fromkeys(["SNR", name]))


def test_other_files(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", snr=np.array(SNR, np.float32), who=np.array(["x", "y", "x"]))
    assert mb.load_groups(tmp_path / "d.npz", "snr")["snr"].tolist() == SNR
    assert mb.load_groups(tmp_path / "d.npz", "who")["who"].tolist() == ["x", "y", "x"]
    pd.DataFrame({"snr": SNR}).to_csv(tmp_path / "d.csv", index=False)
    assert mb.load_groups(tmp_path / "d.csv", "data.snr")["data.snr"].tolist() == SNR
    scipy.io.savemat(tmp_path / "v5.mat", {"SNR": np.array([1, 2], np.int8)})
    assert mb.load_groups(tmp_path / "v5.mat", "SNR")["SNR"].tolist() == [1, 2]


def test_what_is_not_there_or_no_vector(path: Path) -> None:
    with pytest.raises(mb.VariableNotFoundError, match="SNR"):
        mb.load_groups(path, "snr")
    with pytest.raises(mb.DatasetError, match="matrix has no number or text for each observation"):
        mb.load_groups(path, "matrix")
    with pytest.raises(FileNotFoundError):
        mb.load_groups(path.with_name("none.mat"), "SNR")
