"""The owner's desk, and links that are attached through it."""

import http.client
import json
import os
import threading
import time
from urllib.parse import urlsplit

import pytest

import fi_workbench as fi
from fi_workbench.core.errors import Closed, DoesNotFit, InvalidOption
from fi_workbench.transport.hosted import announced as announced_module
from fi_workbench.transport.hosted.announced import Announced, announce, announced
from fi_workbench.transport.hosted.attached import AttachedLink
from fi_workbench.transport.hosted.desk_client import DeskGone
from fi_workbench.transport.hosted.link import HostedLink
from fi_workbench.transport.wire import decode
from tests.transport.hosted.parties import TestParty, ask, until
from tests.transport.hosted.test_restart import Host


@pytest.fixture
def host(links):
    return links(announce_by="kernel")


@pytest.fixture
def attach(tmp_path):
    made = []

    def one(host):
        made.append(AttachedLink.open(host.announced, folder=tmp_path / "runtime"))
        return made[-1]

    yield one
    for link in made:
        link.close()


class Said:
    """An answer of the desk."""

    def __init__(self, status, content):
        self.status_code, self.content = status, content

    def json(self):
        return json.loads(self.content)


def call(host, method, path, *, headers=None, content=None, **options):
    where = urlsplit(host.announced.desk)
    given = {"authorization": f"Bearer {host.announced.token}"} | (headers or {})
    if "json" in options:
        content, given["content-type"] = json.dumps(options["json"]).encode(), "application/json"
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=20.0)
    try:
        connection.putrequest(method, path, skip_host="host" in given, skip_accept_encoding=True)
        for name, value in (given | {"content-length": str(len(content or b""))}).items():
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders(content)
        answer = connection.getresponse()
        return Said(answer.status, answer.read())
    finally:
        connection.close()


def test_a_link_is_announced_in_a_file_of_its_owners_while_it_is_up(host, tmp_path):
    folder = tmp_path / "runtime"
    [path] = folder.iterdir()
    assert (folder.stat().st_mode & 0o777, path.stat().st_mode & 0o777) == (0o700, 0o600)
    plain = json.loads(path.read_text())
    assert {key: plain[key] for key in ("version", "name", "pid", "address", "by")} == {
        "version": 1, "name": "class", "pid": os.getpid(), "address": host.status.address, "by": "kernel",
    }  # fmt: skip
    assert path.name == f"{plain['id']}.json"
    assert urlsplit(plain["desk"]).hostname == "127.0.0.1"
    assert announced(folder) == (host.announced,)
    assert host.announced.token not in repr(host.announced)
    host.close()
    assert list(folder.iterdir()) == []


def test_without_being_asked_to_a_link_announces_nothing_and_has_no_desk(link, tmp_path):
    assert link.announced is None
    assert not (tmp_path / "runtime").exists()


def test_what_dead_hosts_left_is_removed_and_what_is_not_ours_is_ignored(host, tmp_path, monkeypatch):
    folder = tmp_path / "runtime"
    one = host.announced
    dead = announce(Announced(**vars(one) | {"id": "dead", "pid": 2**22 + 1}), folder)
    reused = announce(Announced(**vars(one) | {"id": "reused", "desk": "http://127.0.0.1:9"}), folder)
    wrong = announce(Announced(**vars(one) | {"id": "wrong", "token": "x"}), folder)
    elsewhere = announce(Announced(**vars(one) | {"id": "far", "desk": "http://192.0.2.1:80"}), folder)
    public = announce(Announced(**vars(one) | {"id": "public"}), folder)
    public.chmod(0o644)
    for n, text in enumerate(("", "{", "[]", "null", '{"version": 2}', '{"version": 1}', "[" * 5000)):
        (folder / f"junk{n}.json").write_text(text)
        (folder / f"junk{n}.json").chmod(0o600)
    assert announced(folder) == (one,)
    assert not dead.exists()
    assert not reused.exists()
    assert wrong.exists()
    assert elsewhere.exists()
    assert announced(tmp_path / "nowhere") == ()
    monkeypatch.setattr(announced_module, "jupyter_runtime_dir", lambda: str(tmp_path / "jupyter"))
    assert announced() == ()
    assert announced_module.runtime_folder() == tmp_path / "jupyter" / "fi-workbench"


