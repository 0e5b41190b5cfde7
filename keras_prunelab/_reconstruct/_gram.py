"""The matrix H of a linear map's inputs: summed, damped, factored, and what an error costs under it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas, lapack

from keras_prunelab._errors import InvalidDataError

from ._threads import linear_algebra_on

Matrix: TypeAlias = NDArray[np.float64]

DAMPING = 0.01
"""The default pull towards the old weights, as a share of the mean of H's diagonal."""

_FEW = 1024  # rows that wait at least
_MOST = 2**23  # numbers that are taken at once: an image makes a row of each pixel, far more than the matrix holds


@dataclass
class Gram:
    """The inputs of a linear map as the matrix that least squares needs: H = X'X / samples.

    Rows wait until there are many, so that the matrix, which may be far larger than they, is read and written seldom.

    Attributes:
        inputs: n, the columns of X, one of ones for a bias included.
        samples: the rows of X so far.
    """

    inputs: int
    samples: int = 0
    _mean: Matrix = field(init=False, repr=False)
    _cross: Matrix | None = field(default=None, init=False, repr=False)
    _energy: Matrix | None = field(default=None, init=False, repr=False)
    _inverse: tuple[float, Matrix] | None = field(default=None, init=False, repr=False)
    _waiting: list[tuple[Matrix, Matrix | None]] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        self._mean = np.zeros((self.inputs, self.inputs))

    def add(
        self,
        rows: NDArray[Any],
        reference: NDArray[Any] | None = None,
        weights: NDArray[np.floating] | None = None,
    ) -> None:
        """Add samples.

        Args:
            rows: samples x n.
            reference: the same samples as the unpruned network gives them, where `rows` come from a pruned one. Give
                them with every call or with none.
            weights: those of the unpruned network, n x m, whose outputs for the reference `energy` is of.

        Raises:
            InvalidDataError: the rows have another width, or hold a number that is NaN or infinite.
        """
        step = max(1, _MOST // max(1, self.inputs))
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            wide = _check(rows[part], self.inputs)
            whole = None if reference is None else _check(reference[part], self.inputs)
            if whole is not None and weights is not None:
                outputs = np.square(whole @ weights).sum(axis=0)
                self._energy = outputs if self._energy is None else self._energy + outputs
            self._waiting.append((wide, whole))
            self.samples += len(wide)
            if sum(len(each) for each, _ in self._waiting) >= max(_FEW, self.inputs // 4):
                self._take()

    def _take(self) -> None:
        """Take the rows that wait into the means."""
        if not self._waiting:
            return
        wide = np.concatenate([each for each, _ in self._waiting])
        references = [each for _, each in self._waiting if each is not None]
        self._waiting.clear()
        self._inverse = None
        if not wide.size:
            return
        new, old = 1 / self.samples, 1 - len(wide) / self.samples
        with linear_algebra_on(self.inputs):
            # The lower triangle of a matrix in Fortran's order is the upper one of its transpose, which has C's.
            blas.dsyrk(new, wide.T, beta=old, c=self._mean.T, lower=1, overwrite_c=1)
            cross = new * (wide.T @ np.concatenate(references)) if references else None
        _mirror_upper(self._mean)
        if cross is not None:
            self._cross = cross if self._cross is None else old * self._cross + cross

    @property
    def matrix(self) -> Matrix:
        """H, n x n: the mean over the samples. It is not copied: leave it as it is."""
        self._take()
        return self._mean

    @property
    def cross(self) -> Matrix | None:
        """X'^T X / samples, n x n, of rows and their reference; None where they are the same."""
        self._take()
        return self._cross

    @property
    def energy(self) -> Matrix | None:
        """The mean square of each output of the unpruned network, m numbers; None without a reference and weights."""
        return None if self._energy is None else self._energy / max(1, self.samples)

    def inverse(self, damping: float) -> Matrix:
        """The inverse of H with its damping; it is kept, as every level of a sweep needs it, and not copied.

        Raises:
            InvalidDataError: H is singular.
        """
        matrix = self.matrix
        if self._inverse is None or self._inverse[0] != damping:
            self._inverse = damping, inverse(damp(matrix, damping))
        return self._inverse[1]


def _check(rows: NDArray[Any], inputs: int) -> Matrix:
    if rows.ndim != 2 or rows.shape[1] != inputs:
        raise InvalidDataError(
            f"Rows of shape {rows.shape} were given to a layer with {inputs} inputs; they are samples x {inputs}."
        )
    wide = np.asarray(rows, np.float64)
    if not np.isfinite(wide).all():
        raise InvalidDataError(
            "The inputs of a layer hold NaN or infinite numbers; clean the calibration data, or leave the layer out."
        )
    return wide


def pull(gram: Matrix, damping: float) -> Matrix:
    """How strongly each weight is pulled towards its old value: what damping adds to H's diagonal.

    Args:
        gram: H, n x n.
        damping: a share of the mean of H's diagonal, at least 0; usually 0.001 to 0.01.

    Returns:
        n numbers. Where an input is always zero the pull is never 0, so that its weight stays what it was.

    Raises:
        InvalidDataError: the matrix is not square, not finite, or the damping is negative.
    """
    if gram.ndim != 2 or gram.shape[0] != gram.shape[1]:
        raise InvalidDataError(f"H is square, n x n for n inputs, not of shape {gram.shape}.")
    if not damping >= 0 or not np.isfinite(damping):
        raise InvalidDataError(f"damping={damping!r} is a number of at least 0, such as {DAMPING:g}.")
    diagonal = np.diagonal(gram)
    if not np.isfinite(diagonal).all():
        raise InvalidDataError("H holds numbers that are NaN or infinite; clean the calibration data.")
    amount = damping * float(diagonal.mean()) if diagonal.size else 0.0
    return np.where(diagonal == 0, amount or 1.0, amount)


def damp(gram: Matrix, damping: float) -> Matrix:
    """H with its damping: a copy with `pull` added to the diagonal."""
    copy = np.array(gram, np.float64)
    copy[np.diag_indices_from(copy)] += pull(gram, damping)
    return copy


def inverse(matrix: Matrix) -> Matrix:
    """Invert a symmetric, positive definite matrix in its own memory.

    Args:
        matrix: n x n; its memory is used for the result.

    Raises:
        InvalidDataError: it is singular.
    """
    if not matrix.size:
        return matrix
    with linear_algebra_on(len(matrix)):
        inverted, failed = lapack.dpotrf(matrix.T, lower=1, overwrite_a=1)
        if not failed:
            # The lower triangle of a matrix in Fortran's order is the upper one of its transpose, which has C's.
            inverted, failed = lapack.dpotri(inverted, lower=1, overwrite_c=1)
    if failed:
        raise singular()
    result: Matrix = inverted.T
    _mirror_upper(result)
    return result


def check_inputs(gram: Matrix, weights: NDArray[Any]) -> None:
    """Make sure that H belongs to some weights.

    Raises:
        InvalidDataError: it does not.
    """
    if weights.ndim != 2 or len(weights) != len(gram):
        raise InvalidDataError(
            f"Weights of shape {weights.shape} do not belong to an H of {len(gram)} inputs; they are inputs x outputs."
        )


def singular() -> InvalidDataError:
    """The error for an H that has no inverse."""
    return InvalidDataError(
        "The inputs of a layer depend on each other, so that its least squares have no single solution: give more "
        f"samples, or damping > 0, such as {DAMPING:g}."
    )


def squared_error(gram: Matrix, change: NDArray[Any]) -> NDArray[np.float64]:
    """The squared change of each output: the diagonal of D'HD, ||X D||^2 / samples.

    Args:
        gram: H, n x n, damped or not.
        change: D, the difference of two weight matrices, n x m.

    Returns:
        m numbers, one an output.
    """
    wide = np.asarray(change, np.float64)
    return np.asarray(np.einsum("ij,ij->j", gram @ wide, wide))


def squared_distance(gram: Matrix, cross: Matrix, energy: Matrix, old: Matrix, new: NDArray[Any]) -> Matrix:
    """The squared change of each output where the inputs change too: ||X' W' - X W||^2 / samples, m numbers.

    Args:
        gram: X'^T X' / samples, n x n.
        cross: X'^T X / samples, n x n.
        energy: the mean square of each output of X W, m numbers.
        old: W, n x m.
        new: W', n x m.
    """
    wide = np.asarray(new, np.float64)
    both = np.einsum("ij,ij->j", gram @ wide - 2 * (cross @ old), wide)
    return np.asarray(np.maximum(both + energy, 0.0))  # a difference of large numbers


def _mirror_upper(matrix: Matrix, size: int = 256) -> None:
    """Copy the upper triangle onto the lower one, tile by tile."""
    for start in range(0, len(matrix), size):
        stop = start + size
        tile = matrix[start:stop, start:stop]
        tile[:] = np.triu(tile) + np.triu(tile, 1).T
        matrix[stop:, start:stop] = matrix[start:stop, stop:].T
