"""A link that means no good to the parties that join it, or that is not the link that was meant."""

import signal
import socket
import ssl
import threading

import pytest
from flwr.proto import fleet_pb2  # noqa: TID251 (a fake of Flower's own server)

from tests.attacks.far import Memory, invitation
from tests.harness import until
from tests.transport.fake_link import FakeLink, self_signed
from tests.transport.hosted.test_hostile import BOMBS, framed
from tests.transport.node_cases import NOTHING, Script, pulled, question

ESCAPES = "\x1b]0;owned\x07\x1b[2J"


@pytest.fixture
def hostile(tmp_path):
    """A link that a party trusts, by its certificate, and that a test tells what to do."""
    files, fingerprint, _ = self_signed(tmp_path)
    script = Script()
    with FakeLink(script.routes, files) as link:
        link.script, link.trust = script, {"link": link.address, "fingerprint": fingerprint}
        yield link


def then(link, *answers):
    """Pulls are answered so, one after the other, and with nothing in the end."""
    left = list(answers)
    link.routes["pull-messages"] = lambda *_: left.pop(0) if left else NOTHING
    return left


def refusal(link, number=0):
    assert until(lambda: len(link.script.replies) > number), link.paths()
    reply = link.script.replies[number]
    return reply.error.reason if reply.has_error() else str(reply.content["body"])


def test_a_question_without_a_header_or_of_no_known_phase_is_refused(hostile, far):
    ada = far("Ada", **hostile.trust)
    then(hostile, *(pulled(question({"n": 1}, kind, f"{k:064}"))
                    for k, kind in enumerate(("query.answer", "query.nonsense", "train", "evaluate"))))  # fmt: skip
    assert until(lambda: len(hostile.script.replies) == 4), ada.said
    assert "refused" in refusal(hostile, 0)
    assert all(hostile.script.replies[k].has_error() for k in (1, 2, 3)), "no such thing is answered"
    assert ada.popen.poll() is None


def test_an_app_that_a_link_offers_is_never_fetched_nor_run(hostile, far):
    """Flower's nodes fetch a FAB and execute it. Ours asks for none, and one in a message is data that is not read."""
    ran = []
    hostile.routes["get-fab"] = hostile.routes["get-run"] = lambda *_: ran.append(1) or b""
    ada = far("Ada", **hostile.trust)
    offered = fleet_pb2.PullMessagesResponse.FromString(pulled(question({"fab": b"PK\x03\x04" + b"\x00" * 5000})))
    then(hostile, offered.SerializeToString())
    assert "refused" in refusal(hostile)
    assert not ran
    assert set(hostile.paths()) <= {
        "activate-node", "pull-messages", "push-messages", "send-node-heartbeat", "deactivate-node"
    }  # fmt: skip
    assert ada.popen.poll() is None


PULLED = fleet_pb2.PullMessagesResponse
PULL_BOMBS = {
    "millions of empty messages": framed(PULLED.MESSAGES_LIST_FIELD_NUMBER, b"") * 3_000_000,
    "millions of object trees": framed(PULLED.MESSAGE_OBJECT_TREES_FIELD_NUMBER, framed(2, b"") * 3_000_000),
    "unknown fields": BOMBS["unknown fields"],
}


def test_answers_that_would_fill_its_memory_are_not_decoded(hostile, far):
    ada = far("Ada", **hostile.trust).says("connected: ")
    with Memory(ada.popen.pid) as memory:
        left = then(hostile, *PULL_BOMBS.values(), pulled(question()))
        assert until(lambda: not left and hostile.script.replies, 60.0), ada.said
    assert memory.grown < 60e6, "of 6 MB each, which would become hundreds"
    assert ada.popen.poll() is None


def test_a_redirect_is_not_followed_and_its_text_moves_no_cursor(hostile, far):
    with FakeLink({}) as elsewhere:
        to = f"http://{elsewhere.address}/v1/enrol?{ESCAPES}"
        hostile.routes["enrol"] = lambda *_: (307, {"location": to}, ESCAPES.encode())
        status, said = far("Ada", **hostile.trust, token="secret-of-mine").ends()
        assert status == 2
        assert "which is not followed" in said
        assert "\x1b" not in said
        assert elsewhere.connections == 0


@pytest.mark.parametrize("status", [400, 403])
def test_what_a_link_says_moves_no_cursor(hostile, far, status):
    hostile.routes["activate-node"] = lambda *_: (status, {}, ESCAPES.encode() + b"[bold]" + b"x" * 10_000)
    ada = far("Ada", **hostile.trust)
    if status == 400:
        ada.says("retrying: ")
        ada.kill()
    said = ada.ends()[1]
    assert "\x1b" not in said
    assert "\x07" not in said
    assert "x" * 400 not in said
    assert ESCAPES not in ada.log.read_text()


def test_another_certificate_gets_nothing_not_even_the_token(link, hostile, far, answers):
    given = invitation(link)
    status, said = far("Ada", link=hostile.address, fingerprint=given["fingerprint"], token=given["token"]).ends()
    assert (status, "Somebody stands in between" in said) == (2, True)
    assert hostile.seen == []
    far("Ada", **{what: given[what] for what in ("link", "fingerprint", "token")}).says("connected: ")
    assert link.roster.wait_for(lambda: link.roster.members, 20.0)
    answers(link, "Ada")


def test_a_link_that_answers_in_plain_http_gets_nothing(link, far):
    given = invitation(link)
    with FakeLink(Script().routes) as plain:
        ada = far("Ada", link=plain.address, fingerprint=given["fingerprint"], token=given["token"])
        ada.says("plain HTTP is not fallen back to")
        assert plain.seen == []
        assert given["token"] not in ada.said


def test_a_link_of_old_tls_is_not_spoken_to(tmp_path, far):
    (certificate, key), fingerprint, _ = self_signed(tmp_path, "old")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    heard = []

    def serve():
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(sock, server_side=True) as wrapped:
                    heard.append(wrapped.recv(100))
            except OSError:
                sock.close()

    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        ada = far("Ada", link=f"127.0.0.1:{listener.getsockname()[1]}", fingerprint=fingerprint)
        ada.says("retrying: ")
        assert heard == []
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10.0)


def test_a_link_that_never_answers_lets_its_party_leave(hostile, far):
    """A pull that is held for ever: the party still stops when its owner says so."""
    release = threading.Event()

    def drip(*_):
        release.wait(30.0)
        return NOTHING

    hostile.routes["pull-messages"] = drip
    try:
        ada = far("Ada", **hostile.trust).says("connected: ")
        ada.kill(signal.SIGTERM)
        assert ada.popen.returncode == 0
        assert "stopped: " in ada.said
    finally:
        release.set()
