from __future__ import annotations

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import keras_prunelab as kpl
from keras_prunelab import scores

pytestmark = pytest.mark.backends

L = keras.layers


def dense_net(*, seed: int = 0) -> keras.Model:
    keras.utils.set_random_seed(seed)
    layers = [keras.Input((6,)), L.Dense(5, activation="relu", name="one"), L.Dense(3, name="two")]
    return keras.Sequential(layers, name="net")


def context(model: keras.Model, **options: object) -> scores.ScoreContext:
    found = kpl.prunable(model, learnables="all")
    return scores.ScoreContext(model, found, found.values(), **options)  # type: ignore[arg-type]


def flow_of_dense_net(model: keras.Model, gain: float = 1.0) -> list[np.ndarray]:
    """SynFlow of two dense layers with a ReLU between, whose input is all ones, by hand."""
    w1, b1, w2, b2 = (np.abs(v.numpy().astype(np.float64)) for v in model.trainable_variables)
    hidden = w1.sum(axis=0) + b1
    back = w2.sum(axis=1) * gain
    return [w1 * back, b1 * back, w2 * hidden[:, None] * gain, b2 * gain]


def test_magnitude_is_the_absolute_value() -> None:
    given = context(dense_net())
    for path, score in scores.Magnitude()(given).items():
        assert_array_equal(score, np.abs(given.values[path]))


def test_random_depends_on_seed_and_position_only() -> None:
    one, again = scores.Random(3)(context(dense_net())), scores.Random(3)(context(dense_net(seed=9)))
    other = scores.Random(4)(context(dense_net()))
    assert_array_equal(one["net/one/kernel"], np.random.default_rng([3, 0]).random((6, 5)))
    for path in one:
        assert_array_equal(one[path], again[path])
        assert not np.array_equal(one[path], other[path])


def test_synflow_of_two_dense_layers() -> None:
    model = dense_net()
    for score, expected in zip(scores.SynFlow()(context(model)).values(), flow_of_dense_net(model), strict=True):
        assert_allclose(score, expected, rtol=1e-5)


def test_synflow_sums_all_outputs_of_nested_models() -> None:
    body = dense_net()
    head = keras.Sequential([keras.Input((3,)), L.Softmax()], name="head")
    inputs = keras.Input((6,))
    features = body(inputs)
    model = keras.Model(inputs, {"chances": head(features), "scores": L.Activation("sigmoid")(features)})
    for score, expected in zip(
        scores.SynFlow()(context(model)).values(), flow_of_dense_net(body, gain=2.0), strict=True
    ):
        assert_allclose(score, expected, rtol=1e-5)


def test_synflow_leaves_the_model_as_it_was() -> None:
    model = keras.Sequential([keras.Input((4,)), L.Dense(3), L.BatchNormalization(), L.Dense(2, activation="softmax")])
    nodes = [len(layer._inbound_nodes) for layer in model.layers]
    before, config = model.get_weights(), model.get_config()
    kpl.trajectory(model, [0.2, 0.8], "synflow", convention="matlab")
    for one, other in zip(model.get_weights(), before, strict=True):
        assert_array_equal(one, other)
    assert model.get_config() == config
    assert [len(layer._inbound_nodes) for layer in model.layers] == nodes


class Failing(L.Layer):
    fails = False

    def call(self, x: object) -> object:
        if self.fails:
            raise RuntimeError("no")
        return x


def test_synflow_leaves_the_model_as_it_was_after_an_error() -> None:
    failing = Failing()
    last = L.Dense(2, activation="softmax")
    model = keras.Sequential([keras.Input((4,)), L.Dense(3), failing, last])
    before = model.get_weights()
    failing.fails = True
    with pytest.raises(RuntimeError, match="no"):
        kpl.trajectory(model, [0.5], "synflow")
    assert last.activation is keras.activations.softmax
    for one, other in zip(model.get_weights(), before, strict=True):
        assert_array_equal(one, other)


def test_synflow_fills_open_dimensions_and_integer_inputs() -> None:
    inputs = keras.Input((None,), dtype="int32")
    x = L.Embedding(5, 4, name="words")(inputs)
    x = L.GlobalAveragePooling1D()(x)
    model = keras.Model(inputs, L.Dense(3, name="fc")(x))
    found = scores.SynFlow()(context(model))
    words, kernel = (
        np.abs(model.get_layer("words").embeddings.numpy()),
        np.abs(model.get_layer("fc").kernel.numpy()),
    )
    expected = np.zeros((5, 4))
    expected[1] = words[1] * kernel.sum(axis=1)  # an all-ones input is word 1 throughout
    assert_allclose(found["words/embeddings"], expected, rtol=1e-5)


def test_synflow_passes_through_recurrent_layers() -> None:
    inputs = keras.Input((None, 2))
    model = keras.Model(inputs, L.Dense(3)(L.LSTM(4)(inputs)))
    assert all((score > 0).any() for path, score in scores.SynFlow()(context(model)).items() if "kernel" in path)


