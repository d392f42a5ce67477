"""A link that this process hosts: parties elsewhere connect to it, its owner's other processes attach to it."""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, Self

from fi_workbench.core.errors import Closed
from fi_workbench.transport.announcing import Announcer
from fi_workbench.transport.hosted.announced import Announced, By, announce, check_name
from fi_workbench.transport.hosted.certificates import ServerCertificate, given_certificate, own_certificate
from fi_workbench.transport.hosted.desk import DeskApp
from fi_workbench.transport.hosted.fleet_app import FleetApp
from fi_workbench.transport.hosted.hosted_grid import HostedGrid
from fi_workbench.transport.hosted.http import asgi
from fi_workbench.transport.hosted.keeping import Keeping
from fi_workbench.transport.hosted.membership import Admit, Membership, admit_all
from fi_workbench.transport.hosted.round_meter import RoundMeter
from fi_workbench.transport.hosted.server import ServerThread, SmallServer, address_of, listen, reachable
from fi_workbench.transport.hosted.shown import Shown, WatchedRoster, plain_entry
from fi_workbench.transport.roster import LinkStatus, Roster

_TOKEN_BYTES = 32


class HostedLink:
    """A link hosted in threads of this process; made by :meth:`open`.

    Implements :class:`~fi_workbench.transport.roster.RemoteLink`.
    """

    def __init__(
        self,
        name: str,
        sock: socket.socket,
        keeping: Keeping,
        certificate: ServerCertificate,
        *,
        approve: bool,
        admit: Admit,
        classes: tuple[str, ...] | None,
        input_shape: tuple[int, ...] | None,
        passing: TemporaryDirectory[str] | None,
        announce_by: By | None,
        announce_in: Path | None,
        max_request_bytes: int,
    ) -> None:
        self._name, self._keeping, self._started = name, keeping, time.time()
        self._address, self._fingerprint = address_of(sock), certificate.fingerprint
        self._meter, self._closing, self._closed = RoundMeter(), threading.Lock(), False
        self.shown = Shown(self._moved)
        """What whoever watches is told of its rounds and demo parties."""
        self._by, self._passing = announce_by, passing
        self._announcement: Path | None = None
        self.on_stop: Callable[[], None] = self.close
        """What the desk's ``/stop`` does, in a thread of its own."""
        self.roster: Roster = WatchedRoster(self._moved)
        """Who is there; kept up to date."""
        self._members = Membership(
            keeping, self.roster, approve=approve, admit=admit, classes=classes, input_shape=input_shape
        )  # fmt: skip
        self._fleet = self._members.fleet
        self._app = FleetApp(name, self._members, max_request_bytes)
        self._server = SmallServer(
            asgi(self._app.handle), sock, certificate.context(), self._tick, self._fleet.connected
        )
        servers, self._desk = [self._server], None
        self.announced: Announced | None = None
        if announce_by is not None:
            desk, token = listen("127.0.0.1:0"), secrets.token_urlsafe(_TOKEN_BYTES)
            self._desk = DeskApp(self, token, 16 * max_request_bytes)
            servers.append(SmallServer(asgi(self._desk.handle), desk, None, self._desk.tick))
            where, me = f"http://{address_of(desk)}", os.getpid()
            self.announced = Announced(
                secrets.token_hex(8), name, me, self._started, where, token, self._address, announce_by
            )  # fmt: skip
        self._rounds_told = (0, 0.0)
        self._thread = ServerThread(servers, f"fi-link-{name}"[:60])
        self._fleet.on_mail = self._on_mail
        self._grid = HostedGrid(self._fleet, self._meter)
        self._announcer = Announcer(self._grid, self._members.announced, self._members.silent)
        self._members.ask = self._announcer.ask
        self._thread.start()
        if self.announced is not None:
            try:
                self._announcement = announce(self.announced, announce_in)
            except BaseException:
                self.close()
                raise

    @classmethod
    def open(
        cls,
        address: str = "127.0.0.1:0",
        *,
        name: str,
        folder: Path | None = None,
        approve: bool = False,
        certificate: tuple[Path, Path] | None = None,
        admit: Admit = admit_all,
        classes: tuple[str, ...] | None = None,
        input_shape: tuple[int, ...] | None = None,
        announce_by: By | None = None,
        announce_in: Path | None = None,
        max_request_bytes: int = 2**26,
    ) -> Self:
        """Host a link.

        Parameters
        ----------
        address : str
            ``HOST:PORT`` to listen on; loopback unless another is named, port 0 takes a free one.
        name : str
        folder : Path, optional
            Keeps certificate and enrolled keys, so that a link that is started again on the same address goes on with
            the same parties; :func:`~fi_workbench.transport.hosted.keeping.link_folder` gives one by name. Without one,
            all is forgotten at the end.
        approve : bool
            Whether who joins waits until the host approves.
        certificate : (Path, Path), optional
            PEM files of a certificate and its key; self-signed when None.
        admit : callable
            ``(card) -> str``: why a party may not take part; empty if it may.
        classes, input_shape : tuple, optional
            What every party must have; the first member's when None.
        announce_by : {"kernel", "panel", "cli"}, optional
            Who hosts it. Given, this owner's other processes on this computer find the link and its desk; else there is
            no desk.
        announce_in : Path, optional
            Folder in which they find it; within Jupyter's runtime folder when None.
        max_request_bytes : int
            The largest reply that a party may send.

        Raises
        ------
        InvalidOption
            An address, name, folder or certificate that cannot be.
        CannotListen
        Closed
            Another process hosts the link of this folder.
        CorruptFile
            What was kept of this link cannot be read.
        """
        check_name(name)
        passing = None if folder is not None else TemporaryDirectory(prefix="fi-link-")
        keeping, sock = Keeping(folder or Path(passing.name if passing else "")), None
        try:
            sock = listen(address)
            shown = (
                own_certificate(keeping.folder, sock.getsockname()[0])
                if certificate is None
                else given_certificate(*certificate)
            )
            return cls(
                name, sock, keeping, shown, approve=approve, admit=admit, classes=classes, input_shape=input_shape,
                passing=passing, announce_by=announce_by, announce_in=announce_in, max_request_bytes=max_request_bytes,
            )  # fmt: skip
        except BaseException:
            if sock is not None:
                sock.close()
            keeping.close()
            if passing is not None:
                passing.cleanup()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def grid(self) -> HostedGrid:
        """How messages travel."""
        return self._grid

    @property
    def status(self) -> LinkStatus:
        """How the link itself is."""
        state: Literal["up", "closed"] = "closed" if self._closed else "up"
        return LinkStatus("hosted", self._name, self._address, self._fingerprint, state)

    @property
    def n_rounds(self) -> int:
        """Rounds that it carried, its own and those of attached processes."""
        return self._meter.n_rounds

    def invite(self, n: int = 1, minutes: float = 60.0) -> tuple[str, ...]:
        """``n`` commands, each of which lets one new party join; raises :class:`Closed` at a link that has ended."""
        self._check_open()
        command = f"fi-workbench join --link {reachable(self._address)} --fingerprint {self._fingerprint}"
        return tuple(
            f"{command} --token {token} --model my_party.py:party --key party.key"
            for token in self._members.invite(n, minutes)
        )

    def approve(self, name: str) -> None:
        """Let a waiting or expelled party take part.

        Raises
        ------
        UnknownName, Closed
        """
        self._check_open()
        self._members.approve(name)

    def expel(self, name: str) -> None:
        """Have a party take part no longer; its key opens the door no longer.

        Raises
        ------
        UnknownName, Closed
        """
        self._check_open()
        self._members.expel(name)

    def told(self, about: dict[str, Any]) -> None:
        """What the last round was; shown to whoever watches. See :meth:`Shown.told`."""
        self.shown.told(about)

    def stop(self) -> None:
        """Have :attr:`on_stop` called, in a thread of its own."""
        threading.Thread(target=self.on_stop, name="fi-link-stop", daemon=True).start()

    def close(self) -> None:
        """End the link: who waits for an answer gets none, parties are cut off, the port is free."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            if self._announcement is not None:
                self._announcement.unlink(missing_ok=True)
            self._announcer.stop()
            self._grid.close()
            self._thread.call(self._app.parking.close)
            if self._desk is not None:
                self._thread.call(self._desk.close)
            self._thread.stop()
            self._keeping.close()
            if self._passing is not None:
                self._passing.cleanup()

    # for the desk

    def described(self, version: int) -> dict[str, Any]:
        """What the desk says of the link, plain."""
        return {
            "version": version,
            "name": self._name,
            "kind": "hosted",
            "state": self.status.state,
            "address": self._address,
            "fingerprint": self._fingerprint,
            "pid": os.getpid(),
            "started": self._started,
            "by": self._by,
            "parties": [plain_entry(entry) for entry in self.roster.entries],
            "rounds": self._meter.n_rounds,
            "rounds_per_second": round(self._meter.per_second, 3),
            **self.shown.plain,
        }

    def new_grid(self, arrived: Callable[[], None]) -> HostedGrid:
        """A grid for an attached process."""
        grid = HostedGrid(self._fleet, self._meter, arrived)
        grid.set_run(self._grid.run)
        return grid

    def call(self, function: Callable[..., object], *arguments: object) -> None:
        """Call something in the event loop's thread."""
        self._thread.call(function, *arguments)

    def _check_open(self) -> None:
        if self._closed:
            raise Closed("This federation's link is closed; host anew.")

    def _on_mail(self, nodes: Collection[int]) -> None:
        self._thread.call(self._app.parking.wake, nodes)

    def _moved(self) -> None:
        if (desk := getattr(self, "_desk", None)) is not None:  # the roster is filled before there is a desk
            self._thread.call(desk.watch.move)

    def _tick(self) -> None:
        for node in self._fleet.tick():
            if self._server.door is not None:
                self._server.door.turn_out(node)
        rounds = (self._meter.n_rounds, self._meter.per_second)
        if self._desk is not None and rounds != self._rounds_told:
            self._rounds_told = rounds
            self._desk.watch.move()
