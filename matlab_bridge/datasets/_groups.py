"""Variables that say of each observation to which group it belongs, such as its signal-to-noise ratio."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from matlab_bridge._errors import DatasetError

from ._expected import Expected
from ._labels._text import as_text
from ._values import Array
from ._variables._paths import resolve
from ._variables._read import read_variables


def load_groups(path: str | os.PathLike[str], names: str | Iterable[str]) -> dict[str, Array]:
    """Read variables that put each observation into a group, as `keras_prunelab.sweep(groups=...)` takes them.

    Args:
        path: a `.mat`, `.npz`, `.npy` or `.csv` file.
        names: one or several variables, by the paths that one would write in MATLAB: `"SNR"`, `"info.snr"`, or the
            variable of a table, `"trials.Speaker"`. Each has a number or a text for each observation: a vector, a
            logical, a categorical, strings, or a cell of char rows.

    Returns:
        For each name an array with one number or text an observation.

    Raises:
        FileNotFoundError: there is no such file.
        VariableNotFoundError: there is no such variable; the nearest one is named.
        DatasetError: it is no vector of numbers or texts.

    Examples:
        >>> import numpy as np, scipy.io, matlab_bridge as mb
        >>> scipy.io.savemat("signals.mat", {"SNR": np.array([[0.0, 10.0, 10.0]])})
        >>> mb.load_groups("signals.mat", "SNR")["SNR"].tolist()
        [0.0, 10.0, 10.0]
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {os.fspath(path)!r}.")
    variables = read_variables(path, Expected())
    return {name: _vector(resolve(variables, name), name) for name in ([names] if isinstance(names, str) else names)}


def _vector(value: object, name: str) -> Array:
    text = as_text(value)
    found = np.asarray(value) if text is None else np.asarray(text.names).astype(str)
    if found.dtype.kind not in "buifU" or sorted(found.shape)[:-1].count(1) != found.ndim - 1:
        raise DatasetError(
            f"{name} has no number or text for each observation: it is {type(value).__name__} of {found.dtype}, size "
            f"{'x'.join(map(str, found.shape)) or '1'}. Groups are a vector of numbers, a categorical or strings."
        )
    return found.reshape(-1)
