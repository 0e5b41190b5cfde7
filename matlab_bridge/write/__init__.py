"""Writing networks: back into the file that they came from, into portable form, as MATLAB code, or as ONNX."""

from __future__ import annotations

from ._matlab_code import export_matlab_code
from ._onnx._export import export_onnx
from ._original._save import save_network
from ._portable import portable_struct, save_portable

__all__ = ["export_matlab_code", "export_onnx", "portable_struct", "save_network", "save_portable"]
