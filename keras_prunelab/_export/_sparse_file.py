"""Model files in which sparse arrays take one bit a weight and their values."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import math
import os
import re
import shutil
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
from numpy.typing import NDArray

from keras_prunelab._errors import InvalidModelError
from keras_prunelab._model._copy import require_saved_whole
from keras_prunelab._model._prunable import refuse_lora
from keras_prunelab._util._atomic import replace_whole, temporary_folder
from keras_prunelab._util._hdf5 import check_hdf5
from keras_prunelab.layers._strip import without_wrappers

_CONFIG = "config.json"
_WEIGHTS = "model.weights.h5"
_SPARSE = "sparse.npz"
_FORMAT = "keras_prunelab sparse weights 1"
# The zip makes zeros small as well, and an array apart costs some hundred bytes: it saves nothing on small arrays.
_LEAST_SAVING = 4096
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_MOST_TEXT = 300  # of Keras' errors, which may hold whole configurations
# What a file may grow to: so much, and by so much for each of its bytes. Zeros shrink a thousandfold.
_FREE_BYTES, _MOST_GROWTH = 2**30, 100
# What reading bytes that are not as they were written may raise, the archive's, its compression's and its contents'.
_DAMAGE = (
    AttributeError,
    KeyError,
    TypeError,
    ValueError,
    MemoryError,
    OSError,
    EOFError,
    RuntimeError,
    tokenize.TokenError,  # of the header of an array
    zipfile.BadZipFile,
    zlib.error,
)


def save_sparse(model: keras.Model, path: str | os.PathLike[str]) -> None:
    """Save a model to a `.keras` file in which sparse arrays are small.

    The file is what `model.save` writes, but for arrays with so many zeros that one bit a number and the other values
    take less, by 4 KiB at least: these stand in a member of their own, `sparse.npz`. Nothing is lost, no bit of a
    number changes, and the configuration holds no class of this package. `load_sparse` reads it;
    `keras.saving.load_model` does not.

    Args:
        model: a model that Keras can save, with its optimizer where it has one. `Pruned` wrappers are taken off.
        path: the file to write; its ending is `.keras`. Replaced only once the new one is whole.

    Raises:
        InvalidModelError: the ending is another one, or a layer stands in a sequential model twice, which Keras does
            not save.
        FileNotFoundError: there is no such folder.

    Examples:
        >>> import keras, tempfile
        >>> import keras_prunelab as kpl
        >>> from pathlib import Path
        >>> pruned = kpl.prune(keras.Sequential([keras.Input((100,)), keras.layers.Dense(1000)]), 0.95)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     kpl.save_sparse(pruned, Path(folder) / "small.keras")
        ...     kpl.sparsity(kpl.load_sparse(Path(folder) / "small.keras"))
        0.95
    """
    target = Path(path)
    if target.suffix != ".keras":
        raise InvalidModelError(f"{os.fspath(path)} should end in .keras, as the files that Keras loads do.")
    refuse_lora(model)
    require_saved_whole(model)
    with replace_whole(target) as temporary, temporary_folder() as folder:
        dense, members = folder / "dense.keras", folder / "members"
        without_wrappers(model).save(dense)
        with zipfile.ZipFile(dense) as archive:
            archive.extractall(members)
        packed = _pack(members / _WEIGHTS)
        if packed is not None:
            (members / _SPARSE).write_bytes(packed)
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            for member in sorted(members.rglob("*")):
                if member.is_file():
                    archive.write(member, member.relative_to(members).as_posix())


def load_sparse(path: str | os.PathLike[str], **options: Any) -> keras.Model:
    """Load a model that `save_sparse` wrote; any other `.keras` file too.

    Args:
        path: the file.
        **options: what `keras.saving.load_model` takes: `custom_objects`, `compile`, `safe_mode`.

    Returns:
        The model, every number as it was.

    Raises:
        FileNotFoundError: there is no such file.
        InvalidModelError: it is no `.keras` file, it is damaged, its weights lead to other files, it needs a class or
            function that Keras does not know (pass it in `custom_objects`), or Keras cannot load it for another
            reason; what Keras raised is the cause then.
    """
    with dense_file(Path(path)) as dense:
        try:
            return keras.saving.load_model(dense, **options)
        except Exception as error:  # Keras raises whatever the damage, or code that is missing, leads to
            raise InvalidModelError(_reason(os.fspath(path), str(error))) from error


def _reason(path: str, text: str) -> str:
    """Why Keras cannot load a file, from what it says."""
    missing = re.search(r"Could not locate (class|function) '([^']+)'", text)
    if missing is None:
        return f"Keras cannot load {path}: {' '.join(text.split())[:_MOST_TEXT]}"
    kind, name = missing.groups()
    return (
        f"{path} needs the {kind} {name!r}, code that is neither part of Keras nor in the file. In Python, import it "
        f"and load the model with keras_prunelab.load_sparse(path, custom_objects={{{name!r}: {name}}})."
    )


@contextlib.contextmanager
def dense_file(source: Path) -> Iterator[Path]:
    """A file for Keras to load, in which no array is sparse; it is there within the context.

    Args:
        source: a `.keras` file, which may have sparse arrays. Whoever made it need not be trusted.

    Raises:
        FileNotFoundError: there is no such file.
        InvalidModelError: it is no `.keras` file, it is damaged, or its weights lead to other files.
    """
    if not zipfile.is_zipfile(source):
        if not source.exists():
            raise FileNotFoundError(f"There is no file {source}.")
        with source.open("rb") as file:
            is_cut = file.read(4) == b"PK\x03\x04"
        if is_cut:
            raise InvalidModelError(
                f"{source} is damaged: its end is missing, or it is no zip archive. Was it copied whole?"
            )
        raise InvalidModelError(f"{source} is no .keras file; save_sparse and model.save write such files.")
    with temporary_folder() as folder:
        members, dense = folder / "members", folder / "dense.keras"
        try:
            with zipfile.ZipFile(source) as archive:
                _check_growth(archive, source)
                archive.extractall(members)
        # A member without a name is a LookupError, a name that cannot be decoded a ValueError. For an unknown
        # compression zipfile raises NotImplementedError, for a password RuntimeError.
        except (
            EOFError,
            LookupError,
            NotImplementedError,
            OSError,
            RuntimeError,
            ValueError,
            zipfile.BadZipFile,
            zlib.error,
        ) as error:
            if isinstance(error, OSError) and error.errno in _NO_ROOM:
                raise
            raise InvalidModelError(f"{source} is damaged: {error}.") from error
        if not (members / _CONFIG).is_file():
            raise InvalidModelError(f"{source} is no .keras file: there is no {_CONFIG} in it.")
        for weights in sorted(members.rglob("*.h5")):
            check_hdf5(weights, f"{source} ({weights.relative_to(members).as_posix()} in it)")
        if (members / _SPARSE).is_file():
            _unpack(members / _WEIGHTS, (members / _SPARSE).read_bytes(), str(source))
            (members / _SPARSE).unlink()
        shutil.make_archive(str(dense), "zip", members)
        Path(f"{dense}.zip").rename(dense)
        yield dense


def _check_growth(archive: zipfile.ZipFile, source: Path) -> None:
    """Refuse an archive that would fill the disk; `zipfile` writes no more of a member than its index states.

    Raises:
        InvalidModelError: it states more bytes than a model of its size has.
    """
    stated, packed = sum(member.file_size for member in archive.infolist()), source.stat().st_size
    allowed = _FREE_BYTES + _MOST_GROWTH * packed
    if stated > allowed:
        raise InvalidModelError(
            f"{source} is damaged, or made to fill the disk: its {packed} bytes would grow to {stated}, and {allowed} "
            "are allowed. If you trust it, pack its members anew without compression."
        )


def _pack(weights: Path) -> bytes | None:
    """Take the sparse arrays out of a file of weights; returns them, packed, or None if there are none."""
    arrays: dict[str, NDArray[Any]] = {}
    paths: list[str] = []
    slim = weights.with_suffix(".slim")
    with h5py.File(weights) as source, h5py.File(slim, "w") as target:
        target.attrs.update(source.attrs)
        for name, item in _items(source):
            if isinstance(item, h5py.Group):
                copy: Any = target.require_group(name)
            elif (parts := _split(item)) is None:
                copy = target.create_dataset(name, data=item[()])
            else:
                arrays[f"bits{len(paths)}"], arrays[f"values{len(paths)}"] = parts
                arrays[f"shape{len(paths)}"] = np.array(item.shape, np.int64)
                paths.append(name)
                copy = target.create_dataset(name, data=h5py.Empty(item.dtype))
            copy.attrs.update(item.attrs)
    if not paths:
        slim.unlink()
        return None
    slim.replace(weights)
    arrays["header"] = np.array(json.dumps({"format": _FORMAT, "paths": paths}))
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type] # not typed for names that are put together
    return buffer.getvalue()


def _items(file: h5py.File) -> Iterator[tuple[str, Any]]:
    names: list[str] = []
    file.visit(names.append)
    return ((name, file[name]) for name in names)


def _split(item: h5py.Dataset) -> tuple[NDArray[np.uint8], NDArray[Any]] | None:
    """Which numbers are not zero, one bit each, and those numbers; None where that is hardly less."""
    if item.dtype.kind not in "fiu" or not item.size:
        return None
    value = np.asarray(item[()]).reshape(-1)
    # By its bits: -0.0 is kept as it is.
    kept = value.view(f"u{value.dtype.itemsize}") != 0
    count = int(np.count_nonzero(kept))
    if value.nbytes - (count * value.itemsize + kept.size // 8) < max(_LEAST_SAVING, value.nbytes / 10):
        return None
    return np.packbits(kept), value[kept]


def _unpack(weights: Path, packed: bytes, path: str) -> None:
    """Put the sparse arrays back into a file of weights, which was checked."""
    try:
        # `save_sparse` leaves the compression to the archive around these.
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            if sum(member.file_size for member in archive.infolist()) > len(packed):
                raise ValueError("they are compressed twice")
        left = _most_bytes(weights.parent)
        with np.load(io.BytesIO(packed), allow_pickle=False) as arrays, h5py.File(weights, "r+") as file:
            header = json.loads(str(arrays["header"]))
            if header["format"] != _FORMAT:
                raise InvalidModelError(
                    f"{path} is of the format {header['format']!r}; this version reads {_FORMAT!r}."
                )
            for index, name in enumerate(header["paths"]):
                bits, values, shape = (arrays[f"{part}{index}"] for part in ("bits", "values", "shape"))
                whole = _whole(bits, values, shape, left)
                left -= whole.nbytes
                attributes = dict(file[name].attrs)
                if whole.dtype != file[name].dtype:
                    raise ValueError(f"{name!r} is {file[name].dtype} and its values are {whole.dtype}")
                del file[name]
                file.create_dataset(name, data=whole).attrs.update(attributes)
    except _DAMAGE as error:
        raise InvalidModelError(f"The sparse arrays in {path} are damaged: {error}.") from error


def _most_bytes(folder: Path) -> int:
    """What arrays may take: the disk that is left, and the memory that the machine has, where it tells."""
    disk = shutil.disk_usage(folder).free
    names: dict[str, int] = getattr(os, "sysconf_names", {})
    if "SC_PHYS_PAGES" not in names:  # Windows
        return disk
    return min(disk, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def _whole(bits: NDArray[Any], values: NDArray[Any], shape: NDArray[Any], most: int) -> NDArray[Any]:
    """The array of which one bit a number says where the values are; it takes `most` bytes at most.

    Raises:
        ValueError: the parts do not belong together.
    """
    size = math.prod(sizes := shape.tolist())
    if shape.dtype != np.int64 or bits.dtype != np.uint8 or bits.size != -(-size // 8) or min(sizes, default=0) < 0:
        raise ValueError(f"an array of size {sizes} has {bits.size} bytes of bits")
    if values.dtype.kind not in "fiu" or size * values.itemsize > most:
        raise ValueError(f"an array of {size} {values.dtype} is stated, and there is place for {most} bytes")
    whole = np.zeros(size, values.dtype)
    whole[np.unpackbits(bits, count=size).astype(np.bool_)] = values
    return whole.reshape(sizes)
