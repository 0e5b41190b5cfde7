"""Keras models from files of every kind that Keras and this project write, and the reason where one cannot be read."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_prunelab._errors import InvalidModelError
from keras_prunelab._util._hdf5 import check_hdf5

from . import _console

if TYPE_CHECKING:
    from collections.abc import Callable

    import keras

ENDINGS = (".keras", ".h5", ".hdf5")
"""The endings of files that `load` reads."""

_HDF5 = b"\x89HDF\r\n\x1a\n"


def load(path: Path) -> keras.Model:
    """Load a model that was saved whole: `.keras`, sparse ones too, or the older `.h5`.

    `Pruned` wrappers are taken off; the weights that their masks prune are zero.

    Args:
        path: the file.

    Raises:
        FileNotFoundError: there is no such file.
        InvalidModelError: it is a folder, holds weights alone, is damaged, or needs code that is not there.
    """
    if path.is_dir():
        raise InvalidModelError(_about_folder(path))
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {str(path)!r}.")
    if path.name.lower().endswith(".weights.h5"):
        raise InvalidModelError(
            f"{str(path)!r} holds weights alone, without the layers they belong to. Build the model in Python, call "
            "model.load_weights(...) on it, and save it whole: model.save('model.keras')."
        )
    with path.open("rb") as file:
        head = file.read(len(_HDF5))
    if not head:
        raise InvalidModelError(f"{str(path)!r} is empty.")
    is_hdf5 = head == _HDF5
    if not is_hdf5 and path.suffix.lower() != ".keras":
        raise InvalidModelError(
            f"{str(path)!r} is damaged, or no file of Keras: it does not begin as an HDF5 file does."
        )
    from keras_prunelab.layers import Pruned, strip  # so that Keras knows the wrapper when it reads the file

    read = _read_hdf5 if is_hdf5 else _read_archive
    with warnings.catch_warnings():
        # A model that is compiled and was never trained is saved without the slots of its optimizer.
        warnings.filterwarnings("ignore", message="Skipping variable loading for optimizer")
        model: keras.Model = _load_compiled(read, path)
    if any(isinstance(layer, Pruned) for layer in model._flatten_layers()):
        model = strip(model)
        _console.say("The Pruned wrappers are taken off; the weights that their masks prune are zero.")
    return model


def _read_archive(path: Path, **options: Any) -> Any:
    import keras

    from keras_prunelab._export._sparse_file import dense_file

    with dense_file(path) as dense:
        return keras.saving.load_model(dense, **options)


def _read_hdf5(path: Path, **options: Any) -> Any:
    """Read the older format; Keras goes by the ending, and files of it may have another."""
    from keras.src.legacy.saving import legacy_h5_format

    check_hdf5(path, repr(str(path)))
    return legacy_h5_format.load_model_from_hdf5(str(path), **options)


def _load_compiled(read: Callable[..., Any], path: Path) -> Any:
    """The model, compiled where that works: its loss may be code that is not there, or of an older Keras."""
    try:
        return read(path, compile=True)
    except InvalidModelError:
        raise
    except Exception as error:  # noqa: BLE001  # Keras raises whatever the damage or the missing code leads to
        first = error
    try:
        model = read(path, compile=False)
    except Exception as error:
        raise InvalidModelError(f"Keras cannot load {str(path)!r}: {_reason(error)}") from error
    _console.say(f"Loaded without its loss and metrics, which cannot be restored: {_reason(first)}")
    return model


def _reason(error: Exception) -> str:
    """What is wrong with a file, in a sentence; Keras' own errors hold whole configurations."""
    text = str(error)
    # The second is of the older format.
    missing = re.search(r"Could not locate (class|function) '([^']+)'", text) or re.search(
        r"Unknown (\w+): '?(?:\w+>)?(\w+)", text
    )
    if missing:
        return (
            f"it needs the {missing[1]} {missing[2]!r}, code that is neither part of Keras nor in the file. Import it "
            "in Python, and use keras_prunelab from there."
        )
    if "Lambda" in text and "safe_mode" in text:
        return (
            "it has a Lambda layer, whose function could run any code. If you trust the file, load it in Python with "
            "keras.saving.load_model(path, safe_mode=False), and use keras_prunelab from there."
        )
    if "No model config" in text:
        return "it holds weights alone, without the layers they belong to. Save the model whole with model.save(...)."
    if isinstance(error, OSError) and "truncated" in text:
        return "it is damaged: its end is missing. Was it copied whole?"
    if isinstance(error, OSError):
        return f"it is damaged: {_shorten(text)}"
    return _shorten(text) or type(error).__name__


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 300 else f"{line[:300]} ..."


def _about_folder(path: Path) -> str:
    if (path / "saved_model.pb").is_file():
        return (
            f"{str(path)!r} is an exported SavedModel: a graph to run, without the layers that can be pruned. Save the "
            "model itself in Python: model.save('model.keras')."
        )
    return f"{str(path)!r} is a folder; a network is a .mat, a .keras or an .h5 file."
