"""Messages on a connection that is used in one direction: length first, then the tag, then the bytes.

    kind (1 byte, 1) | bytes of the tag (1) | bytes of the message (8, big-endian) | tag | message

A length is checked against what the receiver waits for, or may hold, before anything is allocated for it.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
import time
from collections import deque

from fi_workbench.core.peers import BadPeerMessage, Buffer, PeerFault, PeerLost
from fi_workbench.transport.peers.inbox import LONGEST_TAG_BYTES, Inbox

SMALL_BYTES = 2**16
"""Up to so many bytes go out from the thread of whoever sends, if the connection takes them at once."""

LARGEST_QUEUE_BYTES = 2**31
"""That wait for a peer which does not read."""

LINGER_SECONDS = 2.0
"""For what waits to be written when a channel is closed."""

_HEAD = struct.Struct(">BBQ")
_MESSAGE = 1
_STAGE_BYTES = 2**16


def shut(sock: socket.socket) -> None:
    """Wake whoever reads or writes there, from any thread; the socket has still to be closed."""
    with contextlib.suppress(OSError):
        # Not SSLSocket.shutdown(): it would take TLS away under whoever uses the socket.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


class FrameReader:
    """The receiving end: fetches frames, by one thread at a time; a part of a frame waits for the next reader.

    Parameters
    ----------
    sock : ssl.SSLSocket
        One that raises at a ragged end.
    """

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self._sock = sock
        self._stage = bytearray(_STAGE_BYTES)
        self._view = memoryview(self._stage)
        self._start = self._stop = 0
        self._tag = ""
        self._payload: bytearray | None = None  # of a frame of which a part has come
        self._n_filled = 0

    def read(self, inbox: Inbox, end: float) -> None:
        """Put what arrives into ``inbox``, until at least one message is complete or the time is up.

        Raises
        ------
        PeerLost
            The connection has ended.
        BadPeerMessage
            What came is no frame, or one that may not come.
        """
        peer = inbox.peer
        while True:
            left = end - time.monotonic()
            if left <= 0:
                return
            self._sock.settimeout(left)
            try:
                n_read = self._sock.recv_into(self._space())
            except (TimeoutError, ssl.SSLWantReadError):
                return
            except ssl.SSLEOFError as error:
                raise PeerLost(peer, f"The connection from {peer} broke off.") from error
            except ssl.SSLError as error:
                raise BadPeerMessage(peer, f"What {peer} sent was changed on the way: {error.reason}.") from error
            except (OSError, ValueError) as error:  # ValueError: closed here meanwhile
                raise PeerLost(peer, f"The connection from {peer} ended: {error}.") from error
            if n_read == 0 and (self._payload is not None or self._stop > self._start):
                raise BadPeerMessage(peer, f"{peer} ended its channel within a message.")
            if n_read == 0:
                raise PeerLost(peer, f"{peer} has ended its channel to {inbox.me}.")
            if self._took(n_read, inbox):
                return

    def shut(self) -> None:
        """End the connection now, and wake whoever reads."""
        shut(self._sock)

    def close(self) -> None:
        """Let go of the connection, which was shut before and which nobody reads any more."""
        self._sock.close()

    def _space(self) -> memoryview:
        if self._payload is not None:
            return memoryview(self._payload)[self._n_filled :]
        if self._start:  # the rest of a head moves to the front
            rest = self._stop - self._start
            self._view[:rest] = self._stage[self._start : self._stop]
            self._start, self._stop = 0, rest
        return self._view[self._stop :]

    def _took(self, n_read: int, inbox: Inbox) -> bool:
        """Whether that completed a message."""
        if self._payload is not None:
            self._n_filled += n_read
            return self._complete(inbox)
        self._stop += n_read
        any_complete = False
        while self._begin(inbox):
            if not self._complete(inbox):
                break
            any_complete = True
        return any_complete

    def _begin(self, inbox: Inbox) -> bool:
        """Whether a frame's head and tag are there; then as much of its message as is there is taken too."""
        n_staged = self._stop - self._start
        if n_staged < _HEAD.size:
            return False
        kind, n_tag, n_bytes = _HEAD.unpack_from(self._stage, self._start)
        if kind != _MESSAGE or not 1 <= n_tag <= LONGEST_TAG_BYTES:
            raise BadPeerMessage(inbox.peer, f"What {inbox.peer} sent is no message of this protocol.")
        if n_staged < _HEAD.size + n_tag:
            return False
        at = self._start + _HEAD.size
        try:
            self._tag = str(self._view[at : at + n_tag], "utf-8")
        except UnicodeDecodeError as error:
            raise BadPeerMessage(inbox.peer, f"{inbox.peer} sent a tag that is no text.") from error
        inbox.check(self._tag, n_bytes)
        at += n_tag
        self._n_filled = min(n_bytes, self._stop - at)
        self._payload = bytearray(n_bytes)
        self._payload[: self._n_filled] = self._view[at : at + self._n_filled]
        self._start = at + self._n_filled
        return True

    def _complete(self, inbox: Inbox) -> bool:
        payload = self._payload
        if payload is None or self._n_filled < len(payload):
            return False
        self._payload = None
        inbox.put(self._tag, payload)
        return True


