"""Flower's Fleet API as its host speaks it: the protobuf messages, and how a node proves who it is.

Neither Flower's router nor its LinkState is used. Its middlewares cost 3-4 ms of CPU a request, on a thread pool; its
in-memory state looks through all messages at each pull, keeps what nobody collects, drops what a party with a wrong
clock answers, and lets nobody in whose key was ever expelled. What travels is Flower's to the letter, and is held
against Flower's own client by a contract test.
"""

from __future__ import annotations

import datetime as dt
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import TypeVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.app import Message
from flwr.common.constant import (
    HEARTBEAT_MAX_INTERVAL,
    HEARTBEAT_MIN_INTERVAL,
    HEARTBEAT_PATIENCE,
    SYSTEM_TIME_TOLERANCE,
    TIMESTAMP_HEADER,
    TIMESTAMP_TOLERANCE,
)
from flwr.common.serde import message_from_proto, message_to_proto, recorddict_to_proto
from flwr.proto.fleet_pb2 import (
    ActivateNodeRequest,
    ActivateNodeResponse,
    DeactivateNodeRequest,
    DeactivateNodeResponse,
    PullMessagesRequest,
    PullMessagesResponse,
    PushMessagesRequest,
    PushMessagesResponse,
    Reconnect,
)
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest, SendNodeHeartbeatResponse
from flwr.proto.message_pb2 import Message as MessageProto
from flwr.proto.message_pb2 import ObjectTree
from flwr.proto.runtime_pb2 import (
    PullAppMessagesRequest,
    PullAppMessagesResponse,
    PushAppMessagesRequest,
    PushAppMessagesResponse,
)
from flwr.supercore.constant import FLEET_HTTP_PUBLIC_KEY_HEADER, FLEET_HTTP_SIGNATURE_HEADER
from flwr.supercore.date import now
from flwr.supercore.primitives.asymmetric import (
    bytes_to_public_key,
    public_key_to_bytes,
    sign_message,
    verify_signature,
)
from google.protobuf.message import DecodeError
from google.protobuf.message import Message as Protobuf

from fi_workbench.core.errors import FederationError
from fi_workbench.core.identity import BadSignature

__all__ = [
    "HEARTBEAT_MAX_INTERVAL", "HEARTBEAT_MIN_INTERVAL", "HEARTBEAT_PATIENCE", "ActivateNodeRequest",
    "ActivateNodeResponse", "DeactivateNodeRequest", "DeactivateNodeResponse", "PullAppMessagesRequest",
    "PullAppMessagesResponse", "PullMessagesRequest", "PullMessagesResponse", "PushAppMessagesRequest",
    "PushAppMessagesResponse", "PushMessagesRequest", "PushMessagesResponse", "SendNodeHeartbeatRequest",
    "SendNodeHeartbeatResponse", "message_to_proto",
]  # fmt: skip

P = TypeVar("P", bound=Protobuf)

INSTANCE_HEADER = "x-fi-instance"
"""Ours: tells two processes apart that use the same key."""

_CONTENT_TAG = bytes([MessageProto.CONTENT_FIELD_NUMBER << 3 | 2])
_MESSAGES_TAG = bytes([PullMessagesResponse.MESSAGES_LIST_FIELD_NUMBER << 3 | 2])


class NotAMessage(FederationError, ValueError):
    """Protobuf that is none, or whose content Flower's own form does not allow."""


def read_message(proto: MessageProto) -> Message:
    """A message from its protobuf form.

    Raises
    ------
    NotAMessage
    """
    try:
        return message_from_proto(proto)
    except Exception as error:
        raise NotAMessage("This is no message of Flower's.") from error


def parse(kind: type[P], body: bytes) -> P:
    """A protobuf message from its bytes.

    Raises
    ------
    NotAMessage
    """
    try:
        return kind.FromString(body)
    except (DecodeError, RecursionError, ValueError) as error:
        raise NotAMessage(f"This is no {kind.DESCRIPTOR.name}.") from error


class Pulls:
    """Answers to pulls, with the content that several messages share made into bytes once."""

    def __init__(self) -> None:
        self._content: object = None
        self._bytes = b""

    def answer(self, message: Message) -> bytes:
        """A PullMessagesResponse with this message, as bytes.

        Put together by hand: protobuf's fields may follow one another in any order, and to make a batch of queries
        into bytes anew for each party costs more than all the rest.
        """
        if message.has_error() or not message.has_content():
            proto = message_to_proto(message)
            return PullMessagesResponse(
                messages_list=[proto], message_object_trees=[_stub(message)]
            ).SerializeToString()
        if self._content is not message.content:
            self._bytes = recorddict_to_proto(message.content).SerializeToString()
            self._content = message.content
        bare = MessageProto(metadata=_metadata(message)).SerializeToString()
        framed = _CONTENT_TAG + _varint(len(self._bytes))
        rest = PullMessagesResponse(message_object_trees=[_stub(message)]).SerializeToString()
        length = _varint(len(bare) + len(framed) + len(self._bytes))
        return b"".join([_MESSAGES_TAG, length, bare, framed, self._bytes, rest])

    def forget(self) -> None:
        """Hold no content any longer."""
        self._content, self._bytes = None, b""


