"""Sources of networks to the neutral form."""

from __future__ import annotations

from ._find import find_networks, load_network
from ._registry import READERS, Reader

__all__ = ["READERS", "Reader", "find_networks", "load_network"]
