"""Sweeps as people call them: other metrics, other data to train on, a model that has changed since."""

from __future__ import annotations

import functools
import random
from importlib.util import find_spec
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import keras_prunelab as kpl
from keras_prunelab import InvalidDataError, InvalidModelError, InvalidScheduleError, UnknownNameError
from keras_prunelab._evaluate import _batch_size, _evaluate
from keras_prunelab._sweep._sent import SentTask

from .test_sweep_engine import data, model

pytestmark = pytest.mark.backends

X, Y = data()


def test_answers_with_masks_come_in_one_piece(monkeypatch):
    """Padded steps count neither for Keras nor here, in however many pieces a batch would be quickest."""
    monkeypatch.setattr(_evaluate, "quickest", lambda *given: _batch_size.BatchSize(32, given[-1]))
    words = np.random.default_rng(0).integers(1, 9, size=(64, 7))
    words[:, 5:] = 0
    keras.utils.set_random_seed(0)
    made = keras.Sequential(
        [
            keras.Input((7,), dtype="int32"),
            layers.Embedding(9, 8, mask_zero=True),
            layers.SimpleRNN(8, return_sequences=True),
            layers.Dense(3, "softmax"),
        ]
    )
    made.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"], weighted_metrics=["accuracy"])
    given = words, np.random.default_rng(1).integers(0, 3, size=(64, 7))
    expected = made.evaluate(*given, batch_size=32, verbose=0, return_dict=True)
    row = kpl.sweep(made, given, [0.0]).table.iloc[0]
    assert {name: row[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    alone = kpl.sweep(made, given, [0.0], metrics="accuracy").table
    assert alone["accuracy"][0] == pytest.approx(expected["accuracy"], abs=1e-6)


def highest(y_true, y_pred, power=1):
    return keras.ops.max(y_pred, axis=-1) ** power


def test_metrics_of_the_same_name_are_refused():
    top = keras.metrics.SparseTopKCategoricalAccuracy
    for metrics in ([top(1), top(2)], [lambda _, out: out[:, 0], lambda _, out: out[:, 1]]):
        with pytest.raises(UnknownNameError, match=r"Two of metrics= are called .*give them names"):
            kpl.sweep(model(), (X, Y), [0.5], metrics=metrics)
    table = kpl.sweep(model(), (X, Y), [0.5], metrics=[top(1, name="top1"), top(2, name="top2"), "accuracy"]).table
    output = kpl.prune(model(), 0.5).predict(X, verbose=0)
    places = (output > output[np.arange(len(Y)), Y][:, None]).sum(axis=1)  # how many classes stand before the right one
    for number in (1, 2):
        assert table[f"top{number}"][0] == pytest.approx(np.mean(places < number), abs=1e-6)


def test_one_metric_needs_no_list_and_one_without_a_name_is_spelled():
    assert kpl.sweep(model(), (X, Y), [0.5], metrics="loss").metric.name == "loss"
    squared = functools.partial(highest, power=2)
    result = kpl.sweep(model(), (X, Y), [0.5], metrics=["accuracy", squared, lambda _, out: out[:, 0]])
    output = kpl.prune(model(), 0.5).predict(X, verbose=0)
    assert result.table["partial"][0] == pytest.approx((output.max(axis=1) ** 2).mean(), abs=1e-6)
    there: dict[str, Any] = {"model": model(), "data": (X, Y), "metric": squared, "metric_2": lambda _, out: out[:, 0]}
    exec(str(result.metadata["repeat"]), there)  # noqa: S102  # what a reader would do
    assert there["result"].table["partial"].tolist() == result.table["partial"].tolist()


def test_a_metric_with_a_number_for_each_class():
    hot = np.eye(3)[Y]
    result = kpl.sweep(model(), (X, hot), [0.5], metrics=["accuracy", keras.metrics.F1Score(average=None)])
    answers = kpl.prune(model(), 0.5).predict(X, verbose=0).argmax(axis=1)
    for each in range(3):
        both = np.sum((answers == each) & (each == Y))
        expected = 2 * both / (np.sum(answers == each) + np.sum(each == Y))
        assert result.table[f"f1_score_{each}"][0] == pytest.approx(expected, abs=1e-6)
    with pytest.raises(InvalidDataError, match=r"'f1_score' gives 3 numbers.* give it an average"):
        kpl.sweep(model(), (X, hot), [0.5], metrics=["f1_score"])


def test_a_loss_that_is_no_number_is_missing(tmp_path):
    made = model()
    made.compile("sgd", "mse")
    made.layers[-1].activation = keras.activations.linear
    made.set_weights([weight * 1e30 for weight in made.get_weights()])
    table = kpl.sweep(made, (X, np.eye(3)[Y] + 0.5), [0.0, 0.5], metrics=["loss", "rmse"]).table
    assert not np.isfinite(table[["loss", "rmse"]].to_numpy()).any()
    result = kpl.sweep(made, (X, np.eye(3)[Y] + 0.5), [0.0, 0.5])
    choice = result.choose(sparsity=0.5)
    for write in (result.to_json, result.to_parquet) if find_spec("pyarrow") else (result.to_json,):
        loaded = kpl.SweepResult.load(write(tmp_path / f"r.{write.__name__.removeprefix('to_')}", choice))
        assert loaded.choice is not None
        assert repr(loaded.choice) == repr(choice)
        assert not np.isfinite(choice.accuracy)  # infinite or NaN, as the backend overflows


@pytest.mark.parametrize("score", ["snip", "wanda"])
def test_rounds_are_scored_on_the_data_of_the_sweep(score):
    how = kpl.FineTune((X, Y), rounds=2)
    tables = [
        kpl.sweep(model(), (X, Y), [0.5], score, finetune=how, calibration=given).table for given in (None, (X, Y))
    ]
    assert tables[0]["loss"].tolist() == tables[1]["loss"].tolist()
    assert tables[0]["zeros"].tolist() == [54]


def test_training_data_that_a_function_returns_in_any_form():
    batches = [(X[:60], Y[:60]), (X[60:], Y[60:])]
    forms = [lambda: (each for each in batches), lambda: iter(batches), lambda: batches]
    losses = [
        kpl.sweep(model(), (X, Y), [0.5], seeds=[0], finetune=kpl.FineTune(form, epochs=2)).table["loss"][0]
        for form in forms
    ]
    assert losses[1:] == losses[:1] * 2


def test_callbacks_see_all_epochs_of_data_that_a_function_returns():
    epochs: list[int] = []
    seen = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, _: epochs.append(epoch), on_train_end=lambda _: epochs.append(-1)
    )
    how = kpl.FineTune(lambda: iter([(X, Y)]), epochs=3, callbacks=lambda: [seen])
    kpl.sweep(model(), (X, Y), [0.5], finetune=how)
    assert epochs == [0, 1, 2, -1]

    def endless():
        while True:
            yield X[:1], Y[:1]

    with pytest.raises(InvalidDataError, match=r"can be read only once"):
        kpl.FineTune(iter([(X, Y)]))
    with pytest.raises(InvalidDataError, match=r"more than 100,000 batches"):
        kpl.sweep(model(), (X, Y), [0.5], finetune=kpl.FineTune(endless))


def test_a_loss_that_is_a_lambda_trains():
    made, double = model(), 2.0
    made.compile("sgd", loss=lambda true, out: double * keras.losses.sparse_categorical_crossentropy(true, out))
    rows = kpl.sweep(made, (X, Y), [0.5], finetune=[None, kpl.FineTune((X, Y), epochs=3)]).table
    assert rows["loss"][1] < rows["loss"][0]


def test_training_leaves_the_random_numbers_of_others_alone():
    made, drawn = model(), []
    for finetune in (None, kpl.FineTune((X, Y))):
        random.seed(3)
        np.random.seed(4)  # noqa: NPY002  # as people still do
        kpl.sweep(made, (X, Y), [0.5], finetune=finetune, seeds=[1])
        drawn.append((random.randrange(10**9), np.random.random()))  # noqa: NPY002,S311
    assert drawn[0] == drawn[1]


def test_sequences_of_different_lengths_are_trained_on():
    """One batch for each length, so that a step is the gradient of its loss, here by hand for an epoch of SGD."""
    keras.utils.set_random_seed(0)
    made = keras.Sequential([keras.Input((None, 2)), layers.GlobalAveragePooling1D(), layers.Dense(1)])
    made.compile(keras.optimizers.SGD(0.5), "mse")
    rng = np.random.default_rng(0)
    sequences = [rng.normal(size=(length, 2)).astype("float32") for length in (3, 5, 3, 5, 5)]
    y = rng.normal(size=(5, 1)).astype("float32")
    result = kpl.sweep(made, (sequences, y), [0.0], finetune=kpl.FineTune((sequences, y)), batch_size=5)
    means, (kernel, bias) = np.stack([each.mean(axis=0) for each in sequences]), made.get_weights()
    possible = []
    for order in ([0, 2], [1, 3, 4]), ([1, 3, 4], [0, 2]):
        w, b = kernel, bias
        for batch in order:
            error = means[batch] @ w + b - y[batch]
            w, b = w - 0.5 * 2 * means[batch].T @ error / len(batch), b - 0.5 * 2 * error.mean(axis=0)
        possible.append(np.sqrt(np.mean((means @ w + b - y) ** 2)))
    assert np.abs(np.array(possible) - result.table["rmse"][0]).min() < 1e-5


def test_seeds_have_the_same_levels_where_these_are_found():
    found = kpl.sweep(model(), (X, Y), kpl.AutoLevels(0, 0.96, step=0.02), "random", seeds=3)
    assert set(found.curves["seeds"]) == {3}


def test_the_network_of_a_point_is_not_made_of_other_weights():
    made = model()
    result = kpl.sweep(made, (X, Y), [0.5, 0.8])
    before = made.get_weights()
    sparse, sparser = (result.choose(sparsity=level) for level in (0.5, 0.8))
    result.masks(sparser).apply(made)
    with pytest.raises(InvalidModelError, match=r"has other weights by now"):
        result.network(sparse)
    made.set_weights(before)
    assert kpl.sparsity(result.network(sparse)) == 0.5


class Counted(keras.metrics.Metric):
    """How many observations there are, of a class that Keras does not know by name."""

    def __init__(self, name: str = "counted", **options: Any) -> None:
        super().__init__(name=name, **options)
        self.total = self.add_weight(name="total", initializer="zeros")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self.total.assign_add(keras.ops.cast(keras.ops.shape(y_pred)[0], "float32"))

    def result(self) -> Any:
        return self.total


def test_metrics_of_ones_own_go_to_workers():
    mean = keras.metrics.MeanMetricWrapper(highest, name="mean_highest")
    plan = kpl.plan_sweep(model(), (X, Y), [0.5], metrics=[Counted(), mean])
    dense = SentTask.of(plan.task).open().dense()
    assert dense.measures["counted"] == len(X)
    assert dense.measures["mean_highest"] == pytest.approx(model().predict(X, verbose=0).max(axis=1).mean(), abs=1e-6)


class Unloadable(keras.Model):
    """Its class takes no arguments, though Keras writes some down."""

    def __init__(self) -> None:
        super().__init__(name="own")
        self.dense = layers.Dense(3, "softmax")

    def call(self, inputs: Any) -> Any:
        return self.dense(inputs)


def test_a_model_that_a_worker_cannot_make_is_said():
    made = Unloadable()
    made(X[:1])
    sent = SentTask.of(kpl.plan_sweep(made, (X, Y), [0.5]).task)
    with pytest.raises(InvalidModelError, match=r"cannot be made anew in a worker.*workers=1"):
        sent.open()


def test_labels_of_several_classes_at_once_are_measured_as_the_message_says():
    made, many = model(), np.random.default_rng(0).integers(0, 2, size=(len(X), 3))
    made.compile("sgd", "binary_crossentropy")
    with pytest.raises(InvalidDataError, match=r"y\.astype\(float\).*metrics='binary_accuracy'"):
        kpl.sweep(made, (X, many), [0.5])
    result = kpl.sweep(made, (X, many.astype(float)), [0.5], metrics="binary_accuracy")
    expected = np.mean((kpl.prune(made, 0.5).predict(X, verbose=0) > 0.5) == many)
    assert result.table["binary_accuracy"][0] == pytest.approx(expected, abs=1e-6)


def test_a_last_batch_that_looks_like_classes():
    """Of labels of several classes at once, one row with a single class is no class index."""
    many = np.random.default_rng(0).integers(0, 2, size=(len(X), 3)).astype("float32")
    many[-1] = [0, 1, 0]
    size = len(X) - 1
    batches = [(X[:size], many[:size]), (X[size:], many[size:])]
    whole = kpl.sweep(model(), (X, many), [0.5]).table
    assert whole["rmse"][0] == pytest.approx(
        np.sqrt(np.mean((kpl.prune(model(), 0.5).predict(X, verbose=0) - many) ** 2)), abs=1e-6
    )
    assert kpl.sweep(model(), batches, [0.5]).table["rmse"].tolist() == whole["rmse"].tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"finetune": 3}, r"finetune= is how each point is trained, such as FineTune\(\(x, y\), epochs=3\)"),
        ({"finetune": [None, (X, Y)]}, "finetune= is how each point is trained"),
    ],
)
def test_what_does_not_train_is_refused_before_anything_runs(options, message):
    with pytest.raises(InvalidScheduleError, match=message):
        kpl.plan_sweep(model(), (X, Y), [0.5], **options)


