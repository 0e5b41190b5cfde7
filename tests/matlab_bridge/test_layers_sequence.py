"""Sequences of images frame by frame, folding, indexing, embeddings, and layers that keep the time."""

from __future__ import annotations

from itertools import pairwise

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from matlab_bridge import Connection, InvalidNetworkError, Layer, Network, UnsupportedLayerError

from .layer_tools import assert_close, assert_round_trip, chain, layer, normal, outputs, sequence_input
from .networks_by_hand import row
from .numpy_layers import forward
from .recurrent_by_hand import recurrent


def frames_of(*size):
    return sequence_input(0, InputSize=row(*size))


def convolution(channels, filters):
    settings_ = {
        "FilterSize": row(3, 2),
        "NumFilters": row(filters),
        "Stride": row(2, 1),
        "DilationFactor": row(1, 1),
        "PaddingMode": "same",
    }
    learnables = {"Weights": normal(1, 3, 2, channels, filters), "Bias": normal(2, 1, 1, filters)}
    return layer("conv", "Convolution2DLayer", settings_, learnables)


def pooling():
    settings_ = {"PoolSize": row(2, 2), "Stride": row(2, 2), "PaddingMode": "manual", "PaddingSize": row(0, 0, 0, 0)}
    return layer("pool", "MaxPooling2DLayer", settings_)


def fully_connected(inputs, outputs_):
    learnables = {"Weights": normal(3, outputs_, inputs), "Bias": normal(4, outputs_, 1)}
    return layer("fc", "FullyConnectedLayer", {"OutputSize": row(outputs_)}, learnables)


def norm(channels):
    learnables = {"Offset": normal(5, 1, 1, channels), "Scale": normal(6, 1, 1, channels)}
    state = {"TrainedMean": normal(7, 1, 1, channels), "TrainedVariance": np.abs(normal(8, 1, 1, channels)) + 0.1}
    return layer("norm", "BatchNormalizationLayer", {"Epsilon": row(1e-5)}, learnables, state)


def between_folding_and_unfolding(first, *layers):
    """A network whose images are folded before the layers, and unfolded after them."""
    fold, unfold = layer("fold", "SequenceFoldingLayer"), layer("unfold", "SequenceUnfoldingLayer")
    ends = [
        Connection(before.name, after.name, "out" if before is fold else "", "in" if after is unfold else "")
        for before, after in pairwise((first, fold, *layers, unfold))
    ]
    ends.append(Connection("fold", "unfold", "miniBatchSize", "miniBatchSize"))
    return Network((first, fold, *layers, unfold), tuple(ends))


IMAGES = [convolution(2, 3), norm(3), layer("relu", "ReLULayer"), pooling()]


@pytest.mark.parametrize("ends", ["flatten", "fully connected"])
@pytest.mark.parametrize("folds", [False, True], ids=["straight through", "folded"])
def test_images_of_a_sequence_are_treated_one_by_one(folds, ends, tmp_path):
    last = [layer("flatten", "FlattenLayer")] if ends == "flatten" else [fully_connected(18, 4)]
    first = frames_of(8, 6, 2)
    network = chain(first, *IMAGES, *last)
    if folds:
        network = between_folding_and_unfolding(first, *IMAGES)
        network = Network((*network.layers, *last), (*network.connections, Connection("unfold", last[0].name)))
    sequences = normal(9, 3, 4, 8, 6, 2)
    by_frame = chain(layer("input", "ImageInputLayer", {"InputSize": row(8, 6, 2)}), *IMAGES)
    images = np.array([[forward(by_frame, image) for image in sequence] for sequence in sequences])
    vectors = images.transpose(0, 1, 4, 3, 2).reshape(3, 4, -1)  # rows run fastest
    expected = vectors
    if ends != "flatten":
        expected = vectors @ normal(3, 4, 18).T + normal(4, 4, 1).ravel()
    model = network.to_keras()
    assert_close(np.asarray(model(sequences)), expected)
    assert_round_trip(network)
    model.save(tmp_path / "net.keras")
    loaded = keras.models.load_model(tmp_path / "net.keras")
    # By another number of sequences, and of steps, than before.
    assert_close(np.asarray(loaded(sequences[:1, :3])), expected[:1, :3])


def observation_norm(kind, channels, **more):
    learnables = {"Offset": normal(1, 1, 1, channels), "Scale": normal(2, 1, 1, channels)}
    return layer("norm", kind, {"Epsilon": row(1e-3), "NumChannels": row(channels), **more}, learnables)


