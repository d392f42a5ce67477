"""Whoever can reach the port sends what they like: each is turned away, and the parties' round goes on."""

import logging
import os
import socket
import ssl
import struct
import threading
import time
from itertools import product

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from fi_workbench.transport.flower_internals.link import (
    ActivateNodeRequest,
    PullMessagesRequest,
    PushMessagesRequest,
    signed_headers,
)
from fi_workbench.transport.hosted import door, fleet_app
from fi_workbench.transport.hosted.enrolment import PATH
from fi_workbench.transport.hosted.wire_limits import TooMuch, check_wire
from fi_workbench.transport.wire import decode
from tests.transport.hosted.parties import ask, token_of, until
from tests.transport.hosted.raw import RawNode, n_open_files, plain_socket, reads_until_closed, request, tls_socket
from tests.transport.hosted.test_hosted_rounds import answered, raw_party, sent


def head_of(key, path, n_bytes):
    """The head of a request that promises a body of so many bytes, or one without end."""
    headers = signed_headers(key) | {"host": "x", "content-type": "application/protobuf", "x-fi-instance": "raw"}
    headers |= {"transfer-encoding": "chunked"} if n_bytes is None else {"content-length": str(n_bytes)}
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode()


def accepts(sock, drop, n, pause=0.0):
    """Whether the other end lets one send this so many times."""
    try:
        for _ in range(n):
            sock.sendall(drop)
            time.sleep(pause)
    except OSError:
        return False
    return True


@pytest.fixture
def goes_on(link, parties):
    """A party whose round goes on, asked before and after each attack; and that nobody else came in."""
    party = parties(link, "Ada").enrol().start()
    assert len(ask(link, [party.node_id])) == 1
    yield
    [reply] = ask(link, [party.node_id], n=7)
    assert decode(reply.content) == {"n": 7}
    assert {entry.name for entry in link.roster.members} <= {"Ada", "Eve"}
    assert link._server.started
    assert not link._server.should_exit


@pytest.fixture
def eve(link, parties, goes_on):
    """A party that is enrolled and means no good."""
    return raw_party(link, parties, "Eve")


def test_there_is_nothing_but_what_parties_need(link, goes_on):
    stranger = ec.generate_private_key(ec.SECP384R1())
    for path in (
        "/", "/v1", "/v1/fleet", "/v1/fleet/", "/v1/fleet/pull-messages/", "//v1/fleet/pull-messages",
        "/v1/fleet/../fleet/pull-messages", "/v1/fleet/./pull-messages", "/v1/fleet/%70ull-messages",
        "/v1/fleet/pull-messages%00", "/v1/fleet/pull-messages;x", "/V1/FLEET/PULL-MESSAGES",
        "/v1/fleet/..%2f..%2fetc/passwd", "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/v1/fleet/get-fab",
        "/v1/fleet/get-run", "/v1/fleet/push-object", "/v1/fleet/pull-object", "/v1/control/start-run",
        "/v1/runtime/push-messages", "/docs", "/openapi.json", "/status", "/invite", "/grid/push", "/a" * 2000,
    ):  # fmt: skip
        status, content = request(link, path, key=stranger)
        assert status == 404, path
        assert b"etc" not in content


def test_every_route_takes_posts_only_and_only_from_enrolled_keys(link, goes_on):
    assert len(link._app.paths) == 7
    stranger = ec.generate_private_key(ec.SECP384R1())
    for path in link._app.paths:
        for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"):
            assert request(link, path, method=method)[0] == 405, (method, path)
        status, content = request(link, path, key=stranger)
        assert status in (403, 415), path
        if path != PATH:
            assert request(link, path)[0] in (401, 403), path
            assert b"error" in content


def test_a_signature_is_of_this_key_and_of_now(link, eve, parties):
    asked = PullMessagesRequest()
    asked.node.node_id = eve.id
    body, good = asked.SerializeToString(), signed_headers(eve.key)
    other = signed_headers(ec.generate_private_key(ec.SECP384R1()))
    path = "/v1/fleet/pull-messages"
    for wrong in (
        {"flwr-signature": other["flwr-signature"]},
        {"flwr-signature": ""},
        {"flwr-signature": "%%"},
        {"flwr-timestamp": "yesterday"},
        {"flwr-timestamp": "2020-01-01T00:00:00+00:00"},
        {"flwr-timestamp": "2999-01-01T00:00:00+00:00"},
        {"flwr-timestamp": "2025-01-01T00:00:00"},
        {"flwr-public-key": "%"},
        {"flwr-public-key": ""},
    ):
        status, content = request(link, path, body, headers=good | wrong)
        assert status in (401, 403), wrong
        assert b"Traceback" not in content
    ada = parties(link, "Cy").enrol()
    asked.node.node_id = ada.node_id
    assert request(link, path, asked.SerializeToString(), key=eve.key)[0] == 401, "another party's mail"
    status, _ = request(
        link, "/v1/fleet/activate-node",
        ActivateNodeRequest(public_key=b"x", heartbeat_interval=10).SerializeToString(), key=eve.key,
    )  # fmt: skip
    assert status == 401


