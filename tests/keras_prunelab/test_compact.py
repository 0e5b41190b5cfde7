"""`compact` as a whole: constants, shared and nested layers, refusals, files, proofs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_prunelab as kpl

from .channel_masks import assert_same, compacted, lively, silenced, without

pytestmark = pytest.mark.backends

L = keras.layers
F = "float32"


def values(layer: Any) -> list[np.ndarray]:
    return [np.array(keras.ops.convert_to_numpy(weight)) for weight in layer.weights]


def test_constants_go_into_the_next_bias() -> None:
    def prepare(model: keras.Model) -> None:
        first = model.layers[1]
        without(first.kernel, [1, 3])
        bias = values(first)[1]
        bias[[1, 3]] = [0.5, -2.0]
        first.bias.assign(bias)

    def build(x: Any) -> Any:
        return L.Dense(2, use_bias=False)(L.Dense(4, activation="sigmoid")(x))

    model, small, _ = compacted([((6,), F)], build, prepare)
    kernel = values(model.layers[2])[0]
    smaller, bias = values(small.layers[2])
    np.testing.assert_array_equal(smaller, kernel[[0, 2]])
    constants = 1 / (1 + np.exp(-np.array([0.5, -2.0])))
    np.testing.assert_allclose(bias, constants @ kernel[[1, 3]], rtol=1e-5)


@pytest.mark.parametrize(("padding", "filters"), [("valid", 3), ("same", 5)])
def test_a_constant_does_not_pass_padding(padding: str, filters: int) -> None:
    def build(x: Any) -> Any:
        return L.Conv2D(2, 3, padding=padding, name="last")(L.Conv2D(5, 3, name="first")(x))

    _, small, found = compacted([((8, 8, 2), F)], build, lambda model: without(model.layers[1].kernel, [0, 4]))
    assert small.layers[1].filters == filters
    assert found.constants_kept == ({} if padding == "valid" else {"last": 2})
    assert ("kept: 2 constant channels before last" in str(found)) == (padding == "same")


def test_a_kernel_of_one_pixel_sees_no_border() -> None:
    def build(x: Any) -> Any:
        return L.Conv2D(2, 1, padding="same")(L.Conv2D(5, 3)(x))

    _, small, _ = compacted([((8, 8, 2), F)], build, lambda model: without(model.layers[1].kernel, [0, 4]))
    assert small.layers[1].filters == 3


def test_what_nobody_reads_goes_with_all_that_makes_it() -> None:
    def prepare(model: keras.Model) -> None:
        without(model.get_layer("three").kernel, [0, 1], axis=-2)

    def build(x: Any) -> Any:
        x = L.Dense(6, name="one", activation="relu")(x)
        return L.Dense(3, name="three")(L.BatchNormalization()(L.Dense(5, name="two")(x)))

    _, small, _ = compacted([((4,), F)], build, prepare)
    assert small.get_layer("two").units == 3


def test_a_scale_of_zero_cuts_what_stands_before_it() -> None:
    def prepare(model: keras.Model) -> None:
        without(model.get_layer("norm").gamma, [0, 1])
        without(model.get_layer("two").kernel, [3], axis=0)  # and then nobody reads channel 3 of the first
        kernel = values(model.get_layer("two"))[0]
        kernel[2, 2:] = 0  # channel 2 is read by channels 0 and 1 alone
        model.get_layer("two").kernel.assign(kernel)

    def build(x: Any) -> Any:
        x = L.Dense(5, name="two")(L.Dense(6, name="one")(x))
        return L.Dense(3)(L.BatchNormalization(name="norm")(x))

    _, small, _ = compacted([((4,), F)], build, prepare)
    assert (small.get_layer("one").units, small.get_layer("two").units) == (4, 3)


def test_a_layer_that_is_constant_as_a_whole_keeps_one_channel() -> None:
    _, small, _ = compacted(
        [((4,), F)], lambda x: L.Dense(2)(L.Dense(5)(x)), lambda model: silenced(model.layers[1], range(5))
    )
    assert small.layers[1].units == 1


def test_inputs_and_outputs_keep_their_channels() -> None:
    def prepare(model: keras.Model) -> None:
        without(model.layers[1].kernel, [0], axis=0)
        silenced(model.layers[1], [0])

    _, small, _ = compacted([((4,), F)], lambda x: L.Dense(2)(x), prepare)
    assert small.input_shape == (None, 4)
    assert small.output_shape == (None, 2)


def test_a_layer_called_twice_stays_one() -> None:
    def build(x: Any, y: Any) -> Any:
        shared = L.Dense(5, name="shared", activation="relu")
        return L.Dense(2)(L.Concatenate()([shared(x), shared(y)]))

    _, small, _ = compacted([((4,), F), ((4,), F)], build, lambda model: silenced(model.get_layer("shared"), [1]))
    assert sum(layer.name == "shared" for layer in small.layers) == 1
    assert small.get_layer("shared").units == 4


def test_a_layer_called_on_two_constants_has_one_bias() -> None:
    def build(x: Any) -> Any:
        one, two = L.Dense(4, name="one")(x), L.Dense(4, name="two")(x)
        shared = L.Dense(3, name="shared")
        return L.Add()([shared(one), shared(two)])

    def prepare(model: keras.Model) -> None:
        without(model.get_layer("one").kernel, [0, 1])  # constants of different biases
        without(model.get_layer("two").kernel, [0, 1])
        for name in ("one", "two"):
            without(model.get_layer(name).bias, [1])

    _, small, _ = compacted([((5,), F)], build, prepare)
    assert small.get_layer("one").units == small.get_layer("two").units == 3


def test_models_inside_models_stay_models() -> None:
    def build(x: Any) -> Any:
        entry = keras.Input((8, 8, 4))
        deep = L.ReLU()(L.Conv2D(6, 3, padding="same", name="inner")(entry))
        block = keras.Model(entry, L.Conv2D(4, 3, padding="same", name="out")(deep), name="block")
        x = L.Conv2D(4, 3, padding="same", name="first")(x)
        return L.Conv2D(2, 1)(block(L.Add()([x, block(x)])))

    def prepare(model: keras.Model) -> None:
        block = model.get_layer("block")
        silenced(block.get_layer("inner"), [1, 2])
        silenced(block.get_layer("out"), [0])
        silenced(model.get_layer("first"), [0])

    _, small, _ = compacted([((8, 8, 2), F)], build, prepare)
    block = small.get_layer("block")
    assert block.get_layer("inner").kernel.shape == (3, 3, 3, 4)
    assert block.get_layer("out").filters == small.get_layer("first").filters == 3
    assert block.input_shape == (None, 8, 8, 3)


def test_names_and_compiled_state_stay_and_the_model_can_be_trained_on() -> None:
    model = lively(keras.Sequential([keras.Input((4,)), L.Dense(6, "relu", name="hidden"), L.Dense(1)], name="net"))
    silenced(model.layers[0], [0, 1])
    model.compile("adam", "mse")
    small = kpl.compact(model)
    assert (small.name, [layer.name for layer in small.layers]) == ("net", [layer.name for layer in model.layers])
    small.fit(np.ones((8, 4)), np.ones((8, 1)), verbose=0)
    assert type(small.optimizer).__name__ == "Adam"


def test_a_compacted_model_loads_without_this_package(tmp_path: Path) -> None:
    model = lively(keras.Sequential([keras.Input((8, 8, 2)), L.Conv2D(6, 3), L.BatchNormalization(), L.Conv2D(2, 3)]))
    silenced(model.layers[0], [0, 1])
    kpl.compact(model).save(tmp_path / "small.keras")
    script = (
        "import sys, keras\n"
        f"model = keras.saving.load_model({str(tmp_path / 'small.keras')!r})\n"
        "print(model.layers[0].filters, 'keras_prunelab' in sys.modules)\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, encoding="utf-8", check=True)
    assert run.stdout.split() == ["4", "False"]


def test_wrapped_models_are_stripped_first() -> None:
    model = keras.Sequential([keras.Input((8,)), L.Dense(6, name="hidden"), L.Dense(2)])
    wrapped = kpl.layers.wrap(lively(model), 0.5, include="hidden")
    silenced(wrapped.layers[0].layer, [0, 1, 2])
    small = kpl.compact(wrapped)
    assert small.layers[0].units == 3
    assert_same(wrapped, small)


def test_a_subclass_is_refused_with_what_can_be_done() -> None:
    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = L.Dense(2)

        def call(self, x: Any) -> Any:
            return self.dense(x)

    own = Own()
    with pytest.raises(kpl.InvalidModelError, match="is not built"):
        kpl.compact(own)
    own(np.ones((1, 3)))
    with pytest.raises(kpl.InvalidModelError, match=r"keras\.Input"):
        kpl.compact(own)
    with pytest.raises(kpl.InvalidModelError, match="not str"):
        kpl.compact("model.keras")  # type: ignore[arg-type]


def test_a_rule_of_your_own() -> None:
    class Doubled(L.Layer):
        def call(self, x: Any) -> Any:
            return 2 * x

    def build(x: Any) -> Any:
        return L.Dense(2)(Doubled()(L.Dense(4, name="first")(x)))

    def prepare(model: keras.Model) -> None:
        silenced(model.get_layer("first"), [0])

    _, small, found = compacted([((3,), F)], build, prepare)
    assert small.get_layer("first").units == 4
    assert found.barriers[0].reason == "there is no rule for Doubled; keras_prunelab.register_rule takes one"

    @kpl.register_rule(Doubled)
    class DoubledRule(kpl.PerChannelRule):
        def value(self, site: Any, values: Any) -> Any:
            return 2 * values

    _, small, _ = compacted([((3,), F)], build, prepare)
    assert small.get_layer("first").units == 3


def test_a_rule_that_is_wrong_is_found_out() -> None:
    class Shifted(L.Layer):
        def call(self, x: Any) -> Any:
            return x + 1

    @kpl.register_rule(Shifted)
    class WrongRule(kpl.PerChannelRule):
        def value(self, site: Any, values: Any) -> Any:
            return values

    inputs = keras.Input((3,))
    model = lively(keras.Model(inputs, L.Dense(2)(Shifted()(L.Dense(4, name="first")(inputs)))))
    silenced(model.get_layer("first"), [0])
    with pytest.raises(kpl.NotEquivalentError, match=r"differ by .* of the largest output, more than 1e-04"):
        kpl.compact(model)


def test_a_rule_that_is_wrong_for_large_inputs_only_is_found_out() -> None:
    class Above(L.Layer):
        def call(self, x: Any) -> Any:
            return keras.ops.relu(keras.ops.max(keras.ops.abs(x), axis=-1, keepdims=True) - 20) + 0 * x

    @kpl.register_rule(Above)
    class WrongRule(kpl.PerChannelRule):
        def value(self, site: Any, values: Any) -> Any:
            return 0 * values

    inputs = keras.Input((3,))
    model = lively(keras.Model(inputs, L.Dense(2)(Above()(L.Dense(4, name="first")(inputs)))))
    silenced(model.get_layer("first"), [0])
    assert not keras.ops.convert_to_numpy(
        Above()(model.get_layer("first")(np.random.default_rng(0).normal(size=(2, 3))))
    ).any()
    with pytest.raises(kpl.NotEquivalentError):
        kpl.compact(model)


def with_cancellation(share: float) -> keras.Model:
    """A model that takes the difference of two numbers that are equal but for a small share of them."""
    inputs = keras.Input((16,))
    hidden = L.Dense(64, name="first")(inputs)
    one, other = L.Dense(32, name="one"), L.Dense(32, name="other")
    model = lively(keras.Model(inputs, L.Subtract()([one(hidden), other(hidden)])))
    for mine, its in zip(one.weights, other.weights, strict=True):
        mine.assign(its + share * mine)
    without(model.get_layer("first").kernel, [0, 3, 17])  # three constants, to be added up elsewhere
    return model


def test_what_rounding_makes_is_no_difference() -> None:
    found = kpl.compaction(with_cancellation(1e-4))
    assert found.model.get_layer("first").units == 61
    assert 1e-4 < found.difference < 1e-2  # of the sum's 24 bits, 11 are left


def test_outputs_of_which_nothing_but_rounding_is_left_prove_nothing() -> None:
    with pytest.raises(kpl.NotEquivalentError, match="follow the rounding of its inputs"):
        kpl.compact(with_cancellation(1e-7))


def test_an_adapted_normalization_keeps_what_it_learned() -> None:
    """Keras computes it with tensors that stand beside its weights."""
    rng = np.random.default_rng(0)
    x = rng.normal(3, 5, (50, 8, 8, 3)).astype("float32")
    norm = L.Normalization()
    norm.adapt(x)
    parts = [L.Conv2D(8, 3, use_bias=False, name="first"), L.BatchNormalization(), L.ReLU(), L.Conv2D(2, 3)]
    model = keras.Sequential([keras.Input((8, 8, 3)), norm, *parts])
    for layer in parts:
        lively(layer)
    silenced(model.get_layer("first"), [0, 5])
    small = kpl.compact(model)
    assert small.get_layer("first").filters == 6
    for made in (small, kpl.fuse(model), kpl.layers.strip(kpl.layers.wrap(model, 0.0))):
        ours, expected = (keras.ops.convert_to_numpy(each(x)) for each in (made, model))
        np.testing.assert_allclose(ours, expected, atol=1e-4 * np.abs(expected).max())


def test_given_inputs_are_compared_too() -> None:
    model = lively(keras.Sequential([keras.Input((3,)), L.Dense(4, "relu"), L.Dense(2)]))
    silenced(model.layers[0], [0])
    assert kpl.compaction(model, np.full((2, 3), 1e6, np.float32)).difference < 1e-4
    with pytest.raises(ValueError):  # noqa: PT011 # each backend has its own words for a wrong shape
        kpl.compact(model, np.ones((2, 5), np.float32))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "mixed_float16"])
def test_other_precisions(dtype: str) -> None:
    if dtype == "float64" and keras.config.backend() == "jax":
        pytest.skip("JAX has float64 only where its user switches it on for the whole process")
    with_dtype = {"dtype": dtype}
    inputs = keras.Input((6,))
    hidden = L.Dense(8, "relu", **with_dtype)(inputs)
    model = lively(keras.Model(inputs, L.Dense(2, **with_dtype)(hidden)))
    silenced(model.layers[1], [0, 1, 2])
    small = kpl.compact(model)
    assert small.layers[1].units == 5
    assert small.layers[1].kernel.dtype == model.layers[1].kernel.dtype


def test_images_of_any_size() -> None:
    model = lively(keras.Sequential([keras.Input((None, None, 3)), L.Conv2D(4, 3), L.MaxPooling2D(4), L.Conv2D(2, 3)]))
    silenced(model.layers[0], [2])
    small = kpl.compact(model)
    assert small.layers[0].filters == 3
    assert small.input_shape == (None, None, None, 3)


def test_masks_of_channels_cover_all_that_makes_them() -> None:
    inputs = keras.Input((8, 8, 3))
    x = L.Conv2D(8, 3, padding="same", name="one")(inputs)
    x = L.ReLU()(L.BatchNormalization(name="norm")(x))
    x = L.SeparableConv2D(6, 3, padding="same", name="two")(x)
    x = L.LayerNormalization(name="layer_norm")(x)
    model = lively(keras.Model(inputs, L.Conv2D(2, 3, padding="same", name="last")(x)))
    pruned = kpl.prune(model, 0.5, granularity="channel", scope="layer", include=["one", "*pointwise_kernel"])
    gone = ~values(pruned.get_layer("one"))[0].any(axis=(0, 1, 2))
    assert gone.sum() == 4
    assert not values(pruned.get_layer("one"))[1][gone].any()
    for scale_or_offset in values(pruned.get_layer("norm"))[:2]:
        assert not scale_or_offset[gone].any()
        assert scale_or_offset[~gone].all()
    last = values(pruned.get_layer("two"))
    gone = ~last[1].any(axis=(0, 1, 2))
    assert gone.any()
    assert not last[2][gone].any()
    for scale_or_offset in values(pruned.get_layer("layer_norm")):
        assert not scale_or_offset[gone].any()
        assert scale_or_offset[~gone].all()
    small = kpl.compact(pruned)
    assert small.get_layer("one").filters == 4
    assert_same(pruned, small)


def test_without_a_scale_the_mean_is_masked() -> None:
    """A normalization would make `offset - mean / deviation` of a channel that is zero."""
    inputs = keras.Input((8, 8, 3))
    x = L.Conv2D(8, 3, padding="same", use_bias=False, name="one")(inputs)
    x = L.ReLU()(L.BatchNormalization(scale=False, name="norm")(x))
    x = L.Conv2D(6, 3, padding="same", activation="sigmoid", name="two")(x)
    x = L.BatchNormalization(scale=False, name="behind_a_constant")(x)
    model = lively(keras.Model(inputs, L.Conv2D(2, 3, padding="same", name="last")(x)))
    before = [values(layer) for layer in model.layers]
    pruned = kpl.prune(model, 0.5, granularity="channel", scope="layer", exclude="last")
    gone = ~values(pruned.get_layer("one"))[0].any(axis=(0, 1, 2))
    offset, mean, variance = values(pruned.get_layer("norm"))
    assert not offset[gone].any()
    assert not mean[gone].any()
    assert mean[~gone].all()
    assert variance.all()
    assert values(pruned.get_layer("behind_a_constant"))[1].all()  # of 0.5, nothing makes zero
    for layer, then in zip(model.layers, before, strict=True):
        for one, other in zip(values(layer), then, strict=True):
            np.testing.assert_array_equal(one, other)
    small = kpl.compact(pruned)
    assert small.get_layer("one").filters == 4
    assert_same(pruned, small)


@pytest.mark.parametrize("scale", [True, False])
def test_a_normalization_is_masked_where_all_of_its_calls_are_silent(scale: bool) -> None:
    inputs = keras.Input((8, 8, 3))
    norm = L.BatchNormalization(scale=scale, name="norm")
    branches = [norm(L.Conv2D(6, 3, name=name, use_bias=False)(inputs)) for name in ("one", "two")]
    model = lively(keras.Model(inputs, branches))
    masks = {}
    for name, gone in (("one", [0, 1, 2]), ("two", [2, 3])):
        mask = np.ones((3, 3, 3, 6), np.bool_)
        mask[..., gone] = False
        masks[model.get_layer(name).kernel.path] = mask
    whole = kpl.complete_channels(model, masks)
    silent = np.arange(6) == 2
    for name in ("gamma", "beta") if scale else ("beta", "moving_mean"):
        np.testing.assert_array_equal(whole[getattr(norm, name).path], ~silent)


def test_masks_of_a_wrapped_model_are_completed_too() -> None:
    parts = [L.Conv2D(8, 3, padding="same", name="one"), L.BatchNormalization(name="norm"), L.ReLU()]
    model = lively(keras.Sequential([keras.Input((8, 8, 3)), *parts, L.Conv2D(2, 3, padding="same", name="last")]))
    wrapped = kpl.layers.wrap(kpl.prune(model, 0.5, granularity="channel", scope="layer", include="one"), 0.5)
    masks = {item.path: item.value() != 0 for item in kpl.prunable(wrapped, include="one")}
    whole = kpl.complete_channels(wrapped, masks)
    whole.apply(wrapped)  # by the names of the wrapped model
    assert sum(name.startswith("norm") or "/norm/" in name for name in whole) == 2
    assert kpl.compact(wrapped).get_layer("one").filters == 4


def test_the_bias_of_a_depthwise_convolution_goes_with_its_channel() -> None:
    inputs = keras.Input((8, 8, 3))
    x = L.ReLU()(L.Conv2D(6, 3, padding="same", name="one")(inputs))
    x = L.DepthwiseConv2D(3, padding="same", depth_multiplier=2, name="each")(x)
    model = lively(keras.Model(inputs, L.Conv2D(2, 3, padding="same", name="last")(x)))
    pruned = kpl.prune(model, 0.5, granularity="channel", scope="layer", include="one")
    gone = ~values(pruned.get_layer("one"))[0].any(axis=(0, 1, 2))
    bias = values(pruned.get_layer("each"))[1]
    np.testing.assert_array_equal(bias == 0, np.repeat(gone, 2))
    small = kpl.compact(pruned)
    assert small.get_layer("one").filters == 3
    assert_same(pruned, small)


def test_what_a_model_was_compiled_with_and_its_optional_inputs_stay() -> None:
    first, second = keras.Input((8,), name="first"), keras.Input((8,), name="second", optional=True)
    model = lively(keras.Model([first, second], L.Dense(2)(L.Dense(4, "relu", name="hidden")(first))))
    silenced(model.get_layer("hidden"), [1])
    model.compile("sgd", loss=lambda y, found: keras.ops.mean((y - found) ** 2))
    small = kpl.compact(model)
    x, y = np.ones((4, 8), np.float32), np.ones((4, 2), np.float32)
    assert np.allclose(*(keras.ops.convert_to_numpy(each([x, None])) for each in (model, small)), atol=1e-5)
    assert small.compiled
    assert np.isclose(small.loss(y, np.zeros((4, 2), np.float32)), 1)


def test_masks_of_single_weights_are_left_as_they_are() -> None:
    model = lively(keras.Sequential([keras.Input((4,)), L.Dense(3), L.BatchNormalization()]))
    path = kpl.prunable(model)[0].path
    mask = np.ones((4, 3), np.bool_)
    mask[1:, 0] = False
    whole = kpl.complete_channels(model, {path: mask})
    np.testing.assert_array_equal(whole[path], mask)
    assert all(each.all() for name, each in whole.items() if name != path)
