"""What we count on in Flower, public and not: an upgrade of the pin must pass here first."""

import inspect
import time
import tomllib
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from flwr.app import DEFAULT_TTL, Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid

from fi_workbench.transport.client_app import client_app
from fi_workbench.transport.flower_internals import error_reply, new_message, through_protobuf
from fi_workbench.transport.grid import WaitingGrid
from fi_workbench.transport.local import LocalGrid
from fi_workbench.transport.wire import decode, encode

BODY = {"queries": np.arange(6, dtype=np.float32).reshape(2, 3), "header": b"\x00\xff", "names": ["a", "b"]}


@pytest.fixture
def grid():
    made = LocalGrid()
    yield made
    made.close()


def context(node=1):
    return Context(run_id=1, node_id=node, node_config={}, state=RecordDict(), run_config={})


def request(content=None, **metadata):
    given = {"message_type": "query.answer", "run_id": 5, "dst_node_id": 9, "group_id": "round", "ttl": 4.0}
    return new_message(encode(BODY) if content is None else content, **given | metadata, message_id="m" * 32)


def test_the_pin_is_what_is_installed():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert [line for line in project["dependencies"] if line.startswith("flwr")] == [f"flwr=={version('flwr')}"]


def test_the_grid_has_the_methods_that_ours_implements():
    assert Grid.__abstractmethods__ == {
        "set_run", "run", "create_message", "get_node_ids", "push_messages", "pull_messages", "send_and_receive",
    }  # fmt: skip
    for name in ("create_message", "push_messages", "pull_messages", "send_and_receive", "get_node_ids"):
        theirs = [(p.name, p.kind, p.default) for p in inspect.signature(getattr(Grid, name)).parameters.values()]
        ours = [(p.name, p.kind, p.default) for p in inspect.signature(getattr(LocalGrid, name)).parameters.values()]
        assert ours == theirs, name
    assert issubclass(WaitingGrid, Grid)


def test_a_request_has_its_own_metadata(grid):
    before = time.time()
    one, other = (grid.create_message(encode(BODY), "query.answer", 3, "round", ttl=7.5) for _ in range(2))
    metadata = one.metadata
    assert (metadata.run_id, metadata.dst_node_id, metadata.group_id) == (grid.run.run_id, 3, "round")
    assert (metadata.message_type, metadata.ttl, metadata.reply_to_message_id) == ("query.answer", 7.5, "")
    assert metadata.src_node_id == 1, "the SuperLink's node id"
    assert before - 1 <= metadata.created_at <= time.time() + 1
    assert len(metadata.message_id) == 32
    assert metadata.message_id != other.metadata.message_id
    assert grid.create_message(encode(BODY), "query", 3, "").metadata.ttl == DEFAULT_TTL


def test_no_global_task_identity_is_read_or_written():
    # Message(...) for a request reads it, so that two federations in one process would share a run
    from flwr.app.message import message as module

    before = dict(vars(module.TaskIdentity))
    grids = [LocalGrid() for _ in range(3)]
    runs = [grid.create_message(encode({}), "query.answer", 1, "").metadata.run_id for grid in grids]
    assert len(set(runs)) == 3
    assert all(0 < run < 2**63 for run in runs)
    assert dict(vars(module.TaskIdentity)) == before
    for grid in grids:
        grid.close()


def test_a_client_app_answers_by_the_phase_in_the_message_type():
    app = client_app(lambda phase, body: {"phase": phase, "n": len(body["queries"])}, ["commit", "reveal", "commit"])
    assert isinstance(app, ClientApp)
    for phase in ("commit", "reveal"):
        reply = app(request(message_type=f"query.{phase}"), context())
        assert decode(reply.content) == {"phase": phase, "n": 2}
    with pytest.raises(ValueError, match="registered with name 'answer'"):
        app(request(), context())
    app.learn(["answer", "commit"])
    assert decode(app(request(), context()).content) == {"phase": "answer", "n": 2}


