"""Many sparsities, several scores, one result; and the choice of a trade-off."""

from __future__ import annotations

from ._choice import Choice
from ._result import SweepResult
from ._sweep import Progress, sweep

__all__ = ["Choice", "Progress", "SweepResult", "sweep"]