def test_a_heartbeat_is_within_bounds(link, eve):
    for seconds in (0.0, 9.0, -1.0, 1e300, float("nan"), float("inf")):
        assert eve.activate(seconds)[0] == 400, seconds


def test_a_reply_that_is_too_large_is_named_and_not_kept(links, parties):
    link = links("small", max_request_bytes=2**20)
    node = raw_party(link, parties, "Eve")
    big = b"\x00" * (3 * 2**20)
    status, content = node.post("push-messages", big)
    assert (status, b"1048576" in content) == (413, True)
    large = parties(link, "Bo", lambda phase, body: {"raw": big}).enrol().start()
    [reply] = ask(link, [large.node_id])
    assert "larger than the link takes" in reply.error.reason


@pytest.mark.parametrize("n_bytes", [2**14 + 1, 100_000_000, 2**63, 2**80])
def test_a_hundred_megabytes_are_not_read(link, eve, n_bytes):
    for name in ("pull-messages", "activate-node", "deactivate-node", "send-node-heartbeat"):
        with tls_socket(link) as sock:
            sock.sendall(head_of(eve.key, f"/v1/fleet/{name}", n_bytes))
            heard = reads_until_closed(sock)
            assert b" 413 " in heard or b" 400 " in heard, name


def test_a_body_without_end_is_not_read_either(link, eve, monkeypatch):
    monkeypatch.setattr(fleet_app, "_SMALL_BYTES", 2**12)
    head = head_of(eve.key, "/v1/fleet/pull-messages", None)
    with tls_socket(link) as sock:
        sock.sendall(head)
        assert not accepts(sock, b"1000\r\n" + b"x" * 4096 + b"\r\n", n=10_000)


def test_a_stranger_is_turned_away_before_the_body(link, goes_on):
    head = head_of(ec.generate_private_key(ec.SECP384R1()), "/v1/fleet/push-messages", 60_000_000)
    with tls_socket(link) as sock:
        sock.sendall(head)
        assert b" 403 " in reads_until_closed(sock)


def test_packed_bodies_are_not_taken(link, eve):
    for encoding in ("gzip", "deflate", "br", "zstd", "gzip, gzip"):
        headers = {"content-encoding": encoding}
        assert eve.post("push-messages", b"x", headers=headers)[0] == 415
        assert request(link, PATH, b"x", headers=headers, media_type="application/json")[0] == 415
    assert eve.post("push-messages", b"x", media_type="application/json")[0] == 415


def varint(number):
    written = bytearray()
    while number > 127:
        written.append(number & 127 | 128)
        number >>= 7
    return bytes([*written, number])


def framed(field, content):
    return varint(field << 3 | 2) + varint(len(content)) + content


def nested(depth, inner=b""):
    for _ in range(depth):
        inner = framed(2, inner)  # an object tree within an object tree
    return framed(3, inner)


BOMBS = {
    "a million empty messages": framed(2, b"") * 1_000_000,
    "a million object trees": framed(3, framed(2, b"") * 1_000_000),
    "nested deep": nested(5_000),
    "nested past the limit": nested(30),
    "a packed list": framed(4, b"\x00" * 8 * 400_000),
    "groups": b"\x0b" * 1000,
    "a field without end": framed(2, b"x" * 100)[:-50],
    "a varint without end": b"\xff" * 100,
    "a length past the end": varint(2 << 3 | 2) + varint(2**60),
    "unknown fields": framed(500, b"") * 100_000,
}


def test_what_would_decode_to_far_more_is_not_decoded(link, eve, monkeypatch):
    kinds = []
    real = fleet_app.parse
    monkeypatch.setattr(fleet_app, "parse", lambda kind, body: kinds.append(kind) or real(kind, body))
    for name, bomb in BOMBS.items():
        assert eve.post("push-messages", bomb)[0] == 400, name
        with pytest.raises(TooMuch):
            check_wire(bomb, PushMessagesRequest.DESCRIPTOR)
    assert kinds == []


