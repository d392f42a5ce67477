"""The door of a server: who may hold a connection open, for how long, and how much is read before anybody is known.

Uvicorn's HTTP protocol does the parsing. What it leaves open, and any port on a network meets, is bounded here: the
time and the number of TLS handshakes, connections that say nothing, request heads that never end, requests without end
in one packet. A connection that has not proved whose it is gives way to a newer one when there are too many, and is
closed after ten seconds in any case; one that has belongs to its node, which may hold a few.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections import deque
from collections.abc import Callable, Hashable
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from fi_workbench.transport.hosted.quiet_log import FewRecords

MAX_UNPROVED = 128
MAX_PER_OWNER = 8
HANDSHAKE_SECONDS = 5.0
UNPROVED_SECONDS = 10.0
HEAD_SECONDS = 10.0
MAX_HEAD_BYTES = 2**14
_MAX_PIPELINED = 2

_log = logging.getLogger(__name__)
_log.addFilter(FewRecords())


class _TooLong(ValueError):
    """A request head without end."""


class HttpConnection(HttpToolsProtocol):
    """One connection, once TLS stands."""

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any], loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__(config, server_state, {**app_state, "connection": self}, loop)
        self.logger = _log  # uvicorn's own would print a line for each piece of junk
        self.access_log = False
        self.knock: Knock | None = None
        self.lost = False
        self.on_lost: Callable[[], None] | None = None
        self._head_since: float | None = None
        self._head_bytes = 0

    def is_slow(self, now: float) -> bool:
        """Whether a request's head has been on its way for too long."""
        return self._head_since is not None and now - self._head_since > HEAD_SECONDS

    def prove(self, owner: Hashable) -> None:
        """Whose connection this is was shown."""
        if self.knock is not None:
            self.knock.door.prove(self.knock, owner)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever holds a request of this connection."""
        self.lost = True
        super().connection_lost(exc)
        if self.knock is not None:
            self.knock.door.left(self.knock)
        if self.on_lost is not None:
            self.on_lost()

    def data_received(self, data: bytes) -> None:
        """Parse, and count what belongs to a head that is not complete."""
        super().data_received(data)
        if self._head_since is not None and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > 2 * MAX_HEAD_BYTES:
                self.send_400_response("Request head too long.")

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._head_since, self._head_bytes = self.loop.time(), 0

    def on_url(self, url: bytes) -> None:
        """Part of its path."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._count(len(name) + len(value) + 4)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is complete."""
        self._head_since, self._head_bytes = None, 0
        if len(self.pipeline) >= _MAX_PIPELINED:
            raise _TooLong("too many requests at once")
        super().on_headers_complete()

    def _count(self, n_bytes: int) -> None:
        self._head_bytes += n_bytes
        if self._head_bytes > MAX_HEAD_BYTES:
            raise _TooLong("request head too long")


