"""ExactOBS: in which order the weights of each output go, and what each removal costs.

Frantar and Alistarh, Optimal brain compression, NeurIPS 2022, https://arxiv.org/abs/2208.11580.

The paper updates the inverse of H after each removal, n^2 numbers read and written for two operations each. Here the
updates wait: a removal computes the one row of the inverse that it needs, from the inverse as it was some removals ago
and the rows since then. A block of them is then taken off in one product of matrices, of the inputs that are left
alone. As the inverse is symmetric that is n^3 / 6 multiply-adds an output, half as many as before, at the speed of a
product. Inverses of large layers are in single precision, as those of the paper; H is inverted in double.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_prunelab._errors import InvalidDataError

from ._gram import DAMPING, Matrix, check_inputs, damp, inverse
from ._steps import Lanes
from ._threads import cores, run

_MEMORY = 2**30
_MOST_LANES = 16
_SINGLE = 1024  # from so many inputs on an inverse is in single precision: half the memory, and twice as fast
_APART = 1e-13


@dataclass(frozen=True)
class Trace:
    """The removals of each output's weights in order, or of each group of outputs that share their masks.

    Attributes:
        order: the numbers of the units that go, removals x groups.
        losses: what each removal adds to the objective ||X w' - X w||^2 / samples + d ||w' - w||^2, removals x groups.
        units: the number of the unit of each input, n; -1 where it always stays.
        together: how many neighbouring outputs are a group.
        outputs: m.
    """

    order: NDArray[np.int32]
    losses: Matrix
    units: NDArray[np.int32]
    together: int
    outputs: int

    def mask(self, counts: int | NDArray[np.integer]) -> NDArray[np.bool_]:
        """Which weights stay after so many removals.

        Args:
            counts: how many units have gone: one number, or one for each group of outputs.

        Returns:
            n x m booleans, True where a weight stays.
        """
        steps, groups = self.order.shape
        wanted = np.broadcast_to(np.asarray(counts), groups)
        if wanted.size and not (wanted.min() >= 0 and wanted.max() <= steps):
            raise InvalidDataError(f"A trace of {steps} removals has no mask after {counts}.")
        # One more unit, which always stays, for the inputs that have none.
        kept = np.ones((int(self.units.max(initial=-1)) + 2, groups), np.bool_)
        ahead = np.arange(steps)[:, None] < wanted
        np.put_along_axis(kept, self.order, ~ahead, axis=0)
        return self._spread(kept)

    def scores(self, sensitivity: NDArray[np.floating] | None = None) -> Matrix:
        """What each weight is worth, comparable between outputs and layers.

        A removal is worth no less than those it waits for, so that the lowest scores go in the order of the trace. The
        weights of a unit share its loss.

        Args:
            sensitivity: how much the network's loss feels each output, m numbers; by default all the same. Of outputs
                that are a group the mean counts.

        Returns:
            n x m numbers; infinite where a weight never goes.
        """
        steps, groups = self.order.shape
        worth = np.maximum.accumulate(self.losses, axis=0) if steps else self.losses
        # What waits for the same removal goes in order too: a difference beyond what a loss can be told by.
        worth = worth * (1 + _APART * np.arange(steps)[:, None])
        if sensitivity is not None:
            starts = np.arange(0, self.outputs, self.together)
            lengths = np.diff(np.append(starts, self.outputs))
            worth = worth * (np.add.reduceat(np.asarray(sensitivity, np.float64), starts) / lengths)
        size = np.bincount(self.units[self.units >= 0], minlength=int(self.units.max(initial=-1)) + 1)
        spread = np.full((len(size) + 1, groups), np.inf)
        np.put_along_axis(spread, self.order, worth / (size[self.order] * self.together), axis=0)
        return self._spread(spread)

    def _spread(self, by_unit: NDArray[Any]) -> NDArray[Any]:
        return np.repeat(by_unit[self.units], self.together, axis=1)[:, : self.outputs]


def trace(
    gram: Matrix,
    weights: NDArray[np.floating],
    *,
    units: NDArray[np.integer] | None = None,
    together: int = 1,
    n_of_m: tuple[int, int] | None = None,
    steps: int | None = None,
    damping: float = DAMPING,
    memory: int = _MEMORY,
    inverted: Matrix | None = None,
    on_part: Callable[[int, int], None] | None = None,
) -> Trace:
    """Remove weights one by one, always the one that costs least while the others make up for it.

    Of equal costs the first goes. Weights whose input is always zero cost nothing and go first, whatever the damping.

    Args:
        gram: H = X'X / samples, n x n.
        weights: n x m, one column an output.
        units: the number of the unit that each input belongs to; -1 for one that always stays, such as a bias. The
            inputs of a unit go together, all units being equally large. By default each input for itself.
        together: how many neighbouring outputs lose the same units.
        n_of_m: N and M: of each M units in order of their numbers, N stay; the trace ends there.
        steps: how many units go; by default all that may.
        damping: a share of the mean of H's diagonal, at least 0.
        memory: in bytes, for the inverses that are worked on at the same time.
        inverted: the inverse of the damped H, which is only read; by default it is computed.
        on_part: called as `on_part(done, total)` when some outputs are done.

    Returns:
        The order and the losses.

    Raises:
        InvalidDataError: H does not fit, is singular, or the units differ in size.
    """
    check_inputs(gram, weights)
    numbers, rows = _order(len(gram), units)
    size = rows.shape[1]
    count = len(rows)
    most = count if n_of_m is None else _most(count, *n_of_m)
    last = most if steps is None else min(steps, most)
    old = np.array(weights, np.float64)
    old[np.diagonal(gram) == 0] = 0.0
    groups = -(-old.shape[1] // together)
    columns = np.zeros((groups * together, count * size))
    columns[: old.shape[1]] = old[rows.ravel()].T
    order = np.zeros((last, groups), np.int32)
    losses = np.zeros((last, groups))
    # Inputs that stay need no row: they only change the inverse of those that may go.
    start = inverse(damp(gram, damping)) if inverted is None else inverted
    start = start if rows.size == len(gram) and size == 1 else start[np.ix_(rows.ravel(), rows.ravel())]
    start = start.astype(np.float32 if len(start) >= _SINGLE else np.float64, copy=False)

    def follow(first: int) -> None:
        chosen = slice(first, first + lanes)
        theirs = columns.reshape(groups, together, -1)[chosen]
        state = Lanes(start, theirs, size, n_of_m)
        state.follow(order[:, chosen], losses[:, chosen])

    lanes = _lanes(groups, start.nbytes, memory)
    run(follow, range(0, groups if last else 0, lanes), on_part)
    return Trace(order, losses, numbers, together, old.shape[1])


def multiply_adds(inputs: int, outputs: int, together: int = 1) -> float:
    """Estimate what a trace costs: n^3 / 6 for each group of outputs, and n^3 for the inverse."""
    return float(inputs) ** 3 * (1 + -(-outputs // together) / 6)


def memory(inputs: int, outputs: int) -> int:
    """The bytes that the inverses of a trace take, those that are worked on at the same time."""
    return _bytes(inputs) * min(cores() * _lanes(outputs, _bytes(inputs), _MEMORY), outputs)


def rounds(inputs: int, outputs: int) -> int:
    """How often a thread goes through all inputs, with some outputs each time."""
    return -(-outputs // (_lanes(outputs, _bytes(inputs), _MEMORY) * cores()))


def _bytes(inputs: int) -> int:
    return inputs * inputs * (4 if inputs >= _SINGLE else 8)


def _lanes(groups: int, each: int, memory: int) -> int:
    """How many outputs take their steps together, so that Python's time for a step is shared.

    Args:
        groups: how many there are.
        each: the bytes of an inverse.
        memory: the bytes that there are.
    """
    workers = min(cores(), groups) or 1
    fitting = memory // workers // max(1, each)
    return int(max(1, min(_MOST_LANES, fitting, -(-groups // workers))))


def _most(count: int, n: int, m: int) -> int:
    if not 0 < n < m or count % m:
        raise InvalidDataError(f"Of {count} units, {n} of every {m} cannot stay: give 0 < N < M, and units in whole M.")
    return count // m * (m - n)


def _order(inputs: int, units: NDArray[np.integer] | None) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """The unit of each input, and the inputs of each unit."""
    numbers = np.arange(inputs, dtype=np.int32) if units is None else np.asarray(units, np.int32)
    count = int(numbers.max(initial=-1)) + 1
    sizes = np.bincount(numbers[numbers >= 0], minlength=count)
    if numbers.shape != (inputs,) or (count and sizes.min() != sizes.max()):
        raise InvalidDataError(
            f"The units of {inputs} inputs are as many numbers, each equally often, from 0 on, or -1; not {numbers!r}."
        )
    rows = np.argsort(numbers, kind="stable")[np.count_nonzero(numbers < 0) :]
    return numbers, rows.reshape(count, -1) if count else rows.reshape(0, 1)
