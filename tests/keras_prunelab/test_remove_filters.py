"""Which filters `remove_filters` takes, against scores by hand, and how far it goes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

import keras_prunelab as kpl
from keras_prunelab._channels._analysis import analyze
from keras_prunelab._compaction._build import cut
from keras_prunelab._cost._costs import cost

from .channel_masks import lively

pytestmark = pytest.mark.backends

L = keras.layers


def network() -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    x = L.Conv2D(8, 3, padding="same", name="stem")(inputs)
    x = L.BatchNormalization(name="norm")(x)
    y = L.Conv2D(12, 3, padding="same", activation="relu", name="wide")(L.ReLU()(x))
    y = L.Conv2D(8, 3, padding="same", name="back")(y)
    x = L.GlobalAveragePooling2D()(L.Add()([x, y]))
    return lively(keras.Model(inputs, L.Dense(4, name="last")(x), name="net"))


def weights(model: keras.Model, layer: str) -> list[np.ndarray]:
    return [np.array(keras.ops.convert_to_numpy(weight), np.float64) for weight in model.get_layer(layer).weights]


def kept(model: keras.Model, small: keras.Model, layer: str) -> list[int]:
    """Which filters of a layer whose input is whole are left, by their values."""
    before, after = weights(model, layer)[0], weights(small, layer)[0]
    rows = before.reshape(-1, before.shape[-1]).T
    return [int(np.abs(rows - row).sum(axis=1).argmin()) for row in after.reshape(-1, after.shape[-1]).T]


def best(scores: np.ndarray, count: int) -> list[int]:
    return sorted(np.argsort(scores)[-count:].tolist())


def sums(kernel: np.ndarray, power: int = 1, axis: int = -1) -> np.ndarray:
    return (np.abs(np.moveaxis(kernel, axis, 0)).reshape(kernel.shape[axis], -1) ** power).sum(axis=1)


@pytest.mark.parametrize("score", ["l1", "l2", "fpgm", "bn_scale", "group"])
def test_scores_of_coupled_filters(score: str) -> None:
    model = network()
    stem, back, wide, last = (weights(model, name) for name in ("stem", "back", "wide", "last"))
    norm = weights(model, "norm")
    expected = {
        "l1": sums(stem[0]) + sums(back[0]),
        "l2": sums(stem[0], 2) + sums(back[0], 2),
        "fpgm": sum(
            np.linalg.norm(rows[:, None] - rows, axis=-1).sum(axis=1)
            for rows in (np.moveaxis(each[0], -1, 0).reshape(8, -1) for each in (stem, back))
        ),
        "bn_scale": np.abs(norm[0]),
        "group": sums(stem[0], 2)
        + sums(back[0], 2)
        + sum(each**2 for each in (stem[1], back[1], norm[0], norm[1]))
        + sums(wide[0], 2, axis=-2)
        + sums(last[0], 2, axis=0),
    }[score]
    small = kpl.remove_filters(model, 0.5, score)
    assert kept(model, small, "stem") == best(expected, 4)
    assert small.get_layer("back").filters == 4
    assert small.get_layer("wide").filters == (12 if score == "bn_scale" else 6)
    assert small.output_shape == (None, 4)


def test_the_smaller_model_computes_what_its_filters_make() -> None:
    model = network()
    small = kpl.remove_filters(model, 0.5)
    names = ("stem", "wide", "back")
    stem = kept(model, small, "stem")
    inner = best(sums(weights(model, "wide")[0]), 6)
    expected = {
        "stem": weights(model, "stem")[0][..., stem],
        "wide": weights(model, "wide")[0][:, :, stem][..., inner],
        "back": weights(model, "back")[0][:, :, inner][..., stem],
    }
    for name in names:
        np.testing.assert_array_equal(weights(small, name)[0], expected[name])
    np.testing.assert_array_equal(weights(small, "last")[0], weights(model, "last")[0][stem])
    for whole, part in zip(weights(model, "norm"), weights(small, "norm"), strict=True):
        np.testing.assert_array_equal(part, whole[stem])


def test_taylor_by_hand() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(16, 5)).astype("float32"), rng.normal(size=(16, 1)).astype("float32")
    model = lively(keras.Sequential([keras.Input((5,)), L.Dense(6, name="hidden"), L.Dense(1, name="out")]))
    model.compile("sgd", "mse")
    (kernel, bias), (out, offset) = weights(model, "hidden"), weights(model, "out")
    slope = 2 * ((x @ kernel + bias) @ out + offset - y) / len(x)
    hidden = slope @ out.T
    score = ((kernel * (x.T @ hidden)) ** 2).sum(axis=0) + (bias * hidden.sum(axis=0)) ** 2
    small = kpl.remove_filters(model, 0.5, "taylor", data=(x, y))
    assert kept(model, small, "hidden") == best(score, 3)
    with pytest.raises(kpl.InvalidDataError):
        kpl.remove_filters(model, 0.5, "taylor")


@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize("goal", ["parameters", "macs", "bytes"])
def test_budgets_are_met_and_not_by_much(goal: str, scope: Any) -> None:
    def measured(model: keras.Model) -> int:
        found = kpl.metrics(model)
        return {"parameters": found.parameters, "macs": found.macs, "bytes": found.bytes_dense}[goal]

    model = network()
    small = kpl.remove_filters(model, budget={goal: 0.4}, scope=scope)
    assert 0.25 < measured(small) / measured(model) <= 0.4


def test_a_global_ranking_compares_with_the_mean_of_each_layer() -> None:
    model = lively(keras.Sequential([keras.Input((6,)), L.Dense(8, name="a"), L.Dense(8, name="b"), L.Dense(2)]))
    rows = []
    for name in ("a", "b"):
        scores = sums(weights(model, name)[0])
        rows += [(score / scores.mean(), name) for score in scores]
    gone = [name for _, name in sorted(rows)[:4]]
    small = kpl.remove_filters(model, 0.25, scope="global")
    assert [small.get_layer(name).units for name in ("a", "b")] == [8 - gone.count("a"), 8 - gone.count("b")]


def test_rounds_with_training_between() -> None:
    model = network()
    seen: list[int] = []
    small = kpl.remove_filters(
        model, 0.5, rounds=4, train=lambda each: seen.append(each.get_layer("wide").filters), exclude="stem"
    )
    assert seen == [11, 9, 8, 6] or seen == [10, 9, 7, 6] or seen == [11, 9, 7, 6]
    assert small.get_layer("wide").filters == 6
    assert small.get_layer("back").filters == 8  # coupled to the stem


def test_rounds_with_the_arguments_of_fit() -> None:
    model = network()
    fit = {"x": np.ones((4, 8, 8, 3)), "y": np.ones((4, 4)), "verbose": 0}
    with pytest.raises(kpl.InvalidModelError, match="not compiled"):
        kpl.remove_filters(model, 0.5, train=fit)
    model.compile("sgd", "mse")
    seen = []
    log = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs["loss"]))
    kpl.remove_filters(model, 0.5, rounds=2, train={**fit, "callbacks": [log]})
    assert len(seen) == 2


def test_an_accuracy_to_hold() -> None:
    model = network()
    sizes: list[int] = []

    def evaluate(small: keras.Model) -> float:
        sizes.append(small.get_layer("wide").filters)
        return sizes[-1] / 12

    small = kpl.remove_filters(model, budget={"accuracy": 0.6}, evaluate=evaluate)
    assert small.get_layer("wide").filters / 12 >= 0.6
    assert sizes[-1] / 12 < 0.6


def test_heads_go_as_a_whole() -> None:
    inputs = keras.Input((5, 8))
    attended = L.MultiHeadAttention(4, 3, name="attention")(inputs, inputs)
    model = lively(keras.Model(inputs, L.Dense(2)(attended)))
    small = kpl.remove_filters(model, 0.5)
    assert small.get_layer("attention").num_heads == 2
    assert small.get_layer("attention").key_dim == 3


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({}, kpl.InvalidSparsityError, "give one of them"),
        ({"fraction": 0.5, "budget": {"macs": 0.5}}, kpl.InvalidSparsityError, "give one of them"),
        ({"fraction": 1.0}, kpl.InvalidSparsityError, "in \\[0, 1\\)"),
        ({"fraction": 0.5, "score": "fame"}, kpl.UnknownNameError, "'fame' is unknown"),
        ({"fraction": 0.5, "scope": "erk"}, kpl.UnknownNameError, "'layer' or 'global'"),
        ({"fraction": 0.5, "rounds": 0}, kpl.InvalidSparsityError, "a whole number from 1"),
        ({"fraction": 0.5, "include": "nowhere"}, kpl.UnknownNameError, "matches no layer"),
        ({"fraction": 0.5, "include": "last"}, kpl.NothingToPruneError, "no filter that could go"),
        ({"budget": {"speed": 0.5}}, kpl.UnknownNameError, "a goal is"),
        ({"budget": {"accuracy": 0.5}}, kpl.UnknownNameError, "needs evaluate="),
    ],
)
def test_what_cannot_be_is_refused(arguments: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        kpl.remove_filters(network(), **arguments)


def test_bn_scale_needs_scales() -> None:
    model = keras.Sequential([keras.Input((4,)), L.Dense(4), L.Dense(2)])
    with pytest.raises(kpl.InvalidModelError, match="needs BatchNormalization"):
        kpl.remove_filters(model, 0.5, "bn_scale")


@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize("rounds", [2, 7, 50])
def test_rounds_end_where_one_does(scope: str, rounds: int) -> None:
    model = keras.Sequential([keras.Input((8,)), L.Dense(64), L.Dense(9), L.Dense(2)])
    once, often = (kpl.remove_filters(model, 0.3, rounds=each, scope=scope) for each in (1, rounds))
    counts = [[layer.units for layer in each.layers[:2]] for each in (once, often)]
    assert counts[0] == counts[1] if scope == "layer" else sum(counts[0]) == sum(counts[1]) == 51
    assert counts[0] == [45, 6] or scope == "global"


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_a_budget_of_multiply_adds_holds_with_attention(scope: str) -> None:
    inputs = keras.Input((32, 8))
    x = L.Dense(16)(inputs)
    model = lively(keras.Model(inputs, L.Dense(2)(L.MultiHeadAttention(4, 8)(x, x))))
    small = kpl.remove_filters(model, budget={"macs": 0.5}, scope=scope)
    assert kpl.metrics(small).macs <= 0.5 * kpl.metrics(model).macs


def test_a_budget_of_multiply_adds_counts_products_of_tensors() -> None:
    inputs = keras.Input((32, 8))
    scores = keras.ops.matmul(inputs, keras.ops.transpose(inputs, (0, 2, 1)))
    x = L.Dense(2)(L.Dense(64)(L.Concatenate()([keras.ops.matmul(scores, inputs), inputs])))
    model = lively(keras.Model(inputs, x))
    products, dense = 2 * 32 * 32 * 8, 32 * 64 * (16 + 2)
    assert kpl.metrics(model).macs == products + dense
    small = kpl.remove_filters(model, budget={"macs": 0.5})
    kept = int((0.5 * (products + dense) - products) // (dense // 64))
    assert small.layers[-2].units == kept


@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize("rounds", [1, 3])
def test_multiples_are_kept(scope: Any, rounds: int) -> None:
    sizes = (5, 16, 24, 40)
    layers = [L.Dense(size, name=f"of{size}") for size in sizes]
    model = lively(keras.Sequential([keras.Input((6,)), *layers, L.Dense(2)]))
    plain = kpl.remove_filters(model, 0.6, scope=scope, rounds=rounds)
    small = kpl.remove_filters(model, 0.6, scope=scope, rounds=rounds, multiple_of=8)
    for size in sizes:
        kept = plain.get_layer(f"of{size}").units
        units = small.get_layer(f"of{size}").units
        assert units in (size, *range(8, size, 8))
        if scope == "layer" or rounds == 1:  # later rounds rank what the earlier ones have left
            assert units == min(size, 8 * math.ceil(kept / 8))
    expected = best(sums(weights(model, "of16")[0]), small.get_layer("of16").units)
    np.testing.assert_array_equal(weights(small, "of16")[1], weights(model, "of16")[1][expected])


def test_multiples_within_a_budget_and_of_no_heads() -> None:
    inputs = keras.Input((32, 8))
    x = L.Dense(64, name="wide")(inputs)
    attended = L.MultiHeadAttention(4, 8, output_shape=24, name="attention")(x, x)
    model = lively(keras.Model(inputs, L.Dense(2)(attended)))
    for goal in ({"budget": {"macs": 0.5}}, {"fraction": 0.5}):
        small = kpl.remove_filters(model, **goal, multiple_of=16)
        assert small.get_layer("wide").units in (16, 32, 48)
        assert small.get_layer("attention").output_dense.kernel.shape[-1] in (16, 24)
    assert small.get_layer("attention").num_heads == 2
    within = kpl.remove_filters(model, budget={"macs": 0.5}, multiple_of=16)
    assert kpl.metrics(within).macs <= 0.5 * kpl.metrics(model).macs


def test_options_are_checked() -> None:
    with pytest.raises(TypeError, match=r"remove_filters has no option 'round'\. Did you mean 'rounds'\?"):
        kpl.remove_filters(network(), 0.5, round=3)
    with pytest.raises(kpl.InvalidSparsityError, match=r"multiple_of=0 is to be a whole number from 1\."):
        kpl.remove_filters(network(), 0.5, multiple_of=0)
    with pytest.raises(kpl.InvalidSparsityError, match=r"rounds=2\.5 is to be a whole number from 1\."):
        kpl.remove_filters(network(), 0.5, rounds=2.5)


def test_a_budget_out_of_reach() -> None:
    model = keras.Sequential([keras.Input((8, 8, 3)), L.Conv2D(16, 3), L.Flatten(), L.Dense(10)])
    with pytest.raises(kpl.NothingToPruneError, match=r"'macs': 0\.01.* cannot be reached.* 6\.2% of the macs remain"):
        kpl.remove_filters(model, budget={"macs": 0.01})


@pytest.mark.parametrize("rounds", [1, 2, 7])
def test_a_layer_that_is_down_to_one_still_counts(rounds: int) -> None:
    model = lively(keras.Sequential([keras.Input((8,)), L.Dense(2), L.Dense(3), L.Dense(64), L.Dense(2)]))
    small = kpl.remove_filters(model, 0.9, rounds=rounds, scope="global")
    assert sum(layer.units for layer in small.layers[:3]) == 69 - 62
    pair = keras.Sequential([keras.Input((8,)), L.Dense(2), L.Dense(3), L.Dense(2)])
    assert [layer.units for layer in kpl.remove_filters(pair, 0.6, rounds=rounds).layers[:2]] == [1, 1]


@pytest.mark.parametrize("rounds", [1, 4])
def test_heads_and_outputs_of_attention_count_by_themselves(rounds: int) -> None:
    inputs = keras.Input((5, 8))
    attended = L.MultiHeadAttention(4, 3, output_shape=16, name="attention")(inputs, inputs)
    small = kpl.remove_filters(lively(keras.Model(inputs, L.Dense(2)(attended))), 0.5, rounds=rounds)
    assert small.get_layer("attention").output_dense.kernel.shape == (2, 3, 8)


def attention(**options: Any) -> keras.Model:
    query, value = keras.Input((5, 8)), keras.Input((7, 6))
    x, y = L.Dense(16)(query), L.Dense(12)(value)
    x = L.MultiHeadAttention(4, 6, value_dim=6, **options, name="attention")(x, y)
    return keras.Model([query, value], L.Dense(2)(x))


def products() -> keras.Model:
    inputs = keras.Input((5, 8))
    x = L.Dense(6)(L.Dense(12)(inputs))
    x = L.Dense(10)(L.Attention()([x, x]))
    x = L.Dense(10)(L.EinsumDense("...x,xy->...y", output_shape=9)(x))
    return keras.Model(inputs, keras.ops.matmul(x, keras.ops.transpose(x, (0, 2, 1))))


def sequence() -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    x = L.SeparableConv2D(8, 3)(L.Conv2D(8, 3, groups=1, padding="same")(inputs))
    x = L.Conv2D(12, 3, groups=2)(x)
    x = L.LSTM(6, return_sequences=True)(L.Reshape((16, 12))(x))
    return keras.Model(inputs, L.Dense(2)(L.TimeDistributed(L.Dense(5))(x)))


@pytest.mark.parametrize("make", [network, attention, products, sequence])
def test_the_cost_is_that_of_the_model_that_is_built(make: Any) -> None:
    model, rng = lively(make()), np.random.default_rng(1)
    analysis = analyze(model)
    for share in (0, 0.2, 0.5, 0.9):
        gone = analysis.find_fixed_point(rng.random(analysis.stays.size) < share)
        small = cut(model, analysis, gone)
        assert share == 0 or small.count_params() < model.count_params()
        found = kpl.metrics(small)
        assert cost(analysis, gone, "macs") == found.macs
        assert cost(analysis, gone, "parameters") == found.parameters
        assert cost(analysis, gone, "bytes") == found.bytes_dense


def test_the_cost_of_fewer_heads() -> None:
    model = lively(attention(use_bias=False))
    analysis = analyze(model)
    site = next(each for each in analysis.sites if each.call.name == "attention")
    gone = np.zeros(analysis.stays.size, np.bool_)
    gone[analysis.labels[site.ports["heads"][:3]]] = True
    gone[analysis.labels[[*site.ports["keys"][:2], *site.ports["values"][:2]]]] = True
    small = cut(model, analysis, analysis.find_fixed_point(gone))
    layer = small.get_layer("attention")
    assert (layer.num_heads, layer.key_dim, layer.value_dim) == (1, 4, 4)
    before = 5 * 8 * 16 + 7 * 6 * 12 + 5 * 16 * 2
    expected = before + (5 * 16 + 7 * 12 + 7 * 12 + 5 * 16) * 4 + 5 * 7 * (4 + 4)
    assert cost(analysis, analysis.find_fixed_point(gone), "macs") == kpl.metrics(small).macs == expected


def test_a_budget_out_of_reach_is_found_before_anything_is_trained() -> None:
    model = keras.Sequential([keras.Input((8, 8, 3)), L.Conv2D(16, 3), L.Flatten(), L.Dense(10)])
    trained: list[keras.Model] = []
    with pytest.raises(kpl.NothingToPruneError, match="cannot be reached"):
        kpl.remove_filters(model, budget={"macs": 0.01}, rounds=3, train=trained.append)
    assert not trained
    assert kpl.remove_filters(model, budget={"macs": 0.063}).layers[0].filters == 1


ROWS: dict[str, Callable[[], list[Any]]] = {
    "group normalization": lambda: [L.Conv2D(32, 3, name="filters"), L.GroupNormalization(8)],
    "a convolution in groups": lambda: [L.Conv2D(32, 3, padding="same", groups=8, name="filters"), L.ReLU()],
    "both": lambda: [L.Conv2D(32, 3, padding="same", groups=4, name="filters"), L.GroupNormalization(8)],
}


@pytest.mark.parametrize("rounds", [1, 4])
@pytest.mark.parametrize("fraction", [0.25, 0.5, 0.75])
@pytest.mark.parametrize("name", ROWS)
def test_of_groups_that_stay_of_one_size_the_lowest_of_each_go(name: str, fraction: float, rounds: int) -> None:
    layers = [keras.Input((8, 8, 16)), *ROWS[name](), L.GlobalAveragePooling2D(), L.Dense(3)]
    model = lively(keras.Sequential(layers))
    small = kpl.remove_filters(model, fraction, rounds=rounds)
    keep = round(4 * (1 - fraction))
    assert small.get_layer("filters").filters == 8 * keep
    rows = np.argsort(sums(weights(model, "filters")[0]).reshape(8, 4), axis=1)
    expected = np.sort(rows[:, 4 - keep :] + 4 * np.arange(8)[:, None], axis=1).reshape(-1)
    np.testing.assert_array_equal(weights(small, "filters")[1], weights(model, "filters")[1][expected])


def test_units_of_both_directions_go_evenly() -> None:
    model = lively(keras.Sequential([keras.Input((5, 4)), L.Bidirectional(L.LSTM(8), name="both"), L.Dense(2)]))
    for fraction, left in ((0.25, 6), (0.5, 4)):
        assert kpl.remove_filters(model, fraction).get_layer("both").forward_layer.units == left


def test_others_go_for_a_filter_that_has_to_stay() -> None:
    inputs = keras.Input((6,))
    a, b, c = (L.Dense(size, name=name) for name, size in (("a", 8), ("b", 8), ("c", 16)))
    x = L.Add()([L.Concatenate()([a(inputs), b(inputs)]), c(inputs)])
    model = lively(keras.Model(inputs, L.Dense(2)(x)))
    for layer, scale in ((a, 1e-3), (c, 1.0)):
        kernel, bias = layer.get_weights()
        kernel[:, :8] *= scale
        layer.set_weights([kernel, bias])
    kernel, bias = c.get_weights()
    kernel[:, :8] *= 1e-3
    c.set_weights([kernel, bias])
    small = kpl.remove_filters(model, 0.5)
    assert [small.get_layer(name).units for name in "abc"] == [1, 7, 8]


@pytest.mark.parametrize("options", [{"rounds": 3}, {"scope": "global", "rounds": 2}])
def test_layers_as_filters_mean_the_same_in_every_round(options: Any) -> None:
    model = lively(keras.Sequential([keras.Input((8,)), L.Dense(16, name="a"), L.Dense(12, name="b"), L.Dense(2)]))
    small = kpl.remove_filters(model, 0.5, exclude=model.layers[0], **options)
    assert [layer.units for layer in small.layers] == [16, 6, 2]
    wrapped = kpl.layers.wrap(model, 0.5, granularity="channel")
    small = kpl.remove_filters(wrapped, 0.5, include=wrapped.layers[0], **options)
    assert [layer.units for layer in small.layers] == [8, 12, 2]


def test_an_accuracy_that_is_no_number() -> None:
    model = lively(keras.Sequential([keras.Input((4,)), L.Dense(8), L.Dense(2)]))
    small = kpl.remove_filters(model, budget={"accuracy": 0.9}, evaluate=lambda _: float("nan"))
    assert small is not model
    assert [layer.units for layer in small.layers] == [8, 2]
    trained: list[Any] = []
    for found in ([0.3, 0.9], {"accuracy": 0.9}, None):
        with pytest.raises(kpl.InvalidDataError, match=r"evaluate returned .* return_dict=True\)\['accuracy'\]"):
            kpl.remove_filters(
                model,
                budget={"accuracy": 0.9},
                evaluate=lambda _, found=found: found,  # type: ignore[misc,return-value]
                train=trained.append,
            )
    assert not trained


@pytest.mark.parametrize("score", ["l1", "fpgm", "group", "taylor"])
def test_frozen_layers_count_like_any_other(score: str) -> None:
    model = lively(keras.Sequential([keras.Input((4,)), L.Dense(8, name="h"), L.Dense(6), L.Dense(2)]))
    model.compile("sgd", "mse")
    model.get_layer("h").trainable = False
    data = (np.ones((8, 4), "float32"), np.ones((8, 2), "float32")) if score == "taylor" else None
    small = kpl.remove_filters(model, 0.5, score, data=data)
    assert [layer.units for layer in small.layers] == [4, 3, 2]
    assert not small.get_layer("h").trainable


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"fraction": "half"}, kpl.InvalidSparsityError, r"fraction='half' is to be a number in \[0, 1\)"),
        ({"budget": 0.5}, kpl.InvalidSparsityError, "give one of them"),
        ({"budget": {"macs": "x"}}, kpl.InvalidSparsityError, r"macs='x' is to be a number in \(0, 1\)"),
        ({"budget": {"macs": 1.0}}, kpl.InvalidSparsityError, r"macs=1\.0 is to be a number in \(0, 1\)"),
        ({"fraction": 0.5, "train": 3}, TypeError, "train=3 is to be a function of the model, or the arguments"),
        ({"fraction": 0.5, "score": "foo"}, kpl.UnknownNameError, "Of filters there are also 'l1', 'l2', 'fpgm'"),
    ],
)
def test_what_cannot_be_meant_is_said_at_once(arguments: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        kpl.remove_filters(network(), **arguments)


def test_a_model_without_filters() -> None:
    with pytest.raises(kpl.NothingToPruneError, match="has no filter that could go"):
        kpl.remove_filters(keras.Sequential([keras.Input((4,)), L.Dense(2)]), 0.5)


EVEN: dict[str, tuple[int, Callable[[], list[Any]], dict[float, int]]] = {
    "groups that do not nest": (
        24,
        lambda: [L.GroupNormalization(2), L.GroupNormalization(3)],
        {0.25: 18, 0.5: 12},
    ),
    "groups of 16 and 12": (48, lambda: [L.GroupNormalization(3), L.GroupNormalization(4)], {0.25: 36, 0.5: 24}),
    "a normalization and a convolution": (12, lambda: [L.GroupNormalization(3), L.Conv2D(8, 1, groups=2)], {0.5: 6}),
}


@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize("name", EVEN)
def test_two_ways_to_be_even(name: str, scope: Any) -> None:
    filters, make, expected = EVEN[name]
    layers = [keras.Input((6, 6, 3)), L.Conv2D(filters, 1, name="a"), *make()]
    model = lively(keras.Sequential([*layers, L.GlobalAveragePooling2D(), L.Dense(3)]))
    for fraction, left in expected.items():
        small = kpl.remove_filters(model, fraction, include="a", scope=scope)
        assert small.get_layer("a").filters == left


def test_what_cannot_be_even_is_left_alone() -> None:
    layers = [keras.Input((6, 6, 3)), L.Conv2D(96, 1, name="a"), L.GroupNormalization(32), L.Conv2D(6, 1, groups=3)]
    model = lively(keras.Sequential([*layers, L.GlobalAveragePooling2D(), L.Dense(3)]))
    left = kpl.remove_filters(model, 0.25, include="a").get_layer("a").filters
    assert abs(left - 72) <= 24  # and not as good as everything


@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize(("fraction", "rounds"), [(0.5, 1), (0.5, 3), (0.75, 3), (0.5, 2)])
def test_families_that_become_one_count_from_the_first_round(fraction: float, rounds: int, scope: Any) -> None:
    layers = [L.Conv2D(16, 1, name="a"), L.Conv2D(16, 3, groups=8, name="g"), L.Conv2D(32, 1, name="c")]
    model = lively(keras.Sequential([keras.Input((6, 6, 3)), *layers, L.GlobalAveragePooling2D(), L.Dense(3)]))
    small = kpl.remove_filters(model, fraction, rounds=rounds, scope=scope)
    left = [small.get_layer(name).filters for name in "agc"]
    if scope == "layer":
        # Of each group of two filters one can go, and then the groups as a whole.
        assert left[:2] == ([8, 8] if fraction == 0.5 or rounds == 1 else [4, 4])
        assert left[2] == 32 * (1 - fraction)
    else:
        assert abs(sum(left) - 64 * (1 - fraction)) <= 8


@pytest.mark.parametrize(("filters", "groups", "multiple"), [(18, 2, 3), (24, 3, 4), (24, 4, 6), (24, 3, 8)])
@pytest.mark.parametrize("fraction", [0.2, 0.3, 0.6])
def test_multiples_of_groups(filters: int, groups: int, multiple: int, fraction: float) -> None:
    layers = [L.Conv2D(filters, 1, name="a"), L.GroupNormalization(groups), L.GlobalAveragePooling2D(), L.Dense(3)]
    model = lively(keras.Sequential([keras.Input((4, 4, 3)), *layers]))
    left = kpl.remove_filters(model, fraction, multiple_of=multiple).get_layer("a").filters
    assert left == filters or left % math.lcm(multiple, groups) == 0
    plain = kpl.remove_filters(model, fraction).get_layer("a").filters
    assert plain <= left < plain + math.lcm(multiple, groups)


def test_exclude_leaves_tables_where_they_were() -> None:
    inputs = keras.Input((7,), dtype="int32")
    x = L.Embedding(20, 16, name="table")(inputs)
    x = L.GlobalAveragePooling1D()(L.Add()([x, L.Dense(16, name="d")(x)]))
    model = lively(keras.Model(inputs, L.Dense(3, name="out")(x)))
    for options in ({}, {"exclude": "out"}, {"include": ["table", "d"]}):
        small = kpl.remove_filters(model, 0.5, **options)  # type: ignore[arg-type]
        assert [small.get_layer("table").output_dim, small.get_layer("d").units] == [8, 8]
    with pytest.raises(kpl.NothingToPruneError):
        kpl.remove_filters(model, 0.5, exclude="table")
