"""The result of a sweep for readers: plots, and a report in one HTML file."""

from __future__ import annotations

from ._plots import export_plots
from ._report import report

__all__ = ["export_plots", "report"]
