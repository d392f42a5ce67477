"""The embedded transport: a ``Grid`` that calls the parties' ClientApps from threads of this process.

Ours rather than ``concurrent.futures``: a party that hangs must neither hold up the others' messages nor the end of
the interpreter, and a party's messages are answered one at a time, in order.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections import deque
from collections.abc import Collection, Iterable

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp

from fi_workbench.core.errors import Closed
from fi_workbench.transport.flower_internals import error_reply, through_protobuf
from fi_workbench.transport.grid import WaitingGrid
from fi_workbench.transport.mailbox import Mailbox

_STALL_SECONDS = 0.02
"""No reply for this long while messages wait: one more worker is started, in case the others hang."""

_IDLE_SECONDS = 5.0
"""A worker without work for this long ends."""

_GONE = "no such party: it has left"


class LocalGrid(WaitingGrid):
    """Calls ClientApps in this process.

    Parameters
    ----------
    n_workers : int, optional
        Threads that answer while nobody hangs; one per core by default.
    through_wire : bool
        Pass every message through its protobuf form, as a network would.
    """

    def __init__(self, n_workers: int | None = None, through_wire: bool = False) -> None:
        super().__init__()
        self._n_workers = n_workers or os.cpu_count() or 1
        self._through_wire = through_wire
        self._work = threading.Condition(threading.Lock())  # guards all that follows
        self._apps: dict[int, tuple[ClientApp, Context]] = {}
        self._mail: dict[int, deque[Message]] = {}
        self._ready: deque[int] = deque()  # nodes with mail that are not busy
        self._busy: set[int] = set()
        self._box = Mailbox()  # locked within, never around, the lock above
        self._n_threads = self._n_idle = 0
        self._last_progress = 0.0
        self._node_ids = itertools.count(1)  # never used twice: a party that left may still be at work
        self._closed = False

    def add(self, app: ClientApp) -> int:
        """Take in a party and return its node id."""
        with self._work:
            node = next(self._node_ids)
            context = Context(self.run.run_id, node, node_config={}, state=RecordDict(), run_config={})
            self._apps[node] = (app, context)
            self._mail[node] = deque()
            return node

    def remove(self, node: int) -> None:
        """Let a party go: what waits for it is answered with an error, a call that is under way ends by itself."""
        with self._work:
            self._apps.pop(node, None)
            self._take_off(node)
            for message in self._mail.pop(node, ()):
                self._deliver(message, error_reply(message, _GONE))

    def at_least(self, n_workers: int) -> None:
        """Answer in so many threads from now on: for parties that wait for one another."""
        with self._work:
            self._n_workers = max(self._n_workers, n_workers)

    def get_node_ids(self) -> list[int]:
        """Node ids of all parties."""
        with self._work:
            return list(self._apps)

    def is_busy(self, node: int) -> bool:
        """Whether the party is still at work on some message."""
        with self._work:
            return node in self._busy

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Queue messages; they are answered in other threads.

        Raises
        ------
        Closed
            If the grid was closed.
        """
        ids = []
        with self._work:
            if self._closed:
                raise Closed("This federation's transport is closed; make a new federation.")
            if not self._ready:  # else others have been waiting: their patience is not lengthened
                self._last_progress = time.monotonic()
            for message in messages:
                node = message.metadata.dst_node_id
                ids.append(self._box.open(message))
                if node not in self._mail:
                    self._deliver(message, error_reply(message, _GONE))
                    continue
                self._mail[node].append(message)
                if node not in self._busy and node not in self._ready:
                    self._ready.append(node)
            for _ in range(min(self._n_workers - self._n_threads, len(self._ready) - self._n_idle)):
                self._start_worker()
            self._work.notify(len(self._ready))
        return ids

    def wait(self, message_ids: Collection[str], timeout: float, n: int = 1) -> None:
        """Block until ``n`` of the replies can be pulled, ``timeout`` seconds pass, or the grid is closed."""
        self._box.wait(message_ids, timeout, n, every=_STALL_SECONDS, beat=self._unstall)

    def pull_arrived(self, message_ids: Iterable[str]) -> list[tuple[Message, float]]:
        """Replies that are there and when each arrived, in monotonic seconds; each is given out once."""
        return self._box.pull(message_ids)

    def discard(self, message_ids: Iterable[str]) -> None:
        """Give messages up: those not begun are taken back, one that a party is at work on is dropped when done."""
        with self._work:
            for message in self._box.discard(message_ids):
                mail = self._mail.get(message.metadata.dst_node_id)
                if mail and message in mail:
                    mail.remove(message)
                    if not mail:
                        self._take_off(message.metadata.dst_node_id)

    def close(self) -> None:
        """Take no more messages; what somebody waits for fails now.

        Workers end; those that hang are left to the end of the process.
        """
        with self._work:
            self._closed = True
            self._box.close(lambda message: error_reply(message, "the transport was closed"))
            self._ready.clear()
            self._mail = {node: deque() for node in self._mail}
            self._work.notify_all()

    def _take_off(self, node: int) -> None:
        self._ready = deque(other for other in self._ready if other != node)

    def _deliver(self, message: Message, reply: Message) -> None:
        self._box.deliver(message.metadata.message_id, reply)

    def _unstall(self) -> None:
        """One more worker, where messages wait and nobody takes them."""
        with self._work:
            now = time.monotonic()
            if self._ready and not self._n_idle and now - self._last_progress >= _STALL_SECONDS:
                self._last_progress = now
                self._start_worker()

    def _start_worker(self) -> None:
        self._n_threads += 1
        threading.Thread(target=self._answer_mail, name="fi-party-worker", daemon=True).start()

    def _answer_mail(self) -> None:
        while True:
            with self._work:
                while not self._ready:
                    self._n_idle += 1
                    woken = not self._closed and self._work.wait(_IDLE_SECONDS)
                    self._n_idle -= 1
                    if self._closed or (not woken and not self._ready):
                        self._n_threads -= 1
                        return
                node = self._ready.popleft()
                message = self._mail[node].popleft()
                app, context = self._apps[node]
                self._busy.add(node)
            reply = self._call(app, context, message)
            with self._work:
                self._busy.discard(node)
                self._last_progress = time.monotonic()
                if self._mail.get(node):
                    self._ready.append(node)
                    self._work.notify()
                self._deliver(message, reply)

    def _call(self, app: ClientApp, context: Context, message: Message) -> Message:
        try:
            if self._through_wire:
                return through_protobuf(app(through_protobuf(message), context))
            return app(message, context)
        except BaseException as error:  # noqa: BLE001 - even sys.exit() in a model: the node stays up, its worker too
            return error_reply(message, f"{type(error).__name__}")
