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

from matlab_bridge._layer import Array, Layer

from ._site import Site, Tensor

if TYPE_CHECKING:
    import keras

Shapes: TypeAlias = tuple[tuple[int | None, ...], ...]
RuleClass = TypeVar("RuleClass", bound="type[LayerRule]")
Ranked = TypeVar("Ranked", bound="type[RankedRule]")
Transform = Callable[[Array], Array]


def _unchanged(array: Array) -> Array:
    return array


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a MATLAB layer, and the Keras variable that holds the same numbers.

    After `to_keras` the array is reshaped to the variable's shape, and after `to_matlab` to the stored
    array's shape, both in column-major order; so a transform is needed only where the order of the elements
    differs. Where MATLAB keeps the numbers of several Keras variables in one array, they follow each other along
    its first dimension, and the transforms see one part each.

    Attributes:
        matlab: the name in MATLAB, such as `"Weights"`.
        keras: the attribute of the Keras layer, such as `"kernel"` or `"cell.kernel"`, or several of them.
        to_keras: from MATLAB's layout (trailing singleton dimensions may be missing) to Keras'.
        to_matlab: from Keras' layout to MATLAB's.
        is_state: whether training estimates it from the data (`TrainedMean`), and no gradient goes to it.
        absent: its value where the Keras layer goes without the variable, as with `use_bias=False`.
        path: what follows the layer's name in `variable.path`, where that is not the attribute:
            `"lstm_cell/kernel"`; as many as there are attributes.
    """

    matlab: str
    keras: str | tuple[str, ...]
    to_keras: Transform = _unchanged
    to_matlab: Transform = _unchanged
    is_state: bool = False
    absent: float = 0.0
    path: str | tuple[str, ...] = ()

    @property
    def attributes(self) -> tuple[str, ...]:
        """The attributes of the Keras layer that hold the variables."""
        return (self.keras,) if isinstance(self.keras, str) else self.keras

    @property
    def paths(self) -> tuple[str, ...]:
        """What follows the layer's name in the path of each variable."""
        paths = (self.path,) if isinstance(self.path, str) else self.path
        return paths or self.attributes


class LayerRule(ABC):
    """The pair of conversions for one MATLAB layer class.

    A subclass says how the layer is built of Keras layers, and, where it has weights, which is which. A
    rule that names `keras_classes` also describes such a Keras layer in MATLAB's words.

    Attributes:
        is_input: whether the layer is an input of its network.
        per_frame: whether it treats each image of a sequence alone; it is then built on a batch of images.
        keras_classes: the names of the Keras classes that it may describe.

    Examples:
        >>> import keras
        >>> import matlab_bridge as mb
        >>> @mb.register_layer("swishLayer")
        ... class Swish(mb.LayerRule):
        ...     def build(self, site):
        ...         return keras.layers.Activation("silu", name=site.name)(site.input)
    """

    is_input: ClassVar[bool] = False
    per_frame: ClassVar[bool] = False
    keras_classes: tuple[str, ...] = ()

    @abstractmethod
    def build(self, site: Site) -> Tensor | Mapping[str, Tensor]:
        """The output tensor of the layer; the Keras layer with its weights is named `site.name`.

        A layer with several outputs gives them by the names of their ports, the main one as `"out"`.

        Raises:
            UnsupportedLayerError: with the reason only; where the layer stands is added to it.
        """

    def parameters(self, layer: Layer) -> tuple[Parameter, ...]:
        """Which parameter is which Keras variable, for this layer's form of storing them."""
        return ()

    def objection(self, layer: Layer) -> str | None:
        """Why this one layer cannot be converted although its class can, or None."""
        return None

    def sizes_of(self, layer: Layer, built: keras.layers.Layer) -> Mapping[str, Any]:
        """MATLAB's settings that count channels, for a Keras layer of fewer channels than `build` gave it.

        A rule whose settings say how many channels there are overrides it; without it, a network that was cut down
        in Keras cannot be written as a smaller one of MATLAB's.

        Args:
            layer: the MATLAB layer as it was.
            built: the Keras layer of its name, with its variables.
        """
        return {}

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


class RankedRule(LayerRule):
    """A rule for layers that do the same along 1, 2 or 3 dimensions.

    Attributes:
        rank: how many.
        keras_family: the name of the Keras classes that it may describe, with `{rank}`; empty for none.
    """

    keras_family: ClassVar[str] = ""

    def __init__(self, rank: int) -> None:
        self.rank = rank
        self.keras_classes = (self.keras_family.format(rank=rank),) if self.keras_family else ()


def register_layer(*class_names: str) -> Callable[[RuleClass], RuleClass]:
    """Make a rule the conversion of MATLAB layer classes, in place of any earlier one.

    Args:
        *class_names: full MATLAB class names, such as `"nnet.cnn.layer.ReLULayer"` or `"myLayer"`.

    Returns:
        A decorator for a `LayerRule` class that is made without arguments.
    """

    def decorate(rule: RuleClass) -> RuleClass:
        for class_name in class_names:
            _RULES[class_name] = rule()
        return rule

    return decorate


def register_ranks(class_name: str, *ranks: int) -> Callable[[Ranked], Ranked]:
    """Make a rule the conversion of MATLAB layer classes that differ in the number of dimensions.

    Args:
        class_name: their full name, with `{rank}` for the number, as in `"nnet.cnn.layer.MaxPooling{rank}DLayer"`.
        *ranks: the numbers.

    Returns:
        A decorator for a `RankedRule` class.
    """

    def decorate(rule: Ranked) -> Ranked:
        for rank in ranks:
            _RULES[class_name.format(rank=rank)] = rule(rank)
        return rule

    return decorate


def rule_for(layer: Layer) -> LayerRule | None:
    """The rule of a layer's class, or None where there is none."""
    return _RULES.get(layer.class_name)


def registered() -> Mapping[str, LayerRule]:
    """Every rule by MATLAB class name."""
    return dict(_RULES)
