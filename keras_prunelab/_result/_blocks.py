"""Layers grouped into blocks: by their names, between poolings and additions, or as the user says."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from keras_prunelab._errors import UnknownNameError

from ._outline import LayerOutline, Outline

# Each separator must stand between letters: were it optional, letters alone would divide in exponentially many ways.
_NUMBERED = re.compile(r"[A-Za-z]+(?:[_-][A-Za-z]+)*[_-]?\d+[a-z]?(?![A-Za-z0-9])")
_CUTS = {"pooling", "addition", "flatten"}
_COUNTS = ["filters", "filters_removed", "macs", "macs_kept"]


@dataclass(frozen=True)
class Blocks:
    """A grouping of layers.

    Attributes:
        members: the names of the layers of each block, early to late.
        rule: how the blocks were found, in words.
    """

    members: Mapping[str, tuple[str, ...]]
    rule: str

    def table(self, layers: pd.DataFrame) -> pd.DataFrame:
        """The per-layer table summed over each block, with the rule in `attrs["rule"]`."""
        block_of = {layer: block for block, names in self.members.items() for layer in names}
        grouped = layers.assign(block=layers["layer"].map(block_of)).groupby("block", sort=False)
        table = grouped.agg(
            layers=("layer", ", ".join),
            types=("type", lambda kinds: ", ".join(dict.fromkeys(kinds))),
            parameters=("parameters", "sum"),
            zeros=("zeros", "sum"),
        )
        table["sparsity"] = table["zeros"] / table["parameters"]
        table[_COUNTS] = grouped[_COUNTS].sum(min_count=1)
        table = table.reset_index()
        table.attrs["rule"] = self.rule
        return table


def blocks_of(outline: Outline, pruned: Sequence[str], blocks: Mapping[str, Collection[str]] | None = None) -> Blocks:
    """The blocks of a model.

    With no grouping of the user's, the names decide where at least half of the layers carry a number that
    somebody gave them (conv1_1 and conv1_2 make conv1; fc6; res2a_branch2b makes res2a; fire2_squeeze makes
    fire2). Otherwise, as for Keras' automatic names, a block ends at each pooling, addition and flattening.

    Args:
        outline: the layers of the model.
        pruned: the names of the layers that have pruned variables, early to late.
        blocks: the user's grouping, the layers of each block by the block's name. Layers that it leaves out
            make a block `"other layers"`.

    Raises:
        UnknownNameError: `blocks` names a layer that is not pruned, or one layer twice.
    """
    if blocks is not None:
        return _given(pruned, blocks)
    layers = {layer.name: layer for layer in outline.layers if layer.name in set(pruned)}
    kernels = [layer for layer in layers.values() if layer.family != "normalization"]
    numbered = sum(_prefix(layer) is not None for layer in kernels)
    if kernels and 2 * numbered >= len(kernels):
        return _by_name(layers)
    return _between_poolings(outline, layers)


def _given(pruned: Sequence[str], blocks: Mapping[str, Collection[str]]) -> Blocks:
    listed = [layer for names in blocks.values() for layer in names]
    unknown = sorted(set(listed) - set(pruned))
    if unknown:
        raise UnknownNameError(
            f"blocks names {', '.join(map(repr, unknown))}, which the sweep did not prune. "
            f"The pruned layers are: {', '.join(pruned)}."
        )
    twice = sorted({layer for layer in listed if listed.count(layer) > 1})
    if twice:
        raise UnknownNameError(f"A layer belongs to one block, but {', '.join(map(repr, twice))} stands in several.")
    members = {name: tuple(layer for layer in pruned if layer in set(names)) for name, names in blocks.items() if names}
    rest = tuple(layer for layer in pruned if layer not in listed)
    return Blocks(members | ({"other layers": rest} if rest else {}), "the blocks are those that were given")


def _by_name(layers: Mapping[str, LayerOutline]) -> Blocks:
    members: dict[str, list[str]] = {}
    block = ""
    for name, layer in layers.items():
        # A normalization is named bn2a after its convolution's res2a, or batchnorm_1: it belongs to what it
        # follows.
        if layer.family != "normalization" or not block:
            block = _prefix(layer) or name
        members.setdefault(block, []).append(name)
    return Blocks(
        {block: tuple(names) for block, names in members.items()},
        "layers whose names share a numbered prefix are one block (conv1_1 and conv1_2 are conv1)",
    )


def _between_poolings(outline: Outline, layers: Mapping[str, LayerOutline]) -> Blocks:
    members = {names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}": names for names in _runs(outline, layers)}
    return Blocks(members, "a block ends at each pooling, addition or flattening")


def _runs(outline: Outline, layers: Mapping[str, LayerOutline]) -> Iterator[tuple[str, ...]]:
    run: list[str] = []
    for layer in outline.layers:
        if layer.family in _CUTS and run:
            yield tuple(run)
            run = []
        if layer.name in layers:
            run.append(layer.name)
    if run:
        yield tuple(run)


def _prefix(layer: LayerOutline) -> str | None:
    """The numbered beginning of a name, or None where there is none or Keras made the name."""
    automatic = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=.)(?=[A-Z][a-z])", "_", layer.kind).lower()
    if re.sub(r"_\d+\Z", "", layer.name) == automatic:
        return None
    found = _NUMBERED.match(layer.name)
    return found.group() if found else None
