"""Every layer class of Keras: it goes through the harness, or there is a reason why it has nothing to prune.

A class that a new version of Keras brings fails the first test until somebody has decided.
"""

from __future__ import annotations

import inspect

import keras
import numpy as np
import pytest

import keras_prunelab as kpl

from .prunable_harness import Case, assert_prunable, built, pruned_while_training

pytestmark = pytest.mark.backends

L = keras.layers


@keras.saving.register_keras_serializable(package="tests")
def matrix_product(params: object, inputs: object) -> object:
    return inputs @ params


def bidirectional(cell: int) -> dict[str, int]:
    ways = ("forward_lstm", "backward_lstm")
    return {f"{way}/lstm_cell/{name}": cell for way in ways for name in ("kernel", "recurrent_kernel")}


def recurrent(cell: str, channels: int) -> dict[str, int]:
    return {f"{cell}/kernel": channels, f"{cell}/recurrent_kernel": channels}


# The sizes are such that no two axes of a kernel have the same length, wherever the layer allows.
CASES = {
    L.Dense: Case(lambda: L.Dense(3), [(5,)], {"kernel": 3}),
    L.EinsumDense: Case(lambda: L.EinsumDense("abc,cde->abde", (5, 2, 3)), [(5, 4)], {"kernel": 2 * 3}),
    L.Conv1D: Case(lambda: L.Conv1D(5, 3), [(7, 4)], {"kernel": 5}),
    L.Conv2D: Case(lambda: L.Conv2D(6, 3, groups=2), [(7, 7, 4)], {"kernel": 6}),
    L.Conv3D: Case(lambda: L.Conv3D(5, 2), [(4, 4, 4, 3)], {"kernel": 5}),
    L.Conv1DTranspose: Case(lambda: L.Conv1DTranspose(5, 3), [(7, 4)], {"kernel": 5}),
    L.Conv2DTranspose: Case(lambda: L.Conv2DTranspose(5, 3, strides=2), [(4, 4, 2)], {"kernel": 5}),
    L.Conv3DTranspose: Case(lambda: L.Conv3DTranspose(5, 2), [(3, 3, 3, 4)], {"kernel": 5}),
    L.DepthwiseConv1D: Case(lambda: L.DepthwiseConv1D(3, depth_multiplier=2), [(7, 4)], {"kernel": 4 * 2}),
    L.DepthwiseConv2D: Case(lambda: L.DepthwiseConv2D(3, depth_multiplier=2), [(7, 7, 4)], {"kernel": 4 * 2}),
    L.SeparableConv1D: Case(
        lambda: L.SeparableConv1D(5, 3, depth_multiplier=2),
        [(7, 4)],
        {"depthwise_kernel": 4 * 2, "pointwise_kernel": 5},
    ),
    L.SeparableConv2D: Case(
        lambda: L.SeparableConv2D(5, 3, depth_multiplier=2),
        [(7, 7, 4)],
        {"depthwise_kernel": 4 * 2, "pointwise_kernel": 5},
    ),
    L.SimpleRNN: Case(lambda: L.SimpleRNN(3), [(5, 2)], recurrent("simple_rnn_cell", 3)),
    L.GRU: Case(lambda: L.GRU(3), [(5, 2)], recurrent("gru_cell", 3 * 3)),
    L.LSTM: Case(lambda: L.LSTM(3, return_state=True), [(5, 2)], recurrent("lstm_cell", 4 * 3)),
    L.ConvLSTM1D: Case(lambda: L.ConvLSTM1D(3, 2), [(4, 5, 2)], recurrent("conv_lstm_cell", 4 * 3)),
    L.ConvLSTM2D: Case(lambda: L.ConvLSTM2D(3, 2), [(3, 5, 5, 2)], recurrent("conv_lstm_cell", 4 * 3)),
    L.ConvLSTM3D: Case(lambda: L.ConvLSTM3D(3, 2), [(2, 3, 3, 3, 2)], recurrent("conv_lstm_cell", 4 * 3)),
    L.SimpleRNNCell: Case(lambda: L.RNN(L.SimpleRNNCell(3, name="cell")), [(5, 2)], recurrent("cell", 3)),
    L.GRUCell: Case(lambda: L.RNN(L.GRUCell(3, name="cell")), [(5, 2)], recurrent("cell", 3 * 3)),
    L.LSTMCell: Case(lambda: L.RNN(L.LSTMCell(3, name="cell")), [(5, 2)], recurrent("cell", 4 * 3)),
    L.StackedRNNCells: Case(
        lambda: L.RNN(L.StackedRNNCells([L.GRUCell(3, name="one"), L.LSTMCell(4, name="two")], name="stack")),
        [(5, 2)],
        recurrent("stack/one", 3 * 3) | recurrent("stack/two", 4 * 4),
    ),
    L.RNN: Case(lambda: L.RNN(L.GRUCell(3, name="cell"), return_sequences=True), [(5, 2)], recurrent("cell", 3 * 3)),
    L.Bidirectional: Case(lambda: L.Bidirectional(L.LSTM(3, name="lstm")), [(5, 2)], bidirectional(4 * 3)),
    L.TimeDistributed: Case(lambda: L.TimeDistributed(L.Conv1D(5, 3, name="conv")), [(3, 6, 2)], {"conv/kernel": 5}),
    L.MultiHeadAttention: Case(
        lambda: L.MultiHeadAttention(2, 3),
        [(6, 4), (7, 4)],
        {"query/kernel": 2 * 3, "key/kernel": 2 * 3, "value/kernel": 2 * 3, "attention_output/kernel": 4},
    ),
    L.GroupQueryAttention: Case(
        lambda: L.GroupQueryAttention(3, 4, 2),
        [(6, 5), (7, 5)],
        {"query/kernel": 4 * 3, "key/kernel": 2 * 3, "value/kernel": 2 * 3, "attention_output/kernel": 5},
    ),
    L.SpectralNormalization: Case(
        lambda: L.SpectralNormalization(L.Dense(3, name="dense")), [(5,)], {"dense/kernel": 3}
    ),
    L.Embedding: Case(lambda: L.Embedding(7, 3), [(5,)], {"embeddings": 3}, integers=7, variables="embeddings"),
    L.ReversibleEmbedding: Case(
        lambda: L.ReversibleEmbedding(7, 3), [(5,)], {"embeddings": 3}, integers=7, variables="embeddings"
    ),
}

