"""What MATLAB notes about a training, which is no data: `tr` of `train`, `info` of `trainNetwork`, tables of progress.

Sources: https://www.mathworks.com/help/deeplearning/ref/network.train.html and
https://www.mathworks.com/help/deeplearning/ref/trainnetwork.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# Names that say by themselves that a value is a curve, or which observations were for what.
_OWN = frozenset(
    f"{part}{what}"
    for part in ("train", "training", "val", "validation", "test", "finalvalidation")
    for what in ("accuracy", "acc", "fcn", "history", "ind", "loss", "mask", "mse", "perf", "performance", "rmse")
) | {"baselearnrate", "bestepoch", "dividefcn", "numepochs", "outputnetworkiteration", "tperf", "valfail", "vperf"}
# Names that say so beside each other, and those that data could have as well.
_CURVES = _OWN | {"accuracy", "averagereward", "episodeindex", "episodereward", "epoch", "epochs", "iteration", "loss"}
_IN_COMPANY = _CURVES | {
    "bestperf",
    "besttperf",
    "bestvperf",
    "dividemode",
    "divideparam",
    "elapsedtime",
    "episodesteps",
}
_IN_COMPANY |= {"goal", "gradient", "learnrate", "lr", "maxfail", "mu", "mumax", "perf", "performfcn", "performparam"}
_IN_COMPANY |= {"rmse", "states", "stop", "time", "timeelapsed", "timesincestart", "trainparam"}


def notes_a_training(name: str) -> bool:
    """Whether a value of this name, the last part of its path, notes how a training went."""
    return _plain(name.rpartition(".")[2]) in _OWN


def is_training_record(fields: Iterable[str]) -> bool:
    """Whether a struct or a table with these fields is a record of a training: most of them note how it went."""
    names = [_plain(str(field)) for field in fields]
    noted = sum(name in _IN_COMPANY for name in names)
    return noted > 1 and 2 * noted > len(names) and not _CURVES.isdisjoint(names)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())
