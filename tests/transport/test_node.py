"""A party's node against a link that behaves, and against links that do not."""

import itertools
import socket
import threading
import time
from email.utils import formatdate

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from fi_workbench.core.errors import InvalidOption
from fi_workbench.transport.client_app import client_app
from fi_workbench.transport.flower_internals import fleet
from fi_workbench.transport.node import party_node
from fi_workbench.transport.node.backoff import Backoff
from fi_workbench.transport.node.party_node import PartyNode, Tls
from fi_workbench.transport.wire import decode
from tests.harness import SOON, until
from tests.transport.fake_link import FakeLink, self_signed
from tests.transport.node_cases import KEY, NOTHING, Script, comes, echo, pulled, question, running


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    """Back-off without long waits: a test must not take minutes."""
    monkeypatch.setattr(party_node, "Backoff", lambda: Backoff(0.02, 0.05))


def test_it_answers_each_message_in_turn_and_says_goodbye():
    script = Script(*(question({"n": n}, message_id=f"{n:064}") for n in range(3)), question(kind="query.boom"))
    with FakeLink(script.routes) as link:
        with running(link.address) as one:
            comes(lambda: len(script.replies) == 4)
        assert [decode(reply.content)["n"] for reply in script.replies[:3]] == [0, 1, 2]
        assert [reply.metadata.reply_to_message_id for reply in script.replies[:3]] == [f"{n:064}" for n in range(3)]
        assert len({reply.metadata.message_id for reply in script.replies}) == 4
        assert script.replies[3].error.reason == "LookupError", "a class only: texts may quote private data"
        assert link.paths()[0] == "activate-node"
        assert link.paths()[-1] == "deactivate-node"
    assert one.kinds() == ["connected", *["answered"] * 4, "stopped"]
    assert one.refusal is None


def test_pulls_and_pushes_share_one_connection_and_carry_the_instance():
    script = Script(question())
    with FakeLink(script.routes) as link:
        with running(link.address, instance="me"):
            comes(lambda: link.paths().count("pull-messages") > 5)
            assert link.connections == 1
        headers = {name: value.lower() for _, seen in link.seen for name, value in seen.items()}
    assert headers["x-fi-instance"] == "me"
    assert "flwr-signature" in {name.lower() for name in headers}


def test_a_connection_that_the_link_shut_while_it_was_idle_is_opened_anew():
    script = Script(question())
    with FakeLink(script.routes, hangs_up=True) as link, running(link.address) as one:
        comes(lambda: link.paths().count("pull-messages") > 5)
        assert one.kinds() == ["connected", "answered"], "nobody was told that anything was lost"


def test_a_link_that_takes_any_key_is_registered_with_first():
    script, known = Script(), []
    script.routes["register-node"] = lambda body, _: known.append(body) or b""
    script.routes["activate-node"] = lambda body, _: script.activate() if known else (412, {}, b'{"detail": "unknown"}')
    with FakeLink(script.routes) as link, running(link.address) as one:
        comes(lambda: "connected" in one.kinds())
        assert link.paths()[:3] == ["activate-node", "register-node", "activate-node"]


def test_an_empty_pull_is_soon_repeated_at_first_and_slower_later(monkeypatch):
    monkeypatch.setattr(party_node, "_LIVELY_SECONDS", 0.2)
    times = []

    def pull(*_):
        times.append(time.monotonic())
        return NOTHING

    script = Script()
    script.routes["pull-messages"] = pull
    with FakeLink(script.routes) as link, running(link.address, poll_seconds=0.01):
        comes(lambda: times and times[-1] - times[0] > 1.5)
    pauses = [after - before for before, after in itertools.pairwise(times)]
    lively = sum(second - times[0] < 0.2 for second in times)
    assert 3 <= lively <= 21, "a poll each 10 ms, no more"
    assert sum(pauses[-3:]) >= 0.6, "and each 250 ms in the end"


