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
from .methods import END_OF_PRUNING, RECONSTRUCTED, TRAINED
from .networks import BATCH
from .papers import HEADER, reached
from .rows import Key, read_rows, table
from .studies import SCALES, STUDIES, jobs

PAGE = ROOT / "docs" / "evidence.md"

BESIDE = """Weights pruned more and more along the polynomial of Zhu and Gupta 2017, those of all layers ranked
together, the masks at rest after {end:.0%} of {epochs} epochs; by magnitude, and by Optimal Brain Damage with the
curvature that Adam goes by (`Prune(schedule, "obd")`). *Shifted*: each image is moved by up to one pixel, for the
dense network too; the papers' networks saw their images in one place. The papers' figures stand in the papers or in
the tables of Lee et al. 2019; each paper has a budget of its own. Ours are the best of those that are as sparse, or
sparser."""

TRIED = """A method is added where its mean error is lower than that of gradual magnitude pruning by more than the
pooled standard deviation, with equal epochs and over three seeds, on at least two networks."""

SHORT = """**Where ours are short.** Biases are never pruned here, and they count: of the 2,155 parameters that LeNet-5
has at 200x, 580 are biases; Lee et al. prune theirs. Every network learns for {epochs} epochs. The LSTM at 95 % does
not come down to its own dense error, which lies below that of the paper's network, pruned or not."""

FINETUNED = """As many epochs of fine-tuning for every score. SNIP, GraSP and Taylor go by the gradient of the loss:
where a trained network has none for a class, they prune what leads to that class first, and two epochs do not bring it
back."""

PEERS = """Gradual pruning by magnitude: the same network, data, epochs, batch and learning rate, each in an environment
of its own. TFMOT prunes each layer to the same sparsity; the others rank all layers together."""

SHIFTED = """As in the first table, but each image is moved by up to one pixel along both axes, anew in every epoch, for
the dense network too. The papers' networks saw their images in one place."""

BESIDE_METHODS = tuple(TRAINED)[:2]
_GROUP = ["network", "level", "method"]

TITLES = {
    "train": ("Pruned while training", "From the first weights on, as many epochs as the dense network."),
    "oneshot": (
        "Without any training",
        "The dense network pruned at once; the weights that are left as they are, or solved anew.",
    ),
    "sequences": (
        "An LSTM, pruned while training",
        "An image as a sequence of its rows; 17.8x is 95 % of the kernels.",
    ),
    "finetune": ("Pruned at once, then fine-tuned", FINETUNED),
    "rewind": ("In rounds", "Three equal parts of the epochs with a pruning after the first and the second."),
    "filters": (
        "Whole filters",
        "The share of the neurons of each hidden layer that is cut out; `macs` fall as much in any runtime.",
    ),
    "headline": ("More seeds for the headline", "The first rows of the first table, with two seeds more."),
    "shifted": ("With images that move", SHIFTED),
    "tried": ("Tried, and not in the library", TRIED),
    "peers": ("Other libraries", PEERS),
}


CHOOSER = """# Which method?

`s` is the sparsity, the share of weights that goes. The figures are errors on images or signals that nothing else has
seen, the mean over the seeds that both methods have. All methods are in [the evidence](evidence.md), from the same
tables."""


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
        parts += [*missing(study, tables[study]), made_with(made[study], tables[study])]
    page.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    chooser = [CHOOSER, markdown(("I have", "I want", "use this", "measured"), choices(tables))]
    page.with_name("choosing.md").write_text("\n\n".join(chooser) + "\n", encoding="utf-8")


INTRODUCTION = """# Evidence

What each method is worth, measured by `python benchmarks/evidence.py` on {data}:
for every method the same first weights, data, batches of {batch}, learning rate (Adam, along half a cosine) and epochs.
Every number of this page comes from a CSV file in `benchmarks/evidence-results/`; what is missing has not been run, and
the same command goes on with it.

**Not the papers' split.** The papers train on MNIST's 60,000 training images and test on its own 10,000. Here the test
images are held out of the training images, so that fewer are trained on. Dense errors stand beside pruned ones for that
reason.

**How it was chosen.** The score `obd` was the best of four that were tried, and the rates of LeNet-5 and LSTM-128
the best of two or three, on 10,000 images that are not of the test split (those to choose by, and 8,000 of those to
train on), by networks that learned from the other 40,000. Rows of lower rates, and of images that do not move, had
been measured on the test split before: they are why the search was made. So the test split chose no value, but it
was looked at.

**Compression counts all parameters**: those of the dense network divided by those that are not pruned, biases and
normalizations among them. The sparsity is that of the kernels. `macs` are multiply-adds for one observation, one for
each use of a weight of a kernel, as [`metrics`](reference/cost.md) counts them; pruned, those that are not zero. Errors
are in percent, the mean over the seeds and the sample standard deviation; two rows of one seed that are less than 0.3
points apart may be so by chance. A seed alone does not fix a network: trained again on another day, that of a seed had
another dense error, as the first column of other libraries shows.
Seconds are those of a busy machine: all rows, one after the other, took it {spent}, and the dense networks come on top;
`--workers 2` does two at a time."""


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
    yield SHORT.format(epochs=epochs)
    yield "All levels of the two:"
    lines = [
        (
            *(str(network), name_of(level), str(method)),
            *(percent(its["error_dense"]), percent(its["error"]), str(its["seed"].nunique())),
        )
        for (network, level, method), its in rows[rows["method"].isin(BESIDE_METHODS)].groupby(_GROUP)
    ]
    yield markdown(("network", "compression", "method", "dense error", "pruned", "seeds"), lines)


def section(study: str, rows: pd.DataFrame, images: Path) -> Iterator[str]:
    """A table and a plot for each network of a study."""
    for network, its in rows.groupby("network", sort=False):
        file = images / f"evidence-{study}-{network}.svg"
        draw(its, file)
        yield f"**{network}**, dense error {percent(its.drop_duplicates('seed')['error_dense'])} %:"
        yield errors(its)
        yield f"![{TITLES[study][0]}: {network}](images/{file.name})"
        yield sizes(str(network), its)


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
