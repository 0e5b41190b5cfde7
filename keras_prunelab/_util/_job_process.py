"""A process that answers one job after the other, for code that may end the process that it runs in."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class JobEndedError(RuntimeError):
    """A job ended the process that it ran in, or did not come to an end."""


class JobProcess:
    """A process that is started when it is first asked, and anew where a job ended it.

    The script reads jobs as lines of JSON from its input and answers each with a line of JSON; it imports nothing of
    this package.
    """

    def __init__(self, script: Path, environment: Mapping[str, str]) -> None:
        """Describe a process.

        Args:
            script: what it runs, by its path, so that it is found however this package was.
            environment: variables that it has beside those of this process.
        """
        self._script, self._environment = script, environment
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._owner = os.getpid()
        atexit.register(self.close)

    def ask(self, job: Mapping[str, Any], seconds: float | None = None) -> Any:
        """Do a job; returns the answer.

        Args:
            job: what JSON can hold.
            seconds: after which the process is ended; None for never.

        Raises:
            JobEndedError: the job ended the process, or took too long.
        """
        with self._lock:
            # A process that was forked from this one shares its pipes, and must have a child of its own.
            if self._process is None or self._owner != os.getpid() or self._process.poll() is not None:
                self._process, self._owner = self._start(), os.getpid()
            stdin, stdout = self._process.stdin, self._process.stdout
            if stdin is None or stdout is None:
                raise RuntimeError("The process has no pipes.")
            timer = threading.Timer(seconds or 0, self._process.kill)
            timer.daemon = True
            if seconds is not None:
                timer.start()
            try:
                with contextlib.suppress(BrokenPipeError):
                    stdin.write(json.dumps(job) + "\n")
                    stdin.flush()
                answer = stdout.readline()
            finally:
                timer.cancel()
            if answer:
                return json.loads(answer)
            self.close()
            raise JobEndedError(self._script.name)

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _start(self) -> subprocess.Popen[str]:
        found = [path or os.fspath(Path.cwd()) for path in sys.path]  # modules of layers are found where they were
        return subprocess.Popen(  # noqa: S603  # this Python, and a module of this package
            [sys.executable, "-P", str(self._script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            env={**os.environ, **self._environment, "PYTHONPATH": os.pathsep.join(found)},
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
