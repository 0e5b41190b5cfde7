"""Attention between the time steps of sequences (N, T, C), and the positions that it is told of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import keras
import numpy as np

from matlab_bridge._errors import UnsupportedLayerError
from matlab_bridge._layer import Array, Layer
from matlab_bridge.convert._rules import LayerRule, Parameter, Shapes, register_layer
from matlab_bridge.convert._site import Site, Tensor

from ._settings import flag, integer, is_given, number, text

_MASKS = ("none", "causal")


def _objection(layer: Layer) -> str | None:
    if flag(layer, "HasScoresOutput"):
        return "it also gives its scores (HasScoresOutput), which have no form among Keras' sequences"
    if (mask := text(layer, "AttentionMask", "none")) not in _MASKS:
        return f"its AttentionMask is {mask!r}, which is none of {', '.join(map(repr, _MASKS))}"
    if text(layer, "NumQueryGroups", "num-heads") != "num-heads" or is_given(layer, "NumQueryGroups"):
        groups = layer.settings["NumQueryGroups"]
        if not isinstance(groups, str) and integer(layer, "NumQueryGroups") != integer(layer, "NumHeads"):
            return f"its heads share keys and values (NumQueryGroups {integer(layer, 'NumQueryGroups')})"
    return None


def _sequences(tensor: Tensor) -> Tensor:
    if len(tensor.shape) != 3:
        raise UnsupportedLayerError(f"it acts on sequences of vectors, and inputs of shape {tensor.shape} reach it")
    return tensor


def _key_mask(mask: Tensor | None) -> Tensor:
    """A padding mask (N, T, 1), true where there is data, as Keras wants it: (N, 1, T)."""
    if mask is None:
        return None
    return keras.ops.transpose(keras.ops.not_equal(_sequences(mask)[:, :, :1], 0), (0, 2, 1))


@register_layer("nnet.cnn.layer.SelfAttentionLayer")
@final
class SelfAttention(LayerRule):
    """`selfAttentionLayer`: the channels of a head follow each other; scores are divided by the root of their number.

    Source: https://www.mathworks.com/help/deeplearning/ref/nnet.cnn.layer.selfattentionlayer.html
    """

    keras_classes = ("MultiHeadAttention",)

    def objection(self, layer: Layer) -> str | None:
        """Scores as an output, and masks and groups of later releases."""
        return _objection(layer)

    def build(self, site: Site) -> Tensor:
        """Keras' multi-head attention of a sequence with itself."""
        layer, tensor = site.layer, _sequences(site.input)
        heads, keys = integer(layer, "NumHeads"), integer(layer, "NumKeyChannels")
        values = _rows(layer, "ValueWeights", "NumValueChannels", keys)
        if heads > 1 and heads in (keys, values) and keras.backend.backend() == "tensorflow":
            # Keras 3.15 adds the biases of such heads along the time where there are as many steps as heads.
            raise UnsupportedLayerError("its heads have one channel each, which Keras gets wrong on TensorFlow")
        return keras.layers.MultiHeadAttention(
            heads,
            keys // heads,
            values // heads,
            dropout=number(layer, "DropoutProbability", 0),
            output_shape=(_rows(layer, "OutputWeights", "OutputSize", tensor.shape[-1]),),
            name=site.name,
        )(
            tensor,
            tensor,
            attention_mask=_key_mask(site.at("mask")),
            use_causal_mask=text(layer, "AttentionMask", "none") == "causal",
        )

    def parameters(self, layer: Layer) -> tuple[Parameter, ...]:
        """Weights `(heads d) x C` and `O x (heads d)`; Keras has the heads in a dimension of their own."""
        heads = integer(layer, "NumHeads")

        def split(weights: Array) -> Array:
            return weights.T.reshape(weights.shape[1], heads, -1)

        def joined(kernel: Array) -> Array:
            return kernel.reshape(kernel.shape[0], -1).T

        def column(bias: Array) -> Array:
            return bias.reshape(-1, 1)

        def of(word: str) -> tuple[Parameter, ...]:
            place, path = f"{word.lower()}_dense", word.lower()
            return (
                Parameter(f"{word}Weights", f"{place}.kernel", split, joined, path=f"{path}/kernel"),
                Parameter(
                    f"{word}Bias", f"{place}.bias", lambda bias: bias.reshape(heads, -1), column, path=f"{path}/bias"
                ),
            )

        output = (
            Parameter(
                "OutputWeights",
                "output_dense.kernel",
                lambda weights: weights.T.reshape(heads, -1, weights.shape[0]),
                lambda kernel: kernel.reshape(-1, kernel.shape[-1]).T,
                path="attention_output/kernel",
            ),
            Parameter("OutputBias", "output_dense.bias", to_matlab=column, path="attention_output/bias"),
        )
        return (*of("Query"), *of("Key"), *of("Value"), *output)

    def sizes_of(self, layer: Layer, built: keras.layers.Layer) -> Mapping[str, Any]:
        """The heads, and the channels of all of them together."""
        return _counts(built)

    def settings_of(self, layer: keras.layers.Layer, shapes: Shapes) -> Mapping[str, Any]:
        """The same attention in MATLAB's words; a causal mask is told by the call, and added there."""
        if len(shapes) > 1 or len(shapes[0]) != 3:
            raise UnsupportedLayerError("it attends to other inputs than its own sequence")
        if not layer.query_dense.bias_axes:
            raise UnsupportedLayerError("it has no biases, and MATLAB's layer has them")
        options = {"DropoutProbability": layer.dropout, "HasPaddingMaskInput": 0, "HasScoresOutput": 0}
        return {
            **_counts(layer),
            **{name: _number(option) for name, option in options.items()},
            "AttentionMask": "none",
        }


