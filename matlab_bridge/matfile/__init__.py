"""MATLAB's .mat files of every version: read, described and written with one set of Python values."""

from __future__ import annotations

from ._file import MatFile, info, load
from ._info import FileInfo, VariableInfo
from ._lazy import LazyArray
from ._save._save import save
from ._values import (
    CategoricalArray,
    CharArray,
    Enumeration,
    FunctionHandle,
    Map,
    MatlabObject,
    ObjectArray,
    StructArray,
)

__all__ = [
    "CategoricalArray",
    "CharArray",
    "Enumeration",
    "FileInfo",
    "FunctionHandle",
    "LazyArray",
    "Map",
    "MatFile",
    "MatlabObject",
    "ObjectArray",
    "StructArray",
    "VariableInfo",
    "info",
    "load",
    "save",
]
