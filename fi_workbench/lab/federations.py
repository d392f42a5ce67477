"""The federations of this machine: found where they are announced, started and stopped, watched; no HTTP in here."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from fi_workbench.core.errors import DoesNotFit, DuplicateName, FederationError, InvalidOption, UnknownName
from fi_workbench.lab.asked import MAX_PARTIES, StartRequest, checked_count
from fi_workbench.lab.changes import Changes
from fi_workbench.lab.children import COMMAND, Child
from fi_workbench.lab.watching import Announcement, Watched

LOG = logging.getLogger(__name__)

MAX_INVITES = 100
MAX_MINUTES = 30 * 24 * 60
_MAX_PARTY_NAME = 200


class FederationsManager:
    """All of them, and what can be done with them.

    Parameters
    ----------
    find : callable
        What is announced on this machine now; called in a thread, as it reads files.
    n_most : int
        As many may run as processes of ours at a time.
    scan_seconds : float
        How often it is looked for new ones.
    poll_seconds : float
        Each desk is asked, and each browser answered, not more often than that.
    command : sequence of str
        What runs a federation.
    """

    def __init__(
        self, find: Callable[[], Iterable[Announcement]], *, n_most: int = 8, scan_seconds: float = 0.5,
        poll_seconds: float = 0.2, command: Sequence[str] = COMMAND,
    ) -> None:  # fmt: skip
        self._find, self._command = find, tuple(command)
        self._n_most, self._scan_seconds, self._poll_seconds = n_most, scan_seconds, poll_seconds
        self._watched: dict[str, Watched] = {}  # by id
        self._tasks: set[asyncio.Task[Any]] = set()
        self._looking = False
        self._scanned = asyncio.Event()
        self._closed = False
        self.changes = Changes(poll_seconds)

    async def close(self) -> None:
        """Stop every federation that was started here, and look no more."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        watched = tuple(self._watched.values())
        children = [one.child for one in watched if one.child is not None and one.child.status is None]
        # Whoever waits for the server to end waits for them: they get less time than when one is stopped by itself.
        await asyncio.gather(*(child.stop(2.0) for child in children), *(one.close() for one in watched))
        self._watched.clear()

    async def wait(self, after: str = "", seconds: float = 25.0) -> dict[str, Any]:
        """The list as it is at another version than `after`, or after `seconds`; the first call begins to look."""
        self._begin()
        try:
            async with asyncio.timeout(5.0):
                await self._scanned.wait()  # a server that has just started does not say that there is nothing
        except TimeoutError:
            LOG.warning("What is announced on this machine could not be read within 5 s.")
        version = await self.changes.wait(after, seconds)
        listed = sorted(self._watched.values(), key=lambda one: (one.name, one.id))
        return {"version": version, "federations": [one.shown() for one in listed]}

    async def start(self, request: StartRequest) -> dict[str, Any]:
        """Run a federation in a process of ours; it says itself when it is up.

        Raises
        ------
        DuplicateName
        DoesNotFit
            When as many run as may.
        """
        self._begin()
        running = [one for one in self._watched.values() if one.child is not None and one.child.status is None]
        if self._closed or len(running) >= self._n_most:
            raise DoesNotFit(
                f"{len(running)} federations run here, and {self._n_most} may "
                "(FederationsApp.max_federations); stop one first."
            )
        name = request.name or self._free_name("federation" if request.parties is None else request.dataset or "demo")
        if any(one.name == name and one.state != "failed" for one in self._watched.values()):
            raise DuplicateName(f"A federation called {name!r} runs already; choose another name.")
        watched = self._new(f"own-{secrets.token_hex(6)}", name, "panel")
        self._watched[watched.id] = watched  # before anything is awaited, so that no second one takes the name
        try:
            watched.child = await Child.start(request.arguments(name), self.changes.note, self._command)
        except BaseException:
            del self._watched[watched.id]
            raise
        self._spawn(self._tidy_after(watched, watched.child))
        self.changes.note()
        return watched.shown()

    async def stop(self, id: str) -> None:  # noqa: A002
        """End a federation, wherever it runs; one that has failed leaves the list."""
        watched = self._one(id)
        child = watched.child
        if child is None:
            await watched.desk.do("stop")
            return
        if child.status is None:
            child.stopping = True
            try:
                await watched.desk.do("stop")
            except FederationError:
                LOG.info("Federation %r takes no orders; its process is ended.", watched.name)
            await child.stop()
        await self._drop(watched)

    async def scale(self, id: str, parties: Any) -> None:  # noqa: A002
        """Have it run as many demo parties."""
        await self._one(id).desk.do("scale", parties=checked_count("parties", parties, MAX_PARTIES))

    async def invite(self, id: str, n: Any = 1, minutes: Any = 60) -> list[str]:  # noqa: A002
        """Commands, each of which lets one new party join."""
        made = await self._one(id).desk.do(
            "invite", n=checked_count("n", n, MAX_INVITES), minutes=checked_count("minutes", minutes, MAX_MINUTES)
        )
        commands = made.get("commands")
        return [str(command)[:2000] for command in commands[:MAX_INVITES]] if isinstance(commands, list) else []

    async def approve(self, id: str, name: Any) -> None:  # noqa: A002
        """Let a waiting or expelled party take part."""
        await self._one(id).desk.do("approve", name=_party_name(name))

    async def expel(self, id: str, name: Any) -> None:  # noqa: A002
        """Have a party take part no longer."""
        await self._one(id).desk.do("expel", name=_party_name(name))

    def log(self, id: str) -> list[str]:  # noqa: A002
        """The last lines that its process wrote."""
        watched = self._one(id)
        if watched.child is None:
            raise DoesNotFit(
                f"Federation {watched.name!r} was not started here; its log is where it was ({watched.by})."
            )
        return watched.child.log

    def _one(self, id: str) -> Watched:  # noqa: A002
        if id not in self._watched:
            raise UnknownName("federation", id, self._watched, "It has ended, perhaps.")
        return self._watched[id]

    def _new(self, id: str, name: str, by: str) -> Watched:  # noqa: A002
        return Watched(id, name, by, self.changes.note, lambda: self.changes.pace(self._poll_seconds))

    def _free_name(self, stem: str) -> str:
        taken = {one.name for one in self._watched.values()}
        return next(name for number in range(1, len(taken) + 2) if (name := f"{stem}-{number}") not in taken)

    def _begin(self) -> None:
        if not self._looking and not self._closed:
            self._looking = True
            self._spawn(self._keep_looking())

    async def _keep_looking(self) -> None:
        while True:
            try:
                found = await asyncio.to_thread(lambda: tuple(self._find()))
            except (OSError, ValueError, FederationError):
                LOG.exception("What is announced on this machine could not be read; it is tried again.")
            else:
                await self._take_in({announced.id: announced for announced in found})
            self._scanned.set()
            await self.changes.pace(self._scan_seconds)

    async def _take_in(self, found: Mapping[str, Announcement]) -> None:
        known = {one.announced.id: one for one in self._watched.values() if one.announced is not None}
        for gone in known.keys() - found.keys():
            if known[gone].child is None:
                await self._drop(known[gone])
            else:
                known[gone].unwatch()
        for id_, announced in found.items():
            watched = known.get(id_) or self._started_here(announced)
            if watched is None:
                watched = self._watched[id_] = self._new(id_, announced.name, announced.by)
            watched.watch(announced)

    def _started_here(self, announced: Announcement) -> Watched | None:
        own = (one for one in self._watched.values() if one.child is not None and one.child.status is None)
        return next((one for one in own if one.child is not None and one.child.pid == announced.pid), None)

    async def _tidy_after(self, watched: Watched, child: Child) -> None:
        status = await asyncio.shield(child.ended)
        watched.unwatch()
        if status == 0 or child.stopping:
            await self._drop(watched)

    async def _drop(self, watched: Watched) -> None:
        if self._watched.get(watched.id) is watched:
            del self._watched[watched.id]
        await watched.close()

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _party_name(name: Any) -> str:
    if not isinstance(name, str) or not 0 < len(name) <= _MAX_PARTY_NAME:
        raise InvalidOption(f"name is a party's name, not {str(name)[:40]!r}.")
    return name