BY_REASON = {
    "it has no weights": """
        Activation ActivityRegularization Add Average Concatenate Dot Maximum Minimum Multiply Subtract
        AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D
        AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D
        AveragePooling1D AveragePooling2D AveragePooling3D MaxPooling1D MaxPooling2D MaxPooling3D
        GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D
        GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D
        AlphaDropout Dropout GaussianDropout GaussianNoise SpatialDropout1D SpatialDropout2D SpatialDropout3D
        Cropping1D Cropping2D Cropping3D UpSampling1D UpSampling2D UpSampling3D
        ZeroPadding1D ZeroPadding2D ZeroPadding3D ELU LeakyReLU ReLU Softmax UnitNormalization
        Flatten Identity InputLayer Lambda Masking Permute RepeatVector Reshape
        AugMix AutoContrast CategoryEncoding CenterCrop ContrastLimitedAdaptiveHistogramEqualization CutMix
        Discretization Equalization HashedCrossing Hashing IntegerLookup MaxNumBoundingBoxes MelSpectrogram MixUp
        Pipeline RandAugment RandomBrightness RandomColorDegeneration RandomColorJitter RandomContrast RandomCrop
        RandomElasticTransform RandomErasing RandomFlip RandomGaussianBlur RandomGrayscale RandomHue RandomInvert
        RandomPerspective RandomPosterization RandomRotation RandomSaturation RandomSharpness RandomShear
        RandomTranslation RandomZoom Rescaling Resizing Solarization StringLookup TextVectorization
    """,
    "its weights are scales, offsets, slopes or statistics": """
        AdditiveAttention Attention BatchNormalization GroupNormalization LayerNormalization Normalization PReLU
        RMSNormalization
    """,
    "its kernels are a Fourier basis": "STFTSpectrogram",
    "it is made to be inherited from": "Layer Wrapper",
    "it runs a program of another framework, and is tested by itself below or not installed": """
        FlaxLayer JaxLayer TFSMLayer TorchModuleWrapper
    """,
}
NOTHING = {name: reason for reason, names in BY_REASON.items() for name in names.split()}

