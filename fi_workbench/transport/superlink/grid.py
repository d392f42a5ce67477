"""The grid of a SuperLink: messages wait here for the one thread that speaks with it."""

from __future__ import annotations

import secrets
import threading
from collections import deque
from collections.abc import Iterable, Sequence

from flwr.app import Message, RecordDict

from fi_workbench.transport.flower_internals.runtime_api import take_object_id
from fi_workbench.transport.remote_grid import RemoteGrid


class SuperLinkGrid(RemoteGrid):
    """Messages to the nodes of a SuperLink.

    A node of ours reads contents where they travel inline. A stock SuperNode looks for them in the object store, where
    each message costs it and us some seven requests more; which of the two a node is shows in how it replies, so until
    then a message takes both ways.
    """

    def __init__(self) -> None:
        super().__init__()
        self.wake = threading.Event()
        """Set when there is something to send."""
        self._outgoing: deque[Message] = deque()
        self._lock = threading.Lock()
        self._down: str | None = "it is not connected yet"
        self._nodes: frozenset[int] = frozenset()
        self._inline: set[int] = set()
        self._stock: set[int] = set()

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        """A message of the run as it is now."""
        if dst_node_id in self._inline:
            return super().create_message(content, message_type, dst_node_id, group_id, ttl)
        # In the object store a message is named by its hash. Who could guess that name could reply in another's place:
        # a SuperLink does not compare a reply's sender with the node that brings it.
        salted = f"{group_id} {secrets.token_hex(16)}"
        message = super().create_message(content, message_type, dst_node_id, salted, ttl)
        take_object_id(message)
        return message

    def get_node_ids(self) -> list[int]:
        """Nodes that are online."""
        return sorted(self._nodes)

    def is_scattered(self, message: Message) -> bool:
        """Whether the message is to go into the object store too."""
        return message.metadata.dst_node_id not in self._inline

    def is_stock(self, node: int) -> bool:
        """Whether the node is known to be a stock SuperNode, which keeps nothing from message to message."""
        return node in self._stock

    def learn(self, node: int, *, inline: bool) -> None:
        """How a node replied."""
        (self._inline if inline else self._stock).add(node)

    def come_up(self) -> None:
        """Messages are sent from now on."""
        with self._lock:
            self._down = None

    def go_down(self, reason: str) -> None:
        """Fail what is open, and whatever is pushed until :meth:`come_up`."""
        with self._lock:
            self._down = reason
            self._outgoing.clear()
        self._inline.clear()
        self._stock.clear()
        for message in self.waiting:
            self.fail(message, reason)

    def there_are(self, nodes: Iterable[int]) -> None:
        """Who is online."""
        self._nodes = frozenset(nodes)

    def take_outgoing(self) -> list[Message]:
        """What is to be sent now; messages of an earlier run are failed instead."""
        with self._lock:
            messages = list(self._outgoing)
            self._outgoing.clear()
        for message in messages:
            if message.metadata.run_id != self.run.run_id:
                self.fail(message, "the run on the SuperLink was made anew while it was on its way")
        return [message for message in messages if message.metadata.run_id == self.run.run_id]

    def _send(self, messages: Sequence[Message]) -> None:
        with self._lock:
            reason = self._down
            if reason is None:
                self._outgoing.extend(message for message in messages if message.metadata.dst_node_id in self._nodes)
        for message in messages:
            if reason is not None:
                self.fail(message, reason)
            elif message.metadata.dst_node_id not in self._nodes:
                self.fail(message, "it is offline")
        self.wake.set()
