"""A layer that computes with numbers of eight bits while it is trained."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import keras

from keras_prunelab._backend import fake_quantize
from keras_prunelab._errors import InvalidModelError

from ._substitution import Substitution

L = keras.layers

WEIGHTED = (L.Conv1D, L.Conv2D, L.Dense, L.DepthwiseConv2D)
"""Layers whose weights are rounded."""
INSIDE = ("linear", "relu", "relu6")
"""Activations that are computed before an output is rounded: LiteRT makes one operation of both."""
OUTSIDE = ("sigmoid", "softmax", "tanh")
"""Activations that are computed of a rounded output, and give numbers in a fixed range."""

_MOMENTUM = 0.99
_LEAST = 1e-6  # the width of the range of what is always zero


@keras.saving.register_keras_serializable(package="keras_prunelab")
class Quantized(keras.layers.Wrapper):
    """A layer whose weights and outputs are rounded to eight bits, so that training gets used to it.

    Weights have symmetric ranges that end at the largest one, of each filter in a `Conv2D` and of the whole kernel
    elsewhere; a weight of zero stays zero. Outputs have one range, a running mean of the least and the largest output
    of each batch (with momentum 0.99), which training alone changes. Gradients pass as though nothing were rounded.
    After Jacob et al., Quantization and training of neural networks for efficient integer-arithmetic-only inference,
    CVPR 2018, https://arxiv.org/abs/1712.05877. `quantized` wraps a whole model.

    Args:
        layer: the layer; what has a kernel is `Dense`, `Conv1D`, `Conv2D` or `DepthwiseConv2D`.
        activation: what is computed of the rounded output: `"softmax"`, `"sigmoid"`, `"tanh"`, or None.
        round_inputs: whether inputs are rounded, too, because nothing before this layer does so.
        round_outputs: whether outputs are rounded.
        **kwargs: `name` and `trainable`, as for any layer.

    Raises:
        InvalidModelError: the layer has weights, and is of another class.
    """

    def __init__(
        self,
        layer: keras.layers.Layer,
        activation: str | None = None,
        *,
        round_inputs: bool = False,
        round_outputs: bool = True,
        **kwargs: Any,
    ) -> None:
        # Keras asks `call` for its arguments: they are those of the layer inside, and whether it is trained.
        self._passes_training = "training" in inspect.signature(layer.call).parameters
        self.call = functools.partial(self._call)
        self.call.__signature__ = _with_training(layer)  # type: ignore[attr-defined]
        super().__init__(layer, **{"name": layer.name, "dtype": layer.dtype_policy, **kwargs})
        self.activation_name = activation
        self._activation = keras.activations.get(activation)
        self.round_inputs, self.round_outputs = round_inputs, round_outputs
        self.supports_masking = layer.supports_masking
        self.is_observing = False

    def build(self, input_shape: Any = None) -> None:
        """Build the layer inside, and the ranges."""
        if not self.layer.built:
            self.layer.build(input_shape)
        if self.layer.weights and type(self.layer) not in WEIGHTED:
            raise InvalidModelError(
                f"Layer {self.layer.name!r} of class {type(self.layer).__name__} cannot be rounded; these can: "
                f"{', '.join(kind.__name__ for kind in WEIGHTED)}."
            )
        ranges = {"input": self.round_inputs, "output": self.round_outputs}
        self._ranges = {
            name: [
                self.add_weight(shape=(), initializer="zeros", trainable=False, name=f"{name}_{end}")
                for end in ("low", "high")
            ]
            for name, is_there in ranges.items()
            if is_there
        }
        for name, ends in self._ranges.items():  # TensorFlow's checkpoints and SavedModels hold what is an attribute
            setattr(self, f"_{name}_ends", ends)
        self.built = True

    def _call(self, inputs: Any, *args: Any, training: bool = False, **kwargs: Any) -> Any:
        """The layer's outputs, rounded."""
        if self._passes_training:
            kwargs["training"] = training
        inputs = keras.tree.map_structure(lambda each: self._round("input", each, training), inputs)
        kernels = [] if self.is_observing else self._kernels()
        with Substitution(kernels, self._rounded_weight) as scope:
            outputs = self.layer(inputs, *args, **kwargs)
        for loss in scope.losses:
            self.add_loss(loss)
        return self._activation(self._round("output", outputs, training))

    def plain(self) -> keras.layers.Layer:
        """The layer as it was before it was wrapped, without its weights."""
        config = {"activation": self.activation_name} if self.activation_name else {}
        return type(self.layer).from_config(self.layer.get_config() | config)

    def _kernels(self) -> list[Any]:
        """The variable that is rounded; none of a layer without weights."""
        return [variable for variable in self.layer.variables if variable.name.endswith("kernel")]

    def _rounded_weight(self, _index: int, value: Any) -> Any:
        # TensorFlow's converter takes ranges of single channels from convolutions of images alone.
        axes = tuple(range(len(value.shape) - 1)) if isinstance(self.layer, L.Conv2D) else None
        end = keras.ops.stop_gradient(keras.ops.maximum(keras.ops.max(keras.ops.abs(value), axis=axes), _LEAST))
        return fake_quantize(value, -end, end, is_weight=True)

    def _round(self, name: str, values: Any, training: bool) -> Any:
        if name not in self._ranges:
            return values
        low, high = self._ranges[name]
        if training or self.is_observing:
            ops = keras.ops
            least, largest = ops.minimum(ops.min(values), 0.0), ops.maximum(ops.max(values), 0.0)
            if self.is_observing:
                low.assign(ops.minimum(low, least))
                high.assign(ops.maximum(high, largest))
            else:
                low.assign(_MOMENTUM * low + (1 - _MOMENTUM) * least)
                high.assign(_MOMENTUM * high + (1 - _MOMENTUM) * largest)
        if self.is_observing:  # what is behind is to see what it would without rounding
            return values
        return fake_quantize(values, low.value, keras.ops.maximum(high.value, low.value + _LEAST))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The output's shape: that of the layer inside."""
        return self.layer.compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this layer again."""
        config = {name: value for name, value in super().get_config().items() if name in ("name", "trainable", "layer")}
        config["layer"].pop("build_config", None)  # the layer is built inside its wrapper, where its variables belong
        return config | {
            "activation": self.activation_name,
            "round_inputs": self.round_inputs,
            "round_outputs": self.round_outputs,
        }


def _with_training(layer: Any) -> inspect.Signature:
    """The arguments of a layer's call, and `training` where it does not take that."""
    taken = inspect.signature(layer.call)
    if "training" in taken.parameters:
        return taken
    training = inspect.Parameter("training", inspect.Parameter.KEYWORD_ONLY, default=False)
    return taken.replace(parameters=[*taken.parameters.values(), training])
