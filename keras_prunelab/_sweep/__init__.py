"""Many sparsities, several scores and seeds, one result; and the choice of a trade-off."""

from __future__ import annotations

from ._choice import Choice
from ._finetune import FineTune
from ._planned import SweepPlan, plan_sweep
from ._refine import AutoLevels
from ._result import SweepResult
from ._sweep import Progress, sweep

__all__ = ["AutoLevels", "Choice", "FineTune", "Progress", "SweepPlan", "SweepResult", "plan_sweep", "sweep"]
