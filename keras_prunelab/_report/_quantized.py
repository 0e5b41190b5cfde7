"""The part of a report about the networks as quantized files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pandas as pd

from keras_prunelab._evaluate._metric import percent
from keras_prunelab._result._quantized import SIZES, Quantized

from ._document import Block, Heading, Paragraph, See, Table

if TYPE_CHECKING:
    from ._findings import Findings

_SIZES = {"litert_bytes": "LiteRT file (bytes)", "flash_bytes": "in flash (bytes)"}


def quantized(findings: Findings) -> Iterator[Block]:
    """What became of accuracy and size in the exported files; nothing where none was measured."""
    result, choice, metric = findings.result, findings.choice, findings.result.metric
    found = Quantized.of(result)
    if found is None or found.points.empty:
        return
    facts, name = result.metadata, found.metric.name
    yield Heading("After quantization")
    at = found.points[
        (found.points["curve"] == choice.curve) & (found.points["sparsity_target"] == choice.sparsity_target)
    ]
    text = [f" has the networks as LiteRT files in {found.label}, run by their interpreter"]
    text.append(f"; {facts['quantized']}. " if "quantized" in facts else ". ")
    if len(at):
        row = at.iloc[0]
        loss = metric.difference(metric.goodness(row[metric.name]) - metric.goodness(row[name]))
        text.append(
            f"At the choice, {percent(choice.sparsity)}, the file has {metric.label} {metric.text(row[name])}, the "
            f"network {metric.text(row[metric.name])}: quantization costs {loss}. "
        )
    if "quantized_choice" in facts:
        text.append(f"Chosen by the files: {facts['quantized_choice']}")
    yield Paragraph((See("quantized"), "".join(text).strip()))
    if "files_left_out" in facts:
        yield Paragraph(f"Some files could not be measured: {facts['files_left_out']}", "note")
    yield Table("quantized", _rows(findings, found), _caption(found))


def _rows(findings: Findings, found: Quantized) -> pd.DataFrame:
    result, metric, name = findings.result, findings.result.metric, found.metric.name
    sizes = [each for each in SIZES if each in result.table]
    dense = {"sparsity": "dense network", metric.label: metric.text(result.dense), "file": metric.text(found.dense)}
    dense |= {_SIZES[each]: f"{result.metadata.get(f'dense_{each}', float('nan')):,.0f}" for each in sizes}
    rows = [dense]
    for _, point in found.points.sort_values("sparsity").iterrows():
        is_choice = point["sparsity_target"] == findings.choice.sparsity_target
        row = {
            "sparsity": f"{percent(point['sparsity'])}{', the choice' if is_choice else ''}",
            metric.label: metric.text(point[metric.name]),
            "file": metric.text(point[name]),
        }
        rows.append(row | {_SIZES[each]: f"{point[each]:,.0f}" for each in sizes})
    return pd.DataFrame(rows).rename(columns={"file": found.metric.label})


def _caption(found: Quantized) -> str:
    curves = ", ".join(dict.fromkeys(found.points["curve"]))
    return (
        f"The network of {curves}, and the file in {found.label} that it becomes. In flash: the file for TensorFlow "
        "Lite Micro, its zeros compressed."
        if "flash_bytes" in found.points
        else f"The network of {curves}, and the file in {found.label} that it becomes."
    )
