"""Writing networks: back into the file that they came from, or into portable form."""

from __future__ import annotations

from ._network import save_network
from ._portable import portable_struct, save_portable

__all__ = ["portable_struct", "save_network", "save_portable"]
