"""How fast MAT-files are read, beside every other reader: one run, one table.

    python benchmarks/matfile.py [--json out.json] [--runs 5]

The peers are installed into a virtual environment that the script makes in the user's cache folder: some of them pin
older packages than this project needs, and none is needed for anything but this comparison. Two files of the same
content, a cell of 5,000 sequences, an image array and a float array, are read in turn by processes that stay up;
a run is timed within its process, after a warm-up. Values are compared with those that were written. Memory is the
growth of the process's greatest resident set (`ru_maxrss`) over one reading in a fresh process. Where other programs
use the machine, look at the least of the seconds: threads gain nothing from processors that are busy.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import venv
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

PEERS = {
    "v7.3": ("ours", "mat73", "pymatreader", "hdf5storage", "mat-io"),
    "v7": ("ours", "scipy", "pymatreader", "mat-io"),
}
GOALS = {"v7.3": 3.0, "v7": 1.2}
MEMORY_GOAL = 1.3
PACKAGES = ("numpy>=2", "scipy", "h5py", "pandas", "isal", "mat73", "pymatreader", "hdf5storage", "mat-io")
TOP = Path(__file__).resolve().parents[1]

READER = r"""
import importlib, json, os, resource, sys, time
name, path, mode = sys.argv[1:4]
import numpy as np
if name == "ours":
    sys.path.insert(0, os.environ["BENCHMARK_TOP"])
    import h5py
    from matlab_bridge.matfile import load
    read = lambda: dict(load(path).items())
elif name == "scipy":
    from scipy.io import loadmat as read_
    read = lambda: read_(path)
elif name == "mat73":
    import mat73
    read = lambda: mat73.loadmat(path)
elif name == "pymatreader":
    import pymatreader
    read = lambda: pymatreader.read_mat(path)
elif name == "hdf5storage":
    import hdf5storage
    read = lambda: hdf5storage.loadmat(path)
else:
    from matio import load_from_mat
    read = lambda: load_from_mat(path)
def equal(found, wanted):
    found = np.asarray(found)
    return np.array_equal(np.squeeze(found), np.squeeze(wanted))
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
if mode == "memory":
    before = peak(); kept = read(); print(json.dumps(peak() - before)); sys.exit()
wanted = np.load(os.environ["BENCHMARK_TRUTH"])
values = read()
ends = np.cumsum(wanted["lengths"])
cell = values["X"]
cell = list(cell.ravel()) if isinstance(cell, np.ndarray) else list(cell)
same = len(cell) == len(ends) and all(
    equal(one, wanted["sequences"][:, end - length:end]) for one, end, length in zip(cell, ends, wanted["lengths"]))
same = same and equal(values["images"], wanted["images"]) and equal(values["features"], wanted["features"])
print(json.dumps(bool(same)), flush=True)
del values, cell, wanted
for line in sys.stdin:
    start = time.perf_counter(); kept = read(); print(time.perf_counter() - start, flush=True); del kept
"""

SMALL_ELEMENTS = r"""
import json, os, sys, time
import numpy as np, scipy.io, pymatreader, matio
sys.path.insert(0, os.environ["BENCHMARK_TOP"])
from matlab_bridge.matfile import load
path, count = sys.argv[1], 60_000
chance = np.random.default_rng(0)
def cell(values):
    array = np.empty((1, len(values)), object)
    for i, value in enumerate(values): array[0, i] = value
    return array
