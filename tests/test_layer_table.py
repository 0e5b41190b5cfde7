"""The table of MATLAB's layers: every one converts or has its reason, and the page says so."""

from __future__ import annotations

from matlab_bridge._layer_classes import LAYER_CLASSES, without_rule
from matlab_bridge.convert._rules import registered

from .layer_table import TARGET, page


def test_every_layer_converts_or_has_a_reason() -> None:
    for layer in LAYER_CLASSES:
        assert (layer.class_name in registered()) != bool(layer.reason), layer


def test_no_layer_is_listed_twice() -> None:
    names = [layer.class_name for layer in LAYER_CLASSES]
    functions = [layer.constructor for layer in LAYER_CLASSES]
    assert len(set(names)) == len(names)
    assert len(set(functions)) == len(functions)


def test_every_rule_is_of_a_layer_that_is_listed() -> None:
    listed = {layer.class_name for layer in LAYER_CLASSES}
    # Two packages have had these layers.
    moved = {name.replace("rl.layer.", "nnet.cnn.layer.") for name in listed}
    # Those of nnet.keras come with networks that MATLAB imported; no function makes them.
    assert {name for name in registered() if name.startswith(("nnet.cnn.", "rl."))} <= listed | moved


def test_an_error_says_the_reason() -> None:
    assert without_rule("nnet.cnn.layer.NeuralODELayer").endswith(
        ": it solves a differential equation, for which Keras has no layer"
    )
    assert without_rule("nnet.cnn.layer.OfTomorrowLayer") == "its class has no conversion"
    assert "is not one of MathWorks' own" in without_rule("sigmoidLayer")


def test_the_page_is_up_to_date() -> None:
    # Where it is not: python -m tests.layer_table
    assert TARGET.read_text(encoding="utf-8") == page()
