from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.testing import assert_array_equal

from keras_prunelab import InvalidMaskError, MaskSet

pytestmark = pytest.mark.backends

MASKS = st.dictionaries(st.text(min_size=1), arrays(np.bool_, array_shapes(min_dims=0, max_dims=3)), max_size=4)


def model() -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4, name="one"), keras.layers.Dense(2, name="two")], name="net"
    )


def some() -> MaskSet:
    return MaskSet({"a": np.array([True, False, False]), "b": np.array([[True], [True]])})


def test_counts() -> None:
    masks = some()
    assert (masks.zeros, masks.total, masks.sparsity, masks.density) == (2, 5, 0.4, 0.6)
    assert repr(masks) == "<MaskSet of 2 variables: 2 of 5 weights pruned (40.00%)>"
    assert MaskSet({}).sparsity == 0


def test_it_cannot_be_changed() -> None:
    given = np.array([True, False])
    masks = MaskSet({"a": given})
    given[:] = False
    assert masks["a"].tolist() == [True, False]
    with pytest.raises(ValueError, match="read-only"):
        masks["a"][0] = False
    assert not hasattr(masks, "__setitem__")


def test_combination() -> None:
    other = MaskSet({"a": np.array([True, True, False]), "c": np.array([False])})
    both, either = some() & other, some() | other
    assert {path: mask.tolist() for path, mask in both.items()} == {
        "a": [True, False, False],
        "b": [[True], [True]],
        "c": [False],
    }
    assert {path: mask.tolist() for path, mask in either.items()} == {
        "a": [True, True, False],
        "b": [[True], [True]],
        "c": [True],
    }
    with pytest.raises(InvalidMaskError, match=r"shapes \(3,\) and \(1,\)"):
        some() & MaskSet({"a": np.array([True])})


def test_equality_is_by_value() -> None:
    assert some() == some()
    assert some() != MaskSet({"a": some()["a"]})
    assert some() != MaskSet({"a": ~some()["a"], "b": some()["b"]})
    assert some() != {"a": some()["a"], "b": some()["b"]}


def test_apply_writes_positive_zeros_and_nothing_else() -> None:
    net = model()
    before = [weight.numpy() for weight in net.weights]
    path = net.weights[0].path
    mask = np.random.default_rng(0).random((3, 4)) < 0.5
    MaskSet({path: mask}).apply(net)
    after = [weight.numpy() for weight in net.weights]
    assert_array_equal(after[0][mask], before[0][mask])
    assert_array_equal(after[0][~mask], 0)
    assert not np.signbit(after[0][~mask]).any()
    for one, other in zip(after[1:], before[1:], strict=True):
        assert_array_equal(one, other)
    assert MaskSet.from_zeros(net)[path].tolist() == mask.tolist()


def test_masks_that_do_not_fit_leave_the_model_as_it_was() -> None:
    net = model()
    before = net.get_weights()
    good = {net.weights[0].path: np.zeros((3, 4), bool)}
    with pytest.raises(InvalidMaskError, match=r"no variable 'three/kernel'; it has '.*one/kernel'"):
        MaskSet({**good, "three/kernel": np.zeros((1,), bool)}).apply(net)
    with pytest.raises(InvalidMaskError, match=r"has shape \(1,\), but .* shape \(4, 2\)"):
        MaskSet({**good, net.weights[2].path: np.zeros((1,), bool)}).apply(net)
    for one, other in zip(net.get_weights(), before, strict=True):
        assert_array_equal(one, other)


def test_masks_are_boolean() -> None:
    with pytest.raises(InvalidMaskError, match="'a' is of type float64; masks are boolean"):
        MaskSet({"a": np.ones(3)})  # type: ignore[dict-item]


@given(masks=MASKS)
def test_saved_masks_load_again(masks: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("masks") / "masks.npz"
    MaskSet(masks).save(path)
    assert MaskSet.load(path) == MaskSet(masks)
    assert list(path.parent.iterdir()) == [path]


def test_a_saved_file_has_one_bit_a_weight(tmp_path: Path) -> None:
    random = np.random.default_rng(0).random((1000, 80)) < 0.5
    MaskSet({"a": random}).save(tmp_path / "masks.npz")
    assert (tmp_path / "masks.npz").stat().st_size < 10_000 + 1_000


def test_what_is_no_file_of_masks_is_refused(tmp_path: Path) -> None:
    text, numbers, other = tmp_path / "a.npz", tmp_path / "b.npz", tmp_path / "c.npz"
    text.write_text("no", encoding="utf-8")
    np.savez(numbers, weights=np.zeros(3))
    np.savez(other, header=np.array('{"format": "later", "shapes": {}}'), bits=np.zeros(0, np.uint8))
    for path in (text, numbers):
        with pytest.raises(InvalidMaskError, match="is not a file of masks"):
            MaskSet.load(path)
    with pytest.raises(InvalidMaskError, match="of the format 'later'"):
        MaskSet.load(other)
    with pytest.raises(FileNotFoundError):
        MaskSet.load(tmp_path / "none.npz")


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "masks.npz"
    some().save(path)

    def fail(*args: object, **kwargs: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez_compressed", fail)
    with pytest.raises(OSError, match="disk full"):
        MaskSet({}).save(path)
    assert MaskSet.load(path) == some()
    assert list(tmp_path.iterdir()) == [path]
