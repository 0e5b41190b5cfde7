"""Put numbers into datasets of one file of HDF5, in a process of its own: `python _hdf5_child.py FILE NUMBERS`.

The HDF5 library writes them, and a damaged file may end its process or keep it busy for ever. `_level73` runs this
module by its path, so it imports nothing of the package.
"""

from __future__ import annotations

import json
import sys

import h5py
import numpy as np

NOTE = "prunelab_note"  # as in `_note`, which this process does not import


def main(path: str, numbers: str) -> None:
    """Print what went wrong, as a string of JSON; null where nothing did.

    Args:
        path: the file, which is changed.
        numbers: an archive of NumPy's: the names of the datasets as `names`, and for each by its place what it gets;
            and perhaps a line of text for a variable of its own, as UTF-16 units.
    """
    problem = None
    try:
        with np.load(numbers, allow_pickle=False) as values, h5py.File(path, "r+") as file:
            for i, name in enumerate(values["names"].tolist()):
                dataset = file[name]
                dataset[...] = values[str(i)].reshape(dataset.shape)
            if NOTE in values:
                if NOTE in file:
                    del file[NOTE]
                text = file.create_dataset(NOTE, data=values[NOTE][:, np.newaxis])
                text.attrs["MATLAB_class"] = np.bytes_("char")
                text.attrs["MATLAB_int_decode"] = np.int32(2)
    except Exception as error:  # noqa: BLE001  # the library raises whatever the damage leads to
        problem = str(error) or type(error).__name__
    sys.stdout.write(json.dumps(problem))


if __name__ == "__main__":
    main(*sys.argv[1:])
