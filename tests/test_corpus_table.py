"""The page that says which networks of real files convert."""

from __future__ import annotations

from pathlib import Path

import pytest

import matlab_bridge as mb

from .corpus_table import CONVERTED, DEVICES, TARGET, Row, page, reason, rows
from .device_table import TARGETS, section

KNOWN = {
    *("ImageInputLayer", "FeatureInputLayer", "SequenceInputLayer"),
    *("Convolution2DLayer", "GroupedConvolution2DLayer", "TransposedConvolution2DLayer"),
    *("FullyConnectedLayer", "FlattenLayer", "DropoutLayer"),
    *("BatchNormalizationLayer", "CrossChannelNormalizationLayer"),
    *("ReLULayer", "LeakyReLULayer", "ClippedReLULayer", "ELULayer"),
    *("TanhLayer", "SigmoidLayer", "SoftmaxLayer"),
    *("MaxPooling2DLayer", "AveragePooling2DLayer", "GlobalAveragePooling2DLayer", "GlobalMaxPooling2DLayer"),
    *("AdditionLayer", "DepthConcatenationLayer", "ConcatenationLayer"),
    *("ClassificationOutputLayer", "RegressionOutputLayer", "PixelClassificationLayer"),
}


def test_a_row_names_the_file_the_network_and_the_outcome() -> None:
    layers = tuple(mb.Layer(name, f"nnet.cnn.layer.{kind}Layer") for name, kind in ("aA", "bA", "cB"))
    source = mb.Source(Path("anywhere") / "net.mat", "s.net", "DAGNetwork")
    row = Row("owner/repo: data/net.mat", mb.Network(layers, (), source=source), "no: a|b")
    assert str(row) == (r"| owner/repo: data/net.mat | `s.net` | DAGNetwork | 3 | 0 | 2 A, B | no: a\|b |")
    assert "Of\ntheir 1 networks 0 become Keras models; the last column says why" in page([row])


def test_faults_that_are_alike_are_told_once() -> None:
    faults = ["'a' (A), layer 1 of 9: none", "'b' (A), layer 2 of 9: none", "'c' (C), layer 3 of 9: none"]
    message = "\n".join(["2 layers fail:", *(f"  {fault}" for fault in faults), "Advice."])
    assert reason(message) == "'a' (A), layer 1 of 9: none; 'c' (C), layer 3 of 9: none"
    assert reason("No list.") == "No list."


def test_reasons_of_devices_are_counted_where_they_are_alike() -> None:
    c = "no: Model 'a' has 2 layers that export_c cannot write: 'x' (RNN): no form in C; 'y' (RNN): no form in C. Build"
    other = "other: Not in int8: it has a recurrent layer of 90 steps, and int8 takes at most 64, unrolled."
    found = [dict.fromkeys(TARGETS, CONVERTED), dict.fromkeys(TARGETS, c), dict.fromkeys(TARGETS, other)]
    found += [dict.fromkeys(TARGETS, text) for text in ("length: ", "length: ", "length: ")]
    page = section([*found, dict.fromkeys(TARGETS, c.replace("'a'", "'b'"))])
    for target in TARGETS:
        assert f"| {target} | 1 | 3 | 1 | 2 |" in page
        assert f"| {target} | 2 | RNN: no form in C |" in page
        assert f"| {target} | 1 | Not in int8: it has a recurrent layer of N steps, and int8 takes at most N" in page


@pytest.mark.corpus
@pytest.mark.slow
def test_every_network_of_known_layers_converts_and_the_page_says_so(corpus: Path) -> None:
    found = list(rows(corpus))
    for row in found:
        if {layer.class_name.removeprefix("nnet.cnn.layer.") for layer in row.network.layers} <= KNOWN:
            assert row.outcome == CONVERTED, row.file
    # Where the page is out of date: python -m tests.corpus_table
    assert TARGET.read_text(encoding="utf-8").partition(f"\n{DEVICES}")[0] == page(found)
