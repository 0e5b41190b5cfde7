"""The command that this process carries out, where it is one of `prunelab`."""

from __future__ import annotations

from contextvars import ContextVar

COMMAND: ContextVar[str] = ContextVar("COMMAND", default="")
"""The command line, as it is typed; empty where Python code calls the functions itself."""
