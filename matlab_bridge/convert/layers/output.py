"""Output layers: they hold the loss and the class names, and pass their input through."""

from __future__ import annotations

from typing import final

from matlab_bridge._layer import Layer
from matlab_bridge.convert._rules import LayerRule, register_layer
from matlab_bridge.convert._site import Site, Tensor

# The properties that a user's own output layer has from MATLAB's base classes for those,
# nnet.layer.ClassificationLayer and nnet.layer.RegressionLayer.
_OUTPUT_PROPERTIES = ("Classes", "ResponseNames")


@register_layer(
    "nnet.cnn.layer.ClassificationOutputLayer",
    "nnet.cnn.layer.RegressionOutputLayer",
    "nnet.cnn.layer.PixelClassificationLayer",
    "nnet.cnn.layer.DicePixelClassificationLayer",
    "nnet.cnn.layer.FocalLossLayer",
    "nnet.cnn.layer.RCNNBoxRegressionLayer",
    "nnet.cnn.layer.RPNClassificationLayer",
    "nnet.cnn.layer.YOLOv2OutputLayer",
)
@final
class Output(LayerRule):
    """`classificationLayer`, `regressionLayer`, those of segmentation and detection: no arithmetic at prediction."""

    def build(self, site: Site) -> Tensor:
        return site.input


def is_output_of_ones_own(layer: Layer) -> bool:
    """Whether a layer of an unknown class is an output layer with a loss of the user's own.

    Such a layer stands at the end of its network, and gives its input as the prediction
    (https://www.mathworks.com/help/deeplearning/ug/define-custom-classification-output-layer.html).
    """
    return any(name in layer.settings for name in _OUTPUT_PROPERTIES)