def test_every_route_is_for_the_owner_only(host):
    paths = host._desk.paths
    assert len(paths) == 10
    for method, path in paths:
        for wrong in (None, "", "Bearer", "Bearer x", f"Basic {host.announced.token}", host.announced.token):
            assert call(host, method, path, headers={"authorization": wrong}).status_code == 401, path
        for headers in (
            {"origin": "http://127.0.0.1:8888"},
            {"origin": "null"},
            {"host": "evil.example"},
            {"host": "127.0.0.1.evil.example"},
            {"host": ""},
        ):
            assert call(host, method, path, headers=headers).status_code == 403, (path, headers)
        other = "POST" if method == "GET" else "GET"
        assert call(host, other, path).status_code == 405
    for path in ("/", "/status/", "/..", "/%2e%2e/status", "//status", "/statu%73", "/v1/fleet/pull-messages"):
        assert call(host, "GET", path).status_code == 404, path
    assert call(host, "GET", "/status").status_code == 200


def test_what_makes_no_sense_is_refused_by_name(host):
    for path, body, status in (
        ("/invite", {"n": 0}, 400), ("/invite", {"n": True}, 400), ("/invite", {"n": "1"}, 400),
        ("/invite", {"n": 1e9}, 400), ("/invite", {"minutes": "soon"}, 400), ("/invite", {"minutes": -1}, 400),
        ("/approve", {}, 400), ("/approve", {"name": 5}, 400), ("/approve", {"name": "Nobody"}, 404),
        ("/expel", {"name": "Nobody"}, 404), ("/scale", {"parties": 3}, 409), ("/scale", {"parties": 0}, 400),
        ("/scale", {}, 400), ("/invite", [1], 400), ("/told", "x" * 70_000, 413), ("/stop", 7, 400),
    ):  # fmt: skip
        answer = call(host, "POST", path, json=body)
        assert (answer.status_code, list(answer.json())) == (status, ["error"]), (path, body)
    for query in (
        "after=x",
        "after=-1",
        "after=1&wait=x",
        "after=1&wait=-1",
        "after=1&wait=nan",
        "after=" + "9" * 5000,
    ):
        assert call(host, "GET", f"/status?{query}").status_code == 400, query


def test_status_says_who_is_there_and_is_held_until_something_changes(host, parties):
    plain = call(host, "GET", "/status").json()
    assert (plain["name"], plain["kind"], plain["state"], plain["parties"]) == ("class", "hosted", "up", [])
    assert (plain["rounds"], plain["rounds_per_second"], plain["about"]) == (0, 0.0, {})
    held = []
    waiting = threading.Thread(
        target=lambda: held.append(call(host, "GET", f"/status?after={plain['version']}&wait=20").json())
    )
    waiting.start()
    assert until(lambda: host._desk.watch._waiting)
    parties(host, "Ada").enrol()
    waiting.join(10.0)
    assert [one["name"] for one in held[0]["parties"]] == ["Ada"]
    assert held[0]["version"] > plain["version"]
    assert call(host, "GET", f"/status?after={plain['version']}&wait=20").json()["version"] >= held[0]["version"]


def test_told_and_demo_are_shown(host):
    host.told({"rule": "soft_vote", "round": "r", "budget_micro": 5})
    asked = []
    host.shown.runs_demo({"n_parties": 3}, 3, asked.append)
    assert call(host, "POST", "/scale", json={"parties": 7}).status_code == 202
    plain = call(host, "GET", "/status").json()
    assert (plain["about"]["rule"], plain["demo"], plain["scale"], asked) == ("soft_vote", {"n_parties": 3}, 7, [7])
    for odd in ({"x": object()}, {"x": float("nan")}, {"x": "y" * 70_000}):
        with pytest.raises(InvalidOption):
            host.told(odd)


def test_an_attached_link_sees_and_does_what_the_host_does(host, attach, parties):
    link = attach(host)
    assert (link.status.kind, link.status.name, link.status.fingerprint) == (
        "attached",
        "class",
        host.status.fingerprint,
    )
    began = time.monotonic()
    ada = parties(host, "Ada").enrol(link.invite(1)[0].split("--token ")[1].split()[0]).start()
    assert link.roster.wait_for(lambda: [entry.state for entry in link.roster.entries] == ["online"], 10.0)
    assert time.monotonic() - began < 8.0
    assert link.roster.entries == host.roster.entries, "cards and all"
    [reply] = ask(link, [ada.node_id], n=3)
    assert decode(reply.content) == {"n": 3}
    link.told({"rule": "median"})
    assert link.roster.wait_for(lambda: True, 0.1)
    assert until(lambda: link.described["about"] == {"rule": "median"})
    link.expel("Ada")
    assert host.roster.entry("Ada").state == "expelled"
    link.approve("Ada")
    assert host.roster.entry("Ada").state == "offline"
    with pytest.raises(DoesNotFit, match="Nobody"):
        link.expel("Nobody")
    with pytest.raises(DoesNotFit, match="demo"):
        link.scale(3)
    assert link.demo is None
    link.close()
    with pytest.raises(Closed):
        link.invite()
    assert link.status.state == "closed"
    assert host.status.state == "up"


