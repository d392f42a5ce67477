"""Pulls that wait for mail, within the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from fi_workbench.transport.hosted.door import HttpConnection


class Parking:
    """One parked pull for each node; used from the loop's thread only."""

    def __init__(self) -> None:
        self._parked: dict[int, asyncio.Future[None]] = {}
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether nobody is parked any more."""
        return self._closed

    def __len__(self) -> int:
        return len(self._parked)

    def wake(self, nodes: Collection[int]) -> None:
        """There is something for these nodes."""
        for node in nodes:
            _end(self._parked.get(node))

    def close(self) -> None:
        """Wake everybody, and park nobody any more."""
        self._closed = True
        for waiting in list(self._parked.values()):
            _end(waiting)

    async def wait(self, node: int, seconds: float, connection: HttpConnection | None) -> None:
        """Wait until woken, the time is over, or the connection is lost. A newer pull of a node ends its older."""
        if self._closed or (connection is not None and connection.lost):
            return
        loop = asyncio.get_running_loop()
        _end(self._parked.get(node))
        waiting = self._parked[node] = loop.create_future()
        timer = loop.call_later(seconds, _end, waiting)
        if connection is not None:
            connection.on_lost = lambda: _end(waiting)
        try:
            await waiting
        finally:
            timer.cancel()
            if connection is not None:
                connection.on_lost = None
            if self._parked.get(node) is waiting:
                del self._parked[node]


def _end(waiting: asyncio.Future[None] | None) -> None:
    if waiting is not None and not waiting.done():
        waiting.set_result(None)
