"""Who is connected to a hosted link, and what waits for whom: nodes, their messages, and the replies' way back.

A message is queued, then pulled, then answered, failed or given up; each step forgets the one before. Nothing here
waits: a pull that finds nothing is parked by the event loop, which :attr:`Fleet.on_mail` wakes.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import ec
from flwr.app import Message

from fi_workbench.core.errors import FederationError
from fi_workbench.transport.flower_internals.link import HEARTBEAT_PATIENCE, read_node_key

_GRACE_SECONDS = 1.5
"""A node whose connections are all gone is back within this long, or it is offline."""

_LATE_SECONDS = 5.0
"""So long after its time to live a message is forgotten, if whoever sent it did not give it up."""


class Sender(Protocol):
    """A grid, as the fleet knows it: replies go back there."""

    def deliver(self, reply: Message) -> bool:
        """Take in a reply; False if nobody waits for it."""

    def fail(self, message: Message, reason: str) -> None:
        """Answer a message in the place of a party that cannot."""


class OtherProcess(FederationError):
    """A process whose key is in use by a newer one."""


@dataclass(eq=False)
class Node:
    """One enrolled key and the process behind it, guarded by the fleet's lock.

    Parameters
    ----------
    id : int
        Flower's node id; made from the key, so that it is the same after a restart.
    public_key : bytes
    party : str
        The party's Ed25519 key in hexadecimal.
    verifying : EllipticCurvePublicKey
    """

    id: int
    public_key: bytes
    party: str
    verifying: ec.EllipticCurvePublicKey
    present: bool = False
    reason: str = "not seen yet"
    left_at: float | None = None
    seen: float = 0.0
    heartbeat: float = 10.0
    instance: str | None = None
    superseded: deque[str] = field(default_factory=lambda: deque(maxlen=16))
    connections: int = 0
    alone_since: float | None = None
    address: str = ""
    checked: tuple[str, bytes] | None = None
    queue: dict[str, None] = field(default_factory=dict)
    pulled: dict[str, None] = field(default_factory=dict)


@dataclass(frozen=True)
class _Open:
    message: Message
    sender: Sender
    node: Node
    forget_at: float


class Fleet:
    """The nodes of one link; safe to use from several threads.

    Parameters
    ----------
    came : callable
        ``(node, new)``: a node is there (again); ``new`` when another process than before speaks for it.
    went : callable
        ``(node, reason)``: it is gone.

    Attributes
    ----------
    on_mail : callable
        ``(nodes)``: there is mail for these node ids. Called from any thread.
    """

    def __init__(self, came: Callable[[Node, bool], None], went: Callable[[Node, str], None]) -> None:
        self._came, self._went = came, went
        self._lock = threading.Lock()
        self._nodes: dict[int, Node] = {}
        self._by_key: dict[bytes, Node] = {}
        self._open: dict[str, _Open] = {}
        self.on_mail: Callable[[Collection[int]], None] = _nobody

    # who

    def add(self, public_key: bytes, party: str) -> Node:
        """Make a key known; adding it twice changes nothing."""
        with self._lock:
            node = self._by_key.get(public_key)
            if node is None:
                node = Node(_node_id(public_key), public_key, party, read_node_key(public_key))
                self._nodes[node.id] = self._by_key[public_key] = node
            return node

    def of_key(self, public_key: bytes) -> Node | None:
        """The node with this key, if it is known."""
        return self._by_key.get(public_key)

    @property
    def present(self) -> list[int]:
        """Node ids of those who are there."""
        with self._lock:
            return [node.id for node in self._nodes.values() if node.present]

    def seen(self, node: Node, instance: str, address: str, *, activates: float | None = None) -> None:
        """A signed request came from this node; ``activates`` is its heartbeat interval where it begins anew.

        Raises
        ------
        OtherProcess
            A newer process has come with the same key.
        """
        with self._lock:
            if instance in node.superseded:
                raise OtherProcess("another process uses this key")
            new = instance != node.instance
            if new and node.instance is not None:
                if activates is None:
                    raise OtherProcess("another process uses this key")
                node.superseded.append(node.instance)
            lost = self._take(node.pulled) if new or activates is not None else []
            came = new or not node.present
            node.instance, node.address, node.seen, node.present = instance, address, time.monotonic(), True
            node.heartbeat = activates or node.heartbeat
        self._fail(lost, "its process was restarted" if new else "it lost its connection")
        if came:
            self._came(node, new)

    def leave(self, node: Node, reason: str) -> None:
        """This node is gone: what is open for it fails."""
        with self._lock:
            was, node.present = node.present, False
            node.reason, node.left_at, node.alone_since = reason, time.time(), None
            lost = self._take(node.queue) + self._take(node.pulled)
        self._fail(lost, reason)
        if was:
            self._went(node, reason)

    def connected(self, node: Node, change: int) -> None:
        """A connection of this node was opened (1) or closed (-1)."""
        with self._lock:
            node.connections += change
            node.alone_since = time.monotonic() if node.connections <= 0 else None

    def tick(self) -> list[Node]:
        """Look for nodes that are gone, and for messages that nobody collects; the former, for their connections."""
        now = time.monotonic()
        with self._lock:
            gone = [(node, reason) for node in self._nodes.values() if node.present and (reason := _gone(node, now))]
            late = [message_id for message_id, one in self._open.items() if one.forget_at < now]
            self._take(late)
        for node, reason in gone:
            self.leave(node, reason)
        return [node for node, _ in gone]

    # mail

    def send(self, messages: Sequence[Message], sender: Sender) -> None:
        """Queue messages; those for nodes that are not there fail at once."""
        failed, nodes = [], set()
        with self._lock:
            for message in messages:
                node = self._nodes.get(message.metadata.dst_node_id)
                if node is None or not node.present:
                    failed.append((message, _absence(node)))
                    continue
                message_id = message.metadata.message_id
                late = time.monotonic() + message.metadata.ttl + _LATE_SECONDS
                self._open[message_id] = _Open(message, sender, node, late)
                node.queue[message_id] = None
                nodes.add(node.id)
        for message, reason in failed:
            sender.fail(message, reason)
        if nodes:
            self.on_mail(nodes)

    def pull(self, node: Node) -> Message | None:
        """The next message for this node, if there is one."""
        with self._lock:
            if not node.queue:
                return None
            message_id = next(iter(node.queue))
            del node.queue[message_id]
            node.pulled[message_id] = None
            return self._open[message_id].message

    def reply(self, node: Node, reply: Message) -> bool:
        """Take in this node's reply to a message that it pulled; False if there is no such message (any more)."""
        message_id = reply.metadata.reply_to_message_id
        with self._lock:
            if message_id not in node.pulled:
                return False
            [one] = self._take([message_id])
        return one.sender.deliver(reply)

    def recall(self, messages: Iterable[Message]) -> None:
        """Nobody waits for these any more."""
        with self._lock:
            self._take([message.metadata.message_id for message in messages])

    @property
    def n_open(self) -> int:
        """Messages that are queued or pulled."""
        return len(self._open)

    def _take(self, message_ids: Iterable[str]) -> list[_Open]:
        found = [one for message_id in list(message_ids) if (one := self._open.pop(message_id, None)) is not None]
        for one in found:
            message_id = one.message.metadata.message_id
            one.node.queue.pop(message_id, None)
            one.node.pulled.pop(message_id, None)
        return found

    @staticmethod
    def _fail(lost: list[_Open], reason: str) -> None:
        for one in lost:
            one.sender.fail(one.message, reason)


def _nobody(nodes: Collection[int]) -> None:
    pass


def _node_id(public_key: bytes) -> int:
    """62 bits of the key's hash: the same after a restart of the link; 0 and 1 mean others to Flower."""
    return int.from_bytes(hashlib.sha256(public_key).digest()[:8], "big") >> 2 | 2


def _gone(node: Node, now: float) -> str:
    if node.alone_since is not None and now - node.alone_since > _GRACE_SECONDS:
        return "its connection was closed"
    silent = now - node.seen
    if silent > HEARTBEAT_PATIENCE * node.heartbeat:
        return f"nothing was heard of it for {silent:.0f} s"
    return ""


def _absence(node: Node | None) -> str:
    if node is None:
        return "no such party on this link"
    if node.left_at is None:
        return f"offline: {node.reason}"
    return f"offline since {time.strftime('%H:%M:%S', time.localtime(node.left_at))}: {node.reason}"