def test_numbers_in_a_config_record_count_too():
    # repeated sint64 in one byte each: a megabyte on the wire is eight in memory, and 32 as Python's
    from flwr.proto.recorddict_pb2 import ConfigRecordValue, RecordDict  # noqa: TID251 (Flower's form)

    value = ConfigRecordValue()
    value.sint_list.vals.extend([0] * 1_500_000)
    record = RecordDict()
    record.items.add(key="body").config_record.items.add(key="n", value=value)
    with pytest.raises(TooMuch, match="numbers"):
        check_wire(record.SerializeToString(), RecordDict.DESCRIPTOR)


def test_an_honest_answer_is_within_all_limits(link, eve):
    ids = link.grid.push_messages([sent(link, eve.id)])
    [proto] = eve.pull()
    sealed = {"sealed": [os.urandom(300)] * 1000, "names": [f"party {k}" for k in range(1000)], "n": list(range(5000))}
    assert eve.push(answered(proto, {"answer": b"\x00" * 8_000_000, **sealed}))[0] == 200
    [reply] = link.grid.pull_messages(ids)
    assert decode(reply.content)["sealed"] == sealed["sealed"]


def test_junk_in_place_of_protobuf_is_an_error_of_the_sender(link, eve):
    names = ("activate-node", "deactivate-node", "send-node-heartbeat", "pull-messages", "push-messages")
    for name, body in product(names, (b"", b"\x00", b"\xff" * 64, b"\x0a\xff", os.urandom(500))):
        status, content = eve.post(name, body)
        assert 400 <= status < 500, (name, status)
        assert b"Traceback" not in content


def test_odd_metadata_harms_nobody(link, eve):
    for change in (
        {"ttl": float("nan")}, {"created_at": float("inf")}, {"created_at": -1.0}, {"message_type": ""},
        {"message_type": "x" * 10_000}, {"group_id": "\ufffd" * 9999}, {"reply_to_message_id": ""},
        {"reply_to_message_id": "x" * 100_000}, {"run_id": 2**64 - 1}, {"dst_node_id": 7},
    ):  # fmt: skip
        ids = link.grid.push_messages([sent(link, eve.id)])
        [proto] = eve.pull()
        assert eve.push(answered(proto, {"n": 1}, **change))[0] in (200, 400), change
        link.grid.discard(ids)
        assert link._fleet.n_open == 0


def test_plain_http_is_not_spoken(link, goes_on):
    with plain_socket(link) as sock:
        sock.sendall(b"POST /v1/enrol HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n")
        assert b"HTTP/1.1" not in reads_until_closed(sock)


def test_old_tls_is_not_spoken(link, goes_on):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with plain_socket(link) as sock, pytest.raises((ssl.SSLError, OSError)):
        context.wrap_socket(sock)


@pytest.mark.parametrize(
    "junk", [b"\x16\x03\x01" + b"\xff" * 5000, b"\x00" * 10_000, b"SSH-2.0-x\r\n", os.urandom(3000)]
)
def test_junk_in_place_of_a_handshake_is_closed(link, goes_on, junk, monkeypatch):
    monkeypatch.setattr(door, "HANDSHAKE_SECONDS", 0.5)
    with plain_socket(link) as sock:
        sock.sendall(junk)
        reads_until_closed(sock)


def test_who_says_nothing_is_closed(link, goes_on, monkeypatch):
    monkeypatch.setattr(door, "HANDSHAKE_SECONDS", 0.3)
    monkeypatch.setattr(door, "UNPROVED_SECONDS", 0.5)
    with plain_socket(link) as before, tls_socket(link) as after:
        assert reads_until_closed(before) == b""
        assert reads_until_closed(after) == b""
    assert until(lambda: not link._server.door._unproved)


def test_a_head_that_comes_in_drops_is_closed(link, goes_on, monkeypatch):
    monkeypatch.setattr(door, "UNPROVED_SECONDS", 1.0)
    with tls_socket(link) as sock:
        sock.sendall(b"POST /v1/enrol HTTP/1.1\r\n")
        assert not accepts(sock, b"x: y\r\n", n=1000, pause=0.02)


def test_a_party_that_is_known_may_not_drip_either(link, eve, monkeypatch):
    monkeypatch.setattr(door, "HEAD_SECONDS", 0.5)
    head = head_of(eve.key, "/v1/fleet/push-messages", 0)
    with tls_socket(link) as sock:
        sock.sendall(head)
        assert b" 401 " in sock.recv(65536), "its connection is known to be Eve's now"
        sock.sendall(b"POST /v1/fl")
        reads_until_closed(sock)


def test_a_body_that_comes_in_drops_is_closed(link, eve, monkeypatch):
    monkeypatch.setattr(fleet_app, "_PUSH_SECONDS", 0.5)
    head = head_of(eve.key, "/v1/fleet/push-messages", 1000)
    with tls_socket(link) as sock:
        sock.sendall(head + b"xxx")
        assert b" 408 " in reads_until_closed(sock)


