"""N:M, blocks, kernels and channels, against the definitions written out as loops."""

from __future__ import annotations

import itertools
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import keras_prunelab as kpl
from keras_prunelab._select import _granularity
from keras_prunelab._select._selection import select

from .sparsity_by_hand import count_by_hand, sparsities

L = keras.layers
Array = NDArray[Any]


def model_of(*layers: Any, shape: tuple[int, ...]) -> keras.Model:
    return keras.Sequential([keras.Input(shape), *layers])


def masks_of(model: keras.Model, scores: list[Array], sparsity: float, **options: Any) -> list[Array]:
    found = kpl.prunable(model)
    by_path = {item.path: score for item, score in zip(found, scores, strict=True)}
    return list(select(found, by_path, sparsity, **options).values())


def random_scores(model: keras.Model, seed: int = 0) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [rng.random(item.shape) for item in kpl.prunable(model)]


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (L.Dense(6), (8,)),
        (L.Conv1D(5, 3), (9, 8)),
        (L.Conv2D(5, (3, 2)), (9, 9, 4)),
        (L.Conv3D(2, 2), (4, 4, 4, 4)),
        (L.Conv2DTranspose(3, 2), (4, 4, 8)),
        (L.EinsumDense("abc,cde->abde", output_shape=(None, 3, 2)), (5, 8)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, L.Layer) else "",
)
def test_two_of_four_along_the_inputs(layer: Any, shape: tuple[int, ...]) -> None:
    model = model_of(layer, shape=shape)
    (item,) = kpl.prunable(model)
    (score,) = random_scores(model)
    (mask,) = masks_of(model, [score], 0.5, granularity="2:4")
    axis = item.axes.index("input")
    rows, kept = np.moveaxis(score, axis, -1), np.moveaxis(mask, axis, -1)
    for place in np.ndindex(rows.shape[:-1]):
        for start in range(0, rows.shape[-1], 4):
            four = rows[place][start : start + 4]
            expected = four >= np.sort(four)[2]
            np.testing.assert_array_equal(kept[place][start : start + 4], expected)


@given(sparsity=sparsities(highest=0.5), seed=st.integers(0, 5))
def test_on_the_way_to_two_of_four_the_count_is_exact_and_the_best_stay(sparsity: float, seed: int) -> None:
    model = DENSE
    score = np.random.default_rng(seed).integers(0, 6, (8, 6)).astype(float)  # with ties
    (mask,) = masks_of(model, [score], sparsity, granularity="2:4")
    assert np.count_nonzero(~mask) == count_by_hand(sparsity, 48)
    assert (mask.reshape(2, 4, 6).sum(axis=1) >= 2).all()
    gone, kept = score[~mask], score.reshape(2, 4, 6)
    (half,) = masks_of(model, [score], 0.5, granularity="2:4")
    candidates = np.sort(score[~half])
    np.testing.assert_array_equal(np.sort(gone), candidates[: len(gone)])
    assert kept.shape == (2, 4, 6)


DENSE = model_of(L.Dense(6), shape=(8,))


def test_several_input_axes_run_together() -> None:
    model = model_of(L.EinsumDense("abc,bcd->ad", output_shape=(3,)), shape=(2, 6))
    (score,) = random_scores(model)
    (mask,) = masks_of(model, [score], 0.75, granularity="1:4")
    flat, kept = score.reshape(12, 3), mask.reshape(12, 3)
    for column, start in itertools.product(range(3), range(0, 12, 4)):
        four = flat[start : start + 4, column]
        np.testing.assert_array_equal(kept[start : start + 4, column], four == four.max())


def test_an_axis_that_does_not_divide_is_named_with_the_mend() -> None:
    first, second = L.Conv2D(4, 3, name="first"), L.DepthwiseConv2D(3, name="depthwise")
    model = model_of(first, L.Conv2D(8, 3, name="fine"), second, shape=(16, 16, 3))
    with pytest.raises(
        kpl.InvalidSparsityError, match=r"first/kernel \(3 inputs\).*depthwise.*\(no inputs\)"
    ) as raised:
        kpl.prune(model, 0.5, granularity="2:4")
    exclude = [item.path for item in kpl.prunable(model, exclude="fine")]
    assert f"exclude={exclude!r}" in str(raised.value)
    assert kpl.sparsity(kpl.prune(model, 0.5, granularity="2:4", exclude=exclude), include="fine") == 0.5


