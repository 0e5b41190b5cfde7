"""Output layers: they hold the loss and the class names, and pass their input through."""

from __future__ import annotations

from typing import final

from matlab_bridge.networks._rules import LayerRule, Site, Tensor, register_layer


@register_layer(
    "nnet.cnn.layer.ClassificationOutputLayer",
    "nnet.cnn.layer.RegressionOutputLayer",
    "nnet.cnn.layer.PixelClassificationLayer",
)
@final
class Output(LayerRule):
    """`classificationLayer`, `regressionLayer`, `pixelClassificationLayer`: no arithmetic at prediction."""

    def build(self, site: Site) -> Tensor:
        """The input itself."""
        return site.input
