"""HDF5 files, read from their bytes: every address, size and count is checked against the file before it is used.

The HDF5 library trusts what it reads: a damaged file can make it hang, end the process, or take gigabytes. It also
takes 0.3 ms for each small dataset, and a cell has thousands. MATLAB lays its files out as HDF5 1.6 did, and so do h5py
and mat-io when they are not told otherwise: this package understands that layout. Files of the newer layouts, whose
structures carry checksums, are left to the library.

| module     | holds                                                          |
|------------|----------------------------------------------------------------|
| `_bytes`   | the bytes of the file at any place                             |
| `_item`    | `Item`, a dataset or a group, and `HDF5`, a file of them       |
| `_types`   | the messages on types and shapes                               |
| `_header`  | the header of an object: its messages                          |
| `_links`   | the members of a group                                         |
| `_heap`    | texts of variable length                                       |
| `_index`   | where the chunks of a dataset are                              |
| `_filters` | what was done to the bytes of a chunk, undone                  |
| `_data`    | the numbers of a dataset, whole or in part                     |
| `_file`    | `File`, which puts these together                              |
| `_library` | the same of a file of a newer layout, through h5py             |
| `_open`    | which of the two                                               |

Reference: The HDF Group, *HDF5 File Format Specification Version 3.0*.
"""

from __future__ import annotations

from ._item import HDF5, Item
from ._open import OpenedFile

__all__ = ["HDF5", "Item", "OpenedFile"]
