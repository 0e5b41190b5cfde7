"""The ONNX operators that do what MATLAB's layers do, one file a family; importing this package registers them."""

from . import _basic, _normalization, _recurrent, _windows

__all__ = ["_basic", "_normalization", "_recurrent", "_windows"]
