"""Channels that know for whom they wait, so that what is late can be blamed on the right peer."""

from __future__ import annotations

import threading

from fi_workbench.core.peers import PeerFault, PeerLate, Peers, PeersThrough


class WatchedPeers(PeersThrough):
    """Channels that others are used through unchanged, and who is awaited.

    Parameters
    ----------
    peers : Peers
    """

    def __init__(self, peers: Peers) -> None:
        super().__init__(peers)
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

    def receive(self, sender: str, tag: str, n_bytes: int, end: float) -> memoryview:
        """The message of that tag, once."""
        thread = threading.get_ident()
        with self._lock:
            self._awaited[thread] = (sender, tag)
        try:
            return super().receive(sender, tag, n_bytes, end)
        finally:
            with self._lock:
                del self._awaited[thread]
