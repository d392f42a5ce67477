"""Flower's Control and Runtime APIs as a coordinator on somebody else's SuperLink speaks them.

A run is started with an app bundle of ours, its ServerApp task is claimed, and messages are pushed and pulled with that
task's token, from this process: the bundle's ServerApp never runs. Flower's own grid is not used: it sleeps 3 s between
pulls, and its heartbeat interrupts the main thread.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from flwr.app import Message
from flwr.common.constant import SUPERLINK_NODE_ID, SubStatus
from flwr.common.serde import fab_to_proto, message_to_proto, run_from_proto
from flwr.proto.control_pb2 import StartRunRequest, StartRunResponse
from flwr.proto.message_pb2 import (
    ConfirmMessageReceivedRequest,
    ObjectTree,
    PullObjectRequest,
    PullObjectResponse,
    PushObjectRequest,
)
from flwr.proto.message_pb2 import Message as MessageProto
from flwr.proto.node_pb2 import Node
from flwr.proto.runtime_pb2 import (
    AcquireTaskRequest,
    AcquireTaskResponse,
    GetNodesRequest,
    GetNodesResponse,
    PullAppMessagesRequest,
    PullAppMessagesResponse,
    PullTaskInputRequest,
    PullTaskInputResponse,
    PushAppMessagesRequest,
    PushAppMessagesResponse,
    PushTaskOutputRequest,
    SendTaskHeartbeatRequest,
    SendTaskHeartbeatResponse,
)
from flwr.supercore.constant import TASK_TOKEN_HEADER
from flwr.supercore.fab import Fab
from flwr.supercore.inflatable.inflatable_object import (
    get_all_nested_objects,
    get_object_tree,
    iterate_object_tree,
    no_object_id_recompute,
)
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
from flwr.supercore.run import Run
from flwr.supercore.runtime_version_compatibility import RuntimeVersionMetadata
from google.protobuf.message import DecodeError
from google.protobuf.message import Message as Protobuf

from fi_workbench.transport.flower_internals.fleet import CALL_SECONDS, Garbled, Post, is_whole, read_message

MAX_OBJECTS, MAX_OBJECT_BYTES = 4096, 2**28
"""A reply of more objects, or larger ones together, is not fetched."""

R = TypeVar("R", bound=Protobuf)


@dataclass(frozen=True)
class LinkNode:
    """A node that is online.

    Parameters
    ----------
    node : int
    activation : str
        When its process last came; another time is another process, or one that was away.
    """

    node: int
    activation: str


class Scattered:
    """A reply whose content lies in Flower's object store, fetched as its objects come to be there."""

    def __init__(self, head: Message, tree: ObjectTree) -> None:
        self.head, self._root = head, tree.object_id
        ids = [one.object_id for one in iterate_object_tree(tree)]
        if len(ids) > MAX_OBJECTS:
            raise Garbled(f"a reply of {len(ids)} objects is not fetched; at most {MAX_OBJECTS}")
        self._missing, self._contents = list(dict.fromkeys(ids)), dict[str, bytes]()

    @property
    def missing(self) -> tuple[str, ...]:
        """Objects still to be fetched."""
        return tuple(self._missing)

    def take(self, object_id: str, content: bytes) -> None:
        """One object has come."""
        self._contents[object_id] = content
        self._missing.remove(object_id)
        if sum(map(len, self._contents.values())) > MAX_OBJECT_BYTES:
            raise Garbled(f"a reply of more than {MAX_OBJECT_BYTES} bytes is not fetched")

    def whole(self) -> Message:
        """The reply, once nothing is missing."""
        try:
            message = inflate_object_from_contents(self._root, self._contents)
        except Exception as error:  # whatever Flower's parsers raise for what a node sent
            raise Garbled("a reply's objects are no message") from error
        if not isinstance(message, Message):
            raise Garbled("a reply's objects are no message")
        said, checked = message.metadata, self.head.metadata
        # the SuperLink has checked whose reply the head is, but not what its objects say
        if (said.src_node_id, said.reply_to_message_id) != (checked.src_node_id, checked.reply_to_message_id):
            raise Garbled("a reply's objects are those of another reply")
        said.__dict__["_message_id"] = self._root
        return message


def take_object_id(message: Message) -> None:
    """Name a message by the hash of its form in the object store, as whoever pulls it from there expects."""
    with no_object_id_recompute():
        message.metadata.__dict__["_message_id"] = message.object_id


