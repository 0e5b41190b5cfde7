"""The ONNX operators of all layers that have any."""

from __future__ import annotations

from . import _onnx_normalization, _onnx_recurrent, _onnx_windows  # noqa: F401  # they register theirs
from ._onnx_nodes import MAKERS

__all__ = ["MAKERS"]
