"""Only the announced peer, over TLS 1.3, on whatever addresses work; the rest goes over the relay."""

import contextlib
import os
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fi_workbench.core.peers import PeerLost
from fi_workbench.transport.peers import handshake
from fi_workbench.transport.peers.announcement import Announcement, read_announcement
from fi_workbench.transport.peers.certificates import SessionCertificate
from fi_workbench.transport.peers.tls import TlsNetwork
from tests.transport.peers.groups import (
    SESSION,
    Carrier,
    closing_all,
    connect_all,
    free_port,
    pair_secrets,
    session,
    soon,
    unreachable_network,
)


class Tap:
    """Stands between two parties, passes on what they send, and writes it down."""

    def __init__(self, target):
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = self._server.getsockname()[:2]
        self._target, self.seen = target, bytearray()
        self._threads, self._sockets = [], [self._server]
        self._start(self._accept)

    def _start(self, run, *args):
        self._threads.append(threading.Thread(target=run, args=args))
        self._threads[-1].start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                here, _ = self._server.accept()
                there = socket.create_connection(self._target)
                self._sockets += [here, there]
                self._start(self._pass_on, here, there)
                self._start(self._pass_on, there, here)

    def _pass_on(self, source, target):
        with contextlib.suppress(OSError):
            while part := source.recv(2**16):
                self.seen += part
                target.sendall(part)
            target.shutdown(socket.SHUT_RDWR)

    def close(self):
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for sock in self._sockets:
            sock.close()


def test_large_messages_of_all_to_all_at_once_do_not_block_one_another():
    n_bytes = 2**26
    payload = bytes(n_bytes)
    with session("TLS") as channels, ThreadPoolExecutor(3) as threads:

        def exchange(me):
            for peer in channels:
                if peer != me:
                    channels[me].send(peer, "large", payload)
            return [channels[me].receive(peer, "large", n_bytes, soon(60)).nbytes for peer in channels if peer != me]

        assert list(threads.map(exchange, channels)) == [[n_bytes] * 2] * 3
        assert all(one.n_bytes == n_bytes for name in channels for one in channels[name].sent.values())


def test_small_messages_that_nobody_reads_yet_do_not_block_who_sends():
    with session("TLS", ("a", "b")) as channels:
        for k in range(400):
            channels["a"].send("b", f"t{k}", bytes([k % 256]) * 60_000)
        for k in range(400):
            assert bytes(channels["b"].receive("a", f"t{k}", 60_000, soon())) == bytes([k % 256]) * 60_000


def test_who_listens_in_sees_nothing_and_who_stands_between_with_another_certificate_gets_nothing():
    with closing_all(a=TlsNetwork(), b=TlsNetwork(), eve=TlsNetwork()) as made:
        tap = Tap(made["b"].addresses[0])
        try:
            honest = read_announcement("b", made["b"].announce(SESSION))
            pair = {"a": made["a"], "b": made["b"]}
            tapped = Announcement((tap.address,), honest.certificate).to_bytes()
            channels = connect_all(pair, announced={("a", "b"): tapped})
            secret = os.urandom(40)
            channels["a"].send("b", "tag-in-clear", secret)
            assert bytes(channels["b"].receive("a", "tag-in-clear", 40, soon())) == secret
            assert channels["a"].relayed == frozenset()
            assert len(tap.seen) > 500
            assert secret not in tap.seen
            assert b"tag-in-clear" not in tap.seen
        finally:
            channels["a"].close()
            tap.close()
        other = "ee" * 32
        made["eve"].announce(other)
        serving = threading.Thread(target=_stand_in, args=(made["eve"], other))
        made["a"].announce(other)
        fresh = read_announcement("b", made["b"].announce(other))
        between = Announcement(made["eve"].addresses, fresh.certificate).to_bytes()
        serving.start()
        with pytest.raises(PeerLost, match="a certificate that b did not announce") as lost:
            made["a"].connect(other, "a", {"b": between}, {"b": bytes(32)}, soon())
        assert lost.value.peer == "b"
        made["eve"].close()
        serving.join()


