"""What a MAT-file says about itself before any data is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from matlab_bridge._text import one_line, visible

_MOST_LINES = 1000  # of variables that are printed; all are in `FileInfo.variables`
_MOST_AXES = 32  # of a size that are printed; NumPy has no array of more than 64


@dataclass(frozen=True, slots=True)
class VariableInfo:
    """One variable, as its header describes it.

    Attributes:
        name: the variable's name.
        class_name: MATLAB's class: `"double"`, `"logical"`, `"struct"`, `"table"`, `"SeriesNetwork"`, ...
        shape: MATLAB's size. An object whose size is part of its data (table, categorical, string, ...) is
            1x1 here.
        is_complex: whether it has an imaginary part.
        is_sparse: whether it is a sparse matrix.
        is_global: whether it was global in MATLAB's workspace.
    """

    name: str
    class_name: str
    shape: tuple[int, ...]
    is_complex: bool = False
    is_sparse: bool = False
    is_global: bool = False

    def __str__(self) -> str:
        marks = (("complex", self.is_complex), ("sparse", self.is_sparse), ("global", self.is_global))
        words = [word for word, holds in marks if holds]
        size = "x".join(map(str, self.shape[:_MOST_AXES])) + ("x..." if len(self.shape) > _MOST_AXES else "")
        return one_line(f"{self.name}: {size} {' '.join([*words, self.class_name])}")


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A MAT-file, as its header and the headers of its variables describe it.

    Attributes:
        path: the file.
        version: `"v4"`, `"v7"` (which v5 and v6 share) or `"v7.3"`.
        created: when it was written, in the writer's own words; empty where the file does not say.
        platform: the platform or program that wrote it; empty where the file does not say.
        variables: in the order of the file.
    """

    path: Path
    version: Literal["v4", "v7", "v7.3"]
    created: str
    platform: str
    variables: tuple[VariableInfo, ...]

    def __str__(self) -> str:
        written = ", ".join(word for word in (self.platform, self.created) if word)
        heading = visible(f"{self.path} ({self.version}{', ' + written if written else ''})")
        lines = [f"  {variable}" for variable in self.variables[:_MOST_LINES]]
        more = len(self.variables) - len(lines)
        return "\n".join([heading, *lines, *([f"  and {more} more"] if more else [])])
