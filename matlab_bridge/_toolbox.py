"""Where the functions for MATLAB's side are."""

from __future__ import annotations

from pathlib import Path


def toolbox_path() -> Path:
    """The folder of the MATLAB functions that come with this package.

    `networkToStruct`, `networkFromStruct`, `applyPrunedWeights` and `plotSweep`, for MATLAB and GNU Octave.

    Returns:
        The folder; in MATLAB, `addpath` takes it.

    Examples:
        >>> sorted(file.stem for file in toolbox_path().glob("*.m"))
        ['applyPrunedWeights', 'networkFromStruct', 'networkToStruct', 'plotSweep']
    """
    return Path(__file__).parent / "toolbox"
