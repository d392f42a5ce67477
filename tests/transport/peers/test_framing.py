"""What comes over a connection is checked before it is read, and the rest of it is not lost while nobody reads."""

import contextlib
import socket
import struct
import threading
import time

import pytest

from fi_workbench.core.peers import BadPeerMessage, PeerLate, PeerLost
from fi_workbench.transport.peers.framing import FrameReader, FrameWriter
from fi_workbench.transport.peers.inbox import LARGEST_BYTES, Inbox
from tests.harness import until
from tests.transport.peers.groups import soon


def frame(tag, payload, n_bytes=None, kind=1):
    return struct.pack(">BBQ", kind, len(tag), len(payload) if n_bytes is None else n_bytes) + tag + payload


@pytest.fixture
def ends():
    theirs, ours = socket.socketpair()
    with contextlib.closing(theirs), contextlib.closing(ours):
        yield theirs, ours


@pytest.fixture
def inbox(ends):
    one = Inbox("me", "peer")
    one.read_from(FrameReader(ends[1]))
    return one


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (frame(b"tag", b"", kind=7), "no message of this protocol"),
        (frame(b"", b"1"), "no message of this protocol"),
        (frame(b"x" * 101, b"1"), "no message of this protocol"),
        (frame(b"\xff\xfe", b"1"), "no text"),
        (b"GET / HTTP/1.1\r\n\r\n", "no message of this protocol"),
        (frame(b"tag", b"", n_bytes=LARGEST_BYTES + 1), "is the most"),
        (frame(b"tag", b"", n_bytes=2**64 - 1), "is the most"),
        (frame(b"tag", b"", n_bytes=2**29), "does not wait yet"),
        (frame(b"wanted", b"", n_bytes=2**29), "536870912 bytes; 3 are right"),
    ],
)
def test_what_may_not_come_is_refused_by_its_head_alone(ends, inbox, sent, said):
    ends[0].sendall(sent)
    with pytest.raises(BadPeerMessage, match=said):
        inbox.take("wanted", 3, soon())
    with pytest.raises(BadPeerMessage, match=said):
        inbox.take("later", 3, soon())


@pytest.mark.parametrize("n_sent", [5, 12, 14])
def test_an_end_within_a_message_is_a_cut_message(ends, inbox, n_sent):
    ends[0].sendall(frame(b"tag", b"12345")[:n_sent])
    ends[0].close()
    with pytest.raises(BadPeerMessage, match="within a message"):
        inbox.take("tag", 5, soon())


def test_an_end_between_messages_is_a_lost_peer_and_what_came_before_counts(ends, inbox):
    ends[0].sendall(frame(b"tag", b"12345"))
    ends[0].close()
    assert bytes(inbox.take("tag", 5, soon())) == b"12345"
    with pytest.raises(PeerLost, match="peer has ended its channel to me"):
        inbox.take("next", 5, soon())


def test_frames_come_in_any_pieces(ends, inbox):
    whole = b"".join(frame(f"t{k}".encode(), bytes([k]) * (k * 7919 % 90_000)) for k in range(40))

    def trickle():
        at = 0
        for k in range(10**6):
            step = (1, 3, 11, 70_000, 13)[k % 5]
            ends[0].sendall(whole[at : at + step])
            at += step
            if at >= len(whole):
                return

    thread = threading.Thread(target=trickle)
    thread.start()
    for k in range(40):
        n_bytes = k * 7919 % 90_000
        assert bytes(inbox.take(f"t{k}", n_bytes, soon())) == bytes([k]) * n_bytes
    thread.join()


def test_a_half_message_waits_for_the_next_who_reads(ends, inbox):
    whole = frame(b"tag", bytes(range(200)))
    for cut in (whole[:4], whole[4:12], whole[12:150]):
        ends[0].sendall(cut)
        with pytest.raises(PeerLate):
            inbox.take("tag", 200, time.monotonic() + 0.01)
    ends[0].sendall(whole[150:])
    assert bytes(inbox.take("tag", 200, soon())) == bytes(range(200))


def test_sending_never_waits_and_what_is_queued_arrives_in_order(ends, inbox):
    writer = FrameWriter("peer", ends[0])
    sizes = [10, 3_000_000, 0, 60_000, 2_000_000, 5]
    for k, n_bytes in enumerate(sizes):  # nobody reads yet, and the buffers hold far less
        writer.send(f"t{k}", (bytes([k]) * n_bytes,), n_bytes)
    for k, n_bytes in enumerate(sizes):
        assert bytes(inbox.take(f"t{k}", n_bytes, soon())) == bytes([k]) * n_bytes
    writer.close(soon())


def test_close_writes_what_waits(ends, inbox):
    writer = FrameWriter("peer", ends[0])
    writer.send("large", (bytes(3_000_000),), 3_000_000)
    closing = threading.Thread(target=writer.close, args=(soon(),))
    closing.start()
    assert len(inbox.take("large", 3_000_000, soon())) == 3_000_000
    closing.join()
    with pytest.raises(PeerLost):
        writer.send("more", (b"",), 0)


def test_close_does_not_wait_for_a_peer_that_does_not_read(ends):
    writer = FrameWriter("peer", ends[0])
    writer.send("large", (bytes(3_000_000),), 3_000_000)
    writer.close(time.monotonic() + 0.05)
    assert ends[0].fileno() == -1


def test_a_peer_that_never_reads_cannot_fill_the_memory(ends, monkeypatch):
    monkeypatch.setattr("fi_workbench.transport.peers.framing.LARGEST_QUEUE_BYTES", 5_000_000)
    writer = FrameWriter("peer", ends[0])
    for k in range(3):  # the first is being written, two wait
        writer.send(f"t{k}", (bytes(2_000_000),), 2_000_000)
        assert until(lambda: writer._writing)
    with pytest.raises(PeerLost, match="does not read"):
        writer.send("more", (bytes(2_000_000),), 2_000_000)
    writer.close(time.monotonic())


def test_a_peer_that_is_gone_is_lost_for_the_sender(ends):
    writer = FrameWriter("peer", ends[0])
    ends[1].close()
    with pytest.raises(PeerLost, match="The connection to peer ended"):
        writer.send("small", (b"1",), 1)
    with pytest.raises(PeerLost, match="The connection to peer ended"):
        writer.send("next", (b"1",), 1)
    writer.close(time.monotonic())
