"""The processes of a server: one for each run that is being driven."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import Any

from dgmmis.runs import RunFolder

__all__ = ["Driver", "Outcome"]

TAIL = 2000
"""Last bytes of what a process that died wrote."""


@dataclass(frozen=True)
class Outcome:
    """How a process ended.

    Attributes
    ----------
    code : int
        Its exit code; negative: the signal that killed it.
    error : str
        Type of the error, empty without one.
    message : str
        Of the error or result; of a process that died, the end of what it wrote.
    """

    code: int
    error: str
    message: str


class Driver:
    """A process that drives a run, and ends when this one does.

    Parameters
    ----------
    run : RunFolder
    order : dict
        With which means (cluster, workers, threads, memory_limit, access), and after how many `attempts`.

    Attributes
    ----------
    run : RunFolder
    passes_before : int
        Passes that were stored when it began.
    cancelled_at : float or None
        When its run was first seen cancelled.
    """

    def __init__(self, run: RunFolder, order: dict[str, Any]) -> None:
        self.run = run
        self.cancelled_at: float | None = None
        self.passes_before = len(run.checkpoint_numbers())
        self._out, self._err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115
        command = [
            sys.executable,
            "-P",
            "-m",
            "dgmmis.service.child",
            json.dumps({**order, "run": str(run.path)}, default=str),
        ]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=self._out,
            stderr=self._err,
            start_new_session=True,  # Ctrl-C at the server's terminal is the server's to pass on
        )

    @property
    def pid(self) -> int:
        """Number of its process."""
        return self._process.pid

    def progressed(self) -> bool:
        """Tell whether it stored a pass."""
        return len(self.run.checkpoint_numbers()) > self.passes_before

    def is_overdue(self, seconds: float) -> bool:
        """Tell whether its run was cancelled so long ago."""
        if self.cancelled_at is None and self.run.requests.is_cancelled():
            self.cancelled_at = time.monotonic()
        return self.cancelled_at is not None and time.monotonic() - self.cancelled_at > seconds

    def terminate(self) -> None:
        """Ask it to stop at the next boundary."""
        self._process.terminate()

    def kill(self) -> None:
        """End it at once; what is stored is whole at any moment."""
        self._process.kill()

    def outcome(self, wait: float = 0.0) -> Outcome | None:
        """Say how it ended; None if it has not after so many seconds."""
        try:
            code = self._process.wait(wait)
        except subprocess.TimeoutExpired:
            return None
        out, err = self._read(self._out), self._read(self._err)
        for stream in (self._process.stdin, self._out, self._err):
            if stream is not None:
                stream.close()
        try:
            said = json.loads(out.splitlines()[-1])
            return Outcome(code, said.get("error", ""), said["message"])
        except (IndexError, ValueError, KeyError):
            died = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
            return Outcome(code, "died", f"{died}; {err.strip()[-TAIL:]}".strip("; "))

    @staticmethod
    def _read(file: Any) -> str:
        file.seek(0)
        return bytes(file.read()).decode(errors="replace")
