"""A version that counts up, and that can be waited for: from other threads moved, in the event loop watched."""

from __future__ import annotations

import asyncio
import time


class Watch:
    """Used from the loop's thread only; begins at a number that no earlier link had."""

    def __init__(self) -> None:
        self._version = time.time_ns() // 1_000_000
        self._waiting: set[asyncio.Future[None]] = set()
        self._closed = False

    @property
    def version(self) -> int:
        """Counts up at every change."""
        return self._version

    def move(self) -> None:
        """Something changed."""
        self._version += 1
        self._wake()

    def close(self) -> None:
        """Hold nobody any more."""
        self._closed = True
        self._wake()

    async def wait(self, after: int, seconds: float) -> None:
        """Until the version is no longer ``after``, or the time is over."""
        if self._closed or self._version != after or seconds <= 0:
            return
        loop = asyncio.get_running_loop()
        waiting = loop.create_future()
        self._waiting.add(waiting)
        timer = loop.call_later(seconds, _end, waiting)
        try:
            await waiting
        finally:
            timer.cancel()
            self._waiting.discard(waiting)

    def _wake(self) -> None:
        for waiting in self._waiting:
            _end(waiting)


def _end(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
