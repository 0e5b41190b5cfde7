"""What is used of mat-io to write, imported without what its import changes elsewhere."""

from __future__ import annotations

import warnings

import pandas as pd

_OPTION = "future.infer_string"

with warnings.catch_warnings(action="ignore"), pd.option_context(_OPTION, pd.get_option(_OPTION)):
    # At its import mat-io sets this option of pandas for the whole program, and a newer pandas warns of that.
    from matio.subsystem import MatSubsystem
    from matio.utils.converters.mattables import make_table_props, make_timetable_props
    from matio.utils.matclass import (
        EmptyMatStruct,
        MatlabObject,
        MatlabOpaque,
        MatWriteError,
    )
    from matio.v5 import matwriter5
    from matio.v7 import matwriter7

__all__ = [
    "EmptyMatStruct",
    "MatSubsystem",
    "MatWriteError",
    "MatlabObject",
    "MatlabOpaque",
    "make_table_props",
    "make_timetable_props",
    "matwriter5",
    "matwriter7",
]
