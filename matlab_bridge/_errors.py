"""Every error that matlab_bridge raises on purpose, in one tree.

BridgeError
├── MatFileError (ValueError)
│   ├── NotAMatFileError        the bytes are not a MAT-file
│   ├── TruncatedFileError      the file ends, or breaks, before its contents do
│   ├── ExternalDataError       what it holds is in another file, which is never opened
│   ├── LostObjectError         MATLAB wrote a marker, but not the object behind it
│   └── UnwritableValueError (TypeError)   MATLAB has no type for this value
├── VariableNotFoundError (KeyError)
├── DiskFullError (OSError)             no room for a file
├── MissingPackageError (ImportError)   an optional package is not installed
├── NetworkError (ValueError)
│   ├── NetworkNotFoundError (LookupError)   no network, or more than one, in a file
│   ├── InvalidNetworkError     its layers or connections do not fit together
│   ├── UntrainedNetworkError   a layer has no weights yet
│   ├── UnsupportedLayerError   no conversion for a layer
│   ├── NetworkMismatchError    a Keras model is not the network of the file it is to be written to
│   └── OverwriteError          a file to write that is the one which the network came from
└── DatasetError (ValueError)
    ├── DatasetNotFoundError (LookupError)   nothing fits, or more than one thing does
    ├── LabelMismatchError      labels and the network's classes differ
    ├── MissingFilesError (FileNotFoundError)   images that a datastore points at are not there
    └── UnsafeArchiveError      a zip whose members would leave its folder, or are too large
"""

from __future__ import annotations

from ._text import visible


class BridgeError(Exception):
    """The root of every error that `matlab_bridge` raises on purpose."""

    def __str__(self) -> str:
        # KeyError shows the repr of its argument; a paragraph should be readable.
        return visible(str(self.args[0])) if self.args else ""


class MatFileError(BridgeError, ValueError):
    """A MAT-file cannot be read or written."""


class NotAMatFileError(MatFileError):
    """The bytes are not a MAT-file of any version."""


class TruncatedFileError(MatFileError):
    """The file ends, or its bytes break, before its contents do."""


class ExternalDataError(MatFileError):
    """What a MAT-file holds is in another file; no file is opened because another one names it."""


class LostObjectError(MatFileError):
    """MATLAB wrote the marker of an object, but not the object itself."""


class UnwritableValueError(MatFileError, TypeError):
    """MATLAB has no type for this Python value."""


class VariableNotFoundError(BridgeError, KeyError):
    """The file has no variable, or no nested field, of that name."""


class DiskFullError(BridgeError, OSError):
    """The disk has no room for a file."""


class MissingPackageError(BridgeError, ImportError):
    """A package that only some functions need is not installed."""


class NetworkError(BridgeError, ValueError):
    """A network cannot be read, converted or written."""


class NetworkNotFoundError(NetworkError, LookupError):
    """A file holds no network, or several and none was named."""


class InvalidNetworkError(NetworkError):
    """The layers or the connections of a network do not fit together."""


class UntrainedNetworkError(NetworkError):
    """A layer has no weights: the network was saved before it was trained or initialized."""


class UnsupportedLayerError(NetworkError):
    """A layer has no conversion to Keras, or back."""


class NetworkMismatchError(NetworkError):
    """A Keras model is not the network of the file that it is to be written to."""


class OverwriteError(NetworkError):
    """A file to write that is the one which the network came from."""


class DatasetError(BridgeError, ValueError):
    """A dataset cannot be read."""


class DatasetNotFoundError(DatasetError, LookupError):
    """No variable fits what was asked for, or several do and none was named."""


class LabelMismatchError(DatasetError):
    """The labels of a dataset and the classes of a network differ."""


class MissingFilesError(DatasetError, FileNotFoundError):
    """Image files that a datastore points at are not there."""


class UnsafeArchiveError(DatasetError):
    """A zip file whose members would leave its folder, or would grow too large."""
