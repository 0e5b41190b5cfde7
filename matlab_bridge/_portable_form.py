"""The names that the portable form of a network is made of; docs/portable-form.md describes it."""

from __future__ import annotations

FORMAT = "keras-prunelab network"
VERSION = 1
