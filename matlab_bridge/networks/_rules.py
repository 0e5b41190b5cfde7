"""How one MATLAB layer class becomes Keras layers, and the registry of all such rules.

A rule states how it builds Keras tensors, and which parameter of MATLAB's layer is which variable of the
Keras layer. Everything else, for weights as for masks and in both directions, is a loop over those
statements.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, TypeVar

import numpy as np

from matlab_bridge._errors import UnsupportedLayerError

from ._network import Array, Layer, Network

if TYPE_CHECKING:
    import keras

Tensor: TypeAlias = Any  # a keras.KerasTensor; Keras has no type information
Shapes: TypeAlias = tuple[tuple[int | None, ...], ...]
Rule = TypeVar("Rule", bound="type[LayerRule]")
Transform = Callable[[Array], Array]


def _unchanged(array: Array) -> Array:
    return array


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a MATLAB layer, and the Keras variable that holds the same numbers.

    After `to_keras` the array is reshaped to the variable's shape, and after `to_matlab` to the stored
    array's shape, both in column-major order; so a transform is needed only where the order of the elements
    differs.

    Attributes:
        matlab: the name in MATLAB, such as `"Weights"`.
        keras: the attribute of the Keras layer, such as `"kernel"`.
        to_keras: from MATLAB's layout (trailing singleton dimensions may be missing) to Keras'.
        to_matlab: from Keras' layout to MATLAB's.
        is_state: whether training estimates it from the data (`TrainedMean`), and no gradient goes to it.
        absent: its value where the Keras layer goes without the variable, as with `use_bias=False`.
    """

    matlab: str
    keras: str
    to_keras: Transform = _unchanged
    to_matlab: Transform = _unchanged
    is_state: bool = False
    absent: float = 0.0


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


def keras_name(name: str) -> str:
    """A MATLAB layer name as Keras allows it.

    Args:
        name: any text; MATLAB allows `"/"`, Keras does not.

    Returns:
        The name with every `"/"` replaced by `"_"`; `"layer"` for an empty one.

    Examples:
        >>> keras_name("res2a/branch1")
        'res2a_branch1'
    """
    return name.replace("/", "_") or "layer"


@dataclass(frozen=True, slots=True)
class Site:
    """A layer and the place in the Keras graph where it is built.

    Attributes:
        layer: the MATLAB layer.
        inputs: the tensors that feed it, in the order of its ports.
        names: gives the layer and its helpers their Keras names.
    """

    layer: Layer
    inputs: tuple[Tensor, ...]
    names: LayerNames

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

    @property
    def image(self) -> Tensor:
        """The input as images (N, H, W, C): a vector of C features is an image of 1x1 pixels.

        Raises:
            UnsupportedLayerError: if the input is a sequence.
        """
        return self.as_image(self.input)

    def as_image(self, tensor: Tensor) -> Tensor:
        """A tensor as images (N, H, W, C); see `image`."""
        import keras

        rank = len(tensor.shape)
        if rank == 4:
            return tensor
        if rank == 2:
            return keras.layers.Reshape((1, 1, tensor.shape[-1]), name=self.helper("image"))(tensor)
        raise UnsupportedLayerError(f"it acts on images, but sequences of shape {tensor.shape} reach it")

    def as_vector(self, tensor: Tensor) -> Tensor:
        """A tensor as it is, but images of 1x1 pixels as the vectors (N, C) that they are."""
        import keras

        if len(tensor.shape) == 4 and tuple(tensor.shape[1:3]) == (1, 1):
            return keras.layers.Flatten(name=self.helper("vector"))(tensor)
        return tensor


class LayerRule(ABC):
    """The pair of conversions for one MATLAB layer class.

    A subclass says how the layer is built of Keras layers, and, where it has weights, which is which. A
    rule that names `keras_classes` also describes such a Keras layer in MATLAB's words.

    Examples:
        >>> import keras
        >>> import matlab_bridge as mb
        >>> @mb.register_layer("swishLayer")
        ... class Swish(mb.LayerRule):
        ...     def build(self, site):
        ...         return keras.layers.Activation("silu", name=site.name)(site.input)
    """

    is_input: ClassVar[bool] = False
    keras_classes: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def build(self, site: Site) -> Tensor:
        """The output tensor of the layer; the Keras layer with its weights is named `site.name`.

        Raises:
            UnsupportedLayerError: with the reason only; where the layer stands is added to it.
        """

    def parameters(self, layer: Layer) -> tuple[Parameter, ...]:
        """Which parameter is which Keras variable, for this layer's form of storing them."""
        return ()

    def objection(self, layer: Layer) -> str | None:
        """Why this one layer cannot be converted although its class can, or None."""
        return None

    def settings_of(self, layer: keras.layers.Layer, shapes: Shapes) -> Mapping[str, Any] | None:
        """MATLAB's settings for a Keras layer of one of `keras_classes`; None if it is another rule's.

        Args:
            layer: the built Keras layer.
            shapes: the shapes of its inputs, each with the batch first.

        Raises:
            UnsupportedLayerError: with the reason only, if MATLAB's layer cannot do the same.
        """
        return {}


_RULES: dict[str, LayerRule] = {}


def register_layer(*class_names: str) -> Callable[[Rule], Rule]:
    """Make a rule the conversion of MATLAB layer classes, in place of any earlier one.

    Args:
        *class_names: full MATLAB class names, such as `"nnet.cnn.layer.ReLULayer"` or `"myLayer"`.

    Returns:
        A decorator for a `LayerRule` class that is made without arguments.
    """

    def decorate(rule: Rule) -> Rule:
        for class_name in class_names:
            _RULES[class_name] = rule()
        return rule

    return decorate


def rule_for(layer: Layer) -> LayerRule | None:
    """The rule of a layer's class, or None where there is none."""
    from . import layers as _families  # noqa: F401  # importing the families registers their rules

    return _RULES.get(layer.class_name)


def registered() -> Mapping[str, LayerRule]:
    """Every rule by MATLAB class name."""
    from . import layers as _families  # noqa: F401  # see rule_for

    return dict(_RULES)


def column_major_reshape(array: Array, shape: tuple[int, ...]) -> Array:
    """The elements in MATLAB's order, laid out in another shape."""
    return np.reshape(np.asarray(array), shape, order="F")
