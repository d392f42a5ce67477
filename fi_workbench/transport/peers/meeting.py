"""How two parties of a session come to a connection in each direction, or both to the verdict that there is none.

Each opens the connection on which it will send. Who can be reached but reaches nobody says so on the connection that
came in, and the other opens one for it. Who has neither after a while relays, and says so to whoever comes later.
"""

from __future__ import annotations

import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence

from fi_workbench.core.peers import PeerFault, PeerLost
from fi_workbench.transport.peers import handshake
from fi_workbench.transport.peers.handshake import Pair, Unreachable
from fi_workbench.transport.peers.listener import dial

ADDRESS_SECONDS = 2.0
"""For an address to answer; all are tried at once."""


class Meeting:
    """One pair's way to two connections; ``run`` does it, while ``accept`` takes what the listener was given.

    Parameters
    ----------
    pair : Pair
    addresses : sequence of (str, int)
        Of the peer.
    context : ssl.SSLContext
        For connecting.
    patience_seconds : float
        Who cannot reach the peer waits so long for it to come.
    track : callable
        Is told of each connection, and may shut it from another thread.
    """

    def __init__(
        self,
        pair: Pair,
        addresses: Sequence[tuple[str, int]],
        context: ssl.SSLContext,
        patience_seconds: float,
        track: Callable[[socket.socket], None],
    ) -> None:
        self._pair, self._addresses, self._context = pair, addresses, context
        self._patience_seconds, self._track = patience_seconds, track
        self._changed = threading.Condition()
        self._out: ssl.SSLSocket | None = None
        self._in: ssl.SSLSocket | None = None
        self._has_guest = False
        self._dialled: bool | None = None  # whether that worked; None while it goes on
        self._settled = False
        self._fault: PeerFault | None = None
        self._end = 0.0
        self._dialling: list[threading.Thread] = []

    @property
    def direct(self) -> tuple[ssl.SSLSocket, ssl.SSLSocket] | None:
        """Where to send and where to receive, once settled; None where the pair relays."""
        return (self._out, self._in) if self._out is not None and self._in is not None else None

    def run(self, end: float) -> None:
        """Come to a verdict, by ``end`` at the latest.

        Raises
        ------
        PeerLost
            Whoever answers for the peer is not the peer, or is of another version.
        """
        with self._changed:
            self._end = end
        try:
            out = self._dial(handshake.TO_LISTENER, end)
            with self._changed:
                self._out, self._dialled = out, out is not None
                self._changed.notify_all()
            if out is not None:
                self._follow(out, end)
            else:
                self._await_peer(end)
        except PeerFault as fault:
            self.fail(fault)
        finally:
            self._settle()
        if self._fault is not None:
            raise self._fault

    def fail(self, fault: PeerFault) -> None:
        """There is somebody who is not the peer, or the session is ended: no verdict."""
        with self._changed:
            self._fault = self._fault or fault
            self._changed.notify_all()

    def accept(self, sock: ssl.SSLSocket, direction: int, end: float) -> None:
        """A connection that the peer opened and proved to be its own; closed here if it is not used.

        Raises
        ------
        OSError
        """
        used = False
        try:
            used = self._take_in(sock, end) if direction == handshake.TO_LISTENER else self._take_back(sock, end)
        finally:
            if not used:
                sock.close()

    def join(self) -> None:
        """Wait for attempts at addresses that still go on, unless looking up a name takes longer than any may."""
        for thread in self._dialling:
            thread.join(2 * ADDRESS_SECONDS)

    def _take_in(self, sock: ssl.SSLSocket, end: float) -> bool:
        with self._changed:
            if self._has_guest:
                return False
            self._has_guest = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._dialled is not None or self._settled or self._fault, _left(end))
            failed = self._settled or self._fault is not None or self._dialled is None
            verdict = handshake.HAS_ITS_OWN if self._dialled else handshake.DIAL_BACK
        handshake.say_verdict(sock, handshake.RELAY if failed else verdict, end)
        with self._changed:
            if failed or self._settled:
                return False
            self._in = sock
            self._changed.notify_all()
            return True

    def _take_back(self, sock: ssl.SSLSocket, end: float) -> bool:
        with self._changed:
            wanted = self._dialled is False and self._out is None and not self._settled and self._fault is None
        handshake.say_verdict(sock, handshake.HAS_ITS_OWN if wanted else handshake.RELAY, end)
        with self._changed:
            if not wanted or self._settled or self._out is not None:
                return False
            self._out = sock
            self._changed.notify_all()
            return True

    def _follow(self, out: ssl.SSLSocket, end: float) -> None:
        """What the peer says on the connection that was opened here."""
        verdict = _heard(out, end)
        if verdict == handshake.DIAL_BACK:
            back = self._dial(handshake.TO_DIALLER, end)
            if back is None:
                return
            if _heard(back, end) != handshake.HAS_ITS_OWN:
                back.close()
                return
            with self._changed:
                self._in = back
        elif verdict == handshake.HAS_ITS_OWN:
            with self._changed:
                self._changed.wait_for(lambda: self._in is not None or self._fault, _left(end))

    def _await_peer(self, end: float) -> None:
        """What the peer opens, since nothing can be opened here."""
        with self._changed:
            patience = min(self._patience_seconds, _left(end))
            if self._changed.wait_for(lambda: self._has_guest or self._fault, patience):
                self._changed.wait_for(lambda: (self._in and self._out) or self._fault, _left(end))

    def _settle(self) -> None:
        with self._changed:
            self._settled = True
            if self._fault is not None or self.direct is None:
                for sock in (self._out, self._in):
                    if sock is not None:
                        sock.close()
                self._out = self._in = None
            self._changed.notify_all()

    def _dial(self, direction: int, end: float) -> ssl.SSLSocket | None:
        """A connection that both ends have proved, over whichever address gives one first; None where none does.

        Raises
        ------
        PeerLost
            None does, and somebody who is not the peer answers at one.
        """
        found: queue.SimpleQueue[socket.socket | PeerLost | None] = queue.SimpleQueue()
        until = min(end, time.monotonic() + ADDRESS_SECONDS)
        attempts = [
            threading.Thread(target=self._attempt, args=(*address, until, found), name="fi-peer-dial", daemon=True)
            for address in self._addresses
        ]
        for attempt in attempts:
            attempt.start()
        self._dialling += attempts
        fault: PeerLost | None = None
        for n_seen in range(1, len(attempts) + 1):
            one = found.get()
            if isinstance(one, PeerLost):
                fault = fault or one
            elif one is not None:
                try:
                    sock = self._secure(one, direction, end)
                except PeerLost as error:
                    fault = fault or error
                    continue
                if sock is not None:
                    rest = len(attempts) - n_seen
                    if rest:
                        closing = threading.Thread(target=_close_rest, args=(found, rest), daemon=True)
                        closing.start()
                        self._dialling.append(closing)
                    return sock
        if fault is not None:
            raise fault
        return None

    def _attempt(
        self, host: str, port: int, end: float, found: queue.SimpleQueue[socket.socket | PeerLost | None]
    ) -> None:
        try:
            sock = dial(host, port, end)
        except (OSError, ValueError):  # ValueError: a host that cannot be a name (UnicodeError of IDNA)
            found.put(None)
            return
        self._track(sock)
        try:
            handshake.ask_for(sock, self._pair.peer, self._pair.session, end)
        except (OSError, Unreachable):
            sock.close()
            found.put(None)
        except PeerLost as fault:
            sock.close()
            found.put(fault)
        else:
            found.put(sock)

    def _secure(self, plain: socket.socket, direction: int, end: float) -> ssl.SSLSocket | None:
        """TLS and the proofs; None where the connection breaks off."""
        peer = self._pair.peer
        sock = self._context.wrap_socket(plain, do_handshake_on_connect=False, suppress_ragged_eofs=False)
        proved = False
        try:
            self._track(sock)
            sock.settimeout(max(_left(end), 0.001))
            sock.do_handshake()
            handshake.check_certificate(sock, self._pair)
            handshake.prove_as_dialler(sock, self._pair, direction, end)
            proved = True
        except ssl.SSLCertVerificationError as error:
            raise PeerLost(peer, handshake.wrong_certificate(peer)) from error
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return None
        except ssl.SSLError as error:
            raise PeerLost(peer, f"No TLS with {peer}: {error.reason}. Its announcement of us may be old.") from error
        except OSError:
            return None
        finally:
            if not proved:
                sock.close()
        return sock


def _heard(sock: ssl.SSLSocket, end: float) -> int:
    try:
        return handshake.hear_verdict(sock, end)
    except OSError:
        return handshake.RELAY


def _close_rest(found: queue.SimpleQueue[socket.socket | PeerLost | None], n_left: int) -> None:
    """Connections that came too late."""
    for _ in range(n_left):
        one = found.get()
        if isinstance(one, socket.socket):
            one.close()


def _left(end: float) -> float:
    return max(end - time.monotonic(), 0.0)
