"""What the zeros of a network bring on each kind of device, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keras_prunelab._channels._graph import graph_of
from keras_prunelab._export._c._storage import store
from keras_prunelab._model._roles import find
from keras_prunelab._util._notebook import paragraph, table
from keras_prunelab._util._storage import sparse_bytes
from keras_prunelab.layers._strip import without_wrappers

from ._xnnpack import sparse_barriers

_DELEGATE = "https://github.com/tensorflow/tensorflow/blob/master/tensorflow/lite/delegates/xnnpack/README.md"
TARGETS = {
    "LiteRT, x86": (
        "A smaller float file, never speed: XNNPACK's sparse kernels ask for a layout that is off on these machines."
    ),
    "LiteRT, ARM": (
        "A smaller float file; speed for 1x1 convolutions with more than two thirds of zeros, in float networks that "
        "begin with a 3x3 convolution of stride 2 on three channels and end in the mean over the image. Not in int8. "
        "Google reports 1.2 to 2.4 times."
    ),
    "TFLM": (
        "A smaller file with export_litert(..., runtime='tflm'); slower, since weights are decoded at each call, and a "
        "larger arena."
    ),
    "Ethos-U": (
        "Less flash, since the compiler Vela packs the weights; fewer cycles where reading weights takes the time, as "
        "in dense layers, and as many in convolutions. metrics(model, target='ethos-u55-128') estimates both."
    ),
    "C": (
        "Less flash with export_c; faster with optimize='speed' from about three quarters of zeros, never for "
        "depthwise kernels."
    ),
}
"""What sparsity brings on each target."""
SOURCES = {
    "LiteRT, x86": f"{_DELEGATE}#sparse-inference, and benchmarks/device.py",
    "LiteRT, ARM": (
        "https://research.google/blog/accelerating-neural-networks-on-mobile-and-web-with-sparse-inference/"
    ),
    "TFLM": "https://github.com/tensorflow/tflite-micro/tree/main/tensorflow/lite/micro/compression",
    "Ethos-U": "https://pypi.org/project/ethos-u-vela/, and benchmarks/device.py",
    "C": "benchmarks/device.py",
}
"""Where `TARGETS` has it from: a page, or a measurement."""

_TWO_THIRDS = 2 / 3
_FROM = 0.5  # zeros below this share save little anywhere


@dataclass(frozen=True)
class Deployment:
    """What the zeros of a network bring. Prints as a table.

    Attributes:
        layers: a row for each kernel: `layer`, `type`, `kernel`, `zeros` (their share), and what that brings on each of
            the targets: `LiteRT, x86`, `LiteRT, ARM`, `TFLM`, `Ethos-U`, `C`. `"size, to 23%"` says what the kernel
            takes as int8, as a share of what it takes stored whole.
        targets: of each target a sentence on what sparsity brings there.
        sources: of each target where that is said or measured.
    """

    layers: pd.DataFrame = field(repr=False)
    targets: dict[str, str]
    sources: dict[str, str]

    def __str__(self) -> str:
        lines = [f"{name}: {text} [{self.sources[name]}]" for name, text in self.targets.items()]
        return "\n".join([self._shown.to_string(index=False), "", *lines])

    def _repr_html_(self) -> str:
        """The table and the sentences, for notebooks."""
        lines = [paragraph(f"{text} [{self.sources[name]}]", strong=name) for name, text in self.targets.items()]
        return table(self._shown) + "".join(lines)

    @property
    def _shown(self) -> pd.DataFrame:
        return self.layers.assign(zeros=[f"{zeros:.1%}" for zeros in self.layers["zeros"]])


def deployment(model: keras.Model) -> Deployment:
    """Say what the zeros of a model bring on each kind of device, layer by layer.

    It looks at the model alone: no file is written and no device is asked. What a file takes, `export_litert` and
    `export_c` tell; the page "Does it get faster?" of the documentation has measured tables.

    Args:
        model: a built functional or sequential model. `Pruned` wrappers are taken off.

    Returns:
        The table, and for each target a sentence with its source.

    Raises:
        InvalidModelError: the model is not built, or a subclass whose `call` nobody can look into.

    Examples:
        >>> import keras
        >>> import keras_prunelab as kpl
        >>> model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(32, name="dense")])
        >>> found = kpl.deployment(kpl.prune(model, 0.9))
        >>> found.layers.loc[0, ["layer", "TFLM", "Ethos-U"]].tolist()
        ['dense', 'size, to 23%', 'size and cycles']
    """
    model = without_wrappers(model)
    barriers = sparse_barriers(graph_of(model))
    rows = [_row(item, barriers) for item in find(model)[0] if item.role == "kernel"]
    columns = ["layer", "type", "kernel", "zeros", *TARGETS]
    return Deployment(
        pd.DataFrame(rows, columns=columns),
        dict(TARGETS),
        dict(SOURCES),
    )


def _row(item: Any, barriers: Mapping[str, str]) -> list[Any]:
    value = np.asarray(keras.ops.convert_to_numpy(item.variable))
    zeros = float(np.mean(value == 0)) if value.size else 0.0
    owner = next(each for each in item.containers if each.name == item.within[-1] and _holds(each, item.variable))
    name = "/".join(item.within)
    return [
        name,
        type(owner).__name__,
        item.variable.name,
        zeros,
        "size in float" if zeros >= _FROM else "nothing",
        _on_arm(zeros, barriers.get(name)),
        _on_tflm(value),
        _on_ethos(zeros, owner, item.containers),
        _in_c(value, owner),
    ]


def _holds(layer: Any, variable: Any) -> bool:
    return any(each is variable for each in layer._trainable_variables + layer._non_trainable_variables)


def _on_arm(zeros: float, barrier: str | None) -> str:
    if barrier is None:
        return "size in float" if zeros >= _FROM else "nothing"
    if zeros <= _TWO_THIRDS:
        return f"no speed: {barrier or 'two thirds of zeros or fewer'}"
    return f"no speed: {barrier}" if barrier else "size and speed in float"


def _on_tflm(value: NDArray[Any]) -> str:
    stored = sparse_bytes(value.size, int(np.count_nonzero(value)), 1)
    return _share(stored, value.size)


def _on_ethos(zeros: float, layer: Any, containers: Sequence[Any]) -> str:
    if any(isinstance(each, keras.layers.RNN) and not each.unroll for each in containers):
        return "does not run there but with unroll=True"
    if zeros < _FROM:
        return "little"
    return "size and cycles" if isinstance(layer, keras.layers.Dense) else "size"


def _in_c(value: NDArray[Any], layer: Any) -> str:
    matrix = _matrix(value, layer)
    signs = np.sign(matrix).astype(np.int8)  # where zeros are decides, not what the others are
    size = _share(store(signs, "size").nbytes, signs.nbytes)
    if _is_depthwise(layer) or store(signs, "speed").form == "dense":
        return size
    return f"{size}; speed"


def _matrix(value: NDArray[Any], layer: Any) -> NDArray[Any]:
    """A kernel as outputs by inputs."""
    if value.ndim < 2:
        return value.reshape(1, -1)
    if _is_depthwise(layer):
        return np.moveaxis(value.reshape(-1, *value.shape[-2:]), 0, -1).reshape(-1, value[..., 0, 0].size)
    return value.reshape(-1, value.shape[-1]).T


def _is_depthwise(layer: Any) -> bool:
    return isinstance(layer, (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D))


def _share(stored: int, dense: int) -> str:
    return "nothing" if stored >= dense else f"size, to {stored / dense:.0%}"
