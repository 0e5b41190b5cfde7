"""What is measured of the file that a network becomes: one measure a file, by name."""

from . import _answers, _flash_bytes, _litert_bytes  # noqa: F401  # they register what they measure
from ._registry import FILE_METRICS

__all__ = ["FILE_METRICS"]
