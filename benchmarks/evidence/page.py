"""The page: tables and plots of the CSV files, beside what the papers reached."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from .choosing import choices, within_a_point
from .data import ROOT
from .methods import BIASES_TOO, END_OF_PRUNING, GRADUAL, RECONSTRUCTED
from .networks import BATCH
from .papers import HEADER, reached
from .rows import Key, read_rows, table
from .studies import SCALES, STUDIES, jobs
from .texts import BESIDE, CHOOSER, INTRODUCTION, SHORT, SHORT_SEQUENCES, TITLES
from .tried import REFERENCE

PAGE = ROOT / "docs" / "evidence.md"

BESIDE_METHODS = (*GRADUAL, BIASES_TOO)
_GROUP = ["network", "level", "method"]

COLOURS = (*(f"C{number}" for number in range(10)), "black", "gold")


def write_page(results: Path, page: Path) -> None:
    """Write the page and its plots from the tables of a folder, and from nothing else.

    Args:
        results: the folder with `<study>.csv` and `made-with.json`.
        page: the Markdown file; its plots go to `images/` beside it, and so does the method chooser, `choosing.md`.
    """
    tables = {path.stem: table(read_rows(path)) for path in sorted(results.glob("*.csv"))}
    made = json.loads((results / "made-with.json").read_text(encoding="utf-8"))
    images = page.parent / "images"
    images.mkdir(parents=True, exist_ok=True)
    sources = " and ".join(sorted({name for facts in made.values() for name in facts["data"]}))
    spent = duration(pd.concat(tables.values()))
    parts = [INTRODUCTION.format(data=sources, batch=BATCH, spent=spent), *headline(tables, made)]
    for study, (title, about) in TITLES.items():
        parts += [f"## {title}", about]
        if study not in tables or tables[study].empty:
            parts.append(f"Not run yet: `python benchmarks/evidence.py --study {study}`.")
            continue
        parts += section(study, tables[study], images)
        if study == "tried":
            parts.append(verdict(tables[study]))
        parts += [*missing(study, tables[study]), made_with(made[study], tables[study])]
    page.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    chooser = [CHOOSER, markdown(("I have", "I want", "use this", "measured"), choices(tables))]
    page.with_name("choosing.md").write_text("\n\n".join(chooser) + "\n", encoding="utf-8")


def headline(tables: Mapping[str, pd.DataFrame], made: Mapping[str, Any]) -> Iterator[str]:
    """Gradual pruning, with all seeds there are, beside what the papers reached."""
    studies = [name for name in ("train", "headline", "sequences", "shifted") if name in tables]
    rows = pd.concat([tables[name] for name in studies] or [pd.DataFrame()])
    if rows.empty:
        return
    yield "## Beside the papers"
    epochs = made[studies[0]]["epochs"]
    yield BESIDE.format(end=END_OF_PRUNING, epochs=epochs)
    yield markdown(HEADER, reached(rows))
    yield short(rows, epochs)
    yield "All levels:"
    lines = [
        (
            *(str(network), name_of(level), str(method)),
            *(percent(its["error_dense"]), percent(its["error"]), str(its["seed"].nunique())),
        )
        for (network, level, method), its in rows[rows["method"].isin(BESIDE_METHODS)].groupby(_GROUP)
    ]
    yield markdown(("network", "compression", "method", "dense error", "pruned", "seeds"), lines)


def short(rows: pd.DataFrame, epochs: int) -> str:
    """What keeps ours from the papers' errors: the biases of the sparsest network, and what the LSTM does not reach."""
    rows = rows[rows["method"] != BIASES_TOO]
    biases = rows["parameters"] - rows["weights"]
    sparsest = rows.assign(biases=biases).sort_values(["level", "biases"]).iloc[-1]
    text = SHORT.format(
        kept=sparsest["kept"],
        network=sparsest["network"].removesuffix("-shifted"),
        level=name_of(sparsest["level"]),
        biases=sparsest["biases"],
        epochs=epochs,
    )
    return f"{text}\n{SHORT_SEQUENCES}" if "LSTM-128" in set(rows["network"]) else text


def section(study: str, rows: pd.DataFrame, images: Path) -> Iterator[str]:
    """A table and a plot for each network of a study."""
    for network, its in rows.groupby("network", sort=False):
        file = images / f"evidence-{study}-{network}.svg"
        draw(its, file)
        yield f"**{network}**, dense error {percent(its.drop_duplicates('seed')['error_dense'])} %:"
        yield errors(its)
        yield f"![{TITLES[study][0]}: {network}](images/{file.name})"
        yield sizes(str(network), its)


def verdict(rows: pd.DataFrame) -> str:
    """Which methods are better than the one in the library, and where, by more than seeds differ."""
    better: dict[str, list[str]] = {}
    for network, its in rows.groupby("network", sort=False):
        errors = its.groupby("method")["error"].agg(["mean", "var"])
        if REFERENCE not in errors.index:
            continue
        gains = errors["mean"][REFERENCE] - errors["mean"]
        pooled = ((errors["var"][REFERENCE] + errors["var"]) / 2) ** 0.5
        for method in errors.index[gains > pooled]:
            better.setdefault(str(method), []).append(str(network))
    found = [f"{method}, on {' and '.join(networks)}" for method, networks in better.items()]
    return f"Lower than {REFERENCE} by more than the pooled standard deviation: {'; '.join(found) or 'none'}."


