"""GNU Octave as a second reader and writer of our files, and as a stand-in for MATLAB."""

from __future__ import annotations

import subprocess
from pathlib import Path

from matlab_bridge import toolbox_path


def run(script: str, folder: Path) -> str:
    """Run Octave code in a folder, with the toolbox on its path; returns what it printed.

    A failure of the code fails the test with Octave's own message.
    """
    code = f"addpath('{toolbox_path().as_posix()}'); warning('off', 'all');\n{script}"
    done = subprocess.run(
        ["octave", "--no-gui", "--norc", "--quiet", "--eval", code],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
