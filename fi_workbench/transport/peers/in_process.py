"""Channels between parties that live in one process; with chosen pairs that go over the relay, for tests of that way."""

from __future__ import annotations

import hmac
import threading
import time
from collections.abc import Collection, Mapping

from fi_workbench.core.peers import BadPeerMessage, Buffer, PeerLost, Peers
from fi_workbench.transport.peers.channels import Channels
from fi_workbench.transport.peers.inbox import Inbox

_ANNOUNCEMENT = b'{"in-process": 1}'


class Switchboard:
    """Where the parties of this process find one another, by session and name."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._joined: dict[tuple[str, str], _Seat] = {}

    def join(self, seat: _Seat, peers: Collection[str], end: float) -> dict[str, _Seat]:
        """Those of ``peers`` who joined this session by ``end``; waits for all."""
        with self._changed:
            if (seat.session, seat.me) in self._joined:
                raise PeerLost(seat.me, f"{seat.me} is in session {seat.session:.16} already.")
            self._joined[seat.session, seat.me] = seat
            self._changed.notify_all()
            while True:
                found = {p: self._joined[seat.session, p] for p in peers if (seat.session, p) in self._joined}
                left = end - time.monotonic()
                if len(found) == len(peers) or left <= 0:
                    return found
                self._changed.wait(left)

    def leave(self, seat: _Seat) -> None:
        """End the session for one; its peers' channels to it end, as those over a network would."""
        with self._changed:
            if self._joined.get((seat.session, seat.me)) is not seat:
                return
            del self._joined[seat.session, seat.me]
            others = [other for (session, _), other in self._joined.items() if session == seat.session]
        for other in others:
            other.lose(seat.me)


class _Seat:
    """One party in one session."""

    def __init__(self, session: str, me: str, secrets: Mapping[str, bytes], unreachable: frozenset[str]) -> None:
        self.session, self.me = session, me
        self.secrets, self.unreachable = dict(secrets), unreachable
        self.inboxes = {peer: Inbox(me, peer) for peer in secrets}

    def lose(self, peer: str) -> None:
        if peer in self.inboxes and peer not in self.unreachable:
            self.inboxes[peer].end(PeerLost(peer, f"{peer} has closed its channel to {self.me}."))


class _Way:
    """From one seat into the inbox of another."""

    def __init__(self, me: str, peer: str, inbox: Inbox) -> None:
        self._me, self._peer, self._inbox = me, peer, inbox
        self.open = True

    def send(self, tag: str, parts: tuple[Buffer, ...], n_bytes: int) -> None:  # noqa: ARG002 (the port's form)
        if not self.open:
            raise PeerLost(self._peer, f"The channel to {self._peer} has ended.")
        try:
            self._inbox.put(tag, b"".join(parts))
        except BadPeerMessage as fault:
            self._inbox.end(fault)  # raised at the receiver, as over a network


class InProcessNetwork:
    """One party's end of the switchboard.

    Parameters
    ----------
    switchboard : Switchboard
        The same for all.
    name : str
        Whose channels these are.
    unreachable : collection of str
        Peers to and from which only the relay leads. It is enough that one of the two says so.
    """

    def __init__(self, switchboard: Switchboard, name: str, unreachable: Collection[str] = ()) -> None:
        self._switchboard, self._name, self._unreachable = switchboard, name, frozenset(unreachable)
        self._lock = threading.Lock()
        self._open: list[Channels] = []
        self._closed = False

    def announce(self, session: str) -> bytes:  # noqa: ARG002 (the port's form)
        """Nothing that a peer needs to know."""
        return _ANNOUNCEMENT

    def connect(
        self, session: str, me: str, peers: Mapping[str, bytes], secrets: Mapping[str, bytes], end: float
    ) -> Peers:
        """Channels to all ``peers``; who has not come by ``end`` is relayed.

        Raises
        ------
        PeerLost
            A peer knows another secret, or this one takes part in the session already.
        """
        seat = _Seat(session, me, {peer: secrets[peer] for peer in peers}, self._unreachable)
        found = self._switchboard.join(seat, peers, end)
        for peer, other in found.items():
            if not hmac.compare_digest(other.secrets.get(me, b""), secrets[peer]):
                self._switchboard.leave(seat)
                raise PeerLost(peer, f"{peer} does not know the secret of the pair.")
        ways = {
            peer: _Way(me, peer, other.inboxes[me])
            for peer, other in found.items()
            if peer not in self._unreachable and me not in other.unreachable
        }

        def end_all(for_good: bool) -> None:
            if for_good:
                self._switchboard.leave(seat)

        channels = Channels(session, me, seat.secrets, seat.inboxes, ways, end_all)
        with self._lock:
            self._open.append(channels)
        return channels

    def close(self) -> None:
        """End all channels."""
        with self._lock:
            opened, self._open = self._open, []
        for channels in opened:
            channels.close()
