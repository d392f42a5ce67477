"""Messages that somebody waits for, and the replies that have come: what every grid of ours keeps."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Collection, Iterable

from flwr.app import Message


class _Waiter:
    """Somebody who waits for a number of replies; woken once, when they are there."""

    def __init__(self, n_left: int) -> None:
        self.n_left = n_left
        self.enough = threading.Event()


class Mailbox:
    """Open messages by id, and their replies; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[str, Message] = {}
        self._replies: dict[str, tuple[Message, float]] = {}  # with the monotonic second of arrival
        self._waiters: dict[str, _Waiter] = {}
        self._closed = False

    @property
    def waiting(self) -> tuple[Message, ...]:
        """Messages without a reply as yet."""
        with self._lock:
            return tuple(message for message_id, message in self._open.items() if message_id not in self._replies)

    @property
    def answered(self) -> tuple[str, ...]:
        """Ids of messages whose reply is there."""
        with self._lock:
            return tuple(self._replies)

    def open(self, message: Message) -> str:
        """Wait for a reply to this message, and return its id."""
        with self._lock:
            self._open[message.metadata.message_id] = message
            return message.metadata.message_id

    def asked(self, message_id: str) -> Message | None:
        """The message of this id, while it is open."""
        with self._lock:
            return self._open.get(message_id)

    def deliver(self, message_id: str, reply: Message) -> bool:
        """Take in a reply; False if nobody waits for it (any more), or one was there already."""
        with self._lock:
            if message_id not in self._open or message_id in self._replies:
                return False
            self._replies[message_id] = (reply, time.monotonic())
            waiter = self._waiters.pop(message_id, None)
            if waiter is not None:
                waiter.n_left -= 1
                if waiter.n_left == 0:
                    waiter.enough.set()
            return True

    def wait(
        self,
        message_ids: Collection[str],
        timeout: float,
        n: int = 1,
        *,
        every: float = math.inf,
        beat: Callable[[], None] | None = None,
    ) -> None:
        """Block until ``n`` of the replies can be pulled, ``timeout`` seconds pass, or the box is closed.

        ``beat`` is called each ``every`` seconds while nothing has come of it.
        """
        end = time.monotonic() + timeout
        with self._lock:
            missing = [message_id for message_id in message_ids if message_id not in self._replies]
            waiter = _Waiter(min(n, len(message_ids)) - (len(message_ids) - len(missing)))
            if waiter.n_left <= 0:
                return
            self._waiters.update(dict.fromkeys(missing, waiter))
        while (left := end - time.monotonic()) > 0 and not self._closed:
            longest = min(left, every)
            if waiter.enough.wait(None if math.isinf(longest) else longest):
                break
            if beat is not None:
                beat()
        with self._lock:
            for message_id in missing:
                if self._waiters.get(message_id) is waiter:
                    del self._waiters[message_id]

    def pull(self, message_ids: Iterable[str]) -> list[tuple[Message, float]]:
        """Replies that are there and when each arrived, in monotonic seconds; each is given out once."""
        with self._lock:
            ready = [message_id for message_id in message_ids if message_id in self._replies]
            for message_id in ready:
                self._open.pop(message_id, None)
            return [self._replies.pop(message_id) for message_id in ready]

    def discard(self, message_ids: Iterable[str]) -> list[Message]:
        """Give messages up; returns those that had no reply."""
        with self._lock:
            unanswered = []
            for message_id in message_ids:
                message = self._open.pop(message_id, None)
                if self._replies.pop(message_id, None) is None and message is not None:
                    unanswered.append(message)
            return unanswered

    def close(self, reply_to: Callable[[Message], Message]) -> None:
        """Answer everything that is open with ``reply_to(message)``; nobody waits any longer."""
        for message in self.waiting:
            self.deliver(message.metadata.message_id, reply_to(message))
        with self._lock:
            self._closed = True
            for waiter in self._waiters.values():
                waiter.enough.set()
