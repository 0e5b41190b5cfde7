"""The result of a sweep for readers: plots, and a report in one HTML file."""

from __future__ import annotations

from ._plots import save_plots
from ._report import report

__all__ = ["report", "save_plots"]
