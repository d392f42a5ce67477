"""Uvicorn in a thread of a kernel: several small servers on one event loop, no signal handlers, nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import uvicorn

from fi_workbench.core.errors import FederationError, InvalidOption
from fi_workbench.transport.hosted.door import Door
from fi_workbench.transport.hosted.quiet_log import FewRecords

_log = logging.getLogger(__name__)
_log.addFilter(FewRecords())
# what uvicorn says of connections that end is not for a notebook's cell; whoever configures logging still gets it
logging.getLogger("uvicorn").addHandler(logging.NullHandler())

_BACKLOG = 512

_AT_ONCE = 64
"""So many connections are accepted in one turn of the loop: each is a descriptor until the next, wanted or not."""
_KEEP_ALIVE_SECONDS = 600
_START_SECONDS = 30.0
_STOP_SECONDS = 10.0


class CannotListen(FederationError, OSError):
    """An address that this computer does not have, or a port that is taken."""


def listen(address: str) -> socket.socket:
    """A socket that listens on ``HOST:PORT``; port 0 takes a free one.

    Raises
    ------
    InvalidOption, CannotListen
    """
    try:
        parts = urlsplit(f"//{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or port is None or parts.path or parts.username is not None:
        raise InvalidOption(f"{address!r:.80} is no address to listen on: write HOST:PORT; port 0 takes a free one.")
    try:
        [(family, _, _, _, where), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return socket.create_server(where[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        # error.strerror of a failed bind repeats the address
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
        raise CannotListen(f"Nothing can listen on {address}: {why}. Choose another address or port.") from error


def address_of(sock: socket.socket) -> str:
    """``HOST:PORT`` that a socket listens on."""
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _nobody(owner: Any, change: int) -> None:
    pass


class SmallServer(uvicorn.Server):
    """One ASGI app on one socket, behind a :class:`Door`.

    Parameters
    ----------
    app : ASGI application
    sock : socket
        Closed with the server.
    context : ssl.SSLContext or None
    tick : callable
        Called each second, in the loop's thread.
    owned : callable
        See :class:`Door`.
    """

    def __init__(
        self,
        app: Any,
        sock: socket.socket,
        context: ssl.SSLContext | None,
        tick: Callable[[], None] = lambda: None,
        owned: Callable[[Any, int], None] = _nobody,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                interface="asgi3",
                http="httptools",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=1,
            )
        )
        self._sock, self._context, self._tick, self._owned = sock, context, tick, owned
        self.door: Door | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the door."""
        await self.lifespan.startup()
        self.door = Door(self.config, self.server_state, self._context, self._owned)
        loop = asyncio.get_running_loop()
        self.servers = [await loop.create_server(self.door.knock, sock=self._sock, backlog=_AT_ONCE)]
        self._sock.listen(_BACKLOG)  # the others wait with the kernel
        self.started = True

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second, by uvicorn."""
        if counter % 10 == 0 and self.door is not None:
            try:
                self.door.tick()
                self._tick()
            except Exception:  # noqa: BLE001 - one bad second must not end the service
                _log.exception("housekeeping failed; going on")
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the door, then what is behind it."""
        if self.door is not None:
            self.door.close()
        await super().shutdown(sockets)
        if self.door is not None:
            self.door.abort_all()


class ServerThread:
    """Runs servers on one event loop in a daemon thread, until :meth:`stop`."""

    def __init__(self, servers: Sequence[SmallServer], name: str) -> None:
        self._servers = servers
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Returns once all are up.

        Raises
        ------
        FederationError
        """
        self._thread.start()
        self._started.wait(_START_SECONDS)
        if self._failure is not None or not self._started.is_set():
            raise FederationError(f"The link's server did not start: {self._failure}.") from self._failure

    def call(self, function: Callable[..., object], *arguments: object) -> None:
        """Call something in the loop's thread, soon; nothing happens once the loop has ended."""
        if self.loop is not None:
            with contextlib.suppress(RuntimeError):  # closed
                self.loop.call_soon_threadsafe(function, *arguments)

    def stop(self) -> None:
        """Returns once the thread has ended; called from within it, it only begins to."""
        for server in self._servers:
            server.should_exit = True
        if threading.current_thread() is not self._thread and self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as failure:  # noqa: BLE001 - told to whoever started it
            self._failure = failure
            _log.warning("the link's server ended: %s", failure)
        finally:
            self._started.set()

    async def _main(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.loop.set_exception_handler(_report)
        serving = [asyncio.ensure_future(server.serve()) for server in self._servers]
        while not all(server.started for server in self._servers) and not any(task.done() for task in serving):
            await asyncio.sleep(0.002)
        self._started.set()
        await asyncio.gather(*serving)


def _report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:  # noqa: ARG001 (asyncio's form)
    _log.info("%s", context.get("exception") or context.get("message"))


def reachable(address: str) -> str:
    """An address as others reach it: where all of them are listened on, the one that faces the network."""
    host, _, port = address.rpartition(":")
    if host not in ("0.0.0.0", "[::]"):  # noqa: S104 (compared with, not listened on)
        return address
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))  # a documentation address; a datagram socket sends nothing by this
            return f"{probe.getsockname()[0]}:{port}"
    except OSError:
        return f"{socket.gethostname()}:{port}"
