"""Pruning at one level, and the masks at every level of one method."""
