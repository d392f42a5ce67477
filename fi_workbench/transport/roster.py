"""Who is on a link: each party's state as its host sees it, and a count that moves whenever anything of it changes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from fi_workbench.core.errors import UnknownName
from fi_workbench.core.messages import PartyCard
from fi_workbench.transport.grid import WaitingGrid

PartyState = Literal["waiting", "online", "offline", "refused", "expelled"]
"""``waiting`` for approval; ``online`` or ``offline``: members; ``refused``, for a reason; ``expelled`` by the host."""


@dataclass(frozen=True)
class RosterEntry:
    """One party on a link.

    Parameters
    ----------
    key : str
        Its Ed25519 key in hexadecimal: what tells it from all others.
    name : str
    state : str
        See :data:`PartyState`.
    since : float
        When it came into that state, in seconds since the epoch.
    node : int or None
        Flower's id of the node that speaks for it; None before it was ever there.
    card : PartyCard or None
        What it announced; None before it did.
    reason : str
        Why it is refused, or what its host should know.
    address : str
        Where it connects from, as far as the link knows.
    """

    key: str
    name: str
    state: PartyState
    since: float
    node: int | None = None
    card: PartyCard | None = None
    reason: str = ""
    address: str = ""

    @property
    def member(self) -> bool:
        """Whether it is asked: it may be absent, but it belongs to the federation."""
        return self.state in ("online", "offline") and self.card is not None and self.node is not None


class Roster:
    """The parties on one link, in the order in which they came; safe to use from several threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._entries: dict[str, RosterEntry] = {}  # by key
        self._version = 0

    @property
    def version(self) -> int:
        """Counts up at every change."""
        return self._version

    @property
    def entries(self) -> tuple[RosterEntry, ...]:
        """Everybody who is or was on the link."""
        with self._changed:
            return tuple(self._entries.values())

    @property
    def members(self) -> tuple[RosterEntry, ...]:
        """Those who are asked."""
        return tuple(entry for entry in self.entries if entry.member)

    def wait(self, version: int, seconds: float) -> int:
        """Block until the roster is no longer at ``version``, or ``seconds`` have passed; the version then."""
        with self._changed:
            self._changed.wait_for(lambda: self._version != version, seconds)
            return self._version

    def wait_for(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Block until ``holds()`` after some change, or ``seconds`` have passed; whether it holds."""
        with self._changed:
            return self._changed.wait_for(holds, seconds)

    def entry(self, name: str) -> RosterEntry:
        """The party of this name; of several, one that is not refused or expelled.

        Raises
        ------
        UnknownName
        """
        found = [entry for entry in self.entries if entry.name == name]
        if not found:
            raise UnknownName("party on this link", name, [entry.name for entry in self.entries])
        return min(found, key=lambda entry: entry.state in ("refused", "expelled"))

    def of_key(self, key: str) -> RosterEntry | None:
        """The party with this key, if it was ever here."""
        with self._changed:
            return self._entries.get(key)

    def of_node(self, node: int) -> RosterEntry | None:
        """The party that this node speaks for."""
        return next((entry for entry in self.entries if entry.node == node), None)

    def put(self, entry: RosterEntry) -> None:
        """Take in a party, or replace what was known of it."""
        with self._changed:
            if self._entries.get(entry.key) != entry:
                self._entries[entry.key] = entry
                self._moved()

    def change(self, key: str, **changes: Any) -> RosterEntry | None:
        """Change what is known of one party; a new state begins now. None if it is not here."""
        with self._changed:
            entry = self._entries.get(key)
            if entry is None:
                return None
            if changes.get("state", entry.state) != entry.state:
                changes.setdefault("since", time.time())
            changed = replace(entry, **changes)
            if changed != entry:
                self._entries[key] = changed
                self._moved()
            return changed

    def replace_all(self, entries: tuple[RosterEntry, ...]) -> None:
        """Be what another roster is."""
        with self._changed:
            if tuple(self._entries.values()) != entries:
                self._entries = {entry.key: entry for entry in entries}
                self._moved()

    def remove(self, key: str) -> None:
        """Forget a party."""
        with self._changed:
            if self._entries.pop(key, None) is not None:
                self._moved()

    def _moved(self) -> None:
        self._version += 1
        self._changed.notify_all()


@dataclass(frozen=True)
class LinkStatus:
    """What a link says of itself.

    Parameters
    ----------
    kind : {"hosted", "attached", "superlink"}
    name : str
    address : str
        ``host:port`` where parties connect.
    fingerprint : str
        SHA-256 of the certificate, in hexadecimal; empty where another authority vouches for it.
    state : {"up", "lost", "closed"}
    reason : str
        Why it is lost, and when it is tried again.
    """

    kind: Literal["hosted", "attached", "superlink"]
    name: str
    address: str
    fingerprint: str = ""
    state: Literal["up", "lost", "closed"] = "up"
    reason: str = ""


class RemoteLink(Protocol):
    """What a federation needs of a link to parties elsewhere: hosted here, attached to, or a SuperLink."""

    @property
    def grid(self) -> WaitingGrid:
        """How messages travel."""

    @property
    def roster(self) -> Roster:
        """Who is there; kept up to date by the link."""

    @property
    def status(self) -> LinkStatus:
        """How the link itself is."""

    def invite(self, n: int = 1, minutes: float = 60.0) -> tuple[str, ...]:
        """``n`` commands, each of which lets one new party join.

        Raises
        ------
        DoesNotFit
            Where others decide who may join, as on a SuperLink.
        """

    def approve(self, name: str) -> None:
        """Let a waiting or expelled party take part."""

    def expel(self, name: str) -> None:
        """Have a party take part no longer; its key no longer opens the door."""

    def told(self, about: dict[str, Any]) -> None:
        """What the last round was: ``rule``, ``mechanism``, ``round``, ``budget``...; shown to whoever watches."""

    def close(self) -> None:
        """Leave the link; one that is hosted here ends."""
