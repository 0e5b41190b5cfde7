"""The packages that Word files and PDFs need, imported where they are wanted."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

from keras_prunelab._errors import MissingBackendError

NEEDED = {".docx": ("docx", "python-docx"), ".pdf": ("typst", "typst")}
"""By the ending of a file: the module that writes it, and the package that holds it."""


def extra(ending: str) -> ModuleType:
    """Import what a format needs.

    Raises:
        MissingBackendError: it is not installed.
    """
    module, package = NEEDED[ending]
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingBackendError(
            f"A {ending} report needs the package {package}, which is not installed. Install the extra:\n"
            '    pip install "keras-prunelab[report]"\n'
            "or write a .html report, which needs nothing and prints well."
        ) from error


def check_extra(ending: str) -> None:
    """Make sure that what a format needs is installed, before any work.

    Raises:
        MissingBackendError: it is not.
    """
    if ending in NEEDED:
        extra(ending)


def is_there(ending: str) -> bool:
    """Whether what a format needs is installed."""
    return ending not in NEEDED or importlib.util.find_spec(NEEDED[ending][0]) is not None