class RuntimeApi:
    """A coordinator's calls; ``post`` is as for :class:`~fi_workbench.transport.flower_internals.fleet.Fleet`."""

    def __init__(self) -> None:
        self._version = dict(RuntimeVersionMetadata.from_local_component("SuperExec").as_metadata())

    def start(self, post: Post, fab: bytes) -> int:
        """Start a run of an app bundle; its id, or 0 if the SuperLink would not."""
        proto = fab_to_proto(Fab(hashlib.sha256(fab).hexdigest(), fab, {}))
        return self._call(post, "control/start-run", StartRunRequest(fab=proto), StartRunResponse).run_id

    def acquire(self, post: Post, fab: bytes) -> str:
        """Claim a pending task of this very bundle, never another's; its token, empty if there is none."""
        # the field is named for agents' bundles, but tasks of all types are matched by it
        request = AcquireTaskRequest(agentapp_fab_hashes=[hashlib.sha256(fab).hexdigest()])
        return self._call(post, "runtime/acquire-task", request, AcquireTaskResponse).token

    def begin(self, post: Post, token: str) -> Run:
        """Tell that the claimed task runs; its run."""
        answer = self._call(post, "runtime/pull-task-input", PullTaskInputRequest(), PullTaskInputResponse, token)
        return run_from_proto(answer.run)

    def heartbeat(self, post: Post, token: str) -> bool:
        """Keep the token, which ends 60 s after the last of these; False if it has ended."""
        request = SendTaskHeartbeatRequest()
        return self._call(post, "runtime/send-task-heartbeat", request, SendTaskHeartbeatResponse, token).success

    def finish(self, post: Post, token: str, seconds: float) -> None:
        """End the task, and with it the run."""
        request = PushTaskOutputRequest(sub_status=SubStatus.COMPLETED, details="the coordinator left")
        self._call(post, "runtime/push-task-output", request, None, token, seconds)

    def nodes(self, post: Post, token: str) -> list[LinkNode]:
        """Who is online."""
        answer = self._call(post, "runtime/get-nodes", GetNodesRequest(), GetNodesResponse, token)
        return [LinkNode(node.node_id, node.last_activated_at) for node in answer.nodes]

    def push(self, post: Post, token: str, messages: Sequence[Message], scattered: Collection[str]) -> set[str]:
        """Send messages, all of one run; the ids of those that the SuperLink did not take.

        Contents travel inline. Those whose ids are in ``scattered`` are put into the object store too, for nodes that
        look for them there.
        """
        twice = {id(one): one for one in messages if one.metadata.message_id in scattered}
        with no_object_id_recompute():
            trees = [
                get_object_tree(one) if id(one) in twice else ObjectTree(object_id=one.metadata.message_id)
                for one in messages
            ]
            request = PushAppMessagesRequest(
                messages_list=[message_to_proto(one) for one in messages], message_object_trees=trees
            )
            answer = self._call(post, "runtime/push-messages", request, PushAppMessagesResponse, token)
            wanted = set(answer.objects_to_push)
            for one in twice.values():
                for object_id, found in get_all_nested_objects(one).items():
                    if object_id in wanted:
                        wanted.discard(object_id)
                        put = PushObjectRequest(
                            node=Node(node_id=SUPERLINK_NODE_ID),
                            run_id=one.metadata.run_id,
                            object_id=object_id,
                            object_content=found.deflate(),
                            session_id=answer.session_id,
                        )
                        self._call(post, "runtime/push-object", put, None, token)
        return {one.metadata.message_id for one in messages}.difference(answer.message_ids)

    def pull(self, post: Post, token: str, message_ids: Iterable[str]) -> list[Message | Scattered]:
        """Replies that are there, each given out once."""
        request = PullAppMessagesRequest(message_ids=message_ids)
        answer = self._call(post, "runtime/pull-messages", request, PullAppMessagesResponse, token)
        trees = {tree.object_id: tree for tree in answer.message_object_trees}
        replies: list[Message | Scattered] = []
        for proto in answer.messages_list:
            try:
                replies.append(_reply(proto, trees.get(proto.metadata.message_id)))
            except Garbled:
                continue  # its sender is late, then; what it sent cannot be read
        return replies

    def fetch(self, post: Post, token: str, reply: Scattered) -> None:
        """Fetch what there is of a reply's objects; when nothing is missing any more, the SuperLink may forget them."""
        node, run = Node(node_id=SUPERLINK_NODE_ID), reply.head.metadata.run_id
        for object_id in reply.missing:
            request = PullObjectRequest(node=node, run_id=run, object_id=object_id)
            answer = self._call(post, "runtime/pull-object", request, PullObjectResponse, token)
            if not answer.object_available:
                return
            reply.take(object_id, answer.object_content)
        confirm = ConfirmMessageReceivedRequest(
            node=node, run_id=run, message_object_id=reply.head.metadata.message_id
        )  # fmt: skip
        self._call(post, "runtime/confirm-message-received", confirm, None, token)

    def _call(
        self,
        post: Post,
        name: str,
        request: Protobuf,
        answer: type[R] | None,
        token: str = "",
        seconds: float = CALL_SECONDS,
    ) -> R:
        headers = {**self._version, **({TASK_TOKEN_HEADER: token} if token else {})}
        content = post(f"/v1/{name}", request.SerializeToString(), headers, seconds)
        if answer is None:
            return None  # type: ignore[return-value]
        try:
            return answer.FromString(content)
        except DecodeError as error:
            raise Garbled(f"What came back from {name} is no answer of a SuperLink.") from error


def _reply(proto: MessageProto, tree: ObjectTree | None) -> Message | Scattered:
    message = read_message(proto)
    if tree is None or is_whole(proto, tree):
        return message
    return Scattered(message, tree)
