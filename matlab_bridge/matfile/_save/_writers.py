"""mat-io's writers of both formats, and what they lack: complex single, many fields, a choice to compress."""

from __future__ import annotations

import io
import os
import struct
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from matlab_bridge._errors import UnwritableValueError
from matlab_bridge.matfile._characters import Units
from matlab_bridge.matfile._level5._format import CHAR, COMPRESSED, UTF16
from matlab_bridge.matfile._raw import Array

from ._matio import MatSubsystem, MatWriteError, matwriter5, matwriter7

_SINGLE_CLASS, _SINGLE_DATA = 7, 7
_MOST_BYTES = 2**31  # MATLAB's own limit for a variable of v7, though the format could hold twice that
_UNITS = 2  # MATLAB_int_decode of text
_CHUNK_BYTES = 2**18
_ENDIAN = 0x4D49  # reads "IM" where the least byte comes first, else "MI"


def write_level5(path: Path, forms: Mapping[str, Any], *, compress: bool) -> None:
    """Write a v7 file.

    Args:
        path: where to.
        forms: values by name, as `_encode` gives them.
        compress: whether to deflate them.
    """
    with path.open("wb") as file:
        matwriter5.write_file_header(file, version=matwriter5.MAT_FILE_VERSIONS.V5)
        writer = _Level5Writer(file, _new_subsystem())
        for name, form in forms.items():
            _append(file, writer.matrix(form, name), name, compress=compress)
        contents = writer.subsystem.set_subsystem()
        if contents is not None:
            offset = file.tell()
            _append(
                file,
                writer.matrix(_write_contents(writer, contents), ""),
                "the contents of all objects",
                compress=compress,
            )
            matwriter5.write_subsystem_offset(file, offset)


def _write_contents(writer: _Level5Writer, contents: Any) -> Array:
    """The contents of all objects as the array of bytes that carries them: a small file within the file.

    mat-io's `write_subsystem` writes the same, but widens complex single.
    """
    stream = io.BytesIO()
    matwriter5.write_version(stream, matwriter5.MAT_FILE_VERSIONS.V5)
    stream.write(bytes(4))
    stream.write(writer.matrix(contents, ""))
    return np.frombuffer(stream.getvalue(), np.uint8)


def write_level73(path: Path, forms: Mapping[str, Any], *, compress: bool) -> None:
    """Write a v7.3 file; the arguments are those of `write_level5`."""
    with h5py.File(path, "w", userblock_size=512) as file:
        writer = _Level73Writer(file, compress=compress)
        writer.subsystem = _new_subsystem()
        for name, form in forms.items():
            writer.write_variable(name, form)
        contents = writer.subsystem.set_subsystem()
        if contents is not None:
            writer.write_struct_array(file, "#subsystem#", contents)
    # mat-io would call the file one of MATLAB 5.0.
    text = f"MATLAB 7.3 MAT-file, Platform: {os.name}, Created on: {time.asctime()} HDF5 schema 1.00 ."
    with path.open("r+b") as header:
        header.write(text.encode("ascii").ljust(116) + struct.pack("=Q2H", 0, 0x0200, _ENDIAN))


