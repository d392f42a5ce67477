"""Channels between parties that live in one process; chosen pairs can be sent over the relay, for tests of it."""

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
        """Those of ``peers`` who joined this session by ``end``; waits for all.

        Raises
        ------
        PeerLost
            A peer knows another secret, or this party is in the session already.
        """
        with self._changed:
            if (seat.session, seat.me) in self._joined:
                raise PeerLost(seat.me, f"{seat.me} is in session {seat.session:.16} already.")
            self._joined[seat.session, seat.me] = seat
            for peer in peers:
                self._compare(seat, self._joined.get((seat.session, peer)))
            self._changed.notify_all()
            while True:
                if seat.fault is not None:
                    del self._joined[seat.session, seat.me]
                    raise seat.fault
                found = {p: self._joined[seat.session, p] for p in peers if (seat.session, p) in self._joined}
                left = end - time.monotonic()
                if len(found) == len(peers):
                    return found
                if left <= 0:
                    seat.unreachable |= frozenset(peers) - frozenset(found)  # who comes later sees it, and relays too
                    return found
                self._changed.wait(left)

    def _compare(self, one: _Seat, other: _Seat | None) -> None:
        if other is None or hmac.compare_digest(other.secrets.get(one.me, b""), one.secrets[other.me]):
            return
        for seat, peer in ((one, other.me), (other, one.me)):
            seat.fault = seat.fault or PeerLost(peer, f"{peer} does not know the secret of the pair.")

    def leave(self, seat: _Seat) -> None:
        """End the session for one; its peers' channels to it end, as those over a network would."""
        with self._changed:
            if self._joined.get((seat.session, seat.me)) is not seat:
                return
            del self._joined[seat.session, seat.me]
            seat.gone = True
            others = [other for (session, _), other in self._joined.items() if session == seat.session]
        for other in others:
            other.lose(seat.me)


class _Seat:
    """One party in one session."""

    def __init__(self, session: str, me: str, secrets: Mapping[str, bytes], unreachable: frozenset[str]) -> None:
        self.session, self.me = session, me
        self.secrets, self.unreachable = dict(secrets), unreachable
        self.inboxes = {peer: Inbox(me, peer) for peer in secrets}
        self.gone = False
        self.fault: PeerLost | None = None

    def lose(self, peer: str) -> None:
        if peer in self.inboxes and peer not in self.unreachable:
            self.inboxes[peer].end(PeerLost(peer, f"{peer} has closed its channel to {self.me}."))


class _Way:
    """From one seat into the inbox of another."""

    def __init__(self, me: str, seat: _Seat) -> None:
        self._seat, self._inbox = seat, seat.inboxes[me]

    def send(self, tag: str, parts: tuple[Buffer, ...], n_bytes: int) -> None:
        if self._seat.gone:
            raise PeerLost(self._seat.me, f"{self._seat.me} has closed its channels.")
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
        self._open: dict[str, Channels] = {}

    def announce(self, session: str) -> bytes:
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
        ways = {
            peer: _Way(me, other)
            for peer, other in found.items()
            if peer not in self._unreachable and me not in other.unreachable
        }

        def end_all(for_good: bool) -> None:
            if for_good:
                self._switchboard.leave(seat)
                with self._lock:
                    self._open.pop(session, None)

        channels = Channels(session, me, seat.secrets, seat.inboxes, ways, end_all)
        with self._lock:
            self._open[session] = channels
        return channels

    def close(self) -> None:
        """End all channels."""
        with self._lock:
            opened = list(self._open.values())
        for channels in opened:
            channels.close()
