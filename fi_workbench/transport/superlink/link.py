"""The coordinator's end of somebody else's SuperLink: one thread that sends, polls, and looks who is there."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from flwr.app import Message

from fi_workbench.core.errors import DoesNotFit, FederationError, InvalidOption
from fi_workbench.core.messages import PartyCard
from fi_workbench.transport.announcing import Announcer
from fi_workbench.transport.flower_internals.runtime_api import RuntimeApi
from fi_workbench.transport.node.backoff import Backoff
from fi_workbench.transport.protobuf_http import Address, Connection, Rejected
from fi_workbench.transport.roster import LinkStatus, Roster
from fi_workbench.transport.superlink.census import Census
from fi_workbench.transport.superlink.fab import stub_fab
from fi_workbench.transport.superlink.grid import SuperLinkGrid
from fi_workbench.transport.superlink.replies import Replies
from fi_workbench.transport.superlink.run import HeldRun, RunLost, hold_run
from fi_workbench.transport.tls import Tls
from fi_workbench.transport.wire import size

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.5
"""How often it is looked who is online."""

_BATCH_BYTES = 2**23
"""Messages are sent in requests of about this size."""

_N_HICCUPS = 5
"""So many errors of the SuperLink's own (HTTP 5xx) in a row are borne; its database may be busy."""

_LONGEST_WAIT_SECONDS = 5.0
_CLOSE_SECONDS = 5.0


def accept(_card: PartyCard) -> str:
    """Take in anyone."""
    return ""


