"""Data in any form, to everything that takes data: endless data is refused, and what does not fit is named."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

import keras_prunelab as kpl
from keras_prunelab._model import _source

Array = NDArray[Any]
L = keras.layers


class Both(NamedTuple):
    """An object with both, as `matlab_bridge.load_dataset` gives."""

    inputs: Array
    labels: Array


def arrays(count: int = 24) -> tuple[Array, Array]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(count, 6)).astype(np.float32), rng.normal(size=(count, 3)).astype(np.float32)


def make_model() -> keras.Model:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((6,)), L.Dense(8, name="a"), L.BatchNormalization(), L.Dense(3, name="b")])
    model.compile("sgd", "mse")
    return model


def fit(callback: Any) -> keras.Model:
    model = make_model()
    model.fit(*arrays(), batch_size=8, epochs=2, verbose=0, callbacks=[callback])
    return model


TAKERS: dict[str, Callable[[Any], Any]] = {
    "prune": lambda data: kpl.prune(make_model(), 0.5, "taylor", data=data),
    "wanda": lambda data: kpl.prune(make_model(), 0.5, "wanda", data=data),
    "trajectory": lambda data: kpl.trajectory(make_model(), [0.5], "snip", data=data),
    "remove_filters": lambda data: kpl.remove_filters(make_model(), 0.5, score="taylor", data=data),
    "compact": lambda data: kpl.compact(make_model(), data),
    "fuse": lambda data: kpl.fuse(make_model(), data),
    "recalibrate": lambda data: kpl.recalibrate(make_model(), data),
    "Prune": lambda data: fit(kpl.callbacks.Prune(0.5, "taylor", data=data)),
    "RigL": lambda data: fit(kpl.callbacks.RigL(0.5, data, frequency=1)),
    "sweep": lambda data: kpl.sweep(make_model(), data, [0.5]),
    "score_data": lambda data: kpl.sweep(make_model(), arrays(), [0.5], "snip", calibration=data),
}


@pytest.fixture(params=TAKERS)
def take(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    return TAKERS[request.param]


class Endless(keras.utils.PyDataset):
    @property
    def num_batches(self) -> None:
        return None

    def __getitem__(self, index: int) -> tuple[Array, Array]:
        return arrays()


class Stream:
    """An iterable that does not tell its length, as a DataLoader of an IterableDataset."""

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        return itertools.repeat(arrays())


@pytest.mark.parametrize("kind", ["PyDataset", "function", "iterable", "tf.data", "unknown tf.data"])
def test_endless_data_is_refused(take: Callable[[Any], Any], kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_source, "MOST_BATCHES", 50)
    given: Any = {"PyDataset": Endless(), "function": lambda: itertools.repeat(arrays()), "iterable": Stream()}.get(
        kind
    )
    if given is None:
        tf = pytest.importorskip("tensorflow")
        given = tf.data.Dataset.from_tensor_slices(arrays()).batch(8).repeat()
        given = given.filter(lambda x, y: True) if kind == "unknown tf.data" else given
    with pytest.raises(kpl.InvalidDataError, match=r"^The data never ends: "):
        take(given)


@pytest.mark.parametrize("make", [lambda: iter([arrays()]), lambda: itertools.cycle([arrays()])])
def test_what_can_be_read_only_once_is_refused_unread(take: Callable[[Any], Any], make: Callable[[], Any]) -> None:
    given = make()
    with pytest.raises(kpl.InvalidDataError, match="can be read only once, and nobody can see whether it ends"):
        take(given)
    np.testing.assert_array_equal(next(given)[0], arrays()[0])


def test_all_forms_are_the_same_data(take: Callable[[Any], Any]) -> None:
    x, y = arrays()
    cut = [(x[:10], y[:10]), (x[10:], y[10:])]
    expected = outcome(take((x, y)))
    assert expected  # the test sees something
    for form in (Both(x, y), [x, y], (x.tolist(), y.tolist()), tuple(map(keras.ops.convert_to_tensor, (x, y)))):
        assert outcome(take(form)) == expected, type(form)
    batches = outcome(take(cut))  # a score that squares batch by batch depends on how they are cut
    for form in (lambda: iter(cut), lambda: cut, Pair(cut)):
        assert outcome(take(form)) == batches, type(form)


def test_batches_of_a_torch_loader_are_lists(take: Callable[[Any], Any]) -> None:
    torch = pytest.importorskip("torch")
    x, y = arrays()
    # It draws a number each time that it is read: not from the stream that shuffles in `fit`.
    own = torch.Generator()
    loader = torch.utils.data.DataLoader([*zip(x, y, strict=True)], batch_size=10, generator=own)
    assert isinstance(next(iter(loader)), list)
    assert outcome(take(loader)) == outcome(
        take([(x[start : start + 10], y[start : start + 10]) for start in (0, 10, 20)])
    )


class Pair(keras.utils.PyDataset):
    def __init__(self, cut: Any) -> None:
        super().__init__()
        self.cut = cut

    def __len__(self) -> int:
        return len(self.cut)

    def __getitem__(self, index: int) -> tuple[Array, Array]:
        return self.cut[index]


def outcome(result: Any) -> list[Any]:
    """What came out, in a form that can be compared."""
    if isinstance(result, keras.Model):
        return [np.round(weight.astype(np.float64), 4).tolist() for weight in result.get_weights()]
    if isinstance(result, kpl.SweepResult):
        table = result.table.drop(columns=[name for name in result.table if "second" in name])
        return table.round(5).fillna(-1).values.tolist()
    return [mask.tolist() for mask in result.masks(0).values()]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x, y: (x[:, :5], y), r"takes observations of shape \(6,\), but the data has 24 of shape \(5,\)"),
        (lambda x, y: (x[:0], y[:0]), r"(is empty|no observations)"),
        (lambda x, y: [(x[0], y[0]), (x[1], y[1])], "one observation without the axis of observations: batch the data"),
        (lambda x, y: lambda: iter(()), r"(is empty|no observations)"),
    ],
    ids=["width", "empty", "unbatched", "nothing returned"],
)
def test_what_does_not_fit_is_named(take: Callable[[Any], Any], make: Callable[..., Any], message: str) -> None:
    with pytest.raises(kpl.InvalidDataError, match=message):
        take(make(*arrays()))


def test_numbers_that_are_none_are_named(take: Callable[[Any], Any]) -> None:
    if take is TAKERS["RigL"]:
        pytest.skip("its first gradient comes after the first steps of training")
    x, y = arrays()
    x[3, 2] = np.nan
    with pytest.raises(kpl.InvalidDataError, match="inputs hold NaN or infinite numbers: leave those"):
        take((x, y))


def test_a_function_is_read_for_its_end_only_once() -> None:
    asked = []

    def batches() -> Iterator[tuple[Array, Array]]:
        asked.append(1)
        yield arrays()

    for number in range(3):
        kpl.prune(make_model(), 0.5, "wanda", data=batches)
        assert len(asked) == 2 + number


@pytest.mark.backends
@pytest.mark.parametrize(
    "take",
    [
        kpl.compact,
        kpl.fuse,
        kpl.recalibrate,
        lambda model, data: kpl.remove_filters(model, 0.5, calibration=data, reconstruct=True),
    ],
    ids=["compact", "fuse", "recalibrate", "remove_filters"],
)
def test_several_inputs_that_do_not_fit_are_named(take: Callable[[keras.Model, Any], Any]) -> None:
    one, other = keras.Input((4,), name="one"), keras.Input((4,), name="other")
    x = L.BatchNormalization()(L.Dense(6)(L.Concatenate()([one, other])))
    model = keras.Model([one, other], L.Dense(2)(L.ReLU()(x)), name="net")
    x = np.ones((20, 4), "float32")
    for given, message in (
        ([x, x[:, :3]], r"float32 \(\d+, 4\), float32 \(\d+, 3\) does not fit model 'net'"),
        (x, "does not fit model 'net'"),
        ({"one": x}, "does not fit model 'net'"),
        ([x, x[:5]], r"different lengths: \[5, 20\]"),
    ):
        with pytest.raises(kpl.InvalidDataError, match=message):
            take(model, given)


def test_keras_adds_a_last_axis_of_one() -> None:
    model = keras.Sequential([keras.Input((1,)), L.Dense(4)])
    x = np.arange(5, dtype=np.float32)
    one, other = (kpl.prune(model, 0.5, "wanda", data=each).get_weights()[0] for each in (x, x[:, None]))
    np.testing.assert_array_equal(one, other)


def test_a_list_of_several_inputs_and_labels() -> None:
    a, b = keras.Input((6,), name="a"), keras.Input((6,), name="b")
    keras.utils.set_random_seed(0)
    model = keras.Model([a, b], L.Dense(3)(L.Concatenate()([L.Dense(4)(a), L.Dense(4)(b)])))
    model.compile("sgd", "mse")
    x, y = arrays()
    forms = ([[x, 2 * x], y], ([x, 2 * x], y), [({"a": x, "b": 2 * x}, y)], ({"a": x, "b": 2 * x}, y))
    found = [kpl.prune(model, 0.5, "snip", data=form).get_weights() for form in forms]
    for one in found[1:]:
        for weight, other in zip(one, found[0], strict=True):
            np.testing.assert_array_equal(weight, other)


def test_inputs_and_outputs_that_go_by_one_name() -> None:
    entry = keras.Input((6,), name="x")
    keras.utils.set_random_seed(0)
    model = keras.Model({"x": entry}, {"y": L.Dense(3, name="y")(L.Dense(8)(entry))})
    model.compile("sgd", {"y": "mse"})
    x, y = arrays()
    weights = np.linspace(0, 1, len(x), dtype=np.float32)
    for data in (({"x": x}, {"y": y}, weights), ({"x": x}, {"y": y}, {"y": weights}), ({"x": x}, y, weights)):
        expected = model.evaluate(data[0], data[1], sample_weight=weights, verbose=0)
        for form in (data, [data]):
            result = kpl.sweep(model, form, [0.0])
            np.testing.assert_allclose(result.table["loss"].iloc[0], expected, rtol=1e-5)
    kpl.sweep(keras.Model([entry], L.Dense(3)(entry)), ([x], y), [0.0])  # one array in a list


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="the other backends have no strings")
def test_strings(tmp_path: Any) -> None:
    import tensorflow as tf

    texts = np.array(["a b c", "b c d", "d e \u00e9", "e f a"] * 6, object)
    labels = np.arange(24) % 4
    words = L.TextVectorization(20, output_sequence_length=4)
    words.adapt(texts)
    entry = keras.Input((), dtype="string")
    keras.utils.set_random_seed(0)
    hidden = L.GlobalAveragePooling1D()(L.Embedding(20, 8)(words(entry)))
    model = keras.Model(entry, L.Dense(4, "softmax")(L.Dense(8, "relu")(hidden)))
    model.compile("sgd", "sparse_categorical_crossentropy")
    tensors = tf.constant(texts)
    expected = float(np.mean(np.argmax(model(tensors), -1) == labels))
    batches = tf.data.Dataset.from_tensor_slices((tensors, labels)).batch(10)
    forms = ((texts, labels), (texts.astype(str), labels), (tensors, labels), batches)
    for number, data in enumerate(forms):
        result = kpl.sweep(model, data, [0.0, 0.5], "snip", store=tmp_path / f"store{number}")
        assert result.table["accuracy"].iloc[0] == pytest.approx(expected)
        kpl.compact(model, data)
    kpl.sweep(model, (texts.copy(), labels), [0.0, 0.5], "snip", store=tmp_path / "store0")  # goes on
    with pytest.raises(kpl.StoreMismatchError, match="the data"):
        kpl.sweep(model, (texts[::-1], labels), [0.0, 0.5], "snip", store=tmp_path / "store0")
    with pytest.raises(kpl.InvalidDataError, match="Inputs are numbers, but got an array of object"):
        kpl.sweep(make_model(), (np.full((4, 6), "a", object), np.zeros((4, 3))), [0.5])


def test_models_of_states_take_as_many_observations_as_they_have_states() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 4, 3)).astype(np.float32), rng.normal(size=(20, 2)).astype(np.float32)

    def make(count: int) -> keras.Model:
        keras.utils.set_random_seed(0)
        entry = keras.Input(batch_shape=(count, 4, 3))
        model = keras.Model(entry, L.Dense(2)(L.GRU(5, stateful=True)(entry)))
        model.compile("sgd", "mse")
        return model

    whole, parts = make(20), make(5)
    outputs = parts.predict(x[:5], verbose=0)
    result = kpl.sweep(parts, (x[:5], y[:5]), [0.0])  # its states begin at zero, whatever they are here
    assert result.table["rmse"].iloc[0] == pytest.approx(np.sqrt(np.mean((outputs - y[:5]) ** 2)), rel=1e-4)
    kpl.sweep(parts, (x, y), [0.0])
    parts.layers[1].reset_states()
    one, other = (kpl.prune(model, 0.5, "snip", calibration=(x, y)).get_weights() for model in (whole, parts))
    for weight, same in zip(one, other, strict=True):  # each batch begins with states of zero, as in `whole`
        np.testing.assert_array_equal(weight == 0, same == 0)
    kpl.prune(parts, 0.5, "wanda", calibration=x, exclude="*/recurrent_kernel")
    kpl.prune(parts, 0.5, reconstruct=True, calibration=x)
    kpl.compact(parts, (x, y))
    if keras.config.backend() != "torch":  # where Keras cannot fit a stateful layer, with callbacks or without
        parts.fit(x, y, batch_size=5, epochs=2, verbose=0, callbacks=[kpl.callbacks.RigL(0.5, (x, y), frequency=2)])
    for call in (
        lambda: kpl.sweep(parts, (x[:18], y[:18]), [0.5]),
        lambda: kpl.prune(parts, 0.5, "snip", data=(x[:18], y[:18])),
    ):
        with pytest.raises(
            kpl.InvalidDataError, match=r"takes 5 observations at a time: 18 are no multiple.*last 3 out"
        ):
            call()


def test_class_indices_with_an_axis_of_one_and_logits_of_two_classes() -> None:
    x, _ = arrays()
    keras.utils.set_random_seed(0)
    several, logits = (keras.Sequential([keras.Input((6,)), L.Dense(count)]) for count in (3, 1))
    labels = np.arange(24) % 3
    expected = np.mean(several.predict(x, verbose=0).argmax(-1) == labels)
    for form in (labels, labels[:, None]):
        assert kpl.sweep(several, (x, form), [0.0]).table["accuracy"].iloc[0] == pytest.approx(expected)
    with pytest.raises(kpl.InvalidDataError, match=r"BinaryAccuracy\(threshold=0\.0\)"):
        kpl.sweep(logits, (x, labels % 2), [0.0])
    logits.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
    metric = keras.metrics.BinaryAccuracy(threshold=0.0)
    result = kpl.sweep(logits, (x, (labels % 2).astype(float)), [0.0], metrics=[metric])
    expected = np.mean((logits.predict(x, verbose=0)[:, 0] > 0) == labels % 2)
    assert result.table["binary_accuracy"].iloc[0] == pytest.approx(expected)
