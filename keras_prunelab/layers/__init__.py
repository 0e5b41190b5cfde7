"""Layers that keep their masks with them: wrap a model, train it, strip it."""

from __future__ import annotations

from ._merge_lora import merge_lora
from ._pruned import Pruned
from ._quantize import quantized
from ._quantized import Quantized
from ._strip import strip
from ._wrap import wrap

__all__ = ["Pruned", "Quantized", "merge_lora", "quantized", "strip", "wrap"]
