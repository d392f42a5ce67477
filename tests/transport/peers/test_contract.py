"""What any channels do, whichever way the messages take."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fi_workbench.core.peers import BadPeerMessage, PeerLate, PeerLost, Traffic
from tests.transport.peers.groups import SESSION, WAYS, connect_all, networks, send_on, session, soon


@pytest.fixture(params=WAYS)
def channels(request):
    with session(request.param) as made:
        yield made


def test_a_message_arrives_once_by_its_tag_in_whatever_order_it_is_asked_for(channels):
    a, b = channels["a"], channels["b"]
    words = np.arange(1000, dtype=np.uint64)
    a.send("b", "first", b"1")
    a.send("b", "second", words[:10], bytearray(b"xy"), memoryview(words[10:]))
    a.send("b", "empty")
    assert bytes(b.receive("a", "empty", 0, soon())) == b""
    second = b.receive("a", "second", 8002, soon())
    assert bytes(second) == words[:10].tobytes() + b"xy" + words[10:].tobytes()
    assert second.readonly
    assert bytes(b.receive("a", "first", 1, soon())) == b"1"
    assert a.sent == {"b": Traffic(3, 8003), "c": Traffic()}
    assert (a.me, b.me) == ("a", "b")
    with pytest.raises(PeerLate, match="'first'"):
        b.receive("a", "first", 1, time.monotonic() + 0.01)


def test_what_is_sent_is_as_it_was_when_it_was_sent(channels):
    block = bytearray(b"before" * 100_000)
    channels["a"].send("b", "block", block)
    block[:6] = b"after!"
    assert bytes(channels["b"].receive("a", "block", 600_000, soon())) == b"before" * 100_000


def test_equal_tags_of_different_peers_are_different_messages(channels):
    for sender in "ab":
        channels[sender].send("c", "tag", sender.encode())
    assert [bytes(channels["c"].receive(sender, "tag", 1, soon())) for sender in "ba"] == [b"b", b"a"]


def test_many_threads_wait_for_one_peer_and_each_gets_its_own(channels):
    tags = [f"step/{k}" for k in range(40)]
    with ThreadPoolExecutor(len(tags)) as threads:
        waiting = [threads.submit(channels["b"].receive, "a", tag, len(tag), soon()) for tag in tags]
        for tag in reversed(tags):
            channels["a"].send("b", tag, tag.encode())
        assert [bytes(one.result()).decode() for one in waiting] == tags


def test_who_is_silent_is_late_and_named(channels):
    before = time.monotonic()
    with pytest.raises(PeerLate, match="c has not sent 'tag' to a in time") as late:
        channels["a"].receive("c", "tag", 1, before + 0.05)
    assert late.value.peer == "c"
    assert time.monotonic() >= before + 0.05


def test_a_message_of_another_length_is_refused_and_ends_the_channel(channels):
    channels["a"].send("b", "tag", b"12345")
    with pytest.raises(BadPeerMessage, match="'tag' with 5 bytes; 4 are right"):
        channels["b"].receive("a", "tag", 4, soon())
    with pytest.raises(BadPeerMessage, match="'tag'"):
        channels["b"].receive("a", "other", 4, soon())
    channels["c"].send("b", "tag", b"1234")
    assert bytes(channels["b"].receive("c", "tag", 4, soon())) == b"1234"


def test_a_tag_comes_once(channels):
    a, b = channels["a"], channels["b"]
    a.send("b", "tag", b"1")
    assert bytes(b.receive("a", "tag", 1, soon())) == b"1"
    a.send("b", "tag", b"2")
    with pytest.raises(BadPeerMessage, match="'tag' twice"):
        b.receive("a", "next", 1, soon())


def test_an_abort_is_raised_by_all_who_wait_and_by_all_who_come_later(channels):
    b = channels["b"]
    fault = PeerLost("c", "c is gone")
    channels["a"].send("b", "there", b"1")
    with ThreadPoolExecutor(3) as threads:
        waiting = [threads.submit(b.receive, sender, tag, 1, soon()) for sender in "ac" for tag in ("x", "y")]
        b.abort(fault)
        assert all(one.exception() is fault for one in waiting)
    with pytest.raises(PeerLost, match="c is gone"):
        b.receive("a", "there", 1, soon())
    with pytest.raises(PeerLost):
        b.send("a", "tag", b"1")


def test_close_ends_it_here_at_once(channels):
    a = channels["a"]
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(a.receive, "b", "x", 1, soon())
        a.close()
        assert isinstance(waiting.exception(), PeerLost)
    with pytest.raises(PeerLost):
        a.receive("b", "y", 1, soon())
    with pytest.raises(PeerLost):
        a.send("b", "z", b"")
    assert a.outgoing(5.0) == []
    a.close()


def test_strangers_and_wrong_tags_are_refused(channels):
    a = channels["a"]
    for stranger in ("d", "a", ""):
        with pytest.raises(PeerLost, match="no channel"):
            a.send(stranger, "tag", b"")
        with pytest.raises(PeerLost, match="no channel"):
            a.receive(stranger, "tag", 0, soon())
    for tag in ("", "x" * 101):
        with pytest.raises(ValueError, match="1 to 100 bytes"):
            a.send("b", tag, b"")
    a.incoming("d", b"made up")  # whoever carries may say so
    with pytest.raises(PeerLate):
        a.receive("b", "tag", 0, time.monotonic() + 0.01)


def test_what_nobody_waits_for_is_bounded(channels, monkeypatch):
    monkeypatch.setattr("fi_workbench.transport.peers.inbox.LARGEST_HELD_BYTES", 100_000)
    a, b = channels["a"], channels["b"]
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(b.receive, "a", "large", 300_000, soon())
        while "large" not in b._inboxes["a"]._wanted:
            time.sleep(0.001)
        a.send("b", "large", bytes(300_000))  # somebody waits for it
        assert len(waiting.result()) == 300_000
    a.send("b", "early", bytes(60_000))
    a.send("b", "wanted", b"1")
    assert bytes(b.receive("a", "wanted", 1, soon())) == b"1"
    a.send("b", "earlier", bytes(60_000))
    with pytest.raises(BadPeerMessage, match="more than 100000 bytes for which b does not wait"):
        b.receive("a", "never", 1, soon())
    assert len(b.receive("a", "early", 60_000, soon())) == 60_000


@pytest.mark.parametrize("way", ["in process", "TLS"])
def test_a_closed_channel_is_lost_for_the_peer_at_once(way):
    with session(way) as channels, ThreadPoolExecutor(2) as threads:
        waiting = [threads.submit(channels["b"].receive, "a", tag, 1, soon()) for tag in ("x", "y")]
        channels["a"].send("b", "last", b"1")
        channels["a"].close()
        assert bytes(channels["b"].receive("a", "last", 1, soon())) == b"1"
        assert all(isinstance(one.exception(), PeerLost) for one in waiting)
        assert waiting[0].exception().peer == "a"
        with pytest.raises(PeerLost):
            send_on(channels["b"], "a")
        channels["b"].send("c", "tag", b"1")
        assert bytes(channels["c"].receive("b", "tag", 1, soon())) == b"1"


@pytest.mark.parametrize("way", WAYS)
def test_another_secret_is_no_peer(way):
    made = networks(way, ("a", "b"))
    try:
        secrets_of = {"a": {"b": bytes(32)}, "b": {"a": bytes([1]) * 32}}
        found = connect_all(made, secrets_of=secrets_of)
        if way == "TLS, relayed":  # nobody met: what is sealed cannot be opened
            found["a"].send("b", "tag", b"1")
            for _, sealed in found["a"].outgoing(1.0):
                found["b"].incoming("a", sealed)
            with pytest.raises(BadPeerMessage, match="changed by who carried it"):
                found["b"].receive("a", "tag", 1, soon())
        else:
            assert [found[name].peer for name in "ab"] == ["b", "a"]
            assert all("does not know the secret of the pair" in str(one) for one in found.values())
    finally:
        for network in made.values():
            network.close()


@pytest.mark.parametrize("way", WAYS)
def test_after_close_nothing_is_left_running(way):
    before = set(threading.enumerate())
    with session(way) as channels:
        channels["a"].send("b", "large", bytes(3_000_000))
        assert len(channels["b"].receive("a", "large", 3_000_000, soon())) == 3_000_000
        channels["c"].send("b", "unread", bytes(3_000_000))
    assert set(threading.enumerate()) == before


@pytest.mark.parametrize("way", ["in process", "TLS"])
def test_two_sessions_of_the_same_parties_do_not_meet(way):
    made = networks(way, ("a", "b"))
    try:
        one, other = connect_all(made), connect_all(made, session="a0" * 32)
        one["a"].send("b", "tag", b"1")
        other["a"].send("b", "tag", b"2")
        assert bytes(other["b"].receive("a", "tag", 1, soon())) == b"2"
        one["a"].close()
        other["a"].send("b", "more", b"3")
        assert bytes(other["b"].receive("a", "more", 1, soon())) == b"3"
        assert SESSION != "a0" * 32
    finally:
        for network in made.values():
            network.close()
