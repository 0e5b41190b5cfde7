"""Results as files: for spreadsheets, for other programs, for MATLAB, and to be loaded again."""

from __future__ import annotations

import json
import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keras_prunelab._errors import MissingBackendError, StoreMismatchError
from keras_prunelab._evaluate._by_class import ByClass
from keras_prunelab._evaluate._by_group import ByGroup
from keras_prunelab._evaluate._metric import Metric
from keras_prunelab._util._atomic import replace_whole

from . import _stored_result as stored_result
from ._by_layer import ByLayer
from ._choice import Choice
from ._mask_source import NoMasks
from ._outline import LayerOutline, Outline, VariableOutline

if TYPE_CHECKING:
    from ._measurements import Measurements

_FORMAT = "keras_prunelab sweep result 1"
_ATTRIBUTE = "keras_prunelab"


def load_from(result: Measurements) -> set[str]:
    """The files that a result was loaded from."""
    return {source.path for source in result.sources.values() if isinstance(source, NoMasks)}


def write_csv(result: Measurements, path: Path) -> None:
    """The table, with a point as the decimal mark; full precision."""
    with replace_whole(path, sources=load_from(result)) as temporary:
        table = result.table.rename(columns=_no_formula)
        texts = table.select_dtypes(["object", "string"]).columns
        table = table.assign(**{name: table[name].map(_no_formula) for name in texts})
        table.to_csv(temporary, index=False, encoding="utf-8")


def _no_formula(text: Any) -> Any:
    """Text that a spreadsheet does not run: an apostrophe before what begins a formula."""
    return f"'{text}" if isinstance(text, str) and text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def write_json(result: Measurements, path: Path) -> None:
    """Everything but the masks; infinity as text and what is missing as null, because JSON has no numbers for these."""
    with replace_whole(path, sources=load_from(result)) as temporary:
        temporary.write_text(_json(result, indent=2) + "\n", encoding="utf-8")


def _json(result: Measurements, indent: int | None = None, **more: Any) -> str:
    points = [_json_values(row) for row in result.table.to_dict("records")]
    content = _about(result) | {"points": points} | more
    return json.dumps(content, indent=indent, ensure_ascii=False, allow_nan=False)


def keep_in_store(result: Measurements, path: str | os.PathLike[str]) -> None:
    """Put a result into the store of its points, beside them, so that it can be read without measuring."""
    stored_result.write(path, _json(result))


def text_under_way(result: Measurements) -> str:
    """A result as a store keeps it while more points are to come, which are then read with it."""
    return _json(result, is_under_way=True)


def write_parquet(result: Measurements, path: Path) -> None:
    """The table, with everything else but the masks in its metadata."""
    table = result.table.copy()
    table.attrs = {_ATTRIBUTE: json.dumps(_about(result))}
    with replace_whole(path, sources=load_from(result)) as temporary:
        try:
            table.to_parquet(temporary, index=False)
        except ImportError as error:
            raise MissingBackendError(
                "Parquet files need pyarrow: pip install pyarrow, or write .csv or .json."
            ) from error


