from __future__ import annotations

import keras
import numpy as np
import pytest

import keras_prunelab as kpl

pytestmark = pytest.mark.backends

L = keras.layers


def built(*layers: keras.layers.Layer, shape: tuple[int | None, ...]) -> keras.Model:
    return keras.Sequential([keras.Input(shape), *layers])


def found(model: keras.Model, **options: object) -> list[str]:
    """The paths without the name of the model, which Sequential puts before them."""
    return [item.path.removeprefix(f"{model.name}/") for item in kpl.prunable(model, **options)]  # type: ignore[arg-type]


class Mixed(L.Layer):
    """A custom layer whose variables have names of its own."""

    def build(self, shape: tuple[int, ...]) -> None:
        self.mixing = self.add_weight(shape=(shape[-1], 3), name="mixing")
        self.offset = self.add_weight(shape=(3,), name="offset")

    def call(self, x: object) -> object:
        return keras.ops.matmul(x, self.mixing) + self.offset


def test_weights_are_kernels_wherever_they_are() -> None:
    inner = keras.Sequential([keras.Input((6,)), L.Dense(6, name="inside")], name="inner")
    x = inputs = keras.Input((5, 4))
    x = L.Bidirectional(L.LSTM(3, return_sequences=True), name="both_ways")(x)
    x = L.MultiHeadAttention(2, 3, name="attention")(x, x)
    x = L.TimeDistributed(inner, name="each")(x)
    x = L.LayerNormalization(name="norm")(x)
    model = keras.Model(inputs, Mixed(name="mixed")(x))
    items = kpl.prunable(model)
    names = [(item.within[0], item.variable.name) for item in items]
    assert names == [
        *[("both_ways", "kernel"), ("both_ways", "recurrent_kernel")] * 2,
        *[("attention", "kernel")] * 4,
        ("each", "kernel"),
        ("mixed", "mixing"),
    ]
    assert items.total == sum(int(np.prod(v.shape)) for v in model.trainable_variables if "kernel" in v.path) + 18
    assert items[8].within == ("each", "inner", "inside")
    assert items[8].layer == "inside"
    reasons = {skip.path.split("/")[-1]: skip.reason for skip in items.skipped}
    assert reasons["offset"].startswith("neither a kernel")
    assert reasons["gamma"].startswith("the scale of a normalization")


def test_all_learnables_are_all_trainable_variables() -> None:
    model = built(
        L.Conv2D(2, 3),
        L.BatchNormalization(),
        L.PReLU(),
        L.Flatten(),
        L.Dense(2, trainable=False),
        shape=(6, 6, 1),
    )
    items = kpl.prunable(model, learnables="all")
    assert [item.role for item in items] == ["kernel", "bias", "gamma", "beta", "other", "kernel", "bias"]
    assert {skip.reason for skip in items.skipped} == {"a state of its layer, not trained"}
    assert len(items) + len(items.skipped) == len(model.weights)


def test_embeddings_are_off_for_weights() -> None:
    model = built(L.Embedding(10, 4, name="words"), L.Dense(2, name="fc"), shape=(3,))
    assert found(model) == ["fc/kernel"]
    assert found(model, learnables="all", include="words") == ["words/embeddings"]


@pytest.mark.parametrize("by", ["name", "pattern", "class", "layer", "variable", "function"])
def test_embeddings_are_on_where_include_names_them(by: str) -> None:
    model = built(L.Embedding(10, 4, name="words"), L.Dense(2, name="fc"), shape=(3,))
    words = model.get_layer("words")
    filters: dict[str, object] = {
        "name": "words",
        "pattern": "wor*",
        "class": L.Embedding,
        "layer": words,
        "variable": words.embeddings,
        "function": lambda item: item.role == "embedding",
    }
    assert found(model, include=filters[by]) == ["words/embeddings"]
    assert found(model, include=[filters[by], "fc"]) == ["words/embeddings", "fc/kernel"]
    assert found(model, include=[filters[by], "fc"], exclude=words) == ["fc/kernel"]


def test_a_layer_around_an_embedding_does_not_name_it() -> None:
    inner = keras.Sequential([keras.Input((3,)), L.Embedding(10, 4, name="words"), L.Dense(2, name="fc")], name="inner")
    model = built(inner, shape=(3,))
    assert found(model, include=inner) == found(model, include="inner") == found(model)


def test_shared_layers_and_tied_variables_count_once() -> None:
    shared = L.Dense(4, name="shared")
    inputs = keras.Input((4,))
    model = keras.Model(inputs, shared(shared(inputs)))
    assert [item.size for item in kpl.prunable(model)] == [16]


