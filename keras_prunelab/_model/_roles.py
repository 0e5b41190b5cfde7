"""Every variable of a model with its role and the roles of its axes, told by the variable, not by the layer's class."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras

from keras_prunelab._backend import torch_module

from ._kernels import is_custom, trace_kernel
from ._variables import AxisRole, Masking, Prunable, Role

# The last word of a variable's name ("recurrent_kernel") tells its role, in Keras' layers and most others.
_ROLES: dict[str, Role] = {
    "kernel": "kernel",
    "bias": "bias",
    "gamma": "gamma",
    "scale": "gamma",
    "beta": "beta",
    "embeddings": "embedding",
    "alpha": "other",
}
_TRANSPOSED = (keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose)
_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)


def find(top: Any) -> tuple[list[Prunable], list[Prunable]]:
    """Every variable of a layer or model and of the layers inside it.

    Args:
        top: a built layer or model.

    Returns:
        The variables that are trained, and the other ones.
    """
    containers: dict[int, list[Any]] = {}  # by the variable's id: its owners' chain, then all that contain it
    chains: dict[int, tuple[Any, ...]] = {}
    order: list[tuple[Any, bool]] = []

    def visit(layer: Any, chain: tuple[Any, ...]) -> None:
        for variables, trained in (
            (layer._trainable_variables, True),
            (layer._non_trainable_variables, False),
        ):
            for variable in variables:
                if id(variable) not in chains:
                    order.append((variable, trained))
                known = chains.setdefault(id(variable), chain)
                if chain[: len(known)] == known:  # some wrappers have the variables of the layer inside as their own
                    chains[id(variable)] = chain
                containers.setdefault(id(variable), []).extend(chain)
        for sublayer in layer._flatten_layers(include_self=False, recursive=False):
            if sublayer not in chain:
                visit(sublayer, (*chain, sublayer))

    visit(top, ())
    seen: dict[str, int] = {}
    found: tuple[list[Prunable], list[Prunable]] = ([], [])
    for variable, trained in order:
        chain = chains[id(variable)] or (top,)
        seen[variable.path] = count = seen.get(variable.path, 0) + 1
        role, shape = _role(variable, chain), tuple(int(length) for length in variable.shape)
        item = Prunable(
            path=variable.path if count == 1 else f"{variable.path}#{count}",
            within=tuple(layer.name for layer in chain if layer is chain[-1] or not isinstance(layer, Masking)),
            role=role,
            shape=shape,
            axes=_axes(chain[-1], role, shape, variable),
            variable=variable,
            owner=chain[-1],
            containers=tuple(containers[id(variable)]),
            mask=_mask(variable, containers[id(variable)]),
        )
        found[0 if trained else 1].append(item)
    return found


def _mask(variable: Any, containers: Iterable[Any]) -> Any:
    masks = (layer.mask_of(variable) for layer in containers if isinstance(layer, Masking))
    return next((mask for mask in masks if mask is not None), None)


def _role(variable: keras.Variable, chain: tuple[Any, ...]) -> Role:
    owner = chain[-1]
    if isinstance(owner, keras.layers.BatchNormalization) and variable is owner.moving_mean:
        return "mean"  # a state, known by its owner: elsewhere a matrix may be called so
    if isinstance(owner, keras.layers.STFTSpectrogram):
        return "other"  # called kernels, but a Fourier basis
    if variable.name.startswith("lora_"):
        return "other"  # factors of what is added to a kernel: one of them is zero at first, and has to be trained
    if isinstance(owner, keras.layers.TorchModuleWrapper) and (known := _torch_role(owner, variable)) is not None:
        return known
    role = _ROLES.get(variable.name.rpartition("_")[2])
    if role is not None:
        return role
    if len(variable.shape) < 2:
        return "other"  # a vector of an unknown name could be a scale or an offset
    if not is_custom(owner):
        return "kernel"
    # A custom layer may call its matrix anything; where no call can be traced, kernels are those of that name.
    return "kernel" if trace_kernel(variable, chain) else "table"


def _axes(layer: Any, role: Role, shape: tuple[int, ...], variable: Any) -> tuple[AxisRole, ...]:
    rank = len(shape)
    one_space: AxisRole = "space"
    space = (one_space,) * (rank - 2)
    every: AxisRole = "output" if role in ("bias", "gamma", "beta") else "other"
    if role == "embedding" and rank == 2:
        return ("input", "output")
    if role != "kernel" or rank < 2:
        return (every,) * rank
    if isinstance(layer, keras.layers.TorchModuleWrapper):
        return _torch_axes(layer, variable)
    if isinstance(layer, keras.layers.EinsumDense):
        left, output = layer.equation.split("->")
        return tuple("output" if letter in output else "input" for letter in left.split(",")[1])
    if isinstance(layer, _TRANSPOSED):
        return (*space, "output", "input")
    if isinstance(layer, _DEPTHWISE) or variable.name == "depthwise_kernel":
        # Every pair (input channel, multiplier) makes a channel of its own.
        return (*space, "output", "output")
    return (*space, "input", "output")


_NORMS = ("BatchNorm", "LayerNorm", "GroupNorm", "InstanceNorm", "RMSNorm", "SyncBatchNorm", "LazyBatchNorm")
_RECURRENT = ("RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell")


def _torch_role(layer: Any, variable: Any) -> Role | None:
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


def _torch_axes(layer: Any, variable: Any) -> tuple[AxisRole, ...]:
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
