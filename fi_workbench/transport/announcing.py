"""Who is behind a node: it is asked for its card, and what it announces is checked before anybody relies on it."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from uuid import uuid4

from flwr.app import Message

from fi_workbench.core.errors import Closed, FederationError
from fi_workbench.core.messages import PartyCard
from fi_workbench.core.plain_text import clean
from fi_workbench.protocol.announcement import ask_for_card, read_announcement
from fi_workbench.protocol.ports import ANNOUNCE
from fi_workbench.transport.grid import WaitingGrid
from fi_workbench.transport.wire import decode, encode

_log = logging.getLogger(__name__)

ANSWER_SECONDS = 60.0
"""So long a node may take to announce itself; a stock SuperNode starts an interpreter for each message."""

_LOOK_SECONDS = 0.05


class Announcer:
    """Asks new nodes for their cards, many at once, in a thread of its own.

    Parameters
    ----------
    grid : WaitingGrid
    announced : callable
        ``(node, card)``: what a node announced, its signature checked.
    failed : callable
        ``(node, reason)``: it announced nothing that could be read, or nothing at all.
    """

    def __init__(
        self,
        grid: WaitingGrid,
        announced: Callable[[int, PartyCard], None],
        failed: Callable[[int, str], None],
    ) -> None:
        self._grid, self._announced, self._failed = grid, announced, failed
        self._nodes: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._open: dict[str, tuple[int, bytes, float]] = {}  # message id: node, nonce, when to give up
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fi-announcer", daemon=True)
        self._thread.start()

    def ask(self, node: int) -> None:
        """Ask this node for its card; returns at once."""
        self._nodes.put(node)

    def stop(self) -> None:
        """Ask nobody more."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._take(wait=not self._open)
                self._look()
            except Closed:  # the grid
                return
            except Exception:  # noqa: BLE001 - one node's nonsense must not keep the others out
                _log.exception("asking for cards failed; going on")
                time.sleep(_LOOK_SECONDS)

    def _take(self, wait: bool) -> None:
        """Ask all nodes that have come; where there is nothing else to do, wait a while for one."""
        try:
            node = self._nodes.get(timeout=1.0 if wait else 0.0001)
            while True:
                self._send(node)
                node = self._nodes.get_nowait()
        except queue.Empty:
            return

    def _send(self, node: int) -> None:
        # one question for a node at a time: a process that was started again has lost the one before
        before = [message_id for message_id, (asked, _, _) in self._open.items() if asked == node]
        for message_id in before:
            del self._open[message_id]
        self._grid.discard(before)
        nonce, body = ask_for_card()
        message = self._grid.create_message(
            encode(body), f"query.{ANNOUNCE}", node, f"announce-{uuid4().hex}", ttl=ANSWER_SECONDS + 1.0
        )  # fmt: skip
        [message_id] = self._grid.push_messages([message])
        self._open[message_id] = (node, nonce, time.monotonic() + ANSWER_SECONDS)

    def _look(self) -> None:
        if not self._open:
            return
        self._grid.wait(list(self._open), _LOOK_SECONDS)
        for reply, _ in self._grid.pull_arrived(list(self._open)):
            node, nonce, _ = self._open.pop(reply.metadata.reply_to_message_id)
            self._read(node, nonce, reply)
        now = time.monotonic()
        late = [message_id for message_id, (_, _, until) in self._open.items() if until <= now]
        for message_id in late:
            node, _, _ = self._open.pop(message_id)
            self._failed(node, f"it did not announce itself within {ANSWER_SECONDS:.0f} s.")
        self._grid.discard(late)

    def _read(self, node: int, nonce: bytes, reply: Message) -> None:
        if reply.has_error():
            self._failed(node, f"it could not announce itself: {clean(reply.error.reason)}")
            return
        try:
            card = read_announcement(decode(reply.content), nonce)
        except (FederationError, ValueError) as error:
            self._failed(node, str(error))
        else:
            self._announced(node, card)