def _stand_in(network, name):
    """Wants to be talked to by anybody: pins a certificate that nobody has."""
    announced = Announcement((), SessionCertificate().der).to_bytes()
    with contextlib.suppress(PeerLost):
        network.connect(name, "b", {"a": announced}, {"a": bytes(32)}, soon())


def test_a_certificate_that_is_not_the_announced_one_is_named():
    with closing_all(a=TlsNetwork(patience_seconds=0.3), b=TlsNetwork(patience_seconds=0.3)) as made:
        old = Announcement(made["a"].addresses, SessionCertificate().der).to_bytes()
        found = connect_all(made, announced={("b", "a"): old})
        # Whoever sees it first ends the session; the other may find no more than that nobody is there.
        said = {"a": "No TLS with b", "b": "did not announce"}
        named = [name for name, one in found.items() if isinstance(one, PeerLost) and said[name] in str(one)]
        assert named
        assert all(found[name].relayed == {"a", "b"} - {name} for name in found if name not in named)


def test_a_peer_of_the_session_cannot_stand_in_for_another():
    with closing_all(a=unreachable_network(), b=TlsNetwork(), c=TlsNetwork()) as made:
        honest = read_announcement("b", made["b"].announce(SESSION))
        crossed = Announcement(made["c"].addresses, honest.certificate).to_bytes()
        found = connect_all(made, announced={("a", "b"): crossed}, seconds=5.0)
        assert "Who answers for b shows a certificate that b did not announce" in str(found["a"])


def test_one_reachable_end_is_enough():
    with closing_all(a=unreachable_network(5.0), b=TlsNetwork(), c=unreachable_network(5.0)) as made:
        pair = {"a": made["a"], "b": made["b"]}
        channels = connect_all(pair)
        assert [one.relayed for one in channels.values()] == [frozenset(), frozenset()]
        for sender, recipient in (("a", "b"), ("b", "a")):
            channels[sender].send(recipient, "tag", b"1")
            assert bytes(channels[recipient].receive(sender, "tag", 1, soon())) == b"1"
        assert channels["a"].outgoing(0.0) == channels["b"].outgoing(0.0) == []


def test_both_come_to_the_same_verdict_pair_by_pair_and_messages_take_either_way():
    with closing_all(a=unreachable_network(), b=TlsNetwork(), c=unreachable_network()) as made:
        channels = connect_all(made)
        assert {name: set(one.relayed) for name, one in channels.items()} == {"a": {"c"}, "b": set(), "c": {"a"}}
        carrier = Carrier(channels)
        try:
            for sender in channels:
                for to in channels:
                    if to != sender:
                        channels[sender].send(to, "tag", sender.encode() * 3_000_000)
            for sender in channels:
                for to in channels:
                    if to != sender:
                        assert bytes(channels[to].receive(sender, "tag", 3_000_000, soon())) == (
                            sender.encode() * 3_000_000
                        )
        finally:
            carrier.stop()
        assert {(sender, to) for sender, to, _ in carrier.carried} == {("a", "c"), ("c", "a")}
        assert channels["a"].sent["c"] == channels["a"].sent["b"]


def test_who_comes_late_hears_that_the_pair_relays():
    with closing_all(a=unreachable_network(0.05), b=TlsNetwork()) as made:
        secrets_of = pair_secrets("ab")
        texts = {name: network.announce(SESSION) for name, network in made.items()}
        unreachable = Announcement((("127.0.0.1", free_port()),), read_announcement("b", texts["b"]).certificate)
        early = made["a"].connect(SESSION, "a", {"b": unreachable.to_bytes()}, secrets_of["a"], soon())
        assert early.relayed == {"b"}
        real = Announcement((("127.0.0.1", made["a"]._listener.port),), read_announcement("a", texts["a"]).certificate)
        late = made["b"].connect(SESSION, "b", {"a": real.to_bytes()}, secrets_of["b"], soon())
        assert late.relayed == {"a"}


def test_what_was_sealed_arrives_even_for_a_peer_that_is_reached_directly():
    with session("TLS", ("a", "b")) as channels, ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(channels["b"].receive, "a", "sealed", 1, soon())
        channels["a"]._relay.send("b", "sealed", b"1")
        for _, sealed in channels["a"].outgoing(1.0):
            channels["b"].incoming("a", sealed)
        assert bytes(waiting.result()) == b"1"


