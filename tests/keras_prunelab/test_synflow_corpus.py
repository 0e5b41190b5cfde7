"""SynFlow on networks that MATLAB trained: zero-centred inputs, moving means, ReLU."""

from __future__ import annotations

import numpy as np
import pytest

import keras_prunelab as kpl
from matlab_bridge import load_dataset, load_network

pytestmark = pytest.mark.corpus

MNIST = "transafeailab__nnv/examples__artifact__CAV2020_ImageStar__MNIST_NETS__"


@pytest.mark.parametrize(("size", "least"), [("Small", 0.95), ("Medium", 0.99), ("Large", 0.99)])
def test_half_of_the_weights_go_without_harm(corpus, size, least):
    net = load_network(corpus / f"{MNIST}Architecture__{size}_ConvNet.mat")
    data = load_dataset(corpus / f"{MNIST}{size}__images.mat", network=net)
    pruned = kpl.prune(net.to_keras(), 0.5, score="synflow")
    assert kpl.sparsity(pruned) == pytest.approx(0.5, abs=1e-4)
    assert np.mean(pruned.predict(data.inputs, verbose=0).argmax(-1) == data.labels) >= least
