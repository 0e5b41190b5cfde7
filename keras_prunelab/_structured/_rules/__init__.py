"""What each type of layer does to channels: one small file a family."""

from . import (
    _activation,
    _applications,
    _attention,
    _convolution,
    _embedding,
    _merge,
    _normalization,
    _operations,
    _per_channel,
    _recurrent,
    _shape,
    _wrappers,
)
from ._base import Rule
from ._registry import register_rule, rule_of

__all__ = [
    "Rule",
    "_activation",
    "_applications",
    "_attention",
    "_convolution",
    "_embedding",
    "_merge",
    "_normalization",
    "_operations",
    "_per_channel",
    "_recurrent",
    "_shape",
    "_wrappers",
    "register_rule",
    "rule_of",
]
