"""Channels that know for whom they wait, so that what is late can be blamed on the right peer."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from fi_workbench.core.peers import Buffer, PeerFault, PeerLate, Peers, Traffic


class WatchedPeers:
    """The channels of :class:`~fi_workbench.core.peers.Peers`, which they go through unchanged, and who is awaited.

    Parameters
    ----------
    peers : Peers
    """

    def __init__(self, peers: Peers) -> None:
        self._peers = peers
        self._lock = threading.Lock()
        self._awaited: dict[int, tuple[str, str]] = {}  # by thread, in the order in which the waiting began

    def late(self, about: str) -> PeerFault:
        """The fault of whoever is waited for longest in a message whose tag contains ``about``; else one of our own."""
        with self._lock:
            awaited = [(sender, tag) for sender, tag in self._awaited.values() if about in tag]
        if not awaited:
            return PeerLate(self.me, f"{self.me} was not done in time with its own part of {about.strip('/')}.")
        sender, tag = awaited[0]
        return PeerLate(sender, f"{sender} has not sent {tag} to {self.me} in time.")

    @property
    def me(self) -> str:
        """Who sends here."""
        return self._peers.me

    @property
    def sent(self) -> Mapping[str, Traffic]:
        """What went to each peer so far."""
        return self._peers.sent

    @property
    def relayed(self) -> frozenset[str]:
        """Peers that cannot be reached directly."""
        return self._peers.relayed

    def send(self, to: str, tag: str, *parts: Buffer) -> None:
        """Send one message."""
        self._peers.send(to, tag, *parts)

    def receive(self, sender: str, tag: str, n_bytes: int, end: float) -> memoryview:
        """The message of that tag, once."""
        thread = threading.get_ident()
        with self._lock:
            self._awaited[thread] = (sender, tag)
        try:
            return self._peers.receive(sender, tag, n_bytes, end)
        finally:
            with self._lock:
                del self._awaited[thread]

    def outgoing(self, seconds: float) -> list[tuple[str, bytes]]:
        """Sealed messages that wait for relayed peers."""
        return self._peers.outgoing(seconds)

    def incoming(self, sender: str, sealed: bytes) -> None:
        """Take in what a relayed peer sealed."""
        self._peers.incoming(sender, sealed)

    def abort(self, fault: PeerFault) -> None:
        """Have everybody who waits here, now or later, raise ``fault``."""
        self._peers.abort(fault)

    def close(self) -> None:
        """End the channels."""
        self._peers.close()
