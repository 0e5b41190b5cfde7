"""The numbers of a MAT-file as arrays that can be found by value and written anew, whatever holds them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ._note import Units

Vector: TypeAlias = npt.NDArray[np.floating[Any]]
Place: TypeAlias = Hashable


class ArrayFile(ABC):
    """A MAT-file seen as the floating-point arrays in it, however deep in variables and objects they stand.

    Args:
        path: the file, which is only read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @abstractmethod
    def arrays(self, sizes: Collection[int]) -> Iterator[tuple[Place, Vector]]:
        """Every real single or double array with one of these numbers of elements.

        Returns:
            The place of each array, a key for `write`, and its numbers in MATLAB's column-major order.
        """

    @abstractmethod
    def write(self, target: Path, changes: Mapping[Place, Vector], note: Units | None = None) -> None:
        """Write a copy of the file in which some arrays hold other numbers, and all else is as it was.

        Args:
            target: the file to write; what it held is lost.
            changes: by place, as many numbers of the same dtype, in column-major order.
            note: a line of text for a variable of its own, instead of the one that the file may hold.
        """