class SuperLinkLink:
    """A :class:`~fi_workbench.transport.roster.RemoteLink` over an unmodified ``flower-superlink``.

    Made by :meth:`open`. A run that is lost is made anew by itself; meanwhile its state is ``"lost"``, and rounds end
    with absences.
    """

    def __init__(
        self,
        address: str,
        tls: Tls,
        known: Mapping[str, str] | None,
        admit: Callable[[PartyCard], str],
        poll_seconds: float,
    ) -> None:
        if poll_seconds <= 0:
            raise InvalidOption(f"poll_seconds is {poll_seconds!r}; it must be more than 0.")
        self._where, self._tls, self._context = Address.parse(address), tls, tls.context()
        self._poll_seconds = poll_seconds
        self._api, self._fab = RuntimeApi(), stub_fab()
        self._grid, self._roster = SuperLinkGrid(), Roster()
        self._replies = Replies(self._api, self._grid)
        self._status = LinkStatus("superlink", address, address)
        self._held: HeldRun | None = None
        self._connection = self._connect()
        self._stopping = threading.Event()
        self._announcer: Announcer | None = None
        self._census = Census(
            self._roster, self._ask, self._grid.fail_node, self._grid.is_stock, known, admit
        )  # fmt: skip
        self._thread = threading.Thread(target=self._run, name="fi-superlink", daemon=True)

    @classmethod
    def open(
        cls,
        address: str,
        *,
        root_certificates: bytes | None = None,
        insecure: bool = False,
        known: Mapping[str, str] | None = None,
        admit: Callable[[PartyCard], str] = accept,
        poll_seconds: float = 0.03,
    ) -> SuperLinkLink:
        """Attach to a SuperLink.

        Parameters
        ----------
        address : str
            ``HOST:PORT``.
        root_certificates : bytes, optional
            PEM; the authorities that may vouch for it. Those of this computer when None.
        insecure : bool
            Plain HTTP.
        known : mapping of str to str, optional
            Parties that may take part, and the Ed25519 key of each in hexadecimal. Anyone whom the SuperLink lets in
            when None.
        admit : callable
            ``(card) -> reason``: why a party may not take part; empty if it may.
        poll_seconds : float
            Between two looks for replies, while a round is under way.

        Raises
        ------
        DoesNotFit
            The SuperLink is set up in a way that leaves no place for a coordinator of its own.
        Unreachable, Rejected, WrongCertificate, InvalidOption
        """
        tls = Tls(insecure=insecure, root_certificates=root_certificates)
        link = cls(address, tls, known, admit, poll_seconds)
        try:
            link._hold()
        except BaseException:
            link._connection.close()
            raise
        link._announcer = Announcer(link._grid, link._census.announced, link._census.failed)
        link._thread.start()
        return link

    @property
    def grid(self) -> SuperLinkGrid:
        """How messages travel."""
        return self._grid

    @property
    def roster(self) -> Roster:
        """Who is there; kept up to date by the link."""
        return self._roster

    @property
    def status(self) -> LinkStatus:
        """How the link itself is."""
        return self._status

    def invite(self, n: int = 1, minutes: float = 60.0) -> tuple[str, ...]:
        """Nothing: who runs the SuperLink decides who may join.

        Raises
        ------
        DoesNotFit
        """
        raise DoesNotFit(
            "Who runs the SuperLink decides who joins it. With node authentication its operator runs: flwr supernode "
            f"register KEY.pub; the party then runs: fi-workbench join --link {self._status.address} ..."
        )

    def approve(self, name: str) -> None:
        """Let an expelled party take part again.

        Raises
        ------
        DoesNotFit
            It was not expelled here: who runs the SuperLink decides who joins.
        UnknownName
        """
        entry = self._roster.entry(name)
        if entry.state != "expelled":
            raise DoesNotFit(
                f"{name} is {entry.state}, and waits for no approval: who runs the SuperLink decides who joins "
                "(flwr supernode register KEY.pub)."
            )
        self._roster.change(entry.key, state="offline", reason="")
        if entry.node in self._grid.get_node_ids():
            self._ask(entry.node)

    def expel(self, name: str) -> None:
        """Ask a party no longer; the SuperLink still lets its node in (``flwr supernode unregister`` ends that).

        Raises
        ------
        UnknownName
        """
        entry = self._roster.entry(name)
        self._roster.change(entry.key, state="expelled", reason="")
        if entry.node is not None:
            self._grid.fail_node(entry.node, "it was expelled")

    def told(self, about: dict[str, Any]) -> None:
        """Nobody else watches a SuperLink's rounds."""

    def close(self) -> None:
        """End the run, and leave the SuperLink as it is."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self._status = replace(self._status, state="closed")
        if self._announcer is not None:
            self._announcer.stop()
        self._grid.close()
        self._grid.wake.set()
        self._connection.abort()
        self._thread.join(_CLOSE_SECONDS)
        if self._held is not None:
            goodbye = self._connect()
            self._held.leave(goodbye)
            goodbye.close()

    def _connect(self) -> Connection:
        return Connection(self._where, self._tls, self._context)

    def _ask(self, node: int | None) -> None:
        if self._announcer is not None and node is not None:
            self._announcer.ask(node)

    def _hold(self) -> None:
        held = hold_run(self._api, self._connection, self._fab, self._connect, self._grid.wake.set)
        self._held = held
        self._grid.set_run(held.run)
        self._grid.come_up()
        self._status = replace(self._status, state="up", reason="")

    def _run(self) -> None:
        backoff = Backoff(cap_seconds=_LONGEST_WAIT_SECONDS)
        while not self._stopping.is_set():
            try:
                if self._held is None:
                    self._hold()
                self._tend(backoff)
            except FederationError as error:
                self._lose(error, backoff)
            except Exception as error:  # noqa: BLE001 - the thread must live: whoever waits for a round has nobody else
                _log.exception("the SuperLink's thread goes on")
                self._lose(error, backoff)
        self._connection.close()

    def _lose(self, error: Exception, backoff: Backoff) -> None:
        if self._stopping.is_set():
            return
        if self._held is not None:
            self._held.leave()
            self._held = None
        seconds = backoff.next_seconds()
        since = f"the SuperLink is lost since {time.strftime('%H:%M:%S')}"
        self._status = replace(self._status, state="lost", reason=f"{error} Tried again in {seconds:.1f} s.")
        self._replies.forget()
        self._census.forget(since)
        self._grid.go_down(since)
        self._stopping.wait(seconds)

    def _tend(self, backoff: Backoff) -> None:
        looked = polled = float("-inf")
        n_hiccups = 0
        while not self._stopping.is_set():
            self._grid.wake.clear()
            try:
                if self._held is None or self._held.is_lost:
                    raise RunLost("The SuperLink has ended our run.")
                self._send(self._held)
                if time.monotonic() - polled >= self._poll_seconds:
                    self._replies.collect(self._connection, self._held)
                    polled = time.monotonic()
                if time.monotonic() - looked >= _LOOK_SECONDS:
                    looked = time.monotonic()
                    self._look(self._held)
                n_hiccups = 0
                backoff.reset()
            except Rejected as error:
                n_hiccups += 1
                if error.status < HTTPStatus.INTERNAL_SERVER_ERROR or n_hiccups > _N_HICCUPS:
                    raise
                self._stopping.wait(self._poll_seconds)
            until = polled + self._poll_seconds if self._grid.waiting else looked + _LOOK_SECONDS
            self._grid.wake.wait(max(0.0, until - time.monotonic()))

    def _send(self, held: HeldRun) -> None:
        batch: list[Message] = []
        n_bytes = 0
        for message in self._grid.take_outgoing():
            batch.append(message)
            n_bytes += size(message.content)
            if n_bytes >= _BATCH_BYTES:
                self._push(held, batch)
                batch, n_bytes = [], 0
        if batch:
            self._push(held, batch)

    def _push(self, held: HeldRun, batch: list[Message]) -> None:
        scattered = {one.metadata.message_id for one in batch if self._grid.is_scattered(one)}
        refused = self._api.push(self._connection.post, held.token, batch, scattered)
        self._replies.expect({one.metadata.message_id for one in batch} - refused)
        for message in batch:
            if message.metadata.message_id in refused:
                self._grid.fail(message, "the SuperLink does not take messages for its node")

    def _look(self, held: HeldRun) -> None:
        nodes = self._api.nodes(self._connection.post, held.token)
        self._grid.there_are(one.node for one in nodes)
        self._census.look(nodes)
