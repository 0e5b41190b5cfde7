from __future__ import annotations

import copy
import json
import pickle
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest
from keras import layers

import keras_prunelab as kpl
from keras_prunelab import InvalidDataError, InvalidSparsityError, UnknownNameError
from keras_prunelab._evaluate import _batch_size
from keras_prunelab._sweep import _planned, _weights
from keras_prunelab._sweep._plan import plan

pytestmark = pytest.mark.backends

LEVELS = (0.0, 0.3, 0.6, 0.9)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(7)
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(4, 3, activation="relu", bias_initializer="normal", name="conv1"),
            layers.BatchNormalization(name="bn1"),
            layers.MaxPooling2D(name="pool1"),
            layers.Flatten(name="flat"),
            layers.Dense(5, activation="softmax", name="fc2"),
        ],
        name="small",
    )


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(3)
    return random.normal(size=(90, 8, 8, 1)), random.integers(0, 5, 90)


def _accuracy(model: keras.Model, masks: kpl.MaskSet, data) -> float:
    """From the definition, on a copy whose weights are multiplied by the masks."""
    masked = keras.models.clone_model(model)
    masked.set_weights([np.array(weight) for weight in model.get_weights()])
    for source, target in zip(model.trainable_weights, masked.trainable_weights, strict=True):
        if source.path in masks:
            target.assign(keras.ops.convert_to_numpy(source) * masks[source.path])
    return float(np.mean(np.argmax(masked.predict(data[0], verbose=0), axis=1) == data[1]))


@pytest.mark.parametrize("convention", ["paper", "matlab"])
def test_accuracies_are_those_of_an_argmax_over_masked_copies(model, data, convention):
    result = kpl.sweep(model, data, LEVELS, ("magnitude", kpl.scores.SynFlow(rounds=3)), convention=convention)
    assert list(result.table["score"]) == ["magnitude"] * 4 + ["synflow"] * 4
    for index in range(len(result.table)):
        row = result.table.iloc[index]
        masks = result.masks(result.choose(sparsity=row["sparsity"], score=row["score"]))
        assert row["zeros"] == sum(int((~mask).sum()) for mask in masks.values())
        assert row["total"] == sum(mask.size for mask in masks.values())
        assert row["accuracy"] == _accuracy(model, masks, data)
    assert result.dense == _accuracy(model, kpl.MaskSet({}), data)


def test_every_score_starts_from_the_dense_network(model, data):
    together = kpl.sweep(model, data, LEVELS, ("magnitude", "synflow"), convention="matlab")
    alone = kpl.sweep(model, data, LEVELS, "synflow", convention="matlab")
    pd.testing.assert_frame_equal(
        together.table[together.table["score"] == "synflow"].reset_index(drop=True), alone.table
    )


def test_the_columns_are_consistent(model, data):
    table = kpl.sweep(model, data, LEVELS, convention="matlab", scope="layer").table
    assert list(table.columns) == _planned.COLUMNS
    assert set(table["convention"]) == {"matlab"}
    assert set(table["scope"]) == {"layer"}
    assert (table["zeros"] + table["kept"] == table["total"]).all()
    np.testing.assert_array_equal(table["sparsity"], table["zeros"] / table["total"])
    every = model.count_params()  # 8 of them the moving statistics, which are never pruned
    np.testing.assert_array_equal(table["compression_ratio"], every / (every - table["zeros"]))
    # 4 filters of 3 x 3 with biases, gamma and beta of 4, 36 inputs to 5 units with biases.
    assert table["total"].iloc[0] == 40 + 8 + 185


def test_the_model_is_left_as_it_was(model, data):
    before = [np.array(weight) for weight in model.get_weights()]

    def fail(at):
        if at.done == 3:
            raise OSError("the disk is full")

    kpl.sweep(model, data, LEVELS)
    with pytest.raises(kpl.SweepStoppedError, match="disk") as stopped:
        kpl.sweep(model, data, LEVELS, progress=fail)
    assert isinstance(stopped.value.__cause__, OSError)
    assert len(stopped.value.result.table) == 3
    for weight, expected in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, expected)


def test_an_interrupted_sweep_keeps_its_points_and_the_weights(model, data):
    before = [np.array(weight) for weight in model.get_weights()]

    def interrupt(at):
        if at.done == 2:
            raise KeyboardInterrupt

    result = kpl.sweep(model, data, LEVELS, ("magnitude", "random"), progress=interrupt)
    assert not result.complete
    assert list(result.table["sparsity_target"]) == [0.0, 0.3]
    assert result.masks(result.choose(sparsity=0.3)).sparsity == pytest.approx(0.3, abs=0.01)
    for weight, expected in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, expected)


def test_progress_counts_every_point(model, data):
    seen = []
    kpl.sweep(model, data, LEVELS, ("magnitude", "random"), progress=seen.append)
    assert seen[0].done == 0
    assert {at.total for at in seen} == {8}
    assert sorted({at.done for at in seen}) == list(range(9))
    assert "random" in seen[-1].what


