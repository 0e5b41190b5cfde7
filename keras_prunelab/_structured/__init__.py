"""Removing channels for real."""

from ._channels import Flow, Site, Trace, Wall, WallError
from ._compact import Compaction, channels_of, compact, compaction
from ._complete import complete_channels
from ._fuse import fuse
from ._latency import latency
from ._litert import export_litert
from ._macs import uses_by_variable
from ._metrics import Metrics, metrics
from ._recalibrate import recalibrate
from ._remove import remove_filters
from ._rules import Rule
from ._rules._per_channel import PerChannelRule
from ._rules._registry import register_rule
from ._sparse_file import load_sparse, save_sparse

__all__ = [
    "Compaction",
    "Flow",
    "Metrics",
    "PerChannelRule",
    "Rule",
    "Site",
    "Trace",
    "Wall",
    "WallError",
    "channels_of",
    "compact",
    "compaction",
    "complete_channels",
    "export_litert",
    "fuse",
    "latency",
    "load_sparse",
    "metrics",
    "recalibrate",
    "register_rule",
    "remove_filters",
    "save_sparse",
    "uses_by_variable",
]
