"""Flower's Fleet API as a party's node speaks it: register, activate, heartbeat, pull, push; contents inline.

``post`` is :meth:`~fi_workbench.transport.protobuf_http.Connection.post`. Flower's own client is not used: it follows
redirects, its version check ends the process, and its heartbeat interrupts the main thread.
"""

from __future__ import annotations

import secrets
import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from cryptography.hazmat.primitives.asymmetric import ec
from flwr.app import Context, Message, RecordDict
from flwr.common.constant import HEARTBEAT_MIN_INTERVAL, TIMESTAMP_HEADER
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto.fleet_pb2 import (
    ActivateNodeRequest,
    ActivateNodeResponse,
    DeactivateNodeRequest,
    PullMessagesRequest,
    PullMessagesResponse,
    PushMessagesRequest,
    RegisterNodeFleetRequest,
)
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest, SendNodeHeartbeatResponse
from flwr.proto.message_pb2 import Message as MessageProto
from flwr.proto.message_pb2 import ObjectTree
from flwr.proto.node_pb2 import Node
from flwr.supercore.constant import FLEET_HTTP_PUBLIC_KEY_HEADER, FLEET_HTTP_SIGNATURE_HEADER
from flwr.supercore.date import now
from flwr.supercore.primitives.asymmetric import public_key_to_bytes, sign_message
from flwr.supercore.runtime_version_compatibility import RuntimeVersionMetadata
from google.protobuf.message import DecodeError
from google.protobuf.message import Message as Protobuf

from fi_workbench.core.errors import FederationError
from fi_workbench.transport.hosted.wire_limits import TooMuch, check_wire

SHORTEST_HEARTBEAT_SECONDS = float(HEARTBEAT_MIN_INTERVAL)
"""A link refuses a shorter interval."""

PULL_SECONDS = 30.0
"""A link holds an empty pull for 20 s at most; after this long the connection is dead."""

CALL_SECONDS = 20.0

INSTANCE_HEADER = "x-fi-instance"
"""Tells two processes apart that use the same key; Flower's links do not read it."""

_SIGNATURE_SECONDS = 1.0
"""A signature is good for 300 s, so that many polls may share one; P-384 is what a poll costs most for."""

R = TypeVar("R", bound=Protobuf)


class Post(Protocol):
    """Sends one request; see :class:`fi_workbench.transport.protobuf_http.Connection`."""

    def __call__(self, path: str, body: bytes, headers: Mapping[str, str], seconds: float) -> bytes:
        """The body of the answer."""


class Garbled(FederationError, ValueError):
    """An answer that is not what Flower's Fleet API answers."""


@dataclass(frozen=True)
class Pulled:
    """One message as it was pulled.

    Parameters
    ----------
    message : Message
        Where ``whole`` is False it has an empty content, and is only to be replied to.
    whole : bool
        Whether the content came with it: another coordinator's may lie in Flower's object store.
    """

    message: Message
    whole: bool


