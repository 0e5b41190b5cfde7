"""What the papers reached, and what this library reaches at the same compression."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pandas as pd


class Paper(NamedTuple):
    """A row of a paper's table.

    Attributes:
        network: on which network.
        compression: parameters of the dense network for each that is kept.
        name: whose it is.
        error: of the pruned network, in percent.
        dense: of the dense one, in percent; None where it was not read.
    """

    network: str
    compression: float
    name: str
    error: float
    dense: float | None


PAPERS = (
    Paper("LeNet-300-100", 12, "Han et al. 2015", 1.59, 1.64),
    Paper("LeNet-300-100", 12.5, "OBD (Lee et al. 2019)", 2.0, 1.7),
    Paper("LeNet-300-100", 20, "SNIP, Lee et al. 2019", 1.6, 1.7),
    Paper("LeNet-300-100", 23, "SWS (Lee et al. 2019)", 1.9, 1.7),
    Paper("LeNet-300-100", 50, "SNIP, Lee et al. 2019", 2.4, 1.7),
    Paper("LeNet-300-100", 56, "DNS, Guo et al. 2016", 1.99, None),
    Paper("LeNet-300-100", 67, "L-OBS (Lee et al. 2019)", 2.0, 1.7),
    Paper("LeNet-300-100", 68, "SparseVD, Molchanov et al. 2017", 1.92, 1.64),
    Paper("LeNet-300-100", 100, "LC (Lee et al. 2019)", 3.2, 1.7),
    Paper("LeNet-5", 12, "Han et al. 2015", 0.77, 0.80),
    Paper("LeNet-5", 50, "SNIP, Lee et al. 2019", 0.8, 0.9),
    Paper("LeNet-5", 100, "SNIP, Lee et al. 2019", 1.1, 0.9),
    Paper("LeNet-5", 100, "L-OBS (Lee et al. 2019)", 2.1, 0.9),
    Paper("LeNet-5", 108, "DNS, Guo et al. 2016", 0.91, None),
    Paper("LeNet-5", 200, "SWS (Lee et al. 2019)", 1.0, 0.9),
    Paper("LeNet-5", 280, "SparseVD, Molchanov et al. 2017", 0.75, 0.80),
    Paper("LSTM-128", 17.8, "SNIP, Lee et al. 2019", 1.57, 1.88),  # 95 % of the kernels
)
"""From the papers, or from the tables of Lee et al. 2019."""

HEADER = ("network", "paper", "at", "its error", "its dense", "here at", "error", "dense", "by", "seeds", "")
AS_SPARSE = 0.95
"""Of a compression: what is hardly less sparse stands beside a paper, too."""


def reached(rows: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    """Each row of the papers beside the best of ours that is at least as sparse.

    Args:
        rows: of networks that were pruned while they were trained.

    Yields:
        A line of a table, its columns as in `HEADER`; the last says whether the paper's error is reached.
    """
    for paper in PAPERS:
        its = rows[rows["network"].str.removesuffix("-shifted") == paper.network]
        sparse = its[its["level"] >= AS_SPARSE * paper.compression]
        dense = "-" if paper.dense is None else f"{paper.dense:g}"
        line = (paper.network, paper.name, f"{paper.compression:g}x", f"{paper.error:g}", dense)
        if sparse.empty:
            yield (*line, *("-" for _ in range(5)), "not run")
            continue
        groups = sparse.groupby(["network", "method", "level"])
        network, method, at = groups["error"].mean().idxmin()
        best = groups.get_group((network, method, at))
        error = 100 * best["error"].mean()
        by = f"{method}, shifted images" if str(network).endswith("-shifted") else str(method)
        verdict = "reached" if round(error, 2) <= paper.error else f"{error - paper.error:.2f} short"
        ours = f"{100 * best['error_dense'].mean():.2f}"
        yield (*line, f"{at:g}x", f"{error:.2f}", ours, by, str(best["seed"].nunique()), verdict)