def test_more_than_n_of_m_allows_is_refused() -> None:
    with pytest.raises(kpl.InvalidSparsityError, match=r"0.75 is out of reach: .* from 0 to 0.5"):
        kpl.prune(DENSE, 0.75, granularity="2:4")


@pytest.mark.parametrize("given_as", [(2, 3), "2x3"])
def test_blocks_of_a_matrix(given_as: Any) -> None:
    score = np.random.default_rng(3).random((8, 6))
    (mask,) = masks_of(DENSE, [score], 0.5, granularity=given_as)
    sums = {
        (row, column): score[2 * row : 2 * row + 2, 3 * column : 3 * column + 3].sum()
        for row in range(4)
        for column in range(2)
    }
    gone = sorted(sums, key=sums.__getitem__)[:4]
    for row, column in np.ndindex(8, 6):
        assert mask[row, column] == ((row // 2, column // 3) not in gone)


def test_blocks_at_an_edge_are_smaller() -> None:
    model = model_of(L.Dense(5), shape=(5,))
    score = np.ones((5, 5))
    score[4, 4] = 0.9  # a block of one weight
    score[4, :4] = 0.2  # a block of 1 x 4, with the sum 0.8
    (mask,) = masks_of(model, [score], 4 / 25, granularity="4x4")
    assert list(zip(*np.nonzero(~mask), strict=True)) == [(4, 0), (4, 1), (4, 2), (4, 3)]


def test_blocks_of_a_convolution_lie_at_each_position() -> None:
    model = model_of(L.Conv2D(4, 3), shape=(8, 8, 4))
    (score,) = random_scores(model)
    (mask,) = masks_of(model, [score], 0.5, granularity=(2, 2))
    blocks = score.reshape(3, 3, 2, 2, 2, 2).sum(axis=(3, 5))
    expected = blocks > np.sort(blocks.reshape(-1))[blocks.size // 2 - 1]
    np.testing.assert_array_equal(mask, expected[:, :, :, None, :, None].repeat(2, 3).repeat(2, 5).reshape(3, 3, 4, 4))


def test_kernels_go_with_all_positions() -> None:
    model = model_of(L.Conv2D(4, 3), shape=(8, 8, 5))
    (score,) = random_scores(model)
    (mask,) = masks_of(model, [score], 0.4, granularity="kernel")
    sums = score.sum(axis=(0, 1))
    expected = sums > np.sort(sums.reshape(-1))[8 - 1]
    np.testing.assert_array_equal(mask, np.broadcast_to(expected, (3, 3, 5, 4)))


@pytest.mark.parametrize("norm", [1, 2])
def test_channels_by_l1_and_l2(norm: int) -> None:
    model = model_of(L.Conv2D(8, 3), shape=(8, 8, 5))
    pruned = kpl.prune(model, 0.5, score=kpl.scores.Magnitude(norm=norm), granularity="channel", scope="layer")
    kernel = np.array(model.layers[0].kernel)
    norms = np.linalg.norm(kernel.reshape(-1, 8), ord=norm, axis=0)
    gone = np.argsort(norms)[:4]
    zero = ~np.array(pruned.layers[0].kernel).any(axis=(0, 1, 2))
    np.testing.assert_array_equal(np.flatnonzero(zero), np.sort(gone))


def test_channels_of_each_kernel_of_a_layer_are_ranked_among_themselves() -> None:
    """Those of a depthwise kernel, with nine weights each, would all go before those of the pointwise one."""
    model = model_of(L.SeparableConv2D(8, 3, name="separable"), shape=(8, 8, 16))
    pruned = kpl.prune(model, 0.5, granularity="channel", scope="layer")
    depthwise, pointwise = (item.value() for item in kpl.prunable(pruned))
    assert np.count_nonzero(depthwise.any(axis=(0, 1, 3))) == 8
    assert np.count_nonzero(pointwise.any(axis=(0, 1, 2))) == 4


def test_one_channel_of_each_layer_stays() -> None:
    model = model_of(L.Dense(4, name="weak"), L.Dense(50, name="strong"), shape=(6,))
    scores = [np.full((6, 4), 0.001), np.random.default_rng(0).random((4, 50))]
    weak, strong = masks_of(model, scores, 0.9, granularity="channel")
    assert weak.any(axis=0).sum() == 1
    assert strong.any(axis=0).sum() >= 1
    with pytest.raises(kpl.InvalidSparsityError, match="out of reach"):
        kpl.prune(model_of(L.Dense(1), shape=(6,)), 0.5, granularity="channel")


@pytest.mark.parametrize("layer", [L.Dense(4, kernel_initializer="ones"), L.Conv1D(4, 2, kernel_initializer="ones")])
def test_of_equal_channels_the_last_one_stays(layer: Any) -> None:
    """Those that stand first go first, and so the one that has to stay is the last."""
    pruned = kpl.prune(model_of(layer, shape=(6, 3)), 0.75, granularity="channel")
    (item,) = kpl.prunable(pruned)
    assert item.value().any(axis=tuple(range(len(item.shape) - 1))).tolist() == [False, False, False, True]


@pytest.mark.parametrize("best", range(5))
@pytest.mark.parametrize("norm", [1, 2])
def test_the_channel_that_stays_is_the_best(best: int, norm: int) -> None:
    totals = np.array([4.0, 3.0, 2.0, 1.0, 3.5])
    totals[best] = 9
    model, score = model_of(L.Dense(5), shape=(6,)), np.tile(totals, (6, 1))
    (mask,) = masks_of(model, [score], 0.8, granularity="channel", norm=norm)
    assert mask.any(axis=0).tolist() == [place == best for place in range(5)]


def test_a_norm_of_one_is_a_sum_and_signs_count() -> None:
    """As for scores that may be negative, such as those of a Taylor expansion: what hurts and what helps cancel."""
    score = np.array([[5.0, 1.0, 3.0], [-5.0, 1.0, 3.0]])
    model = model_of(L.Dense(3), shape=(2,))
    for norm, goes in ((1, 0), (2, 1)):  # sums 0, 2, 6; norms 7.1, 1.4, 4.2
        (mask,) = masks_of(model, [score], 1 / 3, granularity="channel", norm=norm)
        assert np.flatnonzero(~mask.any(axis=0)).tolist() == [goes]


@pytest.mark.parametrize("granularity", ["kernel", "3x4", "weight"])
def test_all_of_a_layer_may_go_where_no_channels_are_asked_for(granularity: str) -> None:
    model = model_of(L.Dense(4, name="weak"), L.Dense(50, name="strong"), shape=(6,))
    scores = [np.full((6, 4), 0.001), np.random.default_rng(0).random((4, 50)) + 1]
    weak, _ = masks_of(model, scores, 0.5, granularity=granularity)
    assert not weak.any()


def test_blocks_where_an_axis_is_missing_are_cut_along_the_others() -> None:
    """A bias has outputs and no inputs, and MATLAB's example prunes it too."""
    found = kpl.prunable(model_of(L.Dense(6), shape=(8,)), include="*/bias", learnables="all")
    scores = {found[0].path: np.array([6.0, 5, 1, 2, 4, 3])}
    (mask,) = select(found, scores, 1 / 3, granularity=(4, 2)).values()
    assert mask.tolist() == [True, True, False, False, True, True]


def test_of_n_the_ones_that_are_gone_are_none() -> None:
    """With negative scores too: the best two of those that are kept stay, one of four being gone already."""
    found = kpl.prunable(DENSE)
    score = -np.tile(np.array([[1.0], [2.0], [3.0], [4.0]]), (2, 6)) * [10, 1, 10, 1, 10, 1]
    kept = {found[0].path: np.tile(np.array([[False], [True], [True], [True]]), (2, 6))}
    (mask,) = select(found, {found[0].path: score}, 0.5, granularity="2:4", kept=kept).values()
    np.testing.assert_array_equal(mask, np.tile(np.array([[False], [True], [True], [False]]), (2, 6)))


def test_whole_units_come_as_close_as_they_can() -> None:
    model = model_of(L.Dense(4), L.Dense(4), shape=(10,))  # channels of 10 and of 4 weights: 56
    scores = [np.tile([1.0, 2, 3, 4], (10, 1)), np.tile([0.1, 5, 6, 7], (4, 1))]
    for target, expected in ((0, 0), (1, 0), (2, 4), (8, 4), (9, 14), (14, 14), (20, 24)):
        masks = masks_of(model, scores, target / 56, granularity="channel")
        assert sum(np.count_nonzero(~mask) for mask in masks) == expected


def test_heads_are_channels_with_their_dimensions() -> None:
    inputs = keras.Input((5, 8))
    model = keras.Model(inputs, L.MultiHeadAttention(2, 4, name="attention")(inputs, inputs))
    pruned = kpl.prune(model, 0.25, granularity="channel", scope="layer")
    query = next(item for item in kpl.prunable(pruned) if "query" in item.path)
    assert query.shape == (8, 2, 4)
    assert np.count_nonzero(~query.value().any(axis=0)) == 2


def test_what_is_gone_stays_gone_and_counts() -> None:
    score = np.random.default_rng(3).random((8, 6))
    found = kpl.prunable(DENSE)
    kept = {found[0].path: np.random.default_rng(4).random((8, 6)) > 0.3}
    for granularity, sparsity in (("weight", 0.6), ("2:4", 0.45), ("4x3", 0.6), ("channel", 0.6)):
        masks = select(found, {found[0].path: score}, sparsity, granularity=granularity, kept=kept)
        (mask,) = masks.values()
        assert not (mask & ~kept[found[0].path]).any()
        if granularity in ("weight", "2:4"):
            assert np.count_nonzero(~mask) == max(count_by_hand(sparsity, 48), np.count_nonzero(~kept[found[0].path]))
    again = select(found, {found[0].path: score}, 0.1, kept=kept)
    np.testing.assert_array_equal(again[found[0].path], kept[found[0].path])


@pytest.mark.parametrize("wrong", ["4:2", "2:2", "0:4", "0x4", "row", 3, (2, 2, 2), ("a", 2), None])
def test_unknown_granularities_are_refused(wrong: Any) -> None:
    with pytest.raises(kpl.UnknownNameError, match=r"granularity=.* is unknown; it is 'weight'"):
        _granularity.get(wrong)


@pytest.mark.parametrize("name", ["weight", "2:4", "4x4", "kernel", "channel"])
def test_granularities_say_their_name(name: str) -> None:
    assert str(_granularity.get(name)) == name
    assert _granularity.get(_granularity.get(name)) == _granularity.get(name)


def test_filters_are_channels() -> None:
    score = random_scores(DENSE)
    by_name = (masks_of(DENSE, score, 0.5, granularity=name)[0] for name in ("filter", "channel"))
    np.testing.assert_array_equal(*by_name)


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_rounds_keep_the_granularity(scope: Any) -> None:
    """SynFlow scores what is left anew in each round, and each round goes by whole fours and limits too."""
    model = model_of(L.Dense(6), L.Dense(4), shape=(12,))
    wide, narrow = kpl.prunable(model, exclude=model.layers[1]), kpl.prunable(model)
    masks = kpl.trajectory(model, [0.25, 0.5], "synflow", granularity="2:4", scope=scope, prunables=wide)
    for level, zeros in enumerate((18, 36)):
        mask = masks.masks(level)[wide[0].path]
        assert np.count_nonzero(~mask) == zeros
        assert (mask.reshape(3, 4, 6).sum(axis=1) >= 2).all()
    limited = kpl.trajectory(model, [0.5], "synflow", scope=kpl.Allocation("global", protect="last")).masks(0)
    assert [np.count_nonzero(~limited[item.path]) for item in narrow] == [48, 0]


def test_a_sweep_takes_a_granularity() -> None:
    rng = np.random.default_rng(0)
    data = rng.normal(size=(20, 8)).astype(np.float32), rng.integers(0, 6, 20)
    result = kpl.sweep(DENSE, data, [0.0, 0.25, 0.5], granularity="2:4")
    assert result.table["sparsity"].tolist() == [0.0, 0.25, 0.5]
    assert result.metadata["granularity"] == "2:4"
    with pytest.raises(kpl.UnknownNameError, match="prunes single weights"):
        kpl.sweep(DENSE, data, [0.5], granularity="2:4", convention="matlab")
