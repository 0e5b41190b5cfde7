"""Keras, or what to install where it has no backend."""

from __future__ import annotations

import importlib
import os
from types import ModuleType
from typing import TYPE_CHECKING, Any

from keras_prunelab._errors import MissingBackendError

_BACKENDS = ("tensorflow", "jax", "torch")


def import_keras() -> Any:
    """Import Keras, which imports its backend.

    Returns:
        The module `keras`.

    Raises:
        MissingBackendError: the backend that Keras is to run on is not installed.
    """
    try:
        import keras
    except ModuleNotFoundError as error:
        if error.name not in _BACKENDS:
            raise
        raise missing(error.name) from None
    except ValueError as error:
        if "Unable to import backend" not in str(error):
            raise
        raise missing(os.environ.get("KERAS_BACKEND", "")) from None
    return keras


def missing(name: str) -> MissingBackendError:
    """The error of a backend that is not there, with the line to run."""
    wanted = os.environ.get("KERAS_BACKEND")
    why = ", which the environment variable KERAS_BACKEND asks for," if wanted else ""
    extra = name if name in _BACKENDS else _BACKENDS[0]
    return MissingBackendError(
        f"The backend {name!r}{why} is not installed, or cannot run gradients. Install one:\n"
        f'    pip install "keras-prunelab[{extra}]"\n'
        f"or set KERAS_BACKEND to another of {', '.join(_BACKENDS)} that is installed."
    )


if TYPE_CHECKING:
    import keras as keras  # exported: whoever takes it from here gets the error above
else:
    keras = import_keras()


def of_backend() -> ModuleType:
    """The module here of the backend that Keras runs on.

    Raises:
        MissingBackendError: it is none of TensorFlow, JAX and torch.
    """
    backend = keras.config.backend()
    if backend not in _BACKENDS:
        raise missing(backend)
    return importlib.import_module(f"._{backend}", __package__)
