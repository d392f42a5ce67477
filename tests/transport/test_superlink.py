"""Parties and coordinators on a real, unmodified `flower-superlink`."""

import threading
from contextlib import closing

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.app import Message

from fi_workbench.core.errors import Closed, DoesNotFit, InvalidOption, UnknownName
from fi_workbench.core.messages import Reply
from fi_workbench.protocol.party_side import PartySide
from fi_workbench.transport.client_app import client_app
from fi_workbench.transport.flower_internals import new_message
from fi_workbench.transport.flower_internals.fleet import Garbled
from fi_workbench.transport.flower_internals.runtime_api import RuntimeApi, Scattered, take_object_id
from fi_workbench.transport.node import party_node
from fi_workbench.transport.protobuf_http import Unreachable
from fi_workbench.transport.roster import RemoteLink
from fi_workbench.transport.superlink import SuperLinkLink
from fi_workbench.transport.superlink.census import Census
from fi_workbench.transport.superlink.grid import SuperLinkGrid
from fi_workbench.transport.tls import WrongCertificate
from fi_workbench.transport.wire import decode, encode
from tests.harness import linear_party, until
from tests.transport.fake_link import FakeLink, self_signed
from tests.transport.node_cases import comes, running
from tests.transport.superlink_process import (
    SuperLinkProcess,
    ask,
    crowd,
    free_port,
    party_process,
    ponging,
    states,
)

ALL_ONLINE = {"ada": "online", "bob": "online", "cyd": "online"}


@pytest.fixture(scope="module")
def superlink(tmp_path_factory):
    with SuperLinkProcess(tmp_path_factory.mktemp("superlink")) as one:
        yield one


@pytest.fixture
def fresh(tmp_path):
    """Makes SuperLinks of a test's own."""
    made = []

    def make(kind="memory"):
        made.append(SuperLinkProcess(tmp_path, kind))
        return made[-1].start()

    yield make
    for one in made:
        one.__exit__()


@pytest.mark.parametrize("kind", ["memory", "database", "tls"])
def test_a_round_a_dropout_and_its_return(fresh, kind):
    """What an upgrade of Flower must still do, on each kind of SuperLink."""
    superlink = fresh(kind)
    with crowd(superlink, "ada", "bob", "cyd", wrap=ponging) as parties, closing(superlink.open()) as link:
        comes(lambda: states(link) == ALL_ONLINE)
        for entry in link.roster.entries:
            assert entry.card == parties.sides[entry.name].card
            assert entry.key == entry.card.identity.verify_key.hex()
        nodes = {entry.name: entry.node for entry in link.roster.entries}
        assert link.grid.get_node_ids() == sorted(nodes.values())
        came = ask(link)
        assert all(isinstance(came[name], Reply) and came[name].body["to"] == name for name in nodes)

        parties.leave("bob")
        comes(lambda: states(link)["bob"] == "offline")
        assert "offline since" in link.roster.entry("bob").reason
        came = ask(link)
        assert came["bob"].kind == "unreachable"
        assert "offline" in came["bob"].reason
        assert came["bob"].seconds < 10.0, "at once, not at the deadline"
        assert isinstance(came["ada"], Reply)

        parties.join("bob", wrap=ponging)
        comes(lambda: states(link) == ALL_ONLINE)
        assert link.roster.entry("bob").node == nodes["bob"], "the same key is the same node"
        assert all(isinstance(one, Reply) for one in ask(link).values())
        assert link.status.state == "up"


def test_it_is_a_remote_link(superlink):
    with closing(superlink.open()) as opened:
        link: RemoteLink = opened
        assert (link.status.kind, link.status.address, link.status.fingerprint) == ("superlink", superlink.address, "")
        with pytest.raises(DoesNotFit, match="flwr supernode register"):
            link.invite()
        with pytest.raises(UnknownName):
            link.approve("nobody")
        link.told({"rule": "mean"})
    assert opened.status.state == "closed"
    opened.close()
    with pytest.raises(Closed):
        opened.grid.push_messages([opened.grid.create_message(encode({}), "query.ping", 1, "")])


def test_large_answers_and_many_at_once(superlink):
    def wide(handle):
        return lambda phase, body: {"blob": b"x" * 5_000_000} if phase == "ping" else handle(phase, body)

    with crowd(superlink, "ada", "bob", wrap=wide), closing(superlink.open()) as link:
        comes(lambda: states(link) == {"ada": "online", "bob": "online"})
        came = {}
        threads = [threading.Thread(target=lambda n=n: came.update({n: ask(link)})) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60.0)
        assert all(one.n_bytes > 5_000_000 for n in range(4) for one in came[n].values())


