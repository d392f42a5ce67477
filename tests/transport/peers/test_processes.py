"""Parties in processes of their own: one that is killed is lost for all who wait, at once."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from fi_workbench.core.peers import PeerLost
from fi_workbench.transport.peers.tls import TlsNetwork
from tests.transport.peers.groups import SESSION, send_on, soon

CHILD = """
import json, sys, time
from fi_workbench.transport.peers.tls import TlsNetwork
network = TlsNetwork()
print(json.dumps(network.announce(sys.argv[1]).decode()), flush=True)
peers = {name: text.encode() for name, text in json.loads(sys.stdin.readline()).items()}
channels = network.connect(sys.argv[1], "child", peers, dict.fromkeys(peers, bytes(range(32))), time.monotonic() + 30)
for peer in peers:
    channels.send(peer, "hello", b"1")
n_bytes = int(sys.stdin.readline())
for peer in peers:
    channels.send(peer, "large", bytes(n_bytes))
    channels.receive(peer, "never", 1, time.monotonic() + 60)
"""


@contextlib.contextmanager
def child_and_parties():
    """A process and two parties here that are connected to it and to one another."""
    networks = {name: TlsNetwork() for name in "ab"}
    command = [sys.executable, "-c", CHILD, SESSION]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        texts = {"child": json.loads(child.stdout.readline()).encode()}
        texts |= {name: network.announce(SESSION) for name, network in networks.items()}
        child.stdin.write(json.dumps({name: texts[name].decode() for name in networks}) + "\n")
        child.stdin.flush()

        def connect(me):
            peers = {peer: text for peer, text in texts.items() if peer != me}
            return networks[me].connect(SESSION, me, peers, dict.fromkeys(peers, bytes(range(32))), soon(30))

        with ThreadPoolExecutor(2) as threads:
            channels = dict(zip(networks, threads.map(connect, networks), strict=True))
        for one in channels.values():
            assert bytes(one.receive("child", "hello", 1, soon())) == b"1"
            assert not one.relayed
        yield child, channels
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdin.close()
        child.stdout.close()
        for network in networks.values():
            network.close()


def test_a_killed_peer_is_lost_for_all_who_wait_and_the_others_go_on():
    with child_and_parties() as (child, channels), ThreadPoolExecutor(4) as threads:
        waiting = [
            threads.submit(one.receive, "child", tag, 1, soon(600)) for one in channels.values() for tag in ("x", "y")
        ]
        os.kill(child.pid, signal.SIGKILL)
        faults = [one.exception(20) for one in waiting]
        assert all(isinstance(fault, PeerLost) and fault.peer == "child" for fault in faults)
        channels["a"].send("b", "tag", b"1")
        assert bytes(channels["b"].receive("a", "tag", 1, soon())) == b"1"
        with pytest.raises(PeerLost):
            send_on(channels["a"], "child")


def test_a_peer_killed_within_a_large_message_is_lost_too():
    with child_and_parties() as (child, channels):
        child.stdin.write(f"{2**26}\n")
        child.stdin.flush()
        # More is wanted than is read before the kill: the child's buffers hold a small part of it.
        inbox = channels["a"]._inboxes["child"]
        with ThreadPoolExecutor(1) as threads:
            inbox._source.read(inbox, soon(0.05))
            os.kill(child.pid, signal.SIGKILL)
            with pytest.raises(PeerLost, match=r"broke off|ended") as fault:
                threads.submit(channels["a"].receive, "child", "large", 2**26, soon(600)).result(30)
        assert fault.value.peer == "child"
