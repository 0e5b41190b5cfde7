"""Recurrent layers with random weights and states, as MATLAB saves them."""

from __future__ import annotations

from typing import Any

import numpy as np

from matlab_bridge import Layer

from .layer_tools import layer, normal
from .networks_by_hand import row

GATES = {"LSTM": 4, "BiLSTM": 8, "GRU": 3, "LSTMProjected": 4, "GRUProjected": 3}
MODES = ["after-multiplication", "before-multiplication", "recurrent-bias-after-multiplication"]


def recurrent(kind: str, inputs: int, units: int, *, seed: int = 1, has_state: bool = False, **settings: Any) -> Layer:
    """A layer such as `recurrent("GRU", 3, 5, ResetGateMode=...)`; its states are zero unless `has_state`."""
    rows = GATES[kind] * units
    projected = {"InputProjectorSize": 2, "OutputProjectorSize": 3} if kind.endswith("Projected") else {}
    q, p = projected.get("InputProjectorSize", inputs), projected.get("OutputProjectorSize", units)
    has_two_biases = settings.get("ResetGateMode", "").startswith("recurrent")
    learnables = {
        "InputWeights": normal(seed, rows, q),
        "RecurrentWeights": normal(seed + 1, rows, p) / 2,
        "Bias": normal(seed + 2, rows * (2 if has_two_biases else 1), 1),
    }
    if projected:
        learnables |= {"InputProjector": normal(seed + 3, inputs, q), "OutputProjector": normal(seed + 4, units, p)}
    names = ["HiddenState"] if kind.startswith("GRU") else ["HiddenState", "CellState"]
    size = 2 * units if kind == "BiLSTM" else units
    states = {name: normal(seed + 5 + n, size, 1) * has_state for n, name in enumerate(names)}
    return layer(
        "memory",
        f"{kind}Layer",
        {
            "InputSize": row(inputs),
            "NumHiddenUnits": row(units),
            "ReturnSequence": np.array([[True]]),
            **({"ResetGateMode": MODES[0]} if kind.startswith("GRU") else {}),
            **{name: row(size) for name, size in projected.items()},
            **settings,
        },
        learnables,
        states,
    )