class FrameWriter:
    """The sending end: small messages at once, what the connection does not take at once by a thread of its own.

    Parameters
    ----------
    peer : str
    sock : ssl.SSLSocket
    """

    def __init__(self, peer: str, sock: ssl.SSLSocket) -> None:
        self._peer, self._sock = peer, sock
        sock.settimeout(0.0)
        self._changed = threading.Condition()
        self._queue: deque[bytes | memoryview] = deque()
        self._n_queued_bytes = 0
        self._writing = False
        self._closing = False
        self._fault: PeerFault | None = None
        self._thread: threading.Thread | None = None

    def send(self, tag: str, parts: tuple[Buffer, ...], n_bytes: int) -> None:
        """Send the parts as one message; never waits for the peer to read.

        Raises
        ------
        PeerLost
            The connection has ended, or the peer has not read for too long.
        """
        name = tag.encode()
        frame = b"".join((_HEAD.pack(_MESSAGE, len(name), n_bytes), name, *parts))
        with self._changed:
            if self._fault is not None:
                raise self._fault.with_traceback(None)
            if self._closing:
                raise PeerLost(self._peer, f"The channel to {self._peer} was closed here.")
            rest: bytes | memoryview = frame
            if n_bytes <= SMALL_BYTES and not self._queue and not self._writing:
                rest = self._try(frame)
            if not rest:
                return
            if self._n_queued_bytes + len(rest) > LARGEST_QUEUE_BYTES:
                raise PeerLost(self._peer, f"{self._peer} does not read: {self._n_queued_bytes} bytes wait for it.")
            self._queue.append(rest)
            self._n_queued_bytes += len(rest)
            if self._thread is None:
                self._thread = threading.Thread(target=self._write, name=f"fi-to-{self._peer}", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def shut(self) -> None:
        """End the connection now; what waits is lost."""
        with self._changed:
            self._fail(PeerLost(self._peer, f"The channel to {self._peer} was ended here."))
        shut(self._sock)

    def close(self, end: float) -> None:
        """Write what waits, until ``end`` at most, and end the connection."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            left = max(end - time.monotonic(), 0.0)
            self._changed.wait_for(lambda: not self._queue and not self._writing, left)
        self.shut()
        if self._thread is not None:
            self._thread.join()
        self._sock.close()

    def _try(self, frame: bytes) -> bytes | memoryview:
        """What the connection did not take."""
        try:
            n_sent = self._sock.send(frame)
        except (ssl.SSLWantWriteError, BlockingIOError):
            return frame  # TLS may have sent a part; it goes on with the very same bytes
        except (OSError, ValueError) as error:
            raise self._fail(self._lost(error)) from error
        return memoryview(frame)[n_sent:]

    def _write(self) -> None:
        while True:
            with self._changed:
                self._writing = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._queue or self._closing or self._fault is not None)
                if self._fault is not None or not self._queue:
                    return
                rest = memoryview(self._queue.popleft())
                self._writing = True
                self._n_queued_bytes -= len(rest)
            try:
                self._sock.settimeout(None)
                while rest:
                    rest = rest[self._sock.send(rest) :]
                self._sock.settimeout(0.0)
            except (OSError, ValueError) as error:
                with self._changed:
                    self._writing = False
                    self._fail(self._lost(error))
                return

    def _lost(self, error: Exception) -> PeerLost:
        return PeerLost(self._peer, f"The connection to {self._peer} ended: {error}.")

    def _fail(self, fault: PeerFault) -> PeerFault:
        self._fault = self._fault or fault
        self._queue.clear()
        self._n_queued_bytes = 0
        self._changed.notify_all()
        return self._fault