CLASSES = {
    value for value in vars(keras.layers).values() if inspect.isclass(value) and issubclass(value, keras.layers.Layer)
}


def test_every_layer_class_is_decided() -> None:
    cases, nothing = {case.__name__ for case in CASES}, set(NOTHING)
    assert not cases & nothing
    assert {layer.__name__ for layer in CLASSES} == cases | nothing


def test_what_is_said_to_have_no_weights_makes_none() -> None:
    named = {layer.__name__: layer for layer in CLASSES}
    for name, reason in NOTHING.items():
        if reason == "it has no weights":
            parents = named[name].__mro__[: named[name].__mro__.index(L.Layer)]
            sources = [inspect.getsource(parent) for parent in parents if parent.__module__.startswith("keras.")]
            assert sources
            assert not any("add_weight(" in source or "add_variable(" in source for source in sources), name


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (lambda: L.AdditiveAttention(), [(3, 4), (3, 4)]),
        (lambda: L.Attention(use_scale=True, score_mode="concat"), [(3, 4), (3, 4)]),
        (lambda: L.BatchNormalization(), [(4,)]),
        (lambda: L.GroupNormalization(2), [(4,)]),
        (lambda: L.LayerNormalization(), [(4,)]),
        (lambda: L.Normalization(mean=0.0, variance=1.0), [(4,)]),
        (lambda: L.PReLU(), [(4,)]),
        (lambda: L.RMSNormalization(), [(4,)]),
        (lambda: L.STFTSpectrogram(frame_length=8, frame_step=4, fft_length=8), [(32, 1)]),
    ],
)
def test_scales_offsets_and_bases_are_left_alone(layer: object, shape: list[tuple[int, ...]]) -> None:
    inputs = [keras.Input(one) for one in shape]
    one = layer()  # type: ignore[operator]
    model = keras.Model(inputs, one(inputs if len(inputs) > 1 else inputs[0]))
    assert NOTHING[type(one).__name__] != "it has no weights"
    with pytest.raises(kpl.NothingToPruneError):
        kpl.prunable(model)


@pytest.mark.parametrize("layer", CASES, ids=lambda layer: layer.__name__)
def test_layer(layer: type) -> None:
    case = CASES[layer]
    assert any(type(each) is layer for each in case.make()._flatten_layers())
    assert_prunable(case)


@pytest.mark.skipif(keras.config.backend() != "jax", reason="a function of JAX")
def test_a_function_of_jax() -> None:
    def make() -> keras.layers.Layer:
        return L.JaxLayer(matrix_product, params=np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32))

    model = built(Case(make, [(5,)], {}), make())
    assert kpl.prunable(model).total == 15
    pruned_while_training(model)


@pytest.mark.skipif(keras.config.backend() != "torch", reason="a module of torch")
def test_a_module_of_torch_cannot_be_wrapped() -> None:
    import torch

    module = L.TorchModuleWrapper(torch.nn.Linear(5, 3), output_shape=(None, 3))
    model = built(Case(L.ReLU, [(5,)], {}), module)
    pruned_while_training(model)
    with pytest.raises(kpl.InvalidModelError, match="weights that torch reads by itself"):
        kpl.layers.Pruned(L.TorchModuleWrapper(torch.nn.Linear(5, 3)), 0.5)(np.ones((1, 5), np.float32))
