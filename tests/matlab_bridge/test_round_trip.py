"""Keras to MATLAB's portable form and back: random small models of every layer that goes both ways."""

from __future__ import annotations

import tempfile
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers as kl

import matlab_bridge as mb
from matlab_bridge.convert._rules import registered
from matlab_bridge.network import Network

from .layer_tools import normal
from .test_from_keras import randomized

FUNCTIONS = ["relu", "relu6", "elu", "tanh", "sigmoid", "softmax", "silu", "gelu", "softplus", "linear"]
FUSED = st.sampled_from([None, *FUNCTIONS])
SMALL = st.integers(1, 3)
CHANNELS = st.integers(2, 3)  # of a head; see test_heads_of_one_channel


def anywhere(draw, tensor):
    """Layers for tensors of any rank."""
    groups = draw(st.sampled_from([n for n in (1, 2, 3, -1) if n < 0 or tensor.shape[-1] % n == 0]))
    return [
        lambda: kl.Activation(draw(st.sampled_from(FUNCTIONS))),
        lambda: kl.ReLU(draw(st.sampled_from([None, 2.5]))),
        lambda: kl.LeakyReLU(0.3),
        lambda: kl.ELU(0.7),
        lambda: kl.PReLU(shared_axes=[*range(1, len(tensor.shape) - 1)] or None),
        *([lambda: kl.Softmax()] if tensor.shape[-1] > 1 else []),  # Keras warns of one over a single channel
        lambda: kl.Dropout(0.4),
        lambda: kl.Identity(),
        lambda: kl.BatchNormalization(scale=draw(st.booleans()), center=draw(st.booleans())),
        lambda: kl.LayerNormalization(scale=draw(st.booleans()), center=draw(st.booleans())),
        lambda: kl.GroupNormalization(groups, scale=draw(st.booleans())),
    ]


def on_images(draw, tensor):
    window, stride = draw(st.tuples(SMALL, SMALL)), draw(st.integers(1, 2))
    small = min(tensor.shape[1:3])
    padding = "same" if small < 3 else draw(st.sampled_from(["same", "valid"]))
    fused = {"activation": draw(FUSED), "use_bias": draw(st.booleans())}
    scale = [lambda: kl.UpSampling2D(draw(st.tuples(SMALL, SMALL)), interpolation=draw(METHODS))]
    return [
        lambda: kl.Conv2D(draw(st.sampled_from([2, 4])), window, stride, padding, **fused),
        lambda: kl.Conv2D(3, window, 1, padding, dilation_rate=1 if small < 6 else 2, **fused),
        lambda: kl.Conv2D(2 * tensor.shape[-1], window, groups=tensor.shape[-1], padding=padding, **fused),
        lambda: kl.DepthwiseConv2D(window, stride, padding, **fused),
        lambda: kl.Conv2DTranspose(3, 3, stride, padding, **fused),
        lambda: kl.MaxPooling2D(window, stride, padding),
        lambda: kl.AveragePooling2D(window, stride, padding),
        lambda: kl.SpatialDropout2D(0.4),
        *(scale if max(tensor.shape[1:3]) < 8 else []),
        *anywhere(draw, tensor),
    ]


METHODS = st.sampled_from(["nearest", "bilinear"])


def on_sequences(draw, tensor):
    units, fused = draw(SMALL), {"activation": draw(FUSED), "use_bias": draw(st.booleans())}
    makers = [
        lambda: kl.LSTM(units, return_sequences=True),
        lambda: kl.GRU(units, return_sequences=True),
        lambda: kl.Bidirectional(kl.LSTM(units, return_sequences=True)),
        lambda: kl.Conv1D(3, draw(SMALL), padding=draw(st.sampled_from(["same", "causal"])), **fused),
        lambda: kl.MaxPooling1D(2, 1, "same"),
        lambda: kl.Dense(units + 1, **fused),
        lambda: kl.SpatialDropout1D(0.4),
        *anywhere(draw, tensor),
    ]

    def attention():
        layer = kl.MultiHeadAttention(draw(SMALL), draw(CHANNELS), draw(CHANNELS), output_shape=(draw(SMALL),))
        causal = draw(st.booleans())
        return lambda x: layer(x, x, use_causal_mask=causal)

    return [*makers, attention]


