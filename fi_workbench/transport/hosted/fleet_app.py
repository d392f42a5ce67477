"""What parties can ask of a hosted link: Flower's Fleet API, as far as a party needs it, and to be enrolled.

Who asks is known from the head of a request, before its body is read: the key must be enrolled, the time of its
signature recent, the signature good. Only then is the body read, up to its limit, measured, and decoded.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TypeVar

from google.protobuf.message import Message as Protobuf

from fi_workbench.core.errors import InvalidParty
from fi_workbench.core.identity import BadSignature
from fi_workbench.transport.flower_internals.link import (
    HEARTBEAT_MAX_INTERVAL,
    HEARTBEAT_MIN_INTERVAL,
    INSTANCE_HEADER,
    ActivateNodeRequest,
    ActivateNodeResponse,
    DeactivateNodeRequest,
    DeactivateNodeResponse,
    NotAMessage,
    PullMessagesRequest,
    PullMessagesResponse,
    Pulls,
    PushMessagesRequest,
    SendNodeHeartbeatRequest,
    SendNodeHeartbeatResponse,
    check_signature,
    claimed_key,
    parse,
    push_answer,
    read_message,
    read_node_key,
    signature_of,
)
from fi_workbench.transport.hosted.enrolment import PATH, EnrolRefused, read_request
from fi_workbench.transport.hosted.fleet import Node, OtherProcess
from fi_workbench.transport.hosted.http import (
    JSON,
    PROTOBUF,
    Answer,
    Disconnected,
    HttpError,
    Request,
    json_answer,
    route,
)
from fi_workbench.transport.hosted.membership import Membership
from fi_workbench.transport.hosted.parking import Parking
from fi_workbench.transport.hosted.wire_limits import TooMuch, check_wire

_log = logging.getLogger(__name__)

HOLD_SECONDS = 15.0
"""A pull is held for this long at most: a node gives up after 30 s, and one that is there is heard of more often than
its two heartbeats."""

_SMALL_BYTES = 2**14
_SMALL_SECONDS, _PUSH_SECONDS = 10.0, 60.0
_LARGE_BYTES = 2**18
"""Decoding more than this goes to another thread."""
_LONGEST_INSTANCE = 100

P = TypeVar("P", bound=Protobuf)


class FleetApp:
    """Answers parties' requests.

    Parameters
    ----------
    name : str
        Of the link.
    members : Membership
    max_request_bytes : int
        Largest reply that a party may send.
    """

    def __init__(self, name: str, members: Membership, max_request_bytes: int) -> None:
        self._name, self._members, self._max_request_bytes = name, members, max_request_bytes
        self.parking = Parking()
        self.pulls = Pulls()
        self._decoding: set[int] = set()  # nodes whose large reply is being read: one at a time each
        fleet = "/v1/fleet"
        self._routes = {
            PATH: ("POST", self._enrol),
            f"{fleet}/register-node": ("POST", self._register),
            f"{fleet}/activate-node": ("POST", self._activate),
            f"{fleet}/deactivate-node": ("POST", self._deactivate),
            f"{fleet}/send-node-heartbeat": ("POST", self._heartbeat),
            f"{fleet}/pull-messages": ("POST", self._pull),
            f"{fleet}/push-messages": ("POST", self._push),
        }

    @property
    def paths(self) -> tuple[str, ...]:
        """Everything that can be asked for."""
        return tuple(self._routes)

    async def handle(self, request: Request) -> Answer:
        """Answer one request."""
        handler = route(self._routes, request)
        try:
            return await handler(request)
        except (NotAMessage, TooMuch) as error:
            raise HttpError(400, str(error)) from error
        except OtherProcess as error:
            raise HttpError(409, str(error)) from error

    async def _enrol(self, request: Request) -> Answer:
        request.expect(JSON)
        body = await request.body(_SMALL_BYTES, _SMALL_SECONDS)
        try:
            asked = read_request(body)
            if claimed_key(request.headers) != asked.node_key:
                raise BadSignature("the request is signed with another node's key")
            check_signature(read_node_key(asked.node_key), *signature_of(request.headers))
            waiting = await asyncio.to_thread(self._members.enrol, asked, request.peer)
        except InvalidParty as error:
            raise HttpError(400, str(error)) from error
        except BadSignature as error:
            raise HttpError(401, str(error)) from error
        except EnrolRefused as error:
            raise HttpError(error.status, error.text) from error
        except OSError as error:
            _log.warning("the link's folder cannot be written: %s", error)
            raise HttpError(503, "the link cannot keep this enrolment now; its host has more, try again") from error
        return json_answer({"link": self._name, "waiting": waiting})

    async def _register(self, request: Request) -> Answer:
        raise HttpError(403, "this link takes parties by token only: fi-workbench join --token", close=True)

    async def _activate(self, request: Request) -> Answer:
        node = self._node(request)
        if reason := self._members.may_begin(node):
            raise HttpError(403, reason, close=True)
        asked = await self._small(request, ActivateNodeRequest)
        if asked.public_key != node.public_key:
            raise HttpError(401, "the request is signed with another key than it names")
        interval = _interval(asked.heartbeat_interval)
        self._members.fleet.seen(node, _instance(request), request.peer, activates=interval)
        return Answer(ActivateNodeResponse(node_id=node.id).SerializeToString())

    async def _deactivate(self, request: Request) -> Answer:
        node = self._node(request)
        asked = await self._small(request, DeactivateNodeRequest)
        self._is_its_own(node, asked.node_id)
        self._members.fleet.seen(node, _instance(request), request.peer)
        self._members.fleet.leave(node, "it left")
        return Answer(DeactivateNodeResponse().SerializeToString())

    async def _heartbeat(self, request: Request) -> Answer:
        node = self._member(request)
        asked = await self._small(request, SendNodeHeartbeatRequest)
        self._is_its_own(node, asked.node.node_id)
        _interval(asked.heartbeat_interval)
        self._members.fleet.seen(node, _instance(request), request.peer)
        return Answer(SendNodeHeartbeatResponse(success=True).SerializeToString())

    async def _pull(self, request: Request) -> Answer:
        node = self._member(request)
        asked = await self._small(request, PullMessagesRequest)
        self._is_its_own(node, asked.node.node_id)
        fleet, instance = self._members.fleet, _instance(request)
        fleet.seen(node, instance, request.peer)
        if (message := fleet.pull(node)) is None:
            await self.parking.wait(node.id, HOLD_SECONDS, request.connection)
            if request.connection is not None and request.connection.lost:
                raise Disconnected
            if self.parking.closed:
                raise HttpError(503, "the link is closing", close=True)
            if reason := self._members.why_not(node):
                raise HttpError(403, reason)
            if node.instance != instance:
                raise HttpError(409, "another process uses this key")
            message = fleet.pull(node)
        return Answer(PullMessagesResponse().SerializeToString() if message is None else self.pulls.answer(message))

    async def _push(self, request: Request) -> Answer:
        node = self._member(request)
        request.expect(PROTOBUF)
        if node.id in self._decoding:
            raise HttpError(429, "one answer at a time", close=True)
        self._decoding.add(node.id)
        try:
            body = await request.body(self._max_request_bytes, _PUSH_SECONDS, known=True)
            self._members.fleet.seen(node, _instance(request), request.peer)
            if len(body) < _LARGE_BYTES:
                answer = self._take_in(node, body)
            else:
                answer = await asyncio.to_thread(self._take_in, node, body)
        finally:
            self._decoding.discard(node.id)
        if not self._members.fleet.n_open:
            self.pulls.forget()
        return Answer(answer)

    def _take_in(self, node: Node, body: bytes) -> bytes:
        check_wire(body, PushMessagesRequest.DESCRIPTOR)
        asked = parse(PushMessagesRequest, body)
        self._is_its_own(node, asked.node.node_id)
        if len(asked.messages_list) != 1:
            raise NotAMessage("One message is pushed at a time.")
        [proto] = asked.messages_list
        if proto.metadata.src_node_id != node.id:
            raise HttpError(403, "a party answers in its own name only")
        # one that nobody waits for (any more) is taken and dropped: its party did nothing wrong
        self._members.fleet.reply(node, read_message(proto))
        return push_answer(proto)

    # who asks

    def _node(self, request: Request) -> Node:
        """Whose request this is, proven by its head."""
        try:
            node = self._members.fleet.of_key(claimed_key(request.headers))
            if node is None:
                raise HttpError(403, "this key is not enrolled here; ask the host for a token", close=True)
            self._is_signed(request, node)
        except BadSignature as error:
            raise HttpError(401, str(error), close=True) from error
        if request.connection is not None:
            request.connection.prove(node)
        return node

    def _member(self, request: Request) -> Node:
        node = self._node(request)
        if reason := self._members.why_not(node):
            raise HttpError(403, reason, close=True)
        return node

    @staticmethod
    def _is_signed(request: Request, node: Node) -> None:
        signed = signature_of(request.headers)
        if node.checked != signed:  # a node signs once a second at most, and P-384 takes 1 ms
            check_signature(node.verifying, *signed)
            node.checked = signed

    @staticmethod
    def _is_its_own(node: Node, claimed: int) -> None:
        if claimed != node.id:
            raise HttpError(401, "this is another node's id; activate first")

    @staticmethod
    async def _small(request: Request, kind: type[P]) -> P:
        request.expect(PROTOBUF)
        body = await request.body(_SMALL_BYTES, _SMALL_SECONDS)
        check_wire(body, kind.DESCRIPTOR)
        return parse(kind, body)


def _interval(seconds: float) -> float:
    if not HEARTBEAT_MIN_INTERVAL <= seconds <= HEARTBEAT_MAX_INTERVAL:
        raise HttpError(
            400, f"a heartbeat comes every {HEARTBEAT_MIN_INTERVAL} to {HEARTBEAT_MAX_INTERVAL} s, not {seconds:.9g}"
        )
    return seconds


def _instance(request: Request) -> str:
    return request.headers.get(INSTANCE_HEADER, "")[:_LONGEST_INSTANCE]