def _number(value: float) -> Array:
    return np.array([[value]], dtype=float)


def _counts(layer: keras.layers.Layer) -> dict[str, Array]:
    """The numbers of heads and channels of a Keras attention."""
    counts = {
        "NumHeads": layer.num_heads,
        "NumKeyChannels": layer.num_heads * layer.key_dim,
        "NumValueChannels": layer.num_heads * layer.value_dim,
        "OutputSize": layer.output_dense.kernel.shape[-1],
        "InputSize": layer.query_dense.kernel.shape[0],
    }
    return {name: _number(count) for name, count in counts.items()}


def _rows(layer: Layer, weights: str, setting: str, default: int) -> int:
    """A number of channels: of the weights, else as set, else (`"auto"`) the default."""
    stored = layer.learnables.get(weights, np.empty(0))
    if stored.size:
        return int(stored.shape[0])
    return default if text(layer, setting) else integer(layer, setting, default)


@register_layer("nnet.cnn.layer.AttentionLayer")
@final
class Attention(LayerRule):
    """`attentionLayer`: dot-product attention of queries to keys and values, without weights.

    Source: https://www.mathworks.com/help/deeplearning/ref/nnet.cnn.layer.attentionlayer.html
    """

    def objection(self, layer: Layer) -> str | None:
        """Scores as an output, and masks and groups of later releases."""
        return _objection(layer)

    def build(self, site: Site) -> Tensor:
        """The scores of all pairs of steps, a softmax over the keys, and the mean of the values."""
        layer, heads = site.layer, integer(site.layer, "NumHeads")
        ports = {port: site.at(port) for port in ("query", "key", "value")}
        if any(tensor is None for tensor in ports.values()):
            raise UnsupportedLayerError(f"it needs {', '.join(ports)}, and {', '.join(site.ports)} are connected")
        query, key, value = (self._split(site, port, tensor, heads) for port, tensor in ports.items())
        scale = key.shape[-1] ** -0.5 if text(layer, "Scale") else number(layer, "Scale", key.shape[-1] ** -0.5)
        scores = keras.ops.einsum("nqhd,nkhd->nhqk", query, key) * scale
        mask = _key_mask(site.at("mask"))
        if mask is not None:
            scores = keras.ops.where(keras.ops.expand_dims(mask, 1), scores, _NEVER)
        if text(layer, "AttentionMask", "none") == "causal":
            ones = keras.ops.ones_like(scores)
            is_past = keras.ops.cumsum(ones, axis=2) >= keras.ops.cumsum(ones, axis=3)
            scores = keras.ops.where(is_past, scores, _NEVER)
        # Keras' softmax warns where there is one key alone, whose share is rightly 1.
        powers = keras.ops.exp(scores - keras.ops.max(scores, axis=-1, keepdims=True))
        shares = keras.ops.divide(powers, keras.ops.sum(powers, axis=-1, keepdims=True))
        if rate := number(layer, "DropoutProbability", 0):
            shares = keras.layers.Dropout(rate, name=site.helper("dropout"))(shares)
        mixed = keras.ops.einsum("nhqk,nkhd->nqhd", shares, value)
        return keras.layers.Reshape((-1, heads * value.shape[-1]), name=site.name)(mixed)

    @staticmethod
    def _split(site: Site, port: str, tensor: Tensor, heads: int) -> Tensor:
        size = _sequences(tensor).shape[-1] // heads
        return keras.layers.Reshape((-1, heads, size), name=site.helper(port))(tensor)


# So small that no softmax in single precision sees it, and finite, so that a row of nothing else is no NaN.
_NEVER = -1e9


@register_layer("nnet.cnn.layer.PositionEmbeddingLayer")
@final
class PositionEmbedding(LayerRule):
    """`positionEmbeddingLayer`: a learned vector for each position, whatever stands there; weights are O x positions.

    Source: https://www.mathworks.com/help/deeplearning/ref/nnet.cnn.layer.positionembeddinglayer.html
    """

    def build(self, site: Site) -> Tensor:
        """Keras' embedding of the positions 0, 1, 2, ..."""
        first = _sequences(site.input)[:, :, 0]
        positions = keras.ops.cumsum(keras.ops.ones_like(first, dtype="int32"), axis=1) - 1
        embedding = keras.layers.Embedding(
            integer(site.layer, "MaxPosition"), integer(site.layer, "OutputSize"), name=site.name
        )
        return embedding(positions)

    def parameters(self, layer: Layer) -> tuple[Parameter, ...]:
        """A column in MATLAB is a row in Keras."""
        return (Parameter("Weights", "embeddings", np.transpose, np.transpose),)

    def sizes_of(self, layer: Layer, built: keras.layers.Layer) -> Mapping[str, Any]:
        return {"OutputSize": _number(built.embeddings.shape[-1])}