struct = np.zeros((1, count // 4), dtype=[(name, object) for name in "abcd"])
for i in range(count // 4): struct[0, i] = (float(i), chance.random(), "x", chance.random(3))
cases = {
    "scalars": cell([np.array([[value]]) for value in chance.random(count)]),
    "short elements": cell([np.array([[value]], np.uint8) for value in chance.integers(0, 99, count)]),
    "texts": cell([f"data/class{i % 10}/image_{i}.png" for i in range(count)]),
    "1x20 rows": cell(list(chance.random((count, 1, 20)))),
    "struct, 4 fields": struct,
}
readers = {
    "ours": lambda: load(path)["v"],
    "scipy": lambda: scipy.io.loadmat(path)["v"],
    "pymatreader": lambda: pymatreader.read_mat(path)["v"],
    "mat-io": lambda: matio.load_from_mat(path)["v"],
}
found = {}
for case, value in cases.items():
    scipy.io.savemat(path, {"v": value}, do_compression=True)
    found[case] = {}
    for _ in range(int(sys.argv[2])):  # in turns, so that what else the machine does befalls all
        for name, read in readers.items():
            start = time.perf_counter(); kept = read(); seconds = time.perf_counter() - start; del kept
            found[case][name] = min(seconds, found[case].get(name, seconds))
print(json.dumps(found))
"""


def make_files(folder: Path) -> int:
    """The two files and their content; its size in bytes."""
    sys.path.insert(0, str(TOP))
    from matlab_bridge.matfile import save

    chance = np.random.default_rng(0)
    lengths = chance.integers(20, 60, 5000)
    sequences = chance.standard_normal((3, int(lengths.sum())))
    images = chance.integers(0, 256, (28, 28, 1, 25000)).astype(np.uint8)
    features = chance.standard_normal((2500, 1000))
    cell = np.empty((5000, 1), object)
    cell[:, 0] = np.array([None, *np.split(sequences, np.cumsum(lengths)[:-1], axis=1)], dtype=object)[1:]
    content = {"X": cell, "images": images, "features": features}
    save(folder / "v7.3.mat", content, version="v7.3")
    save(folder / "v7.mat", content)
    np.savez(folder / "truth.npz", lengths=lengths, sequences=sequences, images=images, features=features)
    return sequences.nbytes + images.nbytes + features.nbytes


def interpreter() -> str:
    """The Python of the environment that has the peers; made at the first run."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(cache) / "keras-prunelab" / "matfile-benchmark"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not (folder / "whole").exists():
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *PACKAGES], check=True)  # noqa: S603
        (folder / "whole").touch()
    return str(python)


def measure(version: str, folder: Path, runs: int, nbytes: int) -> dict[str, Any]:
    """Medians, equality and memory of every reader for one version."""
    python, path = interpreter(), str(folder / f"{version}.mat")
    environment = os.environ | {"BENCHMARK_TOP": str(TOP), "BENCHMARK_TRUTH": str(folder / "truth.npz")}
    started, same, times, memory = {}, {}, {}, {}
    for name in PEERS[version]:
        command = [python, "-c", READER, name, path]
        done = subprocess.run([*command, "memory"], env=environment, capture_output=True, text=True, check=True)  # noqa: S603
        memory[name] = int(done.stdout.splitlines()[-1]) / nbytes
        process = subprocess.Popen(  # noqa: S603
            [*command, "time"], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        same[name] = json.loads(process.stdout.readline())  # type: ignore[union-attr]
        started[name], times[name] = process, []
    for _ in range(runs):
        for name, process in started.items():
            process.stdin.write("\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
            times[name].append(float(process.stdout.readline()))  # type: ignore[union-attr]
    for process in started.values():
        process.communicate()
    medians = {name: statistics.median(found) for name, found in times.items()}
    least = {name: min(found) for name, found in times.items()}
    fastest = min((name for name in medians if name != "ours"), key=medians.__getitem__)
    ratio = medians[fastest] / medians["ours"]
    return {
        "seconds": medians, "least": least, "equal": same, "memory": memory, "fastest_peer": fastest, "ratio": ratio,
        "goal": GOALS[version], "met": ratio >= GOALS[version], "memory_met": memory["ours"] <= MEMORY_GOAL,
    }  # fmt: skip


def measure_small_elements(folder: Path, runs: int) -> dict[str, dict[str, float]]:
    """The least seconds of every reader, of v7 files of 60,000 small elements."""
    command = [interpreter(), "-c", SMALL_ELEMENTS, str(folder / "small.mat"), str(runs)]
    environment = os.environ | {"BENCHMARK_TOP": str(TOP)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)  # noqa: S603
    return dict(json.loads(done.stdout.splitlines()[-1]))


def versions() -> list[str]:
    """What was compared, with versions, as `pip` lists them."""
    command = [interpreter(), "-m", "pip", "list", "--format=freeze", "--disable-pip-version-check"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    names = {name.split(">")[0].replace("-", "_") for name in PACKAGES}
    return [line for line in done.stdout.splitlines() if line.partition("==")[0].replace("-", "_") in names]


def main() -> None:
    """Run it and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        # In a process of its own: a process counts what the one that started it had in memory as its own peak.
        with ProcessPoolExecutor(1) as pool:
            nbytes = pool.submit(make_files, Path(name)).result()
        results = {version: measure(version, Path(name), given.runs, nbytes) for version in PEERS}
        small = measure_small_elements(Path(name), given.runs)
    print(f"{nbytes / 1e6:.0f} MB: median of {given.runs} alternating runs; memory as a multiple of the data")
    met = {True: "met", False: "not met"}
    for version, result in results.items():
        print(f"\n{version:13}{'seconds':>9}{'least':>9}{'to ours':>9}{'memory':>8}  equal")
        for reader, seconds in result["seconds"].items():
            ratio, least = seconds / result["seconds"]["ours"], result["least"][reader]
            memory, same = result["memory"][reader], result["equal"][reader]
            print(f"{reader:13}{seconds:9.3f}{least:9.3f}{ratio:9.2f}{memory:8.2f}  {same}")
        print(
            f"{result['ratio']:.2f}x {result['fastest_peer']} (goal {result['goal']}x): {met[result['met']]}", end="; "
        )
        print(f"memory at most {MEMORY_GOAL}x: {met[result['memory_met']]}")
    readers = list(next(iter(small.values())))
    print(f"\n{'small, v7: least s':20}" + "".join(f"{name:>13}" for name in readers) + f"{'scipy to ours':>15}")
    for case, least in small.items():
        ratio = least["scipy"] / least["ours"]
        print(f"{case:20}" + "".join(f"{least[name]:13.3f}" for name in readers) + f"{ratio:15.2f}")
    print(f"not slower than SciPy: {met[all(least['ours'] <= least['scipy'] for least in small.values())]}")
    print("\n" + ", ".join(versions()))
    if given.json:
        given.json.write_text(json.dumps({**results, "small": small, "versions": versions()}, indent=2))
    if not all(result["equal"]["ours"] for result in results.values()):
        raise SystemExit("the values read differ from those written")


if __name__ == "__main__":
    main()