def on_vectors(draw, tensor):
    return [lambda: kl.Dense(draw(st.integers(1, 5)), activation=draw(FUSED)), *anywhere(draw, tensor)]


def stack(draw, tensor, makers, most):
    for _ in range(draw(st.integers(1, most))):
        before, tensor = tensor, draw(st.sampled_from(makers(draw, tensor)))()(tensor)
        if before.shape == tensor.shape and draw(st.booleans()):
            join = draw(st.sampled_from([kl.Add, kl.Multiply, kl.Concatenate]))
            tensor = join()([before, tensor])
    return tensor


def drawn_model(draw):
    """Images, sequences or features in; a few layers, branches that join, and a vector out."""
    what = draw(st.sampled_from(["images", "sequences", "features"]))
    if what == "features":
        inputs = keras.Input((draw(st.integers(1, 5)),))
        tensor = inputs
    elif what == "sequences":
        inputs = keras.Input((None, draw(SMALL)))
        tensor = stack(draw, inputs, on_sequences, 2)
        tensor = draw(st.sampled_from([kl.GlobalAveragePooling1D, kl.GlobalMaxPooling1D]))()(tensor)
    else:
        inputs = keras.Input((draw(st.integers(4, 7)), draw(st.integers(4, 7)), draw(SMALL)))
        tensor = kl.Rescaling(0.5, 0.1)(inputs) if draw(st.booleans()) else inputs
        tensor = stack(draw, tensor, on_images, 3)
        ends = [kl.GlobalAveragePooling2D, kl.GlobalMaxPooling2D]
        # A flatten needs the weights of a dense layer after it, which it reorders.
        tensor = kl.Dense(3)(kl.Flatten()(tensor)) if draw(st.booleans()) else draw(st.sampled_from(ends))()(tensor)
    return keras.Model(inputs, stack(draw, tensor, on_vectors, 2))


def there_and_back(model: keras.Model) -> Network:
    """Through the file that MATLAB reads, whose values alone the second model is made of."""
    with tempfile.TemporaryDirectory() as folder:
        mb.save_portable(Path(folder, "net.mat"), model)
        return mb.load_network(Path(folder, "net.mat"))


def assert_same_outputs(model: keras.Model, network: Network) -> None:
    data = normal(99, 2, *(size or 5 for size in model.input_shape[1:])).astype(np.float32)
    expected, actual = (np.asarray(each(data, training=False)) for each in (model, network.to_keras()))
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4 * max(1, np.abs(expected).max()))


@given(st.data())
@settings(max_examples=100)
def test_random_models_give_the_same_outputs(data):
    keras.backend.clear_session()
    model = randomized(drawn_model(data.draw))
    network = there_and_back(model)
    assert_same_outputs(model, network)
    assert {layer.class_name for layer in network.layers} <= registered().keys()


@pytest.mark.parametrize("version", ["v7", "v7.3"])
def test_a_transformer_through_a_file(tmp_path, version):
    inputs = keras.Input((None, 4))
    attended = kl.MultiHeadAttention(2, 3)(inputs, inputs, use_causal_mask=True)
    tensor = kl.LayerNormalization()(kl.Add()([inputs, attended]))
    tensor = kl.LayerNormalization()(kl.Add()([tensor, kl.Dense(4)(kl.Dense(8, activation="gelu")(tensor))]))
    model = randomized(keras.Model(inputs, kl.Dense(3, activation="softmax")(kl.GlobalAveragePooling1D()(tensor))))
    mb.save_portable(tmp_path / "net.mat", model, version=version)
    network = mb.load_network(tmp_path / "net.mat")
    assert_same_outputs(model, network)
    kinds = [layer.kind for layer in network.layers]
    assert kinds.count("SelfAttentionLayer") == 1
    assert kinds.count("LayerNormalizationLayer") == 2


def test_attention_to_another_sequence_is_refused():
    first, second = keras.Input((None, 4)), keras.Input((None, 4))
    model = keras.Model([first, second], kl.MultiHeadAttention(2, 3)(first, second))
    with pytest.raises(mb.UnsupportedLayerError, match=r"attends to other inputs than its own sequence"):
        mb.from_keras(model)
