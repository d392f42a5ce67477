"""A grid of parties elsewhere: messages leave by some link, and that link brings the replies."""

from __future__ import annotations

import secrets
from abc import abstractmethod
from collections.abc import Collection, Iterable, Sequence

from flwr.app import DEFAULT_TTL, Message, RecordDict

from fi_workbench.core.errors import Closed
from fi_workbench.transport.flower_internals import error_reply, new_message
from fi_workbench.transport.grid import WaitingGrid
from fi_workbench.transport.mailbox import Mailbox


class RemoteGrid(WaitingGrid):
    """What hosted, attached and SuperLink grids share; each says only how messages leave, and brings in replies."""

    def __init__(self) -> None:
        super().__init__()
        self._box = Mailbox()
        self._closed = False

    @abstractmethod
    def _send(self, messages: Sequence[Message]) -> None:
        """Send messages off; what cannot be sent is answered at once with :meth:`fail`. Returns soon, never raises."""

    def _recall(self, messages: Sequence[Message]) -> None:
        """Messages that nobody waits for any more: take them back where that is possible."""

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        """A message of this run; its id is 256 random bits, as Flower's object ids are."""
        ttl = DEFAULT_TTL if ttl is None else ttl
        return new_message(
            content, message_type, self.run.run_id, dst_node_id, group_id, ttl, secrets.token_hex(32)
        )  # fmt: skip

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Send messages off.

        Raises
        ------
        Closed
            If the grid was closed.
        """
        if self._closed:
            raise Closed("This federation's link is closed; host or connect anew.")
        messages = list(messages)
        ids = [self._box.open(message) for message in messages]
        self._send(messages)
        return ids

    def deliver(self, reply: Message) -> bool:
        """Take in a reply from a link; one that answers nothing open, or another party's message, is dropped."""
        message_id = reply.metadata.reply_to_message_id
        asked = self._box.asked(message_id)
        if asked is None or reply.metadata.src_node_id != asked.metadata.dst_node_id:
            return False
        return self._box.deliver(message_id, reply)

    def fail(self, message: Message, reason: str) -> None:
        """Answer a message in the place of a party that cannot."""
        self._box.deliver(message.metadata.message_id, error_reply(message, reason))

    def fail_node(self, node: int, reason: str) -> None:
        """Answer all that is open for one party: it has lost what it was sent."""
        for message in self._box.waiting:
            if message.metadata.dst_node_id == node:
                self.fail(message, reason)

    @property
    def waiting(self) -> tuple[Message, ...]:
        """Messages without a reply as yet."""
        return self._box.waiting

    def wait(self, message_ids: Collection[str], timeout: float, n: int = 1) -> None:
        """Block until ``n`` of the replies can be pulled, ``timeout`` seconds pass, or the grid is closed."""
        self._box.wait(message_ids, timeout, n)

    def pull_arrived(self, message_ids: Iterable[str]) -> list[tuple[Message, float]]:
        """Replies that are there and when each arrived, in monotonic seconds; each is given out once."""
        return self._box.pull(message_ids)

    def discard(self, message_ids: Iterable[str]) -> None:
        """Give messages up; replies that still come are dropped."""
        if given_up := self._box.discard(message_ids):
            self._recall(given_up)

    def close(self) -> None:
        """Send nothing more; what somebody waits for fails now."""
        self._closed = True
        self._box.close(lambda message: error_reply(message, "the link was closed"))
