"""Worker processes as the benchmark holds them: told what to do, measured, and gone at the end."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import psutil

REPOSITORY = Path(__file__).parents[2]
STOP_SECONDS = 5.0
REPLY_SECONDS = 600.0
_PIECE = 1 << 16


class WorkerFailed(RuntimeError):
    """A worker could not do what it was told, or has ended."""


class Worker:
    """One process that serves commands (:mod:`benchmarks.secure.serving`); a context manager that ends it.

    Parameters
    ----------
    module : str
        Run with ``-m``.
    log : Path
        What it writes on its standard error.
    arguments : sequence of str
    python : str
        The interpreter, of whichever environment.
    environment : dict, optional
        Beside this process's own variables.
    prefix : sequence of str
        Of the command: the way into a network namespace.
    """

    def __init__(
        self,
        module: str,
        log: Path,
        arguments: Sequence[str] = (),
        python: str = sys.executable,
        environment: dict[str, str] | None = None,
        prefix: Sequence[str] = (),
    ) -> None:
        self.name = f"{module} {' '.join(arguments)}"
        self._log = log
        alone = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                [*prefix, python, "-m", module, *arguments], cwd=REPOSITORY, stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=file, bufsize=0, env={**os.environ, **alone, **(environment or {})},
            )  # fmt: skip
        self._read = b""

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def cpu_seconds(self) -> float:
        """User and system time so far."""
        times = psutil.Process(self.pid).cpu_times()
        return times.user + times.system

    @property
    def peak_bytes(self) -> int:
        """Most resident memory so far."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024

    def tell(self, command: str, **given: Any) -> None:
        """Say what to do; :meth:`reply` waits for the end of it."""
        assert self._process.stdin is not None
        text, sent = f"{json.dumps({'do': command, **given})}\n".encode(), 0
        try:
            while sent < len(text):
                sent += self._process.stdin.write(text[sent:])
        except BrokenPipeError:
            raise WorkerFailed(self._said("has ended")) from None

    def reply(self, seconds: float = REPLY_SECONDS) -> Any:
        """What came of the command told first of those not replied to.

        Raises
        ------
        WorkerFailed
        """
        assert self._process.stdout is not None
        end, pieces = time.monotonic() + seconds, [self._read]
        while b"\n" not in pieces[-1]:
            ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                raise WorkerFailed(self._said(f"did not reply within {seconds:.0f} s"))
            if not (piece := os.read(self._process.stdout.fileno(), _PIECE)):
                raise WorkerFailed(self._said("has ended"))
            pieces.append(piece)
        line, _, self._read = b"".join(pieces).partition(b"\n")
        told = json.loads(line)
        if "error" in told:
            raise WorkerFailed(f"{self.name}: {told['error']}")
        return told["reply"]

    def do(self, command: str, **given: Any) -> Any:
        """Tell, and wait."""
        self.tell(command, **given)
        return self.reply()

    def stop(self) -> None:
        """Let it end; killed if it does not."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _said(self, what: str) -> str:
        return f"{self.name} {what}; its log ends with:\n{self._log.read_text(errors='replace')[-1500:]}"


def all_do(workers: Iterable[Worker], command: str, **given: Any) -> list[Any]:
    """Tell all the same, and wait for all."""
    told = list(workers)
    for worker in told:
        worker.tell(command, **given)
    return [worker.reply() for worker in told]


def stop_all(workers: Iterable[Worker]) -> None:
    """End all, whatever fails."""
    for worker in workers:
        worker.stop()
