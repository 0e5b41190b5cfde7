"""What an input layer does to the data before the first layer sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._layer import Array, Layer, padded_shape

# The interval that each of MATLAB's two public names for a rescaling stands for.
_TARGETS = {"rescale-zero-one": (0.0, 1.0), "rescale-symmetric": (-1.0, 1.0)}


@dataclass(frozen=True)
class Normalization:
    """The normalization of an input layer, with statistics that broadcast against channels-last data.

    | `type`         | what the layer computes                                                        |
    |----------------|--------------------------------------------------------------------------------|
    | `"none"`       | `x`                                                                            |
    | `"zerocenter"` | `x - mean`                                                                     |
    | `"zscore"`     | `(x - mean) / std`                                                             |
    | `"rescale"`    | `(x - min) / (max - min) * (target_max - target_min) + target_min`             |
    | any other      | unknown to this package; `"custom"` is a function of the user's                |

    Attributes:
        type: one of the names above.
        mean: per element (H, W, C), per channel (1, 1, C), one number (1, 1, 1), or for vectors (D,).
        std: the standard deviation, of the same shapes.
        min: the least value, of the same shapes.
        max: the greatest value, of the same shapes.
        target_min: what `min` becomes.
        target_max: what `max` becomes.
    """

    type: str = "none"
    mean: Array | None = None
    std: Array | None = None
    min: Array | None = None
    max: Array | None = None
    target_min: float = 0.0
    target_max: float = 1.0

    @property
    def is_trained(self) -> bool:
        """Whether the statistics that the type needs are there; training computes them."""
        needed = {
            "zerocenter": (self.mean,),
            "zscore": (self.mean, self.std),
            "rescale": (self.min, self.max),
        }.get(self.type, ())
        return all(statistic is not None for statistic in needed)

    @classmethod
    def of(cls, layer: Layer) -> Normalization:
        """Read it from an input layer.

        Args:
            layer: an input layer. Its setting `Normalization` is empty, a struct with a `Type` and statistics
                (as MATLAB saves it), or a name with the statistics beside it (as MATLAB shows it). A layer
                without the setting normalizes nothing; anything else, such as a function handle, is no
                normalization that is known.

        Returns:
            The normalization; `type` is `"none"` where there is none.
        """
        stored: Any = layer.settings.get("Normalization")
        if isinstance(stored, np.ndarray) and stored.size == 1:
            stored = stored.item()  # a string of MATLAB's is an array
        if isinstance(stored, Mapping):
            statistics, kind = stored, str(stored.get("Type", "custom"))
        elif isinstance(stored, str):
            statistics, kind = layer.settings, stored
        else:
            return cls("none" if stored is None or np.size(stored) == 0 else "custom")
        rank = np.size(layer.settings.get("InputSize", ()))

        def statistic(*names: str) -> Array | None:
            value = next((statistics[name] for name in names if np.size(statistics.get(name, ())) > 0), None)
            return None if value is None else _channels_last(np.asarray(value), rank)

        def target(name: str, default: float) -> float:
            value = np.ravel(statistics.get(name, ()))
            return float(value[0]) if value.size else default

        low, high = _TARGETS.get(kind, (0.0, 1.0))
        return cls(
            type="rescale" if kind in _TARGETS else kind,
            mean=statistic("AverageImage", "Mean"),
            std=statistic("Std", "StandardDeviation"),
            min=statistic("Min"),
            max=statistic("Max"),
            target_min=target("TargetMin", low),
            target_max=target("TargetMax", high),
        )


def _channels_last(statistic: Array, rank: int) -> Array:
    # MATLAB keeps a statistic of vectors as D x 1, and drops an image's trailing singleton dimension.
    return statistic.ravel() if rank == 1 else padded_shape(statistic, rank)
