"""MAT-files with network objects in them, written by mat-io from the objects of `objects_by_hand`."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from matlab_bridge.matfile import MatlabObject
from matlab_bridge.matfile._save._matio import EmptyMatStruct, MatlabOpaque

from .objects_by_hand import cell


def write_objects(path: str | os.PathLike[str], variables: dict[str, Any], version: str) -> None:
    """Write variables of which some are objects, as `"v7"` or `"v7.3"`.

    An object that occurs twice is stored once. Arrays of layers become cells of layers: mat-io cannot write
    an array of objects of different classes.
    """
    from matio import save_to_mat

    known: dict[int, MatlabOpaque] = {}

    def form(value: Any) -> Any:
        if isinstance(value, MatlabObject):
            if id(value) not in known:
                properties = {name: form(content) for name, content in value.properties.items()}
                known[id(value)] = MatlabOpaque(properties, value.class_name)
            return known[id(value)]
        if isinstance(value, dict) and not value:
            return EmptyMatStruct(np.empty((1, 1), dtype=object))
        if isinstance(value, dict):
            # mat-io looks for objects inside struct arrays, not inside dicts.
            struct = np.empty((1, 1), dtype=[(name, object) for name in value])
            for name, content in value.items():
                struct[name][0, 0] = form(content)
            return struct
        if isinstance(value, np.ndarray) and value.dtype == object:
            return cell(*map(form, value.ravel(order="F")), shape=value.shape)
        return value

    save_to_mat(path, {name: form(value) for name, value in variables.items()}, version=version)