def push_answer(proto: MessageProto) -> bytes:
    """What a push is answered with, as bytes: taken, and no objects are missing."""
    answer = PushMessagesResponse(reconnect=Reconnect(reconnect=5), results={proto.metadata.message_id: 0})
    return answer.SerializeToString()


def push_app_request(messages: list[Message]) -> bytes:
    """Messages for the owner's API, contents inline, as bytes."""
    protos = [message_to_proto(message) for message in messages]
    trees = [ObjectTree(object_id=proto.metadata.message_id) for proto in protos]
    return PushAppMessagesRequest(messages_list=protos, message_object_trees=trees).SerializeToString()


def pull_app_answer(messages: list[Message]) -> bytes:
    """Replies for the owner's API, contents inline, as bytes."""
    return PullAppMessagesResponse(
        messages_list=[message_to_proto(message) for message in messages]
    ).SerializeToString()


def claimed_key(headers: Mapping[str, str]) -> bytes:
    """The public key that a request says to be signed with; nothing is proven as yet.

    Raises
    ------
    BadSignature
        There is none.
    """
    try:
        return b64decode(headers[FLEET_HTTP_PUBLIC_KEY_HEADER], validate=True)
    except (KeyError, ValueError) as error:
        raise BadSignature("The request is not signed with a node's key.") from error


def signature_of(headers: Mapping[str, str]) -> tuple[str, bytes]:
    """When a request was signed, as written, and the signature; the time is checked, the signature not.

    Raises
    ------
    BadSignature
        One is missing, or the time is not within Flower's 5 minutes.
    """
    try:
        written = headers[TIMESTAMP_HEADER]
        signature = b64decode(headers[FLEET_HTTP_SIGNATURE_HEADER], validate=True)
        age = (now() - dt.datetime.fromisoformat(written)).total_seconds()
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise BadSignature("The request is not signed with a node's key.") from error
    if not -SYSTEM_TIME_TOLERANCE < age < TIMESTAMP_TOLERANCE + SYSTEM_TIME_TOLERANCE:
        raise BadSignature("The request was not signed just now; compare the clocks.")
    return written, signature


def check_signature(key: ec.EllipticCurvePublicKey, written: str, signature: bytes) -> None:
    """Nothing, if ``signature`` is ``key``'s of the time ``written``.

    Raises
    ------
    BadSignature
    """
    try:
        good = verify_signature(key, written.encode("ascii"), signature)
    except (ValueError, UnicodeError):
        good = False
    if not good:
        raise BadSignature("The request's signature is not its key's.")


def read_node_key(written: bytes) -> ec.EllipticCurvePublicKey:
    """A node's public key from Flower's form of it.

    Raises
    ------
    BadSignature
        It is none, not on P-384, or not written as Flower writes it.
    """
    try:
        key = bytes_to_public_key(written)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadSignature("The node's key cannot be read.") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        raise BadSignature("A node's key is on the curve P-384.")
    if public_key_to_bytes(key) != written:
        raise BadSignature("The node's key is not written as Flower writes it.")
    return key


def node_key_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The public half of a node's key in Flower's form."""
    return public_key_to_bytes(key.public_key())


def signed_headers(key: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    """Headers that prove possession of a node's key now."""
    written = now().isoformat()
    return {
        FLEET_HTTP_PUBLIC_KEY_HEADER: b64encode(node_key_bytes(key)).decode(),
        TIMESTAMP_HEADER: written,
        FLEET_HTTP_SIGNATURE_HEADER: b64encode(sign_message(key, written.encode("ascii"))).decode(),
    }


def _metadata(message: Message) -> Protobuf:
    empty = MessageProto()
    metadata = message.metadata
    for name in (
        "run_id", "message_id", "src_node_id", "dst_node_id", "reply_to_message_id", "group_id", "ttl", "message_type",
        "created_at",
    ):  # fmt: skip
        setattr(empty.metadata, name, getattr(metadata, name))
    return empty.metadata


def _stub(message: Message) -> ObjectTree:
    return ObjectTree(object_id=message.metadata.message_id)


def _varint(number: int) -> bytes:
    written = bytearray()
    while number > 127:
        written.append(number & 127 | 128)
        number >>= 7
    return bytes([*written, number])
