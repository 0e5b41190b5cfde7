"""What MATLAB's types become in Python: one set of values, whatever the version of the file.

| MATLAB                          | Python                                                              |
|---------------------------------|---------------------------------------------------------------------|
| double, single, int*, uint*     | `numpy.ndarray` of that dtype, in MATLAB's shape (at least 2-D)     |
| complex                         | the same, complex128 or complex64                                   |
| logical                         | `numpy.ndarray` of bool                                             |
| char row                        | `str`                                                               |
| char matrix                     | `CharArray`: an (n,) array of `<U`, one text a row                  |
| string                          | array of `numpy.dtypes.StringDType`, in MATLAB's shape; of object   |
|                                 | where one has half of a surrogate pair                              |
| cell                            | array of object, in MATLAB's shape                                  |
| struct, 1x1                     | `dict`                                                              |
| struct array                    | `StructArray`: an array of `dict`, with `.fields`                   |
| categorical                     | `pandas.Categorical` for a vector, `CategoricalArray` otherwise     |
| table, timetable                | `pandas.DataFrame`                                                  |
| datetime, duration              | arrays of datetime64, timedelta64                                   |
| sparse                          | `scipy.sparse.csc_array`                                            |
| containers.Map                  | `Map`: a `dict`                                                     |
| function handle                 | `FunctionHandle`: its text, never evaluated                         |
| any other object                | `MatlabObject`; an array of them is an `ObjectArray`                |
| enumeration                     | `Enumeration`                                                       |
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


class StructArray(np.ndarray[Any, Any]):
    """A MATLAB struct array that is not 1x1: an object array of `dict`, all with the same keys.

    `fields` are known even where the array is empty.
    """

    fields: tuple[str, ...]

    def __new__(cls, elements: Any, fields: tuple[str, ...]) -> StructArray:
        array = np.asarray(elements, dtype=object).view(cls)
        array.fields = tuple(fields)
        return array

    def __array_finalize__(self, source: Any) -> None:
        self.fields = getattr(source, "fields", ())


class CharArray(np.ndarray[Any, Any]):
    """A MATLAB char matrix: an array of `<U` with one text a row; `save` writes it as a char matrix again.

    Rows that are shorter than the longest are filled with blanks when they are written, as MATLAB's `char` does.
    """

    def __new__(cls, texts: Any) -> CharArray:
        return np.asarray(texts, dtype=np.str_).view(cls)


class Map(dict[Any, Any]):
    """A MATLAB `containers.Map`: a `dict` that `save` writes as a map, where any other `dict` is a struct.

    Its keys are all text, or all numbers.
    """


@dataclass(frozen=True, slots=True)
class MatlabObject:
    """An object of a MATLAB class that has no Python type of its own.

    Attributes:
        class_name: MATLAB's name of the class, such as `"nnet.cnn.layer.ReLULayer"`.
        properties: what MATLAB stored, by property name. A class with a `saveobj` method stores one, `any`.
        old_style: whether the class is of MATLAB's older kind (a folder `@network`), stored as a struct.
    """

    class_name: str
    properties: dict[str, Any] = field(repr=False)
    old_style: bool = False

    @property
    def fields(self) -> dict[str, Any]:
        """The properties, with the struct that a `saveobj` method returned laid open among them."""
        saved = self.properties.get("any")
        return {**self.properties, **saved} if isinstance(saved, dict) else dict(self.properties)


class ObjectArray(np.ndarray[Any, Any]):
    """An array of `MatlabObject` in MATLAB's shape; `class_name` is a class that all of them share."""

    class_name: str

    def __new__(cls, elements: Any, class_name: str) -> ObjectArray:
        array = np.asarray(elements, dtype=object).view(cls)
        array.class_name = class_name
        return array

    def __array_finalize__(self, source: Any) -> None:
        self.class_name = getattr(source, "class_name", "")


@dataclass(frozen=True, slots=True)
class FunctionHandle:
    """A MATLAB function handle, which is never evaluated.

    Attributes:
        text: such as `"@(x)2*x"` or `"@sin"`.
        variables: the values that an anonymous function took along from where it was made, by name.
    """

    text: str
    variables: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Enumeration:
    """Members of a MATLAB enumeration class: `names` has MATLAB's shape."""

    class_name: str
    names: Any


@dataclass(frozen=True, slots=True)
class CategoricalArray:
    """A categorical that is no vector: its `codes` in MATLAB's shape.

    A code of 0 is `<undefined>`, 1 the first category.
    """

    codes: Any
    categories: tuple[str, ...]
    ordered: bool = False


def is_pandas(value: Any, name: str) -> bool:
    """Whether a value is of a class of pandas, such as `"DataFrame"`; pandas is not loaded for it.

    Nothing is of its classes before it is loaded, which takes a third of a second that few files need.
    """
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, getattr(pandas, name))


def categorical(codes: np.ndarray[Any, Any], categories: tuple[str, ...], *, ordered: bool) -> pd.Categorical:
    """A categorical of pandas; its categories stay plain `str`.

    Args:
        codes: counted from 1; 0 is undefined.
        categories: their names.
        ordered: whether they have an order.

    Raises:
        ValueError: there are fewer categories than codes, or two of the same name.
    """
    import pandas as pd  # takes half a second, and few files need it

    most = max(len(categories), int(codes.max(initial=0)))
    places = codes.astype(np.min_scalar_type(-1 - most))
    places -= 1
    return pd.Categorical.from_codes(places, pd.Index(categories, dtype=object), ordered=ordered)
