"""A MAT-file as a mapping: `load` and `info`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, ItemsView, Iterable, Iterator, Mapping, ValuesView
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from matlab_bridge._errors import MatFileError, TruncatedFileError, VariableNotFoundError
from matlab_bridge._text import suggest

from ._budget import Budget
from ._damage import SYMPTOMS
from ._decode._decode import Decoder
from ._decode._subsystem import Subsystem
from ._header import Header, read_header
from ._info import FileInfo, VariableInfo
from ._lazy import LazyArray, StoredArray, Wanted
from ._level4 import Level4File
from ._level5._read import Level5File
from ._level73 import Level73File

if TYPE_CHECKING:
    from ._raw import Array


class _Container(Protocol):
    """What the readers of the versions have in common."""

    @property
    def variables(self) -> tuple[VariableInfo, ...]: ...

    @property
    def subsystem(self) -> Array: ...

    def read(self, name: str) -> Any: ...

    def stored(self, name: str) -> StoredArray | None: ...

    def read_ahead(self, names: Iterable[str]) -> Generator[str, None, None]: ...


class MatFile(Mapping[str, Any]):
    """The variables of a MAT-file by name, in the order of the file.

    A variable is read when it is first asked for, and then kept. The values are those that the table at the
    top of `matlab_bridge.matfile._values` lists, whatever the version of the file. A large numeric array that is
    stored so that a part can be read alone is a `LazyArray`, until `items` or `values` read it.

    Attributes:
        info: what the headers say of the file and its variables.
    """

    def __init__(self, path: str | os.PathLike[str], *, lazy: bool = True) -> None:
        self._path = Path(path)
        self._lazy = lazy
        self._budget = Budget()
        header = read_header(self._path)
        with _damage_reported(self._path, "its list of variables"):
            self._container = _container(self._path, header, self._budget)
        variables = self._container.variables
        self.info = FileInfo(self._path, header.version, header.created, header.platform, variables)
        self._values: dict[str, Any] = {variable.name: None for variable in variables}
        self._read: set[str] = set()
        self._parts: dict[str, LazyArray] = {}
        self._state = _state_of(self._path)

    def __getitem__(self, name: str) -> Any:
        if name not in self._values:
            names, hint = ", ".join(self._values) or "none", suggest(name, self._values)
            raise VariableNotFoundError(f"{self._path} has no variable {name!r}. Its variables: {names}.{hint}")
        if self._lazy and name not in self._read:
            if name not in self._parts and (array := self._lazy_array(name)) is not None:
                self._parts[name] = array
            if name in self._parts:
                return self._parts[name]
        return self._whole(name)

    def _whole(self, name: str) -> Any:
        if name not in self._read:
            with _damage_reported(self._path, f"the variable {name!r}"):
                self._values[name] = self._decoder.value(self._container.read(name))
            self._read.add(name)
        return self._values[name]

    def _lazy_array(self, name: str) -> LazyArray | None:
        with _damage_reported(self._path, f"the variable {name!r}"):
            stored = self._container.stored(name)
        if stored is None:
            return None

        def block(axes: tuple[Wanted, ...]) -> Array:
            with _damage_reported(self._path, f"a part of the variable {name!r}"):
                self._check_unchanged()
                return stored.block(axes)

        def whole() -> Array:
            with _damage_reported(self._path, f"the variable {name!r}"):
                self._check_unchanged()
            values: Array = self._whole(name)
            return values

        return LazyArray(replace(stored, block=block), whole)

    def _check_unchanged(self) -> None:
        # An array may be read long after its file was opened.
        if _state_of(self._path) != self._state:
            raise MatFileError("the file was changed after it was opened. Load it again.")

    def __contains__(self, name: object) -> bool:
        # Mapping's own would read the variable.
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def items(self) -> ItemsView[str, Any]:
        """Names and values; where the file is compressed, threads inflate what comes next."""
        return _Items(self)

    def values(self) -> ValuesView[Any]:
        """The values, read as `items` reads them."""
        return _Values(self)

    def _in_order(self) -> Iterator[tuple[str, Any]]:
        """Names and values in the order of the file, what comes next being inflated meanwhile."""
        unread = [name for name in self._values if name not in self._read]
        ahead = self._container.read_ahead(unread)
        with contextlib.closing(ahead):
            for name in self._values:
                if name not in self._read:
                    next(ahead, None)
                yield name, self._whole(name)

    def __repr__(self) -> str:
        return f"MatFile {self.info}"

    @cached_property
    def _decoder(self) -> Decoder:
        return Decoder(lambda: self._subsystem, self._budget)

    @cached_property
    def _subsystem(self) -> Subsystem:
        return Subsystem(self._container.subsystem, self._budget)


class _Items(ItemsView[str, Any]):
    _mapping: MatFile

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return self._mapping._in_order()


class _Values(ValuesView[Any]):
    _mapping: MatFile

    def __iter__(self) -> Iterator[Any]:
        return (value for _, value in self._mapping._in_order())


def load(path: str | os.PathLike[str], *, lazy: bool = True) -> MatFile:
    """Open a MAT-file of any version; its variables are read when they are asked for.

    A numeric array of 16 MiB or more in a v7.3 file, or in a v6 one, is a `LazyArray`: `load(path)["X"][..., :100]`
    reads that part alone, and any other use of the array reads the whole.

    Args:
        path: a file that MATLAB's `save` wrote: v4, v5, v6, v7 or v7.3.
        lazy: whether large arrays may be read in parts; if not, each is a `numpy.ndarray`, read at once.

    Returns:
        A read-only mapping from names to values.

    Raises:
        NotAMatFileError: the file is something else; the message says what.
        TruncatedFileError: the file is cut short or damaged. Damage to one variable is found when it is read.
        LostObjectError: at reading an object whose contents the file does not have.
        FileNotFoundError, IsADirectoryError, PermissionError: as Python raises them.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from matlab_bridge.matfile import load, save
        >>> path = Path(tempfile.mkdtemp()) / "lab.mat"
        >>> save(path, {"x": np.eye(2), "note": "two by two"})
        >>> load(path)["note"]
        'two by two'
    """
    return MatFile(path, lazy=lazy)


def info(path: str | os.PathLike[str]) -> FileInfo:
    """Describe a MAT-file by its headers; no data is read.

    Args:
        path: a MAT-file of any version.

    Returns:
        Its version, writer, date, and the name, class and size of each variable.

    Raises:
        NotAMatFileError, TruncatedFileError, OSError: as `load` does.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from matlab_bridge.matfile import info, save
        >>> path = Path(tempfile.mkdtemp()) / "lab.mat"
        >>> save(path, {"x": np.zeros((3, 2))})
        >>> print(info(path).variables[0])
        x: 3x2 double
    """
    return MatFile(path).info


def _container(path: Path, header: Header, budget: Budget) -> _Container:
    if header.version == "v4":
        return Level4File(path, header, budget)
    return (Level5File if header.version == "v7" else Level73File)(path, header, budget)


def _state_of(path: Path) -> tuple[int, ...]:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


@contextlib.contextmanager
def _damage_reported(path: Path, part: str) -> Iterator[None]:
    """Name the file, and turn what damaged bytes lead to into one error."""
    try:
        yield
    except MatFileError as error:
        raise type(error)(f"{path}: cannot read {part}: {str(error).rstrip('.')}.") from error
    except (FileNotFoundError, PermissionError):
        raise
    except SYMPTOMS as error:
        raise TruncatedFileError(
            f"{path}: cannot read {part}: the file is cut short or damaged "
            f"({type(error).__name__}: {str(error).rstrip('.')}). Fetch or save it again."
        ) from error