def test_a_party_that_is_late_is_absent_and_answers_the_next_round(superlink):
    release = threading.Event()

    def slow_once(handle):
        def answer(phase, body):
            if phase == "ping" and not release.is_set():
                release.wait(60.0)
            return {"pong": True} if phase == "ping" else handle(phase, body)

        return answer

    with crowd(superlink, "ada", wrap=slow_once), closing(superlink.open()) as link:
        comes(lambda: states(link) == {"ada": "online"})
        assert ask(link, seconds=0.3)["ada"].kind == "late"
        release.set()
        assert isinstance(ask(link)["ada"], Reply)
        assert not link.grid.waiting


def test_an_expelled_party_is_not_asked_until_it_is_approved(superlink, monkeypatch):
    heard, real = [], Census.announced
    monkeypatch.setattr(Census, "announced", lambda *given: (real(*given), heard.append(given[2].name)))
    with crowd(superlink, "ada", "bob", wrap=ponging) as parties, closing(superlink.open()) as link:
        comes(lambda: states(link) == {"ada": "online", "bob": "online"})
        with pytest.raises(DoesNotFit, match="waits for no approval"):
            link.approve("bob")
        link.expel("bob")
        assert [entry.name for entry in link.roster.members] == ["ada"]
        parties.leave("bob")
        parties.join("bob", wrap=ponging)
        comes(lambda: heard.count("bob") == 2)
        assert states(link)["bob"] == "expelled", "to come anew does not help"
        assert ask(link).keys() == {"ada"}
        link.approve("bob")
        comes(lambda: states(link)["bob"] == "online")
        assert isinstance(ask(link)["bob"], Reply)


def test_who_is_not_known_or_not_admitted_is_refused_with_the_reason(superlink):
    known = PartySide(linear_party("ada"))
    keys = {"ada": known.card.identity.verify_key.hex().upper(), "bob": "ab" * 32}
    with crowd(superlink) as parties:
        parties.join("ada", side=known)
        parties.join("bob")
        parties.join("cyd")
        with closing(superlink.open(known=keys)) as link:
            comes(lambda: states(link) == {"ada": "online", "bob": "refused", "cyd": "refused"})
            assert "not the one that this federation knows bob by" in link.roster.entry("bob").reason
            assert "not among the parties" in link.roster.entry("cyd").reason
            assert [entry.name for entry in link.roster.members] == ["ada"]
        with closing(superlink.open(admit=lambda card: "" if card.name == "cyd" else "wrong classes")) as link:
            comes(lambda: states(link) == {"ada": "refused", "bob": "refused", "cyd": "online"})
            assert link.roster.entry("ada").reason == "wrong classes"


def test_of_two_parties_with_one_name_the_second_is_refused(superlink):
    with crowd(superlink, "ada") as parties, closing(superlink.open()) as link:
        comes(lambda: states(link) == {"ada": "online"})
        first = link.roster.entry("ada").key
        parties.sides["other"] = PartySide(linear_party("ada"))
        parties.join("other")
        comes(lambda: len(link.roster.entries) == 2)
        [second] = [entry for entry in link.roster.entries if entry.key != first]
        assert second.state == "refused"
        assert "changes its name" in second.reason
        assert link.roster.of_key(first).state == "online"


def test_a_node_that_is_no_party_is_shown_as_such(superlink):
    app = client_app(lambda phase, body: {"hello": "there"}, ["announce"])
    key = ec.generate_private_key(ec.SECP384R1())
    with closing(superlink.open()) as link:
        with running(superlink.address, app=app, key=key):
            comes(lambda: link.roster.entries)
            [entry] = link.roster.entries
            assert (entry.state, entry.name) == ("refused", f"node {entry.node}")
            assert "announced nothing" in entry.reason
            assert not link.roster.members
        comes(lambda: not link.roster.entries)


def test_two_coordinators_live_side_by_side(superlink):
    with crowd(superlink, "ada", "bob", wrap=ponging), closing(superlink.open()) as one:
        other = superlink.open()
        assert one.grid.run.run_id != other.grid.run.run_id
        for link in (one, other):
            comes(lambda link=link: states(link) == {"ada": "online", "bob": "online"})
        for _ in range(3):
            for link in (one, other):
                assert all(isinstance(reply, Reply) for reply in ask(link).values())
        other.close()
        assert all(isinstance(reply, Reply) for reply in ask(one).values())