def test_callbacks_of_training_are_made_anew():
    with pytest.raises(InvalidScheduleError, match=r"callbacks=.* is a function that makes new ones"):
        kpl.FineTune((X, Y), callbacks=[keras.callbacks.EarlyStopping("loss")])


def test_a_store_of_any_name_is_a_file(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    kpl.sweep(model(), (X, Y), [0.5], store="file:sweep.db?mode=memory")
    assert len(kpl.SweepResult.load("file:sweep.db?mode=memory").table) == 1


def test_states_of_recurrent_layers_go_on_from_batch_to_batch():
    """Against the layers' own arithmetic, one batch after the other."""
    keras.utils.set_random_seed(0)
    made = keras.Sequential(
        [keras.Input((5, 2), batch_size=4), layers.SimpleRNN(3, stateful=True), layers.Dense(2, "softmax")]
    )
    x = np.random.default_rng(0).normal(size=(12, 5, 2)).astype("float32")
    kernel, recurrent, bias, out, offset = made.get_weights()
    state, answers = np.zeros((4, 3)), []
    for batch in np.split(x, 3):
        for step in range(5):
            state = np.tanh(batch[:, step] @ kernel + state @ recurrent + bias)
        answers.append((state @ out + offset)[:, 0] - (state @ out + offset)[:, 1])
    y = (np.concatenate(answers) > 0).astype(float)
    softmax = 1 / (1 + np.exp(-np.concatenate(answers)))
    expected = np.sqrt(np.mean((np.stack([softmax, 1 - softmax], 1) - np.stack([y, 1 - y], 1) * 0.9) ** 2))
    result = kpl.sweep(made, (x, np.stack([y, 1 - y], 1) * 0.9), [0.0])
    assert result.table["rmse"][0] == pytest.approx(expected, abs=1e-6)
    made.compile("sgd", "mse")
    assert kpl.sweep(made, (x, np.stack([y, 1 - y], 1) * 0.9), [0.0]).table["loss"][0] == pytest.approx(
        expected**2, abs=1e-6
    )