# The axes of images over time (N, T, H, W, groups, channels of a group) that the statistics are of.
OBSERVATION_NORMS = [
    ("LayerNormalizationLayer", {}, 1, (2, 3, 4, 5)),
    ("LayerNormalizationLayer", {"OperationDimension": "auto"}, 1, (2, 3, 4, 5)),
    ("LayerNormalizationLayer", {"OperationDimension": "batch-excluded"}, 1, (2, 3, 4, 5)),
    ("LayerNormalizationLayer", {"OperationDimension": "spatial-channel"}, 1, (2, 3, 4, 5)),
    ("LayerNormalizationLayer", {"OperationDimension": "channel-only"}, 1, (4, 5)),
    ("GroupNormalizationLayer", {"NumGroups": row(2)}, 2, (2, 3, 5)),
    ("InstanceNormalizationLayer", {}, 4, (2, 3, 5)),
]


@pytest.mark.parametrize("folds", [True, False], ids=["folded", "straight through"])
@pytest.mark.parametrize(("kind", "more", "groups", "axes"), OBSERVATION_NORMS)
def test_folded_images_are_normalized_one_by_one_and_others_over_time(kind, more, groups, axes, folds, tmp_path):
    norm_, first = observation_norm(kind, 4, **more), frames_of(3, 2, 4)
    network = between_folding_and_unfolding(first, norm_) if folds else chain(first, norm_)
    sequences = normal(3, 2, 5, 3, 2, 4) + np.arange(5).reshape(5, 1, 1, 1)
    operation = more.get("OperationDimension")
    if not folds:
        if operation == "spatial-channel":
            with pytest.raises(UnsupportedLayerError, match="not the time"):
                network.to_keras()
            return
        axes = (4, 5) if operation in ("auto", "channel-only") else (1, *axes)
    split = sequences.reshape(2, 5, 3, 2, groups, 4 // groups)
    mean, variance = split.mean(axes, keepdims=True), split.var(axes, keepdims=True)
    standardized = ((split - mean) / np.sqrt(variance + 1e-3)).reshape(sequences.shape)
    expected = standardized * normal(2, 4) + normal(1, 4)
    model = network.to_keras()
    np.testing.assert_allclose(np.asarray(model(sequences)), expected, atol=1e-5)
    assert_round_trip(network)
    model.save(tmp_path / "net.keras")
    loaded = keras.models.load_model(tmp_path / "net.keras")
    np.testing.assert_allclose(loaded.predict(sequences, verbose=0, batch_size=1), expected, atol=1e-5)


def test_folded_one_dimensional_images_and_vectors():
    sequences = normal(3, 2, 5, 6, 4)
    mean, variance = sequences.mean(2, keepdims=True), sequences.var(2, keepdims=True)
    expected = (sequences - mean) / np.sqrt(variance + 1e-3) * normal(2, 4) + normal(1, 4)
    each_image = between_folding_and_unfolding(frames_of(6, 4), observation_norm("InstanceNormalizationLayer", 4))
    assert_close(outputs(each_image, sequences), expected)
    each_step = between_folding_and_unfolding(sequence_input(4), fully_connected(4, 3))
    assert_close(outputs(each_step, sequences[:, :, 0]), sequences[:, :, 0] @ normal(3, 3, 4).T + normal(4, 3))


def test_a_folded_network_trains():
    network = between_folding_and_unfolding(frames_of(3, 2, 4), observation_norm("InstanceNormalizationLayer", 4))
    model, sequences = network.to_keras(), normal(3, 6, 5, 3, 2, 4)
    model.compile("sgd", "mse")
    history = model.fit(sequences, np.zeros_like(sequences), epochs=3, batch_size=4, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]


def test_folding_needs_a_time_and_unfolding_its_folding():
    fold, unfold = layer("fold", "SequenceFoldingLayer"), layer("unfold", "SequenceUnfoldingLayer")
    with pytest.raises(UnsupportedLayerError, match=r"'fold' .*it takes sequences, but \(None, 4, 3, 2\)"):
        chain(layer("input", "ImageInputLayer", {"InputSize": row(4, 3, 2)}), fold).to_keras()
    with pytest.raises(InvalidNetworkError, match=r"port miniBatchSize of the layer 'unfold'"):
        chain(frames_of(4, 3, 2), fold, unfold).to_keras()


def test_a_video_classifier():
    layers = (
        frames_of(8, 6, 2),
        *IMAGES,
        layer("gap", "GlobalAveragePooling2DLayer"),
        layer("flatten", "FlattenLayer"),
        recurrent("LSTM", 3, 4, ReturnSequence=np.array([[False]])),
        fully_connected(4, 2),
    )
    sequences = normal(9, 2, 5, 8, 6, 2)
    by_frame = chain(layer("input", "ImageInputLayer", {"InputSize": row(8, 6, 2)}), *IMAGES, layers[-4])
    steps = np.array([[forward(by_frame, image).ravel() for image in sequence] for sequence in sequences])
    rest = chain(sequence_input(3), *layers[-2:])
    assert_close(outputs(chain(*layers), sequences), np.array([forward(rest, each) for each in steps]))


def test_one_dimensional_images_over_time():
    weights, bias = normal(1, 3, 2, 4), normal(2, 1, 4)
    conv = layer(
        "conv", "Convolution1DLayer", {"FilterSize": row(3), "NumFilters": row(4)}, {"Weights": weights, "Bias": bias}
    )
    network = chain(frames_of(6, 2), conv, layer("pool", "GlobalMaxPooling1DLayer"), layer("flatten", "FlattenLayer"))
    sequences = normal(9, 2, 5, 6, 2)
    seen = np.lib.stride_tricks.sliding_window_view(sequences, 3, axis=2)
    expected = (np.einsum("ntscf,fck->ntsk", seen, weights) + bias.ravel()).max(axis=2)
    assert_close(outputs(network, sequences), expected)


@pytest.mark.parametrize(("index", "step"), [("first", 0), ("last", -1)])
def test_indexing(index, step):
    sequences = normal(1, 2, 5, 3)
    network = chain(sequence_input(3), layer("pick", "Indexing1DLayer", {"Index": index}))
    assert_close(outputs(network, sequences), sequences[:, step])


def test_an_embedding_before_the_first_step():
    vector, sequences = normal(1, 3, 1), normal(2, 2, 5, 3)
    first = layer("class", "EmbeddingConcatenationLayer", {"InputSize": row(3)}, {"Weights": vector})
    network = chain(sequence_input(3), first)
    expected = np.concatenate([np.broadcast_to(vector.ravel(), (2, 1, 3)), sequences], axis=1)
    assert_close(outputs(network, sequences), expected)
    assert_round_trip(network)


def word_embedding(words, weights=None, **more):
    learnables = {} if weights is None else {"Weights": weights}
    return layer("words", "WordEmbeddingLayer", {"Dimension": row(4), "NumWords": row(words), **more}, learnables)


# A padding, a word, the last word, a word beyond the vocabulary, an unknown one, and what no encoding gives.
INDICES = np.array([[0, 1, 7], [8, 3, np.nan], [-1, 7, 10_000]])
IS_WORD = np.array([[False, True, True], [False, True, False], [False, True, False]])


@pytest.mark.parametrize("mode", [{}, {"OOVMode": "map-to-last"}, {"OOVMode": "error"}], ids=str)
@pytest.mark.parametrize("dimension", [1, 4])
def test_what_is_no_word_has_the_last_vector(mode, dimension, tmp_path):
    weights = normal(1, dimension, 8)
    network = chain(sequence_input(1), word_embedding(7, weights, Dimension=row(dimension), **mode))
    expected = weights.T[np.where(IS_WORD, np.nan_to_num(INDICES), 8).astype(int) - 1]
    assert_close(outputs(network, INDICES[..., None]), expected)
    assert_round_trip(network)
    model = network.to_keras()
    model.save(tmp_path / "net.keras")
    assert_close(np.asarray(keras.models.load_model(tmp_path / "net.keras")(INDICES[..., None])), expected)
    assert_close(np.asarray(model.predict(INDICES[..., None], verbose=0)), expected)


@pytest.mark.parametrize("mode", [{}, {"OOVMode": "error"}], ids=str)
def test_what_is_no_word_is_nothing_in_a_table_of_words_alone(mode):
    weights = normal(1, 4, 7)
    network = chain(sequence_input(1), word_embedding(7, weights, **mode))
    vectors = weights.T[np.where(IS_WORD, np.nan_to_num(INDICES), 1).astype(int) - 1]
    assert_close(outputs(network, INDICES[..., None]), vectors * IS_WORD[..., None])
    assert_round_trip(network)


@pytest.mark.parametrize(("mode", "rows"), [({}, 8), ({"OOVMode": "error"}, 7)], ids=str)
def test_a_table_that_training_is_to_fill(mode, rows):
    with pytest.warns(UserWarning, match="'words' have no values yet"):
        model = chain(sequence_input(1), word_embedding(7, **mode)).to_keras()
    assert model.get_layer("words").embeddings.shape == (rows, 4)


def test_tables_and_inputs_that_do_not_fit():
    with pytest.raises(UnsupportedLayerError, match=r"'words' .*\(N, T, 1\) of indices of words"):
        chain(sequence_input(2), word_embedding(7, normal(1, 4, 7))).to_keras()
    with pytest.raises(UnsupportedLayerError, match=r"OOVMode is 'skip', neither 'map-to-last' nor 'error'"):
        chain(sequence_input(1), word_embedding(7, OOVMode="skip")).to_keras()
    with pytest.raises(InvalidNetworkError, match=r"Weights of the layer 'words' .* shape \(4, 9\)"):
        chain(sequence_input(1), word_embedding(7, normal(1, 4, 9))).to_keras()


@given(st.sampled_from(["AdditionLayer", "DepthConcatenationLayer", 1, 3]), st.integers(1, 4), st.integers(1, 5))
@settings(max_examples=15)
def test_sequences_are_joined(what, channels, steps):
    names = {1: ("ConcatenationLayer", 2), 3: ("ConcatenationLayer", 1), "DepthConcatenationLayer": (None, 2)}
    kind, axis = names.get(what, (None, None))
    both = layer("both", kind or what, {"NumInputs": row(2), "Dim": row(what if kind else 1)})
    firsts = [Layer(f"input{n}", sequence_input(channels).class_name, {"InputSize": row(channels)}) for n in (1, 2)]
    network = Network((*firsts, both), tuple(Connection(f"input{n}", "both", "", f"in{n}") for n in (1, 2)))
    given_ = [normal(n, 2, steps, channels) for n in (1, 2)]
    expected = sum(given_) if axis is None else np.concatenate(given_, axis=axis)
    assert_close(np.asarray(network.to_keras()(given_)), expected)


def test_images_over_time_are_concatenated_along_their_dimensions():
    both = layer("both", "ConcatenationLayer", {"NumInputs": row(2), "Dim": row(2)})
    firsts = [Layer(f"input{n}", sequence_input(1).class_name, {"InputSize": row(4, 3, 2)}) for n in (1, 2)]
    network = Network((*firsts, both), tuple(Connection(f"input{n}", "both", "", f"in{n}") for n in (1, 2)))
    given_ = [normal(n, 2, 5, 4, 3, 2) for n in (1, 2)]
    assert_close(np.asarray(network.to_keras()(given_)), np.concatenate(given_, axis=3))


def test_a_flatten_of_networks_from_keras_keeps_their_order():
    images = normal(1, 2, 3, 4, 2)
    flatten = Layer("flatten", "nnet.keras.layer.FlattenCStyleLayer")
    network = chain(layer("input", "ImageInputLayer", {"InputSize": row(3, 4, 2)}), flatten)
    assert_close(outputs(network, images), images.reshape(2, -1))


def test_a_sequence_that_is_too_short_is_an_error():
    conv = layer("conv", "Convolution1DLayer", {"FilterSize": row(4), "NumFilters": row(2)})
    with pytest.warns(UserWarning, match="before it was trained"):
        model = chain(sequence_input(3, MinLength=row(4)), conv).to_keras()
    assert model.input_shape == (None, None, 3)
    assert np.asarray(model(normal(1, 2, 4, 3))).shape == (2, 1, 2)
    # With oneDNN, which not every processor has, TensorFlow gives an empty convolution the shape of its input, and only
    # the addition of the bias fails.
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)) as caught:
        model(normal(1, 2, 3, 3))
    assert ("too small" if caught.type is ValueError else "Incompatible shapes: [2,3,3]") in str(caught.value)


@pytest.mark.parametrize(
    ("given_", "reason"),
    [({"HasPaddingMaskInput": np.array([[True]])}, "mask of the padding"), ({"Index": "middle"}, "Index is 'middle'")],
)
def test_an_index_that_is_refused(given_, reason):
    with pytest.raises(UnsupportedLayerError, match=reason):
        chain(sequence_input(3), layer("pick", "Indexing1DLayer", given_)).to_keras()
