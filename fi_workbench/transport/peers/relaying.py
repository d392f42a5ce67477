"""The way over a third: what waits sealed for peers that cannot be reached, and what others carried here."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping

from fi_workbench.core.peers import BadPeerMessage, PeerFault, PeerLost
from fi_workbench.transport.peers.inbox import Inbox
from fi_workbench.transport.peers.sealing import Opener, Sealer, direction_key


class Relay:
    """One party's sealed messages from and for all peers of a session.

    Parameters
    ----------
    session, me : str
    secrets : mapping of str to bytes
        32 bytes for each peer, which only the two know.
    inboxes : mapping of str to Inbox
        By peer.
    """

    def __init__(self, session: str, me: str, secrets: Mapping[str, bytes], inboxes: Mapping[str, Inbox]) -> None:
        self._me = me
        self._inboxes = inboxes
        self._sealers = {peer: Sealer(direction_key(secrets[peer], session, me, peer)) for peer in inboxes}
        self._openers = {
            peer: Opener(direction_key(secrets[peer], session, peer, me), inbox) for peer, inbox in inboxes.items()
        }
        self._changed = threading.Condition()
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._closed = False

    def send(self, to: str, tag: str, payload: bytes) -> None:
        """Seal one message and have it wait.

        Raises
        ------
        PeerLost
            The channels were closed.
        """
        with self._changed:
            if self._closed:
                raise PeerLost(to, f"{self._me} has closed its channels.")
            self._waiting.extend((to, sealed) for sealed in self._sealers[to].seal(tag, payload))
            self._changed.notify_all()

    def outgoing(self, seconds: float) -> list[tuple[str, bytes]]:
        """All that waits, (peer, sealed); waits for the first for so long at most."""
        end = time.monotonic() + seconds
        with self._changed:
            while not self._waiting and not self._closed and (left := end - time.monotonic()) > 0:
                self._changed.wait(left)
            found = list(self._waiting)
            self._waiting.clear()
        return found

    def incoming(self, sender: str, sealed: bytes) -> None:
        """Take in what was carried here; what cannot be used ends that peer's inbox, and is raised there.

        What comes from somebody who is no peer is dropped: whoever carries may make up any name.
        """
        opener = self._openers.get(sender)
        if opener is None:
            return
        try:
            opener.open(sealed)
        except BadPeerMessage as fault:
            self._end(sender, fault)

    def close(self) -> None:
        """Nothing more goes out; whoever waits for something to carry gets nothing."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()

    def _end(self, peer: str, fault: PeerFault) -> None:
        self._inboxes[peer].end(fault)
