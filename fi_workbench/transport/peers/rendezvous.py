"""One party's part in one session, from its announcement until all pairs have met."""

from __future__ import annotations

import socket
import ssl
import threading
import time
import weakref
from collections.abc import Mapping

from fi_workbench.core.peers import PeerFault, PeerLost
from fi_workbench.transport.peers import handshake
from fi_workbench.transport.peers.announcement import Announcement
from fi_workbench.transport.peers.certificates import SessionCertificate
from fi_workbench.transport.peers.framing import shut
from fi_workbench.transport.peers.handshake import Pair
from fi_workbench.transport.peers.meeting import Meeting

_GUEST_SECONDS = 60.0
"""That a peer's connection waits for this party to take part, and to prove itself."""


class Rendezvous:
    """Where a session's peers meet this party.

    Parameters
    ----------
    session : str
    """

    def __init__(self, session: str) -> None:
        self.session = session
        self.certificate = SessionCertificate()
        self._changed = threading.Condition()
        self._server: ssl.SSLContext | None = None
        self._meetings: dict[str, Meeting] = {}
        self._pairs: dict[bytes, Pair] = {}
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._ended = False

    def meet(
        self,
        me: str,
        peers: Mapping[str, Announcement],
        secrets: Mapping[str, bytes],
        patience_seconds: float,
        end: float,
    ) -> dict[str, tuple[ssl.SSLSocket, ssl.SSLSocket]]:
        """For each peer that can be reached, where to send and where to receive.

        Raises
        ------
        PeerLost
            A peer is not who it should be; all connections are closed then.
        """
        pairs = {
            peer: Pair(self.session, me, peer, secrets[peer], self.certificate.der, announced.certificate)
            for peer, announced in peers.items()
        }
        by_certificate = {pair.peer_certificate: pair for pair in pairs.values()}
        if len(by_certificate) != len(pairs):
            raise PeerLost(me, f"Two peers of {me} announced the same certificate.")
        try:
            server, client = self.certificate.contexts(list(by_certificate))
        except ssl.SSLError as error:
            raise PeerLost(
                me, f"A certificate that a peer of {me} announced cannot be used: {error.reason}."
            ) from error
        with self._changed:
            if self._ended or self._server is not None:
                raise PeerLost(me, f"{me} has ended session {self.session:.16}, or is in it already.")
            self._meetings = {
                peer: Meeting(pairs[peer], announced.addresses, client, patience_seconds, self.track)
                for peer, announced in peers.items()
            }
            self._pairs, self._server = by_certificate, server
            self._changed.notify_all()
        self._run(end)
        return {peer: direct for peer, one in self._meetings.items() if (direct := one.direct) is not None}

    def welcome(self, plain: socket.socket) -> None:
        """A connection to this session; who is no peer of it is turned away in silence, for anybody can come."""
        end = time.monotonic() + _GUEST_SECONDS
        with self._changed:
            self._changed.wait_for(lambda: self._server is not None or self._ended, _GUEST_SECONDS)
            server, ended = self._server, self._ended
        if server is None or ended:
            plain.close()
            return
        try:
            sock = server.wrap_socket(
                plain, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=False
            )
        except OSError:  # it has gone
            plain.close()
            return
        try:
            self.track(sock)
            sock.settimeout(max(end - time.monotonic(), 0.001))
            sock.do_handshake()
            pair = self._pairs.get(sock.getpeercert(binary_form=True) or b"")
            if pair is None:
                sock.close()
                return
            meeting = self._meetings[pair.peer]
            try:
                direction = handshake.prove_as_listener(sock, pair, end)
            except PeerLost as fault:
                sock.close()
                meeting.fail(fault)
                return
            meeting.accept(sock, direction, end)
        except OSError:
            sock.close()

    def track(self, sock: socket.socket) -> None:
        """Have that connection shut when the session ends."""
        with self._changed:
            self._sockets.add(sock)
            ended = self._ended
        if ended:
            shut(sock)

    def end(self, fault: PeerFault) -> None:
        """Turn everybody away; what still waits for a peer raises ``fault``."""
        with self._changed:
            self._ended = True
            sockets, meetings = list(self._sockets), list(self._meetings.values())
            self._changed.notify_all()
        for meeting in meetings:
            meeting.fail(fault)
        for sock in sockets:
            shut(sock)
        for meeting in meetings:
            meeting.join()

    def _run(self, end: float) -> None:
        faults: list[PeerFault] = []
        done = threading.Condition()
        n_left = len(self._meetings)

        def run(meeting: Meeting) -> None:
            nonlocal n_left
            fault: PeerFault | None = None
            try:
                meeting.run(end)
            except PeerFault as error:
                fault = error
            finally:
                with done:
                    n_left -= 1
                    if fault is not None:
                        faults.append(fault)
                    done.notify_all()

        threads = [
            threading.Thread(target=run, args=(meeting,), name=f"fi-meet-{peer}", daemon=True)
            for peer, meeting in self._meetings.items()
        ]
        for thread in threads:
            thread.start()
        with done:
            done.wait_for(lambda: n_left == 0 or faults)
        if faults:
            self.end(faults[0])
        for thread in threads:
            thread.join()
        if faults:
            for meeting in self._meetings.values():
                for sock in meeting.direct or ():
                    sock.close()
            raise faults[0]
