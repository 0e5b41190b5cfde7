"""What "prune to sparsity s" means: the papers' rules, or those of MATLAB's example, as one value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from keras_prunelab._errors import UnknownNameError
from keras_prunelab._model._variables import Learnables

from ._removal import Ties


@dataclass(frozen=True)
class Convention:
    """The rules that the masks of a sweep follow.

    Attributes:
        name: what results call it.
        learnables: which variables count, and can go: `"weights"` (kernels) or `"all"`.
        ties: `"exact"`: exactly k = round(s N) weights go, of equal scores those that stand first;
            `"matlab"`: all weights go that are not above the threshold.
        rescoring: when a score that depends on the masks, such as SynFlow, is computed anew. `"rounds"`: for
            every sparsity, in as many rounds as the score asks for, on an exponential schedule from the
            dense network; `"levels"`: once at each sparsity, on the network pruned at the one before.
        source: where the rules stand.
        flow: what SynFlow's flow goes through. `"linear"`: the network without the constants that are added in it and
            without saturation, as the paper's theory has it; `"as built"`: the network with its input's offset,
            moving means and activations.
    """

    name: str
    learnables: Learnables
    ties: Ties
    rescoring: Literal["rounds", "levels"]
    source: str
    flow: Literal["linear", "as built"] = "linear"


PAPER = Convention(
    name="paper",
    learnables="weights",
    ties="exact",
    rescoring="rounds",
    source="Tanaka et al., Pruning neural networks without any data by iteratively conserving synaptic flow, "
    "NeurIPS 2020, https://arxiv.org/abs/2006.05467",
)
MATLAB = Convention(
    name="matlab",
    learnables="all",
    ties="matlab",
    rescoring="levels",
    source="MathWorks, example Parameter Pruning and Quantization of Image Classification Network",
    flow="as built",
)

_CONVENTIONS = {convention.name: convention for convention in (PAPER, MATLAB)}


def get(convention: str | Convention) -> Convention:
    """Find a convention by its name.

    Args:
        convention: `"paper"`, `"matlab"`, or a `Convention`, which is returned as it is.

    Returns:
        The convention.

    Raises:
        UnknownNameError: there is none of that name.
    """
    if isinstance(convention, Convention):
        return convention
    try:
        return _CONVENTIONS[convention]
    except (KeyError, TypeError):
        known = ", ".join(map(repr, _CONVENTIONS))
        raise UnknownNameError(f"convention={convention!r} is unknown; it is one of {known}.") from None