@pytest.mark.parametrize("kind", ["memory", "database"])
def test_a_superlink_killed_and_restarted_mid_round(fresh, kind):
    superlink, release, at_work = fresh(kind), threading.Event(), threading.Event()

    def hanging(handle):
        def answer(phase, body):
            if phase == "ping":
                at_work.set()
                release.wait(60.0)
                return {"pong": True}
            return handle(phase, body)

        return answer

    with crowd(superlink, "ada", "bob", wrap=hanging), closing(superlink.open()) as link:
        comes(lambda: states(link) == {"ada": "online", "bob": "online"})
        run, keys = link.grid.run.run_id, {entry.name: entry.key for entry in link.roster.entries}
        came = {}
        asking = threading.Thread(target=lambda: came.update(ask(link, seconds=60.0)))
        asking.start()
        assert at_work.wait(20.0)
        superlink.kill()
        asking.join(30.0)
        assert {one.kind for one in came.values()} == {"unreachable"}, "absences, well before the deadline"
        assert all("lost since" in one.reason for one in came.values())
        assert link.status.state == "lost"
        assert "Tried again in" in link.status.reason
        assert states(link) == {"ada": "offline", "bob": "offline"}
        assert all("lost since" in one.reason for one in ask(link).values()), "fails at once meanwhile"

        release.set()
        superlink.start()
        assert until(lambda: states(link) == {"ada": "online", "bob": "online"}, 60.0)
        assert link.status.state == "up"
        assert link.grid.run.run_id != run
        assert {entry.name: entry.key for entry in link.roster.entries} == keys
        assert all(isinstance(reply, Reply) for reply in ask(link).values())


def test_a_run_that_was_ended_behind_our_back_is_made_anew(superlink):
    with crowd(superlink, "ada", wrap=ponging), closing(superlink.open()) as link:
        comes(lambda: states(link) == {"ada": "online"})
        run, node = link.grid.run.run_id, link.roster.entry("ada").node
        stale = link.grid.create_message(encode({}), "query.ping", node, "round", ttl=30.0)
        other = link._connect()
        RuntimeApi().finish(other.post, link._held.token, 20.0)
        other.close()
        comes(lambda: link.grid.run.run_id != run and states(link) == {"ada": "online"})
        assert isinstance(ask(link)["ada"], Reply)
        [message_id] = link.grid.push_messages([stale])
        link.grid.wait([message_id], 20.0)
        [reply] = link.grid.pull_messages([message_id])
        assert "made anew" in reply.error.reason


def test_a_heartbeat_that_is_refused_has_the_run_made_anew(superlink, monkeypatch):
    from fi_workbench.transport.superlink import run as module

    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0.05)
    beats = []
    real = RuntimeApi.heartbeat
    monkeypatch.setattr(RuntimeApi, "heartbeat", lambda *given: beats.append(1) or (len(beats) != 5 and real(*given)))
    with closing(superlink.open()) as link:
        run = link.grid.run.run_id
        comes(lambda: link.grid.run.run_id != run)
        comes(lambda: len(beats) >= 10)
        assert link.status.state == "up"


def test_a_superlink_that_stands_still_ends_in_absences_and_goes_on(superlink):
    with crowd(superlink, "ada", wrap=ponging), closing(superlink.open()) as link:
        comes(lambda: states(link) == {"ada": "online"})
        superlink.pause(True)
        try:
            assert ask(link, seconds=1.0)["ada"].kind == "late"
        finally:
            superlink.pause(False)
        comes(lambda: isinstance(ask(link)["ada"], Reply))


def test_a_party_process_killed_mid_round_and_started_again(superlink, tmp_path):
    file = tmp_path / "ada.key"
    with closing(superlink.open()) as link:
        first = party_process(superlink, "ada", file, hang_seconds=60.0)
        try:
            comes(lambda: states(link) == {"ada": "online"})
            came = {}
            asking = threading.Thread(target=lambda: came.update(ask(link, seconds=60.0)))
            asking.start()
            assert any(line == "asked\n" for line in first.stdout)
            first.kill()
            second = party_process(superlink, "ada", file)
            try:
                asking.join(40.0)
                assert came["ada"].kind == "unreachable"
                assert "heartbeat" in came["ada"].reason or "offline" in came["ada"].reason, "not at the deadline"
                # the SuperLink lets it in again when it has seen that the first is gone
                comes(lambda: isinstance(ask(link)["ada"], Reply))
            finally:
                second.kill()
                second.communicate(timeout=20.0)
        finally:
            first.kill()
            first.communicate(timeout=20.0)


