"""The only module that touches what Flower does not publish. A contract test gates every upgrade of ``flwr``."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from flwr.app import Error, Message, Metadata, RecordDict
from flwr.common.constant import SUPERLINK_NODE_ID, ErrorCode
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto.message_pb2 import Message as MessageProto
from flwr.supercore.date import now
from flwr.supercore.run import Run

__all__ = ["Run", "error_reply", "new_message", "new_run", "through_protobuf"]


def new_run() -> Run:
    """A run of our own, known to nobody else: its id is random."""
    return Run.create_empty(run_id=secrets.randbits(62) + 1)


def new_message(
    content: RecordDict, message_type: str, run_id: int, dst_node_id: int, group_id: str, ttl: float, message_id: str
) -> Message:
    """A request with explicit metadata.

    ``Message(content, dst_node_id, message_type)`` reads a process-global task identity, so two federations in one
    kernel would share a run; with metadata given it does not.
    """
    metadata = Metadata(
        run_id=run_id,
        message_id=message_id,
        src_node_id=SUPERLINK_NODE_ID,
        dst_node_id=dst_node_id,
        reply_to_message_id="",
        group_id=group_id,
        created_at=now().timestamp(),
        ttl=ttl,
        message_type=message_type,
    )
    # the keyword is there for Flower's own deserialisation, but not in its typed signatures
    make: Callable[..., Message] = Message
    return make(metadata=metadata, content=content)


def error_reply(message: Message, reason: str) -> Message:
    """What Flower itself replies when a ClientApp raises (error code 2)."""
    return Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, reason), reply_to=message)


def through_protobuf(message: Message) -> Message:
    """The message after its protobuf form, as it would arrive over a network."""
    data = message_to_proto(message).SerializeToString()
    return message_from_proto(MessageProto.FromString(data))
