"""Sequences of unequal length: padded arrays, masks and batches, against loops written out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matlab_bridge import DatasetError, load_dataset, matfile
from matlab_bridge.datasets import Dataset
from tests.matlab_bridge.datasets_by_hand import cell, network

RANDOM = np.random.default_rng(0)


def sequences(*lengths, channels=2, dtype=np.float32):
    return [(RANDOM.normal(size=(length, channels)) * 100).astype(dtype) for length in lengths]


def dataset(inputs, labels=None):
    return Dataset(inputs, labels, ("a", "b"), "made")


@given(
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=5),
    channels=st.integers(1, 3),
    side=st.sampled_from(["left", "right"]),
    value=st.sampled_from([0.0, -1.0]),
    more=st.integers(0, 2),
)
def test_each_sequence_lies_where_its_mask_says(lengths, channels, side, value, more):
    inputs = sequences(*lengths, channels=channels)
    labels = [np.full(length, index + 1) for index, length in enumerate(lengths)]
    steps = max(lengths) + more
    batch = dataset(inputs, labels).padded(side=side, value=value, length=steps)
    assert batch.inputs.shape == (len(lengths), steps, channels)
    for n, sequence in enumerate(inputs):
        padding = steps - len(sequence)
        expected = [False] * padding + [True] * len(sequence)
        if side == "right":
            expected.reverse()
        assert batch.mask[n].tolist() == expected
        np.testing.assert_array_equal(batch.inputs[n][batch.mask[n]], sequence)
        assert (batch.inputs[n][~batch.mask[n]] == value).all()
        assert batch.labels[n].tolist() == [n + 1 if step else 0 for step in expected]
    np.testing.assert_array_equal(batch.sample_weight, batch.mask.astype(np.float32))


def test_one_label_a_sequence_stays_as_it_is():
    batch = dataset(sequences(3, 1), np.array([1, 0])).padded()
    assert batch.labels.tolist() == [1, 0]
    assert batch.sample_weight is None


def test_responses_of_a_regression_are_no_labels_of_time_steps():
    batch = dataset(sequences(2, 1), np.ones((2, 2), np.float32)).padded()
    assert batch.sample_weight is None


def test_responses_at_each_time_step():
    batch = dataset(sequences(2, 1), [np.ones((2, 3), np.float32), np.ones((1, 3), np.float32)]).padded()
    assert batch.labels[:, :, 0].tolist() == [[1, 1], [1, 0]]
    assert batch.labels.shape == (2, 2, 3)


@pytest.mark.parametrize(("value", "dtype"), [(0.0, "int16"), (-1.0, "int16"), (0.5, "float32"), (1e6, "float32")])
def test_integers_stay_integers_if_the_padding_is_one(value, dtype):
    assert dataset(sequences(2, 3, dtype=np.int16)).padded(value=value).inputs.dtype == dtype


@pytest.mark.parametrize(
    ("inputs", "arguments", "says"),
    [
        (np.zeros((2, 3)), {}, "one array, 2 x 3, and no sequences"),
        ([np.zeros((2, 3)), np.zeros((2, 4))], {}, "have 3 and 4 channels"),
        ([], {}, "have no channels"),
        ([np.zeros((5, 1))], {"length": 4}, "longest sequence has 5 time steps, more than length=4"),
    ],
)
def test_what_cannot_be_padded(inputs, arguments, says):
    with pytest.raises(DatasetError, match=says):
        dataset(inputs).padded(**arguments)


def test_arguments_that_mean_nothing():
    with pytest.raises(ValueError, match="side is 'both'"):
        dataset(sequences(1)).padded(side="both")
    with pytest.raises(ValueError, match="batch_size is 0"):
        dataset(sequences(1)).batches(0)


def test_batches_are_as_long_as_their_longest_sequence():
    inputs = sequences(5, 2, 4, 1, 3)
    batches = dataset(inputs, np.arange(5)).batches(2)
    shapes = [batches[index][0].shape for index in range(len(batches))]
    assert shapes == [(2, 5, 2), (2, 4, 2), (1, 3, 2)]
    assert np.concatenate([batches[index][1] for index in range(3)]).tolist() == [0, 1, 2, 3, 4]


def test_buckets_hold_sequences_of_like_length():
    inputs = sequences(5, 2, 4, 1, 5, 2)
    batches = dataset(inputs, np.arange(6)).batches(2, bucket=True)
    assert [batches[index][0].shape[1] for index in range(3)] == [2, 4, 5]
    assert batches.order.tolist() == [3, 1, 5, 2, 0, 4]
    assert [batches[index][1].tolist() for index in range(3)] == [[3, 1], [5, 2], [0, 4]]


@pytest.mark.parametrize("bucket", [False, True])
def test_shuffling_is_by_seed_and_anew_each_epoch(bucket):
    inputs = sequences(*range(1, 40))
    one, other = (dataset(inputs, np.arange(39)).batches(4, bucket=bucket, shuffle=True, seed=3) for _ in range(2))
    first = one.order
    assert first.tolist() == other.order.tolist() != list(range(39))
    one.on_epoch_end()
    assert one.order.tolist() != first.tolist()
    assert sorted(one.order) == sorted(first) == list(range(39))
    if bucket:
        assert all(np.ptp(one.padded(index).mask.sum(axis=1)) < 4 for index in range(len(one)))


def test_keras_trains_evaluates_and_predicts_with_batches():
    import keras

    lengths = [3, 7, 2, 5, 6]
    inputs = sequences(*lengths)
    labels = [RANDOM.integers(0, 2, length) for length in lengths]
    data = dataset(inputs, labels)
    model = keras.Sequential([keras.Input((None, 2)), keras.layers.Dense(2, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", weighted_metrics=["accuracy"])
    model.fit(data.batches(2, bucket=True, shuffle=True, seed=0), verbose=0)
    # Neither place nor value of the padding counts: in one batch the accuracy is that of the true time steps.
    right = [model.predict(x[np.newaxis], verbose=0)[0].argmax(-1) == y for x, y in zip(inputs, labels, strict=True)]
    expected = float(np.mean(np.concatenate(right)))
    for side, value in (("left", 9.0), ("right", -5.0)):
        scores = model.evaluate(data.batches(5, side=side, value=value), verbose=0, return_dict=True)
        assert scores["accuracy"] == pytest.approx(expected, abs=1e-6)
    # Of several batches, Keras takes the means over time first, padding included, and then the ratio of their sums.
    hits = weights = 0.0
    for start in (0, 2, 4):
        longest = max(lengths[start : start + 2])
        hits += sum(one.sum() for one in right[start : start + 2]) / longest
        weights += sum(lengths[start : start + 2]) / longest
    scores = model.evaluate(data.batches(2), verbose=0, return_dict=True)
    assert scores["accuracy"] == pytest.approx(hits / weights, abs=1e-6)
    assert model.predict(dataset(inputs).batches(5), verbose=0).shape == (5, 7, 2)


def test_a_cell_of_a_file_becomes_a_padded_batch(tmp_path):
    path = tmp_path / "gait.mat"
    signals = [RANDOM.normal(size=(3, length)) for length in (4, 6)]
    matfile.save(path, {"X": cell(*signals), "Y": cell("walk", "run")})
    data = load_dataset(path, network=network("Sequence", 3, outputs=2))
    batch = data.padded()
    assert batch.inputs.shape == (2, 6, 3)
    assert "channels x time" in data.description
    np.testing.assert_array_equal(batch.inputs[0, :4], signals[0].T.astype(np.float32))


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0)], ids=["c t n", "t c n", "n t c"])
def test_an_array_of_sequences_lies_as_its_channels_and_labels_say(order, tmp_path):
    sequences = np.arange(3 * 5 * 4, dtype=np.float32).reshape(3, 5, 4)  # channels x time x observations
    path = tmp_path / "arrays.mat"
    matfile.save(path, {"X": sequences.transpose(order), "Y": np.array([[1.0, 2, 2, 1]])})
    data = load_dataset(path, network=network("Sequence", 3, outputs=2))
    np.testing.assert_array_equal(np.stack(data.inputs), sequences.transpose(2, 1, 0))
    assert data.labels.tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize("as_rows", [True, False])
def test_a_matrix_holds_sequences_of_one_channel(as_rows, tmp_path):
    signals = np.arange(4 * 6, dtype=np.float32).reshape(4, 6)
    path = tmp_path / "signals.mat"
    matfile.save(path, {"ECG": signals if as_rows else signals.T, "Y": np.array([[1.0, 2, 2, 1]])})
    data = load_dataset(path, network=network("Sequence", 1, outputs=2))
    np.testing.assert_array_equal(np.stack(data.inputs), signals[:, :, np.newaxis])


def test_sequences_by_themselves_go_before_a_matrix(tmp_path):
    parts, path = cell(*np.ones((4, 1, 6))), tmp_path / "both.mat"
    matfile.save(path, {"data": np.zeros((4, 20)), "sig": parts, "T": np.eye(4), "Y": np.array([[1.0, 2, 2, 1]])})
    data = load_dataset(path, network=network("Sequence", 1, outputs=2))
    np.testing.assert_array_equal(np.stack(data.inputs), np.ones((4, 6, 1)))


def test_a_timetable_is_one_sequence_with_a_label_a_step(tmp_path):
    times = pd.timedelta_range("0s", periods=4, freq="1s", name="Time")
    table = pd.DataFrame(np.arange(8.0).reshape(4, 2), columns=["a", "b"], index=times)
    path = tmp_path / "walk.mat"
    matfile.save(path, {"tt": table, "activity": pd.Categorical(["run", "walk", "walk", "run"])})
    data = load_dataset(path, network=network("Sequence", 2, outputs=2, class_names=("run", "walk")))
    np.testing.assert_array_equal(np.stack(data.inputs), table.to_numpy()[np.newaxis])
    assert data.labels[0].tolist() == [0, 1, 1, 0]