def test_a_held_pull_is_followed_by_the_next_at_once(monkeypatch):
    monkeypatch.setattr(party_node, "_HELD_SECONDS", 0.1)
    times = []

    def hold(*_):
        times.append(time.monotonic())
        time.sleep(0.15)
        return NOTHING

    script = Script()
    script.routes["pull-messages"] = hold
    with FakeLink(script.routes) as link, running(link.address, poll_seconds=5.0):
        comes(lambda: len(times) >= 4)
    assert times[3] - times[0] < 4.0, "no pause of 5 s between"


def test_stop_ends_a_parked_pull_soon():
    parked, release = threading.Event(), threading.Event()

    def hold(*_):
        parked.set()
        release.wait(HOLD)
        return NOTHING

    HOLD, script = 30.0, Script()  # noqa: N806
    script.routes["pull-messages"] = hold
    with FakeLink(script.routes) as link, running(link.address) as one:
        assert parked.wait(SOON)
        began = time.monotonic()
        one.node.stop()
        assert one.ends()
        assert time.monotonic() - began < SOON
        release.set()
    assert one.kinds()[-1] == "stopped"


def test_a_message_under_way_is_finished_before_it_stops():
    at_work, release = threading.Event(), threading.Event()

    def slow(phase, body):
        at_work.set()
        release.wait(SOON)
        return body

    script = Script(question())
    with FakeLink(script.routes) as link, running(link.address, app=client_app(slow, ["answer"])) as one:
        assert at_work.wait(SOON)
        stopper = threading.Thread(target=one.node.stop)
        stopper.start()
        assert not one.ends(0.1)
        release.set()
        stopper.join(SOON)
        assert one.ends()
        assert len(script.replies) == 1


def test_heartbeats_go_on_while_a_message_is_answered(monkeypatch):
    monkeypatch.setattr(party_node, "SHORTEST_HEARTBEAT_SECONDS", 0.01)
    release = threading.Event()
    script = Script(question())
    with FakeLink(script.routes) as link:
        app = client_app(lambda phase, body: release.wait(SOON) and body, ["answer"])
        with running(link.address, app=app, heartbeat_seconds=0.02):
            comes(lambda: link.paths().count("send-node-heartbeat") >= 5)
            assert not script.replies
            release.set()
            comes(lambda: script.replies)


def test_a_node_that_the_link_has_forgotten_comes_anew(monkeypatch):
    monkeypatch.setattr(party_node, "SHORTEST_HEARTBEAT_SECONDS", 0.01)
    script = Script()
    script.routes["send-node-heartbeat"] = lambda *_: b""  # success is False
    with FakeLink(script.routes) as link, running(link.address, heartbeat_seconds=0.02):
        comes(lambda: link.paths().count("activate-node") >= 2)


@pytest.mark.parametrize(
    "trouble",
    [
        (500, {}, b"oops"),
        (503, {}, b'{"detail": "LinkState is not initialized."}'),
        (404, {}, b""),
        (401, {}, b'{"detail": "Invalid SuperNode authentication"}'),
        b"\xff\xff this is no protobuf",
        (302, {"location": "http://127.0.0.1:1/v1/fleet/pull-messages"}, b""),
    ],
)
def test_it_survives_nonsense_once_it_was_connected(trouble):
    script = Script()
    link = FakeLink(script.routes)
    with link, running(link.address) as one:
        comes(lambda: "connected" in one.kinds())
        link.routes["pull-messages"] = lambda *_: trouble
        comes(lambda: one.kinds().count("retrying") >= 3)
        assert one.kinds().count("lost") == 1, "told once"
        link.routes["pull-messages"] = lambda *_: pulled(question())
        comes(lambda: "answered" in one.kinds())
        assert not one.ends(0.0)


