"""Where in the Keras graph a layer is built: its name there, and the tensors that feed it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, TypeAlias

from matlab_bridge._errors import UnsupportedLayerError
from matlab_bridge._layer import Layer
from matlab_bridge.network import Network

Tensor: TypeAlias = Any  # a keras.KerasTensor; Keras has no type information


@dataclass(frozen=True, slots=True)
class Site:
    """A layer and the place in the Keras graph where it is built.

    Attributes:
        layer: the MATLAB layer.
        inputs: the tensors that feed it, in the order of its ports.
        names: gives the layer and its helpers their Keras names.
        ports: MATLAB's names of the ports that `inputs` come in at; empty for a layer's only one.
    """

    layer: Layer
    inputs: tuple[Tensor, ...]
    names: LayerNames
    ports: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The Keras name of the layer itself, which is the one that holds its weights."""
        return self.names[self.layer.name]

    def helper(self, role: str) -> str:
        """A Keras name for a layer that helps, such as `"conv1_padding"`."""
        return self.names.helper(self.layer.name, role)

    @property
    def input(self) -> Tensor:
        """The first, mostly the only, input."""
        return self.inputs[0]

    def at(self, port: str) -> Tensor | None:
        """The input at a port such as `"hidden"`, or None where nothing is connected to it."""
        return dict(zip(self.ports, self.inputs, strict=False)).get(port)

    @property
    def image(self) -> Tensor:
        """The input as images (N, H, W, C): a vector of C features is an image of 1x1 pixels.

        Raises:
            UnsupportedLayerError: if the input is a sequence.
        """
        return self.as_image(self.input)

    def as_image(self, tensor: Tensor, rank: int = 2) -> Tensor:
        """A tensor as images of 1, 2 or 3 dimensions; see `image`. Sequences (N, T, C) are images along the time."""
        import keras

        dimensions = len(tensor.shape) - 2
        if dimensions == rank and (rank == 1 or not is_sequence(tensor)):
            return tensor
        if dimensions == 0:
            return keras.layers.Reshape((1,) * rank + (tensor.shape[-1],), name=self.helper("image"))(tensor)
        kind = "sequences" if is_sequence(tensor) else "images"
        raise UnsupportedLayerError(
            f"it acts on {'images' if rank == 2 else f'{rank}-D images'}, but {kind} of shape {tensor.shape} reach it"
        )

    def as_vector(self, tensor: Tensor) -> Tensor:
        """A tensor as it is, but images of one pixel as the vectors (N, C), or (N, T, C), that they are."""
        import keras

        size = spatial_size(tensor)
        if not size or set(size) != {1}:
            return tensor
        name = self.helper("vector")
        if is_sequence(tensor):
            return keras.layers.Reshape((-1, tensor.shape[-1]), name=name)(tensor)
        return keras.layers.Flatten(name=name)(tensor)


def is_sequence(tensor: Tensor) -> bool:
    """Whether a tensor has a time: an axis after the batch whose size is open, when those after it are known.

    Images of any size, as MatConvNet's networks take them, are open in all their dimensions.
    """
    return len(tensor.shape) > 2 and tensor.shape[1] is None and None not in tensor.shape[2:-1]


def spatial_size(tensor: Tensor) -> tuple[int, ...]:
    """The sizes of the images that a tensor holds: (H, W) of (N, H, W, C), and of (N, T, H, W, C)."""
    return tuple(tensor.shape[2 if is_sequence(tensor) else 1 : -1])


class LayerNames:
    """The Keras names of a network's layers and of the helpers that a conversion adds; all are unique."""

    def __init__(self, network: Network) -> None:
        self._of_layer: dict[str, str] = {}
        self._taken: set[str] = set()
        for layer in network.layers:
            self._of_layer[layer.name] = self._claim(keras_name(layer.name))

    def __getitem__(self, layer_name: str) -> str:
        return self._of_layer[layer_name]

    def helper(self, layer_name: str, role: str) -> str:
        """A name such as `"conv1_padding"` for a layer that helps to build `layer_name`."""
        return self._claim(f"{self._of_layer[layer_name]}_{role}")

    def _claim(self, wanted: str) -> str:
        name, count = wanted, 1
        while name in self._taken:
            count += 1
            name = f"{wanted}_{count}"
        self._taken.add(name)
        return name


def keras_name(name: str, noun: str = "layer") -> str:
    """A MATLAB name as Keras and its backends allow it.

    Args:
        name: any text. TensorFlow allows only letters and digits of ASCII, `"_"`, `"."`, `"-"` and `">"` in the names
            of layers, and says so when the model is first fitted or asked to predict.
        noun: what it is the name of.

    Returns:
        The name with everything else replaced by `"_"`, and the noun before one that does not begin with a letter or
        a digit, as TensorFlow's scopes do, or is empty.

    Examples:
        >>> keras_name("res2a/branch1"), keras_name("efficientnet-b0|model|head")
        ('res2a_branch1', 'efficientnet-b0_model_head')
    """
    allowed = re.sub(r"[^A-Za-z0-9_.>-]", "_", name)
    return allowed if allowed[:1].isalnum() else f"{noun}{allowed}"