def test_a_peer_that_never_takes_part_is_relayed_before_the_time_is_up():
    with closing_all(a=TlsNetwork(), b=TlsNetwork()) as made:
        made["a"].announce(SESSION)
        text = made["b"].announce(SESSION)
        end = time.monotonic() + 0.5
        channels = made["a"].connect(SESSION, "a", {"b": text}, {"b": bytes(32)}, end)
        assert channels.relayed == {"b"}
        assert time.monotonic() < end + 0.2


def test_an_address_of_somebody_else_does_not_matter_where_another_works():
    with closing_all(a=TlsNetwork(), b=TlsNetwork()) as made, socket.create_server(("127.0.0.1", 0)) as silent:
        honest = read_announcement("b", made["b"].announce(SESSION))
        more = (("127.0.0.1", free_port()), silent.getsockname()[:2], ("no host\x7f", 1), *honest.addresses)
        text = Announcement(tuple(more), honest.certificate).to_bytes().replace(b"\\u007f", b"")
        before = time.monotonic()
        channels = connect_all(made, announced={("a", "b"): text})
        assert channels["a"].relayed == channels["b"].relayed == frozenset()
        assert time.monotonic() - before < 2.0  # the silent one was not waited for


def test_another_version_is_named():
    with closing_all(a=TlsNetwork()) as made, socket.create_server(("127.0.0.1", 0)) as newer:

        def reply():
            sock, _ = newer.accept()
            with sock:
                sock.recv(1000)
                sock.sendall(handshake._REPLY.pack(handshake._MAGIC, 2, 0))

        thread = threading.Thread(target=reply)
        thread.start()
        made["a"].announce(SESSION)
        text = Announcement((newer.getsockname()[:2],), SessionCertificate().der).to_bytes()
        with pytest.raises(PeerLost, match="b speaks version 2 of the channels between parties, not 1"):
            made["a"].connect(SESSION, "a", {"b": text}, {"b": bytes(32)}, soon())
        thread.join()
        with socket.create_connection(made["a"].addresses[0], 5.0) as sock:
            sock.sendall(handshake._HELLO.pack(handshake._MAGIC, 2, handshake.session_name(SESSION)))
            assert sock.recv(100) == handshake._REPLY.pack(handshake._MAGIC, 1, 0)
            assert sock.recv(100) == b""


def _stranger(address, name, context):
    """What one who knows the session but no key gets to see: an error, or the end."""
    with socket.create_connection(address, 5.0) as plain:
        handshake.ask_for(plain, "b", name, soon())
        with context.wrap_socket(plain) as sock:
            sock.settimeout(5.0)
            return sock.recv(100)


def test_strangers_are_turned_away_and_do_no_harm():
    with session("TLS", ("a", "b")) as channels:
        address = channels["a"]._direct["b"]._sock.getpeername()
        anonymous = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        anonymous.check_hostname, anonymous.verify_mode = False, ssl.CERT_NONE
        with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
            _stranger(address, SESSION, anonymous)
        _, impostor = SessionCertificate().contexts([])
        impostor.verify_mode = ssl.CERT_NONE
        with pytest.raises(ssl.SSLError, match="ALERT"):
            _stranger(address, SESSION, impostor)
        older = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        older.check_hostname, older.verify_mode = False, ssl.CERT_NONE
        older.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(ssl.SSLError):
            _stranger(address, SESSION, older)
        with pytest.raises(handshake.Unreachable, match="not in this session"):
            _stranger(address, "00" * 32, anonymous)
        with socket.create_connection(address, 5.0) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: anything at all that is long enough\r\n\r\n")
            with contextlib.suppress(ConnectionResetError):
                assert sock.recv(100) == b""
        channels["a"].send("b", "tag", b"1")
        assert bytes(channels["b"].receive("a", "tag", 1, soon())) == b"1"


def test_closing_leaves_no_open_files():
    files = Path("/proc/self/fd")

    def n_open():
        return len(list(files.iterdir()))

    if not files.is_dir():
        pytest.skip("this system does not say which files are open")
    before = n_open()
    with session("TLS") as channels:
        channels["a"].send("b", "tag", b"1")
        assert n_open() >= before + 3 + 12
    assert n_open() == before