def chunk_shape(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """The shape of the chunks of an array: about `_CHUNK_BYTES` that lie side by side in it.

    Args:
        shape: in the order of HDF5, MATLAB's last axis first.
        itemsize: bytes an element.
    """
    left = max(_CHUNK_BYTES // itemsize, 1)
    steps = []
    for length in reversed(shape):
        steps.append(min(length, left))
        left = max(left // max(length, 1), 1)
    return tuple(reversed(steps))


def _new_subsystem() -> Any:
    subsystem = MatSubsystem("<")  # the byte order to read in; it writes in that of the machine
    subsystem.init_save()
    return subsystem


def _append(file: io.BufferedWriter, matrix: bytes, what: str, *, compress: bool) -> None:
    if len(matrix) > _MOST_BYTES:
        raise _too_large(what, len(matrix))
    if not compress:
        file.write(matrix)
        return
    deflated = zlib.compress(matrix)
    file.write(struct.pack("=2I", COMPRESSED, len(deflated)))
    file.write(deflated)


def _too_large(what: str, nbytes: int) -> UnwritableValueError:
    return UnwritableValueError(
        f"{what} takes {nbytes / 2**30:.1f} GiB, and a variable of a v7 file at most 2 GiB. "
        "Save it with version='v7.3'."
    )


class _Level5Writer(matwriter5.VarWriter5):  # type: ignore[misc]  # mat-io has no types
    """Writes one matrix at a time to memory."""

    def __init__(self, file: io.BufferedWriter, subsystem: Any) -> None:
        file_writer = matwriter5.MatFile5Writer(file, oned_as="col")
        file_writer.subsystem = subsystem
        super().__init__(file_writer)

    def matrix(self, form: Any, name: str) -> bytes:
        """The bytes of a matrix, its tag included."""
        self.file_stream = io.BytesIO()
        nbytes = getattr(form, "nbytes", 0)
        if nbytes > _MOST_BYTES:
            raise _too_large(name, nbytes)
        try:
            self.write_top(form, name.encode("ascii"), False)  # mat-io's signature
        except MatWriteError as error:
            raise _too_large(name, self.file_stream.tell()) from error
        return self.file_stream.getvalue()

    def write_numeric(self, arr: Array) -> None:
        """Keep complex single, which mat-io widens to double; write units as text."""
        if isinstance(arr, Units):
            self.write_header(arr.shape, CHAR)
            self.write_element(np.asarray(arr), UTF16)
            return
        if arr.dtype != np.complex64:
            super().write_numeric(arr)
            return
        self.write_header(arr.shape, _SINGLE_CLASS, is_complex=True)
        self.write_element(np.asarray(arr.real), _SINGLE_DATA)
        self.write_element(np.asarray(arr.imag), _SINGLE_DATA)


class _Level73Writer(matwriter7.MatWrite7):  # type: ignore[misc]  # mat-io has no types
    """Writes variables to an HDF5 file."""

    def __init__(self, file: h5py.File, *, compress: bool) -> None:
        super().__init__(file)
        self._compress = compress

    def get_compression_kwargs(self, data: Array) -> dict[str, Any]:
        """How to store a dataset: deflated, in chunks of whole pages, so that a slice reads little else."""
        kwargs = dict(super().get_compression_kwargs(data)) if self._compress else {}
        if kwargs:
            kwargs["chunks"] = chunk_shape(data.shape[::-1], data.dtype.itemsize)
        return kwargs

    def write_numeric_dset(self, parent: h5py.Group, var_name: str, data: Array) -> h5py.Dataset:
        """Keep complex single, which mat-io widens to double; write units as text."""
        if isinstance(data, Units):
            text = parent.create_dataset(var_name, data=np.asarray(data).T, **self.get_compression_kwargs(data))
            self.add_classname_attr(text, "char")
            self.add_int_decode_attr(text, _UNITS)
            return text
        if data.dtype != np.complex64:
            return super().write_numeric_dset(parent, var_name, data)
        if not data.size:  # is stored as its size and class alone
            return super().write_numeric_dset(parent, var_name, data.real)
        parts = np.empty(data.shape, dtype=[("real", np.float32), ("imag", np.float32)])
        parts["real"], parts["imag"] = data.real, data.imag
        dataset = parent.create_dataset(var_name, data=parts.T, **self.get_compression_kwargs(parts))
        self.add_classname_attr(dataset, "single")
        return dataset

    def write_struct_array(self, parent: h5py.Group, var_name: str, data: Array, object_decode: int = 0) -> h5py.Group:
        """Refer to the names of very many fields, which mat-io writes but does not refer to."""
        group = super().write_struct_array(parent, var_name, data, object_decode)
        if "MATLAB_fields" not in group.attrs and data.dtype.names:
            names = np.empty(len(data.dtype.names), dtype=h5py.vlen_dtype(np.dtype("S1")))
            for i, name in enumerate(data.dtype.names):
                names[i] = np.array([*name], dtype="S1")
            stored = self.h5file.require_group(self.refs_group).create_dataset(self._next_refname(), data=names)
            group.attrs["MATLAB_fields"] = stored.ref
        return group
