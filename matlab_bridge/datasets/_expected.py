"""What a network says about the data that it was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from matlab_bridge._input_format import observation
from matlab_bridge._layer import Layer
from matlab_bridge.network import Network

Kind = Literal["image", "feature", "sequence", "unknown"]

_KINDS: dict[str, Kind] = {
    "ImageInputLayer": "image",
    "Image3DInputLayer": "image",
    "FeatureInputLayer": "feature",
    "SequenceInputLayer": "sequence",
}
_FORMATS: dict[str, Kind] = {"C": "feature", "SSC": "image", "SSSC": "image", "CT": "sequence"}


@dataclass(frozen=True)
class Expected:
    """The data that a network takes and gives; of an absent network, nothing is known.

    Attributes:
        kind: what one observation is.
        size: of one observation, `(H, W, C)`, `(H, W, D, C)` or `(D,)`; empty where the kind is unknown.
        outputs: how many numbers the network gives for one observation, or None where its layers do not say.
        class_names: in the order of the outputs; empty where the network has none.
        regression: whether the network ends in a regression.
    """

    kind: Kind = "unknown"
    size: tuple[int, ...] = ()
    outputs: int | None = None
    class_names: tuple[str, ...] = ()
    regression: bool = False

    def __str__(self) -> str:
        """The network's input, for a message."""
        words = {
            "image": f"images of {' x '.join(map(str, self.size))}",
            "feature": f"{self.size[0] if self.size else '?'} features",
            "sequence": f"sequences with {self.size[0] if self.size else '?'} values a time step",
            "unknown": "data of any shape",
        }
        return words[self.kind]


def expected_of(network: Network | None) -> Expected:
    """What a network expects of its data.

    Args:
        network: a network with one input; None, or one whose input layer has no size, expects nothing in
            particular.

    Returns:
        Its input size, the number of its outputs and its class names.
    """
    if network is None:
        return Expected()
    kind, size = _input(network)
    outputs = len(network.class_names) or _outputs(network)
    regression = any(layer.kind.startswith("Regression") for layer in network.layers)
    return Expected(kind, size, outputs, network.class_names, regression)


def _input(network: Network) -> tuple[Kind, tuple[int, ...]]:
    for layer in network.layers:
        kind, size = _observation(layer)
        if kind and size:
            # A sequence of images is no sequence of vectors, and nothing here orients it.
            return (kind, size) if kind != "sequence" or len(size) == 1 else ("unknown", ())
    return "unknown", ()


def _observation(layer: Layer) -> tuple[Kind | None, tuple[int, ...]]:
    if layer.kind != "InputLayer":
        return _KINDS.get(layer.kind), _sizes(layer.settings.get("InputSize"))
    letters, sizes = observation(layer)
    step = sizes[:-1] if letters.endswith("T") else sizes
    known = tuple(size for size in step if size is not None)
    return _FORMATS.get(letters), known if len(known) == len(step) else ()


def _outputs(network: Network) -> int | None:
    """How many outputs the last layer with weights has; the layers after it keep their number."""
    for layer in reversed(network.execution_order):
        count = _width(layer)
        if count:
            return count
    return None


def _width(layer: Layer) -> int | None:
    recurrent = layer.learnables.get("RecurrentWeights")
    if recurrent is not None:
        sides = 2 if layer.kind.startswith("Bi") else 1
        return sides * int(np.shape(recurrent)[1])
    for name in ("Bias", "Offset"):
        if name in layer.learnables and np.size(layer.learnables[name]):
            return int(np.size(layer.learnables[name]))
    return None


def _sizes(value: Any) -> tuple[int, ...]:
    return tuple(int(number) for number in np.ravel(np.asarray(value if value is not None else [], dtype=float)))
