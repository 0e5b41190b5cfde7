"""`save`: MAT-files of v7 and v7.3, through mat-io's writers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from matlab_bridge._atomic import replace_whole
from matlab_bridge._errors import UnwritableValueError

from ._names import check_name


def save(
    path: str | os.PathLike[str],
    variables: Mapping[str, Any],
    *,
    version: Literal["v7", "v7.3", "7", "7.3", "-v7", "-v7.3"] = "v7",
    compress: bool = True,
) -> None:
    """Write variables to a MAT-file that MATLAB's `load` reads.

    The file appears, or replaces the old one, only when it is whole.

    | Python | MATLAB |
    |---|---|
    | `str` | char row |
    | list of `str`, array of `<U` | cell of char rows (1-D: a column) |
    | `CharArray` | char matrix, its rows filled with blanks |
    | array of `StringDType` | string |
    | `bool`, `int`, `float`, `complex` | logical, double, double, complex double scalar |
    | numeric array | its own class; 1-D is a column, float16 becomes single |
    | `dict`; list of `dict`, `StructArray` | struct; struct array |
    | `Map` | `containers.Map` |
    | list or tuple of numbers | row |
    | other list or tuple, array of object | cell (1-D: a column) |
    | tensor of TensorFlow, JAX or torch, Keras variable | as a numeric array |
    | masked array of floats | what is masked is NaN |
    | `None` | `[]` |
    | SciPy sparse matrix | sparse double or logical, without stored zeros |
    | datetime64, timedelta64 | datetime, duration |
    | `pandas.Categorical`, `CategoricalArray` | categorical |
    | `pandas.DataFrame` | table; with times as its index, timetable; `attrs` as `load` gives them; row names are an |
    |                    | index of anything but integers without a name, which are positions |

    Args:
        path: the file to write; `.mat` is added to a name without an ending.
        variables: values by name. Names of variables and fields are those that MATLAB accepts: letters,
            digits and underscores, beginning with a letter, at most 63 characters, no keyword.
        version: `"v7"`, which every MATLAB since 2005 and GNU Octave read, at most 2 GiB a variable; or
            `"v7.3"` (HDF5). `"7.3"` and MATLAB's `"-v7.3"` are the same.
        compress: whether to deflate the data.

    Raises:
        UnwritableValueError: MATLAB has no type for a value, or cannot have a name; nothing is written then.
        FileNotFoundError: the folder of `path` does not exist.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from matlab_bridge.matfile import load, save
        >>> path = Path(tempfile.mkdtemp()) / "lab.mat"
        >>> save(path, {"accuracy": 0.5, "classes": ["cat", "dog"]})
        >>> load(path)["classes"].tolist()
        [['cat'], ['dog']]
    """
    number = str(version).removeprefix("-").removeprefix("v")
    if number not in ("7", "7.3"):
        raise ValueError(f"version is {version!r}; 'v7' and 'v7.3' can be written.")
    # pandas and mat-io take half a second to import, and readers do without.
    from ._encode import encode
    from ._writers import write_level5, write_level73

    target = Path(path)
    write = write_level5 if number == "7" else write_level73
    try:
        forms = {check_name(name, "A variable"): encode(value, name) for name, value in variables.items()}
        with replace_whole(target if target.suffix else target.with_name(f"{target.name}.mat")) as temporary:
            write(temporary, forms, compress=compress)
    except RecursionError as error:
        raise UnwritableValueError(
            f"One of {', '.join(map(repr, variables))} holds itself, or nests too deeply for a MAT-file. "
            "Take the inner reference out."
        ) from error
