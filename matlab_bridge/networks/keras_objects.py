"""The earlier name of `matlab_bridge.convert.keras_objects`, which files of earlier versions refer to."""

import warnings

from matlab_bridge.convert.keras_objects import (
    DelayedFeedback,
    Distance,
    NoRecurrentBias,
    ProjectedGRUCell,
    ProjectedLSTMCell,
    hard_sigmoid,
)

__all__ = ["DelayedFeedback", "Distance", "NoRecurrentBias", "ProjectedGRUCell", "ProjectedLSTMCell", "hard_sigmoid"]

warnings.warn(
    "matlab_bridge.networks.keras_objects is matlab_bridge.convert.keras_objects now; import that.",
    DeprecationWarning,
    stacklevel=2,
)
