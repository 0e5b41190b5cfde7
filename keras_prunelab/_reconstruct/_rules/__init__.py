"""How layers multiply their inputs: one file a family, rules by layer class."""

from . import _convolution, _recurrent  # noqa: F401 # each registers its rules
from ._base import LinearMap, NoLinearMapError, Rule, Seen, flat_weights
from ._dense import LinearRule
from ._registry import known_classes, maps_of, register_linear_rule

__all__ = [
    "LinearMap",
    "LinearRule",
    "NoLinearMapError",
    "Rule",
    "Seen",
    "flat_weights",
    "known_classes",
    "maps_of",
    "register_linear_rule",
]
