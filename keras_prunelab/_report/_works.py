"""What a report draws on, and what its terms mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras_prunelab._result._measurements import Measurements

TERMS = {
    "sparsity": "The share of the weights that count which are zero: at 90 % one weight in ten is left.",
    "standard error": "How much a number would vary with other observations of the same kind. That of a loss is taken "
    "over the same observations for both networks, and is smaller than that of either accuracy.",
    "compression": "All weights of the network divided by those that are left (Blalock et al. 2020).",
    "bytes": "The weights as stored in their own type, the kept values and one bit a weight that says which these are.",
    "speedup": "A limit, not a measured time: multiply-adds of the dense network divided by those with a weight left. "
    "Scattered zeros save time only with sparse arithmetic.",
}
"""The terms of the table of trade-offs, as they are used there."""

_LI = "H. Li, A. Kadav, I. Durdanovic, H. Samet, H. P. Graf. Pruning Filters for Efficient ConvNets. ICLR 2017."
_BLALOCK = (
    "D. Blalock, J. J. Gonzalez Ortiz, J. Frankle, J. Guttag. What is the State of Neural Network Pruning? MLSys 2020."
)
_KNEE = (
    "V. Satopää, J. Albrecht, D. Irwin, B. Raghavan. Finding a “Kneedle” in a Haystack: Detecting Knee Points in "
    "System Behavior. ICDCS Workshops 2011."
)
_MATLAB = (
    "MathWorks. Parameter Pruning and Quantization of Image Classification Network. Example of the Deep Learning "
    "Toolbox."
)
_BY_SCORE = {
    "magnitude": "S. Han, J. Pool, J. Tran, W. J. Dally. Learning both Weights and Connections for Efficient Neural "
    "Networks. NIPS 2015.",
    "synflow": "H. Tanaka, D. Kunin, D. L. K. Yamins, S. Ganguli. Pruning Neural Networks without any Data by "
    "Iteratively Conserving Synaptic Flow. NeurIPS 2020.",
    "snip": "N. Lee, T. Ajanthan, P. H. S. Torr. SNIP: Single-shot Network Pruning based on Connection Sensitivity. "
    "ICLR 2019.",
    "grasp": "C. Wang, G. Zhang, R. Grosse. Picking Winning Tickets before Training by Preserving Gradient Flow. "
    "ICLR 2020.",
    "wanda": "M. Sun, Z. Liu, A. Bair, J. Z. Kolter. A Simple and Effective Pruning Approach for Large Language "
    "Models. ICLR 2024.",
    "obd": "Y. LeCun, J. S. Denker, S. A. Solla. Optimal Brain Damage. NIPS 1989.",
    "obs": "B. Hassibi, D. G. Stork. Second Order Derivatives for Network Pruning: Optimal Brain Surgeon. NIPS 1992.",
}


def works(result: Measurements) -> tuple[str, ...]:
    """The works that the report of a sweep draws on, by the first author's name."""
    scores = list(dict.fromkeys(result.table["score"].astype(str))) if "score" in result.table else []
    found = [work for name, work in _BY_SCORE.items() if any(name in score for score in scores)]
    found += [_LI, _BLALOCK, _KNEE, *([_MATLAB] if result.convention == "matlab" else [])]
    return tuple(sorted(found, key=_surname))


def _surname(work: str) -> str:
    first = work.partition(",")[0] if "," in work.partition(". ")[2] else work
    return first.split()[-1] if not work.startswith("MathWorks") else "MathWorks"
