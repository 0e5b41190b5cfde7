"""What the names of variables say: inputs, labels or predictions, training or test data, a record of a training."""

from __future__ import annotations

import re
from collections.abc import Iterable

# In the order of preference; names that say nothing come between data for testing and data for training.
SPLITS = ("validation", "test", "", "training")

# "XTest", "x_test", "xtest", "testLabels" and "Xte" all say test; "latest" does not.
_PREFIX = r"^(?:x|y|t|im|img|image|images|imgs|imds|data|label|labels)?"
_SPLIT_WORDS = {
    "validation": re.compile(_PREFIX + r"(?:val$|val(?=im|la|da)|valid|dev$)"),
    "test": re.compile(_PREFIX + r"(?:test|tst$|te$|(?<=[xy])ts$)"),
    "training": re.compile(_PREFIX + r"(?:train|trn$|tr$)"),
}
_INPUTS = re.compile(
    r"^(?:x|im|imgs?|images?|imds|auds|data|inputs?|features?|sequences?|signals?)(?:val|test|train|t[ers]$|$)"
)
_LABELS = re.compile(r"^(?:y|t|labels?|targets?|classes|class|gt|truth|responses?)(?:val|test|train|t[ers]$|$)")
_PREDICTED = re.compile(_PREFIX + r"(?:pred|score|prob|output)")


def words(name: str) -> list[str]:
    """The words of a name such as `"data.imdsValidation"`, `"YPred"` or `"label_test"`, in lower case."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]


def split_of(name: str) -> int:
    """What part of the data a name says it is: an index into `SPLITS`."""
    for word in reversed(words(name)):
        for split, pattern in _SPLIT_WORDS.items():
            if pattern.search(word):
                return SPLITS.index(split)
    return SPLITS.index("")


def is_prediction(name: str) -> bool:
    """Whether a name says that it is what a network gave, not what was to be found."""
    return any(_PREDICTED.search(word) for word in words(name))


def is_output_beside_target(name: str, others: Iterable[str]) -> bool:
    """Whether a name is that of outputs, `"y"`, while another is that of the targets, `"t"`, as `nftool` names them."""
    return _says(name, "y", "output", "outputs") and any(_says(other, "t", "target", "targets") for other in others)


def _says(name: str, *which: str) -> bool:
    return not set(which).isdisjoint(words(name.rpartition(".")[2]))


def names_inputs(name: str) -> bool:
    """Whether a name says that it is observations: `"XTest"`, `"images"`."""
    return any(_INPUTS.search(word) for word in words(name))


def names_labels(name: str) -> bool:
    """Whether a name says that it is labels: `"YTest"`, `"IM_labels"`."""
    return any(_LABELS.search(word) for word in words(name))


# Names of values that note how a training went: curves, and which observations were for what.
_NOTES = frozenset(
    f"{part}{what}"
    for part in ("train", "training", "val", "validation", "test", "finalvalidation")
    for what in ("accuracy", "acc", "fcn", "history", "ind", "loss", "mask", "mse", "perf", "performance", "rmse")
) | {"baselearnrate", "bestepoch", "dividefcn", "numepochs", "outputnetworkiteration", "tperf", "valfail", "vperf"}
# Names that data could have as well; several of them beside each other are a record of a training.
_CURVES = _NOTES | {
    "accuracy",
    "averagereward",
    "episodeindex",
    "episodereward",
    "epoch",
    "epochs",
    "iteration",
    "loss",
}
_OF_RECORDS = _CURVES | {
    *("bestperf", "besttperf", "bestvperf", "dividemode", "divideparam", "elapsedtime", "episodesteps", "goal"),
    *("gradient", "learnrate", "lr", "maxfail", "mu", "mumax", "perf", "performfcn", "performparam", "rmse"),
    *("states", "stop", "time", "timeelapsed", "timesincestart", "trainparam"),
}


def notes_a_training(name: str) -> bool:
    """Whether the last part of a path is the name of a value that notes how a training went."""
    return _plain(name.rpartition(".")[2]) in _NOTES


def is_training_record(fields: Iterable[str]) -> bool:
    """Whether a struct or a table with these fields is a record of a training: most of them note how it went."""
    names = [_plain(str(field)) for field in fields]
    noted = sum(name in _OF_RECORDS for name in names)
    return noted > 1 and 2 * noted > len(names) and not _CURVES.isdisjoint(names)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())
