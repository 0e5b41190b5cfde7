"""Layers of sequences: folding, unfolding, indexing, and embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import keras
import numpy as np

from matlab_bridge._errors import InvalidNetworkError, UnsupportedLayerError
from matlab_bridge._layer import Array, Layer
from matlab_bridge.convert._frames import fold, unfold
from matlab_bridge.convert._rules import LayerRule, Parameter, register_layer
from matlab_bridge.convert._site import Site, Tensor, is_sequence

from ._settings import flag, integer, text

# MATLAB's name of the port that connects a folding and its unfolding.
_SEQUENCES = "miniBatchSize"

_OOV_MODES = ("map-to-last", "error")


def _column(embedding: Array) -> Array:
    return embedding.reshape(-1, 1)


@register_layer("nnet.cnn.layer.SequenceFoldingLayer")
@final
class SequenceFolding(LayerRule):
    """`sequenceFoldingLayer`: what follows sees the images of a sequence one by one, and no time.

    For most layers that is the same as without it; a normalization of each observation takes its statistics of
    each image, where it would take those of the whole sequence.

    Source: https://www.mathworks.com/help/deeplearning/ref/nnet.cnn.layer.sequencefoldinglayer.html
    """

    def build(self, site: Site) -> Mapping[str, Tensor]:
        """A batch of images; the unfolding needs the sequences themselves to know how many and how long they are."""
        sequences = site.input
        if not is_sequence(sequences):
            raise UnsupportedLayerError(f"it takes sequences, but {tuple(sequences.shape)} reaches it")
        return {"out": keras.layers.Identity(name=site.name)(fold(sequences)), _SEQUENCES: sequences}


@register_layer("nnet.cnn.layer.SequenceUnfoldingLayer")
@final
class SequenceUnfolding(LayerRule):
    """`sequenceUnfoldingLayer`: the images, or what became of each, are sequences again.

    Source: https://www.mathworks.com/help/deeplearning/ref/nnet.cnn.layer.sequenceunfoldinglayer.html
    """

    def build(self, site: Site) -> Tensor:
        """The images as the sequences and steps that were folded into them."""
        sequences = site.at(_SEQUENCES)
        if sequences is None:
            raise InvalidNetworkError(
                f"Nothing is connected to the port {_SEQUENCES} of the layer {site.layer.name!r} ({site.layer.kind}), "
                f"which makes sequences of images again. Connect that of its sequenceFoldingLayer."
            )
        return keras.layers.Identity(name=site.name)(unfold(site.input, sequences))


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
    """`wordEmbeddingLayer`: indices of words (N, T, 1), from 1 on as in MATLAB.

    Anything else is out of the vocabulary: 0, a padding, an index beyond `NumWords`, and the NaN that `doc2sequence`
    writes for an unknown word. They share the last vector, which follows those of the words. A table without it,
    as with the `OOVMode` `"error"`, gives zeros for them: a model of Keras' cannot refuse its data.

    Sources: https://www.mathworks.com/help/textanalytics/ref/nnet.cnn.layer.wordembeddinglayer.html and
    https://www.mathworks.com/help/deeplearning/ref/dlarray.embed.html
    """

    def objection(self, layer: Layer) -> str | None:
        """Any other way with words that are out of the vocabulary."""
        mode = text(layer, "OOVMode", "map-to-last")
        return None if mode in _OOV_MODES else f"its OOVMode is {mode!r}, neither 'map-to-last' nor 'error'"

    def build(self, site: Site) -> Tensor:
        """Keras' embedding of the indices from 0 on."""
        layer, words = site.layer, site.input
        if not is_sequence(words) or words.shape[2:] != (1,):
            raise UnsupportedLayerError(
                f"it takes sequences (N, T, 1) of indices of words, but {tuple(words.shape)} reaches it"
            )
        count, rows = integer(layer, "NumWords"), _table_length(layer)
        words = words[:, :, 0]
        # Both comparisons are false for NaN, whose cast to an integer is anything.
        is_word = keras.ops.logical_and(words >= 1, words <= count)
        indices = keras.ops.cast(keras.ops.where(is_word, words, rows), "int32") - 1
        vectors = keras.layers.Embedding(rows, integer(layer, "Dimension"), name=site.name)(indices)
        if rows > count:
            return vectors
        return keras.ops.multiply(vectors, keras.ops.cast(keras.ops.expand_dims(is_word, -1), vectors.dtype))

    def parameters(self, layer: Layer) -> tuple[Parameter, ...]:
        """`Weights` are `Dimension` x `NumWords`, and mostly one more."""
        return (Parameter("Weights", "embeddings", np.transpose, np.transpose),)

    def sizes_of(self, layer: Layer, built: keras.layers.Layer) -> Mapping[str, Any]:
        return {"Dimension": np.array([[built.embeddings.shape[-1]]], dtype=float)}


def _table_length(layer: Layer) -> int:
    """The number of vectors; of a layer that has none yet, as many as its training gives it."""
    count, weights = integer(layer, "NumWords"), layer.learnables.get("Weights", np.empty(0))
    if weights.size == 0:
        return count + (text(layer, "OOVMode", "map-to-last") != "error")
    return count if weights.size == count * integer(layer, "Dimension") else count + 1
