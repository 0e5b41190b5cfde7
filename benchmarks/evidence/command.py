"""The command: which rows are missing, who measures them, and what is written."""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import keras

from .data import ROOT
from .methods import END_OF_PRUNING
from .networks import NETWORKS
from .page import PAGE, name_of, write_page
from .rows import Key, Outcome, RowStore, read_rows, write_table
from .studies import SCALES, STUDIES, Bench, Job, data_of, jobs, trial_of

RESULTS = ROOT / "benchmarks" / "evidence-results"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is missing, and write tables and page."""
    asked = parse(arguments)
    scale = SCALES[asked.scale]
    work = asked.work or ROOT / "build" / f"evidence-{scale.name}"
    # Only whole tables belong to the repository.
    results = asked.results or (RESULTS if scale.name == "full" else work)
    if not asked.page:
        scale = replace(scale, seeds=asked.seeds or scale.seeds, networks=tuple(asked.network or scale.networks))
        results.mkdir(parents=True, exist_ok=True)
        for name in asked.study or scale.studies:
            measure(name, Bench(scale, asked.mnist, work), results, asked)
    page = PAGE if results == RESULTS else results / "evidence.md"
    write_page(results, page)
    print(f"The page is {page}.")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--study", action="append", choices=STUDIES, help="one of these alone; several times for several"
    )
    parser.add_argument("--network", action="append", choices=NETWORKS, help="on this one alone, or several")
    known = sorted({method for study in STUDIES.values() for method in study.methods})
    parser.add_argument("--method", action="append", choices=known, metavar="METHOD", help="as the tables call it")
    parser.add_argument("--level", action="append", type=float, help="only rows of this compression, or of several")
    parser.add_argument("--seeds", type=int, help="how many seeds of each study; by default all of them")
    for name in ("quick", "smoke"):
        parser.add_argument(f"--{name}", dest="scale", action="store_const", const=name, default="full")
    parser.add_argument("--mnist", type=Path, help="an .npz file with x and y, by default the one beside the project")
    parser.add_argument("--work", type=Path, help="the folder for what is needed to go on after a kill")
    parser.add_argument("--results", type=Path, help="the folder for the tables")
    parser.add_argument("--workers", type=int, default=1, help="how many processes measure")
    dask_help = "of a Dask scheduler; its workers see these files, and benchmarks/ is on their PYTHONPATH"
    parser.add_argument("--dask", metavar="ADDRESS", help=dask_help)
    parser.add_argument("--page", action="store_true", help="only write the page, from the tables that are there")
    return parser.parse_args(arguments)


def measure(study: str, bench: Bench, results: Path, asked: argparse.Namespace) -> None:
    """Measure the rows of a study that its store does not have, and write its table after each job."""
    store = RowStore(bench.work / "rows.sqlite", settings(bench))
    store.add(written(study, results, settings(bench)).items())
    wanted = [job for job in jobs(STUDIES[study], bench.scale) if is_asked_for(job, asked)]
    known = store.rows()
    missing = [job for job in wanted if not known.keys() >= set(job.keys)]
    progress = Progress(len(wanted), len(wanted) - len(missing))
    for rows in carry_out(bench, missing, asked):
        store.add(rows)
        write(study, store, results, bench)
        progress.tell(rows)
    if known:
        write(study, store, results, bench)


def is_asked_for(job: Job, asked: argparse.Namespace) -> bool:
    """Whether the command line leaves a job in."""
    return job.method in (asked.method or (job.method,)) and set(job.levels) <= set(asked.level or job.levels)


def carry_out(bench: Bench, wanted: Sequence[Job], asked: argparse.Namespace) -> Iterator[list[tuple[Key, Outcome]]]:
    """Do jobs here, or in processes of this machine or of a cluster."""
    if asked.workers == 1 and not asked.dask:
        yield from map(bench.do, wanted)
        return
    import joblib

    def each(function: Callable[..., Any], arguments: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
        return joblib.Parallel(return_as="generator_unordered")(joblib.delayed(function)(*these) for these in arguments)

    if asked.dask:
        from dask.distributed import Client

        Client(asked.dask)
    with joblib.parallel_config("dask" if asked.dask else "loky", n_jobs=-1 if asked.dask else asked.workers):
        # The dense networks first: each is trained once.
        for _ in each(train_dense, dict.fromkeys((bench, job.network, job.seed) for job in wanted)):
            pass
        yield from each(bench.do, ((job,) for job in wanted))


def train_dense(bench: Bench, network: str, seed: int) -> None:
    """See that a dense network is there."""
    _ = trial_of(bench, network, seed).dense


def settings(bench: Bench) -> dict[str, str]:
    """What all rows of a store have in common, and how each network is trained."""
    scale = bench.scale
    return {
        "data": data_of(bench, "digits").fingerprint(),
        "epochs": f"{scale.epochs} and {scale.tuning} epochs",
        "pruning": f"masks at rest after {END_OF_PRUNING:.0%}",
    } | {name: network.recipe for name, network in NETWORKS.items()}


def written(study: str, results: Path, wanted: dict[str, str]) -> dict[Key, Outcome]:
    """The rows of a table that were made with the same settings: a clone goes on with those that it came with."""
    made = made_with(results).get(study, {}).get("settings", {})
    same = {name for name, value in wanted.items() if made.get(name) == value}
    rows = read_rows(results / f"{study}.csv") if {"data", "epochs", "pruning"} <= same else {}
    return {key: outcome for key, outcome in rows.items() if key.network in same}


def made_with(results: Path) -> dict[str, Any]:
    """With what each table was made."""
    path = results / "made-with.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def write(study: str, store: RowStore, results: Path, bench: Bench) -> None:
    """Write the table of a study, and with what it was made."""
    rows = {key: outcome for key, outcome in store.rows().items() if key.study == study}
    write_table(rows, results / f"{study}.csv")
    known = made_with(results)
    facts = known.get(study, {"versions": {}})
    facts["settings"] = settings(bench)
    facts["versions"] |= versions()
    facts["seeds"] = sorted({key.seed for key in rows})
    kinds = {NETWORKS[key.network].data for key in rows}
    facts["data"] = sorted(data_of(bench, kind).name for kind in kinds)
    facts["epochs"], facts["tuning"] = bench.scale.epochs, bench.scale.tuning
    facts["command"] = " ".join(
        ["python benchmarks/evidence.py", f"--study {study}", *sys.argv[1:] * (bench.scale.name != "full")]
    )
    path = results / "made-with.json"
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(known | {study: facts}, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    temporary.replace(path)


def versions() -> dict[str, str]:
    """What is at work here."""
    names = ["keras", "keras-prunelab", "numpy", keras.backend.backend()]
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


@dataclass
class Progress:
    """One line for each job that is done."""

    total: int
    done: int
    spent: float = 0.0
    counted: int = 0

    def __post_init__(self) -> None:
        self._last = time.monotonic()

    def tell(self, rows: Sequence[tuple[Key, Outcome]]) -> None:
        """Say what was measured, and how long the rest may take."""
        now = time.monotonic()
        self.spent, self._last = self.spent + now - self._last, now
        self.done, self.counted = self.done + 1, self.counted + 1
        key = rows[0][0]
        errors = ", ".join(f"{name_of(each.level)} {100 * outcome.error:.2f} %" for each, outcome in rows)
        left = (self.total - self.done) * self.spent / self.counted / 60
        where = f"{key.study}, {key.network}, seed {key.seed}, {key.method}"
        print(f"[{self.done} of {self.total}, about {left:.0f} minutes left] {where}: {errors}", flush=True)
