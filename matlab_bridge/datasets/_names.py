"""What the names that people give to data say: validation, test or training data, or a prediction."""

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