def write_mat(result: Measurements, path: Path) -> None:
    """A MAT-file of version 5 with a struct of columns, `sweep`, and a struct of facts, `about`."""
    import scipy.io

    names = _distinct(_matlab_name(str(name)) for name in result.table)
    columns = (_column(values) for _, values in result.table.items())
    facts = {"Metric": result.metric.name, "Dense": result.dense, "Convention": result.convention} | {
        _matlab_name(name): value for name, value in result.metadata.items()
    }
    content = {
        "sweep": dict(zip(names, columns, strict=True)),
        "about": facts,
    }
    with replace_whole(path, sources=load_from(result)) as temporary:
        scipy.io.savemat(temporary, content, appendmat=False, oned_as="column", long_field_names=True)


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The arguments of a `SweepResult`, from a file that `write_json` or `write_parquet` wrote, or from a store.

    Raises:
        FileNotFoundError: there is no such file.
        StoreMismatchError: it holds no result.
    """
    path = Path(path)
    try:
        if stored_result.is_store(path):
            about = stored_result.read(path)
            table = _table(about)
        elif path.suffix.lower() == ".parquet":
            table = pd.read_parquet(path)
            about = json.loads(table.attrs.pop(_ATTRIBUTE))
        else:
            about = json.loads(path.read_text(encoding="utf-8"))
            table = _table(about)
        if about["format"] != _FORMAT:
            raise StoreMismatchError(
                f"{os.fspath(path)!r} is of another version: {about['format']!r}, not {_FORMAT!r}."
            )
        return _arguments(about, table, os.fspath(path))
    except FileNotFoundError:
        raise
    except ImportError as error:
        raise MissingBackendError("Parquet files need pyarrow: pip install pyarrow.") from error
    except (LookupError, TypeError, ValueError, AttributeError, OSError) as error:
        if isinstance(error, StoreMismatchError):
            raise
        raise StoreMismatchError(
            f"{os.fspath(path)!r} is no result of a sweep, or is damaged: that is a .json or .parquet file, such as "
            "the sweep.json that prunelab lab writes beside sweep.csv, or the store of a sweep."
        ) from error


def _arguments(about: Any, table: pd.DataFrame, path: str) -> dict[str, Any]:
    keys = {(str(row[0]), str(row[1]), str(row[2]), int(row[3])) for row in table[_KEY].itertuples(index=False)}
    return {
        "table": table,
        "dense": _number(about["dense"]),
        "outline": _outline(about["outline"]),
        "sources": {key: NoMasks(path) for key in keys},
        "metric": Metric(**about["metric"]),
        "class_names": tuple(about["class_names"]),
        "metadata": about["metadata"],
        "complete": about["complete"],
        "by_class": None if about.get("by_class") is None else ByClass.from_json(about["by_class"]),
        "by_layer": None if about.get("by_layer") is None else ByLayer.from_json(about["by_layer"]),
        "by_group": tuple(map(ByGroup.from_json, about.get("by_group") or ())),
        "choice": None if about.get("choice") is None else _choice(about["choice"]),
    }


def _choice(values: Mapping[str, Any]) -> Choice:
    numbers = {name: _number(values[name]) for name in ("accuracy", "dense_accuracy", "std") if name in values}
    return Choice(**{**values, **numbers})


_KEY = ["score", "scope", "training", "seed"]


def _about(result: Measurements) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "metric": asdict(result.metric),
        "dense": _json_value(result.dense),
        "complete": result.complete,
        "by_class": None if result.by_class is None else result.by_class.to_json(),
        "by_layer": None if result.by_layer is None else result.by_layer.to_json(),
        "by_group": [each.to_json() for each in result.by_group],
        "choice": None if result.choice is None else _json_values(asdict(result.choice)),
        "class_names": list(result.class_names),
        "metadata": _json_values(result.metadata),
        "dtypes": {str(name): str(dtype) for name, dtype in result.table.dtypes.items()},
        "outline": [asdict(layer) for layer in result.outline.layers],
    }


def _table(about: Mapping[str, Any]) -> pd.DataFrame:
    names = list(about["dtypes"])
    table = pd.DataFrame(about["points"], columns=names)
    for name, dtype in about["dtypes"].items():
        values = table[name].map(_number) if dtype.startswith("float") else table[name]
        table[name] = values.astype(dtype)
    return table


def _outline(layers: list[dict[str, Any]]) -> Outline:
    return Outline(
        tuple(
            LayerOutline(
                layer["name"],
                layer["kind"],
                tuple(
                    VariableOutline(
                        each["path"], each["role"], tuple(each["shape"]), tuple(each["output_axes"]), each["uses"]
                    )
                    for each in layer["variables"]
                ),
            )
            for layer in layers
        )
    )


def _json_values(values: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name): _json_value(value) for name, value in values.items()}


def _json_value(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _column(values: pd.Series) -> NDArray[Any]:
    if pd.api.types.is_numeric_dtype(values):
        return values.to_numpy(dtype=float, na_value=np.nan)
    return np.array([str(value) for value in values], dtype=object)


def _distinct(names: Iterable[str]) -> Iterator[str]:
    """Names that differ: those that MATLAB's letters leave the same have numbers."""
    seen: Counter[str] = Counter()
    for name in names:
        seen[name] += 1
        yield name if seen[name] == 1 else f"{name[:58]}_{seen[name]}"


def _matlab_name(name: str) -> str:
    words = re.findall(r"[A-Za-z0-9]+", name)
    joined = "".join(word[0].upper() + word[1:] for word in words)
    return (joined if joined[:1].isalpha() else f"X{joined}")[:63]
