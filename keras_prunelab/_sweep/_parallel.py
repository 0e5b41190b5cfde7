"""Stub."""
from __future__ import annotations
from typing import Any
def wanted_workers(workers: int | None) -> int:
    return 1 if workers is None else workers
class Workers:
    def __init__(self, task: Any, workers: int) -> None:
        raise NotImplementedError