def test_what_cannot_be_opened_says_why(superlink, tmp_path):
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1"):
        SuperLinkLink.open(f"127.0.0.1:{free_port()}", insecure=True)
    with FakeLink({}) as other, pytest.raises(DoesNotFit, match="no SuperLink"):
        SuperLinkLink.open(other.address, insecure=True)
    locked = 401, {}, b'{"detail": "Authentication failed."}'
    with FakeLink({"start-run": lambda *_: locked}) as other, pytest.raises(DoesNotFit, match="accounts only"):
        SuperLinkLink.open(other.address, insecure=True)
    with FakeLink({"start-run": lambda *_: b"", "acquire-task": lambda *_: b""}) as other:
        with pytest.raises(DoesNotFit, match="did not start a run"):
            SuperLinkLink.open(other.address, insecure=True)
        other.routes["start-run"] = lambda *_: b"\x08\x01"
        with pytest.raises(DoesNotFit, match="--isolation process"):
            SuperLinkLink.open(other.address, insecure=True)
        other.routes["acquire-task"] = lambda *_: locked
        with pytest.raises(DoesNotFit, match="superexec-auth-secret"):
            SuperLinkLink.open(other.address, insecure=True)
    files, _, _ = self_signed(tmp_path)
    with FakeLink({}, certificate=files) as other, pytest.raises(WrongCertificate, match="not trusted"):
        SuperLinkLink.open(other.address)
    with pytest.raises(Unreachable, match="no TLS is spoken there"):
        SuperLinkLink.open(superlink.address)
    with pytest.raises(InvalidOption):
        SuperLinkLink.open(superlink.address, insecure=True, root_certificates=b"x")
    with pytest.raises(InvalidOption):
        SuperLinkLink.open(superlink.address, insecure=True, poll_seconds=0.0)


def test_a_node_that_the_operator_did_not_register_is_refused(fresh, monkeypatch):
    monkeypatch.setattr(party_node, "_PATIENCE_SECONDS", -19.0)
    superlink = fresh("tls")
    app = client_app(lambda phase, body: body, ["announce"])
    with running(superlink.address, app=app, tls=superlink.tls) as one:
        assert one.ends()
    assert "registered via the CLI" in str(one.refusal)


def test_the_names_of_messages_cannot_be_guessed():
    grid = SuperLinkGrid()
    now = grid.create_message(encode({"n": 1}), "query.ping", 7, "round", ttl=9.0)
    again = new_message(now.content, "query.ping", grid.run.run_id, 7, "round", 9.0, "")
    again.metadata.__dict__["_created_at"] = now.metadata.created_at
    take_object_id(again)
    assert len(now.metadata.message_id) == len(again.metadata.message_id) == 64
    assert now.metadata.message_id != again.metadata.message_id, "who knows all that it says does not know its name"


@pytest.mark.parametrize(
    ("field", "value", "garbled"),
    [("_src_node_id", 7, False), ("_src_node_id", 8, True), ("_reply_to_message_id", "x", True)],
)
def test_a_scattered_reply_is_whose_the_superlink_says(field, value, garbled):
    from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree  # noqa: TID251

    reply = Message(
        encode({"said": "yes"}), reply_to=new_message(encode({}), "query.ping", 5, 7, "round", 9.0, "a" * 64)
    )
    reply.metadata.__dict__[field] = value
    head = Message(encode({}), reply_to=new_message(encode({}), "query.ping", 5, 7, "round", 9.0, "a" * 64))
    scattered = Scattered(head, get_object_tree(reply))
    contents = {name: found.deflate() for name, found in get_all_nested_objects(reply).items()}
    assert set(scattered.missing) == set(contents)
    for name, content in contents.items():
        scattered.take(name, content)
    assert not scattered.missing
    if garbled:
        with pytest.raises(Garbled, match="another reply"):
            scattered.whole()
    else:
        assert decode(scattered.whole().content) == {"said": "yes"}
