"""What we count on in Flower, public and not: an upgrade of the pin must pass here first.

What needs a whole SuperLink with parties (a round, a dropout, TLS and node authentication, a restart) is in
``test_superlink.py``, and a stock SuperNode in ``test_superlink_stock.py``: they belong to the gate, too.
"""

import inspect
import io
import time
import tomllib
import warnings
import zipfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from flwr.app import DEFAULT_TTL, Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid

from fi_workbench.core.errors import FederationError
from fi_workbench.transport.client_app import client_app
from fi_workbench.transport.flower_internals import error_reply, new_message, through_protobuf
from fi_workbench.transport.flower_internals.fleet import Fleet
from fi_workbench.transport.flower_internals.runtime_api import RuntimeApi
from fi_workbench.transport.grid import WaitingGrid
from fi_workbench.transport.local import LocalGrid
from fi_workbench.transport.node import refusal
from fi_workbench.transport.protobuf_http import Address, Connection, Rejected
from fi_workbench.transport.superlink.fab import pack, stub_fab
from fi_workbench.transport.wire import decode, encode
from tests.transport.node_cases import KEY
from tests.transport.superlink_process import SuperLinkProcess

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


def test_a_bundle_is_what_flowers_own_builder_makes():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its command line's libraries have names that others of them deprecated
        from flwr.cli.build import build_fab_from_files  # noqa: TID251

        files = zipfile.ZipFile(io.BytesIO(stub_fab()))
        plain = {name: files.read(name) for name in files.namelist() if not name.startswith(".info")}
        theirs = zipfile.ZipFile(io.BytesIO(build_fab_from_files(plain)[0]))
    # theirs writes the project file anew, so its text and its sum may differ
    assert theirs.namelist() == files.namelist()
    assert theirs.read(".info/CONTENT").split()[1:] == files.read(".info/CONTENT").split()[1:]
    assert tomllib.loads(theirs.read("pyproject.toml").decode()) == tomllib.loads(plain["pyproject.toml"].decode())
    assert pack(plain) == pack(plain)
    assert stub_fab() != stub_fab()


def test_how_long_a_signature_is_good():
    from flwr.common.constant import SYSTEM_TIME_TOLERANCE, TIMESTAMP_TOLERANCE  # noqa: TID251

    assert (refusal._AHEAD_SECONDS, refusal._BEHIND_SECONDS) == (SYSTEM_TIME_TOLERANCE, TIMESTAMP_TOLERANCE)


@pytest.fixture(scope="module")
def superlink(tmp_path_factory):
    with SuperLinkProcess(tmp_path_factory.mktemp("contract")) as one:
        yield one


@pytest.fixture
def post(superlink):
    """Posts to a SuperLink, and says in `post.paths` what was asked."""
    connection = Connection(Address.parse(superlink.address), superlink.tls, None)

    def counted(path, body, headers, seconds):
        counted.paths.append(path)
        return connection.post(path, body, headers, seconds)

    counted.paths = []
    yield counted
    connection.close()


def test_only_the_task_of_our_own_bundle_is_claimed(post):
    api, older, newer = RuntimeApi(), stub_fab(), stub_fab()
    runs = {fab: api.start(post, fab) for fab in (older, newer)}
    tokens = {fab: api.acquire(post, fab) for fab in (newer, older)}
    assert {fab: api.begin(post, token).run_id for fab, token in tokens.items()} == runs
    assert api.acquire(post, newer) == "", "a task is claimed once"
    assert api.acquire(post, stub_fab()) == ""
    for token in tokens.values():
        assert api.heartbeat(post, token)
        api.finish(post, token, 20.0)


def test_a_token_ends_with_its_run(post):
    api, fab = RuntimeApi(), stub_fab()
    api.start(post, fab)
    token = api.acquire(post, fab)
    api.begin(post, token)
    api.finish(post, token, 20.0)
    for call in (api.heartbeat, api.nodes):
        with pytest.raises(Rejected) as error:
            call(post, token)
        assert error.value.status == 401
    with pytest.raises(FederationError):
        api.pull(post, token, ["a" * 64])


def test_contents_travel_inline_in_one_request_each_way(post):
    api, fab, fleet = RuntimeApi(), stub_fab(), Fleet(KEY, "me")
    api.start(post, fab)
    token = api.acquire(post, fab)
    run = api.begin(post, token)
    fleet.register(post)
    node = fleet.activate(post, 10.0)
    assert [one.node for one in api.nodes(post, token)] == [node]
    assert fleet.pull(post, node) == []

    question = new_message(encode(BODY), "query.answer", run.run_id, node, "round", 30.0, "a" * 64)
    post.paths.clear()
    assert api.push(post, token, [question], []) == set()
    [pulled] = fleet.pull(post, node)
    assert pulled.whole
    assert repr(decode(pulled.message.content)) == repr(decode(question.content))
    assert pulled.message.metadata.message_id == "a" * 64
    fleet.push(post, node, Message(encode({"said": "yes"}), reply_to=pulled.message), 0.1)
    [reply] = api.pull(post, token, ["a" * 64])
    assert decode(reply.content) == {"said": "yes"}
    assert reply.metadata.reply_to_message_id == "a" * 64
    assert reply.metadata.src_node_id == node
    assert post.paths == [
        f"/v1/{call}-messages" for call in ("runtime/push", "fleet/pull", "fleet/push", "runtime/pull")
    ]  # fmt: skip

    # not stored, and told so: a node that nobody knows
    lost = new_message(encode(BODY), "query.answer", run.run_id, 12345, "round", 30.0, "c" * 64)
    assert api.push(post, token, [lost], []) == {"c" * 64}
    # what was never sent, or has expired, is an error of the SuperLink's own
    [unknown] = api.pull(post, token, ["d" * 64])
    assert unknown.has_error()
    # where a node was cut off, the SuperLink takes it for online still, and lets it go on under the same id
    with pytest.raises(Rejected) as error:
        fleet.activate(post, 10.0)
    assert error.value.status == 412
    assert fleet.heartbeat(post, node, 10.0)
    fleet.deactivate(post, node, 20.0)
    assert api.nodes(post, token) == []
    assert fleet.activate(post, 10.0) == node
    fleet.deactivate(post, node, 20.0)
    api.finish(post, token, 20.0)
