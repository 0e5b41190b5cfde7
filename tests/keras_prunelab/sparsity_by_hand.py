"""Sparsities as one writes them, and how many weights go at each, from the definition."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import strategies as st


def sparsities(lowest: float = 0, highest: float = 0.999) -> st.SearchStrategy[float]:
    """Numbers of three decimals."""
    return st.integers(round(1000 * lowest), round(1000 * highest)).map(lambda thousandths: thousandths / 1000)


def count_by_hand(sparsity: float, total: int) -> int:
    """Round s N, s as it is written in decimal, halves up."""
    return int(Fraction(repr(float(sparsity))) * total + Fraction(1, 2))
