"""What the parameters of torch's modules are: their axes are (out, in, ...), not Keras's (..., in, out)."""

from __future__ import annotations

from typing import Any

from keras_prunelab._backend import torch_module

from ._variables import AxisRole, Role

_NORMS = ("BatchNorm", "LayerNorm", "GroupNorm", "InstanceNorm", "RMSNorm", "SyncBatchNorm", "LazyBatchNorm")
_RECURRENT = ("RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell")


def torch_role(layer: Any, variable: Any) -> Role | None:
    """The role of a variable of a `TorchModuleWrapper`; None where torch's module is not known."""
    kind, name = torch_module(layer, variable)
    if kind in ("Embedding", "EmbeddingBag"):
        return "embedding"
    if kind.startswith(_NORMS):
        return {"weight": "gamma", "bias": "beta"}.get(name, "other")  # type: ignore[return-value]
    if name.endswith("bias") or name.startswith(("bias_", "b_")):
        return "bias"
    if kind == "MultiheadAttention" and name in ("bias_k", "bias_v"):
        return "other"
    is_known = _is_convolution(kind) or kind in ("Linear", "Bilinear", "NonDynamicallyQuantizableLinear")
    if is_known or kind in _RECURRENT or kind == "MultiheadAttention":
        return "kernel" if len(variable.shape) >= 2 else "other"
    return "other" if kind else None


def torch_axes(layer: Any, variable: Any) -> tuple[AxisRole, ...]:
    """What the axes of a kernel of a `TorchModuleWrapper` count."""
    kind, _ = torch_module(layer, variable)
    one_space: AxisRole = "space"
    space = (one_space,) * (len(variable.shape) - 2)
    if kind == "Bilinear":
        return ("output", "input", "input")
    # Of a grouped transposed convolution the second axis counts the outputs of one group only.
    if "Transpose" in kind:
        return ("input", "output", *space)
    return ("output", "input", *space)


def _is_convolution(kind: str) -> bool:
    return kind.removeprefix("Lazy").startswith("Conv")
