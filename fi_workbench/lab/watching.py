"""One federation under watch: what its desk says, asked again and again for as long as it is announced."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from fi_workbench.core.errors import Closed, FederationError
from fi_workbench.lab.children import Child
from fi_workbench.lab.desk_client import DeskClient
from fi_workbench.lab.records import DeskStatus

QUIET_SECONDS = 25.0
"""How long a desk may keep a question that nothing has changed for."""

BUSY_SECONDS = 1.0
"""The same while rounds run: their rate falls without anything happening."""

RETRY_SECONDS = 2.0

NOTHING_SAID = DeskStatus.from_json({"parties": []})
"""What is known of a federation that has not answered yet."""


class Announcement(Protocol):
    """What a federation leaves in the runtime folder, so that others on this machine find it."""

    @property
    def id(self) -> str:
        """Its own, for as long as it runs."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def pid(self) -> int:
        """Of the process that hosts it."""

    @property
    def desk(self) -> str:
        """``http://127.0.0.1:PORT``."""

    @property
    def token(self) -> str:
        """Opens the desk."""

    @property
    def by(self) -> str:
        """``kernel``, ``panel`` or ``cli``."""


class Watched:
    """A federation in the list.

    Parameters
    ----------
    id : str
        What routes and pages call it.
    name : str
    by : str
    on_change : callable
        Called whenever what is shown of it has changed.
    pace : async callable
        Awaited before each question to the desk.
    """

    def __init__(
        self, id: str, name: str, by: str, on_change: Callable[[], None], pace: Callable[[], Awaitable[None]]  # noqa: A002
    ) -> None:  # fmt: skip
        self.id, self.name, self.by = id, name, by
        self.child: Child | None = None
        self.announced: Announcement | None = None
        self._on_change, self._pace = on_change, pace
        self._desk: DeskClient | None = None
        self._watching: asyncio.Task[None] | None = None
        self._status: DeskStatus | None = None
        self._lost = ""
        self._since = time.time()

    @property
    def state(self) -> str:
        """``preparing``, ``up``, ``lost``, ``stopping`` or ``failed``."""
        if self.child is not None and self.child.status is not None:
            return "failed"
        if self.child is not None and self.child.stopping:
            return "stopping"
        if self._lost:
            return "lost"
        return "preparing" if self._status is None else "up"

    @property
    def desk(self) -> DeskClient:
        """Where it takes orders.

        Raises
        ------
        Closed
            While it has none.
        """
        if self._desk is None:
            raise Closed(f"Federation {self.name!r} is {self.state}, and takes no orders; look at its log.")
        return self._desk

    def shown(self) -> dict[str, Any]:
        """What a browser is told of it; never the desk's token."""
        state = self.state
        task = self.child.task if self.child is not None else None
        about = self._status.shown() if self._status is not None else {}
        if state != "up":
            about = about | {"rounds_per_second": 0.0}
        reason = self._lost
        if self.child is not None and state == "failed":
            reason = self.child.why
        shown_task = None if task is None else {"task": task.task, "done": task.done, "total": task.total}
        entry = {
            "id": self.id,
            "name": self.name,
            "by": self.by,
            "state": state,
            "reason": reason,
            "since": self._since,
        }
        log_and_task = {"has_log": self.child is not None, "task": shown_task if state == "preparing" else None}
        return {**NOTHING_SAID.shown(), **about, **entry, "since": self._since, **log_and_task}

    def watch(self, announced: Announcement) -> None:
        """It is announced: ask at its desk from now on."""
        if self.announced == announced:
            return
        self._end_watching()
        self.announced, self.name = announced, announced.name
        self._desk = DeskClient(announced.name, announced.desk, announced.token)
        self._watching = asyncio.create_task(self._watch(self._desk))
        self._on_change()

    def unwatch(self) -> None:
        """It is announced no longer."""
        self.announced = None
        self._end_watching()
        self._on_change()

    async def close(self) -> None:
        """Ask no more, and wait until that is so."""
        watching = self._watching
        self.unwatch()
        if watching is not None:
            await asyncio.wait([watching])

    def _end_watching(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
        self._watching = self._desk = None

    async def _watch(self, desk: DeskClient) -> None:
        after: int | None = None
        try:
            while True:
                await self._pace()
                busy = self._status is not None and self._status.rounds_per_second > 0
                try:
                    status = await desk.status(after, BUSY_SECONDS if busy else QUIET_SECONDS)
                except FederationError as error:
                    after = None
                    self._take(None, str(error))
                    await asyncio.sleep(RETRY_SECONDS)
                else:
                    after = status.version
                    self._take(status, "")
        finally:
            await desk.close()

    def _take(self, status: DeskStatus | None, lost: str) -> None:
        before = (self._status, self._lost)
        if status is not None:
            self._status = status
            self.name = status.name or self.name
        if bool(lost) != bool(self._lost):
            self._since = time.time()
        self._lost = lost
        if (self._status, self._lost) != before:
            self._on_change()
