"""Other libraries, each in an environment of its own: the same network, data, epochs, batch and learning rate."""

from __future__ import annotations

import json
import os
import subprocess
import venv
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from .methods import END_OF_PRUNING, gradual
from .networks import BATCH
from .rows import Outcome
from .trial import Clock, Trial

SCRIPTS = Path(__file__).resolve().parent / "peer_scripts"
PEERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "TFMOT": ("tfmot", ("tensorflow==2.19.1", "tf-keras==2.19.0", "tensorflow-model-optimization==0.8.1")),
    "torch.nn.utils.prune": ("torch_prune", ("torch==2.13.0", "numpy")),
    "PQuantML, PDP": ("pquant_pdp", ("tensorflow==2.21.0", "pquant-ml==0.1.0")),  # on JAX it fails in its quantizers
}
"""The script and the packages of each library."""
OURS = "keras-prunelab"


def environment(script: str, packages: Sequence[str]) -> Path:
    """Make the environment of a library where it is missing; gives its Python."""
    home = SCRIPTS.parents[1] / f".venv-{script.replace('_', '-')}"
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not (home / "installed").is_file():
        venv.create(home, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)  # noqa: S603  # names from above
        (home / "installed").touch()
    return python


def peers(trial: Trial, method: str, levels: Sequence[float]) -> Iterator[Outcome]:
    """Gradual magnitude pruning of LeNet-300-100 by another library; level 1 is its own training without pruning."""
    if method == OURS:
        yield from _ours(trial, levels)
        return
    script, packages = PEERS[method]
    python = environment(script, packages)
    data = trial.work / "peers.npz"
    if not data.is_file():
        temporary = data.with_name("part-peers.npz")
        named = {"x": trial.data.train.inputs, "y": trial.data.train.labels}
        np.savez(temporary, **named, x_test=trial.data.test.inputs, y_test=trial.data.test.labels)
        temporary.replace(data)
    for level in levels:
        asked = {
            "data": os.fspath(data),
            "sparsity": trial.sparsity(level) if level > 1 else 0.0,
            "epochs": trial.epochs,
            "batch": BATCH,
            "rate": trial.network.rate,
            "end": END_OF_PRUNING,
            "seed": trial.seed,
        }
        done = subprocess.run(  # noqa: S603  # a script of this folder
            [python, SCRIPTS / f"{script}.py", json.dumps(asked)],
            check=True,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            env=os.environ | {"KERAS_BACKEND": "tensorflow"},  # of those that run on Keras 3
        )
        found = json.loads(done.stdout.splitlines()[-1])
        yield Outcome(
            parameters=trial.parameters,
            kept=trial.parameters - found["zeros"],
            weights=trial.weights,
            zeros=found["zeros"],
            macs_dense=trial.macs_dense,
            macs=trial.macs_dense - found["zeros"],  # each weight is used once
            error_dense=trial.error_dense,
            error=found["error"],
            epochs=trial.epochs,
            seconds=found["seconds"],
            backend=found["backend"],
        )


def _ours(trial: Trial, levels: Sequence[float]) -> Iterator[Outcome]:
    """The same by this library."""
    for level in levels:
        model = trial.new()
        callbacks = gradual("magnitude")(trial, trial.sparsity(level)) if level > 1 else []
        with Clock() as clock:
            trial.fit(model, callbacks)
        yield trial.measure(model, trial.epochs, clock.seconds)
