"""Layers that keep their masks with them: wrap a model, train it, strip it."""

from __future__ import annotations

from ._merge_lora import merge_lora
from ._pruned import Pruned
from ._strip import strip
from ._wrap import wrap

__all__ = ["Pruned", "merge_lora", "strip", "wrap"]
