from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import keras_prunelab as kpl
from keras_prunelab import scores

from .sparsity_by_hand import count_by_hand, sparsities

L = keras.layers
LEVELS = [0.0, 0.3, 0.5, 0.55, 0.9, 0.99]


def model() -> keras.Model:
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            L.Conv2D(4, 3, activation="relu", name="conv"),
            L.BatchNormalization(),
            L.Flatten(),
            L.Dense(5, activation="softmax", name="fc"),
        ]
    )


NET = model()  # read only


@given(
    levels=st.lists(sparsities(), min_size=1, max_size=6),
    score=st.sampled_from(["magnitude", "random"]),
)
def test_every_level_has_its_exact_count(levels: list[float], score: str) -> None:
    found = kpl.trajectory(NET, levels, score)
    assert found.sparsities == tuple(sorted(set(levels)))
    for index, sparsity in enumerate(found.sparsities):
        count = count_by_hand(sparsity, found.total)
        assert found.zeros(index) == found.masks(index).zeros == count


@pytest.mark.parametrize("score", ["magnitude", scores.SynFlow(rounds=5)])
@pytest.mark.parametrize("convention", ["paper", "matlab"])
def test_layer_scope_prunes_each_layer_alike(score: scores.ScoreLike, convention: str) -> None:
    found = kpl.trajectory(NET, [0.5, 0.8], score, scope="layer", convention=convention)
    for index, sparsity in enumerate(found.sparsities):
        masks = found.masks(index)
        for name in ("conv", "fc"):
            of_layer = kpl.MaskSet({path: mask for path, mask in masks.items() if f"/{name}/" in path})
            # Biases start at zero and tie with nothing else, so both rules come to the same count.
            assert of_layer.zeros == count_by_hand(sparsity, of_layer.total)


@pytest.mark.parametrize("convention", ["paper", "matlab"])
@pytest.mark.parametrize("score", ["magnitude", "random", "synflow"])
def test_masks_are_nested_where_they_should_be(score: str, convention: str) -> None:
    found = kpl.trajectory(NET, LEVELS, scores.SynFlow(3) if score == "synflow" else score, convention=convention)
    if (score, convention) == ("synflow", "paper"):
        assert [found.zeros(level) for level in range(len(LEVELS))] == [
            count_by_hand(sparsity, found.total) for sparsity in LEVELS
        ]
        return
    for level in range(1, len(LEVELS)):
        assert found.masks(level) | found.masks(level - 1) == found.masks(level - 1)


def test_exact_ties_and_one_score_a_level() -> None:
    rules = kpl.Convention("mixed", learnables="all", ties="exact", rescoring="levels", source="this test")
    found = kpl.trajectory(NET, LEVELS, "synflow", convention=rules)
    assert [found.zeros(level) for level in range(len(LEVELS))] == [
        count_by_hand(sparsity, found.total) for sparsity in LEVELS
    ]
    assert found.masks(4) | found.masks(3) == found.masks(3)
    assert found.convention == "mixed"


@pytest.mark.parametrize("score", ["magnitude", "synflow"])
def test_progress_is_told(score: str) -> None:
    told: list[tuple[int, int]] = []
    kpl.trajectory(NET, LEVELS, score, convention="matlab", on_level=lambda *done: told.append(done))
    assert told == [(level, 6) for level in range(1, 7)]


def test_levels_are_counted_from_both_ends() -> None:
    found = kpl.trajectory(NET, LEVELS)
    assert len(found) == 6
    assert found.zeros(-1) == found.zeros(5)
    assert found.masks(-1) == found.masks(5)
    for outside in (6, -7):
        with pytest.raises(IndexError, match=f"no level {outside}"):
            found.masks(outside)


def test_a_gradient_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    original = scores._synflow.gradients
    monkeypatch.setattr(
        scores._synflow, "gradients", lambda *given, **named: made.append(given) or original(*given, **named)
    )
    kpl.trajectory(NET, np.linspace(0, 0.98, 30), "synflow", convention="matlab")
    assert len(made) == 1


def wrong_shape(context: scores.ScoreContext) -> dict[str, np.ndarray]:
    return {path: np.zeros(3) for path in context.values}


def missing_path(context: scores.ScoreContext) -> dict[str, np.ndarray]:
    return {}


def not_finite(context: scores.ScoreContext) -> dict[str, np.ndarray]:
    return {path: value / 0 * 0 for path, value in context.values.items()}


def below_zero(context: scores.ScoreContext) -> dict[str, np.ndarray]:
    return {path: value - 10 for path, value in context.values.items()}


class Hungry(scores.Score):
    name = "hungry"
    needs_labels = True

    def __call__(self, context: scores.ScoreContext) -> dict[str, np.ndarray]:
        assert context.data is not None
        return {path: np.abs(value) for path, value in context.values.items()}


@pytest.mark.filterwarnings("ignore:.*encountered in divide:RuntimeWarning")  # meant by not_finite
@pytest.mark.filterwarnings("ignore:.*encountered in multiply:RuntimeWarning")  # meant by not_finite
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"score": wrong_shape}, kpl.InvalidDataError, r"'wrong_shape' must return .* it returned \(3,\)"),
        ({"score": missing_path}, kpl.InvalidDataError, "it returned nothing"),
        ({"score": not_finite}, kpl.InvalidModelError, "'not_finite' gave NaN or infinite"),
        ({"score": below_zero, "convention": "matlab"}, kpl.InvalidDataError, "'below_zero' is negative"),
        ({"score": Hungry}, kpl.InvalidDataError, r"give data=\(inputs, labels\)"),
        ({"scope": "block"}, kpl.UnknownNameError, "scope='block' is unknown"),
        ({"convention": "octave"}, kpl.UnknownNameError, "convention='octave' is unknown"),
        ({"sparsities": [0.5, 2]}, kpl.InvalidSparsityError, "write 0.02 for 2 %"),
    ],
)
def test_errors(options: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        kpl.trajectory(NET, **{"sparsities": [0.5], **options})  # type: ignore[arg-type]


def test_data_reaches_the_score() -> None:
    assert kpl.trajectory(NET, 0.5, Hungry, data=(np.zeros(1), np.zeros(1))).score == "hungry"