def test_the_forward_pass_is_compiled_once_and_weights_are_written_only_where_masks_change(model, data, monkeypatch):
    calls = []
    original = type(model).call
    monkeypatch.setattr(
        type(model),
        "call",
        lambda self, *args, **options: (calls.append(1), original(self, *args, **options))[1],
    )
    kpl.sweep(model, data, np.linspace(0, 0.9, 10))
    assert len(calls) <= 1 or keras.config.backend() == "torch"
    prunables = kpl.prunable(model)
    written = []
    weights = _weights.MaskedWeights(prunables)
    masks = kpl.trajectory(model, [0.5]).masks(0)
    weights.apply(masks)
    monkeypatch.setattr(type(prunables[0].variable), "assign", lambda self, value: written.append(self.path))
    weights.apply(masks)
    monkeypatch.undo()
    weights.restore()
    assert written == []


def test_only_what_is_included_is_pruned(model, data):
    result = kpl.sweep(model, data, [0.5], exclude="conv1")
    assert result.table["total"].iloc[0] == 36 * 5
    assert list(result.layers(result.choose(sparsity=0.5))["layer"]) == ["fc2"]
    with pytest.raises(UnknownNameError):
        kpl.sweep(model, data, [0.5], include="conv7")
    with pytest.raises(TypeError, match="sparsity"):
        kpl.sweep(model, data, [0.5], sparsity=0.5)  # type: ignore[call-arg]


def test_one_hot_and_class_names(model, data):
    x, y = data
    named = SimpleNamespace(inputs=x, labels=np.eye(5)[y], class_names=["a", "b", "c", "d", "e"])
    result = kpl.sweep(model, named, [0.5])
    assert result.class_names == ("a", "b", "c", "d", "e")
    assert result.table["accuracy"].equals(kpl.sweep(model, data, [0.5]).table["accuracy"])


def test_data_that_does_not_fit_is_refused_before_anything_runs(model, data, monkeypatch):
    x, y = data
    monkeypatch.setattr(_planned, "Bench", lambda *_: pytest.fail("ran"))
    for wrong, message in [
        (
            (x[..., 0], y),
            r"takes observations of shape \(8, 8, 1\).*90 of shape \(8, 8\)\. Add the channel axis",
        ),
        ((x, y[:50]), "90 inputs and 50 labels"),
        ((x, y + 1), r"5 classes apart, numbered from 0 to 4.*from 1 to 5\. Labels from MATLAB"),
        ((x, y.astype(float)), "use y.astype"),
        ((x, y.astype(str)), "class indices"),
        ((x, None), "no labels"),
        ((x[:0], y[:0]), "no observations"),
        (x, "inputs, labels"),
    ]:
        with pytest.raises(InvalidDataError, match=message):
            kpl.sweep(model, wrong, LEVELS)


def test_regression_measures_the_root_mean_square_error():
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((6,)), layers.Dense(4, activation="tanh"), layers.Dense(2)])
    x, y = np.random.default_rng(0).normal(size=(40, 6)), np.random.default_rng(1).normal(size=(40, 2))
    result = kpl.sweep(model, (x, y), [0.0, 0.5, 0.9])
    assert "accuracy" not in result.table
    assert result.dense == pytest.approx(np.sqrt(np.mean((model.predict(x, verbose=0) - y) ** 2)), rel=1e-6)
    pruned = kpl.prune(model, 0.5)
    expected = np.sqrt(np.mean((pruned.predict(x, verbose=0) - y) ** 2))
    assert result.table["rmse"].iloc[1] == pytest.approx(expected, rel=1e-6)


def test_one_sigmoid_output_tells_two_classes_apart():
    keras.utils.set_random_seed(1)
    x, y = np.random.default_rng(0).normal(size=(40, 6)), np.arange(40) % 2
    model = keras.Sequential([keras.Input((6,)), layers.Dense(1, activation="sigmoid")])
    assert kpl.sweep(model, (x, y), [0.5]).dense == np.mean((model.predict(x, verbose=0)[:, 0] > 0.5) == y)
    linear = keras.Sequential([keras.Input((6,)), layers.Dense(1)])
    with pytest.raises(InvalidDataError, match=r"y\.astype"):
        kpl.sweep(linear, (x, y), [0.5])


def test_an_output_of_exactly_one_half_is_the_first_class():
    """As in `keras.metrics.BinaryAccuracy`: the second class is above its threshold of 0.5."""
    model = keras.Sequential([keras.Input((1,)), layers.Dense(1, "sigmoid", kernel_initializer="ones")])
    x, y = np.array([[0.0], [0.0], [0.0], [-9.0], [9.0]]), np.array([0, 0, 1, 0, 1])  # outputs 0.5, 0.5, 0.5, 0, 1
    result = kpl.sweep(model, (x, y), [0.0])
    assert result.dense == result.table["accuracy"][0] == 4 / 5
    # Without its weight every output is 0.5, so all answers are the first class: right for three of five.
    assert kpl.sweep(model, (x, y), [0.9]).table["accuracy"][0] == 3 / 5