def node_public_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The node's public key as Flower's APIs carry it."""
    return public_key_to_bytes(key.public_key())


def new_context(run_id: int, node_id: int) -> Context:
    """What a ClientApp is called with; nothing is kept in it from message to message."""
    return Context(run_id=run_id, node_id=node_id, node_config={}, state=RecordDict(), run_config={})


class Fleet:
    """One node's calls, signed with its key.

    Parameters
    ----------
    key : EllipticCurvePrivateKey
        P-384.
    instance : str
        Names this process.
    """

    def __init__(self, key: ec.EllipticCurvePrivateKey, instance: str) -> None:
        self._key, self._public = key, node_public_bytes(key)
        self._fixed = {
            FLEET_HTTP_PUBLIC_KEY_HEADER: b64encode(self._public).decode(),
            INSTANCE_HEADER: instance,
            **dict(RuntimeVersionMetadata.from_local_component("SuperNode").as_metadata()),
        }
        self._signed: tuple[float, dict[str, str]] = (-1.0, {})

    def register(self, post: Post) -> None:
        """Make this key known to a link that takes any; others refuse it."""
        self._call(post, "register-node", RegisterNodeFleetRequest(public_key=self._public), None)

    def activate(self, post: Post, heartbeat_seconds: float) -> int:
        """Begin; the node's id on this link."""
        request = ActivateNodeRequest(public_key=self._public, heartbeat_interval=heartbeat_seconds)
        return self._call(post, "activate-node", request, ActivateNodeResponse).node_id

    def deactivate(self, post: Post, node: int, seconds: float) -> None:
        """Say goodbye."""
        self._call(post, "deactivate-node", DeactivateNodeRequest(node_id=node), None, seconds)

    def heartbeat(self, post: Post, node: int, heartbeat_seconds: float) -> bool:
        """Still here; False if the link does not know the node."""
        request = SendNodeHeartbeatRequest(node=Node(node_id=node), heartbeat_interval=heartbeat_seconds)
        return self._call(post, "send-node-heartbeat", request, SendNodeHeartbeatResponse).success

    def pull(self, post: Post, node: int) -> list[Pulled]:
        """Messages for this node, at most one from Flower's links; empty if there are none (by now)."""
        request = PullMessagesRequest(node=Node(node_id=node))
        answer = self._call(post, "pull-messages", request, PullMessagesResponse, PULL_SECONDS)
        trees = {tree.object_id: tree for tree in answer.message_object_trees}
        return [
            Pulled(read_message(proto), is_whole(proto, trees.get(proto.metadata.message_id, ObjectTree())))
            for proto in answer.messages_list
        ]

    def push(self, post: Post, node: int, reply: Message, seconds: float) -> None:
        """Send a reply; ``seconds`` is how long the party was at work on it."""
        proto = message_to_proto(reply)
        proto.metadata.message_id = secrets.token_hex(32)
        request = PushMessagesRequest(
            node=Node(node_id=node),
            messages_list=[proto],
            message_object_trees=[ObjectTree(object_id=proto.metadata.message_id)],
            clientapp_runtime_list=[seconds],
        )
        self._call(post, "push-messages", request, None, PULL_SECONDS)

    def _call(
        self, post: Post, name: str, request: Protobuf, answer: type[R] | None, seconds: float = CALL_SECONDS
    ) -> R:
        content = post(f"/v1/fleet/{name}", request.SerializeToString(), self._headers(), seconds)
        if answer is None:
            return None  # type: ignore[return-value]
        try:
            check_wire(content, answer.DESCRIPTOR)  # a link is not trusted with this process's memory
            return answer.FromString(content)
        except TooMuch as error:
            raise Garbled(f"What came back from {name} is not decoded: {error}") from error
        except DecodeError as error:
            raise Garbled(f"What came back from {name} is no answer of Flower's Fleet API.") from error

    def _headers(self) -> dict[str, str]:
        made, headers = self._signed
        if not 0 <= time.monotonic() - made < _SIGNATURE_SECONDS:
            written = now().isoformat()
            signature = b64encode(sign_message(self._key, written.encode())).decode()
            headers = {**self._fixed, TIMESTAMP_HEADER: written, FLEET_HTTP_SIGNATURE_HEADER: signature}
            self._signed = (time.monotonic(), headers)
        return headers


def is_whole(proto: MessageProto, tree: ObjectTree) -> bool:
    """Whether a message came with its content, not only with the tree of the objects that it is made of.

    Where Flower's own nodes and grids put contents into the object store, the message has an empty content, and its
    tree has children; what we send inline has a tree of one node.
    """
    return proto.HasField("error") or bool(proto.content.items) or not tree.children


def read_message(proto: MessageProto) -> Message:
    """A message from its protobuf form.

    Raises
    ------
    Garbled
    """
    try:
        if not proto.HasField("error"):
            proto.content.SetInParent()
        return message_from_proto(proto)
    except (ValueError, TypeError, KeyError) as error:
        raise Garbled("A message came that Flower's own form does not allow.") from error
