"""Channels over TLS 1.3 between the processes of parties: one listening socket, two connections for each pair."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Mapping, Sequence

from fi_workbench.core.peers import PeerLost, Peers
from fi_workbench.transport.peers import handshake
from fi_workbench.transport.peers.announcement import Announcement, read_announcement
from fi_workbench.transport.peers.channels import Channels
from fi_workbench.transport.peers.framing import LINGER_SECONDS, FrameReader, FrameWriter
from fi_workbench.transport.peers.handshake import Unreachable
from fi_workbench.transport.peers.inbox import Inbox
from fi_workbench.transport.peers.listener import PeerListener, prepare
from fi_workbench.transport.peers.rendezvous import Rendezvous

_MOST_ANNOUNCED = 64
_ASK_SECONDS = 5.0
_LARGEST_RESERVE_SECONDS = 5.0
_RESERVE_SHARE = 0.2
_SECRET_BYTES = 32


class TlsNetwork:
    """One party's channels to the parties of other processes.

    Parameters
    ----------
    host : str
        On which address to listen; with the default, only parties on this computer can connect.
    port : int
        0 lets the system choose.
    advertised : sequence of (str, int)
        Under which addresses others reach this party, where these are not the ones listened on.
    patience_seconds : float
        How long a peer that cannot be reached from here is waited for before the pair relays.

    Raises
    ------
    InvalidOption
        The address cannot be listened on, or others cannot know it.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        advertised: Sequence[tuple[str, int]] = (),
        patience_seconds: float = 5.0,
    ) -> None:
        self._patience_seconds = patience_seconds
        self._lock = threading.Lock()
        self._sessions: dict[bytes, Rendezvous] = {}
        self._open: dict[bytes, Channels] = {}
        self._closed = False
        self._listener = PeerListener(self._welcome, host, port, advertised)

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """Under which peers reach this party, (host, port)."""
        return self._listener.addresses

    def announce(self, session: str) -> bytes:
        """Addresses and a certificate of this session alone, whose key never leaves this process; public.

        Raises
        ------
        PeerLost
            The network was closed.
        """
        rendezvous = Rendezvous(session)
        name = handshake.session_name(session)
        with self._lock:
            if self._closed:
                raise PeerLost("", "The channels of this party were closed: make another network.")
            rendezvous = self._sessions.setdefault(name, rendezvous)
            idle = [one for one in self._sessions if one not in self._open]
            dropped = [self._sessions.pop(one) for one in idle[:-_MOST_ANNOUNCED]]
        for one in dropped:
            one.end(PeerLost("", "Too many sessions were announced and never begun."))
        return Announcement(self._listener.addresses, rendezvous.certificate.der).to_bytes()

    def connect(
        self, session: str, me: str, peers: Mapping[str, bytes], secrets: Mapping[str, bytes], end: float
    ) -> Peers:
        """Channels to all ``peers``; a pair of which neither end reaches the other is relayed.

        Raises
        ------
        PeerLost
            Who answers for a peer has not its certificate, does not know the pair's secret, or is of another version;
            or the session was not announced here.
        """
        name = handshake.session_name(session)
        with self._lock:
            rendezvous = self._sessions.get(name)
        if rendezvous is None:
            raise PeerLost(me, f"{me} has not announced session {session:.16}, or has closed it.")
        try:
            announced = {peer: read_announcement(peer, text) for peer, text in peers.items()}
            for peer in peers:
                if len(secrets[peer]) != _SECRET_BYTES:
                    raise PeerLost(peer, f"The secret with {peer} has {len(secrets[peer])} bytes, not {_SECRET_BYTES}.")
            left = max(end - time.monotonic(), 0.0)
            limit = end - min(_LARGEST_RESERVE_SECONDS, _RESERVE_SHARE * left)
            met = rendezvous.meet(me, announced, secrets, self._patience_seconds, limit)
        except BaseException:
            self._forget(name, rendezvous)
            raise
        inboxes = {peer: Inbox(me, peer) for peer in peers}
        writers = {peer: FrameWriter(peer, out) for peer, (out, _) in met.items()}
        readers = {peer: FrameReader(incoming) for peer, (_, incoming) in met.items()}
        for peer, reader in readers.items():
            inboxes[peer].read_from(reader)

        def end_all(for_good: bool) -> None:
            if for_good:
                self._forget_after(name, rendezvous, inboxes, writers, readers)
            else:
                for writer in writers.values():
                    writer.shut()
                for reader in readers.values():
                    reader.shut()

        channels = Channels(session, me, {peer: secrets[peer] for peer in peers}, inboxes, writers, end_all)
        with self._lock:
            late = self._closed
            if not late:
                self._open[name] = channels
        if late:
            channels.close()
        return channels

    def close(self) -> None:
        """Stop listening and end all channels."""
        with self._lock:
            self._closed = True
            opened, sessions = list(self._open.values()), dict(self._sessions)
        for channels in opened:
            channels.close()
        for name, rendezvous in sessions.items():
            self._forget(name, rendezvous)
        self._listener.close()

    def _welcome(self, sock: socket.socket) -> None:
        rendezvous = None
        end = time.monotonic() + _ASK_SECONDS
        with contextlib.suppress(OSError, Unreachable):
            prepare(sock)
            asked = handshake.asked_for(sock, end)
            with self._lock:
                rendezvous = self._sessions.get(asked)
            handshake.answer(sock, known=rendezvous is not None, end=end)
            if rendezvous is not None:
                rendezvous.welcome(sock)
                return
        sock.close()

    def _forget_after(
        self,
        name: bytes,
        rendezvous: Rendezvous,
        inboxes: Mapping[str, Inbox],
        writers: Mapping[str, FrameWriter],
        readers: Mapping[str, FrameReader],
    ) -> None:
        """Write what still waits, then let go of everything."""
        end = time.monotonic() + LINGER_SECONDS
        for writer in writers.values():
            writer.close(end)
        for peer, reader in readers.items():
            reader.shut()
            inboxes[peer].wait_unread(LINGER_SECONDS)
            reader.close()
        self._forget(name, rendezvous)

    def _forget(self, name: bytes, rendezvous: Rendezvous) -> None:
        with self._lock:
            self._open.pop(name, None)
            if self._sessions.get(name) is rendezvous:
                del self._sessions[name]
        rendezvous.end(PeerLost("", "The session was ended here."))
