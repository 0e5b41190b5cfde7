"""Where the functions for MATLAB's side are."""

from __future__ import annotations

from pathlib import Path


def toolbox_path() -> Path:
    """The folder of the MATLAB functions that come with this package.

    `plotSweep`, `plotBlocks`, `applyPrunedWeights`, `networkFromStruct` and `networkToStruct`, for MATLAB and GNU
    Octave; `Contents.m` lists them for `help`. They need no Python: `prunelab toolbox DIR` copies the folder, to take
    to another machine.

    Returns:
        The folder; in MATLAB, `addpath` takes it.

    Examples:
        >>> sorted(file.stem for file in toolbox_path().glob("[a-z]*.m"))
        ['applyPrunedWeights', 'networkFromStruct', 'networkToStruct', 'plotBlocks', 'plotSweep']
    """
    return Path(__file__).parent / "toolbox"