class _Held(asyncio.Protocol):
    """What comes between the end of a TLS handshake and the moment at which its connection takes over."""

    def __init__(self) -> None:
        self.data: list[bytes] = []
        self.lost: list[Exception | None] = []

    def data_received(self, data: bytes) -> None:
        """Keep it; the loop hands over in its next turn."""
        self.data.append(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Remember it."""
        self.lost.append(exc)


class Knock(asyncio.Protocol):
    """A connection from its first packet on, before TLS."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.transport: asyncio.Transport | None = None
        self.http: HttpConnection | None = None
        self.owner: Hashable = None
        self.since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody knocks."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 (for the type checker)
        self.transport = transport
        transport.pause_reading()
        # asyncio does this only where the socket names its protocol; without it each answer waits 40 ms for an ACK
        with contextlib.suppress(OSError):  # gone already
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.door.knocked(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Gone before the handshake began."""
        self.door.left(self)

    def abort(self) -> None:
        """Close at once, whatever is under way."""
        if self.transport is not None:
            self.transport.abort()


class Door:
    """All connections of one server.

    Parameters
    ----------
    config, state
        Uvicorn's.
    context : ssl.SSLContext or None
        None for plain HTTP on loopback.
    owned : callable
        ``(owner, change)``: an owner has one connection more (1) or less (-1).
    """

    def __init__(
        self,
        config: Config,
        state: ServerState,
        context: ssl.SSLContext | None,
        owned: Callable[[Any, int], None],
    ) -> None:
        self._config, self._state, self._context, self._owned = config, state, context, owned
        self._loop = asyncio.get_running_loop()
        self._unproved: dict[Knock, None] = {}  # oldest first
        self._proved: dict[Hashable, deque[Knock]] = {}
        self._entering: set[asyncio.Task[None]] = set()
        self._closed = False

    def knock(self) -> Knock:
        """For a connection that is about to be made."""
        return Knock(self)

    def knocked(self, knock: Knock) -> None:
        """Let a connection in to the handshake; the oldest that has not proved itself gives way if need be."""
        if self._closed:
            knock.abort()
            return
        if len(self._unproved) >= MAX_UNPROVED:
            oldest = next(iter(self._unproved))
            del self._unproved[oldest]
            oldest.abort()
        knock.since = self._loop.time()
        self._unproved[knock] = None
        task = self._loop.create_task(self._enter(knock))
        self._entering.add(task)
        task.add_done_callback(self._entering.discard)

    def prove(self, knock: Knock, owner: Hashable) -> None:
        """This connection is ``owner``'s; the oldest of too many is closed."""
        if self._unproved.pop(knock, self) is self:  # shown before, or gone
            return
        knock.owner = owner
        mine = self._proved.setdefault(owner, deque())
        mine.append(knock)
        self._owned(owner, 1)
        if len(mine) > MAX_PER_OWNER:
            mine[0].abort()

    def left(self, knock: Knock) -> None:
        """A connection is closed."""
        self._unproved.pop(knock, None)
        mine = self._proved.get(knock.owner)
        if mine is not None and knock in mine:
            mine.remove(knock)
            if not mine:
                del self._proved[knock.owner]
            self._owned(knock.owner, -1)

    def turn_out(self, owner: Hashable) -> None:
        """Close all connections of one owner."""
        for knock in list(self._proved.get(owner, ())):
            knock.abort()

    def tick(self) -> None:
        """Close what has taken too long; once a second or so."""
        now = self._loop.time()
        for knock in list(self._unproved):
            if now - knock.since <= UNPROVED_SECONDS:
                break
            knock.abort()
        for mine in list(self._proved.values()):
            for knock in list(mine):
                if knock.http is not None and knock.http.is_slow(now):
                    knock.abort()

    def close(self) -> None:
        """Let nobody in any more; who has not proved anything is closed."""
        self._closed = True
        for knock in list(self._unproved):
            knock.abort()

    def abort_all(self) -> None:
        """Close whatever is left."""
        for mine in list(self._proved.values()):
            for knock in list(mine):
                knock.abort()

    @property
    def n_connections(self) -> int:
        """All that are open."""
        return len(self._unproved) + sum(map(len, self._proved.values()))

    async def _enter(self, knock: Knock) -> None:
        assert knock.transport is not None  # noqa: S101 (for the type checker)
        held = _Held()
        transport: asyncio.Transport | None = knock.transport
        try:
            if self._context is None:
                knock.transport.set_protocol(held)
                knock.transport.resume_reading()
            else:
                transport = await self._loop.start_tls(
                    knock.transport, held, self._context, server_side=True,
                    ssl_handshake_timeout=HANDSHAKE_SECONDS, ssl_shutdown_timeout=1.0,
                )  # fmt: skip
        except (OSError, EOFError, asyncio.CancelledError):  # no TLS, junk, too slow, or sent away
            transport = None
        if transport is None or held.lost or transport.is_closing():
            knock.abort()
            self.left(knock)
            return
        knock.http = http = HttpConnection(self._config, self._state, {}, self._loop)
        http.knock = knock
        http.connection_made(transport)
        transport.set_protocol(http)
        for data in held.data:
            if not transport.is_closing():
                http.data_received(data)
