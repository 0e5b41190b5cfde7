"""Callbacks for `fit`: pruning while training, and what it reached."""

from __future__ import annotations

from ._prune import Prune
from ._summary import PruningSummary
from ._update_masks import UpdateMasks

__all__ = ["Prune", "PruningSummary", "UpdateMasks"]
