"""What layers see while a model runs, against what NumPy says they see; and layers solved with it."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

import keras_prunelab as kpl
from keras_prunelab import _errors
from keras_prunelab._reconstruct import _statistics
from keras_prunelab._reconstruct._gram import Gram
from keras_prunelab._reconstruct._layers import rank_layer, solve_layer
from keras_prunelab._reconstruct._rules import flat_weights
from keras_prunelab._reconstruct._share import masks_at
from keras_prunelab._reconstruct._statistics import collect, find_layers, matrix_bytes

from .reconstruct_by_hand import least_squares

pytestmark = pytest.mark.backends

L = keras.layers
Array = NDArray[Any]


def numbers(*shape: int, seed: int = 1) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def with_ones(rows: Array) -> Array:
    flat = rows.reshape(-1, rows.shape[-1]).astype(np.float64)
    return np.concatenate([flat, np.ones((len(flat), 1))], axis=1)


def mean_products(rows: Array) -> Array:
    return rows.T @ rows / len(rows)


def check(found: Any, rows: Array) -> None:
    assert found.samples == len(rows)
    np.testing.assert_allclose(found.grams[0][0].matrix, mean_products(rows), rtol=1e-4, atol=1e-5)


def collected(model: keras.Model, data: Any, **options: Any) -> list[Any]:
    layers, _ = find_layers(model)
    return list(collect(model, data, layers, **options))


@pytest.mark.parametrize("size", [3, 100])
def test_a_sequence_of_layers(size: int) -> None:
    model = keras.Sequential([keras.Input((5,)), L.Dense(6, "relu"), L.Dropout(0.5), L.Dense(4)])
    inputs = numbers(10, 5)
    first, second = collected(model, (inputs, np.zeros(10)), size=size)
    kernel, bias, *_ = model.get_weights()
    check(first, with_ones(inputs))
    check(second, with_ones(np.maximum(inputs @ kernel + bias, 0)))


def test_a_shared_layer_adds_up_its_calls() -> None:
    shared = L.Dense(4)
    one, two = keras.Input((4,)), keras.Input((4,))
    model = keras.Model([one, two], L.add([shared(one), shared(shared(two))]))
    first, second = numbers(6, 4), numbers(6, 4, seed=2)
    (found,) = collected(model, [([first, second], None)])
    again = second @ shared.get_weights()[0] + shared.get_weights()[1]
    check(found, with_ones(np.concatenate([first, second, again])))


def test_a_layer_that_is_given_its_input_by_name() -> None:
    inputs = keras.Input((4, 3))
    model = keras.Model(inputs, L.Dense(2)(inputs=L.SimpleRNN(5)(sequences=inputs)))
    first, second = collected(model, numbers(10, 4, 3))
    assert first.samples == 40
    check(second, with_ones(np.asarray(keras.ops.convert_to_numpy(model.layers[1](numbers(10, 4, 3))))))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
@pytest.mark.parametrize("kind", [L.LSTM, L.GRU, L.SimpleRNN])
def test_the_states_of_cells_in_other_precisions(kind: Any, policy: str) -> None:
    if policy == "float64" and keras.config.backend() == "jax":
        pytest.skip("JAX has no double precision unless it is told to before anything else")
    inputs = keras.Input((4, 3), dtype="float64" if policy == "float64" else "float32")
    cells = kind(5, return_sequences=True, dtype=policy)
    model = keras.Model(inputs, L.EinsumDense("abc,cd->ad", 2, bias_axes="d", dtype=policy)(cells(inputs)))
    x = numbers(20, 4, 3)
    first, second = collected(model, x)
    states = np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(cells(x), "float32")), np.float64)
    before = np.concatenate([np.zeros((20, 1, 5)), states[:, :-1]], axis=1)
    near = 1e-5 if policy == "float64" else 3e-2
    for found, rows in ((first, np.concatenate([x, before], axis=-1)), (second, states.sum(axis=1))):
        wanted = mean_products(with_ones(rows))
        np.testing.assert_allclose(found.grams[0][0].matrix, wanted, rtol=near, atol=near)


def test_nested_models_and_layers_at_each_time() -> None:
    inner = keras.Sequential([keras.Input((3,)), L.Dense(2)])
    model = keras.Sequential([keras.Input((5, 3)), L.TimeDistributed(inner), L.TimeDistributed(L.Dense(4))])
    inputs = numbers(6, 5, 3)
    first, second = collected(model, inputs)
    check(first, with_ones(inputs))
    kernel, bias, *_ = model.get_weights()
    check(second, with_ones(inputs @ kernel + bias))


def test_both_directions_with_a_mask() -> None:
    model = keras.Sequential([keras.Input((4, 3)), L.Masking(), L.Bidirectional(L.SimpleRNN(2))])
    inputs = numbers(5, 4, 3)
    inputs[0, 2:] = 0
    inputs[3, 3:] = 0
    counts = inputs.any(axis=-1)
    both = collected(model, inputs)
    assert sorted(each.layer.go_backwards for each in both) == [False, True]
    for found in both:
        back = found.layer.go_backwards
        kernel, recurrent, bias = found.layer.get_weights()
        rows = []
        for sequence, own in zip(inputs, counts, strict=True):
            h = np.zeros(2)
            for x in sequence[own][:: -1 if back else 1]:
                rows.append(np.concatenate([x, h, [1]]))
                h = np.tanh(x @ kernel + h @ recurrent + bias)
        check(found, np.array(rows))


@pytest.mark.parametrize("attention", [lambda: L.MultiHeadAttention(2, 3), lambda: L.GroupQueryAttention(3, 2, 1)])
def test_the_projections_of_attention(attention: Any) -> None:
    query, value = keras.Input((4, 6)), keras.Input((3, 6))
    model = keras.Model([query, value], attention()(query, value))
    inputs = [numbers(5, 4, 6), numbers(5, 3, 6, seed=2)]
    found = {each.layer.name: each for each in collected(model, [(inputs, None)])}
    check(found["query"], with_ones(inputs[0]))
    check(found["key"], with_ones(inputs[1]))
    check(found["value"], with_ones(inputs[1]))
    assert found["attention_output"].grams[0][0].inputs == 2 * 3 + 1


def test_what_has_no_rule_is_listed_with_its_reason() -> None:
    model = keras.Sequential(
        [keras.Input((4,)), L.Embedding(9, 3), L.LSTM(2), L.BatchNormalization(), L.Dense(2), L.PReLU()]
    )
    layers, reasons = find_layers(model)
    assert [type(layer) for layer in layers] == [L.LSTM, L.Dense]
    assert [path.split("/")[-1].split("_")[0] for path in reasons] == ["embedding", "batch", "p"]
    assert all("no rule" in reason for reason in reasons.values())


def test_the_limit_only_changes_how_often_the_model_runs() -> None:
    model = keras.Sequential([keras.Input((5,)), L.Dense(6, "relu"), L.Dense(4), L.Dense(2)])
    inputs = numbers(40, 5)
    layers, _ = find_layers(model)
    assert matrix_bytes(layers[0]) == 2 * 8 * 36  # H and its inverse
    whole = collected(model, inputs)
    for limit in (0, 8 * (36 + 49)):
        for one, other in zip(whole, collected(model, inputs, limit=limit), strict=True):
            assert one.layer is other.layer
            np.testing.assert_array_equal(one.grams[0][0].matrix, other.grams[0][0].matrix)


def test_a_pruned_model_is_seen_beside_the_whole_one() -> None:
    model = keras.Sequential([keras.Input((5,)), L.Dense(6, "relu"), L.Dense(4)])
    pruned = keras.models.clone_model(model)
    pruned.set_weights([each * (np.random.default_rng(0).random(each.shape) < 0.5) for each in model.get_weights()])
    inputs = numbers(40, 5)
    first, second = collected(model, inputs, pruned=pruned)
    check(first, with_ones(inputs))
    ours, theirs = (with_ones(np.maximum(inputs @ w[0] + w[1], 0)) for w in (model.get_weights(), pruned.get_weights()))
    check(second, theirs)
    np.testing.assert_allclose(second.grams[0][0].cross, theirs.T @ ours / 40, rtol=1e-4, atol=1e-5)


def test_a_layer_is_solved_and_ranked_through_its_maps() -> None:
    model = keras.Sequential([keras.Input((7, 7, 2)), L.Conv2D(4, 3, activation="relu"), L.Flatten(), L.Dense(3)])
    inputs = np.cumsum(numbers(60, 7, 7, 2), axis=1)  # neighbours are alike, so that they make up for each other
    for found in collected(model, inputs):
        old = flat_weights(found.layer)
        costs, removals = rank_layer(found, 0.5)
        assert {each.method for each in removals} == {"exact"}
        (mask,) = masks_at([costs], 0.8)
        kernel = old.size - found.layer.get_weights()[1].size
        assert np.count_nonzero(~mask) == round(0.8 * kernel)
        assert mask[kernel:].all()
        new, (solution,) = solve_layer(found, mask)
        assert new.dtype == old.dtype
        assert not new[~mask].any()
        assert (new[mask & (old != 0)] != 0).all()
        assert solution.after.sum() < 0.8 * solution.before.sum()
    hidden = keras.ops.convert_to_numpy(keras.Model(model.inputs[0], model.layers[1].output)(inputs))
    rows, places = with_ones(np.asarray(hidden)), found.maps[0].places[0]
    for column in places.T:
        weights = old[column].astype(np.float64)
        expected = least_squares(rows, rows @ weights, weights, mask[column], 0.01)
        np.testing.assert_allclose(new[column], expected, rtol=2e-3, atol=1e-4)


def test_the_model_is_as_it_was() -> None:
    model = keras.Sequential([keras.Input((5,)), L.Dense(6)])
    before = model.get_weights()
    collected(model, numbers(4, 5))
    assert all("call" not in vars(layer) for layer in model._flatten_layers())
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_bad_input_is_refused() -> None:
    model = keras.Sequential([keras.Input((5,)), L.Dense(6), L.Dense(2)])
    with pytest.raises(_errors.InvalidDataError):
        collected(model, numbers(0, 5))
    wrong = numbers(4, 5)
    wrong[1, 2] = np.nan
    with pytest.raises(_errors.InvalidDataError):
        collected(model, wrong)
    other = keras.Sequential([keras.Input((5,)), L.Dense(6), L.Dense(3)])
    with pytest.raises(_errors.InvalidModelError, match="no copy"):
        collected(model, numbers(4, 5), pruned=other)
    assert all("call" not in vars(layer) for layer in model._flatten_layers())


@pytest.mark.parametrize(("ours", "theirs"), [(1, 2), (2, 1), (1, 3)])
def test_a_copy_that_calls_a_shared_layer_more_or_less_often_is_refused(ours: int, theirs: int) -> None:
    def repeated(times: int) -> keras.Model:
        inputs, shared = keras.Input((5,)), L.Dense(5)
        outputs = inputs
        for _ in range(times):
            outputs = shared(outputs)
        return keras.Model(inputs, outputs)

    model, pruned = repeated(ours), repeated(theirs)
    layers, _ = find_layers(model)
    with pytest.raises(_errors.InvalidModelError, match=f"called {ours} times in the unpruned model, but"):
        list(collect(model, numbers(40, 5), layers, pruned=pruned))
    with pytest.raises(_errors.InvalidModelError, match="no copies of each other"):
        kpl.reconstruct(pruned, model, numbers(40, 5))


@pytest.mark.parametrize("parts", [[40], [1] * 40, [7, 0, 33], [1100, 3000, 1]])
@pytest.mark.parametrize("inputs", [1, 6])
def test_rows_are_summed_however_they_come(parts: list[int], inputs: int) -> None:
    random = np.random.default_rng(0)
    rows = [random.normal(size=(count, inputs)).astype(np.float32) for count in parts]
    others = [each[:, ::-1] + 1 for each in rows]
    gram = Gram(inputs)
    for number, (each, other) in enumerate(zip(rows, others, strict=True)):
        gram.add(each, other)
        if number % 3 == 0:  # looking at a matrix under way changes nothing
            assert gram.matrix.shape == (inputs, inputs)
    whole, beside = (np.concatenate(each).astype(np.float64) for each in (rows, others))
    np.testing.assert_allclose(gram.matrix, whole.T @ whole / len(whole), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(gram.cross, whole.T @ beside / len(whole), rtol=1e-12, atol=1e-14)
    assert gram.samples == len(whole)


def test_the_inverse_is_that_of_the_rows_so_far() -> None:
    gram, rows = Gram(4), numbers(60, 4).astype(np.float64)
    for part in (rows[:30], rows[30:]):
        gram.add(part)
        pulled = gram.matrix + 0.1 * np.trace(gram.matrix) / 4 * np.eye(4)
        np.testing.assert_allclose(gram.inverse(0.1) @ pulled, np.eye(4), atol=1e-10)
    assert gram.inverse(0.1) is gram.inverse(0.1)
    assert not np.allclose(gram.inverse(0.1), gram.inverse(0.2))


def test_as_many_observations_run_at_once_as_their_rows_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    model = keras.Sequential([keras.Input((8, 8, 1)), L.Conv2D(2, 3), L.Flatten(), L.Dense(2)])
    images = numbers(12, 8, 8, 1)
    layers, _ = find_layers(model)
    expected = [each.grams[0][0].matrix for each in collect(model, images, layers, size=12)]
    sizes: list[int] = []
    run = _statistics.call_on
    monkeypatch.setattr(_statistics, "call_on", lambda model, batch: (sizes.append(len(batch)), run(model, batch))[1])
    monkeypatch.setattr(_statistics, "_ROWS", 5 * 36 * 10 * 8)  # five times 36 positions of 9 inputs and a bias
    found = [each.grams[0][0].matrix for each in collect(model, images, layers)]
    assert sizes == [1, 5, 5, 2]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
