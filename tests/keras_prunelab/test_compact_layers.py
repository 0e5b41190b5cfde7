"""What is cut at each type of layer: the sizes by hand, the outputs by Keras."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

import keras_prunelab as kpl
from keras_prunelab._channels._barriers import REASONS
from keras_prunelab._channels.rules._registry import known_classes

from .channel_masks import assert_same, compacted, lively, silenced, without

pytestmark = pytest.mark.backends

L = keras.layers
F = "float32"


def test_every_layer_class_has_a_rule_or_is_a_wall_with_a_reason() -> None:
    layers = {
        value.__name__: value
        for value in vars(keras.layers).values()
        if inspect.isclass(value) and issubclass(value, keras.layers.Layer)
    }
    ruled = {name for name, layer in layers.items() if layer in known_classes()}
    assert not ruled & set(REASONS)
    assert set(layers) == ruled | set(REASONS)


CHAINS: dict[str, tuple[Any, Callable[[Any], Any], list[int], dict[str, tuple[int, ...]]]] = {}


def chain(name: str, shape: Any, **shapes: tuple[int, ...]) -> Callable[[Any], Any]:
    """Register a model whose layer `first` loses channels 1 and 3, with the shapes of kernels to expect."""

    def decorate(build: Callable[[Any], Any]) -> Any:
        CHAINS[name] = (shape, build, [1, 3], shapes)
        return build

    return decorate


@chain("dense", (6,), first=(6, 3), last=(3, 2))
def _(x: Any) -> Any:
    return L.Dense(2, name="last")(L.Dense(5, name="first", activation="relu")(x))


@chain("conv1d", (9, 2), first=(3, 2, 3), last=(3, 3, 2))
def _(x: Any) -> Any:
    return L.Conv1D(2, 3, padding="causal", name="last")(L.Conv1D(5, 3, name="first", activation="relu")(x))


@chain("conv2d", (8, 8, 2), first=(3, 3, 2, 3), last=(3, 3, 3, 2))
def _(x: Any) -> Any:
    return L.Conv2D(2, 3, padding="same", name="last")(L.Conv2D(5, 3, name="first", strides=2)(x))


@chain("conv3d", (4, 4, 4, 2), first=(2, 2, 2, 2, 3), last=(2, 2, 2, 3, 2))
def _(x: Any) -> Any:
    return L.Conv3D(2, 2, name="last")(L.Conv3D(5, 2, name="first")(x))


@chain("conv1d transpose", (5, 2), first=(3, 3, 2), last=(3, 2, 3))
def _(x: Any) -> Any:
    return L.Conv1DTranspose(2, 3, name="last")(L.Conv1DTranspose(5, 3, strides=2, name="first")(x))


@chain("conv2d transpose", (5, 5, 2), first=(3, 3, 3, 2), last=(3, 3, 2, 3))
def _(x: Any) -> Any:
    return L.Conv2DTranspose(2, 3, name="last")(L.Conv2DTranspose(5, 3, padding="same", name="first")(x))


@chain("conv3d transpose", (3, 3, 3, 2), first=(2, 2, 2, 3, 2), last=(2, 2, 2, 2, 3))
def _(x: Any) -> Any:
    return L.Conv3DTranspose(2, 2, name="last")(L.Conv3DTranspose(5, 2, name="first")(x))


@chain("depthwise", (8, 8, 2), first=(3, 3, 2, 3), middle=(3, 3, 3, 2), last=(1, 1, 6, 2))
def _(x: Any) -> Any:
    x = L.Conv2D(5, 3, name="first")(x)
    x = L.DepthwiseConv2D(3, depth_multiplier=2, padding="same", use_bias=False, name="middle")(x)
    return L.Conv2D(2, 1, name="last")(x)


@chain("depthwise with a bias, folded", (8, 2), first=(3, 2, 3), middle=(3, 3, 1), last=(3, 3, 2))
def _(x: Any) -> Any:
    x = L.Conv1D(5, 3, name="first")(x)
    x = L.DepthwiseConv1D(3, padding="same", activation="sigmoid", name="middle")(x)
    return L.Conv1D(2, 3, use_bias=False, name="last")(x)


@chain("separable", (8, 8, 2), first=(1, 1, 4, 3), last=(3, 3, 3, 2))
def _(x: Any) -> Any:
    x = L.SeparableConv2D(5, 3, depth_multiplier=2, name="first")(x)
    return L.SeparableConv2D(2, 3, depth_multiplier=2, padding="same", name="last")(x)


@chain("separable 1-D", (8, 2), first=(1, 2, 3), last=(3, 3, 1))
def _(x: Any) -> Any:
    return L.SeparableConv1D(2, 3, name="last")(L.SeparableConv1D(5, 3, name="first")(x))


@chain("a convolution in as many groups as channels", (8, 8, 2), first=(3, 3, 2, 3), middle=(3, 3, 1, 6), last=(6, 2))
def _(x: Any) -> Any:
    x = L.Conv2D(10, 3, groups=5, padding="same", use_bias=False, name="middle")(L.Conv2D(5, 3, name="first")(x))
    return L.Dense(2, name="last")(x)


@chain("batch normalization", (8, 8, 2), first=(3, 3, 2, 3), norm=(3,), last=(3, 3, 3, 2))
def _(x: Any) -> Any:
    x = L.BatchNormalization(name="norm")(L.Conv2D(5, 3, use_bias=False, name="first")(x))
    return L.Conv2D(2, 3, use_bias=False, name="last")(L.Activation("sigmoid")(x))


@chain("layer normalization holds", (6,), first=(6, 5), norm=(5,), last=(5, 2))
def _(x: Any) -> Any:
    return L.Dense(2, name="last")(L.LayerNormalization(name="norm")(L.Dense(5, name="first")(x)))


@chain("softmax holds", (6,), first=(6, 5), last=(5, 2))
def _(x: Any) -> Any:
    return L.Dense(2, name="last")(L.Softmax()(L.Dense(5, name="first")(x)))


@chain("an activation that mixes holds", (6,), first=(6, 5), last=(5, 2))
def _(x: Any) -> Any:
    return L.Dense(2, name="last")(L.Dense(5, activation="softmax", name="first")(x))


@chain("prelu", (8, 8, 2), first=(3, 3, 2, 3), slopes=(1, 1, 3), last=(3, 3, 3, 2))
def _(x: Any) -> Any:
    return L.Conv2D(2, 3, padding="same", name="last")(
        L.PReLU(shared_axes=[1, 2], name="slopes")(L.Conv2D(5, 3, name="first")(x))
    )


@chain("pooling, padding, cropping, up-sampling", (8, 8, 2), first=(1, 1, 2, 3), last=(3, 2))
def _(x: Any) -> Any:
    x = L.ZeroPadding2D(1)(L.Conv2D(5, 1, name="first")(x))
    x = L.UpSampling2D(2)(L.Cropping2D(1)(L.AveragePooling2D(2, padding="same")(x)))
    return L.Dense(2, name="last")(L.GlobalAveragePooling2D()(L.MaxPooling2D(2)(x)))


@chain("resizing", (6, 6, 2), first=(1, 1, 2, 3), last=(3, 3, 3, 2))
def _(x: Any) -> Any:
    return L.Conv2D(2, 3, name="last")(L.Resizing(9, 10, interpolation="bicubic")(L.Conv2D(5, 1, name="first")(x)))


@chain("resizing with a border holds", (6, 6, 2), first=(1, 1, 2, 5), last=(3, 3, 5, 2))
def _(x: Any) -> Any:
    x = L.Resizing(9, 12, pad_to_aspect_ratio=True, fill_value=1.0)(L.Conv2D(5, 1, name="first")(x))
    return L.Conv2D(2, 3, name="last")(x)


@chain("pooling over sequences and volumes", (8, 2), first=(1, 2, 3), last=(3, 2))
def _(x: Any) -> Any:
    x = L.UpSampling1D(2)(L.Cropping1D(1)(L.ZeroPadding1D(1)(L.Conv1D(5, 1, name="first")(x))))
    return L.Dense(2, name="last")(L.GlobalMaxPooling1D(keepdims=True)(L.AveragePooling1D(2)(L.MaxPooling1D(2)(x))))


@chain("flatten", (4, 4, 2), first=(1, 1, 2, 3), last=(48, 2))
def _(x: Any) -> Any:
    return L.Dense(2, name="last")(L.Flatten()(L.Conv2D(5, 1, name="first")(x)))


@chain("flatten, channels first", (4, 4, 2), first=(1, 1, 2, 3), last=(48, 2))
def _(x: Any) -> Any:
    x = L.Permute((3, 1, 2))(L.Conv2D(5, 1, name="first")(x))
    return L.Dense(2, name="last")(L.Flatten(data_format="channels_first")(x))


@chain("reshape, permute, repeat", (6,), first=(6, 3), last=(3, 3, 2))
def _(x: Any) -> Any:
    x = L.RepeatVector(4)(L.Dense(5, name="first")(x))
    x = L.Permute((2, 1))(L.Permute((2, 1))(L.Reshape((4, 5))(L.Reshape((2, 2, -1))(x))))
    return L.Conv1D(2, 3, name="last")(x)


@chain("a reshape to steps of two channels", (6,), first=(6, 2), last=(1, 2))
def _(x: Any) -> Any:
    return L.Dense(2, name="last")(L.Reshape((2, 2))(L.Dense(4, name="first")(x)))


@chain("dropout and noise", (6,), first=(6, 3), last=(3, 2))
def _(x: Any) -> Any:
    x = L.GaussianNoise(0.1)(L.Dropout(0.5)(L.Dense(5, name="first")(x)))
    return L.Dense(2, name="last")(L.ActivityRegularization()(L.AlphaDropout(0.1)(L.GaussianDropout(0.1)(x))))


@chain("operations", (6,), first=(6, 3), last=(3, 2))
def _(x: Any) -> Any:
    x = L.Dense(5, name="first")(x)
    x = keras.ops.relu(2 * x + 1) * 0.5 - 3
    return L.Dense(2, name="last")(keras.ops.maximum(x, 1 - x) / 2)


@chain("reductions", (4, 4, 2), first=(3, 3, 2, 3), last=(3, 2))
def _(x: Any) -> Any:
    x = L.Conv2D(5, 3, name="first")(x)
    return L.Dense(2, name="last")(keras.ops.mean(x, axis=(1, 2)) + keras.ops.max(x, axis=[1, 2]))


@chain("time distributed", (3, 6, 6, 2), first=(3, 3, 2, 3), last=(48, 2))
def _(x: Any) -> Any:
    x = L.TimeDistributed(L.Conv2D(5, 3, name="first"))(x)
    x = L.TimeDistributed(L.Flatten())(L.TimeDistributed(L.ReLU())(x))
    return L.TimeDistributed(L.Dense(2, name="last"))(x)


@chain("einsum", (4, 6), first=(6, 3), last=(3, 2))
def _(x: Any) -> Any:
    x = L.EinsumDense("abc,cd->abd", (None, 5), bias_axes="d", activation="sigmoid", name="first")(x)
    return L.EinsumDense("abc,cd->abd", (None, 2), name="last")(x)


@chain("nested", (6,), first=(6, 3), last=(3, 2))
def _(x: Any) -> Any:
    inner = keras.Sequential([keras.Input((5,)), L.Dropout(0.1), L.Dense(2, name="last")], name="inner")
    return inner(L.Dense(5, name="first")(x))


@chain("a barrier holds", (6,), first=(6, 5), last=(5, 2))
def _(x: Any) -> Any:
    return L.Dense(2, name="last")(L.Lambda(lambda t: t * 2)(L.Dense(5, name="first")(x)))


def named(model: keras.Model) -> dict[str, Any]:
    """Every layer of a model and of what it holds, by name."""
    return {layer.name: layer for layer in model._flatten_layers()}


@pytest.mark.parametrize("name", CHAINS)
def test_channels_are_cut(name: str) -> None:
    shape, build, gone, expected = CHAINS[name]
    model, small, found = compacted([(shape, F)], build, lambda model: silenced(named(model)["first"], gone))
    for layer, shapes in expected.items():
        weights = named(small)[layer].weights
        pointwise = layer == "first" and hasattr(named(small)[layer], "pointwise_kernel")
        assert weights[1 if pointwise else 0].shape == shapes
    assert found.difference < 1e-5
    assert found.parameters == (model.count_params(), small.count_params())
    assert [each.kind for each in found.barriers] == {
        "resizing with a border holds": ["Resizing"],
        "a barrier holds": ["Lambda"],
    }.get(name, [])


@pytest.mark.parametrize(
    ("layer", "gates"),
    [(L.LSTM, 4), (L.GRU, 3), (L.SimpleRNN, 1), (lambda *a, **k: L.GRU(*a, reset_after=False, **k), 3)],
)
def test_units_of_recurrent_layers(layer: Any, gates: int) -> None:
    def prepare(model: keras.Model) -> None:
        one, two = model.layers[1:3]
        for gate in range(gates):  # unit 2 is silent
            silenced(one.cell, [5 * gate + 2])
            without(one.cell.recurrent_kernel, [5 * gate + 2])
        # Nobody listens to unit 4 of the first layer, nor to unit 0 of the second.
        without(one.cell.recurrent_kernel, [4], axis=0)
        without(two.cell.kernel, [4], axis=0)
        without(two.cell.recurrent_kernel, [0], axis=0)
        without(model.layers[3].kernel, [0], axis=0)

    def build(x: Any) -> Any:
        return L.Dense(2)(layer(4)(layer(5, return_sequences=True)(x)))

    _, small, _ = compacted([((6, 3), F)], build, prepare)
    assert [each.cell.units for each in small.layers[1:3]] == [3, 3]


def test_a_silent_unit_whose_gates_are_not_goes_too() -> None:
    def prepare(model: keras.Model) -> None:
        candidate = [5 * 2 + 1]  # Keras' order is input, forget, cell, output
        silenced(model.layers[1].cell, candidate)
        without(model.layers[1].cell.recurrent_kernel, candidate)

    _, small, _ = compacted([((6, 3), F)], lambda x: L.Dense(2)(L.LSTM(5)(x)), prepare)
    assert small.layers[1].units == 4


def test_states_go_with_units() -> None:
    def build(x: Any) -> Any:
        sequence, hidden, cell = L.LSTM(5, return_sequences=True, return_state=True, name="first")(x)
        return L.Add()([L.Dense(2)(L.GlobalMaxPooling1D()(sequence)), L.Dense(2)(L.Concatenate()([hidden, cell]))])

    def prepare(model: keras.Model) -> None:
        cell = model.get_layer("first").cell
        gates = [5 * gate + 3 for gate in range(4)]
        silenced(cell, gates)
        without(cell.recurrent_kernel, gates)

    _, small, _ = compacted([((6, 3), F)], build, prepare)
    assert small.get_layer("first").units == 4


@pytest.mark.parametrize("mode", ["concat", "sum", "ave", "mul"])
def test_bidirectional(mode: str) -> None:
    def prepare(model: keras.Model) -> None:
        layer = model.layers[1]
        for each, units in ((layer.forward_layer, [1, 2, 3]), (layer.backward_layer, [0, 1])):
            gates = [5 * gate + unit for gate in range(4) for unit in units]
            silenced(each.cell, gates)
            without(each.cell.recurrent_kernel, gates)

    def build(x: Any) -> Any:
        return L.Dense(2)(L.Bidirectional(L.LSTM(5), merge_mode=mode)(x))

    _, small, _ = compacted([((6, 3), F)], build, prepare)
    layer = small.layers[1]
    # In a row both keep as many; where they are joined a unit goes that is silent in both. A product with a silent one
    # is zero too, but other units of the same direction still listen to it.
    units = 3 if mode == "concat" else 4
    assert (layer.forward_layer.units, layer.backward_layer.units) == (units, units)


@pytest.mark.skipif(keras.config.backend() == "jax", reason="its attention takes keys and values of one width only")
def test_heads_keys_and_values_of_attention() -> None:
    def prepare(model: keras.Model) -> None:
        attention = model.get_layer("attention")
        without(attention.value_dense.kernel, [1], axis=1)  # head 1 has no values
        without(attention.value_dense.bias, [1], axis=0)
        without(attention.query_dense.kernel, [0, 3])  # keys 0 and 3 are asked by nobody
        without(attention.query_dense.bias, [0, 3])
        without(attention.output_dense.kernel, [2], axis=1)  # value 2 of any head is read by nobody
        silenced(model.get_layer("before"), [4])

    def build(x: Any, y: Any) -> Any:
        x = L.Dense(7, name="before")(x)
        attended = L.MultiHeadAttention(3, 4, value_dim=5, output_shape=6, name="attention")(x, y)
        return L.Dense(2)(attended)

    _, small, _ = compacted([((4, 3), F), ((5, 2), F)], build, prepare)
    attention = small.get_layer("attention")
    assert attention.query_dense.kernel.shape == (6, 2, 2)
    assert attention.key_dense.kernel.shape == (2, 2, 2)
    assert attention.value_dense.kernel.shape == (2, 2, 4)
    assert attention.output_dense.kernel.shape == (2, 4, 6)


def test_attention_of_a_sequence_to_itself_with_a_residual() -> None:
    def build(x: Any) -> Any:
        x = L.Dense(8, name="before")(x)
        return L.Dense(2, name="last")(L.Add()([x, L.MultiHeadAttention(2, 3, name="attention")(x, x, x)]))

    def prepare(model: keras.Model) -> None:
        silenced(model.get_layer("before"), [1, 2])
        for each in ("kernel", "bias"):
            without(getattr(model.get_layer("attention").output_dense, each), [2, 5])

    _, small, _ = compacted([((4, 3), F)], build, prepare)
    assert small.get_layer("before").units == 7
    assert small.get_layer("attention").output_dense.kernel.shape == (2, 3, 7)


def test_columns_of_an_embedding() -> None:
    def prepare(model: keras.Model) -> None:
        without(model.layers[1].embeddings, [1, 2])

    def build(x: Any) -> Any:
        return L.Dense(2)(L.LSTM(3)(L.Embedding(5, 6, mask_zero=True)(x)))

    _, small, _ = compacted([((4,), "int32")], build, prepare)
    assert small.layers[1].output_dim == 4
    assert small.get_layer("lstm" if "lstm" in named(small) else small.layers[-2].name).cell.kernel.shape[0] == 4


@pytest.mark.parametrize(
    ("join", "left"),
    [(L.Add, 4), (L.Subtract, 4), (L.Average, 4), (L.Maximum, 4), (L.Minimum, 4), (L.Multiply, 2)],
)
def test_what_is_joined_goes_together(join: Any, left: int) -> None:
    def build(x: Any) -> Any:
        return L.Dense(2)(join()([L.Dense(5, name="one")(x), L.Dense(5, name="two")(x)]))

    def prepare(model: keras.Model) -> None:
        silenced(model.get_layer("one"), [0, 1])
        silenced(model.get_layer("two"), [1, 2])

    _, small, _ = compacted([((6,), F)], build, prepare)
    assert small.get_layer("one").units == small.get_layer("two").units == left


def test_squeeze_and_excitation() -> None:
    def build(x: Any) -> Any:
        x = L.Conv2D(6, 3, name="conv")(x)
        gate = L.Reshape((1, 1, 6))(L.GlobalAveragePooling2D()(x))
        gate = L.Conv2D(6, 1, activation="sigmoid", name="gate")(L.Conv2D(3, 1, activation="swish")(gate))
        return L.Conv2D(2, 3, padding="same")(L.Multiply()([x, gate]))

    _, small, _ = compacted([((8, 8, 2), F)], build, lambda model: silenced(model.get_layer("conv"), [0, 5]))
    assert small.get_layer("conv").filters == small.get_layer("gate").filters == 4
    assert small.layers[3].target_shape == (1, 1, 4)


def test_one_map_for_all_channels_stays() -> None:
    def build(x: Any) -> Any:
        x = L.Conv2D(5, 3, name="conv")(x)
        return L.Conv2D(2, 3)(L.Multiply()([L.Conv2D(1, 1, activation="sigmoid")(x), x]))

    _, small, _ = compacted([((8, 8, 2), F)], build, lambda model: silenced(model.get_layer("conv"), [0, 1]))
    assert small.get_layer("conv").filters == 3


def test_concatenation_in_a_row_and_along_another_axis() -> None:
    def build(x: Any) -> Any:
        one, two = L.Conv1D(4, 3, name="one")(x), L.Conv1D(5, 3, name="two")(x)
        row = L.Conv1D(5, 1, name="row")(L.Concatenate()([one, two, one]))
        return L.Dense(2)(L.Concatenate(axis=1)([row, two]))

    def prepare(model: keras.Model) -> None:
        silenced(model.get_layer("one"), [0, 3])
        silenced(model.get_layer("two"), [1, 2])
        silenced(model.get_layer("row"), [2, 4])

    _, small, _ = compacted([((8, 2), F)], build, prepare)
    assert [small.get_layer(name).filters for name in ("one", "two", "row")] == [2, 4, 4]
    assert small.get_layer("row").kernel.shape == (1, 2 + 4 + 2, 4)


def test_groups_of_a_convolution_stay_of_one_size() -> None:
    def build(x: Any) -> Any:
        x = L.Conv2D(12, 3, groups=3, name="grouped")(L.Conv2D(9, 1, name="before")(x))
        return L.Conv2D(2, 3)(x)

    def prepare(model: keras.Model) -> None:
        silenced(model.get_layer("before"), [0, 3, 4, 8])  # 1, 2 and 1 of the groups of 3
        silenced(model.get_layer("grouped"), [1, 2, 3, 4, 5, 9, 10])  # 3, 2 and 2 of the groups of 4

    _, small, _ = compacted([((8, 8, 2), F)], build, prepare)
    grouped = small.get_layer("grouped")
    assert (grouped.groups, grouped.filters, grouped.kernel.shape) == (3, 6, (3, 3, 2, 6))


def test_a_group_goes_as_a_whole() -> None:
    def build(x: Any) -> Any:
        x = L.Conv2D(8, 3, groups=2, name="grouped")(L.Conv2D(6, 1, name="before")(x))
        return L.Conv2D(2, 3)(x)

    def prepare(model: keras.Model) -> None:
        silenced(model.get_layer("before"), [0, 1, 2, 4])
        silenced(model.get_layer("grouped"), [0, 1, 2, 3, 7])

    _, small, _ = compacted([((8, 8, 2), F)], build, prepare)
    grouped = small.get_layer("grouped")
    assert (grouped.groups, grouped.filters, grouped.kernel.shape) == (1, 3, (3, 3, 2, 3))


@pytest.mark.parametrize("groups", [1, 3])
def test_group_normalization_gives_up_groups_that_are_not_read(groups: int) -> None:
    def prepare(model: keras.Model) -> None:
        without(model.get_layer("last").kernel, [0, 1, 3], axis=-2)

    def build(x: Any) -> Any:
        return L.Conv2D(2, 3, name="last")(L.GroupNormalization(groups, name="norm")(L.Conv2D(6, 1, name="first")(x)))

    _, small, _ = compacted([((8, 8, 2), F)], build, prepare)
    assert small.get_layer("first").filters == {1: 6, 3: 4}[groups]
    assert small.get_layer("norm").groups == {1: 1, 3: 2}[groups]


@pytest.mark.parametrize("norm", [L.LayerNormalization, L.RMSNormalization, L.UnitNormalization])
def test_what_mixes_channels_keeps_them(norm: Any) -> None:
    def build(x: Any) -> Any:
        return L.Dense(2)(norm()(L.Dense(6, name="first")(x)))

    _, small, _ = compacted([((4,), F)], build, lambda model: silenced(model.get_layer("first"), [1]))
    assert small.get_layer("first").units == 6


def test_an_activation_with_weights_leaves_the_model_as_it_is() -> None:
    model = keras.Sequential([keras.Input((6,)), L.Dense(8, activation=L.PReLU(), name="bent"), L.Dense(2)])
    kpl.compact(model)  # the activation is built by its first call
    assert tuple(model.get_layer("bent").activation.alpha.shape) == (8,)
    model(np.ones((3, 6), np.float32))
    kpl.compact(model)


def test_directions_one_of_which_has_no_bias() -> None:
    backward = L.LSTM(8, go_backwards=True, use_bias=False)
    inputs = keras.Input((5, 6))
    both = L.Bidirectional(L.LSTM(8), backward_layer=backward, name="both")
    model = lively(keras.Model(inputs, L.Dense(2)(both(inputs))))
    for layer in (both.forward_layer, both.backward_layer):
        for weight in layer.weights:
            value = np.array(keras.ops.convert_to_numpy(weight))
            value[..., [1, 9, 17, 25]] = 0
            weight.assign(value)
    small = kpl.compact(model)
    assert small.get_layer("both").forward_layer.units == 7
    assert_same(model, small)


def test_an_extreme_that_begins_with_a_number() -> None:
    inputs = keras.Input((8, 8, 3))
    most = keras.ops.max(L.Conv2D(8, 3, name="one")(inputs), axis=(1, 2), initial=1.0)
    model = lively(keras.Model(inputs, L.Dense(2)(most)))
    silenced(model.get_layer("one"), [0, 1])
    found = kpl.compaction(model)
    assert [each.reason for each in found.barriers] == ["begins with a number of its own (initial=)"]
    assert_same(model, found.model)


QUOTIENTS: dict[str, Callable[[Any, Any], Any]] = {
    "/": lambda x, y: x / y,
    "divide": keras.ops.divide,
    "divide, without NaN": keras.ops.divide_no_nan,
    "**": lambda x, y: x**y,
}


@pytest.mark.parametrize("name", QUOTIENTS)
def test_a_quotient_of_constants_is_a_constant(name: str) -> None:
    def build(x: Any) -> Any:
        over = L.Dense(5, activation="sigmoid", name="over")(x)
        under = 1 + keras.ops.exp(L.Dense(5, activation="tanh", name="under")(x))
        return L.Dense(2, use_bias=False, name="last")(QUOTIENTS[name](over, under))

    def prepare(model: keras.Model) -> None:
        for layer, indices in (("over", [1, 3, 4]), ("under", [0, 1, 3])):
            without(model.get_layer(layer).kernel, indices)

    model, small, found = compacted([((6,), F)], build, prepare)
    assert (small.get_layer("over").units, small.get_layer("under").units) == (3, 3)
    assert found.barriers == ()
    np.testing.assert_array_equal(small.get_layer("last").kernel, np.array(model.get_layer("last").kernel)[[0, 2, 4]])


def test_a_quotient_by_zero_stays() -> None:
    def build(x: Any) -> Any:
        over, under = (L.Dense(5, activation=f, name=f)(x) for f in ("sigmoid", "tanh"))
        return L.Dense(2)(keras.ops.minimum(over / under, 1.0))  # infinite without the minimum

    def prepare(model: keras.Model) -> None:
        silenced(model.get_layer("sigmoid"), [1])
        silenced(model.get_layer("tanh"), [1])

    _, small, _ = compacted([((6,), F)], build, prepare)
    assert small.get_layer("sigmoid").units == 5


@pytest.mark.parametrize(
    ("make", "kept"),
    [
        (lambda: L.ZeroPadding2D(1, name="border"), 2),
        (lambda: L.AveragePooling2D(2, padding="same", name="border"), 2),
        (lambda: L.DepthwiseConv2D(3, padding="same", name="border"), 2),
        (lambda: L.AveragePooling2D(2, padding="valid", name="border"), 0),
        (lambda: L.MaxPooling2D(2, padding="same", name="border"), 0),
        (lambda: L.DepthwiseConv2D(3, padding="valid", name="border"), 0),
    ],
)
def test_constants_that_a_border_changes_are_counted(make: Callable[[], Any], kept: int) -> None:
    def build(x: Any) -> Any:
        return L.Conv2D(2, 3, name="last")(make()(L.Conv2D(6, 3, name="first")(x)))

    def prepare(model: keras.Model) -> None:
        without(model.get_layer("first").kernel, [0, 2, 4])  # constants, of which nobody reads the last
        without(model.get_layer("last").kernel, [4], axis=-2)
        silenced(model.get_layer("first"), [5])

    _, small, found = compacted([((9, 9, 2), F)], build, prepare)
    assert small.get_layer("first").filters == 2 + kept
    assert found.constants_kept == ({"border": kept} if kept else {})
