"""One party's channels in a session, whatever they go over: the port's :class:`~fi_workbench.core.peers.Peers`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Protocol

from fi_workbench.core.peers import Buffer, PeerFault, PeerLost, Traffic
from fi_workbench.transport.peers.inbox import LARGEST_BYTES, LONGEST_TAG_BYTES, Inbox
from fi_workbench.transport.peers.relaying import Relay


class Sender(Protocol):
    """The direct way to one peer."""

    def send(self, tag: str, parts: tuple[Buffer, ...], n_bytes: int) -> None:
        """Send the parts as one message; never waits for the peer to read.

        Raises
        ------
        PeerLost
        """


class Channels:
    """Direct ways where there are some, the relay for the others.

    Parameters
    ----------
    session, me : str
    secrets : mapping of str to bytes
        For each peer.
    inboxes : mapping of str to Inbox
        For each peer.
    direct : mapping of str to Sender
        The peers that can be reached.
    end_all : callable
        Wakes whoever reads a direct way; given True, closes all of them for good. May be called more than once.
    """

    def __init__(
        self,
        session: str,
        me: str,
        secrets: Mapping[str, bytes],
        inboxes: Mapping[str, Inbox],
        direct: Mapping[str, Sender],
        end_all: Callable[[bool], None],
    ) -> None:
        self.me = me
        self.relayed = frozenset(inboxes) - frozenset(direct)
        self._inboxes, self._direct, self._end_all = inboxes, direct, end_all
        self._relay = Relay(session, me, secrets, inboxes)
        self._lock = threading.Lock()
        self._sent = dict.fromkeys(inboxes, Traffic())
        self._fault: PeerFault | None = None

    @property
    def sent(self) -> Mapping[str, Traffic]:
        """What went to each peer so far."""
        with self._lock:
            return dict(self._sent)

    def send(self, to: str, tag: str, *parts: Buffer) -> None:
        """Send the parts, one after another, as one message; never waits for the peer to read.

        Raises
        ------
        PeerLost
            The channel has ended, or there is none.
        ValueError
            The tag or the message is longer than any may be.
        """
        if to not in self._inboxes:
            raise PeerLost(to, f"{self.me} has no channel to {to!r:.100} in this session.")
        n_bytes = sum(memoryview(part).nbytes for part in parts)
        if not 1 <= len(tag.encode()) <= LONGEST_TAG_BYTES or n_bytes > LARGEST_BYTES:
            raise ValueError(f"{tag!r:.120} with {n_bytes} bytes: a tag has 1 to 100 bytes, a message 2**30 at most.")
        if self._fault is not None:
            raise PeerLost(to, f"The channels of {self.me} have ended: {self._fault}")
        way = self._direct.get(to)
        if way is None:
            self._relay.send(to, tag, b"".join(parts))
        else:
            way.send(tag, parts, n_bytes)
        with self._lock:
            before = self._sent[to]
            self._sent[to] = Traffic(before.n_messages + 1, before.n_bytes + n_bytes)

    def receive(self, sender: str, tag: str, n_bytes: int, end: float) -> memoryview:
        """The message of that tag, once, read-only; ``end`` is in monotonic seconds.

        Raises
        ------
        PeerLate, PeerLost, BadPeerMessage
        """
        inbox = self._inboxes.get(sender)
        if inbox is None:
            raise PeerLost(sender, f"{self.me} has no channel to {sender!r:.100} in this session.")
        return inbox.take(tag, n_bytes, end)

    def outgoing(self, seconds: float) -> list[tuple[str, bytes]]:
        """Sealed messages that wait for relayed peers, (peer, sealed); waits for the first for so long at most."""
        return self._relay.outgoing(seconds)

    def incoming(self, sender: str, sealed: bytes) -> None:
        """Take in what another peer sealed for this one, whichever way it takes otherwise."""
        self._relay.incoming(sender, sealed)

    def abort(self, fault: PeerFault) -> None:
        """Have everybody who waits here, now or later, raise ``fault``; nothing more can be sent."""
        self._abort(fault, for_good=False)

    def close(self) -> None:
        """End the channels; whoever waits gets :class:`PeerLost`."""
        self._abort(PeerLost(self.me, f"{self.me} has closed its channels."), for_good=True)
        self._relay.close()

    def _abort(self, fault: PeerFault, *, for_good: bool) -> None:
        self._fault = self._fault or fault
        for inbox in self._inboxes.values():
            inbox.abort(fault)
        self._end_all(for_good)