class Subclassed(keras.Model):
    def __init__(self, last: keras.layers.Layer, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.one, self.two, self.last = L.Dense(5, activation="relu"), L.Dense(3), last

    def call(self, x: object) -> object:
        return self.last(self.two(self.one(x)))


def test_synflow_of_a_subclassed_model() -> None:
    data = np.random.default_rng(0).random((2, 6)).astype("float32")
    model = Subclassed(L.Activation("softmax"))
    model(data)
    for given in (context(model), context(model, data=data), context(model, data=(data, np.zeros(2)))):
        for score, expected in zip(scores.SynFlow()(given).values(), flow_of_dense_net(model), strict=True):
            assert_allclose(score, expected, rtol=1e-5)


def test_synflow_of_a_subclassed_model_with_a_softmax_layer_is_refused() -> None:
    model = Subclassed(L.Softmax())
    model(np.zeros((1, 6), "float32"))
    with pytest.raises(kpl.InvalidModelError, match="let the model return logits"):
        scores.SynFlow()(context(model, flow="as built"))
    for score, expected in zip(scores.SynFlow()(context(model)).values(), flow_of_dense_net(model), strict=True):
        assert_allclose(score, expected, rtol=1e-5)  # the linear network has no softmax


def test_synflow_that_overflows_says_what_to_do() -> None:
    model = keras.Sequential([keras.Input((4,)), *(L.Dense(4, kernel_initializer=_huge) for _ in range(4))])
    with pytest.raises(kpl.InvalidModelError, match=r"overflow float32.*convention='paper'"):
        kpl.trajectory(model, [0.5], "synflow", convention="matlab")
    assert kpl.trajectory(model, [0.5], scores.SynFlow(2)).zeros(0) == 32


@pytest.mark.parametrize("bias", [0.0, 1e4])
def test_synflow_where_float64_overflows_too(bias: float) -> None:
    """40 layers of 1e8: the scores are those of the same network with smaller weights, times one number."""

    def chain(scale: float) -> keras.Model:
        model = keras.Sequential([keras.Input((3,)), *(L.Dense(3) for _ in range(40))])
        random = np.random.default_rng(4)
        for layer in model.layers:
            layer.set_weights([scale * random.uniform(0.5, 1, (3, 3)), np.zeros(3)])
        return model

    large, small = chain(1e8), chain(0.5)
    if bias:
        large.layers[0].bias.assign(np.full(3, bias))
        small.layers[0].bias.assign(np.full(3, bias * 0.5 / 1e8))
    found = [scores.SynFlow()(context(model)) for model in (large, small)]
    ratios = [
        one[other != 0] / other[other != 0] for one, other in zip(*(each.values() for each in found), strict=True)
    ]
    assert all(np.isfinite(ratio).all() for ratio in ratios)
    np.testing.assert_allclose(np.concatenate([ratio.ravel() for ratio in ratios]) / ratios[0][0], 1, rtol=1e-4)


def _huge(shape: tuple[int, ...], dtype: str) -> object:
    return 1e12 * keras.ops.ones(shape, dtype)


class Squared(scores.Score):
    name = "squared"

    def __init__(self, power: int = 2) -> None:
        self.power = power

    def __call__(self, context: scores.ScoreContext) -> dict[str, np.ndarray]:
        return {path: np.abs(value) ** self.power for path, value in context.values.items()}

    def get_config(self) -> dict[str, int]:
        return {"power": self.power}


def negative(context: scores.ScoreContext) -> dict[str, np.ndarray]:
    return {path: -np.abs(value) for path, value in context.values.items()}


@pytest.mark.parametrize("score", [scores.Magnitude(), scores.Random(5), scores.SynFlow(7)])
def test_scores_survive_the_trio(score: scores.Score) -> None:
    again = scores.deserialize(scores.serialize(score))
    assert again == score
    assert scores.get(scores.serialize(score)) == score
    assert scores.get(score) is score
    assert repr(again) == repr(score)


def test_get() -> None:
    assert scores.get("synflow") == scores.SynFlow(100)
    assert scores.get(scores.Random) == scores.Random(0)
    assert scores.get(Squared) == Squared(2) != Squared(3)
    assert scores.get(negative).name == "negative"
    with pytest.raises(
        kpl.UnknownNameError,
        match="'tailor' is unknown; it is one of 'magnitude', 'random', 'synflow', 'linear_synflow', 'snip'",
    ):
        scores.get("tailor")
    with pytest.raises(kpl.UnknownNameError, match="score=3 of type int is no score"):
        scores.get(3)  # type: ignore[arg-type]


def test_scores_of_ones_own_can_be_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = scores._registry._SCORES
    monkeypatch.setattr(registry, "_classes", dict(registry._classes))
    with pytest.raises(kpl.UnknownNameError, match="its class is not registered"):
        scores.serialize(Squared())
    assert scores.register(Squared) is Squared
    assert scores.get("squared") == Squared(2)
    assert scores.deserialize(scores.serialize(Squared(3))) == Squared(3)


def test_a_function_is_a_score() -> None:
    model = dense_net()
    pruned = kpl.prune(model, 0.5, negative)
    kernel = np.concatenate([np.abs(layer.kernel.numpy()).ravel() for layer in model.layers])
    kept = np.concatenate([layer.kernel.numpy().ravel() for layer in pruned.layers])
    assert np.abs(kept[kept != 0]).max() <= np.abs(kernel[kept == 0]).min()
