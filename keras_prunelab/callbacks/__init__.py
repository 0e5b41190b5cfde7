"""Callbacks for `fit`: pruning while training, training sparse, rewinding, and what they reached."""

from __future__ import annotations

from ._prune import Prune
from ._rewind import Rewind
from ._rigl import RigL
from ._set import SET
from ._summary import PruningSummary
from ._update_masks import UpdateMasks

__all__ = ["SET", "Prune", "PruningSummary", "Rewind", "RigL", "UpdateMasks"]
