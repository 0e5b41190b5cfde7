from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import keras_prunelab as kpl

from .c_headers import RUN, compiled, needs_gcc, of_keras, randomized, run, sizes
from .random_networks import network

SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large)


@needs_gcc
@pytest.mark.slow
@settings(max_examples=40, suppress_health_check=SLOW)
@given(st.data(), st.sampled_from([0.0, 0.5, 0.9]), st.sampled_from(["size", "speed"]))
def test_random_networks(data: st.DataObject, sparsity: float, optimize: str) -> None:
    model = randomized(network(data.draw))
    if sparsity and any(len(weight.shape) > 1 for weight in model.trainable_weights):
        model = kpl.prune(model, sparsity)
    x = np.random.default_rng(1).normal(size=(4, *model.input_shape[1:])).astype("float32")
    with tempfile.TemporaryDirectory() as folder:
        kpl.export_c(model, Path(folder) / "net.h", optimize=optimize)
        program = compiled(Path(folder), RUN, sizes(model.inputs), sizes(model.outputs), "float32")
        found = run(program, x)
    wanted = of_keras(model, x)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * max(np.abs(wanted).max(), 1e-3))
