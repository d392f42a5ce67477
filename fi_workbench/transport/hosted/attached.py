"""A link that another process of this owner hosts on this computer; leaving it leaves the host as it is."""

from __future__ import annotations

import logging
import secrets
import threading
from base64 import b64decode
from pathlib import Path
from typing import Any, Self, get_args

from fi_workbench.core.errors import Closed, DoesNotFit, FederationError, InvalidParty
from fi_workbench.protocol.announcement import read_card
from fi_workbench.transport.hosted.announced import Announced, named
from fi_workbench.transport.hosted.attached_grid import AttachedGrid
from fi_workbench.transport.hosted.desk_client import Desk, DeskGone
from fi_workbench.transport.roster import LinkStatus, PartyState, Roster, RosterEntry

_log = logging.getLogger(__name__)

_HOLD_SECONDS = 20.0
_RETRY_SECONDS = (0.2, 0.5, 1.0, 2.0)


class AttachedLink:
    """A link whose host is another process; made by :meth:`open`.

    Implements :class:`~fi_workbench.transport.roster.RemoteLink`. While the host is away its status is ``lost`` and
    rounds get absences; a host of the same name that comes back is attached to again.
    """

    def __init__(self, announced: Announced, folder: Path | None) -> None:
        self._announced, self._folder = announced, folder
        self._session = secrets.token_urlsafe(24)
        self._desk: Desk | None = Desk(announced.desk, announced.token, self._session)
        self.roster = Roster()
        """Who is there, as the host sees it."""
        self._status = LinkStatus("attached", announced.name, announced.address)
        self._described: dict[str, Any] = {}
        self._stopped = threading.Event()
        try:
            self._take(self._desk.status())
        except BaseException:
            self._desk.close()
            raise
        self._grid = AttachedGrid(lambda: self._desk, self._nodes)
        self._thread = threading.Thread(target=self._follow, name="fi-attached", daemon=True)
        self._thread.start()

    @classmethod
    def open(cls, announced: Announced, *, folder: Path | None = None) -> Self:
        """Attach to a link.

        Parameters
        ----------
        announced : Announced
        folder : Path, optional
            Where a host that comes back is looked for; Jupyter's runtime folder when None.

        Raises
        ------
        DeskGone
            If nobody hosts it any more.
        """
        return cls(announced, folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def grid(self) -> AttachedGrid:
        """How messages travel."""
        return self._grid

    @property
    def status(self) -> LinkStatus:
        """How the link itself is."""
        return self._status

    @property
    def described(self) -> dict[str, Any]:
        """What the host said last: rounds, what they were, demo parties."""
        return self._described

    @property
    def demo(self) -> dict[str, Any] | None:
        """The demo whose parties the host runs, plain; None if it runs none."""
        demo = self._described.get("demo")
        return demo if isinstance(demo, dict) else None

    def invite(self, n: int = 1, minutes: float = 60.0) -> tuple[str, ...]:
        """``n`` commands, each of which lets one new party join.

        Raises
        ------
        DoesNotFit, DeskGone, Closed
        """
        return tuple(map(str, self._at_desk().post("/invite", n=n, minutes=minutes)["commands"]))

    def approve(self, name: str) -> None:
        """Let a waiting or expelled party take part.

        Raises
        ------
        DoesNotFit
            If there is no such party.
        DeskGone, Closed
        """
        self._at_desk().post("/approve", name=name)

    def expel(self, name: str) -> None:
        """Have a party take part no longer.

        Raises
        ------
        DoesNotFit
            If there is no such party.
        DeskGone, Closed
        """
        self._at_desk().post("/expel", name=name)

    def scale(self, n: int) -> None:
        """Have ``n`` demo parties.

        Raises
        ------
        DoesNotFit
            If the host runs none.
        DeskGone, Closed
        """
        self._at_desk().post("/scale", parties=n)

    def stop(self) -> None:
        """Have the host end.

        Raises
        ------
        DeskGone, Closed
        """
        self._at_desk().post("/stop")

    def told(self, about: dict[str, Any]) -> None:
        """What the last round was; a host that is away does not hear it."""
        try:
            self._at_desk().post("/told", **about)
        except (DeskGone, DoesNotFit, Closed) as error:
            _log.info("the host was not told of the round: %s", error)

    def close(self) -> None:
        """Leave the link; the host stays."""
        if self._stopped.is_set():
            return
        self._stopped.set()
        self._grid.close()
        self._set("closed", "")
        if self._desk is not None:
            self._desk.close()
        self._thread.join(1.0)

    def _at_desk(self) -> Desk:
        if self._stopped.is_set():
            raise Closed("This federation was left; attach anew.")
        if self._desk is None:
            raise DeskGone(self._status.reason or "The federation's host is away.")
        return self._desk

    def _nodes(self) -> list[int]:
        return [entry.node for entry in self.roster.members if entry.state == "online" and entry.node is not None]

    def _follow(self) -> None:
        while not self._stopped.is_set():
            try:
                if self._desk is None:
                    raise DeskGone("The federation's host is away.")
                self._take(self._desk.status(self._described["version"], _HOLD_SECONDS))
            except FederationError as error:
                if not self._stopped.is_set():
                    self._find(str(error))

    def _find(self, reason: str) -> None:
        """The host is away: look for one of this name until it is back, or this link is left."""
        gone, self._desk = self._desk, None
        self._set("lost", f"{reason} It is looked for, by its name, every {_RETRY_SECONDS[-1]:.0f} s.")
        self._grid.fail_all("the federation's host is away")
        if gone is not None:
            gone.close()
        for entry in self.roster.members:
            self.roster.change(entry.key, state="offline", reason="the federation's host is away")
        tries = 0
        while not self._stopped.wait(_RETRY_SECONDS[min(tries, len(_RETRY_SECONDS) - 1)]):
            tries += 1
            try:
                found = named(self._announced.name, self._folder)
                if found is None:
                    continue
                desk = Desk(found.desk, found.token, self._session)
                self._take(desk.status())
            except (FederationError, OSError) as error:
                _log.debug("not found yet: %s", error)
                continue
            self._announced, self._desk = found, desk
            return

    def _take(self, plain: dict[str, Any]) -> None:
        try:
            entries = tuple(_entry(one) for one in plain["parties"])
            status = LinkStatus(
                "attached", str(plain["name"]), str(plain["address"]), str(plain["fingerprint"]),
                "up" if plain["state"] == "up" else "lost",
            )  # fmt: skip
            int(plain["version"])
        except (KeyError, TypeError, ValueError) as error:
            raise DeskGone("What answers there is no desk of this version.") from error
        self._described, self._status = plain, status
        self.roster.replace_all(entries)

    def _set(self, state: Any, reason: str) -> None:
        was = self._status
        self._status = LinkStatus(was.kind, was.name, was.address, was.fingerprint, state, reason)


def _entry(plain: dict[str, Any]) -> RosterEntry:
    if plain["state"] not in get_args(PartyState):
        raise InvalidParty(f"A party in the state {plain['state']!r:.20}.")
    card = None if plain["card"] is None else read_card(b64decode(plain["card"], validate=True))
    return RosterEntry(
        str(plain["key"]), str(plain["name"]), plain["state"], float(plain["since"]),
        None if plain["node"] is None else int(plain["node"]), card, str(plain["reason"]), str(plain["address"]),
    )  # fmt: skip
