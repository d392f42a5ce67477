"""Rounds over a hosted link: what arrives, what does not, and from whom."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from flwr.app import Message

from fi_workbench.core.errors import Closed
from fi_workbench.core.messages import Reply
from fi_workbench.core.records import Absence
from fi_workbench.transport.flower_internals.link import message_to_proto, read_message
from fi_workbench.transport.hosted import fleet as fleet_module
from fi_workbench.transport.wire import decode, encode
from tests.transport.hosted.parties import PartyProcess, ask, rounds_link, until
from tests.transport.hosted.raw import RawNode

HANG = 60.0


class Gate:
    """A party that hangs until it is let go."""

    def __init__(self):
        self.open, self.entered = threading.Event(), 0

    def __call__(self, phase, body):
        self.entered += 1
        assert self.open.wait(HANG)
        return {"n": -1}


@pytest.fixture
def gate():
    made = Gate()
    yield made
    made.open.set()


def sent(link, node, n=1, group="round", ttl=30.0, body=None):
    return link.grid.create_message(encode(body or {"n": n}), "query.answer", node, group, ttl=ttl)


def raw_party(link, parties, name="Ada"):
    """A party that was online, and whose node the test now plays itself."""
    party = parties(link, name, instance="raw").enrol().start()
    party.stop()
    node = RawNode(link, party)
    assert node.activate()[0] == 200
    assert party.state == "online", "the same process again, with the card that it announced"
    return node


def answered(proto, body, **changes):
    """The protobuf form of a reply."""
    reply = message_to_proto(Message(encode(body), reply_to=read_message(proto)))
    reply.metadata.message_id = "r" * 64
    for name, value in changes.items():
        setattr(reply.metadata, name, value)
    return reply


def test_what_is_asked_arrives_and_is_answered_bit_by_bit(link, parties):
    queries = np.random.default_rng(0).normal(size=(64, 784)).astype(np.float32)
    bodies = {}

    def keeps(phase, body):
        bodies[phase] = body
        return {"answer": queries[:, :10], "names": ["a", "b"], "none": [], "n": 3, "x": 0.1, "raw": b"\x00\xff"}

    party = parties(link, "Ada", keeps).enrol().start()
    message = sent(link, party.node_id, body={"queries": queries, "header": b"\x00", "names": ["ä", ""], "flag": True})
    [reply] = link.grid.send_and_receive([message], timeout=20.0)
    np.testing.assert_array_equal(bodies["answer"]["queries"], queries)
    assert {name: bodies["answer"][name] for name in ("header", "names", "flag")} == {
        "header": b"\x00", "names": ["ä", ""], "flag": True,
    }  # fmt: skip
    found = dict(decode(reply.content))
    np.testing.assert_array_equal(found.pop("answer"), queries[:, :10])
    assert found == {"names": ["a", "b"], "none": [], "n": 3, "x": 0.1, "raw": b"\x00\xff"}


def test_flowers_own_client_is_served(link, parties):
    # the same bytes as Flower's: its client, its interceptor, its messages
    from flwr.proto import fleet_pb2, heartbeat_pb2, message_pb2, node_pb2  # noqa: TID251 (the reference)
    from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor  # noqa: TID251
    from flwr.supercore.primitives.asymmetric import public_key_to_bytes  # noqa: TID251
    from flwr.supernode.fleet_http_client import FleetHttpClient  # noqa: TID251
    from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor  # noqa: TID251

    from fi_workbench.transport.hosted.enrolment import fetch_certificate

    party = parties(link, "Ada").enrol().start()
    party.stop()
    status = link.status
    client = FleetHttpClient.from_server_address(
        status.address, False, fetch_certificate(status.address, status.fingerprint),
        interceptors=[
            RuntimeVersionHttpInterceptor(component_name="SuperNode"),
            NodeAuthHttpInterceptor(party.key, party.key.public_key()),
        ],
    )  # fmt: skip
    public = public_key_to_bytes(party.key.public_key())
    node = node_pb2.Node(
        node_id=client.ActivateNode(fleet_pb2.ActivateNodeRequest(public_key=public, heartbeat_interval=30.0)).node_id
    )
    assert node.node_id == party.node_id
    assert client.SendNodeHeartbeat(heartbeat_pb2.SendNodeHeartbeatRequest(node=node, heartbeat_interval=30.0)).success
    link.grid.push_messages([sent(link, node.node_id, n=5)])
    pulled = client.PullMessages(fleet_pb2.PullMessagesRequest(node=node))
    kinds = [one.metadata.message_type for one in pulled.messages_list]
    if kinds == ["query.announce"]:  # the link asks a process that it does not know who it is, first
        pulled = client.PullMessages(fleet_pb2.PullMessagesRequest(node=node))
    [proto], [tree] = pulled.messages_list, pulled.message_object_trees
    assert tree.object_id == proto.metadata.message_id
    assert decode(read_message(proto).content) == {"n": 5}
    reply = answered(proto, {"n": 6})
    request = fleet_pb2.PushMessagesRequest(
        node=node, messages_list=[reply], message_object_trees=[message_pb2.ObjectTree(object_id="r" * 64)],
        clientapp_runtime_list=[0.1],
    )  # fmt: skip
    answer = client.PushMessages(request)
    assert (dict(answer.results), list(answer.objects_to_push)) == ({"r" * 64: 0}, [])
    client.DeactivateNode(fleet_pb2.DeactivateNodeRequest(node_id=node.node_id))
    assert (party.state, party.entry.reason) == ("offline", "it left")
    client.close()


def test_a_round_through_the_port_of_a_session(link, parties, gate):
    handles = {"Ada": None, "Bo": gate, "Cy": None}
    for name, handle in handles.items():
        parties(link, name, handle).enrol().start()
    arrivals = list(
        rounds_link(link).exchange(
            "answer", {name: {"n": 4} for name in handles}, round_id="r", seconds=1.0, cancelled=threading.Event()
        )
    )[1:]
    assert {one.party for one in arrivals if isinstance(one, Reply)} == {"Ada", "Cy"}
    assert [(one.party, one.kind) for one in arrivals if isinstance(one, Absence)] == [("Bo", "late")]
    assert until(lambda: link._fleet.n_open == 0), "nothing is kept of what was given up"


def test_a_party_that_raises_is_heard_of_at_once(link, parties):
    def raises(phase, body):
        raise ValueError("secret")

    party = parties(link, "Ada", raises).enrol().start()
    [reply] = ask(link, [party.node_id])
    assert reply.error.reason == "ValueError"
    assert [one.has_error() for one in ask(link, [party.node_id])] == [True], "it stays up"


def test_who_left_is_offline_at_once_with_the_time(link, parties):
    party = parties(link, "Ada").enrol().start()
    party.stop()
    assert party.state == "offline"
    assert party.entry.member, "it still belongs to the federation"
    before = time.monotonic()
    [reply] = ask(link, [party.node_id], timeout=HANG)
    assert time.monotonic() - before < 10.0
    assert "offline since " in reply.error.reason
    assert "it left" in reply.error.reason
    [reply] = ask(link, [12345])
    assert "no such party" in reply.error.reason
    assert party.start().entry.reason == ""


def test_a_process_that_is_killed_is_offline_soon_and_its_round_goes_on(link, parties):
    victim = parties(link, "Ada", process=True).start()
    other = parties(link, "Bo").enrol().start()
    victim.online()
    victim.kill()
    assert link.roster.wait_for(lambda: victim.entry.state == "offline", 20.0)
    assert "connection was closed" in victim.entry.reason
    replies = ask(link, [victim.entry.node, other.node_id])
    assert sorted(reply.has_error() for reply in replies) == [False, True]
    victim.start("").online()
    assert [reply.has_error() for reply in ask(link, [victim.entry.node])] == [False]


def test_what_a_killed_process_had_pulled_fails_as_restarted(link, parties, gate):
    first = parties(link, "Ada", gate, instance="first").enrol().start()
    ids = link.grid.push_messages([sent(link, first.node_id)])
    assert until(lambda: gate.entered == 1)
    second = parties(link, "Ada", identity=first.identity, key=first.key).start()
    link.grid.wait(ids, 20.0)
    [reply] = link.grid.pull_messages(ids)
    assert "restarted" in reply.error.reason
    gate.open.set()
    first.thread.join(30.0)
    assert "nother process" in first.refusal, "the newest process wins, and the older is told"
    assert [reply.has_error() for reply in ask(link, [second.node_id])] == [False]
    again = parties(link, "Ada", identity=first.identity, key=first.key, instance="first")
    again.start(wait=None).thread.join(30.0)
    assert "nother process" in again.refusal, "nor does it take the key back"


def test_two_processes_with_one_key_do_not_fight(link, parties):
    one = parties(link, "Ada").enrol().start()
    other = parties(link, "Ada", identity=one.identity, key=one.key).start()
    one.thread.join(30.0)
    assert "nother process" in one.refusal
    for n in range(3):
        [reply] = ask(link, [other.node_id], n)
        assert decode(reply.content) == {"n": n}
    assert other.state == "online"


def test_a_node_that_is_silent_is_offline(link, parties, monkeypatch):
    node = raw_party(link, parties)
    waiting = link.grid.push_messages([sent(link, node.id), sent(link, node.id)])
    assert len(node.pull()) == 1, "one is pulled, one still queued"
    monkeypatch.setattr(fleet_module, "HEARTBEAT_PATIENCE", 0.0)
    link.grid.wait(waiting, 20.0, n=2)
    replies = link.grid.pull_messages(waiting)
    assert ["nothing was heard of it" in reply.error.reason for reply in replies] == [True, True]
    monkeypatch.undo()
    [pulled] = [link.grid.push_messages([sent(link, node.id)])]
    assert "offline since" in link.grid.pull_messages(pulled)[0].error.reason
    assert until(lambda: link._fleet.n_open == 0)
    asked = threading.Thread(target=node.pull)
    asked.start()  # it is heard of again: no activation is needed for that
    assert link.roster.wait_for(lambda: link.roster.entry("Ada").state == "online", 20.0)
    link.grid.push_messages([sent(link, node.id)])
    asked.join(20.0)
    assert not asked.is_alive()


def test_a_party_answers_in_its_own_name_only(link, parties):
    ada, bo = raw_party(link, parties, "Ada"), raw_party(link, parties, "Bo")
    ids = link.grid.push_messages([sent(link, ada.id), sent(link, bo.id)])
    [for_ada], [for_bo] = ada.pull(), bo.pull()
    forged = answered(for_ada, {"n": 666})
    assert bo.push(forged)[0] == 403, "a reply that says to be Ada's"
    assert bo.push(answered(for_ada, {"n": 666}, src_node_id=bo.id))[0] == 200
    assert link.grid.pull_messages(ids) == [], "to a message that was Ada's: dropped"
    status, _ = ada.post("push-messages", _push_of(bo.id, forged))
    assert status == 401, "the node in the request is not the one that signed it"
    assert ada.push(answered(for_ada, {"n": 1}))[0] == 200
    assert bo.push(answered(for_bo, {"n": 2}))[0] == 200
    found = {reply.metadata.src_node_id: decode(reply.content)["n"] for reply in link.grid.pull_messages(ids)}
    assert found == {ada.id: 1, bo.id: 2}


def _push_of(node_id, proto):
    from fi_workbench.transport.flower_internals.link import PushMessagesRequest

    request = PushMessagesRequest(messages_list=[proto])
    request.node.node_id = node_id
    return request


def test_a_reply_counts_once_and_while_it_is_waited_for(link, parties):
    node = raw_party(link, parties)
    ids = link.grid.push_messages([sent(link, node.id)])
    assert node.push(_unasked(node))[0] == 200
    [proto] = node.pull()
    assert node.push(answered(proto, {"n": 1}))[0] == 200
    assert node.push(answered(proto, {"n": 2}))[0] == 200, "taken and dropped: a request may be sent twice"
    [reply] = link.grid.pull_messages(ids)
    assert decode(reply.content) == {"n": 1}
    late = link.grid.push_messages([sent(link, node.id)])
    [proto] = node.pull()
    link.grid.discard(late)
    assert node.push(answered(proto, {"n": 3}))[0] == 200
    assert link.grid.pull_messages(late) == []
    assert link._fleet.n_open == 0


def _unasked(node):
    from fi_workbench.transport.flower_internals import new_message

    asked = new_message(encode({"n": 0}), "query.answer", 1, node.id, "round", 10.0, "q" * 64)
    return answered(message_to_proto(asked), {"n": 666})


def test_a_message_given_up_is_never_sent(link, parties):
    node = raw_party(link, parties)
    ids = link.grid.push_messages([sent(link, node.id, n=n) for n in range(3)])
    link.grid.discard(ids[:2])
    [proto] = node.pull()
    assert decode(read_message(proto).content) == {"n": 2}


def test_a_message_that_nobody_collects_is_forgotten(link, parties, monkeypatch):
    node = raw_party(link, parties)
    monkeypatch.setattr(fleet_module, "_LATE_SECONDS", 0.0)
    link.grid.push_messages([sent(link, node.id, ttl=0.01)])
    assert until(lambda: link._fleet.n_open == 0, 10.0)


def test_a_pull_is_held_until_there_is_mail_and_a_newer_one_ends_it(link, parties):
    node = raw_party(link, parties)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(node.pull)
        assert until(lambda: len(link._app.parking) == 1)
        second = pool.submit(node.pull)
        assert first.result(20.0) == []
        assert not second.done()
        link.grid.push_messages([sent(link, node.id)])
        assert len(second.result(20.0)) == 1


def test_a_pull_whose_connection_is_lost_takes_no_message_with_it(link, parties):
    node = raw_party(link, parties)
    with pytest.raises(TimeoutError):
        node.pull(seconds=0.3)
    assert until(lambda: len(link._app.parking) == 0)
    link.grid.push_messages([sent(link, node.id)])
    assert len(node.pull()) == 1


def test_many_rounds_at_once_do_not_get_mixed_up(link, parties):
    nodes = [
        parties(link, f"P{k}", lambda phase, body, k=k: {"n": body["n"] * 10 + k}).enrol().start().node_id
        for k in range(3)
    ]

    def answers(n):
        return sorted(decode(reply.content)["n"] for reply in ask(link, nodes, n, timeout=HANG, group=f"r{n}"))

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(answers, range(40)))
    assert found == [[n * 10 + k for k in range(3)] for n in range(40)]
    assert link.n_rounds == 40, "announcements are no rounds"


def containers(link):
    """Sizes of everything in the link that holds something for each message, round or request."""
    fleet = link._fleet
    return {
        "open": fleet.n_open,
        "queued": sum(len(node.queue) + len(node.pulled) for node in fleet._nodes.values()),
        "nodes": len(fleet._nodes),
        "box": len(link.grid._box._open) + len(link.grid._box._replies) + len(link.grid._box._waiters),
        "parked": len(link._app.parking) - len(fleet.present),
        "decoding": len(link._app._decoding),
        "announcer": len(link._announcer._open),
        "unproved": len(link._server.door._unproved),
        "entering": len(link._server.door._entering),
        "connections": len(link._server.server_state.connections) - link._server.door.n_connections,
        "tasks": len(link._server.server_state.tasks) - len(link._app.parking),
    }


def test_two_thousand_rounds_leave_nothing_behind(link, parties):
    nodes = [parties(link, name).enrol().start().node_id for name in ("Ada", "Bo")]
    gone = parties(link, "Cy").enrol().start()
    gone.stop()
    nothing = dict.fromkeys(containers(link), 0) | {"nodes": 3}
    for n in range(1000):
        assert len(ask(link, [*nodes, gone.node_id], n, group=f"r{n}")) == 3
        ask(link, nodes[:1], n, timeout=0.0, group=f"late{n}")
    assert until(lambda: containers(link) == nothing), containers(link)
    assert link.n_rounds == 2000
    assert len(link._meter._recent) <= 4096


def test_a_closed_link_asks_nobody(link, parties):
    party = parties(link, "Ada").enrol().start()
    link.close()
    with pytest.raises(Closed):
        ask(link, [party.node_id])
    for act in (link.invite, lambda: link.approve("Ada"), lambda: link.expel("Ada")):
        with pytest.raises(Closed):
            act()
    assert link.status.state == "closed"


@pytest.mark.parametrize("n", [1])
def test_a_party_is_let_in_by_a_process_of_its_own(link, n):
    party = PartyProcess(link, "Ada").start()
    try:
        assert [reply.has_error() for reply in ask(link, [party.online().entry.node])] == [False]
    finally:
        party.kill()
