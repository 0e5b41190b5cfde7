"""What an int8 file takes on an Ethos-U, as Arm's compiler Vela estimates it."""

from __future__ import annotations

import csv
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_prunelab._errors import InvalidModelError, MissingBackendError, UnknownNameError
from keras_prunelab._export._litert import export_litert
from keras_prunelab._export._litert_checks import require_fixed_lengths
from keras_prunelab._model._random_inputs import random_inputs
from keras_prunelab._model._rebuild import is_graph
from keras_prunelab._model._shapes import packed
from keras_prunelab._util._atomic import temporary_folder

VELA_TARGETS = (
    *(f"ethos-u55-{units}" for units in (32, 64, 128, 256)),
    *(f"ethos-u65-{units}" for units in (256, 512)),
    *(f"ethos-u85-{units}" for units in (128, 256, 512, 1024, 2048)),
)
"""NPUs, each with the number of multiply-adds that it does at a time."""
_SECONDS = 900.0
_KIB = 1024
_CALIBRATION = 16


@dataclass(frozen=True)
class TargetCost:
    """What a model takes on an NPU: the estimate of the compiler Vela, with its default system and memory; no hardware.

    Attributes:
        target: the NPU, such as `"ethos-u55-128"`.
        flash_bytes: of packed weights and commands, in the memory that holds them: flash, or DRAM where `system` says
            so.
        sram_bytes: the most that values take which are needed at a time.
        cycles: of the NPU, for one observation.
        seconds: for one observation, at the clock of `system`.
        npu_operators: how many operators of Vela's graph run on the NPU.
        cpu_operators: how many are left to the processor, which the other figures leave out.
        system: the system that the compiler supposes.
        memory: how it uses memory.
        compiler: its name and version.
    """

    target: str
    flash_bytes: int
    sram_bytes: int
    cycles: int
    seconds: float
    npu_operators: int
    cpu_operators: int
    system: str
    memory: str
    compiler: str

    def __str__(self) -> str:
        left = f"; {self.cpu_operators} operators are left to the processor" if self.cpu_operators else ""
        return (
            f"{self.target}: {self.flash_bytes:,} bytes of flash, {self.sram_bytes:,} of SRAM, {self.cycles:,} cycles, "
            f"{1000 * self.seconds:.3g} ms{left} (estimated by {self.compiler}, {self.system}, {self.memory})"
        )


def target_cost(model: keras.Model, target: str, calibration: Any = None, clusters: int | None = None) -> TargetCost:
    """Convert a model to int8 and compile it for an NPU.

    Args:
        model: a built model.
        target: one of `VELA_TARGETS`.
        calibration: what ranges are measured on; None for random numbers: sizes and cycles hardly depend on ranges.
        clusters: how many different weights each kernel has beside 0; None where they are as they come.

    Raises:
        UnknownNameError: there is no such target or number of clusters.
        MissingBackendError: `ethos-u-vela` is not installed, or Keras runs on JAX.
        InvalidModelError: the model has no int8 form, an input of free length, or nothing of it runs on the NPU.
    """
    check_target(target)
    if is_graph(model):  # what is none, export_litert refuses
        require_fixed_lengths(model, target)
    with temporary_folder() as folder:
        path = folder / "model.tflite"
        if calibration is None:
            calibration = _random(model)
        written = export_litert(model, path, "int8", calibration=calibration, clusters=clusters)
        if written.quantize != "int8":
            raise InvalidModelError(
                f"Model {model.name!r} cannot run on {target}, which takes int8 alone. {written.reason} Layers with "
                "unroll=True have no loop."
            )
        found = compile_for(path, target)
    if not found.npu_operators:
        raise InvalidModelError(
            f"No operator of model {model.name!r} runs on {target}; all {found.cpu_operators} are left to the "
            "processor."
        )
    return found


def check_target(target: Any) -> None:
    """Refuse what nothing can be compiled for, before any work.

    Raises:
        UnknownNameError: there is no such target.
        MissingBackendError: the compiler is not installed.
    """
    if target not in VELA_TARGETS:
        raise UnknownNameError(f"target={target!r}; it is one of {', '.join(map(repr, VELA_TARGETS))}.")
    if not importlib.util.find_spec("ethosu"):
        raise MissingBackendError(
            "Costs on Ethos-U are estimated by its compiler, ethos-u-vela, which is not installed: run\n"
            '    pip install "keras-prunelab[device]"'
        )


def compile_for(path: Path, target: str) -> TargetCost:
    """Compile a LiteRT file and read the summary.

    Raises:
        InvalidModelError: the compiler cannot.
    """
    command = [sys.executable, "-P", "-m", "ethosu.vela", "--accelerator-config", target]
    try:
        done = subprocess.run(  # noqa: S603  # this Python, and a module that is installed
            [*command, "--output-dir", str(path.parent), str(path)],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_SECONDS,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
    except subprocess.TimeoutExpired as error:
        raise InvalidModelError(f"Vela was not done with {path.name} after {_SECONDS:.0f} seconds.") from error
    summaries = sorted(path.parent.glob(f"{path.stem}_summary_*.csv"))
    if done.returncode or not summaries:
        said = " ".join((done.stderr or done.stdout).split())[-300:]
        raise InvalidModelError(f"Vela cannot compile the model for {target}: {said}")
    with summaries[0].open(encoding="utf-8", newline="") as file:
        row = next(csv.DictReader(file))
    return _cost(row, target, done.stdout)


def _cost(row: Mapping[str, str], target: str, said: str) -> TargetCost:
    from importlib.metadata import version

    storage = row["weights_storage_area"].lower().replace("-", "_").replace(" ", "_")
    column = f"{storage}_memory_used"
    flash = float(row.get(column) or 0) if column in row else float(row["off_chip_flash_memory_used"])
    operators = {"CPU": 0, "NPU": 0} | {
        kind: int(count) for kind, count in re.findall(r"(CPU|NPU) operators = (\d+)", said)
    }
    return TargetCost(
        target,
        round(_KIB * flash),
        round(_KIB * float(row["sram_memory_used"])),
        int(float(row["cycles_total"])),
        float(row["inference_time"]),
        operators["NPU"],
        operators["CPU"],
        row["system_config"],
        row["memory_mode"],
        f"Vela {version('ethos-u-vela')}",
    )


def _random(model: keras.Model) -> Any:
    """Random inputs of the model, more than one batch of them."""
    flat = [np.asarray(each) for each in keras.tree.flatten(random_inputs(model))]
    many = [np.concatenate([each] * -(-_CALIBRATION // len(each)))[:_CALIBRATION] for each in flat]
    rng = np.random.default_rng(0)
    many = [rng.permuted(each, axis=0) if each.dtype.kind == "f" else each for each in many]
    inputs = packed(model, many)
    return inputs if not isinstance(inputs, (list, tuple)) else (inputs,)