def test_equal_paths_get_a_number() -> None:
    one, two = (keras.Sequential([keras.Input((2,)), L.Dense(2, name="fc")], name="twin") for _ in range(2))

    class Renamed(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = one, two

        def call(self, x: object) -> object:
            return self.two(self.one(x))

    model = Renamed()
    model(np.ones((1, 2), "float32"))
    first, second = [item.path for item in kpl.prunable(model)]
    assert second == f"{first}#2"


@pytest.mark.parametrize(
    ("layer", "shape", "axes"),
    [
        (L.Dense(3), (4,), ("input", "output")),
        (L.Conv1D(3, 2), (8, 4), ("space", "input", "output")),
        (L.Conv2D(3, 2), (8, 8, 4), ("space", "space", "input", "output")),
        (L.Conv2DTranspose(3, 2), (8, 8, 4), ("space", "space", "output", "input")),
        (L.DepthwiseConv2D(2), (8, 8, 4), ("space", "space", "output", "output")),
        (L.EinsumDense("abc,cde->abde", (None, 2, 3)), (5, 4), ("input", "output", "output")),
    ],
)
def test_axes(layer: keras.layers.Layer, shape: tuple[int, ...], axes: tuple[str, ...]) -> None:
    (item,) = kpl.prunable(built(layer, shape=shape))
    assert item.axes == axes
    assert item.output_axes == tuple(index for index, axis in enumerate(axes) if axis == "output")


FILTERED = [
    ("conv1", ["conv1/kernel"]),
    ("conv*", ["conv1/kernel", "conv2/kernel"]),
    ("*/kernel", ["conv1/kernel", "conv2/kernel", "fc/kernel"]),
    (L.Conv2D, ["conv1/kernel", "conv2/kernel"]),
    ([L.Dense, "conv2"], ["conv2/kernel", "fc/kernel"]),
    (lambda item: item.size > 20, ["conv2/kernel", "fc/kernel"]),
]


def small() -> keras.Model:
    return built(
        L.Conv2D(2, 3, name="conv1"),
        L.Conv2D(3, 2, name="conv2"),
        L.Flatten(),
        L.Dense(2, name="fc"),
        shape=(6, 6, 1),
    )


@pytest.mark.parametrize(("chosen", "paths"), FILTERED)
def test_include_and_exclude(chosen: object, paths: list[str]) -> None:
    model = small()
    everything = found(model)
    assert found(model, include=chosen) == paths
    rest = [path for path in everything if path not in paths]
    if rest:
        assert found(model, exclude=chosen) == rest
    else:
        with pytest.raises(kpl.NothingToPruneError, match="matches exclude="):
            kpl.prunable(model, exclude=chosen)  # type: ignore[arg-type]


def test_objects_as_filters() -> None:
    model = small()
    assert found(model, include=model.layers[0]) == ["conv1/kernel"]
    assert found(model, exclude=[model.layers[0].kernel, model.layers[3]]) == ["conv2/kernel"]


def test_a_layer_stands_for_what_is_inside_it() -> None:
    inputs = keras.Input((5, 4))
    attended = L.MultiHeadAttention(2, 3, name="attention")(inputs, inputs)
    model = keras.Model(inputs, L.Dense(2, name="fc")(attended))
    assert found(model, exclude="attention") == ["fc/kernel"]
    assert len(found(model, include=L.MultiHeadAttention)) == 4


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"include": "conv9"},
            kpl.UnknownNameError,
            "include='conv9' matches no layer .* are: conv1, conv2, fc",
        ),
        ({"exclude": L.Dense(1, name="alien")}, kpl.UnknownNameError, "exclude='alien' matches no layer"),
        ({"include": 3}, kpl.UnknownNameError, "include holds 3 of type int"),
        ({"include": L.LSTM}, kpl.NothingToPruneError, "not among what include= names"),
        ({"learnables": "biases"}, kpl.UnknownNameError, "it is 'weights' or 'all'"),
    ],
)
def test_filters_that_find_nothing(options: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        kpl.prunable(small(), **options)  # type: ignore[arg-type]


def test_models_that_cannot_be_pruned() -> None:
    with pytest.raises(kpl.InvalidModelError, match="'raw' is not built"):
        kpl.prunable(keras.Sequential([L.Dense(2)], name="raw"))
    with pytest.raises(kpl.InvalidModelError, match=r"A keras.Model was expected, not Dense"):
        kpl.prunable(L.Dense(2))
    with pytest.raises(kpl.NothingToPruneError, match="the model has no variables"):
        kpl.prunable(built(L.ReLU(), shape=(2,)))


def test_values_that_are_not_finite_are_refused() -> None:
    model = small()
    model.layers[0].bias.assign(np.array([np.nan, 1], "float32"))
    kpl.prunable(model).values()
    with pytest.raises(kpl.InvalidModelError, match="conv1/bias has 1 values that are NaN or infinite"):
        kpl.prunable(model, learnables="all").values()


def test_values_are_copies() -> None:
    model = small()
    item = kpl.prunable(model)[0]
    before = item.value()
    item.variable.assign(np.zeros(item.shape))
    assert before.any()


def test_quantized_kernels_are_skipped_with_their_reason() -> None:
    model = small()
    model.layers[3].quantize("int8")
    items = kpl.prunable(model)
    assert [item.layer for item in items] == ["conv1", "conv2"]
    assert "fc" in {skip.layer for skip in items.skipped}


def test_half_precision_values_come_as_float32() -> None:
    model = built(L.Dense(2, dtype="float16"), shape=(3,))
    assert kpl.prunable(model)[0].value().dtype == np.float32


def test_a_trained_matrix_that_is_called_a_mean_is_a_kernel() -> None:
    class Bayesian(L.Layer):
        def build(self, shape: tuple[int, ...]) -> None:
            self.kernel_mean = self.add_weight(shape=(shape[-1], 3), name="kernel_mean")

        def call(self, x: object) -> object:
            return keras.ops.matmul(x, self.kernel_mean)

    model = keras.Sequential([keras.Input((4,)), Bayesian(), L.BatchNormalization()])
    assert [(item.variable.name, item.role) for item in kpl.prunable(model)] == [("kernel_mean", "kernel")]
