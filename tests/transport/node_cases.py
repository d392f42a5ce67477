"""What tests of nodes share: a fake link's answers, a small app, and a node that runs in a thread."""

import threading
from collections import deque
from contextlib import contextmanager

from cryptography.hazmat.primitives.asymmetric import ec
from flwr.common.serde import message_from_proto, message_to_proto  # noqa: TID251 (a fake of Flower's own server)
from flwr.proto import fleet_pb2, heartbeat_pb2, message_pb2  # noqa: TID251

from fi_workbench.transport.client_app import client_app
from fi_workbench.transport.flower_internals import new_message
from fi_workbench.transport.node.party_node import NodeRefused, PartyNode, Tls
from fi_workbench.transport.wire import encode
from tests.harness import until

KEY = ec.generate_private_key(ec.SECP384R1())
NODE = 77


def question(body=None, kind="query.answer", message_id="a" * 64):
    return new_message(encode(body or {"n": 2}), kind, 5, NODE, "round", 30.0, message_id)


def pulled(message, *, inline=True):
    """A pull's answer with one message, its content inline or left in the object store."""
    proto = message_to_proto(message)
    tree = message_pb2.ObjectTree(object_id=message.metadata.message_id)
    if not inline:
        proto.content.Clear()
        tree.children.add(object_id="b" * 64)
    return fleet_pb2.PullMessagesResponse(messages_list=[proto], message_object_trees=[tree]).SerializeToString()


NOTHING = fleet_pb2.PullMessagesResponse().SerializeToString()


class Script:
    """Routes of a link that behaves: gives out `questions`, keeps `replies`; a test replaces what is to go wrong."""

    def __init__(self, *questions):
        self.questions, self.replies = deque(questions), []
        self.activated = threading.Event()
        self.routes = {
            "activate-node": self.activate,
            "pull-messages": lambda *_: pulled(self.questions.popleft()) if self.questions else NOTHING,
            "push-messages": self.push,
            "send-node-heartbeat": lambda *_: heartbeat_pb2.SendNodeHeartbeatResponse(success=True).SerializeToString(),
            "deactivate-node": lambda *_: fleet_pb2.DeactivateNodeResponse().SerializeToString(),
        }

    def activate(self, *_):
        self.activated.set()
        return fleet_pb2.ActivateNodeResponse(node_id=NODE).SerializeToString()

    def push(self, body, _headers):
        request = fleet_pb2.PushMessagesRequest.FromString(body)
        self.replies += [message_from_proto(proto) for proto in request.messages_list]
        return fleet_pb2.PushMessagesResponse().SerializeToString()


def echo(phase, body):
    if phase == "boom":
        raise LookupError("only its name is told")
    return {"phase": phase, **body}


class Running:
    """A node in a thread: its events, and how it ended."""

    def __init__(self, node, events):
        self.node, self.events, self.refusal = node, events, None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            self.node.run()
        except NodeRefused as refusal:
            self.refusal = refusal

    def kinds(self):
        return [event.kind for event in self.events]

    def ends(self, seconds=20.0):
        self.thread.join(seconds)
        return not self.thread.is_alive()


@contextmanager
def running(address, *, app=None, tls=None, key=KEY, **options):
    events = []
    app = app or client_app(echo, ["answer", "boom"])
    node = PartyNode(app, address, key, tls=tls or Tls(insecure=True), on_event=events.append, **options)
    one = Running(node, events)
    try:
        yield one
    finally:
        node.stop()
        assert one.ends(), "a node that was stopped ends"


def comes(condition):
    assert until(condition), "it did not come to that"
