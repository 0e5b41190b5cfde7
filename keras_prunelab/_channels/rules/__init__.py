"""What each type of layer does to channels: one small file a family."""

from . import (  # noqa: F401 # each registers its rules
    _activation,
    _applications,
    _attention,
    _convolution,
    _dense,
    _embedding,
    _merge,
    _movement,
    _normalization,
    _operations,
    _per_channel,
    _recurrent,
    _shape,
    _wrappers,
)
from ._base import ChannelRule
from ._registry import register_rule, rule_of

__all__ = ["ChannelRule", "register_rule", "rule_of"]
