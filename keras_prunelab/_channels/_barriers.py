"""The layers of Keras that stay as they are, and why."""

from __future__ import annotations

import keras

_BY_REASON = {
    "it multiplies channels of one input with those of another": "AdditiveAttention Attention Dot",
    "several of its query heads share a head of keys": "GroupedQueryAttention",
    "its cells can be anything": "RNN StackedRNNCells SimpleRNNCell LSTMCell GRUCell",
    "its state is an image, convolved with a border at each step": "ConvLSTM1D ConvLSTM2D ConvLSTM3D",
    "its table is used in both directions": "ReversibleEmbedding",
    "it changes the weights of the layer inside": "SpectralNormalization",
    "it runs code of the user's or of another framework": """
        FlaxLayer JaxLayer Lambda Layer TFSMLayer TorchModuleWrapper Wrapper
    """,
    "it decides by whole vectors which steps are left out": "Masking",
    "it works on the model's input, of which nothing is cut": """
        AugMix AutoContrast CategoryEncoding CenterCrop ContrastLimitedAdaptiveHistogramEqualization CutMix
        Discretization Equalization HashedCrossing Hashing InputLayer IntegerLookup MaxNumBoundingBoxes MelSpectrogram
        MixUp Normalization Pipeline RandAugment RandomBrightness RandomColorDegeneration RandomColorJitter
        RandomContrast RandomCrop RandomElasticTransform RandomErasing RandomFlip RandomGaussianBlur RandomGrayscale
        RandomHue RandomInvert RandomPerspective RandomPosterization RandomRotation RandomSaturation RandomSharpness
        RandomShear RandomTranslation RandomZoom STFTSpectrogram Solarization StringLookup TextVectorization
    """,
}

REASONS = {name: reason for reason, names in _BY_REASON.items() for name in names.split()}
"""Why a class of `keras.layers` has no rule, by its name."""


def reason_for(layer: object) -> str:
    """Why a layer has no rule."""
    kind = type(layer)
    if not isinstance(layer, keras.layers.Layer):
        return f"there is no rule for the operation {kind.__name__}; a layer around it can have one (register_rule)"
    if kind.__module__.startswith("keras.") and kind.__name__ in REASONS:
        return REASONS[kind.__name__]
    return f"there is no rule for {kind.__name__}; keras_prunelab.register_rule takes one"
