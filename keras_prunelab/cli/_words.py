"""Messages of the two packages in the words of the command line: `--inputs X` where Python has `inputs='X'`."""

from __future__ import annotations

import re

_OPTIONS = (
    *(
        "calibration",
        "convention",
        "damping",
        "describe",
        "finetune",
        "granularity",
        "groups",
        "image_root",
        "inputs",
        "labels",
    ),
    *("knee", "max_drop", "metrics", "min_metric", "network", "reconstruct", "scope", "score", "scores", "seeds"),
    *("sparsities", "sparsity", "store", "workers"),
)
"""Arguments of Python's functions that are options of a command."""
_NAMES = {"describe": "network", "groups": "group_by"}
_ARGUMENT = re.compile(rf"(?<![\w.])({'|'.join(_OPTIONS)})=(?:'([^']*)'|([\w.]*\w)?)")


# The calls that name a network, or describe it; a list of them is padded to one width.
_CALL = re.compile(
    r"load_network\(path, (?:(?P<quote>['\"])(?P<variable>.*?)(?P=quote)|describe=\[(?P<layers>.*?)\])\)(?P<blanks> *)"
)
_LAYER = re.compile(r"WeightLayer\((.*?)\)")


def in_options(message: str) -> str:
    """A message with options in place of Python's arguments, and of calls that load a network; others stay."""
    message = _CALL.sub(_network, message)
    return re.sub(r"(?<=\S) +(?=[;,.](\s|$))", "", _ARGUMENT.sub(_option, message))


def _network(found: re.Match[str]) -> str:
    layers = (" ".join(re.findall("'([^']*)'", layer)) for layer in _LAYER.findall(found["layers"] or ""))
    name = found["variable"] or "; ".join(layers)
    option = f"--network {name}" if re.fullmatch(r"[\w.]+", name) else f'--network "{name}"'
    return option.ljust(len(found[0])) if found["blanks"] else option


def _option(found: re.Match[str]) -> str:
    before = found.string[: found.start()]
    if before.count("(") > before.count(")"):  # inside a call
        return found[0]
    value = found[2] or found[3] or ""
    quoted = f"'{value}'" if " " in value else value
    name = _NAMES.get(found[1], found[1]).replace("_", "-")
    return f"--{name}" if value in {"", "True"} else f"--{name} {quoted}"
