"""One federation run by a process of the server's own: what it says, its log, and its end.

The process holds the other end of a pipe and ends when that closes: a server that is killed leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

MAX_LINES = 500
MAX_LINE = 2000
_READ_LIMIT = 64 * 2**10

COMMAND = (sys.executable, "-m", "fi_workbench")


@dataclass(frozen=True)
class Task:
    """Long work under way: what, and how far."""

    task: str
    done: int
    total: int


class Child:
    """A running process.

    Parameters
    ----------
    process : asyncio.subprocess.Process
        With pipes for all three streams, in a session of its own.
    on_change : callable
        Called whenever something below has changed.

    Attributes
    ----------
    task : Task or None
        What it prepares.
    problem : str
        What it said went wrong.
    """

    def __init__(self, process: asyncio.subprocess.Process, on_change: Callable[[], None]) -> None:
        self._process, self._on_change = process, on_change
        self._log: deque[str] = deque(maxlen=MAX_LINES)
        self.task: Task | None = None
        self.problem = ""
        self.stopping = False
        self._reading = [asyncio.create_task(self._read_events()), asyncio.create_task(self._read_log())]
        self.ended = asyncio.create_task(self._wait())

    @classmethod
    async def start(
        cls, arguments: Sequence[str], on_change: Callable[[], None], command: Sequence[str] = COMMAND
    ) -> Child:
        """Start ``fi-workbench`` with these arguments."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *command, *arguments, stdin=pipe, stdout=pipe, stderr=pipe, limit=_READ_LIMIT, start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        return cls(process, on_change)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """Its exit status; None while it runs."""
        return self._process.returncode

    @property
    def log(self) -> list[str]:
        """Its last lines, each with the time at which it came."""
        return list(self._log)

    @property
    def why(self) -> str:
        """Why it ended, as far as it said."""
        if self.problem:
            return self.problem
        last = self._log[-1].split(" ", 1)[-1] if self._log else ""
        return f"Its process ended with status {self.status}." + (f" Its last words: {last[:200]}" if last else "")

    async def stop(self, patience_seconds: float = 5.0) -> None:
        """End it: by closing its input, and if that is not enough by signals to it and what it started."""
        self.stopping = True
        self._on_change()
        if self._process.stdin is not None:
            self._process.stdin.close()
        for forced in (signal.SIGTERM, signal.SIGKILL):
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self.ended), patience_seconds)
                return
            if self._process.returncode is None:  # not reaped, so its id is its own
                with suppress(ProcessLookupError):
                    os.killpg(self._process.pid, forced)
        await asyncio.shield(self.ended)

    async def _wait(self) -> int:
        status = await self._process.wait()
        # What it started may hold its streams open; what it said itself is there by now.
        await asyncio.wait(self._reading, timeout=1.0)
        for reading in self._reading:
            reading.cancel()
        self._on_change()
        return status

    async def _read_events(self) -> None:
        async for line in _lines(self._process.stdout):
            try:
                event = json.loads(line)
            except ValueError:
                event = None
            if isinstance(event, dict):
                self._take(event)
            elif line.strip():
                self._note(line)
            self._on_change()

    async def _read_log(self) -> None:
        async for line in _lines(self._process.stderr):
            if line.strip():
                self._note(line)
                self._on_change()

    def _take(self, event: dict[str, Any]) -> None:
        kind = event.get("event")
        if kind == "preparing":
            done, total = (value if isinstance(value, int) else 0 for value in (event.get("done"), event.get("total")))
            self.task = Task(str(event.get("task", ""))[:200], done, total)
        elif kind == "up":
            self.task = None
            self._note(f"up at {str(event.get('address', ''))[:200]}")
        elif kind == "error":
            self.problem = str(event.get("text", ""))[:1000]
            self._note(self.problem)

    def _note(self, line: str) -> None:
        at = datetime.fromtimestamp(time.time()).astimezone()
        self._log.append(f"{at:%H:%M:%S} {line.rstrip()[:MAX_LINE]}")


async def _lines(stream: asyncio.StreamReader | None) -> Any:
    """The stream's lines as text; one that is longer than any sensible line is left out and said so."""
    while stream is not None:
        try:
            line = await stream.readline()
        except ValueError:
            yield "(a line that was too long is left out)"
            continue
        if not line:
            return
        yield line.decode(errors="replace")