def test_nobody_gets_anothers_replies(host, attach, parties):
    nodes = [parties(host, name).enrol().start().node_id for name in ("Ada", "Bo")]
    asking = {"host": host, "one": attach(host), "other": attach(host)}
    found = {name: [] for name in asking}

    def rounds(name, link, base):
        for n in range(base, base + 25):
            replies = ask(link, nodes, n, group=f"{name}{n}")
            found[name].append([n, *sorted(decode(reply.content)["n"] for reply in replies)])

    threads = [threading.Thread(target=rounds, args=(*item, 1000 * k)) for k, item in enumerate(asking.items())]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60.0)
    assert found == {name: [[n] * 3 for n in range(1000 * k, 1000 * k + 25)] for k, name in enumerate(asking)}
    assert host.n_rounds == 75
    assert host._fleet.n_open == 0
    assert not any(session.grid.n_waiting for session in host._desk._sessions.values())


def test_absences_reach_an_attached_process_at_once(host, attach, parties):
    party = parties(host, "Ada").enrol().start()
    party.stop()
    link = attach(host)
    began = time.monotonic()
    [reply] = ask(link, [party.node_id], timeout=60.0)
    assert "offline since" in reply.error.reason
    assert time.monotonic() - began < 10.0
    assert link.grid.get_node_ids() == []


def test_what_an_attached_process_gives_up_is_given_up_at_the_host(host, attach, parties):
    gate = threading.Event()
    party = parties(host, "Ada", lambda phase, body: gate.wait(60.0) and {}).enrol().start()
    link = attach(host)
    assert ask(link, [party.node_id], timeout=0.2) == []
    assert until(lambda: host._fleet.n_open == 0)
    gate.set()


def test_a_batch_is_bounded_and_a_session_has_a_name(host):
    headers = {"content-type": "application/protobuf"}
    assert call(host, "POST", "/grid/push", headers=headers, content=b"").status_code == 400
    named = headers | {"x-fi-session": "s" * 16}
    assert call(host, "POST", "/grid/push", headers=named, content=b"\xff" * 100).status_code == 400
    assert call(host, "POST", "/grid/pull?wait=0", headers=named, content=b"").status_code == 200
    for k in range(63):
        session = headers | {"x-fi-session": f"session number {k}"}
        assert call(host, "POST", "/grid/pull", headers=session, content=b"").status_code == 200
    last = headers | {"x-fi-session": "one too many here"}
    assert call(host, "POST", "/grid/pull", headers=last, content=b"").status_code == 409


def test_sessions_of_dead_processes_are_forgotten(host, monkeypatch):
    from fi_workbench.transport.hosted import desk

    named = {"content-type": "application/protobuf", "x-fi-session": "s" * 16}
    call(host, "POST", "/grid/pull", headers=named, content=b"")
    assert len(host._desk._sessions) == 1
    monkeypatch.setattr(desk, "_SESSION_SECONDS", 0.0)
    assert until(lambda: not host._desk._sessions)


def test_an_attached_link_outlives_its_host(tmp_path):
    hosts, link, party = [], None, None
    try:
        hosts.append(Host(tmp_path / "class", tmp_path / "runtime"))
        [one] = announced(tmp_path / "runtime")
        link = AttachedLink.open(one, folder=tmp_path / "runtime")
        party = TestParty(link, "Ada")
        party.enrol(hosts[0].token).start()
        assert len(ask(link, [party.node_id])) == 1
        hosts[0].kill()
        assert until(lambda: link.status.state == "lost", 20.0)
        assert "every 2 s" in link.status.reason
        [reply] = ask(link, [party.node_id])
        assert "away" in reply.error.reason
        with pytest.raises(DeskGone):
            link.invite()
        hosts.append(Host(tmp_path / "class", tmp_path / "runtime", one.address))
        assert until(lambda: link.status.state == "up", 30.0)
        assert link.roster.wait_for(lambda: party.state == "online", 40.0)
        assert [reply.has_error() for reply in ask(link, [party.node_id])] == [False]
        link.stop()
        assert hosts[1].process.wait(20.0) == 0, "whoever is attached may end the host"
    finally:
        if party is not None:
            party.stop()
        if link is not None:
            link.close()
        for host in hosts:
            host.kill()


def test_a_desk_that_nobody_keeps_is_named(host, tmp_path):
    host.close()
    with pytest.raises(DeskGone):
        AttachedLink.open(host.announced, folder=tmp_path)


def test_stopping_from_the_desk_ends_the_link(host):
    assert call(host, "POST", "/stop", json={}).status_code == 202
    assert until(lambda: host.status.state == "closed")
    assert isinstance(host, HostedLink)
    with pytest.raises(fi.FederationError):
        host.invite()