def test_a_redirect_is_named_and_never_followed():
    with FakeLink({}) as elsewhere:
        script = Script()
        to = f"http://{elsewhere.address}/v1/fleet/activate-node"
        script.routes["activate-node"] = lambda *_: (307, {"location": to}, b"")
        with FakeLink(script.routes) as link, running(link.address) as one:
            comes(lambda: "retrying" in one.kinds())
            assert f"redirects to {to}" in one.events[0].text
            assert not elsewhere.seen
            assert elsewhere.connections == 0


def test_it_waits_for_a_link_that_is_down_and_comes_back_when_it_is_up():
    with FakeLink({}) as gone:
        port = gone.port
    with running(f"127.0.0.1:{port}") as one:
        comes(lambda: one.kinds().count("retrying") >= 3)
        assert one.kinds()[0] == "lost"
        script = Script(question())
        with FakeLink(script.routes, port=port):
            comes(lambda: script.replies)
        comes(lambda: one.kinds().count("lost") == 2)
        script = Script(question())
        with FakeLink(script.routes, port=port):
            comes(lambda: script.replies)


def test_a_half_open_connection_is_given_up(monkeypatch):
    monkeypatch.setattr(fleet, "PULL_SECONDS", 0.2)
    script, n_silent = Script(), []

    def silent(*_):
        n_silent.append(1)
        time.sleep(2.0 if len(n_silent) == 1 else 0.0)
        return pulled(question()) if len(n_silent) == 2 else NOTHING

    script.routes["pull-messages"] = silent
    with FakeLink(script.routes) as link, running(link.address) as one:
        comes(lambda: "answered" in one.kinds())
        assert "no answer in time" in next(event.text for event in one.events if event.kind == "lost")
        assert one.kinds()[:4] == ["connected", "lost", "retrying", "connected"]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((403, {}, b'{"error": "expelled by the host"}'), "expelled by the host"),
        ((409, {}, b'{"error": "another process uses this key"}'), "Stop one of the two"),
    ],
)
@pytest.mark.parametrize("where", ["activate-node", "pull-messages"])
def test_what_retrying_does_not_mend_ends_it(where, answer, says):
    script = Script()
    script.routes[where] = lambda *_: answer
    with FakeLink(script.routes) as link, running(link.address) as one:
        assert one.ends()
        assert says in str(one.refusal)
        assert one.kinds()[-1] == "refused"
        assert "retrying" not in one.kinds()


def test_a_key_that_is_not_registered_is_refused_at_first_and_held_out_for_later(monkeypatch):
    monkeypatch.setattr(party_node, "_PATIENCE_SECONDS", -19.9)
    unknown = 412, {}, b'{"detail": "All SuperNodes must be registered via the CLI."}'
    script = Script()
    routes = {**script.routes, "activate-node": lambda *_: unknown, "register-node": lambda *_: unknown}
    with FakeLink(routes) as link, running(link.address) as one:
        assert one.ends()
        assert "registered via the CLI" in str(one.refusal)
        assert "before this one" in one.events[0].text, "it may be online still: worth a try for two heartbeats"
    with FakeLink(script.routes) as link, running(link.address) as one:
        comes(lambda: "connected" in one.kinds())
        lost = 401, {}, b""
        link.routes.update(routes, **dict.fromkeys(["pull-messages", "send-node-heartbeat"], lambda *_: lost))
        comes(lambda: one.kinds().count("retrying") >= 3)
        link.routes.update(script.routes)
        comes(lambda: one.kinds().count("connected") == 2)


def test_a_node_that_is_cut_off_goes_on_where_the_link_takes_it_for_online_still():
    script = Script()
    with FakeLink(script.routes) as link, running(link.address) as one:
        comes(lambda: "connected" in one.kinds())
        link.routes["activate-node"] = lambda *_: (412, {}, b'{"detail": "Failed to activate SuperNode."}')
        link.routes["pull-messages"] = lambda *_: (500, {}, b"")
        comes(lambda: "lost" in one.kinds())
        link.routes["pull-messages"] = lambda *_: pulled(question())
        comes(lambda: "answered" in one.kinds())
        assert "register-node" not in link.paths()