def missing(study: str, rows: pd.DataFrame) -> Iterator[str]:
    """Which rows of a study have not been measured yet, by network."""
    wanted = {key for job in jobs(STUDIES[study], SCALES["full"]) for key in job.keys}
    there = {Key(study, *row) for row in rows[list(Key._fields[1:])].itertuples(index=False, name=None)}
    counts = dict.fromkeys(STUDIES[study].networks, (0, 0))
    for key in wanted:
        gone, total = counts[key.network]
        counts[key.network] = gone + (key not in there), total + 1
    lines = [f"{gone} of {total} rows of {name}" for name, (gone, total) in counts.items() if gone]
    if lines:
        yield f"Not run yet: {'; '.join(lines)}."


def errors(rows: pd.DataFrame) -> str:
    """The errors of one network: a line for each method, a column for each level."""
    levels = sorted(set(rows["level"]))
    header = ["error, %", "seeds", *map(name_of, levels), "seconds"]
    if levels[0] > 1:
        header.append("within one point of dense up to")
    lines = []
    for method, its in rows.groupby("method", sort=False):
        cells = [percent(its[its["level"] == level]["error"]) for level in levels]
        lines.append([str(method), str(its["seed"].nunique()), *cells, f"{its['seconds'].mean():.0f}"])
        if levels[0] > 1:
            reached = within_a_point(its)
            lines[-1].append("-" if reached is None else name_of(reached))
    return markdown(header, lines)


def sizes(network: str, rows: pd.DataFrame) -> str:
    """What is left of one network at each level, by its first method and seed, folded away."""
    first = rows.iloc[0]
    its = rows[(rows["method"] == first["method"]) & (rows["seed"] == first["seed"])].sort_values("level")
    lines = [
        (
            name_of(row["level"]),
            f"{row['compression']:.2f}",
            f"{row['sparsity']:.2%}",
            f"{row['macs_dense']:,}",
            f"{row['macs']:,}",
        )
        for row in its.to_dict("records")
    ]
    header = ("asked", "compression", "sparsity of kernels", "macs dense", "macs")
    table = textwrap.indent(markdown(header, lines), "    ")
    return f'??? note "Sizes of {network}: {first["method"]}, seed {first["seed"]}"\n\n{table}'


def name_of(level: float) -> str:
    """A compression, or a share of filters."""
    return f"{level:g}x" if level >= 1 else f"{level:.0%}"


def percent(errors: pd.Series) -> str:
    """Mean and standard deviation in percent; of one seed its value."""
    if errors.empty:
        return "-"
    mean = f"{100 * errors.mean():.2f}"
    return mean if len(errors) < 2 else f"{mean} ± {100 * errors.std():.2f}"


def markdown(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def draw(rows: pd.DataFrame, file: Path) -> None:
    """Draw error against compression, a line for each method; the files are the same for the same tables."""
    with mpl.rc_context({"svg.hashsalt": "evidence", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(8.0, 4.0), layout="constrained")
        axes = figure.subplots()
        plain = list(dict.fromkeys(name.removesuffix(RECONSTRUCTED) for name in rows["method"]))
        for method, its in rows.groupby("method", sort=False):
            number = plain.index(method.removesuffix(RECONSTRUCTED))
            means = its.groupby("level")["error"].agg(["mean", "std"])
            style = "--" if RECONSTRUCTED in method else "-"
            axes.errorbar(
                means.index,
                100 * means["mean"],
                100 * means["std"].fillna(0),
                fmt=style,
                marker="o",
                markersize=3,
                label=method,
                color=COLOURS[number % len(COLOURS)],
                linewidth=1,
            )
        axes.axhline(100 * rows["error_dense"].mean(), color="0.5", linewidth=1, label="dense")
        axes.set(yscale="log", ylabel="error, %", xlabel="compression, all parameters counted")
        if rows["level"].min() >= 1:
            axes.set_xscale("log", base=2)
            ticks = [level for level in sorted(set(rows["level"])) if level != 56]  # too near to 50 for two labels
            axes.set_xticks(ticks, [name_of(level) for level in ticks])
            axes.minorticks_off()
        else:
            axes.set_xlabel("share of the neurons that is cut out")
        axes.grid(alpha=0.3)
        figure.legend(loc="outside right center", fontsize=7)
        figure.savefig(file, metadata={"Date": None})


def made_with(facts: Mapping[str, Any], rows: pd.DataFrame) -> str:
    """How a table is made again, and how long that took."""
    versions = ", ".join(f"{name} {number}" for name, number in sorted(facts["versions"].items()))
    seeds = ", ".join(map(str, facts["seeds"]))
    epochs = f"{facts['epochs']} epochs, {facts['tuning']} of fine-tuning"
    return f"`{facts['command']}`; seeds {seeds}; {epochs}; {duration(rows)} of pruning and training; {versions}."


def duration(rows: pd.DataFrame) -> str:
    """How long rows took, one after the other."""
    minutes = rows["seconds"].sum() / 60
    return f"{minutes:.0f} minutes" if minutes < 120 else f"{minutes / 60:.1f} hours"
