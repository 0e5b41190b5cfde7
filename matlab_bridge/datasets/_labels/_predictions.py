"""What a network says of some observations, for questions that the data alone do not answer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from matlab_bridge._errors import BridgeError
from matlab_bridge.datasets._values import Array, Sequences
from matlab_bridge.network import Network

from ._numbers import Predictions

_SAMPLE = 500


def predictions_of(network: Network | None, inputs: Array | Sequences) -> Callable[[], Predictions | None] | None:
    """A question to a network, which is converted to Keras only if it is asked.

    Args:
        network: the network, or None.
        inputs: observations; sequences of different lengths and complex numbers are not asked about.

    Returns:
        A function that gives the positions of up to 500 observations, spread over all, and the class of each;
        it gives None for a network that has no conversion. None where there is nothing to ask.
    """
    if network is None or isinstance(inputs, list) or inputs.dtype.kind == "c":
        return None

    def ask() -> Predictions | None:
        try:
            model = network.to_keras()
        except BridgeError:
            return None
        import keras

        positions = np.unique(np.linspace(0, len(inputs) - 1, min(_SAMPLE, len(inputs))).astype(np.intp))
        scores = np.asarray(keras.ops.convert_to_numpy(model(inputs[positions].astype(np.float32), training=False)))
        scores = scores.reshape(len(positions), -1)
        # A single sigmoid output tells two classes apart.
        return positions, scores.argmax(axis=1) if scores.shape[1] > 1 else (scores[:, 0] > 0.5).astype(np.intp)

    return ask
