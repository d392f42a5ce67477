"""A version that moves when something changed, not faster than anybody can look."""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import suppress

IDLE_SECONDS = 30.0
"""After this long without anybody looking, nothing is asked often."""

IDLE_PACE_SECONDS = 5.0


class Changes:
    """Counts changes for those who wait for the next one.

    Parameters
    ----------
    gap_seconds : float
        Changes that come faster are counted as one.
    """

    def __init__(self, gap_seconds: float = 0.2) -> None:
        self._gap = gap_seconds
        # A browser that comes back to a restarted server must not take its old number for the present one.
        self._run = secrets.token_hex(4)
        self._count, self._moved_at, self._due = 0, 0.0, False
        self._moved, self._arrived = asyncio.Event(), asyncio.Event()
        self._asked_at = 0.0
        self._n_waiting = 0

    @property
    def version(self) -> str:
        """Where the count is."""
        return f"{self._run}-{self._count}"

    async def pace(self, seconds: float) -> None:
        """Let `seconds` pass; where nobody looks, several times that, or until somebody does."""
        await asyncio.sleep(seconds)
        if not self._n_waiting and time.monotonic() - self._asked_at > IDLE_SECONDS:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._arrived.wait(), IDLE_PACE_SECONDS)

    def note(self) -> None:
        """Something changed."""
        if self._due:
            return
        self._due = True
        late = self._moved_at + self._gap - time.monotonic()
        asyncio.get_running_loop().call_later(max(0.0, late), self._move)

    async def wait(self, after: str, seconds: float) -> str:
        """Wait until the version is no longer `after`, or `seconds` have passed; the version then."""
        self._n_waiting += 1
        self._arrived.set()
        self._arrived.clear()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    while self.version == after:
                        await self._moved.wait()
        finally:
            self._n_waiting -= 1
            self._asked_at = time.monotonic()
        return self.version

    def _move(self) -> None:
        self._count, self._moved_at, self._due = self._count + 1, time.monotonic(), False
        self._moved.set()  # wakes all who wait now...
        self._moved.clear()  # ...and who comes later waits for the next
