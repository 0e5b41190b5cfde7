"""HDF5 files, read from their bytes: every address, size and count is checked against the file before it is used.

The HDF5 library trusts what it reads: a damaged file can make it hang, end the process, or take gigabytes, and one that
means to can have it open other files. It also takes 0.3 ms for each small dataset, and a cell has thousands. This
package reads the older layout, which MATLAB writes, and the newer one, which other programs may; what it does not know
it refuses. It opens no other file, and what it reads spends the budget of the file.

| module         | holds                                                          |
|----------------|----------------------------------------------------------------|
| `_bytes`       | the bytes of the file at any place                             |
| `_checksum`    | the sums of the newer layout                                   |
| `_item`        | `Item`: a dataset or a group                                   |
| `_types`       | what messages say of types and shapes                          |
| `_messages`    | what a header says of its object                               |
| `_header`      | the header of an object: its messages                          |
| `_links`       | the members of a group                                         |
| `_btree2`      | the indices of the newer layout                                |
| `_fractal`     | where it keeps very many links or attributes                   |
| `_heap`        | texts of variable length                                       |
| `_index`       | where the chunks of a dataset are                              |
| `_newer_index` | the same of the newer layout                                   |
| `_filters`     | what was done to the bytes of a chunk, undone                  |
| `_data`        | the numbers of a dataset, whole or in part                     |
| `_file`        | `File`, which puts these together                              |
| `_open`        | opens a file for each use of it                                |

Reference: The HDF Group, *HDF5 File Format Specification Version 3.0*.
"""

from __future__ import annotations

from ._file import File
from ._item import Item
from ._open import OpenedFile

__all__ = ["File", "Item", "OpenedFile"]