@pytest.mark.parametrize(("hours", "says"), [(-1, "3600 s ahead of"), (1, "3600 s behind")])
def test_a_clock_that_is_wrong_is_named_with_its_skew(hours, says):
    theirs = formatdate(time.time() + hours * 3600, usegmt=True)
    script = Script()
    script.routes["activate-node"] = lambda *_: (401, {"date": theirs}, b'{"detail": "Invalid"}')
    with FakeLink(script.routes) as link, running(link.address) as one:
        assert one.ends()
        assert says in str(one.refusal).replace("3599", "3600").replace("3601", "3600")
        assert "Set the clock" in str(one.refusal)


def test_an_answer_that_is_too_large_becomes_an_error_that_says_so():
    script, refused = Script(question({"blob": b"x" * 100_000})), []

    def push(body, headers):
        if len(body) > 50_000:
            refused.append(len(body))
            return 413, {}, b'{"error": "at most 50000 bytes"}'
        return script.push(body, headers)

    link = FakeLink({**script.routes, "push-messages": push})
    with link, running(link.address):
        comes(lambda: script.replies)
    assert refused
    assert "larger than the link takes (at most 50000 bytes)" in script.replies[0].error.reason


def test_an_answer_that_is_not_taken_is_dropped_and_the_next_is_answered():
    script = Script(question(message_id="1" * 64), question(message_id="2" * 64))
    n_pushed = []

    def push(body, headers):
        n_pushed.append(1)
        return (403, {}, b'{"detail": "run status"}') if len(n_pushed) == 1 else script.push(body, headers)

    link = FakeLink({**script.routes, "push-messages": push})
    with link, running(link.address) as one:
        comes(lambda: script.replies)
    assert script.replies[0].metadata.reply_to_message_id == "2" * 64
    assert one.refusal is None


def test_a_message_whose_content_lies_elsewhere_is_refused_by_name():
    script = Script()
    once = [pulled(question(), inline=False)]
    script.routes["pull-messages"] = lambda *_: once.pop() if once else NOTHING
    with FakeLink(script.routes) as link, running(link.address):
        comes(lambda: script.replies)
    assert "'query.answer' came without its content" in script.replies[0].error.reason


def test_on_event_may_raise():
    script = Script(question())

    def raising(event):
        raise RuntimeError(event.kind)

    with FakeLink(script.routes) as link:
        node = PartyNode(client_app(echo, ["answer"]), link.address, KEY, tls=Tls(insecure=True), on_event=raising)
        thread = threading.Thread(target=node.run, daemon=True)
        thread.start()
        comes(lambda: script.replies)
        node.stop()
        thread.join(SOON)
        assert not thread.is_alive()


def test_tls_by_authority_and_by_fingerprint(tmp_path):
    (root, _), _, authority = self_signed(tmp_path, "authority")
    files, fingerprint, _ = self_signed(tmp_path, "server", authority)
    colons = ":".join(fingerprint[i : i + 2].upper() for i in range(0, 64, 2))
    for tls in (Tls(root_certificates=root.read_bytes()), Tls(fingerprint=fingerprint), Tls(fingerprint=colons)):
        script = Script(question())
        with FakeLink(script.routes, certificate=files) as link, running(link.address, tls=tls):
            comes(lambda script=script: script.replies)


def test_another_certificate_than_the_pinned_one_is_refused_with_both_fingerprints(tmp_path):
    files, shown, _ = self_signed(tmp_path)
    script = Script()
    with FakeLink(script.routes, certificate=files) as link:
        with running(link.address, tls=Tls(fingerprint="ab" * 32)) as one:
            assert one.ends()
        assert shown in str(one.refusal)
        assert "ab" * 32 in str(one.refusal)
        assert not link.seen, "nothing was sent"


