"""What packs a LiteRT file. A module of its own, because flatbuffers comes with the extras `litert` and `device`."""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from numpy.typing import NDArray


class Builder(flatbuffers.Builder):
    """Keeps constants at multiples of 16 bytes, as the format's `force_align` asks, which Python's builder ignores."""

    def CreateNumpyVector(self, x: NDArray[Any]) -> Any:  # noqa: N802 # the name is theirs
        if x.dtype != np.uint8:
            return super().CreateNumpyVector(x)
        self.StartVector(1, x.size, 16)
        self.head -= x.size
        self.Bytes[self.head : self.head + x.size] = x.tobytes()
        self.vectorNumElems = x.size
        return self.EndVector()
