"""The numbers that the Level 5 format gives to kinds of elements and classes of arrays.

Reference: MathWorks, *MAT-File Format* (matfile_format.pdf), "Level 5 MAT-File Format". Opaque objects are not in it.
"""

from __future__ import annotations

# Kinds of elements.
UINT16, MATRIX, COMPRESSED, UTF8, UTF16, UTF32 = 4, 14, 15, 16, 17, 18
NUMBERS = {1: "i1", 2: "u1", 3: "i2", UINT16: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""The kinds of elements that hold numbers, and NumPy's codes for these."""
TEXTS = {UTF8: "u1", UTF16: "u2", UTF32: "u4"}
"""The kinds of elements that hold the units of characters; those of whole numbers may hold them as well."""
TAG_BYTES = 8

# Classes of arrays.
CELL, STRUCT, OBJECT, CHAR, SPARSE, FUNCTION, OPAQUE = 1, 2, 3, 4, 5, 16, 17
NUMERIC = dict(
    enumerate(("double", "single", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"), start=6)
)
"""The classes of numeric arrays, and MATLAB's names for these."""