def test_a_reply_points_back_at_its_request():
    message = request()
    reply = Message(encode({}), reply_to=message)
    assert reply.metadata.reply_to_message_id == message.metadata.message_id
    assert (reply.metadata.src_node_id, reply.metadata.dst_node_id) == (9, 1)
    assert (reply.metadata.run_id, reply.metadata.group_id) == (5, "round")
    assert reply.metadata.message_type == "query.answer"
    assert reply.metadata.ttl <= message.metadata.ttl


def test_a_reply_may_be_made_after_its_request_expired():
    # a party that hung for longer than the deadline must be able to end its call
    message = request(ttl=-5.0)
    for reply in (Message(encode({}), reply_to=message), error_reply(message, "late")):
        assert reply.metadata.reply_to_message_id == message.metadata.message_id
        through_protobuf(reply)


def test_an_error_reply_is_what_flower_itself_sends():
    reply = error_reply(request(), "ValueError")
    assert reply.has_error()
    assert not reply.has_content()
    assert (reply.error.code, reply.error.reason) == (2, "ValueError")
    with pytest.raises(ValueError, match="content"):
        _ = reply.content


@pytest.mark.parametrize(
    "make", [request, lambda: Message(encode(BODY), reply_to=request()), lambda: error_reply(request(), "why")]
)
def test_protobuf_changes_nothing(make):
    message = make()
    same = through_protobuf(message)
    assert same is not message
    # delivered_at is not carried
    fields = [name for name in vars(message.metadata) if "delivered" not in name]
    assert {name: getattr(same.metadata, name.lstrip("_")) for name in fields} == {
        name: getattr(message.metadata, name.lstrip("_")) for name in fields
    }
    if message.has_error():
        assert (same.error.code, same.error.reason) == (message.error.code, message.error.reason)
    else:
        assert repr(decode(same.content)) == repr(decode(message.content))


def test_the_public_interface_is_enough_to_drive_it(grid):
    """As somebody's own server code would: only what `Grid` promises."""

    def handle(phase, body):
        if body["queries"][0, 0] == 4:
            raise LookupError("only its name is told")
        return {"sum": np.asarray(body["queries"]).sum(axis=1)}

    nodes = [grid.add(client_app(handle, ["answer"])) for _ in range(5)]
    flower: Grid = grid
    assert [node.node_id for node in flower.get_nodes()] == nodes == flower.get_node_ids()
    messages = [
        flower.create_message(encode({"queries": np.full((2, 3), node - 1.0)}), "query.answer", node, "g")
        for node in nodes
    ]
    replies = {reply.metadata.src_node_id: reply for reply in flower.send_and_receive(messages, timeout=20.0)}
    assert set(replies) == set(nodes)
    assert [decode(replies[node].content)["sum"][0] for node in nodes[:4]] == [0, 3, 6, 9]
    assert (replies[5].error.code, replies[5].error.reason) == (2, "LookupError")
    assert not grid._box._open
    assert not grid._box._replies

    ids = list(
        flower.push_messages([flower.create_message(encode({"queries": np.ones((1, 3))}), "query.answer", 1, "g")])
    )
    end = time.monotonic() + 20
    while not (pulled := list(flower.pull_messages(ids))) and time.monotonic() < end:
        time.sleep(0.005)
    assert decode(pulled[0].content)["sum"].tolist() == [3.0]
    assert list(flower.pull_messages(ids)) == [], "each is given out once"


def test_an_unknown_phase_or_node_is_an_error_reply(grid):
    node = grid.add(client_app(lambda phase, body: body, ["answer"]))
    unknown = [
        grid.create_message(encode({}), "query.nothing", node, ""),
        grid.create_message(encode({}), "train.answer", node, ""),
        grid.create_message(encode({}), "query.answer", 99, ""),
    ]
    replies = grid.send_and_receive(unknown, timeout=20.0)
    assert {reply.error.code for reply in replies} == {2}
    assert len(replies) == 3
    assert isinstance(replies[0].error, Error)