@pytest.mark.parametrize("per_step", [False, True])
def test_sequences_of_different_lengths(per_step):
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((None, 3)),
            layers.LSTM(4, return_sequences=per_step),
            layers.Dense(3, activation="softmax"),
        ]
    )
    random = np.random.default_rng(0)
    x = [random.normal(size=(length, 3)).astype("float32") for length in (4, 7, 4, 5, 7, 9)]
    y = [random.integers(0, 3, len(one)) for one in x] if per_step else random.integers(0, 3, len(x))
    answers = [model.predict(one[None], verbose=0)[0].argmax(axis=-1) for one in x]
    right = np.concatenate([np.atleast_1d(answer == label) for answer, label in zip(answers, y, strict=True)])
    assert kpl.sweep(model, (x, y), [0.5]).dense == right.mean()


def test_batches_do_not_change_the_answer(model, data, monkeypatch):
    expected = kpl.sweep(model, data, LEVELS)
    monkeypatch.setattr(_batch_size, "estimate", lambda *_: 32)
    monkeypatch.setattr(_batch_size, "MAX_BATCH", 32)
    assert kpl.sweep(model, data, LEVELS).table["accuracy"].equals(expected.table["accuracy"])


def test_the_plan_lists_every_point_once_and_sorted():
    planned = plan([0.9, 0.1, 0.1, 0.3 * 3], ("random", "magnitude"))
    assert [(point.curve.score.name, point.level) for point in planned.points] == [
        ("random", 0.1),
        ("random", 0.9),
        ("magnitude", 0.1),
        ("magnitude", 0.9),
    ]
    for wrong in ([], [1.0], [-0.1], [np.nan], ["a"], "all"):
        with pytest.raises(InvalidSparsityError):
            plan(wrong, "magnitude")
    for wrong_scores in ([], "tailor", ("magnitude", "magnitude")):
        with pytest.raises(UnknownNameError):
            plan([0.5], wrong_scores)
    for wrong_seeds in ([], 0, [-1], [0.5]):
        with pytest.raises(UnknownNameError, match="seeds"):
            plan([0.5], "random", wrong_seeds)


def test_csv_and_json_say_the_same(model, data, tmp_path):
    result = kpl.sweep(model, data, LEVELS)
    pd.testing.assert_frame_equal(pd.read_csv(result.to_csv(tmp_path / "s.csv")), result.table)
    content = json.loads(result.to_json(tmp_path / "s.json").read_text(encoding="utf-8"))
    assert content["points"] == result.table.to_dict("records")
    assert content["dense"] == result.dense
    assert content["metadata"]["samples"] == 90
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.csv", "s.json"]


@pytest.mark.parametrize("scale", [True, False])
def test_channels_go_as_prune_takes_them(scale: bool) -> None:
    """With their biases, and with scale (or, without one, mean) and offset of the normalizations behind them."""
    keras.utils.set_random_seed(3)
    layers = keras.layers
    norm = layers.BatchNormalization(scale=scale)
    parts = [layers.Conv2D(6, 3), norm, layers.ReLU(), layers.Flatten(), layers.Dense(3)]
    model = keras.Sequential([keras.Input((6, 6, 1)), *parts])
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.uniform(0.5, 1.5, size=weight.shape) * rng.choice([-1, 1]) ** (weight.name == "kernel"))
    x, y = rng.normal(size=(90, 6, 6, 1)), np.arange(90) % 3
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = model.get_weights()
    result = kpl.sweep(model, (x, y), [0.6, 0.3], ["magnitude", "random"], granularity="channel", scope="layer")
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)
    for _, row in result.table.iterrows():
        pruned = kpl.prune(model, row["sparsity_target"], row["score"], granularity="channel", scope="layer")
        pruned.compile("sgd", model.loss)
        assert row["loss"] == pytest.approx(pruned.evaluate(x, y, verbose=0), rel=1e-6)
    choice = result.choose(sparsity=0.6, score="magnitude")
    expected = kpl.prune(model, choice.sparsity_target, choice.score, granularity="channel", scope="layer")
    result.masks(choice).apply(model)
    for found, wanted in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("granularity", ["weight", "channel"])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))])  # noqa: S301
def test_copies_of_a_result_hold_its_masks(model, data, copied, granularity):
    result = kpl.sweep(model, data, [0.0, 0.5], granularity=granularity, exclude="fc2")
    other = copied(result)
    pd.testing.assert_frame_equal(other.table, result.table)
    choice = result.choose(sparsity=0.5)
    assert other.masks(choice) == result.masks(choice)
    assert other.masks(choice).zeros > 0
    pd.testing.assert_frame_equal(other.layers(choice), result.layers(choice))
    with pytest.raises(kpl.InvalidModelError, match="copies hold no network"):
        other.network(choice)
