"""Which of several pairs of inputs and labels a trained network knows: it agrees with its own labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from matlab_bridge._errors import BridgeError
from matlab_bridge.network import Network

from ._candidates import SeveralPairsError
from ._dataset import Dataset
from ._labels._predictions import predictions_of

_MOST_PAIRS = 12


def known_pair(
    several: SeveralPairsError, read: Callable[[str, str], Dataset], network: Network | None
) -> tuple[tuple[str, str], str]:
    """The only pair with which a network agrees.

    A network agrees with a pair where it is right at least halfway from always naming the pair's most frequent class
    to always being right.

    Args:
        several: the pairs that fit by their sizes.
        read: reads the data of a pair.
        network: the network; None where there is none to ask.

    Returns:
        The names of inputs and labels, and a sentence that says what was tried.

    Raises:
        SeveralPairsError: the network agrees with none or several of them, or cannot be asked; the message then says
            what was tried.
    """
    if network is None or len(several.pairs) > _MOST_PAIRS:
        raise several
    shares = [_agreement(read, pair, network) for pair in several.pairs]
    known = [pair for pair, share in zip(several.pairs, shares, strict=True) if share is not None and share[1]]
    tried = "; ".join(
        f"{x} with {y} " + ("cannot be asked about" if share is None else f"{share[0]:.1%}")
        for (x, y), share in zip(several.pairs, shares, strict=True)
    )
    text = f"The network's agreement with the pairs that fit, on a sample: {tried}."
    if len(known) != 1:
        raise SeveralPairsError(f"{several}\n{text}", several.pairs) from None
    return known[0], text


def _agreement(read: Callable[[str, str], Dataset], pair: Sequence[str], network: Network) -> tuple[float, bool] | None:
    """The share of labels of a pair that the network agrees with, and whether it knows them."""
    try:
        data = read(*pair)
    except BridgeError:
        return None
    if not data.class_names or data.labels is None or np.ndim(data.labels) != 1 or isinstance(data.labels, list):
        return None
    ask = predictions_of(network, data.inputs)
    answer = ask() if ask is not None else None
    if answer is None:
        return None
    positions, predicted = answer
    labels = np.asarray(data.labels)[positions]
    share = float(np.mean(labels == predicted))
    most = np.bincount(labels[labels >= 0], minlength=1).max() / len(labels)
    return share, share >= (1 + most) / 2
