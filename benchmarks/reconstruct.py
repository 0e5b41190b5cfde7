"""Layer-wise reconstruction against the paper's algorithm, and a layer that is too large for it, in one run.

    python benchmarks/reconstruct.py                        # everything
    python benchmarks/reconstruct.py traces --peer-rows 32  # the peer on 32 outputs, and its time scaled
    python benchmarks/reconstruct.py large
    python benchmarks/reconstruct.py curve

Traces: layers of 1,568 x 10 and 1,152 x 128 on rectified, correlated inputs. The peer is ExactOBS as its paper writes
it down (Frantar and Alistarh 2022, arXiv 2208.11580, algorithm 1 for a row, 32 rows side by side), in torch and single
precision: each removal updates all of the inverse. Both choose masks at the same levels from the ranking of all
outputs' losses; the errors are those of the least squares that follow, ||X W' - X W||^2 / ||X W||^2.

Large: 9,216 x 4,096 at 50 and 90 % by magnitude, H given. What fits the budget is solved exactly, else by SparseGPT's
pass and conjugate gradients; beside them stand the pass alone and the exact error, of some outputs where all would take
too long. Each layer runs in a process of its own, so that the peak of memory is its own.

Curve: the lab's network (examples/mnist_lab.py) at 91 levels, 0 to 90 %: the curve of magnitude, one trace of obs with
the statistics of its inputs, and the curve of obs with its weights solved anew, which holds both again.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

import numpy as np

DAMPING = 0.001
TRACED = ((1568, 10), (1152, 128))
LEVELS = (0.5, 0.8, 0.9, 0.95)
LARGE = (9216, 4096)
LARGE_LEVELS = (0.5, 0.9)
PEER_ROWS = 32
SAMPLED = 8  # outputs whose exact solution is shown beside a pass


def problem(inputs: int, outputs: int, samples: int) -> tuple[Any, Any]:
    """H of rectified, correlated inputs, and weights."""
    random = np.random.default_rng(0)
    hidden = random.standard_normal((samples, inputs // 4), np.float32)
    rows = hidden @ random.standard_normal((inputs // 4, inputs), np.float32)
    rows *= np.float32(2 / np.sqrt(inputs))
    rows += 0.5 * random.standard_normal(rows.shape, np.float32)
    np.maximum(rows, 0, out=rows)
    gram = np.zeros((inputs, inputs))
    for start in range(0, samples, 2048):
        gram += rows[start : start + 2048].T @ rows[start : start + 2048]
    return gram / samples, random.standard_normal((inputs, outputs)) / np.sqrt(inputs)


def paper_trace(gram: Any, weights: Any, most: int) -> tuple[Any, Any, float]:
    """ExactOBS as the paper has it: order and losses, inputs x outputs, of the first `most` outputs; the seconds."""
    import torch

    inverse = torch.linalg.inv(torch.tensor(gram) + DAMPING * np.diagonal(gram).mean() * torch.eye(len(gram)))
    inverse = inverse.float()
    rows = torch.tensor(weights[:, :most].T).float()
    order = torch.empty(rows.shape, dtype=torch.long)
    losses = torch.empty(rows.shape)
    start = time.perf_counter()
    for first in range(0, len(rows), PEER_ROWS):
        w = rows[first : first + PEER_ROWS].clone()
        each = torch.arange(len(w))
        h = inverse.repeat(len(w), 1, 1)
        gone = torch.zeros(w.shape, dtype=torch.bool)
        for step in range(w.shape[1]):
            diagonal = torch.diagonal(h, dim1=1, dim2=2)
            scores = w.square() / diagonal
            scores[gone] = torch.inf
            p = scores.argmin(1)
            order[first + each, step] = p
            losses[first + each, step] = scores[each, p]
            column = h[each, p]
            pivot = diagonal[each, p].unsqueeze(1)
            w -= column * (w[each, p].unsqueeze(1) / pivot)
            gone[each, p] = True
            w[gone] = 0
            column = column / pivot.sqrt()
            h.baddbmm_(column.unsqueeze(2), column.unsqueeze(1), alpha=-1)
            h[each, p, p] = 1
    return order.numpy().T, losses.numpy().T, time.perf_counter() - start


def errors(gram: Any, weights: Any, costs: Any) -> list[float]:
    """The relative squared output error at each level, with the weights solved anew."""
    from keras_prunelab._reconstruct._gram import squared_error
    from keras_prunelab._reconstruct._share import masks_at
    from keras_prunelab._reconstruct._solve import solve

    whole = squared_error(gram, weights).sum()
    found = []
    for level in LEVELS:
        (mask,) = masks_at([costs], level)
        new = solve(gram, weights, mask, damping=DAMPING)
        found.append(float(squared_error(gram, new - weights).sum() / whole))
    return found


def traced(inputs: int, outputs: int, most: int) -> None:
    """Print the rows of a table for one traced layer."""
    from keras_prunelab._reconstruct._trace import Trace, trace

    gram, weights = problem(inputs, outputs, 4000)
    trace(gram[:64, :64], weights[:64], damping=DAMPING)  # imports and threads begin here
    start = time.perf_counter()
    ours = trace(gram, weights, damping=DAMPING)
    seconds = time.perf_counter() - start
    most = min(most or outputs, outputs)
    order, losses, peers = paper_trace(gram, weights, most)
    note = f" ({most} outputs, scaled)" if most < outputs else ""
    peers *= outputs / most
    theirs = Trace(order.astype(np.int32), losses.astype(float), ours.units, 1, most)
    mine = Trace(ours.order[:, :most], ours.losses[:, :most], ours.units, 1, most)
    size = f"{inputs:,} x {outputs:,}"
    for name, taken, each in (("the paper's algorithm" + note, peers, theirs), ("this library", seconds, mine)):
        found = " | ".join(f"{error:.4f}" for error in errors(gram, weights[:, :most], each.scores()))
        print(f"| {size} | {name} | {taken:.1f} | {peers / taken:.1f} | {found} |", flush=True)


def large(level: float) -> None:
    """Print the rows of a table for the large layer at one level."""
    from keras_prunelab._reconstruct._gram import squared_error
    from keras_prunelab._reconstruct._method import solve_map
    from keras_prunelab._reconstruct._solve import solve

    gram, weights = problem(*LARGE, 3 * LARGE[0] // 2)
    whole = squared_error(gram, weights)
    mask = np.abs(weights) > np.quantile(np.abs(weights), level)
    made = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20

    def row(name: str, run: Callable[[], Any], outputs: slice = slice(None)) -> Any:
        start, used = time.perf_counter(), time.process_time()
        new = run()
        taken, used = time.perf_counter() - start, time.process_time() - used
        error = squared_error(gram, new - weights[:, outputs]) / whole[outputs]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        sampled = float(error[:SAMPLED].mean())
        total = f"{error.mean():.4f}" if outputs == slice(None) else ""
        print(f"| {level:.0%} | {name} | {taken:.0f} | {used:.0f} | {peak:.1f} | {total} | {sampled:.4f} |", flush=True)

    row("magnitude alone", lambda: weights * mask)
    solution: list[Any] = []

    def chosen() -> Any:
        solution.append(solve_map(gram, weights, mask))
        return solution[0].weights

    row("the choice", chosen)
    row("the pass alone", lambda: solve_map(gram, weights, mask, budget=0, steps=0).weights)
    if solution[0].method == "exact":
        row("(it was exact; refined)", lambda: solve_map(gram, weights, mask, budget=0).weights)
    else:
        few = slice(0, SAMPLED)
        row(f"(it was refined; exact, {SAMPLED} outputs)", lambda: solve(gram, weights[:, few], mask[:, few]), few)
    print(f"<!-- {solution[0].multiply_adds:.1e} multiply-adds exactly; {made:.1f} GB before -->", flush=True)


def curve() -> None:
    """Print the rows of the table for the curve of obs."""
    import keras
    from mnist_lab import classifier, digits

    import keras_prunelab as kpl

    images, labels, *measured = digits()
    keras.utils.set_random_seed(0)
    model = classifier()
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(images, labels, batch_size=64, epochs=1, verbose=0)
    levels = np.linspace(0, 0.9, 91).round(12)
    calibration = images[:1000]
    for name in ("magnitude", "obs"):  # what is compiled and imported at first use
        kpl.sweep(model, measured, [0.5], name, calibration=calibration[:64], reconstruct=name == "obs")

    def row(name: str, run: Callable[[], Any]) -> float:
        start, used = time.perf_counter(), time.process_time()
        run()
        taken, used = time.perf_counter() - start, time.process_time() - used
        print(f"| {name} | {taken:.1f} | {used:.1f} |", flush=True)
        return used

    plain = row("magnitude, 91 levels", lambda: kpl.sweep(model, measured, levels))
    trace = row("one trace of obs", lambda: kpl.trajectory(model, [0.5], "obs", calibration=calibration))
    whole = row(
        "obs, 91 levels solved",
        lambda: kpl.sweep(model, measured, levels, "obs", calibration=calibration, reconstruct=True),
    )
    print(f"| as a multiple of magnitude, less the trace | | {(whole - trace) / plain:.2f} |", flush=True)


def main() -> None:
    """Run what is asked for, each layer in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", choices=("all", "traces", "large", "curve"), default="all")
    parser.add_argument("--peer-rows", type=int, default=0, help="trace so many outputs with the peer; 0 for all")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        function, arguments = json.loads(given.one)
        {"traced": traced, "large": large, "curve": curve}[function](*arguments)
        return

    def alone(function: str, *arguments: float) -> None:
        command = [sys.executable, __file__, "--one", json.dumps([function, arguments])]
        subprocess.run(command, check=True)  # noqa: S603 - this script again

    if given.part in ("all", "traces"):
        levels = " | ".join(f"error at {level:.0%}" for level in LEVELS)
        print(f"| layer | trace | seconds | times as fast | {levels} |\n|{'---|' * (4 + len(LEVELS))}", flush=True)
        for inputs, outputs in TRACED:
            alone("traced", inputs, outputs, given.peer_rows)
    if given.part in ("all", "large"):
        print(
            f"\n| {LARGE[0]:,} x {LARGE[1]:,} | weights | seconds | CPU seconds | peak GB | error | "
            f"of {SAMPLED} outputs |"
        )
        print(f"|{'---|' * 7}", flush=True)
        for level in LARGE_LEVELS:
            alone("large", level)
    if given.part in ("all", "curve"):
        print("\n| lab network | seconds | CPU seconds |\n|---|---|---|", flush=True)
        alone("curve")


if __name__ == "__main__":
    main()
