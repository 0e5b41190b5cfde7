"""MATLAB's MAT-files: data and networks in, weights and results out, without MATLAB.

Importing this package imports neither Keras nor anything else that takes time: each name is imported when it
is first used.
"""

from __future__ import annotations

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
    from ._toolbox import toolbox_path
    from .datasets import Dataset, Imdb, load_dataset, load_imdb
    from .matfile import info, load, save
    from .networks._from_keras import from_keras
    from .networks._network import Connection, Layer, Network, Source, WeightLayer
    from .networks._rules import LayerRule, Parameter, Site, register_layer
    from .networks._sidecar import Sidecar, read_sidecar, sidecar, write_sidecar
    from .networks.read import find_networks, load_network
    from .networks.write import export_onnx, save_network, save_portable, write_matlab_code
    from .results import save_results

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
    "export_onnx",
    "find_networks",
    "from_keras",
    "info",
    "load",
    "load_dataset",
    "load_imdb",
    "load_network",
    "read_sidecar",
    "register_layer",
    "save",
    "save_network",
    "save_portable",
    "save_results",
    "sidecar",
    "toolbox_path",
    "write_matlab_code",
    "write_sidecar",
]

_HOMES = {
    "Connection": ".networks._network",
    "Dataset": ".datasets",
    "Imdb": ".datasets",
    "Layer": ".networks._network",
    "LayerRule": ".networks._rules",
    "Network": ".networks._network",
    "Parameter": ".networks._rules",
    "Sidecar": ".networks._sidecar",
    "Site": ".networks._rules",
    "Source": ".networks._network",
    "WeightLayer": ".networks._network",
    "export_onnx": ".networks.write",
    "find_networks": ".networks.read",
    "from_keras": ".networks._from_keras",
    "info": ".matfile",
    "load": ".matfile",
    "load_dataset": ".datasets",
    "load_imdb": ".datasets",
    "load_network": ".networks.read",
    "read_sidecar": ".networks._sidecar",
    "register_layer": ".networks._rules",
    "save": ".matfile",
    "save_network": ".networks.write",
    "save_portable": ".networks.write",
    "save_results": ".results",
    "sidecar": ".networks._sidecar",
    "toolbox_path": "._toolbox",
    "write_matlab_code": ".networks.write",
    "write_sidecar": ".networks._sidecar",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
