"""Walk through one file of HDF5, in a process of its own: `python _hdf5_child.py FILE` prints what is wrong with it.

The library trusts the files that it reads: a damaged one can end the process, or never end. It also opens other files
where a file tells it to. `_hdf5.check_hdf5` runs this module by its path, so it imports nothing of the package.
"""

from __future__ import annotations

import json
import sys
from typing import Any

# Numbers that were never written take no place in a file, and may take this much memory in all.
_MOST_UNWRITTEN = 2**26
_MOST_INFLATION = 1032


class _RefusedError(Exception):
    """The file is not one to be opened."""


def _walk(path: str) -> None:
    """Look at every link, attribute and dataset, each object once.

    Raises:
        _RefusedError: something leads to another file, or states numbers that are not there.
    """
    import h5py

    with h5py.File(path, "r") as file:
        unwritten = 0
        found: list[Any] = [file]
        met = set()
        for item in found:
            for value in item.attrs.values():
                del value  # that it can be read is what matters
            if isinstance(item, h5py.Dataset):
                unwritten += _check_dataset(item)
                if unwritten > _MOST_UNWRITTEN:
                    raise _RefusedError(f"{item.name!r} states {item.nbytes} bytes of numbers, and they are not there")
                _read(item)
                continue
            for name in item if isinstance(item, h5py.Group) else ():
                link = item.get(name, getlink=True)
                if isinstance(link, h5py.ExternalLink):
                    raise _RefusedError(f"{name!r} is a link to another file, {link.filename!r}, which is never opened")
                # A soft link is a path through the links of this file, each of which is looked at.
                if isinstance(link, h5py.HardLink) and (address := h5py.h5o.get_info(item[name].id).addr) not in met:
                    met.add(address)
                    found.append(item[name])


def _check_dataset(item: Any) -> int:
    """How many bytes of a dataset were never written, at least."""
    if item.is_virtual:
        raise _RefusedError(f"{item.name!r} is made of data in other files, which are never opened")
    if item.id.get_create_plist().get_external_count():
        raise _RefusedError(f"the data of {item.name!r} is in another file, which is never opened")
    stored = item.id.get_storage_size()
    return max(0, item.nbytes - (_MOST_INFLATION if item.chunks else 1) * stored) if item.shape is not None else 0


def _read(item: Any) -> None:
    """Read what is more than plain bytes: chunks, which have an index and filters, and texts in heaps."""
    if item.shape is not None and item.chunks:
        for part in item.iter_chunks():
            item[part]
    elif item.dtype.hasobject:
        item[()]


def main(path: str) -> None:
    """Print what is wrong with a file, as a string of JSON; null where nothing is."""
    problem = None
    try:
        _walk(path)
    except _RefusedError as refusal:
        problem = str(refusal)
    except MemoryError:
        problem = "reading it takes too much memory"
    except Exception as error:  # noqa: BLE001  # the library raises whatever the damage leads to
        is_cut = "truncated" in str(error)
        problem = f"it is damaged: {'its end is missing. Was it copied whole?' if is_cut else error}"
    sys.stdout.write(json.dumps(problem))


if __name__ == "__main__":
    main(sys.argv[1])
