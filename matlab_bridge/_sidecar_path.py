"""The path of a model's side-car, in a module without Keras: commands check first what they would replace."""

from __future__ import annotations

import os
from pathlib import Path


def sidecar_path(model_path: str | os.PathLike[str]) -> Path:
    """The file of the facts of a saved model: `net.matlab.json` beside `net.keras`."""
    return Path(model_path).with_suffix(".matlab.json")
