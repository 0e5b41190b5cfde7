"""Keras models in MATLAB's words: what they become, and that the outputs stay."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers as kl

from matlab_bridge import UnsupportedLayerError, from_keras
from matlab_bridge.network import Network

from .layer_tools import assert_close, chain, dropped, feature_input, image_input, layer, normal
from .networks_by_hand import row

ACTIVATIONS = st.sampled_from([None, "relu", "relu6", "elu", "tanh", "sigmoid", "softmax"])


def randomized(model: keras.Model) -> keras.Model:
    """Random values for all variables, so that no two could be swapped unseen; variances positive."""
    for seed, variable in enumerate(model.variables):
        values = normal(seed, *variable.shape)
        variable.assign(np.abs(values) + 0.1 if variable.path.endswith("variance") else values)
    return model


def assert_same(model: keras.Model) -> Network:
    """The network gives the outputs of the model."""
    network = from_keras(randomized(model))
    data = [normal(99 + n, 2, *(size or 5 for size in tensor.shape[1:])) for n, tensor in enumerate(model.inputs)]
    data = data[0] if len(data) == 1 else data
    expected, actual = model(data), network.to_keras()(data)
    for ours, theirs in zip(
        *([each] if not isinstance(each, list) else each for each in (actual, expected)), strict=True
    ):
        assert_close(np.asarray(ours), np.asarray(theirs))
    return network


def sequential(shape, *layers):
    return keras.Sequential([keras.Input(shape), *layers])


def image_layer(draw, size):
    """A random layer for images of some H x W."""
    window, stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3))), draw(st.integers(1, 2))
    padding = "same" if min(size) < 3 else draw(st.sampled_from(["same", "valid"]))
    fused = {"activation": draw(ACTIVATIONS), "use_bias": draw(st.booleans())}
    makers = [
        lambda: kl.Conv2D(4, window, stride, padding, **fused),
        lambda: kl.DepthwiseConv2D(window, stride, padding, depth_multiplier=2, **fused),
        lambda: kl.Conv2DTranspose(4, 3, stride, padding, **fused),
        lambda: kl.MaxPooling2D(window, stride, padding),
        lambda: kl.AveragePooling2D(window, stride, padding),
        lambda: kl.BatchNormalization(scale=draw(st.booleans()), center=draw(st.booleans())),
        lambda: kl.LeakyReLU(0.3),
        lambda: kl.Dropout(0.5),
    ]
    return draw(st.sampled_from(makers))()


def image_stack(draw):
    """A few random layers on images, then the way to a vector, then a dense layer."""
    tensor = inputs = keras.Input(draw(st.tuples(st.integers(5, 8), st.integers(5, 8), st.integers(1, 3))))
    for _ in range(draw(st.integers(1, 3))):
        tensor = image_layer(draw, tensor.shape[1:3])(tensor)
    if draw(st.booleans()):
        tensor = kl.Flatten()(tensor)
        for _ in range(draw(st.integers(0, 2))):
            tensor = draw(st.sampled_from([kl.BatchNormalization, kl.ReLU, kl.Softmax]))()(tensor)
    else:
        tensor = kl.GlobalAveragePooling2D()(tensor)
    return keras.Model(inputs, kl.Dense(3, activation=draw(ACTIVATIONS))(tensor))


@given(st.data())
@settings(max_examples=25)
def test_random_stacks_keep_their_outputs(data):
    assert_same(image_stack(data.draw))


def test_what_a_small_classifier_becomes():
    network = assert_same(
        sequential(
            (8, 8, 1),
            kl.Rescaling(1 / 255),
            kl.Conv2D(4, 3, padding="same", activation="relu", name="conv1"),
            kl.MaxPooling2D(2),
            kl.Flatten(),
            kl.Dropout(0.5),
            kl.Dense(10, activation="softmax", name="fc"),
        )
    )
    assert [(each.kind, each.name) for each in network.layers][1:3] == [
        ("Convolution2DLayer", "conv1"),
        ("ReLULayer", "conv1_relu"),
    ]
    assert [each.kind for each in network.layers][3:] == [
        "MaxPooling2DLayer",
        "FlattenLayer",
        "DropoutLayer",
        "FullyConnectedLayer",
        "SoftmaxLayer",
    ]
    assert network.layers[0].settings["Normalization"] == "zscore"
    assert network["conv1"].learnables["Weights"].shape == (3, 3, 1, 4)
    assert network["fc"].learnables["Weights"].shape == (10, 64)
    assert network.output_names == ("fc_softmax",)


def test_dense_weights_after_a_flatten_run_column_major():
    model = randomized(sequential((3, 4, 2), kl.Flatten(), kl.Dense(5, name="fc")))
    image = normal(1, 3, 4, 2)
    weights = from_keras(model)["fc"].learnables["Weights"]
    expected = np.asarray(model(image[None]))[0] - np.asarray(model.get_layer("fc").bias)
    assert_close(weights.astype(float) @ image.ravel(order="F"), expected)


def test_branches_with_flattened_images_of_several_orders():
    image = keras.Input((4, 3, 2))
    left, right = kl.Flatten()(kl.Conv2D(3, 1)(image)), kl.Flatten()(kl.Conv2D(3, 1)(image))
    both = kl.Concatenate()([kl.Add()([left, right]), kl.Flatten()(kl.MaxPooling2D(2)(image)), kl.Dense(4)(left)])
    assert_same(keras.Model(image, [kl.Dense(2)(kl.BatchNormalization()(both)), kl.GlobalMaxPooling2D()(image)]))


def test_zero_padding_becomes_the_padding_of_the_next_layer():
    image = keras.Input((7, 6, 2))
    padded = kl.ZeroPadding2D(((1, 0), (0, 2)))(image)
    ends = [
        kl.Conv2D(3, 3, strides=2, name="conv")(padded),
        kl.Conv2D(3, 3, padding="same", dilation_rate=2, name="both")(padded),
        kl.AveragePooling2D(3, 1)(padded),
    ]
    network = assert_same(keras.Model(image, ends))
    np.testing.assert_array_equal(network["conv"].settings["PaddingSize"], [[1, 0, 0, 2]])
    np.testing.assert_array_equal(network["both"].settings["PaddingSize"], [[3, 2, 2, 4]])


@pytest.mark.parametrize(
    ("shape", "axis"),
    [((4, 3, 2), -1), ((4, 3, 2), (1, 2, 3)), ((4, 3, 2), None), ((5,), -1), ((None, 5), -1)],
)
def test_an_adapted_normalization_becomes_the_input_layers(shape, axis):
    norm = kl.Normalization(axis=axis)
    norm.adapt(normal(1, 8, *(size or 6 for size in shape)) * 3 + 1)
    inputs = keras.Input(shape)
    model = keras.Model(inputs, kl.ReLU()(norm(inputs)))
    data = normal(2, 2, *(size or 6 for size in shape))
    network = from_keras(model)
    assert [each.kind for each in network.layers][1:] == ["ReLULayer"]
    assert_close(np.asarray(network.to_keras()(data)), np.asarray(model(data)))


def test_sequences_are_dense_step_by_step():
    network = assert_same(sequential((None, 5), kl.Dense(4, activation="tanh"), kl.Dropout(0.1), kl.Dense(2)))
    assert network.layers[0].kind == "SequenceInputLayer"


@pytest.mark.parametrize(
    ("shape", "layers", "reason"),
    [
        ((4, 4, 2), [kl.Dense(3)], r"\(Dense\).* acts on each pixel"),
        ((4, 4, 2), [kl.Flatten()], "flattened, padded or permuted"),
        ((4, 4, 2), [kl.ReLU(), kl.Rescaling(np.ones((4, 4, 1)))], r"\(Rescaling\).* one for each of the 2 channels"),
        (
            (4, 4, 2),
            [kl.ZeroPadding2D(1), kl.MaxPooling2D(2)],
            r"\(MaxPooling2D\).* ZeroPadding2D stands before",
        ),
        ((4, 4, 2), [kl.SeparableConv2D(3, 2)], r"\(SeparableConv2D\).* no rule describes its class"),
        ((4, 4, 2), [kl.Conv2DTranspose(2, 2, strides=3)], "smaller than its stride"),
        ((4, 4, 2), [kl.Activation("mish")], "no rule describes this form of it"),
        ((4, 4, 2), [kl.BatchNormalization(axis=1)], "along axis 1"),
        ((6, 3), [kl.Flatten()], "flattens sequences"),
    ],
)
def test_what_matlab_cannot_do_is_refused_with_the_reason(shape, layers, reason):
    with pytest.raises(UnsupportedLayerError, match=reason):
        from_keras(sequential(shape, *layers))


def test_a_converted_model_gives_its_own_network_back():
    mean = {"Type": "zerocenter", "AverageImage": dropped(normal(1, 4, 3, 2))}
    weights = {"Weights": normal(2, 5, 24), "Bias": normal(3, 5, 1)}
    layers = (
        image_input((4, 3, 2), Normalization=mean),
        layer("lrn", "CrossChannelNormalizationLayer", {"WindowChannelSize": row(2)}),
        layer("fc", "FullyConnectedLayer", {"OutputSize": row(5)}, weights),
    )
    network = replace(chain(*layers), class_names=tuple("abcde"))
    model = network.to_keras()
    model.get_layer("fc").kernel.assign(model.get_layer("fc").kernel * 0)
    again = from_keras(model)
    assert [each.class_name for each in again.layers] == [each.class_name for each in network.layers]
    assert again.class_names == network.class_names
    np.testing.assert_array_equal(again["fc"].learnables["Weights"], np.zeros((5, 24)))
    np.testing.assert_array_equal(again["fc"].learnables["Bias"], network["fc"].learnables["Bias"])


def test_part_of_a_converted_model_is_translated_by_itself():
    weights = {"Weights": normal(2, 5, 3), "Bias": normal(3, 5, 1)}
    fc = layer("fc", "FullyConnectedLayer", {"OutputSize": row(5)}, weights)
    model = chain(feature_input(3), fc, layer("prob", "SoftmaxLayer")).to_keras()
    logits = keras.Model(model.inputs, model.get_layer("fc").output)
    assert [each.name for each in from_keras(logits).layers] == ["input", "fc"]


def test_a_layer_that_is_called_twice_is_refused():
    inputs, dense = keras.Input((3,)), kl.Dense(3, name="twice")
    with pytest.raises(UnsupportedLayerError, match=r"'twice'.* more than once"):
        from_keras(keras.Model(inputs, dense(dense(inputs))))


class TestConstants:
    """Arithmetic with numbers between the layers."""

    @pytest.mark.parametrize(
        ("function", "scale", "bias"),
        [
            (lambda h: h * 2.5, 2.5, 0),
            (lambda h: 2.5 * h, 2.5, 0),
            (lambda h: h + 1.5, 1, 1.5),
            (lambda h: h - 1.5, 1, -1.5),
            (lambda h: 1.5 - h, -1, 1.5),
            (lambda h: h / 4, 0.25, 0),
            (lambda h: keras.ops.divide(h, 4), 0.25, 0),
            (lambda h: -h, -1, 0),
            (lambda h: keras.ops.multiply(x1=h, x2=0), 0, 0),
            (lambda h: h + keras.ops.convert_to_tensor([1.0, 2.0, 3.0, 4.0]), 1, [1, 2, 3, 4]),
            (lambda h: h * np.float32([[[[1, 2, 3, 4]]]]), [1, 2, 3, 4], 0),
            (kl.Rescaling([1.0, 2.0, 3.0, 4.0], offset=-0.5), [1, 2, 3, 4], -0.5),
            (kl.Normalization(mean=[1, 2, 3, 4], variance=[4] * 4), [0.5] * 4, [-0.5, -1, -1.5, -2]),
        ],
    )
    def test_become_a_scaling_layer(self, function, scale, bias):
        inputs = keras.Input((5, 6, 3))
        hidden = kl.Conv2D(4, 3, name="conv")(inputs)
        network = assert_same(keras.Model(inputs, kl.ReLU()(function(hidden))))
        assert [layer.kind for layer in network.layers][2:] == ["ScalingLayer", "ReLULayer"]
        settings = network.layers[2].settings
        for setting, expected in ((settings["Scale"], scale), (settings["Bias"], bias)):
            np.testing.assert_allclose(np.ravel(setting), np.ravel(expected), rtol=1e-6)
            assert setting.shape == ((1, 1) if np.size(expected) == 1 else (1, 1, 4))

    def test_a_scaled_residual_by_hand(self):
        inputs = keras.Input((3,))
        hidden = kl.Dense(2, name="first")(inputs)
        model = keras.Model(inputs, hidden + 0.1 * kl.Dense(2, name="second")(hidden))
        first, first_bias, second, second_bias = weights = [
            normal(n, *shape) for n, shape in enumerate([(3, 2), (2,), (2, 2), (2,)])
        ]
        model.set_weights(weights)
        x = normal(5, 4, 3)
        h = x @ first + first_bias
        assert_close(np.asarray(from_keras(model).to_keras()(x)), h + 0.1 * (h @ second + second_bias))

    @pytest.mark.parametrize("shape", [(3,), (7, 3), (4, 4, 4, 3)])
    def test_of_vectors_sequences_and_volumes(self, shape):
        scale = kl.Rescaling([1.0, 2.0, 3.0], offset=[3.0, 2.0, 1.0])
        network = assert_same(sequential(shape, kl.ReLU(), scale, kl.ReLU()))
        assert network.layers[2].settings["Scale"].shape == ((1, 1, 1, 3) if len(shape) == 4 else (3, 1))

    def test_of_flattened_images_stand_in_matlabs_order(self):
        scale = np.arange(12.0).reshape(2, 3, 2)
        network = assert_same(sequential((2, 3, 2), kl.Flatten(), kl.Rescaling(scale.ravel().tolist()), kl.Dense(3)))
        np.testing.assert_array_equal(network.layers[2].settings["Scale"].ravel(), scale.ravel(order="F"))

    def test_rescalings_of_the_input_are_one_normalization(self):
        network = assert_same(sequential((3,), kl.Rescaling(1.0, [1, 2, 3]), kl.Rescaling([2, 4, 8], -1.0)))
        (only,) = network.layers
        # (x + [1, 2, 3]) * [2, 4, 8] - 1 is 0 at the mean, and 1 a standard deviation above it.
        np.testing.assert_allclose(only.settings["Mean"].ravel(), [-0.5, -1.75, -2.875])
        np.testing.assert_allclose(only.settings["StandardDeviation"].ravel(), [0.5, 0.25, 0.125])

    def test_an_input_that_is_returned_too_is_not_normalized(self):
        inputs = keras.Input((3,))
        assert_same(keras.Model(inputs, [inputs, kl.Rescaling(2.0)(inputs)]))

    @pytest.mark.parametrize(
        "function",
        [
            lambda h: h * np.ones((5, 6, 1), "float32"),
            lambda h: h + np.ones((2, 5, 6, 4), "float32"),
            lambda h: 1 / h,
            lambda h: keras.ops.maximum(h, 0.5),
            lambda h: h + kl.GlobalAveragePooling2D()(h),
            lambda h: kl.Add()([h, keras.ops.ones((1, 5, 6, 4))]),
        ],
    )
    def test_others_are_refused(self, function):
        inputs = keras.Input((5, 6, 3))
        model = keras.Model(inputs, function(kl.Conv2D(4, 3, padding="same")(inputs)))
        with pytest.raises(UnsupportedLayerError, match="has no form in MATLAB"):
            from_keras(model)

    def test_a_part_of_a_concatenation_keeps_its_factor(self):
        inputs = keras.Input((5, 6, 3))
        hidden = kl.ReLU()(inputs)
        network = assert_same(keras.Model(inputs, keras.ops.concatenate([hidden, hidden * 3.0], axis=-1)))
        assert [layer.kind for layer in network.layers][2:] == ["ScalingLayer", "DepthConcatenationLayer"]


class TestArguments:
    """What layers are called with beside their inputs."""

    def test_a_mask_is_refused(self):
        inputs, mask = keras.Input((4,)), keras.Input((4,), dtype="bool")
        with pytest.raises(UnsupportedLayerError, match=r"\(Softmax\).* called with mask="):
            from_keras(keras.Model([inputs, mask], kl.Softmax()(inputs, mask=mask)))

    def test_training_is_refused(self):
        inputs = keras.Input((4,))
        with pytest.raises(UnsupportedLayerError, match=r"\(Dropout\).* called with training="):
            from_keras(keras.Model(inputs, kl.Dropout(0.5)(inputs, training=True)))
        assert_same(keras.Model(inputs, kl.Dropout(0.5)(inputs, training=False)))

    def test_a_state_is_refused(self):
        inputs = keras.Input((None, 4))
        states = [keras.ops.ones((1, 3)), keras.ops.ones((1, 3))]
        with pytest.raises(UnsupportedLayerError, match=r"\(LSTM\).* called with initial_state="):
            from_keras(keras.Model(inputs, kl.LSTM(3)(inputs, initial_state=states)))

    def test_a_mask_of_attention_is_refused(self):
        inputs = keras.Input((5, 4))
        attended = kl.MultiHeadAttention(2, 3)(inputs, inputs, attention_mask=np.ones((1, 5, 5), bool))
        with pytest.raises(UnsupportedLayerError, match=r"\(MultiHeadAttention\).* with a mask"):
            from_keras(keras.Model(inputs, attended))

    def test_a_class_of_the_users_is_not_the_layer_whose_name_it_has(self):
        class ReLU(keras.layers.Layer):
            def call(self, inputs):
                return keras.ops.maximum(inputs, -1.0)

        with pytest.raises(UnsupportedLayerError, match=r"test_from_keras\.ReLU\).* no rule describes its class"):
            from_keras(sequential((4,), ReLU()))


class TestPermutations:
    """What the flatten of a network of MATLAB's becomes in Keras, where it stands alone in the file."""

    @pytest.mark.parametrize("shape", [(4, 3, 2), (4, 3, 2, 5)])
    def test_every_permutation_before_a_flatten(self, shape):
        for dims in permutations(range(1, len(shape) + 1)):
            network = assert_same(sequential(shape, kl.Permute(dims), kl.Flatten(), kl.Dense(3)))
            assert [layer.kind for layer in network.layers][1:] == ["FlattenLayer", "FullyConnectedLayer"]

    def test_a_model_of_a_file_is_the_network_that_it_came_from(self, tmp_path):
        weights = {"Weights": normal(1, 3, 24), "Bias": normal(2, 3, 1)}
        dense = layer("fc", "FullyConnectedLayer", {"OutputSize": row(3)}, weights)
        network = chain(image_input((4, 3, 2)), layer("flat", "FlattenLayer"), dense)
        network.to_keras().save(tmp_path / "net.keras")
        found = from_keras(keras.saving.load_model(tmp_path / "net.keras"))
        assert [each.kind for each in found.layers] == [each.kind for each in network.layers]
        np.testing.assert_array_equal(found["fc"].learnables["Weights"], weights["Weights"])

    @pytest.mark.parametrize(
        ("layers", "message"),
        [
            ([kl.Permute((3, 2, 1)), kl.Conv2D(2, 1), kl.Flatten()], "only a flatten may follow"),
            ([kl.Permute((2, 1, 3)), kl.Permute((2, 1, 3)), kl.Flatten()], "does not permute the axes of images"),
            ([kl.Permute((2, 1, 3)), kl.ZeroPadding2D(1), kl.Conv2D(2, 1)], "another padding or a permutation"),
            ([kl.ZeroPadding2D(1), kl.Permute((2, 1, 3)), kl.Flatten()], "does not permute the axes of images"),
            ([kl.Permute((2, 1, 3))], "permuted images that reach no further"),
        ],
    )
    def test_others_are_refused(self, layers, message):
        with pytest.raises(UnsupportedLayerError, match=message):
            from_keras(sequential((4, 3, 2), *layers))
