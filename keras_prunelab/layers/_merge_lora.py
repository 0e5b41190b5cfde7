"""Low-rank additions (LoRA) as part of the weights that they are added to."""

from __future__ import annotations

from typing import Any

import keras

from keras_prunelab._errors import InvalidModelError

_FACTORS = ("lora_kernel_a", "lora_kernel_b", "lora_embeddings_a", "lora_embeddings_b")


def merge_lora(model: keras.Model) -> None:
    """Add what LoRA has learned to the kernels, in place, and take LoRA out of the layers.

    A layer with LoRA multiplies with its kernel and a dense product of two small matrices together, so that zeros in
    the kernel are none in what it computes. All of `keras_prunelab` refuses such models; merge them first, and prune
    then. The outputs stay as they are; compile the model again before it is trained.

    Args:
        model: a built model; layers without LoRA stay as they are.

    Raises:
        InvalidModelError: a layer with LoRA is quantized.

    Examples:
        >>> import keras
        >>> import keras_prunelab as kpl
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(10)])
        >>> model.layers[0].enable_lora(2)
        >>> kpl.layers.merge_lora(model)
        >>> kpl.sparsity(model), len(model.layers[0].weights)
        (0.0, 2)
    """
    layers = [layer for layer in model._flatten_layers() if getattr(layer, "lora_enabled", False)]
    for layer in layers:
        if getattr(layer, "quantization_mode", None) is not None:
            raise InvalidModelError(
                f"Layer {layer.name!r} is quantized to {layer.quantization_mode} and has LoRA, which cannot be merged "
                "exactly. Merge LoRA before quantizing: keras_prunelab.layers.merge_lora(model), then "
                "model.quantize(...)."
            )
    for layer in layers:
        _merge(layer)
    for part in model._flatten_layers() if layers else ():
        if isinstance(part, keras.Model):  # what was compiled before would add the matrices once more
            part.train_function = part.test_function = part.predict_function = None


def _merge(layer: Any) -> None:
    name = "_embeddings" if isinstance(layer, keras.layers.Embedding) else "_kernel"
    variable, merged = getattr(layer, name), keras.ops.copy(getattr(layer, name.removeprefix("_")))
    variable.assign(keras.ops.cast(merged, variable.dtype))
    variable.trainable = layer.trainable
    layer.lora_enabled, layer.lora_rank = False, None
    factors = [getattr(layer, factor) for factor in _FACTORS if hasattr(layer, factor)]
    for factor in factors:
        layer._untrack_variable(factor)
    for factor in _FACTORS:
        if hasattr(layer, factor):
            delattr(layer, factor)
