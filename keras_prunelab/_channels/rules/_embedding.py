"""Embeddings: each channel is a column of the table."""

# ruff: noqa: ARG002 # the methods of a rule are given what any rule may need

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_prunelab._channels._channels import Flow, Ids, Layout, Site, Trace, Values
from keras_prunelab._channels._graph import Call

from ._base import ChannelRule, Count
from ._registry import register_rule


@register_rule(keras.layers.Embedding)
class EmbeddingRule(ChannelRule):
    """A table of vectors, whose width can shrink."""

    def flow(self, call: Call, inputs: tuple[Flow, ...], trace: Trace) -> Sequence[Flow]:
        """New channels along a new axis."""
        trace.pin(inputs[0].ids)
        return [Flow(len(call.inputs[0].shape), trace.make(call.layer, "out", call.layer.output_dim))]

    def constants(self, site: Site, values: Sequence[Values]) -> Sequence[Values]:
        """A column of equal numbers."""
        table = np.asarray(site.weights[0], np.float64)
        return [np.where((table == table[0]).all(axis=0), table[0], np.nan)]

    def layout(self, layer: Any, ports: Mapping[str, Ids]) -> Sequence[Layout]:
        return [(None, ports["out"])]

    def config(self, site: Site, count: Count) -> dict[str, Any]:
        return {"output_dim": count(site.ports["out"])}
