"""Write docs/corpus.md: what becomes of each network in the corpus of real MATLAB files.

Run as `python -m tests.corpus_table`.
"""

from __future__ import annotations

import json
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import matlab_bridge as mb
from matlab_bridge._atomic import replace_whole

from .conftest import CORPUS

TARGET = Path(__file__).resolve().parents[1] / "docs" / "corpus.md"
CONVERTED = "yes"
DEVICES = "## Onto devices"
"""The heading of the part that `tests.device_table` writes."""

HEADING = """# Networks of real MATLAB files

What this package makes of the networks in {files} `.mat` files from public repositories, saved by MATLAB
between 2016 and 2025. The files are not part of this project; each is named by its repository and path. Of
their {networks} networks {converted} become Keras models{remainder}

`python -m tests.corpus_table` writes this page.

| File | Variable | Class | Layers | Learnables | MATLAB's layers | Keras |
|---|---|---|--:|--:|---|---|
"""


@dataclass(frozen=True)
class Row:
    """One network of the corpus, and whether it becomes a Keras model, or why not."""

    file: str
    network: mb.Network
    outcome: str

    def __str__(self) -> str:
        network = self.network
        assert network.source is not None
        kinds = Counter(layer.kind.removesuffix("Layer") for layer in network.layers)
        cells = (
            self.file,
            f"`{network.source.variable}`",
            network.source.class_name,
            str(len(network.layers)),
            f"{sum(array.size for layer in network.layers for array in layer.learnables.values()):,}",
            ", ".join(kind if count == 1 else f"{count} {kind}" for kind, count in kinds.items()),
            self.outcome,
        )
        return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def rows(corpus: Path) -> Iterator[Row]:
    """Every deep network of the corpus, in the order of the catalogue."""
    for entry in json.loads((corpus / "catalogue.json").read_text(encoding="utf-8")):
        if entry["layer_classes"]:
            path = corpus / entry["file"]
            for source in mb.find_networks(path):
                network = mb.load_network(path, source.variable)
                yield Row(f"{entry['repo']}: {entry['path']}", network, outcome(network))


def outcome(network: mb.Network) -> str:
    """Whether the network becomes a Keras model, or why not."""
    try:
        with warnings.catch_warnings():
            # That a network was never trained is told by the number of its learnables.
            warnings.simplefilter("ignore")
            network.to_keras()
    except mb.NetworkError as error:
        return f"no: {reason(str(error))}"
    return CONVERTED


def reason(message: str) -> str:
    """The faults that a message lists, one a line, without its advice; of faults that are alike, one."""
    faults = [line.strip() for line in message.splitlines() if line.startswith("  ")]
    unlike = {re.sub(r"'[^']*'|\d+", "", fault): fault for fault in reversed(faults)}
    return "; ".join(reversed(unlike.values())) or message


def page(found: list[Row]) -> str:
    """The whole page."""
    converted = sum(each.outcome == CONVERTED for each in found)
    return HEADING.format(
        files=len({each.file for each in found}),
        converted=converted,
        networks=len(found),
        remainder="." if converted == len(found) else "; the last column says why the others do not.",
    ) + "".join(f"{each}\n" for each in found)


def main() -> None:
    """Write the page, and leave the part about devices as it is."""
    _, heading, devices = TARGET.read_text(encoding="utf-8").partition(DEVICES)
    rest = f"\n{heading}{devices}" if heading else ""
    with replace_whole(TARGET) as temporary:
        temporary.write_text(page(list(rows(CORPUS))) + rest, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
