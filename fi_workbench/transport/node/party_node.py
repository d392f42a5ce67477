"""A party's node: it asks its link for messages, has its ClientApp answer them, and comes back whenever it is cut off.

The same node serves a hosted link, which holds an empty pull until there is a message, and an unmodified SuperLink,
which answers at once and is asked again. It executes nothing that is sent to it.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

from cryptography.hazmat.primitives.asymmetric import ec
from flwr.app import Message
from flwr.clientapp import ClientApp

from fi_workbench.core.errors import FederationError, InvalidOption
from fi_workbench.transport.flower_internals import error_reply
from fi_workbench.transport.flower_internals.fleet import (
    SHORTEST_HEARTBEAT_SECONDS,
    Fleet,
    Garbled,
    Pulled,
    new_context,
)
from fi_workbench.transport.node.backoff import Backoff
from fi_workbench.transport.node.heartbeat import Heartbeat
from fi_workbench.transport.node.refusal import NodeRefused, explained, why_refused
from fi_workbench.transport.protobuf_http import Address, Connection, Rejected, Unreachable
from fi_workbench.transport.tls import Tls, WrongCertificate

__all__ = ["NodeEvent", "NodeRefused", "PartyNode", "Tls", "quiet"]

_log = logging.getLogger(__name__)

_LIVELY_SECONDS = 2.0
"""After a message, polls are quick for this long."""

_SLOWEST_POLL_SECONDS = 0.25
_HELD_SECONDS = 1.0
"""A pull that took this long was held by the link: the next one follows at once."""

_PATIENCE_SECONDS = 5.0
"""Beyond two heartbeats, after which a link sees that a process that had this key before is gone."""

_GRACE_SECONDS = 5.0
_GOODBYE_SECONDS = 2.0


@dataclass(frozen=True)
class NodeEvent:
    """Something that happened to a node, for whoever logs or shows it.

    Parameters
    ----------
    kind : {"connected", "lost", "retrying", "answered", "refused", "stopped"}
    text : str
        A sentence.
    seconds : float or None
        How long an answer took, or a wait will.
    """

    kind: Literal["connected", "lost", "retrying", "answered", "refused", "stopped"]
    text: str
    seconds: float | None = None


def quiet(event: NodeEvent) -> None:
    """Tell nobody."""


class PartyNode:
    """Answers a link's messages with a ClientApp.

    Parameters
    ----------
    app : ClientApp
        Called with one message at a time, in the thread that calls :meth:`run`.
    address : str
        ``HOST:PORT`` of the link.
    key : EllipticCurvePrivateKey
        P-384: what the link knows the node by.
    tls : Tls
    on_event : callable
        Called from :meth:`run`; what it raises is logged.
    poll_seconds : float
        Between empty pulls, while messages come.
    heartbeat_seconds : float
        Told to the link, which takes the node for gone after twice that.
    instance : str, optional
        Names this process; random by default.

    Raises
    ------
    InvalidOption
    """

    def __init__(
        self,
        app: ClientApp,
        address: str,
        key: ec.EllipticCurvePrivateKey,
        *,
        tls: Tls,
        on_event: Callable[[NodeEvent], None] = quiet,
        poll_seconds: float = 0.03,
        heartbeat_seconds: float = 10.0,
        instance: str | None = None,
    ) -> None:
        if heartbeat_seconds < SHORTEST_HEARTBEAT_SECONDS or poll_seconds <= 0:
            raise InvalidOption(
                f"A heartbeat each {heartbeat_seconds:g} s and a poll each {poll_seconds:g} s: the first must be at "
                f"least {SHORTEST_HEARTBEAT_SECONDS:g} s, the second more than 0."
            )
        if not isinstance(key.curve, ec.SECP384R1):
            raise InvalidOption(f"A node's key is on the curve P-384, not {key.curve.name}.")
        self._app, self._on_event = app, on_event
        self._poll_seconds, self._heartbeat_seconds = poll_seconds, heartbeat_seconds
        self._address, self._tls, self._context = Address.parse(address), tls, tls.context()
        self._fleet = Fleet(key, instance or secrets.token_hex(16))
        self._stopping, self._ended = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._waiting_on: Connection | None = None  # what stop() may cut
        self._thread: int | None = None
        self._node: int | None = None  # as the link last called us
        self._gives_up_at = 0.0

    def run(self) -> None:
        """Answer messages until :meth:`stop`; blocks, and comes back by itself whenever it is cut off.

        Raises
        ------
        NodeRefused
            The link will not have this node, or it is not the link that was meant: trying again mends nothing.
        """
        self._thread = threading.get_ident()
        self._gives_up_at = time.monotonic() + 2.0 * self._heartbeat_seconds + _PATIENCE_SECONDS
        backoff = Backoff()
        try:
            while not self._stopping.is_set():
                try:
                    self._serve(backoff)
                except (Unreachable, Garbled, Rejected, WrongCertificate) as error:
                    self._hold_out(error, backoff)
            self._tell(NodeEvent("stopped", "It was stopped."))
        except NodeRefused as refusal:
            self._tell(NodeEvent("refused", str(refusal)))
            raise
        finally:
            self._ended.set()

    def stop(self, seconds: float = _GRACE_SECONDS) -> None:
        """From another thread: end :meth:`run`, after the message under way; waits for that for ``seconds`` at most.

        A message that takes longer is still finished before :meth:`run` returns.
        """
        self._stopping.set()
        with self._lock:
            if self._waiting_on is not None:
                self._waiting_on.abort()
        if self._thread not in (None, threading.get_ident()):
            self._ended.wait(seconds)

    def _serve(self, backoff: Backoff) -> None:
        connection = Connection(self._address, self._tls, self._context)
        try:
            with self._cut_by_stop(connection):
                node = self._node = self._begin(connection)
            self._tell(NodeEvent("connected", f"Connected to {self._address.host}:{self._address.port}."))
            beat = Heartbeat(self._fleet, Connection(self._address, self._tls, self._context), node,
                             self._heartbeat_seconds)  # fmt: skip
            with beat:
                self._answer_all(connection, node, beat, backoff)
        finally:
            connection.close()
            if self._stopping.is_set() and self._node is not None:
                self._say_goodbye(self._node)

    def _begin(self, connection: Connection) -> int:
        """Be active on the link; the node's id there."""
        post, seconds = connection.post, self._heartbeat_seconds
        try:
            return self._fleet.activate(post, seconds)
        except Rejected as error:
            if error.status != HTTPStatus.PRECONDITION_FAILED:
                raise
        # Either the key is unknown there, or the link takes its node for online still. A SuperLink says no more.
        if self._node is not None and self._knows_us_still(connection, self._node):
            return self._node
        self._fleet.register(post)  # a link without node authentication takes any key
        return self._fleet.activate(post, seconds)

    def _knows_us_still(self, connection: Connection, node: int) -> bool:
        try:
            return self._fleet.heartbeat(connection.post, node, self._heartbeat_seconds)
        except Rejected:
            return False

    def _answer_all(self, connection: Connection, node: int, beat: Heartbeat, backoff: Backoff) -> None:
        pause, last_message = self._poll_seconds, time.monotonic()
        while not self._stopping.is_set():
            if beat.unknown:
                raise Unreachable("The link has forgotten this node; it may have been restarted.")
            asked = time.monotonic()
            pulled = self._pull(connection, node)
            took = time.monotonic() - asked
            backoff.reset()
            for one in pulled:
                self._answer(connection, node, one)
            if pulled:
                pause, last_message = self._poll_seconds, time.monotonic()
                continue
            quick = time.monotonic() - last_message < _LIVELY_SECONDS
            pause = self._poll_seconds if quick else min(pause * 1.5, max(self._poll_seconds, _SLOWEST_POLL_SECONDS))
            if took < _HELD_SECONDS:
                # a link that is slow to say "nothing" (a busy machine, a database) is not asked the more often for it
                self._stopping.wait(max(pause, min(2.0 * took, _SLOWEST_POLL_SECONDS)))

    def _pull(self, connection: Connection, node: int) -> list[Pulled]:
        with self._cut_by_stop(connection):
            return self._fleet.pull(connection.post, node)

    @contextlib.contextmanager
    def _cut_by_stop(self, connection: Connection) -> Iterator[None]:
        """While waiting for the link, not while answering."""
        with self._lock:
            if self._stopping.is_set():
                connection.abort()
            self._waiting_on = connection
        try:
            yield
        finally:
            with self._lock:
                self._waiting_on = None

    def _answer(self, connection: Connection, node: int, pulled: Pulled) -> None:
        message, began = pulled.message, time.monotonic()
        reply = self._reply(message, node) if pulled.whole else _not_inline(message)
        seconds = time.monotonic() - began
        try:
            self._fleet.push(connection.post, node, reply, seconds)
        except Rejected as error:
            if error.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
                too_large = error_reply(message, f"its answer is larger than the link takes ({error.text})")
                self._fleet.push(connection.post, node, too_large, seconds)
            elif error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise
            else:  # its round is over, or its run: the next message is another matter
                _log.info("an answer was not taken: %s", error)
                return
        self._tell(NodeEvent("answered", f"Answered {message.metadata.message_type!r:.80}.", seconds))

    def _reply(self, message: Message, node: int) -> Message:
        try:
            return self._app(message, new_context(message.metadata.run_id, node))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a model does, its node stays up
            _log.warning("answering raised", exc_info=True)
            return error_reply(message, type(error).__name__)

    def _hold_out(self, error: FederationError, backoff: Backoff) -> None:
        if self._stopping.is_set():
            return
        if refusal := why_refused(error, self._node is not None, time.monotonic() < self._gives_up_at):
            raise NodeRefused(refusal) from error
        if not backoff.tries:
            self._tell(NodeEvent("lost", f"The link is not reached: {explained(error)}"))
        seconds = backoff.next_seconds()
        self._tell(NodeEvent("retrying", f"Trying again in {seconds:.1f} s: {explained(error)}", seconds))
        self._stopping.wait(seconds)

    def _say_goodbye(self, node: int) -> None:
        connection = Connection(self._address, self._tls, self._context)
        try:
            self._fleet.deactivate(connection.post, node, _GOODBYE_SECONDS)
        except FederationError as error:
            _log.info("left without a goodbye: %s", error)
        finally:
            connection.close()

    def _tell(self, event: NodeEvent) -> None:
        try:
            self._on_event(event)
        except Exception:  # noqa: BLE001 - who watches must not stop who works
            _log.exception("on_event raised")


def _not_inline(message: Message) -> Message:
    kind = f"{message.metadata.message_type!r:.80}"
    return error_reply(message, f"message {kind} came without its content; this node takes contents inline only")
