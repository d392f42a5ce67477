"""Which nodes of a SuperLink are parties: each that comes is asked for its card, and put on the roster."""

from __future__ import annotations

import hmac
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from fi_workbench.core.messages import PartyCard
from fi_workbench.transport.flower_internals.runtime_api import LinkNode
from fi_workbench.transport.roster import PartyState, Roster, RosterEntry

_AGAIN_SECONDS, _LONGEST_AGAIN_SECONDS = 30.0, 600.0
"""A node that announced nothing is asked once more after so long, and then ever less often."""


@dataclass
class _Seen:
    activation: str
    again_seconds: float = _AGAIN_SECONDS
    again_at: float | None = None


class Census:
    """Keeps a roster of the nodes that are online.

    Parameters
    ----------
    roster : Roster
    ask : callable
        ``(node)``: have it asked for its card.
    fail_node : callable
        ``(node, reason)``: fail what is open for it.
    is_stock : callable
        ``(node) -> bool``: whether it keeps nothing from message to message.
    known : mapping of str to str, optional
        Parties that may take part, and their Ed25519 keys in hexadecimal; anyone when None.
    admit : callable
        ``(card) -> reason``: why a party may not take part; empty if it may.
    """

    def __init__(
        self,
        roster: Roster,
        ask: Callable[[int], None],
        fail_node: Callable[[int, str], None],
        is_stock: Callable[[int], bool],
        known: Mapping[str, str] | None,
        admit: Callable[[PartyCard], str],
    ) -> None:
        self._roster, self._ask, self._fail_node = roster, ask, fail_node
        self._is_stock, self._known, self._admit = is_stock, known, admit
        self._seen: dict[int, _Seen] = {}
        self._lock = threading.RLock()

    def look(self, nodes: Iterable[LinkNode]) -> None:
        """These nodes are online now."""
        with self._lock:
            online = {one.node: one.activation for one in nodes}
            for node in set(self._seen) - set(online):
                del self._seen[node]
                self._gone(node, f"offline since {time.strftime('%H:%M:%S')}")
            for node, activation in online.items():
                seen = self._seen.get(node)
                if seen is None:
                    self._come(node, activation)
                elif seen.activation != activation:
                    # the process was replaced: what the one before had pulled, nobody answers
                    self._gone(node, "restarted")
                    self._come(node, activation)
                elif seen.again_at is not None and seen.again_at <= time.monotonic():
                    seen.again_at = None
                    self._ask(node)

    def announced(self, node: int, card: PartyCard) -> None:
        """A node announced itself, and its signature holds."""
        with self._lock:
            if node not in self._seen:
                return
            self._roster.remove(_nameless(node))
            if self._is_stock(node):
                # it starts an interpreter for each message, so nothing is kept from phase to phase
                card = replace(card, capabilities=card.capabilities - {"phases"})
            key = card.identity.verify_key.hex()
            entry = self._roster.of_key(key)
            former = None if entry is None else entry.node
            if former is not None and former != node:
                self._fail_node(former, "it is on another node now")
            if entry is not None and entry.state == "expelled":
                self._roster.change(key, node=node, card=card, name=card.name)
                return
            reason = self._why_not(card, key)
            state: PartyState = "refused" if reason else "online"
            if entry is None:
                self._roster.put(RosterEntry(key, card.name, state, time.time(), node, card, reason))
            else:
                self._roster.change(key, name=card.name, state=state, node=node, card=card, reason=reason)

    def failed(self, node: int, reason: str) -> None:
        """A node announced nothing that can be read; it is asked again, later."""
        with self._lock:
            seen, entry = self._seen.get(node), self._roster.of_node(node)
            if seen is None or (entry is not None and entry.state == "online"):
                return
            seen.again_at = time.monotonic() + seen.again_seconds
            seen.again_seconds = min(2.0 * seen.again_seconds, _LONGEST_AGAIN_SECONDS)
            if entry is None:
                name = f"node {node}"
                self._roster.put(RosterEntry(_nameless(node), name, "refused", time.time(), node, None, reason))

    def forget(self, reason: str) -> None:
        """The SuperLink is lost: nobody is there, and node ids may be others afterwards."""
        with self._lock:
            for node in self._seen:
                self._gone(node, reason)
            self._seen.clear()

    def _come(self, node: int, activation: str) -> None:
        self._seen[node] = _Seen(activation)
        self._ask(node)

    def _gone(self, node: int, reason: str) -> None:
        self._roster.remove(_nameless(node))
        entry = self._roster.of_node(node)
        if entry is not None and entry.state == "online":
            self._roster.change(entry.key, state="offline", reason=reason)
        self._fail_node(node, reason)

    def _why_not(self, card: PartyCard, key: str) -> str:
        if self._known is not None:
            expected = self._known.get(card.name)
            if expected is None:
                return "it is not among the parties that this federation knows"
            if not hmac.compare_digest(expected.lower().encode(), key.encode()):
                return f"its key is not the one that this federation knows {card.name} by"
        for other in self._roster.entries:
            if other.name == card.name and other.key != key and other.state in ("online", "offline"):
                return f"another party is called {card.name} already; one of the two changes its name"
        return self._admit(card)


def _nameless(node: int) -> str:
    return f"node:{node}"
