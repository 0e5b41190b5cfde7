"""What a sweep measures is what Keras measures, on whatever data."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import keras_prunelab as kpl
from keras_prunelab import InvalidDataError, UnknownNameError
from keras_prunelab._evaluate import _batch_size, _evaluate, _streams

pytestmark = pytest.mark.backends

TOP2 = "sparse_top_k_categorical_accuracy"


def data() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(3)
    return random.normal(size=(230, 6)).astype("float32"), random.integers(0, 4, 230)


def own(y_true, y_pred):
    return keras.ops.max(y_pred, axis=-1) * 3


def model(**compiled) -> keras.Model:
    keras.utils.set_random_seed(5)
    made = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(20, "relu", kernel_regularizer=keras.regularizers.L2(0.01)),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.Dense(4, "softmax"),
        ]
    )
    if compiled:
        made.compile("adam", "sparse_categorical_crossentropy", **compiled)
    return made


def evaluated(made: keras.Model, sparsity: float, given=None) -> dict[str, float]:
    pruned = kpl.prune(made, sparsity)
    x, y, *weights = data() if given is None else given
    return pruned.evaluate(
        x, y, sample_weight=weights[0] if weights else None, batch_size=32, verbose=0, return_dict=True
    )


def test_a_compiled_model_has_the_values_of_evaluate():
    made = model(metrics=["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(2), own])
    result = kpl.sweep(made, data(), [0.0, 0.5, 0.9])
    for _, row in result.table.iterrows():
        expected = evaluated(made, row["sparsity_target"])
        assert set(expected) == {"loss", "accuracy", TOP2, "own"}
        for name, value in expected.items():
            assert row[name] == pytest.approx(value, abs=1e-6)
    x, y = data()
    pruned = kpl.prune(made, 0.5)
    assert result.table["accuracy"][1] == np.mean(pruned.predict(x, verbose=0).argmax(axis=1) == y)
    assert result.metadata["dense_loss"] == pytest.approx(evaluated(made, 0.0)["loss"], abs=1e-6)


def test_sample_weights():
    weights = np.random.default_rng(0).random(230).astype("float32")
    made = model(metrics=["accuracy"], weighted_metrics=[keras.metrics.SparseTopKCategoricalAccuracy(2)])
    row = kpl.sweep(made, (*data(), weights), [0.5]).table.iloc[0]
    for name, value in evaluated(made, 0.5, (*data(), weights)).items():
        assert row[name] == pytest.approx(value, abs=1e-6)


def test_metrics_of_ones_own_and_the_first_counts():
    made = model()
    metrics = [keras.metrics.SparseTopKCategoricalAccuracy(2), "accuracy", own, "sparse_categorical_crossentropy"]
    result = kpl.sweep(made, data(), [0.0, 0.9], metrics=metrics)
    names = list(result.table.columns)
    assert names[names.index("sparsity") + 1 : names.index("zeros")] == [
        TOP2,
        "accuracy",
        "own",
        "sparse_categorical_crossentropy",
    ]
    assert result.metric.name == TOP2
    assert result.metric.higher_is_better
    made.compile("adam", "sparse_categorical_crossentropy", metrics=[*metrics[:1], own])
    expected = evaluated(made, 0.9)
    assert result.table[TOP2][1] == pytest.approx(expected[TOP2], abs=1e-6)
    assert result.table["own"][1] == pytest.approx(expected["own"], abs=1e-6)
    assert result.choose(sparsity=0.9).accuracy == result.table[TOP2][1]
    by_loss = kpl.sweep(made, data(), [0.0, 0.9], metrics=["loss"])
    assert not by_loss.metric.higher_is_better
    assert by_loss.dense == pytest.approx(evaluated(made, 0.0)["loss"], abs=1e-6)
    with pytest.raises(UnknownNameError, match=r"no metric 'acuracy'.*'loss'"):
        kpl.sweep(made, data(), [0.5], metrics=["acuracy"])


@pytest.mark.parametrize(
    ("one", "name"),
    [("AUC", "auc"), ("auc", "auc"), (keras.metrics.TrueNegatives, "true_negatives"), ("r2_score", "r2_score")],
)
def test_a_name_is_the_same_however_many_metrics_were_made_before(one, name):
    keras.metrics.AUC()
    keras.metrics.TrueNegatives()
    x, y = data()
    binary = keras.Sequential([keras.Input((6,)), layers.Dense(1, "sigmoid")])
    for _ in range(2):  # Keras counts on with each
        result = kpl.sweep(binary, (x, (y > 1)[:, None].astype("float32")), [0.0, 0.5], metrics=[one])
        assert result.metric.name == name
        assert name in result.table


def test_metrics_that_need_more_than_a_name_say_so():
    with pytest.raises(UnknownNameError, match=r"'MeanIoU' needs more than its name.*num_classes"):
        kpl.sweep(model(), data(), [0.5], metrics=["MeanIoU"])
    named = keras.metrics.SparseTopKCategoricalAccuracy(2, name=f"{TOP2}_7")
    given = kpl.sweep(model(), data(), [0.5], metrics=[named])
    assert given.metric.name == f"{TOP2}_7"  # a name that a user gave is kept


def test_labels_that_the_loss_does_not_take_leave_the_accuracy():
    made = model(metrics=["accuracy"])
    made.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    result = kpl.sweep(made, data(), [0.5])
    assert "loss" not in result.table
    assert "ValueError" in result.metadata["metrics_left_out"]
    x, y = data()
    hot = kpl.sweep(made, (x, np.eye(4)[y]), [0.5])
    assert hot.table["accuracy"].equals(result.table["accuracy"])
    assert hot.table["loss"][0] == pytest.approx(evaluated(made, 0.5, (x, np.eye(4)[y]))["loss"], abs=1e-6)


def test_two_outputs_are_measured_as_keras_does():
    keras.utils.set_random_seed(1)
    inputs = keras.Input((6,))
    hidden = layers.Dense(8, "relu")(inputs)
    outputs = {"a": layers.Dense(4, "softmax", name="a")(hidden), "b": layers.Dense(1, name="b")(hidden)}
    made = keras.Model(inputs, outputs)
    x, y = data()
    targets = {"a": y, "b": x[:, :1]}
    with pytest.raises(InvalidDataError, match="compile"):
        kpl.sweep(made, (x, targets), [0.5])
    made.compile("adam", {"a": "sparse_categorical_crossentropy", "b": "mse"}, metrics={"a": ["accuracy"]})
    row = kpl.sweep(made, (x, targets), [0.5]).table.iloc[0]
    # Keras averages the loss of each output over batches, whatever their sizes: it depends on how they are cut.
    expected = kpl.prune(made, 0.5).evaluate(x, targets, batch_size=230, verbose=0, return_dict=True)
    assert {name: pytest.approx(value, abs=1e-6) for name, value in expected.items()} == {
        name: row[name] for name in expected
    }


def test_a_test_step_of_the_models_own_is_used():
    class Stepping(keras.Sequential):
        def test_step(self, *arguments):
            return super().test_step(*arguments)

    made = Stepping([keras.Input((6,)), layers.Dense(4, "softmax")])
    made.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    x, y = data()
    result = kpl.sweep(made, (x, y), [0.0])
    expected = made.evaluate(x, y, verbose=0, return_dict=True)
    assert result.table["accuracy"][0] == pytest.approx(expected["accuracy"], abs=1e-6)
    assert result.table["loss"][0] == pytest.approx(expected["loss"], abs=1e-6)


class Batches(keras.utils.PyDataset):
    def __init__(self) -> None:
        super().__init__()
        self.read = 0

    @property
    def num_batches(self) -> int:
        return 5

    def __getitem__(self, index: int):
        self.read += 1
        x, y = data()
        return x[50 * index : 50 * (index + 1)], y[50 * index : 50 * (index + 1)]


@pytest.mark.parametrize("fits", [True, False])
@pytest.mark.parametrize("kind", ["dataset", "function", "tf.data"])
def test_batches_are_held_or_read_anew(kind, fits, monkeypatch):
    made = model(metrics=["accuracy"])
    expected = kpl.sweep(made, data(), [0.0, 0.5])
    batches = Batches()
    given = {"dataset": batches, "function": lambda: (batches[index] for index in range(5))}.get(kind)
    if kind == "tf.data":
        tf = pytest.importorskip("tensorflow")
        given = tf.data.Dataset.from_tensor_slices(data()).batch(50)
    if not fits:
        monkeypatch.setattr(_streams, "HELD_BYTES", 1000)
    result = kpl.sweep(made, given, [0.0, 0.5])
    assert result.metadata["samples"] == 230
    assert result.table["accuracy"].equals(expected.table["accuracy"])
    np.testing.assert_allclose(result.table["loss"], expected.table["loss"], rtol=0, atol=1e-6)
    if kind != "tf.data":
        assert (batches.read == 5) == fits


def test_data_that_ends_never_or_too_soon_is_refused():
    x, y = data()
    with pytest.raises(InvalidDataError, match="only once"):
        kpl.sweep(model(), iter([(x, y)]), [0.5])
    with pytest.raises(InvalidDataError, match="no observations"):
        kpl.sweep(model(), lambda: iter(()), [0.5])
    with pytest.raises(InvalidDataError, match="shape"):
        kpl.sweep(model(), lambda: [(x[:, :3], y)], [0.5])


def test_the_batch_size_is_measured_only_where_that_pays(monkeypatch):
    x, y = data()
    tried = []
    monkeypatch.setattr(_batch_size, "_time", lambda run, size: tried.append(size) or 1.0)
    assert kpl.sweep(model(), (x, y), [0.5]).metadata["batch_size"] == 230
    assert not tried
    many = np.concatenate([x] * 10), np.concatenate([y] * 10)
    chosen = kpl.sweep(model(), many, np.linspace(0, 0.9, 91)).metadata["batch_size"]
    assert chosen == max(tried).size  # the same time for a larger batch is less for each observation
    assert len(set(tried)) > 1


@pytest.mark.parametrize(("observations", "is_tried"), [(10**6, True), (5_000, False)])
def test_pieces_are_tried_where_compiling_them_pays(monkeypatch, observations, is_tried):
    seconds = {(64, 1): 0.2, (256, 1): 0.4, (1024, 1): 1.9, (64, 4): 0.3, (256, 4): 0.3, (1024, 4): 1.4}
    tried = []
    monkeypatch.setattr(_batch_size, "_time", lambda _run, how: tried.append(how) or seconds[how])
    best = _batch_size.quickest([64, 256, 1024], lambda how: None, observations, 4)
    assert best == ((256, 4) if is_tried else (256, 1))
    assert {how.pieces for how in tried} == ({1, 4} if is_tried else {1})


@pytest.mark.parametrize("pieces", [3, 64])
def test_a_batch_in_pieces_is_measured_as_a_whole(monkeypatch, pieces):
    monkeypatch.setattr(_evaluate, "quickest", lambda *_: _batch_size.BatchSize(50, pieces))
    made = model(metrics=["accuracy"], weighted_metrics=[keras.metrics.SparseTopKCategoricalAccuracy(2)])
    given = (*data(), np.random.default_rng(0).random(230).astype("float32"))
    row = kpl.sweep(made, given, [0.5]).table.iloc[0]
    for name, value in evaluated(made, 0.5, given).items():
        assert row[name] == pytest.approx(value, abs=1e-6)


class _Adds(layers.Layer):
    def call(self, inputs):
        self.add_loss(keras.ops.mean(inputs))
        return inputs


@pytest.mark.parametrize("layer", [layers.ActivityRegularization(0.1), _Adds()], ids=["activity", "own"])
def test_layers_that_add_to_the_loss_are_given_whole_batches(monkeypatch, layer):
    asked = []
    monkeypatch.setattr(
        _evaluate, "quickest", lambda *given: asked.append(given[-1]) or _batch_size.BatchSize(46, given[-1])
    )
    plain = model(metrics=["accuracy"])
    made = keras.Sequential([keras.Input((6,)), layer, *plain.layers])
    made.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    row = kpl.sweep(made, data(), [0.5]).table.iloc[0]
    x, y = data()
    expected = kpl.prune(made, 0.5).evaluate(x, y, batch_size=46, verbose=0, return_dict=True)
    assert row["loss"] == pytest.approx(expected["loss"], abs=1e-6)
    assert asked == [1]


def test_the_model_keeps_its_metrics_and_weights():
    made = model(metrics=["accuracy"])
    x, y = data()
    made.fit(x, y, epochs=1, verbose=0)
    before = [np.array(weight) for weight in made.get_weights()]
    expected = made.evaluate(x, y, verbose=0)
    kpl.sweep(made, (x, y), [0.3, 0.8])
    for weight, was in zip(made.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, was)
    assert made.evaluate(x, y, verbose=0) == expected
