"""The page that says which networks of real files convert."""

from __future__ import annotations

from pathlib import Path

import pytest

import matlab_bridge as mb

from .corpus_table import CONVERTED, TARGET, Row, page, reason, rows


def test_a_row_names_the_file_the_network_and_the_outcome() -> None:
    source = mb.Source(Path("anywhere") / "net.mat", "s.net", "DAGNetwork")
    row = Row("owner/repo: data/net.mat", source, "2 ReLU, Softmax", 3, 1234, "no: a|b")
    assert str(row) == (
        r"| owner/repo: data/net.mat | `s.net` | DAGNetwork | 3 | 1,234 | 2 ReLU, Softmax | no: a\|b |"
    )
    assert "Of\ntheir 1 networks 0 become Keras models; the last column says why" in page([row])


def test_faults_that_are_alike_are_told_once() -> None:
    faults = ["'a' (A), layer 1 of 9: none", "'b' (A), layer 2 of 9: none", "'c' (C), layer 3 of 9: none"]
    message = "\n".join(["2 layers fail:", *(f"  {fault}" for fault in faults), "Advice."])
    assert reason(message) == "'a' (A), layer 1 of 9: none; 'c' (C), layer 3 of 9: none"
    assert reason("No list.") == "No list."


@pytest.mark.corpus
@pytest.mark.slow
def test_the_page_is_up_to_date(corpus: Path) -> None:
    # Where it is not: python -m tests.corpus_table
    found = list(rows(corpus))
    assert TARGET.read_text(encoding="utf-8") == page(found)
    assert sum(row.outcome == CONVERTED for row in found) > len(found) / 2
