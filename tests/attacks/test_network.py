"""The network fails, in all its ways: rounds end by their deadline without whom they do not reach, and go on."""

import socket
import threading
import time

import pytest

from fi_workbench.transport.flower_internals.link import PullMessagesRequest
from fi_workbench.transport.hosted import door, fleet_app
from fi_workbench.transport.hosted import fleet as fleet_module
from fi_workbench.transport.protobuf_http import Address
from tests.attacks.far import soon
from tests.attacks.namespaces import cable
from tests.attacks.relay import Relay, lossy
from tests.session.far_parties import absences, asked
from tests.transport.hosted.parties import TestParty
from tests.transport.hosted.raw import RawNode, n_open_files, tls_socket
from tests.transport.hosted.test_hosted_rounds import sent
from tests.transport.hosted.test_hostile import head_of


def states(link):
    return {entry.name: entry.state for entry in link.roster.entries}


@pytest.fixture
def soon_gone(monkeypatch):
    """A node that is silent for 4 s is offline; pulls are held for one."""
    monkeypatch.setattr(fleet_app, "HOLD_SECONDS", 1.0)
    monkeypatch.setattr(fleet_module, "HEARTBEAT_PATIENCE", 0.4)


def test_a_partition_costs_absences_and_heals_by_itself(links, far, soon_gone, answers):
    with cable() as wire:
        link = wire.within(wire.near, lambda: links(address=f"{wire.near_ip}:0"))
        far("Near", link, before=wire.command(wire.near))
        far("Far", link, before=wire.command(wire.far))
        answers(link, "Near", "Far")
        wire.plugged(False)
        began = time.monotonic()
        cut = asked(link, seconds=2.0)
        assert cut.release.present == ("Near",)
        assert "no answer within" in absences(cut)["Far"]
        assert time.monotonic() - began < 12.0, "its deadline is kept"
        soon(lambda: states(link) == {"Near": "online", "Far": "offline"})
        at_once = absences(asked(link, seconds=20.0))
        assert "offline since" in at_once["Far"]
        wire.plugged(True)
        soon(lambda: states(link)["Far"] == "online", 60.0)
        answers(link, "Near", "Far")
        link.close()


def test_a_line_that_loses_a_third_of_its_packets_is_slow_and_right(link, far, answers):
    with Relay(link.status.address, lossy()) as relay:
        far("Ada", link, link=relay.address)
        for _ in range(5):
            answers(link, "Ada")
        assert relay.n_pieces > 20
        assert relay.connections < 10, "it is slow, not broken: nobody reconnects"


def test_a_half_open_connection_is_noticed_at_both_ends(link, far, soon_gone, answers):
    impatient = (
        "import fi_workbench.transport.flower_internals.fleet as f, fi_workbench.transport.protobuf_http as h\n"
        "f.PULL_SECONDS = f.CALL_SECONDS = 2.0; h._CONNECT_SECONDS = 1.0"
    )
    with Relay(link.status.address) as relay:
        ada = far("Ada", link, link=relay.address, prelude=impatient)
        relay.silent.set()
        assert asked(link, seconds=1.0).release.present == ()
        soon(lambda: states(link)["Ada"] == "offline")
        ada.says("no answer in time")
        relay.silent.clear()
        soon(lambda: states(link)["Ada"] == "online", 40.0)
        answers(link, "Ada")
        assert link._fleet.n_open == 0


def test_a_reader_that_does_not_read_holds_up_nobody(link, far, soon_gone, answers):
    far("Ada", link)
    eve = TestParty(link, "Eve", instance="raw").enrol().start()
    eve.stop()
    node = RawNode(link, eve)
    assert node.activate()[0] == 200
    with tls_socket(link) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        asked_for = PullMessagesRequest()
        asked_for.node.node_id = node.id
        body = asked_for.SerializeToString()
        sock.sendall(head_of(eve.key, "/v1/fleet/pull-messages", len(body)) + body)
        soon(lambda: len(link._app.parking) >= 1)
        ids = link.grid.push_messages([sent(link, node.id, body={"large": b"\x00" * 30_000_000})])
        soon(lambda: link._fleet._nodes[node.id].pulled)
        for _ in range(3):
            assert asked(link, seconds=5.0).release.present[0] == "Ada"
        soon(lambda: states(link)["Eve"] == "offline", 20.0)
        [reply] = link.grid.pull_messages(ids)
        assert reply.has_error(), "what it had taken fails"
        soon(lambda: link._fleet._nodes[node.id].connections == 0)
    answers(link, "Ada")
    assert link._fleet.n_open == 0


JUNK = (b"\x16\x03\x01" + b"\xff" * 200, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", b"SSH-2.0-x\r\n", b"")
N_JUNK, N_THREADS = 10_000, 4


def test_ten_thousand_junk_connections_keep_nobody_out(link, far, answers):
    """From this process, a few hundred open at a time: 10,000 at once would be half of the descriptors of a machine."""
    far("Ada", link)
    where = Address.parse(link.status.address)
    before, done = n_open_files(), []

    def knock(number):
        held = []
        try:
            for k in range(number, N_JUNK, N_THREADS):
                sock = socket.create_connection((where.host, where.port), 20.0)
                held.append(sock)
                sock.sendall(JUNK[k % len(JUNK)])
                done.append(k)
                if len(held) > 60:
                    held.pop(0).close()
        finally:
            for sock in held:
                sock.close()

    threads = [threading.Thread(target=knock, args=(k,)) for k in range(N_THREADS)]
    for thread in threads:
        thread.start()
    n_rounds = most = 0
    while any(thread.is_alive() for thread in threads):
        answers(link, "Ada")
        n_rounds += 1
        most = max(most, n_open_files())
    for thread in threads:
        thread.join()
    # both ends are in this process: 4 x 61 of ours, 128 of the door's, and those that it is just turning away
    assert most < before + 800
    assert len(done) == N_JUNK
    assert n_rounds >= 3
    far("Bo", link)
    answers(link, "Ada", "Bo")


def test_a_hundred_slow_loris_are_closed_and_rounds_go_on(link, far, answers, monkeypatch):
    """Fewer than the door has room for, so that none is closed to make room: heads, bodies and handshakes in drops."""
    monkeypatch.setattr(door, "UNPROVED_SECONDS", 2.0)
    far("Ada", link)
    where, head = Address.parse(link.status.address), b"POST /v1/enrol HTTP/1.1\r\nhost: x\r\n"
    held = {}  # each with the drop that it gets
    try:
        for k in range(50):
            sock = tls_socket(link)
            held[sock] = b"x" if k % 2 else b"a: b\r\n"
            sock.sendall(head + b"content-type: application/json\r\ncontent-length: 9000\r\n\r\n" if k % 2 else head)
        for _ in range(50):
            sock = socket.create_connection((where.host, where.port), 20.0)
            held[sock] = b"\x00"
            sock.sendall(b"\x16\x03\x01\x02\x00")  # a record of 512 bytes is promised
        assert len(held) < door.MAX_UNPROVED
        going, end = set(held), time.monotonic() + 20.0
        while going and time.monotonic() < end:
            answers(link, "Ada")
            for sock in list(going):
                try:
                    sock.sendall(held[sock])
                except OSError:
                    going.discard(sock)
            time.sleep(0.05)
        assert not going
    finally:
        for sock in held:
            sock.close()
