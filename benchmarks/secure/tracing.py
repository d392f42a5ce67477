"""Channels that count: messages and bytes of each phase, and how many messages stand one behind another."""

from __future__ import annotations

import threading
from collections import defaultdict

from fi_workbench.core.peers import Buffer, Peers, PeersThrough, Traffic

PHASES = ("set_up", "offline", "online")


class Depths:
    """The depth of every message of several parties in one process: one more than the deepest that came before it.

    What a party does for one model waits for nothing that it does for another, so depth is counted for each model.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of_message: dict[tuple[str, str, str], int] = {}
        self._reached: dict[tuple[str, str, str], int] = defaultdict(lambda: 1)  # the client's question is the first

    def sent(self, sender: str, to: str, tag: str) -> None:
        """A message leaves."""
        with self._lock:
            self._of_message[sender, to, tag] = self._reached[sender, *_thread(tag)] + 1

    def received(self, sender: str, to: str, tag: str) -> None:
        """It was waited for, and is there."""
        with self._lock:
            key = (to, *_thread(tag))
            self._reached[key] = max(self._reached[key], self._of_message.pop((sender, to, tag)))

    def critical(self, lot: str) -> int:
        """Messages one behind another in answering a lot, with the client's question and the last answer to it."""
        with self._lock:
            reached = [depth for (_, _, of), depth in self._reached.items() if of == f"online/{lot}"]
        return max(reached, default=1) + 1


class CountedPeers(PeersThrough):
    """Channels that others are used through unchanged, counted.

    Parameters
    ----------
    peers : Peers
    depths : Depths, optional
        The same for all parties of this process.
    """

    def __init__(self, peers: Peers, depths: Depths | None = None) -> None:
        super().__init__(peers)
        self._depths = depths
        self._lock = threading.Lock()
        self._counted: dict[str, Traffic] = dict.fromkeys(PHASES, Traffic())

    @property
    def counted(self) -> dict[str, Traffic]:
        """What was sent in each phase."""
        with self._lock:
            return dict(self._counted)

    def send(self, to: str, tag: str, *parts: Buffer) -> None:
        phase = phase_of(tag)
        with self._lock:
            before = self._counted[phase]
            n_bytes = sum(memoryview(part).nbytes for part in parts)
            self._counted[phase] = Traffic(before.n_messages + 1, before.n_bytes + n_bytes)
        if self._depths is not None:
            self._depths.sent(self.me, to, tag)
        super().send(to, tag, *parts)

    def receive(self, sender: str, tag: str, n_bytes: int, end: float) -> memoryview:
        found = super().receive(sender, tag, n_bytes, end)
        if self._depths is not None:
            self._depths.received(sender, self.me, tag)
        return found


def phase_of(tag: str) -> str:
    """Of a message: the second part of its tag; what has none of the phases there is of the set-up."""
    parts = tag.split("/")
    return parts[1] if len(parts) > 1 and parts[1] in PHASES else "set_up"


def _thread(tag: str) -> tuple[str, str]:
    """The model's number, and the lot within its phase: what depends on what came before."""
    parts = tag.split("/")
    return parts[0], "/".join(parts[1:3])
