"""Complex signals and integer waveforms as real channels, against arithmetic of Python's own."""

from __future__ import annotations

import cmath
import math

import numpy as np
import pandas as pd
import pytest

from matlab_bridge import DatasetError, DatasetNotFoundError, load_dataset, matfile
from matlab_bridge.datasets import Dataset
from tests.matlab_bridge.datasets_by_hand import cell, network

RANDOM = np.random.default_rng(0)
SIGNAL = RANDOM.normal(size=(2, 5)) + 1j * RANDOM.normal(size=(2, 5))  # channels x time


@pytest.fixture
def path(tmp_path):
    return tmp_path / "radio.mat"


def test_real_and_imaginary_parts():
    data = Dataset([SIGNAL.T], None, (), "made").real_channels()
    for t in range(5):
        one, two = (complex(SIGNAL[channel, t]) for channel in range(2))
        assert data.inputs[0][t] == pytest.approx([one.real, two.real, one.imag, two.imag], abs=1e-6)
    assert data.inputs[0].dtype == np.float32
    assert data.description == "made\nThe channels are real parts, then imaginary parts."


def test_magnitude_and_phase():
    data = Dataset(SIGNAL.T, None, (), "").real_channels("polar")
    only = Dataset(SIGNAL.T, None, (), "").real_channels("magnitude")
    for t in range(5):
        polar = [cmath.polar(complex(SIGNAL[channel, t])) for channel in range(2)]
        assert data.inputs[t] == pytest.approx([polar[0][0], polar[1][0], polar[0][1], polar[1][1]], abs=1e-6)
        assert only.inputs[t] == pytest.approx([polar[0][0], polar[1][0]], abs=1e-6)


def test_another_form_is_refused():
    with pytest.raises(ValueError, match="form is 'db'"):
        Dataset(SIGNAL, None, (), "").real_channels("db")


def test_complex_sequences_for_a_network_of_twice_as_many_channels(path):
    matfile.save(path, {"X": cell(SIGNAL, SIGNAL[:, :3]), "Y": cell("a", "b")})
    data = load_dataset(path, network=network("Sequence", 4, outputs=2))
    np.testing.assert_allclose(data.inputs[1], np.vstack([SIGNAL.real, SIGNAL.imag]).T[:3], rtol=1e-6)
    assert "complex: the channels are the real parts, then the imaginary parts" in data.description


def test_complex_numbers_stay_complex_where_no_network_says_otherwise(path):
    matfile.save(path, {"X": cell(SIGNAL, SIGNAL[:, :3]), "Y": cell("a", "b")})
    data = load_dataset(path)
    assert [x.shape for x in data.inputs] == [(5, 2), (3, 2)]
    np.testing.assert_allclose(data.inputs[0], SIGNAL.T, rtol=1e-6)
    assert data.inputs[0].dtype == np.complex64
    assert "real_channels() makes real channels" in data.description


@pytest.mark.parametrize(
    ("dtype", "values", "wanted"),
    [
        ("int16", [-32768, 0, 16384, 32767], [-1, 0, 0.5, 1 - 2**-15]),
        ("int8", [-128, 64], [-1, 0.5]),
        ("uint8", [0, 51, 255], [0, 0.2, 1]),
        ("uint16", [0, 65535], [0, 1]),
    ],
)
def test_integers_are_fractions(dtype, values, wanted):
    data = Dataset(np.array([values], dtype), None, (), "").scaled()
    assert data.inputs.dtype == np.float32
    assert data.inputs[0].tolist() == pytest.approx(wanted, rel=1e-6)


def test_a_factor_of_ones_own():
    data = Dataset([np.array([[3]], np.int16)], None, (), "").scaled(1 / 9)
    assert data.inputs[0].tolist() == [[pytest.approx(1 / 3)]]
    turned = Dataset(np.array([[2j]]), None, (), "").scaled(0.5)
    assert turned.inputs.tolist() == [[1j]]


def test_what_nothing_says_the_scale_of():
    with pytest.raises(DatasetError, match=r"float32, of which nothing says how large.*factor="):
        Dataset(np.ones((1, 1), np.float32), None, (), "").scaled()


def test_tables_in_a_cell_are_sequences(path):
    runs = [pd.DataFrame({"ax": [1.0, 2.0, 3.0][:n], "ay": [4.0, 5.0, 6.0][:n]}) for n in (3, 2)]
    matfile.save(path, {"X": cell(*runs), "Y": cell("a", "b")})
    data = load_dataset(path, network=network("Sequence", 2, outputs=2))
    assert data.inputs[1].tolist() == [[1, 4], [2, 5]]


def test_a_field_of_a_struct_array_is_a_cell(path):
    trials = [{"signal": SIGNAL.real[:, :n], "label": name} for n, name in ((5, "a"), (3, "b"), (4, "a"))]
    matfile.save(path, {"trial": trials})
    for data in (load_dataset(path, "trial.signal", "trial.label"), load_dataset(path)):
        assert [len(x) for x in data.inputs] == [5, 3, 4]
        assert data.labels.tolist() == [0, 1, 0]
    only = load_dataset(path, "trial(2).signal", network=network("Sequence", 2))
    np.testing.assert_array_equal(only.inputs[0], SIGNAL.real[:, :3].T.astype(np.float32))


def test_a_file_of_nothing_but_inputs(path):
    matfile.save(path, {"Acceleration": np.ones((6, 3)), "rate": 50.0, "note": "lab"})
    data = load_dataset(path)
    assert (data.inputs.shape, data.labels) == ((6, 3), None)
    assert data.description.endswith("There are no labels.")


def test_a_timetable_of_positions_has_no_labels_although_a_column_is_y(path):
    index = pd.Index(np.arange(4).view("m8[ns]"), name="Time")
    matfile.save(path, {"Acceleration": pd.DataFrame(np.arange(12.0).reshape(4, 3) / 8, index, ["X", "Y", "Z"])})
    data = load_dataset(path)
    assert (data.inputs.tolist(), data.labels) == ((np.arange(12) / 8).reshape(4, 3).tolist(), None)


@pytest.mark.parametrize("others", [{}, {"Y": np.linspace(0, 1, 120).reshape(3, 40)}])
def test_a_wide_matrix_alone_is_not_taken_for_a_few_observations(path, others):
    matfile.save(path, {"X": np.ones((3, 40)), **others})
    with pytest.raises(DatasetNotFoundError, match=r"Could be inputs:\n  X \(3 x 40 double\)"):
        load_dataset(path)


def test_responses_without_a_network_are_found_by_their_name(path):
    matfile.save(path, {"X": np.ones((5, 40)), "Y": np.linspace(0, math.pi, 40)[np.newaxis], "k": np.ones((1, 40)) / 3})
    data = load_dataset(path)
    assert data.inputs.shape == (40, 5)
    assert data.labels.shape == (40, 1)
