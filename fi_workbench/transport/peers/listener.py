"""Where peers connect: one listening socket for each party, for all its sessions."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Sequence

from fi_workbench.core.errors import InvalidOption
from fi_workbench.transport.peers.announcement import MOST_ADDRESSES

BUFFER_BYTES = 2**22
_MOST_AT_ONCE = 64
_LOOK_SECONDS = 0.5


class PeerListener:
    """Accepts connections on a thread of its own, and hands each to ``welcome`` on another.

    Parameters
    ----------
    welcome : callable
        Given a connected socket, which is its own from then on.
    host : str
        On which address to listen; only this computer reaches the default.
    port : int
        0 lets the system choose.
    advertised : sequence of (str, int)
        Under which addresses others reach it, where these are not the ones listened on; a port of 0 stands for the
        one that is listened on.

    Raises
    ------
    InvalidOption
        The address cannot be listened on, or others cannot know it.
    """

    def __init__(
        self,
        welcome: Callable[[socket.socket], None],
        host: str = "127.0.0.1",
        port: int = 0,
        advertised: Sequence[tuple[str, int]] = (),
    ) -> None:
        if not advertised and _is_unspecified(host):
            raise InvalidOption(
                f"{host} stands for all addresses of this computer. Say under which of them peers reach it: "
                "advertised=[('10.1.2.3', 0)]."
            )
        if len(advertised) > MOST_ADDRESSES:
            raise InvalidOption(f"{len(advertised)} advertised addresses are too many; {MOST_ADDRESSES} is the most.")
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
            self._sock = socket.create_server((host, port), family=family, backlog=_MOST_AT_ONCE)
        except OSError as error:
            raise InvalidOption(
                f"Peers cannot be listened for on {host}, port {port}: {error}. Give an address of this computer, and "
                "port 0 for a free one."
            ) from error
        with contextlib.suppress(OSError):  # what is accepted inherits it
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
        self.port: int = self._sock.getsockname()[1]
        self.addresses = tuple((one, p or self.port) for one, p in advertised) or ((host, self.port),)
        self._welcome = welcome
        self._changed = threading.Condition()
        self._guests: dict[threading.Thread, socket.socket] = {}
        self._closed = False
        self._sock.settimeout(_LOOK_SECONDS)
        self._thread = threading.Thread(target=self._accept, name="fi-peers", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening; whoever is being welcomed is cut off."""
        with self._changed:
            self._closed = True
            guests = dict(self._guests)
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)  # wakes accept() where the system does so
        for sock in guests.values():
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for thread in guests:
            thread.join()
        self._sock.close()

    def _accept(self) -> None:
        while not self._closed:
            try:
                sock, _ = self._sock.accept()
            except TimeoutError:
                continue
            except OSError:
                # A connection that broke before it was accepted, or too many open files: go on, but not in a spin.
                with self._changed:
                    self._changed.wait_for(lambda: self._closed, 0.01)
                continue
            thread = threading.Thread(target=self._greet, args=(sock,), name="fi-peer-guest", daemon=True)
            with self._changed:
                if self._closed or len(self._guests) >= _MOST_AT_ONCE:
                    sock.close()
                    continue
                self._guests[thread] = sock
                thread.start()

    def _greet(self, sock: socket.socket) -> None:
        try:
            self._welcome(sock)
        finally:
            with self._changed:
                del self._guests[threading.current_thread()]


def prepare(sock: socket.socket) -> None:
    """A connection for small messages at once, and for large ones."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def dial(host: str, port: int, end: float) -> socket.socket:
    """A connected socket.

    Raises
    ------
    OSError
    """
    failed: OSError = OSError(f"{host} has no address")
    for family, kind, proto, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        sock = socket.socket(family, kind, proto)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
            sock.settimeout(max(end - time.monotonic(), 0.001))
            sock.connect(address)
            prepare(sock)
        except OSError as error:
            sock.close()
            failed = error
        else:
            return sock
    raise failed


def _is_unspecified(host: str) -> bool:
    if not host:
        return True
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
