"""What was solved, and how, as values that a person can read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import keras
import numpy as np

from keras_prunelab._text import visible

from ._method import Method, Solution
from ._solve import Flags
from ._statistics import LayerStatistics


@dataclass(frozen=True)
class SolvedMap:
    """How one linear map of a layer was solved.

    Attributes:
        layer: the path of the layer.
        part: which of its weights these are, such as `"kernel"`.
        method: `"exact"` for least squares; `"refined"` for SparseGPT's pass and conjugate gradients from there, where
            exact solutions would take too long.
        inputs: n, what each output is a sum of, with a bias one more.
        outputs: how many sums there are.
        kept: how many weights are not pruned.
        samples: how many rows of inputs the calibration data made; below n the solution leans on the old weights.
        before: the mean squared change of the outputs with the masked weights, relative to their mean square: 0.1 is
            10 %.
        after: the same with the new weights.
    """

    layer: str
    part: str
    method: Method
    inputs: int
    outputs: int
    kept: int
    samples: int
    before: float
    after: float

    @classmethod
    def all_of(
        cls, statistics: LayerStatistics, mask: Flags, solutions: Sequence[Solution], follows: bool | None = None
    ) -> list[SolvedMap]:
        """Describe what `solve_layer` has solved: one value a map, its matrices together."""
        left = iter(solutions)
        lines = []
        for each, grams in zip(statistics.maps, statistics.grams, strict=True):
            if follows is not None and each.follows != follows:
                continue
            own = [next(left) for _ in grams]
            energy, before, after = (
                sum(float(getattr(one, name).sum()) for one in own) for name in ("energy", "before", "after")
            )
            scale = 1 / energy if energy > 0 else 0.0
            methods = {one.method for one in own}
            lines.append(
                cls(
                    layer=statistics.layer.path,
                    part=each.name,
                    method="exact" if methods == {"exact"} else "refined",
                    inputs=each.places.shape[1],
                    outputs=each.places.shape[0] * each.places.shape[2],
                    kept=int(np.count_nonzero(each.read(mask))),
                    samples=grams[0].samples,
                    before=before * scale,
                    after=after * scale,
                )
            )
        return lines

    def __str__(self) -> str:
        few = f"; {self.samples} samples are fewer than its inputs" if self.samples < self.inputs else ""
        return visible(
            f"{self.layer}, {self.part}: {self.inputs} x {self.outputs}, {self.kept:,} kept, {self.method}, output "
            f"error {self.before:.2%} becomes {self.after:.2%}{few}"
        )


@dataclass(frozen=True)
class Reconstruction:
    """What `reconstruct` did.

    Attributes:
        model: the sparse model with new weights.
        mode: `"sequential"` or `"layers"`.
        damping: the pull towards the old weights.
        solved: the linear maps, in the order in which the model calls their layers.
        skipped: the layers that have lost weights and keep the others as they were, by path, with the reason.
        seconds: how long it took.
    """

    model: keras.Model = field(repr=False)
    mode: str
    damping: float
    solved: tuple[SolvedMap, ...]
    skipped: Mapping[str, str]
    seconds: float

    @property
    def methods(self) -> dict[str, Method]:
        """How each layer was solved, by path."""
        found: dict[str, Method] = {}
        for each in self.solved:
            found[each.layer] = each.method if found.get(each.layer, "exact") == "exact" else "refined"
        return found

    def __str__(self) -> str:
        how = "one after the other" if self.mode == "sequential" else "all at once"
        lines = [f"{len(self.methods)} layers solved anew, {how}, in {self.seconds:.1f} s (damping {self.damping:g})"]
        lines += [f"  {each}" for each in self.solved]
        lines += [f"  {path} keeps its masked weights: {reason}" for path, reason in self.skipped.items()]
        return visible("\n".join(lines))