@pytest.mark.parametrize("head", [b"x" * 60_000, b"GET / HTTP/1.1\r\n" + b"a: " + b"y" * 60_000,
                                  b"GET /" + b"z" * 60_000, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 10_000,
                                  b"\x00\x01\x02", b"GET / HTTP/9.9\r\n\r\n", b"GET /\r\n\r\n"])  # fmt: skip
def test_a_head_without_end_or_sense_is_closed(link, goes_on, head, monkeypatch):
    monkeypatch.setattr(door, "UNPROVED_SECONDS", 2.0)
    with tls_socket(link) as sock:
        try:
            sock.sendall(head)
        except OSError:
            return
        assert b" 200 " not in reads_until_closed(sock)


def test_requests_without_end_in_one_packet_are_cut_off(link, goes_on):
    with tls_socket(link) as sock:
        try:
            sock.sendall(b"GET /x HTTP/1.1\r\nhost: x\r\n\r\n" * 10_000)
        except OSError:
            return
        assert reads_until_closed(sock).count(b"HTTP/1.1") < 10


def test_a_thousand_idle_connections_do_not_keep_a_party_out(link, goes_on, parties, monkeypatch):
    monkeypatch.setattr(door, "HANDSHAKE_SECONDS", 120.0)  # it is their number that is bounded here
    monkeypatch.setattr(door, "UNPROVED_SECONDS", 120.0)
    idle, n_files = [], n_open_files()
    try:
        idle.extend(plain_socket(link) for _ in range(1000))
        assert until(lambda: link._server.door.n_connections <= door.MAX_UNPROVED + door.MAX_PER_OWNER)
        parties(link, "Eve").enrol().start()
        assert n_open_files() < n_files + 1000 + 2 * door.MAX_UNPROVED
    finally:
        for sock in idle:
            sock.close()


def test_a_party_holds_a_few_connections_only(link, eve):
    head = head_of(eve.key, "/v1/fleet/push-messages", 0)
    held = []
    try:
        for _ in range(3 * door.MAX_PER_OWNER):
            sock = tls_socket(link)
            held.append(sock)
            sock.sendall(head)
            assert sock.recv(65536)
        mine = link._server.door._proved[link._fleet._nodes[eve.id]]
        assert until(lambda: len(mine) == door.MAX_PER_OWNER)
        reads_until_closed(held[0])  # the oldest gave way
    finally:
        for sock in held:
            sock.close()


def test_a_connection_cut_off_without_a_word_leaves_nothing(link, goes_on):
    for _ in range(20):
        sock = tls_socket(link)
        sock.sendall(b"POST /v1/enrol HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n12345")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # reset, not closed
        sock.close()
    assert until(lambda: not link._server.door._unproved)


def test_one_answer_at_a_time_of_each_party(link, eve):
    head = head_of(eve.key, "/v1/fleet/push-messages", 1000)
    with tls_socket(link) as sock:
        sock.sendall(head)
        assert until(lambda: link._app._decoding)
        assert eve.post("push-messages", b"")[0] == 429
    assert until(lambda: not link._app._decoding)


def test_junk_does_not_fill_the_log(link, goes_on, caplog):
    with caplog.at_level(logging.DEBUG):
        for _ in range(100):
            with tls_socket(link) as sock:
                sock.sendall(b"\x00junk\r\n\r\n")
                reads_until_closed(sock)
    lines = [record for record in caplog.records if record.name.startswith(("fi_workbench", "uvicorn", "flwr"))]
    assert 0 < len(lines) <= 20 + 5


def test_an_error_of_ours_is_told_to_the_host_only(link, eve, monkeypatch):
    def broken(node):
        raise RuntimeError("a secret of the host's")

    monkeypatch.setattr(link._fleet, "pull", broken)
    status, content = eve.pull()
    assert status == 500
    assert b"secret" not in content
    assert b"Traceback" not in content
    monkeypatch.undo()


def test_a_token_that_many_bring_at_once_lets_one_in(link, parties, goes_on):
    token, taken = token_of(link), []

    def bring(k):
        try:
            parties(link, f"Eve{k}").enrol(token)
            taken.append(k)
        except Exception:  # noqa: BLE001 (refused)
            pass

    threads = [threading.Thread(target=bring, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20.0)
    assert len(taken) == 1
    assert len(link.roster.entries) == 2


def test_a_key_speaks_for_its_own_node_only(link, eve):
    assert eve.activate()[0] == 200
    other = RawNode(link, type("Party", (), {"key": eve.key, "node_id": eve.id + 4}), "raw")
    assert other.pull()[0] == 401
