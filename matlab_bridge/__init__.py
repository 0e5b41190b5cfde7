"""MATLAB's MAT-files: data and networks in, weights and results out, without MATLAB.

Importing this package imports neither Keras nor anything else that takes time: each name is imported when it
is first used.
"""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._errors import (
    BridgeError,
    DatasetError,
    DatasetNotFoundError,
    DiskFullError,
    ExternalDataError,
    InvalidNetworkError,
    LabelMismatchError,
    LostObjectError,
    MatFileError,
    MissingFilesError,
    MissingPackageError,
    NetworkError,
    NetworkMismatchError,
    NetworkNotFoundError,
    NotAMatFileError,
    OverwriteError,
    TruncatedFileError,
    UnsafeArchiveError,
    UnsupportedLayerError,
    UntrainedNetworkError,
    UnwritableValueError,
    VariableNotFoundError,
)

if TYPE_CHECKING:
    from ._layer import Layer
    from ._toolbox import toolbox_path
    from .convert._from_keras import from_keras
    from .convert._rules import LayerRule, Parameter, register_layer
    from .convert._sidecar import Sidecar, load_sidecar, save_sidecar, sidecar
    from .convert._site import Site
    from .datasets import Dataset, Imdb, load_dataset, load_groups, load_imdb
    from .matfile import info, load, save
    from .network import Connection, Network, Source, WeightLayer
    from .read import find_networks, load_network
    from .results import save_results
    from .write import export_matlab_code, export_onnx, save_network, save_portable

__all__ = [
    "BridgeError",
    "Connection",
    "Dataset",
    "DatasetError",
    "DatasetNotFoundError",
    "DiskFullError",
    "ExternalDataError",
    "Imdb",
    "InvalidNetworkError",
    "LabelMismatchError",
    "Layer",
    "LayerRule",
    "LostObjectError",
    "MatFileError",
    "MissingFilesError",
    "MissingPackageError",
    "Network",
    "NetworkError",
    "NetworkMismatchError",
    "NetworkNotFoundError",
    "NotAMatFileError",
    "OverwriteError",
    "Parameter",
    "Sidecar",
    "Site",
    "Source",
    "TruncatedFileError",
    "UnsafeArchiveError",
    "UnsupportedLayerError",
    "UntrainedNetworkError",
    "UnwritableValueError",
    "VariableNotFoundError",
    "WeightLayer",
    "export_matlab_code",
    "export_onnx",
    "find_networks",
    "from_keras",
    "info",
    "load",
    "load_dataset",
    "load_groups",
    "load_imdb",
    "load_network",
    "load_sidecar",
    "register_layer",
    "save",
    "save_network",
    "save_portable",
    "save_results",
    "save_sidecar",
    "sidecar",
    "toolbox_path",
]

_HOMES = {
    "Connection": ".network",
    "Dataset": ".datasets",
    "Imdb": ".datasets",
    "Layer": "._layer",
    "LayerRule": ".convert._rules",
    "Network": ".network",
    "Parameter": ".convert._rules",
    "Sidecar": ".convert._sidecar",
    "Site": ".convert._site",
    "Source": ".network",
    "WeightLayer": ".network",
    "export_matlab_code": ".write",
    "export_onnx": ".write",
    "find_networks": ".read",
    "from_keras": ".convert._from_keras",
    "info": ".matfile",
    "load": ".matfile",
    "load_dataset": ".datasets",
    "load_groups": ".datasets",
    "load_imdb": ".datasets",
    "load_network": ".read",
    "load_sidecar": ".convert._sidecar",
    "register_layer": ".convert._rules",
    "save": ".matfile",
    "save_network": ".write",
    "save_portable": ".write",
    "save_results": ".results",
    "save_sidecar": ".convert._sidecar",
    "sidecar": ".convert._sidecar",
    "toolbox_path": "._toolbox",
}


_RENAMED = {
    "read_sidecar": "load_sidecar",
    "write_matlab_code": "export_matlab_code",
    "write_sidecar": "save_sidecar",
}
"""Names of version 0.1, which the next release drops."""


def __getattr__(name: str) -> Any:
    if name in _RENAMED:
        warnings.warn(f"{__name__}.{name} is called {_RENAMED[name]} now.", DeprecationWarning, stacklevel=2)
        name = _RENAMED[name]
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