def test_a_certificate_that_changes_ends_it(tmp_path):
    first, fingerprint, _ = self_signed(tmp_path, "first")
    second, other, _ = self_signed(tmp_path, "second")
    script = Script()
    with FakeLink(script.routes, certificate=first) as link, running(
        link.address, tls=Tls(fingerprint=fingerprint)
    ) as one:  # fmt: skip
        comes(lambda: "connected" in one.kinds())
        link.close()
        with FakeLink(script.routes, certificate=second, port=link.port):
            assert one.ends()
            assert other in str(one.refusal)


def test_a_certificate_of_no_known_authority_is_refused(tmp_path):
    files, _, _ = self_signed(tmp_path)
    (other, _), _, _ = self_signed(tmp_path, "other")
    with FakeLink(Script().routes, certificate=files) as link:
        for tls in (Tls(), Tls(root_certificates=other.read_bytes())):
            with running(link.address, tls=tls) as one:
                assert one.ends()
            assert "is not trusted" in str(one.refusal)
        assert not link.seen


def test_plain_http_is_not_fallen_back_to():
    script = Script()
    with FakeLink(script.routes) as link, running(link.address, tls=Tls(fingerprint="ab" * 32)) as one:
        comes(lambda: "retrying" in one.kinds())
        assert "plain HTTP is not fallen back to" in one.events[0].text
        assert not link.seen


def test_an_endless_answer_is_not_read(monkeypatch):
    from fi_workbench.transport import protobuf_http

    monkeypatch.setattr(protobuf_http, "MAX_ANSWER_BYTES", 1000)
    script = Script()
    script.routes["pull-messages"] = lambda *_: b"x" * 1001
    with FakeLink(script.routes) as link, running(link.address) as one:
        comes(lambda: "lost" in one.kinds())
        assert "is not read" in next(event.text for event in one.events if event.kind == "lost")


def test_junk_that_is_no_http_is_survived():
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(SOON)
    try:
        with running(f"127.0.0.1:{server.getsockname()[1]}") as one:
            taken = server.accept()[0]
            taken.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")
            assert until(lambda: "lost" in one.kinds())
            taken.close()
    finally:
        server.close()


@pytest.mark.parametrize("address", ["", "host", "http://host:1", "host:1/path", "host:99999", "a@host:1", "host:x"])
def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(InvalidOption, match="HOST:PORT"):
        PartyNode(client_app(echo, []), address, KEY, tls=Tls(insecure=True))


@pytest.mark.parametrize(
    "given", [{"heartbeat_seconds": 5.0}, {"poll_seconds": 0.0}, {"key": ec.generate_private_key(ec.SECP256R1())}]
)
def test_options_out_of_range_are_refused(given):
    key = given.pop("key", KEY)
    with pytest.raises(InvalidOption):
        PartyNode(client_app(echo, []), "host:1", key, tls=Tls(insecure=True), **given)


@pytest.mark.parametrize(
    "given",
    [
        {"insecure": True, "fingerprint": "ab" * 32},
        {"insecure": True, "root_certificates": b"x"},
        {"fingerprint": "ab"},
        {"fingerprint": "zz" * 32},
    ],
)
def test_contradictory_trust_is_refused(given):
    with pytest.raises(InvalidOption):
        Tls(**given)


def test_root_certificates_that_are_none_are_refused():
    with pytest.raises(InvalidOption, match="PEM"):
        Tls(root_certificates=b"nonsense").context()


def test_back_off_grows_to_its_cap_with_full_jitter():
    backoff = Backoff(0.25, 15.0)
    waits = [backoff.next_seconds() for _ in range(2000)]
    assert all(0 <= wait <= min(15.0, 0.25 * 2 ** min(i, 30)) for i, wait in enumerate(waits))
    assert max(waits) > 14.0
    assert min(waits[10:]) < 1.0, "full jitter: from nothing"
    backoff.reset()
    assert backoff.next_seconds() <= 0.25
