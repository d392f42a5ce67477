"""Direct channels between the parties of one session: the port that a transport implements and a protocol uses.

A message is addressed by its sender and a tag that is used once; whoever waits for it says how long it must be. What is
not there by the deadline, is cut short, or was changed on the way is an error that names peer and tag.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from fi_workbench.core.errors import FederationError

Buffer: TypeAlias = bytes | bytearray | memoryview


class PeerFault(FederationError):
    """A peer did not keep to the protocol of a session: late, gone, or with a message that cannot be used."""

    def __init__(self, peer: str, message: str) -> None:
        super().__init__(message)
        self.peer = peer


class PeerLate(PeerFault):
    """A peer's message was not there by the deadline."""


class PeerLost(PeerFault):
    """The channel to a peer could not be made, or has ended."""


class BadPeerMessage(PeerFault):
    """A peer's message of the wrong length or tag, or one that was changed on the way."""


@dataclass(frozen=True)
class Traffic:
    """What went to one peer so far.

    Parameters
    ----------
    n_messages : int
    n_bytes : int
        Of the payloads; framing and encryption are not in it.
    """

    n_messages: int = 0
    n_bytes: int = 0


class Peers(Protocol):
    """One party's channels to the others of a session; may be used from several threads."""

    @property
    def me(self) -> str:
        """Who sends here."""

    @property
    def sent(self) -> Mapping[str, Traffic]:
        """What went to each peer so far."""

    @property
    def relayed(self) -> frozenset[str]:
        """Peers that cannot be reached directly: what is for them goes through :meth:`outgoing`, sealed end to end."""

    def send(self, to: str, tag: str, *parts: Buffer) -> None:
        """Send the parts, one after another, as one message; never waits for the peer to read.

        Raises
        ------
        PeerLost
        """

    def receive(self, sender: str, tag: str, n_bytes: int, end: float) -> memoryview:
        """The message of that tag, once; ``end`` is in monotonic seconds.

        Raises
        ------
        PeerLate, PeerLost, BadPeerMessage
        """

    def outgoing(self, seconds: float) -> list[tuple[str, bytes]]:
        """Sealed messages that wait for relayed peers, (peer, sealed); waits for the first for so long at most."""

    def incoming(self, sender: str, sealed: bytes) -> None:
        """Take in what another relayed peer sealed for this one; what cannot be opened is a fault at its receiver."""

    def abort(self, fault: PeerFault) -> None:
        """Have everybody who waits here, now or later, raise ``fault``."""

    def close(self) -> None:
        """End the channels; whoever waits gets :class:`PeerLost`."""


class PeersThrough:
    """Channels that go through others; who watches or counts something changes that alone.

    Parameters
    ----------
    peers : Peers
    """

    def __init__(self, peers: Peers) -> None:
        self._peers = peers

    @property
    def me(self) -> str:
        """See :class:`Peers`."""
        return self._peers.me

    @property
    def sent(self) -> Mapping[str, Traffic]:
        """See :class:`Peers`."""
        return self._peers.sent

    @property
    def relayed(self) -> frozenset[str]:
        """See :class:`Peers`."""
        return self._peers.relayed

    def send(self, to: str, tag: str, *parts: Buffer) -> None:
        """See :class:`Peers`."""
        self._peers.send(to, tag, *parts)

    def receive(self, sender: str, tag: str, n_bytes: int, end: float) -> memoryview:
        """See :class:`Peers`."""
        return self._peers.receive(sender, tag, n_bytes, end)

    def outgoing(self, seconds: float) -> list[tuple[str, bytes]]:
        """See :class:`Peers`."""
        return self._peers.outgoing(seconds)

    def incoming(self, sender: str, sealed: bytes) -> None:
        """See :class:`Peers`."""
        self._peers.incoming(sender, sealed)

    def abort(self, fault: PeerFault) -> None:
        """See :class:`Peers`."""
        self._peers.abort(fault)

    def close(self) -> None:
        """See :class:`Peers`."""
        self._peers.close()


class PeerNetwork(Protocol):
    """Where a party's channels come from; one for each party, for as long as it lives."""

    def announce(self, session: str) -> bytes:
        """How this party can be reached in a session (addresses, a fresh certificate), at most 8 KiB; public.

        Called once a session, before :meth:`connect`.
        """

    def connect(
        self, session: str, me: str, peers: Mapping[str, bytes], secrets: Mapping[str, bytes], end: float
    ) -> Peers:
        """Channels to all ``peers``, each given by what it announced.

        Parameters
        ----------
        session : str
            Names the session, 32 to 64 hexadecimal digits; the same at all.
        me : str
        peers : mapping of str to bytes
            Announcements, whose authenticity the caller has checked.
        secrets : mapping of str to bytes
            32 bytes for each peer that only the two know: relayed messages are sealed with keys derived from it, and
            each end proves that it knows it.
        end : float
            Monotonic seconds; a peer that cannot be reached by then is in ``relayed``.
        """

    def close(self) -> None:
        """Stop listening and end all channels."""
