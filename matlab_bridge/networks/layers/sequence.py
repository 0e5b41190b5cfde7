"""Layers of sequences: folding, unfolding, indexing, and embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import keras
import numpy as np

from matlab_bridge._errors import UnsupportedLayerError
from matlab_bridge.networks._network import Array, Layer
from matlab_bridge.networks._rules import LayerRule, Parameter, Site, Tensor, is_sequence, register_layer

from ._settings import flag, integer, text


def _column(embedding: Array) -> Array:
    return embedding.reshape(-1, 1)


@register_layer("nnet.cnn.layer.SequenceFoldingLayer")
@final
class SequenceFolding(LayerRule):
    """`sequenceFoldingLayer`: what follows sees the images of a sequence one by one.

    The tensor keeps its time: a layer that acts on images takes those of a sequence one by one anyway.
    """

    def build(self, site: Site) -> Mapping[str, Tensor]:
        """The input itself, at both ports."""
        out = keras.layers.Identity(name=site.name)(site.input)
        return {"out": out, "miniBatchSize": out}


@register_layer("nnet.cnn.layer.SequenceUnfoldingLayer")
@final
class SequenceUnfolding(LayerRule):
    """`sequenceUnfoldingLayer`: the images are sequences again, as they have been all the time."""

    def build(self, site: Site) -> Tensor:
        """The input itself."""
        return keras.layers.Identity(name=site.name)(site.input)


@register_layer("nnet.cnn.layer.Indexing1DLayer")
@final
class Indexing1D(LayerRule):
    """`indexing1dLayer`: the first or the last step of a sequence, or pixel of a 1-D image."""

    per_frame = True

    def objection(self, layer: Layer) -> str | None:
        """A mask of the padding has no counterpart; sequences of one length need none."""
        if flag(layer, "HasPaddingMaskInput"):
            return "it takes a mask of the padding (HasPaddingMaskInput)"
        if (index := text(layer, "Index", "first")) not in ("first", "last"):
            return f"its Index is {index!r}, which is neither 'first' nor 'last'"
        return None

    def build(self, site: Site) -> Tensor:
        """One step."""
        step = 0 if text(site.layer, "Index", "first") == "first" else -1
        return keras.layers.Identity(name=site.name)(site.as_image(site.input, 1)[:, step])


@register_layer("nnet.cnn.layer.EmbeddingConcatenationLayer")
@final
class EmbeddingConcatenation(LayerRule):
    """`embeddingConcatenationLayer`: a learned vector before the first step, or pixel."""

    per_frame = True

    def build(self, site: Site) -> Tensor:
        """An embedding of one word, whose number is 0 for each sequence."""
        steps = site.as_image(site.input, 1)
        zeros = keras.ops.zeros_like(steps[:, :1, 0], dtype="int32")
        first = keras.layers.Embedding(1, steps.shape[-1], name=site.name)(zeros)
        return keras.layers.Concatenate(axis=1, name=site.helper("concatenation"))([first, steps])

    def parameters(self, layer: Layer) -> tuple[Parameter, ...]:
        """The vector, C x 1."""
        return (Parameter("Weights", "embeddings", to_matlab=_column),)


@register_layer("nnet.cnn.layer.WordEmbeddingLayer")
@final
class WordEmbedding(LayerRule):
    """`wordEmbeddingLayer`: indices of words (N, T, 1), from 1 on as in MATLAB; index 0, a padding, gives zeros.

    Source: https://www.mathworks.com/help/textanalytics/ref/wordembeddinglayer.html
    """

    def build(self, site: Site) -> Tensor:
        """Keras' embedding of the indices from 0 on."""
        layer, words = site.layer, site.input
        if not is_sequence(words) or words.shape[2:] != (1,):
            raise UnsupportedLayerError(
                f"it takes sequences (N, T, 1) of indices of words, but {tuple(words.shape)} reaches it"
            )
        indices = keras.ops.cast(words[:, :, 0], "int32") - 1
        embedding = keras.layers.Embedding(integer(layer, "NumWords"), integer(layer, "Dimension"), name=site.name)
        vectors = embedding(keras.ops.maximum(indices, 0))
        is_word = keras.ops.cast(keras.ops.expand_dims(indices >= 0, -1), vectors.dtype)
        return keras.ops.multiply(vectors, is_word)

    def parameters(self, layer: Layer) -> tuple[Parameter, ...]:
        """`Weights` are `Dimension` x `NumWords`."""
        return (Parameter("Weights", "embeddings", np.transpose, np.transpose),)
